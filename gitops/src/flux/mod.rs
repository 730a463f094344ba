//! Flux' own objects, as far as a repository of this house uses them.

mod artifact;
mod duration;
mod ignore;
mod kustomization;
mod oci;
mod oci_repository;
mod source;
pub(crate) mod substitute;

pub use artifact::artifact;
pub use duration::{format_duration, parse_duration};
pub use kustomization::{Kustomization, PostBuild, SourceRef, ValuesFrom};
pub use oci::OciSource;
pub use oci_repository::OciRepository;
pub use source::GitRepository;

/// The cases of a file of golden answers: what was asked, and what Flux said.
#[cfg(test)]
fn cases(text: &str) -> Vec<(&str, &str)> {
    let parts = text.split("\n== ").skip(1);
    parts.map(|part| part.trim_end_matches('\n').split_once("\n-- \n").unwrap()).collect()
}
