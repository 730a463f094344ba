//! Turns files into layers and layers into a ModelKit's manifest, and back; makes the image that
//! serves it.
//!
//! ```rust
#![doc = include_str!("../examples/pack.rs")]
//! ```
//!
//! This crate knows no network and no Kubernetes: content goes to a [`registry::Layout`], and comes from there or from whatever
//! opens [`registry::Blobs`]. Of tensors it knows only where a safetensors file keeps their bytes.
//!
//! | module | what it holds |
//! |---|---|
//! | [`plan()`] | which files of a context go into which layer |
//! | [`pack()`] | files into a layout, as a ModelKit |
//! | [`ModelKit`] | a ModelKit as it lies in a layout |
//! | [`parents()`] | the ModelKits that a model comes from |
//! | [`unpack()`] | a ModelKit's layers into a folder |
//! | [`rebuild()`] | the proof that a folder is what a ModelKit was packed from |
//! | [`diff`] | how two ModelKits differ: layers, files, tensors |
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

pub mod diff;

mod compress;
mod error;
mod event;
mod hashing;
mod index;
mod mcpb;
mod modelpack;
mod pieces;
mod rebuild;
mod same_place;

pub use error::{Error, Refused, Result};
pub use event::{Event, Listener};
pub use filter::{Filter, Part, any_matches, any_matches_kitfile, any_matches_model};
pub use kit::{Layer, ModelKit, config_descriptor};
pub use media_type::{Compression, Family, Format};
pub use pack::{PackOptions, Packed, PackedLayer, ReadyLayer, digest, pack};
pub use parents::{dataset_reference, parents, parents_with};
pub use plan::{LayerPlan, Plan, plan};
pub use rebuild::{Rebuilt, rebuild};
pub use unpack::{
    Chosen, Role, Source, UnpackOptions, Unpacked, chosen, remote_datasets, unpack, unpack_from,
};
