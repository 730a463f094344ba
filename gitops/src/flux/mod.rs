//! Flux' own objects, as far as a repository of this house uses them.

mod artifact;
mod bucket;
mod chart;
mod duration;
mod ignore;
mod kustomization;
mod oci;
mod oci_repository;
mod semver;
mod source;
pub(crate) mod substitute;
mod version;

pub use artifact::artifact;
pub use bucket::{BucketSource, Source};
pub use chart::Chart;
pub use duration::{format_duration, parse_duration};
pub use kustomization::{Kustomization, PostBuild, SourceRef, ValuesFrom};
pub use oci::{FLUX_CONTENT, OciSource};
pub use oci_repository::{OciRepository, Versions};
pub use semver::SemverRange;
pub use source::GitRepository;
pub use version::FluxVersion;

/// The cases of a file of golden answers: what was asked, and what Flux said.
#[cfg(test)]
fn cases(text: &str) -> Vec<(&str, &str)> {
    let parts = text.split("\n== ").skip(1);
    parts.map(|part| part.trim_end_matches('\n').split_once("\n-- \n").unwrap()).collect()
}
