//! Flux' own objects, as far as a repository of this house uses them.

mod duration;
mod kustomization;
mod source;

pub use duration::{format_duration, parse_duration};
pub use kustomization::{Kustomization, SourceRef};
pub use source::GitRepository;
