//! Fields of a kustomization.

use serde_json::{Map, Value, json};

use super::Maker;
use super::objects::{IMAGES, NAMES, NAMESPACES};
use super::random::{Random, Seen};

const KINDS: [&str; 7] =
    ["Deployment", "StatefulSet", "ConfigMap", "Service", "Widget", "Ingress", "Pod"];

const SCALED: [(&str, &str); 2] = [("apps/v1", "Deployment"), ("apps/v1", "StatefulSet")];

const PATCHED: [(&str, &str); 5] = [
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("v1", "ConfigMap"),
    ("v1", "Service"),
    ("example.org/v1", "Widget"),
];

impl Maker {
    /// Adds a field, or goes on with a list that is there.
    pub(super) fn field(&mut self, folder: &str, file: &mut Map<String, Value>) {
        let random = &mut self.random;
        let choice = random.below(27);
        let needed: &[(&str, &str)] = match choice {
            9 => &SCALED,
            22 | 23 => &super::plugins::SOURCES,
            24 => &super::plugins::VARIABLES,
            14..=18 => &PATCHED,
            _ => &[],
        };
        if !needed.is_empty() && !random.has(needed) && !random.one_in(20) {
            return;
        }
        let (field, value) = match choice {
            0 | 1 => ("namespace", random.text(&["one", "new"])),
            2 | 3 => ("namePrefix", random.text(&["a-", "b-"])),
            4 => ("nameSuffix", random.text(&["-y", "-z"])),
            5 => ("labels", json!([labels(random)])),
            6 => ("commonLabels", json!({"team": "x", "app": "all"})),
            7 => ("commonAnnotations", json!({"by": "me", "note": "true"})),
            8 => ("images", json!([image(random)])),
            9 => ("replicas", json!([{"name": random.object(&SCALED).name, "count": random.below(5)}])),
            10 | 11 => ("configMapGenerator", json!([generator(random, false)])),
            12 => ("secretGenerator", json!([generator(random, true)])),
            13 => ("generatorOptions", options(random)),
            14..=16 => ("patches", json!([patch(random)])),
            17 => ("patchesStrategicMerge", json!([strategic(random).to_string()])),
            18 => ("patchesJson6902", {
                let Seen { api_version, kind, name } = random.object(&PATCHED);
                let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
                let target = json!({"version": version, "group": group, "kind": kind, "name": name});
                json!([{"target": target, "patch": operations(random).to_string()}])
            }),
            19 => ("sortOptions", random.of(&[
                json!({"order": "fifo"}),
                json!({"order": "legacy"}),
                json!({"order": "legacy", "legacySortOptions": {"orderFirst": ["Service", "Deployment"], "orderLast": ["ConfigMap"]}}),
            ]).clone()),
            20 => ("buildMetadata", random.of(&[
                json!(["originAnnotations"]),
                json!(["managedByLabel"]),
                json!(["transformerAnnotations"]),
                json!(["originAnnotations", "transformerAnnotations", "managedByLabel"]),
            ]).clone()),
            21 => return self.configurations(folder, file),
            22 | 23 => ("replacements", json!([super::plugins::replacement(random)])),
            24 => ("vars", json!([super::plugins::var(random)])),
            25 => ("transformers", json!([super::plugins::transformer(random).to_string()])),
            _ => ("generators", json!([super::plugins::generator(random).to_string()])),
        };
        self.features.insert(field);
        match (file.get_mut(field), value) {
            (Some(Value::Array(there)), Value::Array(more)) => there.extend(more),
            (_, value) => {
                file.insert(field.to_owned(), value);
            }
        }
    }

    fn configurations(&mut self, folder: &str, file: &mut Map<String, Value>) {
        let configuration = super::plugins::configuration(&mut self.random);
        self.write(&format!("{folder}/config.yaml"), &[configuration]);
        file.insert("configurations".to_owned(), json!(["config.yaml"]));
        self.features.insert("configurations");
    }
}

pub(super) fn labels(random: &mut Random) -> Value {
    let mut labels = json!({"pairs": {"tier": "t", "app": "l"}});
    random.maybe(3, &mut labels, "includeSelectors", true.into());
    random.maybe(3, &mut labels, "includeTemplates", true.into());
    let fields =
        json!([{"path": "spec/extra", "create": random.one_in(2), "kind": random.text(&KINDS)}]);
    random.maybe(5, &mut labels, "fields", fields);
    labels
}

pub(super) fn image(random: &mut Random) -> Value {
    let mut image = json!({"name": random.text(&["nginx", "reg.io/team/app", "reg.io:5000/app", "app", "other"])});
    let name = random.text(&["new", "x.io/new"]);
    random.maybe(2, &mut image, "newName", name);
    random.maybe(2, &mut image, "newTag", "v9".into());
    random.maybe(4, &mut image, "digest", "sha256:ffff".into());
    image
}

pub(super) fn options(random: &mut Random) -> Value {
    let mut options = json!({});
    random.maybe(2, &mut options, "disableNameSuffixHash", true.into());
    random.maybe(2, &mut options, "labels", json!({"made": "l"}));
    random.maybe(3, &mut options, "annotations", json!({"made": "a"}));
    random.maybe(4, &mut options, "immutable", true.into());
    options
}

pub(super) fn generator(random: &mut Random, is_secret: bool) -> Value {
    let kind = [("v1", if is_secret { "Secret" } else { "ConfigMap" })];
    let mut generator = json!({"name": random.text(&NAMES)});
    random.maybe(2, &mut generator, "literals", json!(["k=v", "other=1"]));
    if random.has(&kind) && random.one_in(2) {
        generator["name"] = random.object(&kind).name.into();
        generator["behavior"] = random.text(&["merge", "replace"]);
    }
    let namespace = random.text(&NAMESPACES);
    random.maybe(15, &mut generator, "namespace", namespace);
    random.maybe(12, &mut generator, "files", json!(["file=objects.yaml"]));
    let options = options(random);
    random.maybe(4, &mut generator, "options", options);
    if is_secret {
        random.maybe(3, &mut generator, "type", "kubernetes.io/tls".into());
    }
    generator
}

fn selector(random: &mut Random) -> Value {
    let mut target = json!({});
    let choices = [
        ("kind", random.text(&KINDS)),
        ("name", random.text(&["app", "web", "a.*", ".*", "a-app"])),
        ("namespace", random.text(&NAMESPACES)),
        ("labelSelector", random.text(&["app=app", "app in (app, web)", "!app", "app!=db"])),
        ("annotationSelector", random.text(&["note", "number>5"])),
        ("version", "v1".into()),
        ("group", "apps".into()),
    ];
    for (n, (key, value)) in choices.into_iter().enumerate() {
        random.maybe(if n == 0 { 1 } else { 5 }, &mut target, key, value);
    }
    target
}

pub(super) fn patch(random: &mut Random) -> Value {
    let mut patch = match random.below(3) {
        0 => json!({"patch": strategic(random).to_string()}),
        1 => json!({"patch": strategic(random).to_string(), "target": selector(random)}),
        _ => json!({"patch": operations(random).to_string(), "target": selector(random)}),
    };
    random.maybe(10, &mut patch, "options", json!({"allowNameChange": true}));
    random.maybe(20, &mut patch, "options", json!({"allowKindChange": true}));
    patch
}

pub(super) fn operations(random: &mut Random) -> Value {
    random.of(&[
        json!([{"op": "add", "path": "/metadata/labels/new", "value": "x"}]),
        json!([{"op": "replace", "path": "/spec/replicas", "value": 7}]),
        json!([{"op": "add", "path": "/metadata/annotations", "value": {"set": "y"}}]),
        json!([{"op": "remove", "path": "/spec/template/spec/containers/0/image"}]),
        json!([{"op": "add", "path": "/spec/template/spec/containers/-", "value": {"name": "last"}}]),
        json!([{"op": "test", "path": "/metadata/name", "value": "app"}]),
        json!([{"op": "copy", "from": "/metadata/name", "path": "/spec/copied"}]),
        json!([{"op": "move", "from": "/spec/replicas", "path": "/spec/moved"}]),
        json!([{"op": "add", "path": "/data", "value": {"p": "q"}}]),
        json!([{"op": "replace", "path": "/metadata/name", "value": "renamed"}]),
    ]).clone()
}

/// A strategic merge patch; its object is often there.
pub(super) fn strategic(random: &mut Random) -> Value {
    let Seen { api_version, kind, name } = random.object(&PATCHED);
    let mut patch = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}});
    match kind.as_str() {
        "ConfigMap" => {
            patch["data"] =
                random.of(&[json!({"k": null}), json!({"new": "1"}), json!(null)]).clone()
        }
        "Service" => {
            patch["spec"] = random
                .of(&[
                    json!({"ports": [{"port": 80, "targetPort": 1}, {"port": 443}]}),
                    json!({"ports": [{"$patch": "delete", "port": 80}]}),
                    json!({"selector": {"$patch": "replace", "only": "this"}}),
                ])
                .clone()
        }
        "Widget" => {
            patch["spec"] = random
                .of(&[
                    json!({"containers": [{"name": "c0", "args": ["x"]}]}),
                    json!({"ref": null}),
                    json!({"finalizers": ["b"]}),
                ])
                .clone()
        }
        _ => patch["spec"] = workload(random),
    }
    if random.one_in(12) {
        patch["$patch"] = random.text(&["delete", "replace"]);
    }
    random.maybe(6, &mut patch["metadata"], "labels", json!({"patched": "l", "app": null}));
    random.maybe(6, &mut patch["metadata"], "annotations", json!({"patched": "a"}));
    let namespace = random.text(&NAMESPACES);
    random.maybe(25, &mut patch["metadata"], "namespace", namespace);
    patch
}

fn workload(random: &mut Random) -> Value {
    let pod = random.of(&[
        json!({"containers": [{"name": "c0", "image": IMAGES[1]}]}),
        json!({"containers": [{"name": "c0", "env": [{"name": "A", "value": "2"}, {"name": "Z", "value": "z"}]}]}),
        json!({"containers": [{"name": "new", "image": "n"}, {"name": "c0", "args": ["only"]}]}),
        json!({"containers": [{"name": "c1", "$patch": "delete"}]}),
        json!({"containers": [{"name": "c0", "ports": [{"containerPort": 80, "name": "web"}]}]}),
        json!({"volumes": [{"name": "a", "emptyDir": {}}, {"$patch": "delete", "name": "f"}]}),
        json!({"volumes": [{"$patch": "replace"}, {"name": "only"}]}),
        json!({"initContainers": null}),
        json!({"tolerations": [{"key": "k", "operator": "Exists"}]}),
        json!({"topologySpreadConstraints": [{"topologyKey": "host", "maxSkew": 2}]}),
    ]).clone();
    random
        .of(&[
            json!({"replicas": 3}),
            json!({"replicas": null}),
            json!({"template": {"spec": pod}}),
            json!({"template": {"spec": pod}}),
            json!({"template": {"spec": pod}}),
            json!({"template": {"metadata": {"labels": {"x": "y"}}}}),
        ])
        .clone()
}
