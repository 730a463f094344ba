//! Flux' own objects, as far as a repository of this house uses them.

mod artifact;
mod duration;
mod ignore;
mod kustomization;
mod source;
pub(crate) mod substitute;

pub use artifact::artifact;
pub use duration::{format_duration, parse_duration};
pub use kustomization::{Kustomization, PostBuild, SourceRef, ValuesFrom};
pub use source::GitRepository;
