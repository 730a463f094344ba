//! Replacements, variables, configurations, and the builtin transformers and generators as objects.

use serde_json::{Value, json};

use super::fields::{generator as arguments, image, operations, strategic};
use super::objects::NAMES;
use super::random::{Random, Seen};

pub(super) const SOURCES: [(&str, &str); 4] =
    [("v1", "ConfigMap"), ("v1", "Service"), ("apps/v1", "Deployment"), ("v1", "Pod")];

pub(super) const VARIABLES: [(&str, &str); 3] =
    [("v1", "ConfigMap"), ("v1", "Service"), ("apps/v1", "Deployment")];

pub(super) fn replacement(random: &mut Random) -> Value {
    let Seen { kind, name, .. } = random.object(&SOURCES);
    let mut source = json!({"kind": kind, "name": name});
    let of_kind: &[&str] = match kind.as_str() {
        "ConfigMap" => &["data.k", "data.name", "metadata.name"],
        "Service" => {
            &["spec.ports.0.port", "metadata.name", "spec.ports.[name=http].port", "spec.ports"]
        }
        "Deployment" => &[
            "spec.template.spec.containers.[name=c0].image",
            "spec.replicas",
            "metadata.labels.app",
        ],
        _ => &["spec.containers.0.image", "metadata.name"],
    };
    let path = random.text(of_kind);
    random.maybe(1, &mut source, "fieldPath", path);
    let mut options = json!({"delimiter": random.text(&[":", "/", "."])});
    let index = random.of(&[json!(0), json!(1), json!(-1), json!(5)]).clone();
    random.maybe(2, &mut options, "index", index);
    random.maybe(5, &mut source, "options", options);
    let Seen { kind, name, .. } = random.object(&[
        ("apps/v1", "Deployment"),
        ("v1", "ConfigMap"),
        ("example.org/v1", "Widget"),
        ("v1", "Service"),
        ("apps/v1", "StatefulSet"),
    ]);
    let of_kind: &[&str] = match kind.as_str() {
        "ConfigMap" => &["data.k", "data.name", "data.made", "metadata.annotations.from"],
        "Service" => &[
            "spec.ports.*.port",
            "spec.ports.0.targetPort",
            "metadata.name",
            "spec.ports.[name=more].port",
        ],
        "Widget" => &[
            "spec.ref.name",
            "spec.size",
            "spec.containers.[name=c0].image",
            "spec.finalizers.[=a]",
            "spec.new.deep",
        ],
        _ => &[
            "spec.template.spec.containers.[name=c0].image",
            "spec.template.spec.containers.0.image",
            "spec.template.spec.containers.*.image",
            "spec.template.spec.containers.[name=c0].env.[name=A].value",
            "spec.template.spec.containers.[name=c0].args.0",
            "spec.replicas",
            "metadata.labels.[x.y/z]",
            "metadata.annotations.[x.y/z]",
        ],
    };
    let mut select = json!({"kind": kind});
    random.maybe(2, &mut select, "name", name.into());
    let pattern = random.text(&["a.*", "app|web"]);
    random.maybe(8, &mut select, "name", pattern);
    let mut target = json!({"select": select, "fieldPaths": [random.text(of_kind)]});
    let mut options = json!({});
    random.maybe(2, &mut options, "create", true.into());
    random.maybe(3, &mut options, "delimiter", ":".into());
    let index = random.of(&[json!(0), json!(1), json!(-1), json!(9)]).clone();
    random.maybe(3, &mut options, "index", index);
    random.maybe(2, &mut target, "options", options);
    let reject = json!([{"name": random.text(&NAMES)}]);
    random.maybe(5, &mut target, "reject", reject);
    json!({"source": source, "targets": [target]})
}

pub(super) fn var(random: &mut Random) -> Value {
    let Seen { api_version, kind, name } = random.object(&VARIABLES);
    let mut var = json!({"name": random.text(&["NAME", "OTHER"]), "objref": {"apiVersion": api_version, "kind": kind, "name": name}});
    let path = match kind.as_str() {
        "ConfigMap" => "data.k",
        "Service" => "spec.ports[0].port",
        _ => "spec.template.spec.containers[0].image",
    };
    random.maybe(2, &mut var, "fieldref", json!({"fieldpath": path}));
    var
}

pub(super) fn configuration(random: &mut Random) -> Value {
    let mut configuration = json!({});
    for (field, value) in [
        ("images", json!([{"kind": "Widget", "path": "spec/containers/image"}])),
        (
            "namePrefix",
            json!([{"kind": "Widget", "path": "spec/ref/name"}, {"path": "metadata/annotations/note"}]),
        ),
        ("nameSuffix", json!([{"kind": "Widget", "path": "spec/ref/name"}])),
        ("namespace", json!([{"kind": "Widget", "path": "spec/within", "create": true}])),
        ("commonLabels", json!([{"kind": "Widget", "path": "spec/labels", "create": true}])),
        (
            "commonAnnotations",
            json!([{"kind": "Widget", "path": "spec/annotations", "create": true}]),
        ),
        ("labels", json!([{"kind": "Widget", "path": "spec/more", "create": true}])),
        ("replicas", json!([{"kind": "Widget", "path": "spec/size"}])),
        (
            "nameReference",
            json!([{"kind": "ConfigMap", "fieldSpecs": [{"kind": "Widget", "path": "spec/ref/name"}]}]),
        ),
        ("varReference", json!([{"kind": "ConfigMap", "path": "data"}])),
    ] {
        random.maybe(4, &mut configuration, field, value);
    }
    configuration
}

fn plugin(kind: &str, mut fields: Value) -> Value {
    fields["apiVersion"] = "builtin".into();
    fields["kind"] = kind.into();
    if fields.pointer("/metadata/name").is_none() {
        fields["metadata"]["name"] = "plugin".into();
    }
    fields
}

pub(super) fn transformer(random: &mut Random) -> Value {
    let specs = json!([{"path": "metadata/labels", "create": true}, {"path": "spec/template/metadata/labels", "kind": "Deployment"}]);
    match random.below(15) {
        0 => plugin(
            "AnnotationsTransformer",
            json!({"annotations": {"t": "1"}, "fieldSpecs": [{"path": "metadata/annotations", "create": true}]}),
        ),
        1 => plugin("LabelTransformer", json!({"labels": {"t": "1"}, "fieldSpecs": specs})),
        2 => plugin(
            "NamespaceTransformer",
            json!({
            "metadata": {"name": "n", "namespace": "moved"},
            "unsetOnly": random.one_in(2),
            "setRoleBindingSubjects": random.text(&["none", "allServiceAccounts", "defaultOnly"]),
            "fieldSpecs": [{"path": "metadata/namespace", "create": true}]}),
        ),
        3 => plugin(
            "PrefixTransformer",
            json!({"prefix": "p-", "fieldSpecs": [{"path": "metadata/name"}]}),
        ),
        4 => plugin(
            "SuffixTransformer",
            json!({"suffix": "-s", "fieldSpecs": [{"path": "metadata/name", "kind": random.text(&["Deployment", "ConfigMap"])}]}),
        ),
        5 => plugin("PatchTransformer", json!({"patch": strategic(random).to_string()})),
        6 => plugin(
            "PatchTransformer",
            json!({"patch": operations(random).to_string(), "target": {"kind": random.text(&["Deployment", "ConfigMap"])}}),
        ),
        7 => plugin(
            "PatchJson6902Transformer",
            json!({"jsonOp": operations(random).to_string(), "target": {"kind": "ConfigMap", "version": "v1", "name": random.text(&NAMES)}}),
        ),
        8 => plugin(
            "PatchStrategicMergeTransformer",
            json!({"patches": strategic(random).to_string()}),
        ),
        9 => plugin(
            "ImageTagTransformer",
            json!({"imageTag": image(random), "fieldSpecs": [{"path": "spec/containers/image", "kind": "Widget"}]}),
        ),
        10 => plugin(
            "ReplicaCountTransformer",
            json!({"replica": {"name": random.text(&NAMES), "count": 9}, "fieldSpecs": [{"path": "spec/replicas", "create": true, "kind": "Deployment"}]}),
        ),
        11 => plugin("ReplacementTransformer", json!({"replacements": [replacement(random)]})),
        12 => plugin(
            "ValueAddTransformer",
            json!({"value": "added", "fieldSpecs": [{"path": random.text(&["metadata/annotations/put", "data/k", "spec/ref/name"]), "create": random.one_in(2)}]}),
        ),
        13 => plugin("HashTransformer", json!({})),
        _ => plugin(
            "SortOrderTransformer",
            json!({"sortOptions": {"order": random.text(&["legacy", "fifo"])}}),
        ),
    }
}

pub(super) fn generator(random: &mut Random) -> Value {
    match random.below(3) {
        0 => plugin(
            "IAMPolicyGenerator",
            json!({"cloud": "gke", "kubernetesService": {"name": "ksa", "namespace": "one"}, "serviceAccount": {"name": "gsa", "projectId": "p"}}),
        ),
        n => {
            let mut fields = arguments(random, n == 1);
            let name = fields["name"].take();
            fields["metadata"] = json!({"name": name});
            if let Some(map) = fields.as_object_mut() {
                map.remove("name");
            }
            plugin(if n == 1 { "SecretGenerator" } else { "ConfigMapGenerator" }, fields)
        }
    }
}
