#![doc = include_str!("../README.md")]

mod bootstrap;
mod check;
pub mod edit;
mod error;
pub mod flux;
pub mod get;
mod image;
pub mod kustomize;
mod name;
mod object;
pub mod reconcile;
mod release;
mod render;
pub mod status;
mod tree;
mod yaml;

pub use bootstrap::{Bootstrap, bootstrap};
pub use check::check;
pub use error::{BoxError, Error, Problem, Problems, Result, Severity};
pub use image::ImageRef;
pub use name::{GitUrl, Name};
pub use object::{Object, ObjectId};
pub use release::Release;
pub use render::{MODELKIT_ANNOTATION, MODELKIT_DIGEST_ANNOTATION, render};
pub use tree::Tree;
