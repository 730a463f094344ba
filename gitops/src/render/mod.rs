//! A release becomes files, written the way a person would: comments say why, and nothing has to be
//! repaired by hand.

pub(crate) mod deployment;

use crate::flux::format_duration;
use crate::yaml::scalar;
use crate::{Release, Tree};

/// The annotation of a pod that carries the ModelKit's reference.
pub const MODELKIT_ANNOTATION: &str = "kitops.ml/modelkit";

/// The annotation of a pod that carries the ModelKit's manifest digest.
pub const MODELKIT_DIGEST_ANNOTATION: &str = "kitops.ml/modelkit-digest";

/// Renders the application's folder and the Flux Kustomization that points at it.
///
/// The Kustomization's path is derived from where the files stand, so the two cannot disagree.
pub fn render(release: &Release) -> Tree {
    let mut tree = Tree::new();
    let folder = release.app_folder();
    let files = [
        ("namespace.yaml", namespace(release)),
        ("serviceaccount.yaml", service_account(release)),
        ("service.yaml", service(release)),
        ("deployment.yaml", deployment::deployment(release)),
        ("kustomization.yaml", kustomization()),
    ];
    for (name, text) in files {
        tree.put(format!("{folder}/{name}"), text);
    }
    tree.put(release.app_file(), app(release));
    tree
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
    let labels = labels(release, 4);
    format!(
        "apiVersion: v1
kind: Namespace
metadata:
  name: {name}
  labels:
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

fn kustomization() -> String {
    "apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - namespace.yaml
  - serviceaccount.yaml
  - service.yaml
  - deployment.yaml
"
    .to_owned()
}

fn app(release: &Release) -> String {
    let (app, folder) = (&release.app, release.app_folder());
    let interval = format_duration(release.interval);
    let (retry, timeout) =
        (format_duration(release.retry_interval), format_duration(release.timeout));
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
  # Longer than the Deployment's progressDeadlineSeconds, so that Flux can tell why a rollout stopped.
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
        let tree = render(&release("distilbert"));
        let object = tree.get("clusters/dev/distilbert-app.yaml").unwrap().parse().unwrap();
        let kustomization = flux::Kustomization::read(&object).unwrap().unwrap();
        assert!(tree.has_folder(&kustomization.path));
        assert!(
            kustomization.wait
                && kustomization.prune
                && kustomization.timeout > release("a").progress_deadline
        );
    }

    #[test]
    fn names_that_look_like_numbers_and_values_that_look_like_yaml_stay_texts() {
        let mut release = release("12");
        release.modelkit = Some("host/x: {y}".to_owned());
        release.environment.insert("A".to_owned(), "on\n# x".to_owned());
        let objects =
            crate::kustomize::build(&render(&release), "apps/12", &Overlay::default()).unwrap();
        let deployment = objects.iter().find(|object| object.kind() == "Deployment").unwrap();
        assert_eq!((deployment.name(), deployment.namespace()), ("12", "12"));
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
    fn what_is_rendered_passes_the_check_without_a_warning() {
        let mut tree = render(&release("distilbert"));
        tree.merge(crate::bootstrap(&crate::Bootstrap::new(
            "https://host/ml-infra.git".parse().unwrap(),
        )));
        assert_eq!(check(&tree, Some("main")).unwrap(), []);
    }
}
