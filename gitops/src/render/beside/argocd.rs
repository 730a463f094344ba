//! Argo CD's Application: what the Flux Kustomization says, in the words of the other one.

use super::super::objects::RESTRICTED;
use crate::yaml::scalar;
use crate::{ArgoCd, Layout, Release};

/// Where no Flux looks, as one of the two applies the application, not both.
pub(super) fn path(release: &Release) -> String {
    format!("argocd/{}/{}.yaml", release.env, release.app)
}

pub(super) fn application(release: &Release, argocd: &ArgoCd) -> String {
    let (env, folder) = (&release.env, release.built_folder());
    let name = scalar(&format!("{}-{env}", release.app));
    let (app, namespace) = (scalar(release.app.as_str()), scalar(release.namespace.as_str()));
    let (url, revision) = (scalar(argocd.repository.as_str()), scalar(argocd.revision.as_str()));
    // Of an overlay the namespace is not a part: Flux has it from the folder of the cluster.
    let created = match release.layout {
        Layout::Flat => String::new(),
        Layout::Envs => {
            let labels: String =
                RESTRICTED.iter().map(|(key, value)| format!("        {key}: {value}\n")).collect();
            format!(
                "      - CreateNamespace=true
    managedNamespaceMetadata:
      labels:
{labels}"
            )
        }
    };
    let flux = release.app_file();
    format!(
        "# For a cluster that Argo CD keeps, in the place of {flux}: one of the two
# applies this app, not both.
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata:
  name: {name}
  namespace: argocd
  labels:
    app.kubernetes.io/part-of: {app}
spec:
  project: default
  source:
    repoURL: {url}
    targetRevision: {revision}
    path: {folder}
  destination:
    server: https://kubernetes.default.svc
    namespace: {namespace}
  syncPolicy:
    automated:
      prune: true
      selfHeal: true
    syncOptions:
      # Objects are applied as Flux applies them, so that each field has an owner.
      - ServerSideApply=true
{created}"
    )
}
