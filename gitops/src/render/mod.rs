//! A release becomes files, written the way a person would: comments say why, and nothing has to be
//! repaired by hand.

pub(crate) mod beside;
pub(crate) mod chart;
pub(crate) mod delivery;
pub(crate) mod deployment;
mod envs;
pub(crate) mod flux;
mod keys;
pub(crate) mod kserve;
mod objects;
pub(crate) mod policies;
mod spread;
mod storage;
pub(crate) mod version;

pub use self::storage::storage_container;
use crate::yaml::scalar;
use crate::{Delivery, Error, Layout, Name, NamespaceUse, Release, Result, Tree};

/// The annotation by which Flux never deletes an object, and the value that says so.
pub(crate) const KEPT: (&str, &str) = ("kustomize.toolkit.fluxcd.io/prune", "disabled");

/// The annotation of a pod that carries the ModelKit's reference.
pub const MODELKIT_ANNOTATION: &str = "kitops.ml/modelkit";

/// The annotation of a pod that carries the ModelKit's manifest digest.
pub const MODELKIT_DIGEST_ANNOTATION: &str = "kitops.ml/modelkit-digest";

/// The annotation of a pod that says how its model came there, where it is not in the image.
pub(crate) const DELIVERY_ANNOTATION: &str = "kitops.ml/delivery";

/// Renders the application's folder and the Flux Kustomization that points at it.
///
/// The Kustomization's path is derived from where the files stand, so the two cannot disagree. A
/// value that Kubernetes or Flux would refuse is refused here, by its field.
pub fn render(release: &Release) -> Result<Tree> {
    let violations = release.violations();
    if !violations.is_empty() {
        return Err(Error::Values { violations });
    }
    let mut tree = match release.layout {
        Layout::Flat => flat(release),
        Layout::Envs => envs::render(release),
    };
    if release.namespace_use != NamespaceUse::Elsewhere {
        tree.put(release.namespace_file(), objects::namespace(release));
    }
    if let Some(source) = &release.source {
        let file = release.cluster_file(&format!("{}-source", release.app));
        tree.put(file, flux::source(release, source));
        if !release.trust.keys.is_empty() {
            tree.put(release.cluster_file(&keys::secret_name(release)), keys::secret(release));
        }
    }
    tree.merge(policies::render(release));
    tree.put(release.app_file(), flux::app(release));
    for file in beside::files(release) {
        tree.put(file.path, file.text);
    }
    Ok(tree)
}

/// The folder of an application that all environments run as it is.
fn flat(release: &Release) -> Tree {
    let mut tree = Tree::new();
    let folder = release.app_folder();
    let own = (release.namespace_use != NamespaceUse::Elsewhere).then_some("namespace.yaml");
    let mut files = shared(release);
    match release.delivery {
        Delivery::KServe { .. } => files.push((BUDGET, kserve::disruption_budget(release))),
        // Of a single pod it would either allow nothing or mean nothing.
        _ if release.is_replicated() => {
            files.push((BUDGET, objects::disruption_budget(release, ONE_AWAY)))
        }
        _ => {}
    }
    let (checks, patch) = checked(release);
    files.extend(checks);
    let names: Vec<&str> = own.into_iter().chain(files.iter().map(|(name, _)| *name)).collect();
    let mut list = kustomization(&names);
    if let Some((path, text)) = patch {
        list.push_str(&format!("patches:\n  - path: {path}\n"));
        tree.put(format!("{folder}/{path}"), text);
    }
    tree.put(format!("{folder}/kustomization.yaml"), list);
    for (name, text) in files {
        tree.put(format!("{folder}/{name}"), text);
    }
    tree
}

/// What a disruption budget allows.
const ONE_AWAY: &str = "maxUnavailable: 1";

/// The file of the disruption budget.
const BUDGET: &str = "poddisruptionbudget.yaml";

/// A file by its name.
type File = (&'static str, String);

/// By what the server checks its model, where it shall: an object with keys, and a patch.
fn checked(release: &Release) -> (Option<File>, Option<File>) {
    let has_any = !release.trust.keys.is_empty() || keys::expects_digest(release);
    if !release.trust.checks_model || !has_any {
        return (None, None);
    }
    let keys = (!release.trust.keys.is_empty()).then(|| ("keys.yaml", keys::config_map(release)));
    (keys, Some(("check.yaml", keys::patch(release))))
}

/// The objects that every application has, with their files.
fn shared(release: &Release) -> Vec<(&'static str, String)> {
    if let Some(chart) = &release.chart {
        return chart::files(release, chart);
    }
    let mut files = vec![("serviceaccount.yaml", objects::service_account(release))];
    match (&release.delivery, release.layout) {
        // KServe makes Deployment and Service itself.
        (Delivery::KServe { .. }, Layout::Flat) => {
            files.push(("inferenceservice.yaml", kserve::inference_service(release)));
        }
        (Delivery::KServe { .. }, Layout::Envs) => {}
        _ => {
            files.push(("service.yaml", objects::service(release)));
            files.push(("deployment.yaml", deployment::deployment(release)));
        }
    }
    files.push(("networkpolicy.yaml", objects::network_policy(release)));
    files
}

/// The metadata of an object: its labels stay the same for the life of the application. What
/// several environments share has no namespace yet.
fn head(release: &Release) -> String {
    head_as(release, &release.name)
}

/// The metadata of an object that is not called as the Deployment is.
fn head_as(release: &Release, name: &Name) -> String {
    let (name, labels) = (scalar(name.as_str()), labels(release, 4));
    let namespace = match release.layout {
        Layout::Flat => format!("  namespace: {}\n", scalar(release.namespace.as_str())),
        Layout::Envs => String::new(),
    };
    format!("metadata:\n  name: {name}\n{namespace}  labels:\n{labels}")
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

fn kustomization(resources: &[&str]) -> String {
    format!(
        "apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
{}",
        list("resources", resources)
    )
}

/// A field with a list of texts; nothing where there are none.
fn list(field: &str, texts: &[&str]) -> String {
    match texts {
        [] => String::new(),
        texts => {
            let lines: String = texts.iter().map(|text| format!("  - {text}\n")).collect();
            format!("{field}:\n{lines}")
        }
    }
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
