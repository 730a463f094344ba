//! The layout with environments: what all of them share, what one may add, and what each runs.

use super::{
    BUDGET, ONE_AWAY, chart, checked, deployment, flux, kserve, kustomization, labels, list,
    objects, shared, spread,
};
use crate::yaml::scalar;
use crate::{Component, Delivery, Release, Tree, layout};

/// The name of the component with what several pods need.
const REPLICATED: &str = "replicated";
/// The name of that by which the server checks its model.
const CHECKED: &str = "checked";

/// Renders the base, the components that this environment takes, and its overlay.
pub(super) fn render(release: &Release) -> Tree {
    let mut tree = Tree::new();
    let folder = release.app_folder();
    let files = shared(release);
    let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
    tree.put(format!("{folder}/base/kustomization.yaml"), kustomization(&names));
    for (name, text) in files {
        tree.put(format!("{folder}/base/{name}"), text);
    }
    for (component, files) in components(release) {
        for (name, text) in files {
            tree.put(format!("{folder}/components/{component}/{name}"), text);
        }
    }
    let overlay = layout::overlay(&release.app, &release.env);
    tree.put(format!("{overlay}/kustomization.yaml"), overlaid(release));
    let runs = match release.delivery {
        _ if release.chart.is_some() => chart::patch(release),
        Delivery::KServe { .. } => kserve::inference_service(release),
        _ => deployment::patch(release),
    };
    tree.put(format!("{overlay}/release.yaml"), runs);
    if is_kserve(release) {
        tree.put(format!("{overlay}/{BUDGET}"), kserve::disruption_budget(release));
    }
    if release.is_tenant {
        let file = release.cluster_file(&format!("{}-tenant", release.app));
        tree.put(file, tenant(release));
    }
    tree
}

fn is_kserve(release: &Release) -> bool {
    matches!(release.delivery, Delivery::KServe { .. })
}

type Files = Vec<(&'static str, String)>;

/// The components of this environment, with their files.
fn components(release: &Release) -> Vec<(&'static str, Files)> {
    let replicated = || {
        let budget = (BUDGET, objects::disruption_budget(release, ONE_AWAY));
        let spread = ("spread.yaml", deployment::pod_patch(release, &spread::apart(release)));
        let list = component(&[budget.0], Some(spread.0));
        (REPLICATED, vec![("kustomization.yaml", list), budget, spread])
    };
    let asked = release.components.iter().map(|component| {
        let (file, list) = match component {
            Component::Hpa => one("horizontalpodautoscaler.yaml", autoscaler(release)),
            Component::Monitoring => one("servicemonitor.yaml", monitor(release)),
            Component::Gpu => (("gpu.yaml", gpu(release)), self::component(&[], Some("gpu.yaml"))),
        };
        (component.name(), vec![("kustomization.yaml", list), file])
    });
    let (keys, patch) = checked(release);
    let checked = patch.map(|patch| {
        let list =
            component(&keys.iter().map(|(name, _)| *name).collect::<Vec<_>>(), Some(patch.0));
        let files = [("kustomization.yaml", list), patch].into_iter().chain(keys);
        (CHECKED, files.collect())
    });
    // What several pods of KServe's need stands beside each release.
    let is_replicated = release.is_replicated() && !is_kserve(release);
    is_replicated.then(replicated).into_iter().chain(asked).chain(checked).collect()
}

/// A component of one object.
fn one(name: &'static str, text: String) -> ((&'static str, String), String) {
    ((name, text), component(&[name], None))
}

fn component(resources: &[&str], patch: Option<&str>) -> String {
    let resources = list("resources", resources);
    let patches = patch.map_or(String::new(), |path| format!("patches:\n  - path: {path}\n"));
    format!(
        "apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
{resources}{patches}"
    )
}

/// The overlay of the environment.
fn overlaid(release: &Release) -> String {
    let (name, namespace) = (scalar(release.name.as_str()), scalar(release.namespace.as_str()));
    let taken: Vec<String> =
        components(release).iter().map(|(name, _)| format!("../../components/{name}")).collect();
    let taken: Vec<&str> = taken.iter().map(String::as_str).collect();
    let components = list("components", &taken);
    if is_kserve(release) {
        return format!(
            "apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: {namespace}
resources:
  - ../../base
  - release.yaml
  - {BUDGET}
{components}"
        );
    }
    if release.chart.is_some() {
        return format!(
            "apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: {namespace}
resources:
  - ../../base
patches:
  - path: release.yaml
"
        );
    }
    let (least, most) = (release.replicas, release.max_replicas.unwrap_or(release.replicas));
    let scaled = match release.components.contains(&Component::Hpa) {
        // How many pods there are is not said here: each commit would undo what the autoscaler did.
        true => format!(
            "  - patch: |
      apiVersion: autoscaling/v2
      kind: HorizontalPodAutoscaler
      metadata:
        name: {name}
      spec:
        minReplicas: {least}
        maxReplicas: {most}
"
        ),
        false => format!("replicas:\n  - name: {name}\n    count: {least}\n"),
    };
    format!(
        "apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: {namespace}
resources:
  - ../../base
{components}patches:
  - path: release.yaml
{scaled}"
    )
}

fn autoscaler(release: &Release) -> String {
    let (name, labels) = (scalar(release.name.as_str()), labels(release, 4));
    format!(
        "apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {name}
  labels:
{labels}spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {name}
  # Each environment has its own numbers.
  minReplicas: 1
  maxReplicas: 1
  metrics:
    - type: Resource
      resource:
        name: cpu
        target:
          # Three quarters of the processors that a pod may take.
          type: AverageValue
          averageValue: 1500m
"
    )
}

fn monitor(release: &Release) -> String {
    let (name, labels) = (scalar(release.name.as_str()), labels(release, 4));
    format!(
        "apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata:
  name: {name}
  labels:
{labels}spec:
  selector:
    matchLabels:
      app.kubernetes.io/name: {name}
  endpoints:
    - port: http
      path: /metrics
"
    )
}

fn gpu(release: &Release) -> String {
    let container = deployment::CONTAINER;
    let spec = format!(
        "      # Nodes with a GPU are often kept for whoever asks for one.
      tolerations:
        - key: nvidia.com/gpu
          operator: Exists
          effect: NoSchedule
      containers:
        - name: {container}
          resources:
            limits:
              nvidia.com/gpu: '1'
"
    );
    deployment::pod_patch(release, &spec)
}

/// The account by which Flux applies the application, and its rights: what the application is made
/// of, in its namespace, and nothing else.
fn tenant(release: &Release) -> String {
    let (account, namespace) = (flux::name(release), scalar(release.namespace.as_str()));
    let has = |component| release.components.contains(&component);
    let is_kserve = is_kserve(release);
    let managed = [
        ("''", "serviceaccounts", true),
        ("''", "services", !is_kserve),
        ("apps", "deployments", !is_kserve),
        ("serving.kserve.io", "inferenceservices", is_kserve),
        ("networking.k8s.io", "networkpolicies", true),
        ("''", "configmaps", checked(release).0.is_some()),
        ("policy", "poddisruptionbudgets", is_kserve || release.is_replicated()),
        ("autoscaling", "horizontalpodautoscalers", has(Component::Hpa)),
        ("monitoring.coreos.com", "servicemonitors", has(Component::Monitoring)),
    ];
    let rule = |group: &str, resource: &str, verbs: &str| {
        format!(
            "  - apiGroups: [{group}]
    resources: [{resource}]
    verbs: [{verbs}]
"
        )
    };
    let rules: String = managed
        .iter()
        .filter(|(.., is_there)| *is_there)
        .map(|(group, resource, _)| {
            rule(group, resource, "get, list, watch, create, update, patch, delete")
        })
        .collect();
    let pods = rule("''", "pods", "get, list, watch");
    let sets = match is_kserve {
        true => rule("apps", "deployments, replicasets", "get, list, watch"),
        false => rule("apps", "replicasets", "get, list, watch"),
    };
    format!(
        "# Flux applies this app as this account, which may do no more than the app needs.
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {account}
  namespace: flux-system
automountServiceAccountToken: false
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {account}
  namespace: {namespace}
rules:
{rules}  # Whether the pods serve is seen by these.
{pods}{sets}---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {account}
  namespace: {namespace}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {account}
subjects:
  - kind: ServiceAccount
    name: {account}
    namespace: flux-system
"
    )
}
