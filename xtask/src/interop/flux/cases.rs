//! The cases. Each is a folder and a Kustomization of its own, so that all of them settle at once.

use std::time::{Duration, Instant};

use super::world::{self, World};
use super::{differences, say};
use crate::kube::BEHAVIOUR;
use crate::report::Report;

/// When all has settled: the shortest wait for health takes half a minute.
const SETTLED: Duration = Duration::from_secs(75);

/// A folder, and what the spec of its Kustomization says besides.
pub(super) struct Case {
    pub(super) name: &'static str,
    claim: &'static str,
    pub(super) files: Vec<(&'static str, String)>,
    spec: String,
}

pub(super) fn case(
    name: &'static str,
    claim: &'static str,
    spec: &str,
    files: &[(&'static str, &str)],
) -> Case {
    let files = files.iter().map(|(path, text)| (*path, (*text).to_owned())).collect();
    Case { name, claim, files, spec: spec.to_owned() }
}

pub(super) fn map(name: &str, namespace: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: {namespace}{more}}}\ndata: {{a: b}}\n"
    )
}

fn annotated(name: &str, setting: &str) -> String {
    map(name, "default", &format!(", annotations: {{kustomize.toolkit.fluxcd.io/{setting}}}"))
}

pub(super) fn deployment(name: &str, behaviour: &str, deadline: u32) -> String {
    let annotations = match behaviour {
        "" => String::new(),
        it => format!(", annotations: {{{BEHAVIOUR}: {it}}}"),
    };
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: default}}
spec:
  progressDeadlineSeconds: {deadline}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}{annotations}}}
    spec:
      containers: [{{name: c, image: '127.0.0.1:9/no/such:1'}}]
"
    )
}

/// What both say after the first commit.
fn first() -> Vec<Case> {
    let three =
        [map("good", "default", ""), "---\n".into(), map("Bad_Name", "default", "")].concat();
    let ordered = [
        "apiVersion: v1\nkind: Service\nmetadata: {name: ordered, namespace: ordered}\nspec: {ports: [{port: 80}]}\n",
        "---\n", &map("ordered", "ordered", ""), "---\n",
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: ordered}\n---\n",
        "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: ordered, namespace: ordered}\n---\n",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: ordered, namespace: ordered}\nstringData: {a: b}\n---\n",
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: 'kit-rs:ordered'}\nrules: []\n---\n",
        "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: ordered, namespace: ordered}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}\n---\n",
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: ordered, namespace: ordered}\nspec: {podSelector: {}}\n---\n",
        "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: ordered, namespace: ordered}\nspec: {selector: {matchLabels: {a: b}}, minAvailable: 1}\n---\n",
        "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: ordered}\nprovisioner: none\n",
    ].concat();
    vec![
        case("plain", "a ConfigMap is Ready", "", &[("a.yaml", &map("plain", "default", ""))]),
        case(
            "waits",
            "with `wait` the condition Healthy is there",
            "wait: true",
            &[("a.yaml", &map("waits", "default", ""))],
        ),
        case(
            "ordered",
            "kinds are applied and listed in one order, colons in names are two underscores",
            "",
            &[("a.yaml", &ordered)],
        ),
        case(
            "bare",
            "a folder without YAML is Ready with an empty inventory",
            "",
            &[("README.md", "nothing yet")],
        ),
        case(
            "empty-list",
            "a kustomization without resources is Ready",
            "",
            &[("kustomization.yaml", "resources: []\n")],
        ),
        case("missing-path", "a path that is not there", "path: ./nowhere", &[("README.md", "")]),
        case(
            "file-path",
            "a path that is a file",
            "path: ./cases/file-path/a.yaml",
            &[("a.yaml", &map("f", "default", ""))],
        ),
        case(
            "up",
            "a path that leads out is confined",
            "path: ../cases/up",
            &[("a.yaml", &map("up", "default", ""))],
        ),
        case(
            "absolute",
            "an absolute path begins at the repository",
            "path: /cases/absolute",
            &[("a.yaml", &map("absolute", "default", ""))],
        ),
        case(
            "bad-yaml",
            "YAML that is none",
            "",
            &[("a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n bad: [\n")],
        ),
        case("no-kind", "a file that is no object", "", &[("a.yaml", "hello: world\n")]),
        case(
            "missing-resource",
            "a resource that is not there",
            "",
            &[("kustomization.yaml", "resources: [nowhere.yaml]\n")],
        ),
        case(
            "no-namespace",
            "a namespace that is not there",
            "",
            &[("a.yaml", &map("a", "nowhere", ""))],
        ),
        case(
            "without-namespace",
            "an object without its namespace",
            "",
            &[("a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")],
        ),
        case(
            "stage",
            "of a stage with one bad object nothing is applied",
            "",
            &[("a.yaml", &three)],
        ),
        case(
            "stages",
            "what was applied before a stage that fails is told",
            "",
            &[(
                "a.yaml",
                &format!(
                    "apiVersion: v1\nkind: Namespace\nmetadata: {{name: stages}}\n---\n{}",
                    map("Bad_Name", "stages", "")
                ),
            )],
        ),
        case(
            "unknown-kind",
            "a kind that nobody knows",
            "",
            &[(
                "a.yaml",
                "apiVersion: example.com/v1\nkind: Unicorn\nmetadata: {name: a, namespace: default}\n",
            )],
        ),
        case(
            "unknown-version",
            "a version that nobody knows",
            "",
            &[(
                "a.yaml",
                "apiVersion: apps/v7\nkind: Deployment\nmetadata: {name: a, namespace: default}\n",
            )],
        ),
        case(
            "bad-label",
            "a label that is none",
            "",
            &[("a.yaml", &map("a", "default", ", labels: {a: 'not good'}"))],
        ),
        case(
            "bad-label-key",
            "the key of a label that is none",
            "",
            &[("a.yaml", &map("a", "default", ", labels: {'-x': a}"))],
        ),
        case(
            "bad-annotation",
            "the key of an annotation that is none",
            "",
            &[("a.yaml", &map("a", "default", ", annotations: {'a b': a}"))],
        ),
        case(
            "long-label",
            "a label of 64 bytes",
            "",
            &[("a.yaml", &map("a", "default", &format!(", labels: {{a: {}}}", "x".repeat(64))))],
        ),
        case(
            "number",
            "a number as a ConfigMap's value",
            "",
            &[(
                "a.yaml",
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: default}\ndata: {a: 5}\n",
            )],
        ),
        case(
            "bad-key",
            "a ConfigMap's key with a slash",
            "",
            &[(
                "a.yaml",
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: default}\ndata: {a/b: c}\n",
            )],
        ),
        case(
            "unknown-field",
            "a field that nobody knows",
            "",
            &[(
                "a.yaml",
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: default}\ndate: {a: b}\n",
            )],
        ),
        case(
            "bad-service",
            "the name of a Service that is none",
            "",
            &[(
                "a.yaml",
                "apiVersion: v1\nkind: Service\nmetadata: {name: 1_a, namespace: default}\nspec: {ports: [{port: 80}]}\n",
            )],
        ),
        case(
            "no-ports",
            "a Service without ports",
            "",
            &[(
                "a.yaml",
                "apiVersion: v1\nkind: Service\nmetadata: {name: no-ports, namespace: default}\nspec: {selector: {a: b}}\n",
            )],
        ),
        case(
            "bad-port",
            "a port that is none",
            "",
            &[(
                "a.yaml",
                "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: default}\nspec: {ports: [{port: 70000}]}\n",
            )],
        ),
        case(
            "bad-selector",
            "a selector that does not select",
            "",
            &[("a.yaml", &deployment("a", "", 60).replace("labels: {app: a}", "labels: {app: b}"))],
        ),
        case(
            "bad-replicas",
            "negative replicas",
            "",
            &[(
                "a.yaml",
                &deployment("a", "", 60)
                    .replace("spec:\n  progress", "spec:\n  replicas: -1\n  progress"),
            )],
        ),
        case(
            "text-replicas",
            "replicas in words",
            "",
            &[(
                "a.yaml",
                &deployment("a", "", 60)
                    .replace("spec:\n  progress", "spec:\n  replicas: two\n  progress"),
            )],
        ),
        case(
            "bad-secret",
            "a Secret whose data is no base64",
            "",
            &[(
                "a.yaml",
                "apiVersion: v1\nkind: Secret\nmetadata: {name: a, namespace: default}\ndata: {a: '!'}\n",
            )],
        ),
        case(
            "disabled",
            "`reconcile: disabled`: what is not there is not made",
            "",
            &[("a.yaml", &annotated("disabled", "reconcile: disabled"))],
        ),
        case(
            "disabled-spelt",
            "the same in another spelling",
            "",
            &[("a.yaml", &annotated("disabled-spelt", "reconcile: Disabled"))],
        ),
        case(
            "disabled-label",
            "the same as a label",
            "",
            &[(
                "a.yaml",
                &map(
                    "disabled-label",
                    "default",
                    ", labels: {kustomize.toolkit.fluxcd.io/reconcile: disabled}",
                ),
            )],
        ),
        case("ignored", "`ssa: Ignore`", "", &[("a.yaml", &annotated("ignored", "ssa: Ignore"))]),
        case(
            "if-not-present",
            "`ssa: IfNotPresent`",
            "",
            &[("a.yaml", &annotated("if-not-present", "ssa: IfNotPresent"))],
        ),
        case(
            "status",
            "the status in a manifest is dropped",
            "wait: true",
            &[(
                "a.yaml",
                "apiVersion: v1\nkind: Service\nmetadata: {name: status, namespace: default}\nspec: {ports: [{port: 80}]}\nstatus: {loadBalancer: {ingress: [{ip: 10.0.0.1}]}}\n",
            )],
        ),
        case(
            "claim",
            "a claim that nobody binds is waited for",
            "wait: true",
            &[(
                "a.yaml",
                "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: claim, namespace: default}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}\n",
            )],
        ),
        case(
            "short-timeout",
            "a timeout of a second is half a minute",
            "wait: true, timeout: 1s",
            &[("a.yaml", &deployment("short-timeout", "badimage", 600))],
        ),
        case(
            "deadline",
            "a Deployment past its progress deadline fails early",
            "wait: true",
            &[("a.yaml", &deployment("deadline", "badimage", 2))],
        ),
        case(
            "absent-check",
            "a health check of what is not there",
            "healthChecks: [{apiVersion: apps/v1, kind: Deployment, name: nobody, namespace: default}]",
            &[("a.yaml", &map("absent-check", "default", ""))],
        ),
        case(
            "unversioned-check",
            "a health check without a version is of apps/v1",
            "healthChecks: [{kind: Deployment, name: nobody, namespace: default}]",
            &[("a.yaml", &map("unversioned-check", "default", ""))],
        ),
        case(
            "needs-nobody",
            "a dependency that is not there",
            "dependsOn: [{name: nobody}]",
            &[("a.yaml", &map("a", "default", ""))],
        ),
        case(
            "needs-failing",
            "a dependency that is not ready",
            "dependsOn: [{name: no-namespace}]",
            &[("a.yaml", &map("a", "default", ""))],
        ),
        case(
            "needs-plain",
            "a dependency that is ready",
            "dependsOn: [{name: plain}]",
            &[("a.yaml", &map("needs-plain", "default", ""))],
        ),
        case(
            "no-source",
            "a source that is not there",
            "sourceRef: {kind: GitRepository, name: nobody}",
            &[("a.yaml", &map("a", "default", ""))],
        ),
        case(
            "no-artifact",
            "a source without an artifact",
            "sourceRef: {kind: GitRepository, name: no-branch}",
            &[("a.yaml", &map("a", "default", ""))],
        ),
        case(
            "target-namespace",
            "targetNamespace, prefixes, common metadata",
            "targetNamespace: default, namePrefix: a-, nameSuffix: -z, commonMetadata: {labels: {x: y}, annotations: {v: w}}",
            &[("a.yaml", &map("b", "other", ""))],
        ),
        case(
            "ignore-file",
            "`.sourceignore` is honoured",
            "",
            &[
                ("a.yaml", &map("ignore-file", "default", "")),
                ("b.yaml", "bad: [\n"),
                (".sourceignore", "b.yaml\n"),
            ],
        ),
        case(
            "nested",
            "a folder with a kustomization of its own is one resource",
            "",
            &[
                ("a.yaml", &map("nested-a", "default", "")),
                ("in/kustomization.yaml", "resources: [b.yaml]\nnameSuffix: -in\n"),
                ("in/b.yaml", &map("nested-b", "default", "")),
                ("in/c.yaml", "not: taken\n"),
            ],
        ),
        case(
            "crd",
            "a definition is established before its objects",
            "wait: true",
            &[
                ("a.yaml", DEFINITION),
                (
                    "b.yaml",
                    "apiVersion: kit-rs.test/v1\nkind: Widget\nmetadata: {name: crd, namespace: default}\nspec: {size: 1}\n",
                ),
            ],
        ),
    ]
}

const DEFINITION: &str = "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.kit-rs.test}
spec:
  group: kit-rs.test
  scope: Namespaced
  names: {kind: Widget, plural: widgets, singular: widget, listKind: WidgetList}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}}}}}}
";

const NO_BRANCH: &str = "apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: no-branch, namespace: flux-system}
spec: {interval: 10m, url: 'URL', ref: {branch: nowhere}}
";

pub(super) fn kustomization(case: &Case) -> String {
    let has = |field: &str| case.spec.contains(&format!("{field}:"));
    let default = |field: &str, value: &str| match has(field) {
        true => String::new(),
        false => format!(", {field}: {value}"),
    };
    let path = default("path", &format!("./cases/{}", case.name));
    let source = default("sourceRef", "{kind: GitRepository, name: flux-system}");
    let timeout = default("timeout", "30s");
    let (interval, prune) = (default("interval", "10m"), default("prune", "true"));
    let more = if case.spec.is_empty() { String::new() } else { format!(", {}", case.spec) };
    format!(
        "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\n\
         metadata: {{name: {}, namespace: flux-system}}\n\
         spec: {{retryInterval: 1m{interval}{prune}{path}{source}{timeout}{more}}}\n",
        case.name
    )
}

/// Shows all of them; returns their names.
pub(super) fn run(world: &World, report: &mut Report) -> anyhow::Result<Vec<&'static str>> {
    let cases = first();
    world
        .repository
        .write("clusters/dev/no-branch.yaml", &NO_BRANCH.replace("URL", &world.repository.url))?;
    for case in &cases {
        world
            .repository
            .write(&format!("clusters/dev/case-{}.yaml", case.name), &kustomization(case))?;
        for (path, text) in &case.files {
            world.repository.write(&format!("cases/{}/{path}", case.name), text)?;
        }
    }
    world.push()?;
    let deadline = Instant::now() + SETTLED;
    for case in &cases {
        judge(world, report, deadline, case.name, case.claim);
    }
    for (name, claim) in
        [("flux-system", "an artifact"), ("no-branch", "a branch that is not there")]
    {
        let path = format!(
            "apis/source.toolkit.fluxcd.io/v1/namespaces/flux-system/gitrepositories/{name}"
        );
        report.claim(super::PEER, &format!("of {claim} both say the same"), || {
            world.agree(&path, deadline, say::source)
        });
    }
    for (name, claim) in [("target-namespace", "a-b-z"), ("plain", "plain")] {
        let path = format!("api/v1/namespaces/default/configmaps/{claim}");
        report.claim(
            super::PEER,
            &format!("{name}: the object has the labels and annotations that Flux gives it"),
            || world.agree(&path, deadline, say::content),
        );
    }
    Ok(cases.iter().map(|case| case.name).collect())
}

fn judge(world: &World, report: &mut Report, deadline: Instant, name: &str, claim: &str) {
    let but = differences::why(name).map_or_else(String::new, |why| format!(" (but: {why})"));
    report.claim(super::PEER, &format!("{name}: {claim}{but}"), || {
        world.agree(&world::path_of(name), deadline, |object| {
            say::status(object).map(|said| differences::compared(name, &said))
        })
    });
}
