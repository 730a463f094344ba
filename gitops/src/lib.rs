#![doc = include_str!("../README.md")]

mod bootstrap;
pub mod builds;
mod check;
pub mod diff;
pub mod edit;
mod error;
pub mod flux;
pub mod get;
mod image;
pub mod kustomize;
pub mod lint;
mod name;
mod object;
mod place;
pub mod preflight;
pub mod reconcile;
mod rehearse;
mod release;
mod render;
mod rules;
mod schema;
pub mod status;
pub mod times;
mod tree;
mod yaml;

pub use bootstrap::{Bootstrap, Live, Sync, bootstrap, conflict, sync};
pub use check::check;
pub use error::{BoxError, Error, Problem, Problems, Result, Severity, Violation};
pub use image::ImageRef;
pub use name::{Branch, GitUrl, Name, SecretName};
pub use object::{Object, ObjectId};
pub use rehearse::{Said, rehearse};
pub use release::{MEMORY_BESIDE_WEIGHTS, NamespaceUse, Release, memory};
pub use render::{MODELKIT_ANNOTATION, MODELKIT_DIGEST_ANNOTATION, render};
pub use tree::Tree;
