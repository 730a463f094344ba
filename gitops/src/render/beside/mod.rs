//! The objects beside an application's Flux Kustomization, each held against the schema of the
//! version of Flux that is to take it.

mod argocd;
mod image_policy;
mod notification;

pub(super) use image_policy::marker;

use crate::flux::FluxVersion;
use crate::schema::{schemas, validate};
use crate::{Object, Release, Violation};

/// A file of objects, and the field of the release that asked for it.
pub(super) struct File {
    pub(super) field: &'static str,
    pub(super) path: String,
    pub(super) text: String,
}

/// What was asked for, in files of the environment.
pub(super) fn files(release: &Release) -> Vec<File> {
    let beside = &release.beside;
    let file = |field, path, text| File { field, path, text };
    let of_cluster = |what: &str| release.cluster_file(&format!("{}-{what}", release.app));
    let mut files = Vec::new();
    if let Some(argocd) = &beside.argocd {
        files.push(file("argocd", argocd::path(release), argocd::application(release, argocd)));
    }
    if let Some(policy) = &beside.image_policy {
        let text = image_policy::objects(release, policy);
        files.push(file("image_policy", of_cluster("automation"), text));
    }
    if let Some(kind) = &beside.receiver {
        let text = notification::receiver(release, kind);
        files.push(file("receiver", of_cluster("receiver"), text));
    }
    if let Some(alert) = &beside.alert {
        files.push(file("alert", of_cluster("alert"), notification::alert(release, alert)));
    }
    files
}

/// The Secrets of Flux' namespace that what was asked for needs, and what is in them.
pub(crate) fn secrets(release: &Release) -> Vec<(String, &'static str)> {
    let of = |what: &str| format!("{}-{what}", release.app);
    let receiver = release.beside.receiver.as_ref();
    let receiver = receiver.map(|_| (of("receiver"), "--from-literal=token=TOKEN"));
    let alert = release.beside.alert.as_ref().filter(|alert| notification::needs_secret(alert));
    let alert = alert.map(|alert| match alert.address {
        Some(_) => (of("alert"), "--from-literal=token=TOKEN"),
        None => (of("alert"), "--from-literal=address=URL"),
    });
    receiver.into_iter().chain(alert).collect()
}

/// What Flux, or the objects themselves, have against what was asked for.
pub(crate) fn violations(release: &Release) -> Vec<Violation> {
    let wrong =
        |field, value: &str, reason: String| Violation { field, value: value.to_owned(), reason };
    let mut found = Vec::new();
    if let (Some(policy), Some(source)) = (&release.beside.image_policy, &release.source) {
        let reason = format!("Flux commits to Git, and takes this app's files from {source}");
        found.push(wrong("image_policy", &policy.range.to_string(), reason));
    }
    if let Some(argocd) = &release.beside.argocd {
        let reason = match &release.source {
            _ if release.chart.is_some() => {
                "it would apply a HelmRelease, which only Flux understands: give it the chart by hand"
            }
            _ if !release.trust.admission.is_empty() => {
                "it applies one folder, and the policies of --admission stand in another"
            }
            Some(_) if !release.trust.keys.is_empty() => {
                "it takes the files from Git, where nobody asks for the signature of the artifact"
            }
            _ => "",
        };
        if !reason.is_empty() {
            found.push(wrong("argocd", argocd.repository.as_str(), reason.to_owned()));
        }
    }
    let receives = release.beside.receiver.as_deref();
    if let Some(kind) = receives.filter(|kind| notification::resources(release, kind).is_empty()) {
        let reason = "it tells of images, and nothing here follows a registry: it needs --image-policy or --source oci://…";
        found.push(wrong("receiver", kind, reason.to_owned()));
    }
    if receives == Some("generic-oidc") {
        let reason = "whose tokens it takes has to be written by hand (oidcProviders)";
        found.push(wrong("receiver", "generic-oidc", reason.to_owned()));
    }
    let value_of = |field| match field {
        "receiver" => receives.unwrap_or_default().to_owned(),
        "alert" => release.beside.alert.as_ref().map_or("", |alert| &alert.provider).to_owned(),
        "image_policy" => release
            .beside
            .image_policy
            .as_ref()
            .map_or_else(String::new, |policy| policy.range.to_string()),
        _ => String::new(),
    };
    for file in files(release) {
        let told = faults(&file.text, release.flux);
        found.extend(
            told.into_iter().map(|reason| wrong(file.field, &value_of(file.field), reason)),
        );
    }
    found
}

/// What the schemas of a version of Flux have against objects of ours.
fn faults(text: &str, flux: FluxVersion) -> Vec<String> {
    let objects = match Object::parse_all(text) {
        Ok(objects) => objects,
        Err(error) => return vec![error.to_string()],
    };
    let of = |object: &Object| {
        let (api, kind) = (object.api_version(), object.kind());
        let faults = match schemas().kind(api, kind, flux) {
            Some(of) => validate(schemas(), of, object.value(), false, flux),
            None => Vec::new(),
        };
        let id = object.id();
        let told = faults.into_iter().map(move |it| format!("{id} {}: {}", it.pointer, it.message));
        told.collect::<Vec<_>>()
    };
    objects.iter().flat_map(of).collect()
}

/// The version of a kind that a version of Flux serves; of several, the one that is stable, else the
/// newest.
fn api_version(group: &str, kind: &str, flux: FluxVersion) -> &'static str {
    let served = schemas().instead_of(&format!("{group}/"), kind, flux);
    let newest = served.into_iter().max_by_key(|version| (!version.contains("beta"), *version));
    newest.expect("Flux serves its own kinds")
}

/// The metadata of an object in Flux' namespace.
fn head(release: &Release, name: &str) -> String {
    let (name, app) = (crate::yaml::scalar(name), crate::yaml::scalar(release.app.as_str()));
    format!(
        "metadata:
  name: {name}
  namespace: flux-system
  labels:
    app.kubernetes.io/part-of: {app}
"
    )
}
