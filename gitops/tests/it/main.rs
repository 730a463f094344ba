//! The crate from outside: golden trees, other tools' results, schemas.

mod check;
mod kustomize;
mod reconcile;
mod render;
