//! A release becomes files, written the way a person would: comments say why, and nothing has to be
//! repaired by hand.

pub(crate) mod deployment;

use crate::flux::format_duration;
use crate::yaml::scalar;
use crate::{Error, NamespaceUse, Release, Result, Tree};

/// The annotation by which Flux never deletes an object, and the value that says so.
pub(crate) const KEPT: (&str, &str) = ("kustomize.toolkit.fluxcd.io/prune", "disabled");

/// The annotation of a pod that carries the ModelKit's reference.
pub const MODELKIT_ANNOTATION: &str = "kitops.ml/modelkit";

/// The annotation of a pod that carries the ModelKit's manifest digest.
pub const MODELKIT_DIGEST_ANNOTATION: &str = "kitops.ml/modelkit-digest";

/// Renders the application's folder and the Flux Kustomization that points at it.
///
/// The Kustomization's path is derived from where the files stand, so the two cannot disagree. A
/// value that Kubernetes or Flux would refuse is refused here, by its field.
pub fn render(release: &Release) -> Result<Tree> {
    let violations = release.violations();
    if !violations.is_empty() {
        return Err(Error::Values { violations });
    }
    let mut tree = Tree::new();
    let folder = release.app_folder();
    let own_namespace = (release.namespace_use != NamespaceUse::Elsewhere)
        .then(|| ("namespace.yaml", namespace(release)));
    let files = [
        ("serviceaccount.yaml", service_account(release)),
        ("service.yaml", service(release)),
        ("deployment.yaml", deployment::deployment(release)),
        ("networkpolicy.yaml", network_policy(release)),
    ];
    // Of a single pod it would either allow nothing or mean nothing.
    let budget =
        (release.replicas > 1).then(|| ("poddisruptionbudget.yaml", disruption_budget(release)));
    let files: Vec<_> = own_namespace.into_iter().chain(files).chain(budget).collect();
    let names: String = files.iter().map(|(name, _)| format!("  - {name}\n")).collect();
    for (name, text) in files {
        tree.put(format!("{folder}/{name}"), text);
    }
    tree.put(format!("{folder}/kustomization.yaml"), kustomization(&names));
    tree.put(release.app_file(), app(release));
    Ok(tree)
}

/// Labels that stay the same for the life of the application, with the given indentation.
fn labels(release: &Release, indent: usize) -> String {
    let pairs = [
        ("name", release.name.as_str()),
        ("part-of", release.app.as_str()),
        ("component", "model-server"),
    ];
    let pad = " ".repeat(indent);
    pairs.map(|(key, value)| format!("{pad}app.kubernetes.io/{key}: {}\n", scalar(value))).concat()
}

fn namespace(release: &Release) -> String {
    let name = scalar(release.namespace.as_str());
    let (kept, disabled) = KEPT;
    // A namespace that several applications share is no one's part.
    let (annotations, labels) = match release.namespace_use {
        NamespaceUse::Own | NamespaceUse::Elsewhere => (String::new(), labels(release, 4)),
        NamespaceUse::Shared => (
            format!(
                "  annotations:
    # Others may live here: Flux never deletes it.
    {kept}: {disabled}
"
            ),
            String::new(),
        ),
    };
    format!(
        "apiVersion: v1
kind: Namespace
metadata:
  name: {name}
{annotations}  labels:
{labels}    # The API server refuses every pod here that asks for more than it needs.
    pod-security.kubernetes.io/enforce: restricted
    pod-security.kubernetes.io/warn: restricted
"
    )
}

fn service_account(release: &Release) -> String {
    let (name, namespace, labels) =
        (scalar(release.name.as_str()), scalar(release.namespace.as_str()), labels(release, 4));
    let secrets = release.pull_secret.as_ref().map_or(String::new(), |secret| {
        format!("imagePullSecrets:\n  - name: {}\n", scalar(secret.as_str()))
    });
    format!(
        "apiVersion: v1
kind: ServiceAccount
metadata:
  name: {name}
  namespace: {namespace}
  labels:
{labels}# A model server has nothing to ask of the Kubernetes API.
automountServiceAccountToken: false
{secrets}"
    )
}

fn service(release: &Release) -> String {
    let (name, namespace, labels) =
        (scalar(release.name.as_str()), scalar(release.namespace.as_str()), labels(release, 4));
    let port = release.port;
    format!(
        "apiVersion: v1
kind: Service
metadata:
  name: {name}
  namespace: {namespace}
  labels:
{labels}spec:
  selector:
    app.kubernetes.io/name: {name}
  ports:
    - name: http
      port: {port}
      targetPort: http
      protocol: TCP
"
    )
}

fn network_policy(release: &Release) -> String {
    let (name, namespace, labels) =
        (scalar(release.name.as_str()), scalar(release.namespace.as_str()), labels(release, 4));
    let port = release.port;
    // Variables of OpenTelemetry name where spans are sent.
    let egress = match release.environment.keys().any(|name| name.starts_with("OTEL_")) {
        true => {
            "  # Spans are sent to wherever OTEL_EXPORTER_OTLP_ENDPOINT says.\n  egress:\n    - {}\n"
        }
        false => {
            "  # The model is in the image: there is nobody that the server has to ask.\n  egress: []\n"
        }
    };
    format!(
        "apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {name}
  namespace: {namespace}
  labels:
{labels}spec:
  podSelector:
    matchLabels:
      app.kubernetes.io/name: {name}
  policyTypes:
    - Ingress
    - Egress
  # Whoever may reach the Service may ask; add `from` to say who that is.
  ingress:
    - ports:
        - port: {port}
          protocol: TCP
{egress}"
    )
}

fn disruption_budget(release: &Release) -> String {
    let (name, namespace, labels) =
        (scalar(release.name.as_str()), scalar(release.namespace.as_str()), labels(release, 4));
    format!(
        "apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {name}
  namespace: {namespace}
  labels:
{labels}spec:
  # Nodes are drained one pod at a time.
  maxUnavailable: 1
  # A pod that never became ready holds up no drain.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      app.kubernetes.io/name: {name}
"
    )
}

fn kustomization(resources: &str) -> String {
    format!(
        "apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
{resources}"
    )
}

fn app(release: &Release) -> String {
    let (app, folder) = (&release.app, release.app_folder());
    let interval = format_duration(release.interval);
    let (retry, timeout) =
        (format_duration(release.retry_interval), format_duration(release.timeout()));
    format!(
        "apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: {app}-app
  namespace: flux-system
spec:
  interval: {interval}
  # How soon a failed rollout is tried again; left out, it would be the interval.
  retryInterval: {retry}
  path: ./{folder}
  prune: true
  # Ready means that the pods serve, not only that the API server took the objects.
  wait: true
  # Longer than the Deployment's progressDeadlineSeconds, so that Flux can tell why a rollout
  # stopped; a commit that repairs it is applied after that.
  timeout: {timeout}
  sourceRef:
    kind: GitRepository
    name: flux-system
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kustomize::Overlay;
    use crate::{check, flux};

    fn release(app: &str) -> Release {
        Release::new(
            app.parse().unwrap(),
            format!("127.0.0.1:5000/demo/x:1.0.0@sha256:{}", "0".repeat(64)).parse().unwrap(),
        )
    }

    #[test]
    fn the_path_of_the_kustomization_is_where_the_files_stand() {
        let tree = render(&release("distilbert")).unwrap();
        let object = tree.get("clusters/dev/distilbert-app.yaml").unwrap().parse().unwrap();
        let kustomization = flux::Kustomization::read(&object).unwrap().unwrap();
        assert!(tree.has_folder(&kustomization.path));
        assert!(
            kustomization.wait
                && kustomization.prune
                && kustomization.timeout > release("a").progress_deadline()
        );
    }

    #[test]
    fn names_that_look_like_numbers_and_values_that_look_like_yaml_stay_texts() {
        let mut release = release("12");
        release.name = "on".parse().unwrap();
        release.modelkit = Some("host/x: {y}".to_owned());
        release.environment.insert("A".to_owned(), "on\n# x".to_owned());
        let objects =
            crate::kustomize::build(&render(&release).unwrap(), "apps/12", &Overlay::default())
                .unwrap();
        let deployment = objects.iter().find(|object| object.kind() == "Deployment").unwrap();
        assert_eq!((deployment.name(), deployment.namespace()), ("on", "12"));
        assert_eq!(
            deployment.at("/spec/template/spec/containers/0/env/0/value").unwrap(),
            "on\n# x"
        );
        assert_eq!(
            deployment.at("/spec/template/metadata/annotations/kitops.ml~1modelkit").unwrap(),
            "host/x: {y}"
        );
    }

    #[test]
    fn what_would_be_refused_is_not_rendered() {
        let mut release = release("a");
        release.replicas = 3_000_000_000;
        release.namespace = "default".parse().unwrap();
        assert_eq!(
            render(&release).unwrap_err().to_string(),
            "namespace default: Kubernetes never lets the namespace default be deleted; \
             replicas 3000000000: it is more than 2147483647"
        );
    }

    #[test]
    fn a_namespace_that_is_shared_is_never_deleted_and_belongs_to_no_app() {
        let mut release = release("a");
        release.namespace_use = NamespaceUse::Shared;
        let text = render(&release).unwrap();
        let namespace: crate::Object = text.get("apps/a/namespace.yaml").unwrap().parse().unwrap();
        assert_eq!(namespace.annotation(KEPT.0), Some(KEPT.1));
        assert_eq!(namespace.label("app.kubernetes.io/name"), None);
        release.namespace_use = NamespaceUse::Elsewhere;
        let tree = render(&release).unwrap();
        assert_eq!(tree.get("apps/a/namespace.yaml"), None);
        let kinds = crate::kustomize::build(&tree, "apps/a", &Overlay::default()).unwrap();
        assert_eq!(kinds.len(), 4);
    }

    #[test]
    fn what_is_rendered_passes_the_check_without_a_warning() {
        let mut tree = render(&release("distilbert")).unwrap();
        let asked = crate::Bootstrap::new("https://host/ml-infra.git".parse().unwrap());
        tree.merge(crate::bootstrap(&asked, &tree).unwrap());
        assert_eq!(check(&tree, Some("main")).unwrap(), []);
    }
}
