//! Turns files into layers and layers into a ModelKit's manifest, and back; makes the image that serves it.
//!
//! ```rust
#![doc = include_str!("../examples/pack.rs")]
//! ```
//!
//! This crate knows no network, no tensors and no Kubernetes: content comes from and goes to a [`registry::Layout`].
//!
//! | module | what it holds |
//! |---|---|
//! | [`plan()`] | which files of a context go into which layer |
//! | [`pack()`] | files into a layout, as a ModelKit |
//! | [`ModelKit`] | a ModelKit as it lies in a layout |
//! | [`parents()`] | the ModelKits that a model comes from |
//! | [`unpack()`] | a ModelKit's layers into a folder |
//! | [`Filter`] | which layers are meant |
//! | [`image`] | the runtime image, without Docker |
//! | [`archive`] | deterministic tar archives, and their safe extraction |
//! | [`ignore`] | `.kitignore` |
//! | [`media_type`] | names of layers, configs and annotations |

mod plan;

mod pack;

mod kit;

mod parents;

mod unpack;

mod filter;

pub mod image;

pub mod archive;

pub mod ignore;

pub mod media_type;

mod compress;
mod error;
mod event;
mod mcpb;

pub use error::{Error, Refused, Result};
pub use event::{Event, Listener};
pub use filter::{Filter, Part, any_matches};
pub use kit::{Layer, ModelKit, config_descriptor};
pub use media_type::{Compression, Format};
pub use pack::{PackOptions, Packed, PackedLayer, pack};
pub use parents::parents;
pub use plan::{LayerPlan, Plan, plan};
pub use unpack::{UnpackOptions, Unpacked, unpack};
