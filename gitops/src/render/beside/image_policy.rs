//! Flux' image automation: which tags it looks at, which one it takes, and where it writes it.

use super::head;
use crate::yaml::scalar;
use crate::{ImagePolicy, Release};

pub(super) fn objects(release: &Release, policy: &ImagePolicy) -> String {
    let (app, folder) = (release.app.as_str(), release.built_folder());
    let (head, name) = (head(release, app), scalar(app));
    let (image, range) = (scalar(&release.image.name), scalar(&policy.range.to_string()));
    let insecure = match policy.insecure {
        true => "  # The registry speaks plain HTTP.\n  insecure: true\n",
        false => "",
    };
    let secret = release.pull_secret.as_ref().map_or(String::new(), |secret| {
        let secret = scalar(secret.as_str());
        format!("  # Flux reads it in its own namespace.\n  secretRef:\n    name: {secret}\n")
    });
    format!(
        "# Flux looks at the tags of the image, and commits the newest one in the range to the lines that
# end with its $imagepolicy. Whether pods have room for a larger model it does not know.
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
{head}spec:
  image: {image}
  interval: 5m0s
  exclusionList:
    # Signatures, attestations and other companions of images.
    - '^.*\\.sig$'
    - '^sha256-[0-9a-f]{{64}}.*$'
{insecure}{secret}---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImagePolicy
{head}spec:
  imageRepositoryRef:
    name: {name}
  policy:
    semver:
      range: {range}
  # A tag is pinned to the digest that it had when it was first taken.
  digestReflectionPolicy: IfNotPresent
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageUpdateAutomation
{head}spec:
  interval: 5m0s
  sourceRef:
    kind: GitRepository
    name: flux-system
  git:
    commit:
      author:
        name: fluxcdbot
        email: fluxcdbot@users.noreply.github.com
      messageTemplate: |
        {app}: {{{{ range .Changed.Changes }}}}{{{{ .OldValue }}}} -> {{{{ .NewValue }}}} {{{{ end }}}}
  # Only this app's policy, and only its files.
  policySelector:
    matchLabels:
      app.kubernetes.io/part-of: {name}
  update:
    path: ./{folder}
    strategy: Setters
"
    )
}

/// The comment by which Flux finds what it moves: the whole image, or with `:tag` that of it;
/// nothing where nobody asked for it.
pub(in super::super) fn marker(release: &Release, part: &str) -> String {
    match &release.beside.image_policy {
        Some(_) => format!(" # {{\"$imagepolicy\": \"flux-system:{}{part}\"}}", release.app),
        None => String::new(),
    }
}
