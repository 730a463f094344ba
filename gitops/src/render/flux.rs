//! What Flux is told of an application: which folder of which source becomes objects, and how.

use super::{keys, kserve, policies};
use crate::flux::format_duration;
use crate::yaml::scalar;
use crate::{BucketSource, Delivery, OciSource, Release, Source};

/// The name of the Flux Kustomization, and of the account by which it applies.
pub(crate) fn name(release: &Release) -> String {
    format!("{}-app", release.app)
}

pub(super) fn app(release: &Release) -> String {
    let name = name(release);
    let timeout = format_duration(release.timeout());
    let health = match release.delivery {
        Delivery::KServe { .. } => kserve::health(release),
        _ => "  # Ready means that the pods serve, not only that the API server took the objects.
  wait: true
"
        .to_owned(),
    };
    let longer = match release.chart {
        Some(_) => {
            "  # Longer than the HelmRelease takes to try, to take back, and to do both once more, so that Flux
  # can tell why it stopped; a commit that repairs it is applied after that."
        }
        None => {
            "  # Longer than the Deployment's progressDeadlineSeconds, so that Flux can tell why a rollout
  # stopped; a commit that repairs it is applied after that."
        }
    };
    let account = match release.is_tenant {
        true => format!(
            "  # Flux applies this app with the rights of this account, and no others.\n  serviceAccountName: {name}\n"
        ),
        false => String::new(),
    };
    let after = match policies::is_asked(release) {
        true => format!(
            "  # What the API server is to refuse is known before.\n  dependsOn:\n    - name: {}\n",
            policies::name(release)
        ),
        false => String::new(),
    };
    let waits = format!(
        "{health}{longer}
  timeout: {timeout}
{after}{account}"
    );
    let why = "  # How soon a failed rollout is tried again; left out, it would be the interval.\n";
    kustomization(release, &name, &release.built_folder(), why, &waits)
}

/// A Flux Kustomization of a folder: `why` says what it is tried again for, `waits` for what it
/// waits.
pub(super) fn kustomization(
    release: &Release,
    name: &str,
    folder: &str,
    why: &str,
    waits: &str,
) -> String {
    let (interval, retry) =
        (format_duration(release.interval), format_duration(release.retry_interval));
    let (kind, source) = source_ref(release);
    format!(
        "apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: {name}
  namespace: flux-system
spec:
  interval: {interval}
{why}  retryInterval: {retry}
  path: ./{folder}
  prune: true
{waits}  sourceRef:
    kind: {kind}
    name: {source}
"
    )
}

/// Kind and name of what the files come from.
fn source_ref(release: &Release) -> (&'static str, String) {
    match &release.source {
        Some(source) => (source.kind(), name(release)),
        None => ("GitRepository", "flux-system".to_owned()),
    }
}

/// What the files come from where that is not Git.
pub(super) fn source(release: &Release, source: &Source) -> String {
    match source {
        Source::Oci(source) => artifact(release, source),
        Source::Bucket(source) => bucket(release, source),
    }
}

/// The bucket that the files come from.
fn bucket(release: &Release, source: &BucketSource) -> String {
    let name = name(release);
    let (bucket, endpoint) = (scalar(&source.name), scalar(&source.endpoint));
    let insecure = match source.insecure {
        true => "  # The server speaks plain HTTP.\n  insecure: true\n",
        false => "",
    };
    let secret = source.secret.as_ref().map_or(String::new(), |secret| {
        format!("  secretRef:\n    name: {}\n", scalar(secret.as_str()))
    });
    format!(
        "apiVersion: source.toolkit.fluxcd.io/v1
kind: Bucket
metadata:
  name: {name}
  namespace: flux-system
spec:
  interval: 1m0s
  provider: generic
  bucketName: {bucket}
  endpoint: {endpoint}
{insecure}{secret}"
    )
}

/// The artifact in a registry that the files come from.
fn artifact(release: &Release, source: &OciSource) -> String {
    let name = name(release);
    let url = scalar(&format!("oci://{}", source.artifact.name));
    let reference = match (&source.artifact.digest, &source.artifact.tag) {
        (Some(digest), _) => format!("digest: {digest}"),
        (None, tag) => match &source.semver {
            Some(range) => format!("semver: {}", scalar(&range.to_string())),
            None => format!("tag: {}", scalar(tag.as_deref().unwrap_or("latest"))),
        },
    };
    let layer = source.layer.as_ref().map_or(String::new(), |layer| {
        let layer = scalar(layer);
        format!(
            "  # Of all its layers Flux pulls this one.\n  layerSelector:\n    mediaType: {layer}\n    operation: extract\n"
        )
    });
    let insecure = match source.insecure {
        true => "  # The registry speaks plain HTTP.\n  insecure: true\n",
        false => "",
    };
    let secret = source.secret.as_ref().map_or(String::new(), |secret| {
        format!("  secretRef:\n    name: {}\n", scalar(secret.as_str()))
    });
    let verify = match release.trust.keys.is_empty() {
        true => String::new(),
        false => format!(
            "  # Only what one of these keys has signed is taken: kit-rs sign {} --key KEY
  verify:
    provider: cosign
    secretRef:
      name: {}
",
            source.artifact,
            keys::secret_name(release)
        ),
    };
    format!(
        "apiVersion: source.toolkit.fluxcd.io/v1
kind: OCIRepository
metadata:
  name: {name}
  namespace: flux-system
spec:
  interval: 1m0s
  url: {url}
  ref:
    {reference}
{layer}{insecure}{secret}{verify}"
    )
}
