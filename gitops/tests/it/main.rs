//! The crate from outside: golden trees, other tools' results, schemas.

mod bases;
mod beside;
mod check;
mod deliveries;
mod diff;
mod envs;
mod kustomize;
mod lint;
mod reconcile;
mod rehearse;
mod render;
