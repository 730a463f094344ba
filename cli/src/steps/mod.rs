//! Steps that several commands share. They know no command, so that a command can be deleted
//! without touching another.

pub(crate) mod attesting;
pub(crate) mod bars;
#[cfg(feature = "full")]
pub(crate) mod dataset;
#[cfg(feature = "full")]
pub(crate) mod face;
pub(crate) mod found;
#[cfg(feature = "full")]
pub(crate) mod front_matter;
#[cfg(feature = "full")]
pub(crate) mod hub;
pub(crate) mod keys;
#[cfg(any(feature = "servers", feature = "serve"))]
pub(crate) mod listen;
#[cfg(feature = "full")]
pub(crate) mod manifests;
#[cfg(any(feature = "servers", feature = "serve"))]
pub(crate) mod model;
pub(crate) mod pickles;
pub(crate) mod predicate;
pub(crate) mod project;
#[cfg(feature = "servers")]
pub(crate) mod ready;
#[cfg(feature = "full")]
pub(crate) mod retrain;
#[cfg(any(feature = "full", feature = "servers"))]
pub(crate) mod runtime;
#[cfg(feature = "full")]
pub(crate) mod splits;
pub(crate) mod survey;
pub(crate) mod target;
#[cfg(feature = "full")]
pub(crate) mod token;
#[cfg(feature = "full")]
pub(crate) mod training;
pub(crate) mod trusted;
#[cfg(any(feature = "full", feature = "serve"))]
pub(crate) mod windows;
