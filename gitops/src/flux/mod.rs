//! Flux' own objects, as far as a repository of this house uses them.

mod duration;
mod kustomization;
mod oci;
mod oci_repository;
mod source;

pub use duration::{format_duration, parse_duration};
pub use kustomization::{Kustomization, SourceRef};
pub use oci::OciSource;
pub use oci_repository::OciRepository;
pub use source::GitRepository;

/// What the source-controller leaves out of every artifact, as `.gitignore` writes it; what a
/// `.sourceignore` says comes after it.
pub const IGNORED: &str = "\
.git/
.gitignore
.gitmodules
.gitattributes
*.jpg
*.jpeg
*.gif
*.png
*.wmv
*.flv
*.tar.gz
*.zip
.github/
.circleci/
.travis.yml
.gitlab-ci.yml
appveyor.yml
.drone.yml
cloudbuild.yaml
codeship-services.yml
codeship-steps.yml
**/.goreleaser.yml
**/.sops.yaml
**/.flux.yaml
";
