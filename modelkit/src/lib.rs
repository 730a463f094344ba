#![doc = include_str!("../README.md")]

mod pack;

mod kit;

mod parents;

mod source;

mod unpack;

mod files;

mod staging;

mod rebuild;

mod filter;

pub mod image;

pub mod archive;

pub mod ignore;

pub mod media_type;

pub mod diff;

mod artifact;
mod compress;
mod error;
mod event;
mod hashing;
mod same_place;
mod time;

pub use artifact::{ArtifactOptions, artifact, unpack_artifact};
pub use error::{Error, Refused, Result};
pub use event::{Event, Listener};
pub use files::files;
pub use filter::{Filter, Part, any_matches, any_matches_kitfile, idle};
pub use kit::{IndexMember, Layer, ModelKit, config_descriptor};
pub use media_type::{Compression, Family, Format};
pub use pack::{
    LayerPlan, PackOptions, Packed, PackedLayer, Plan, ReadyLayer, digest, pack, pack_plan, plan,
};
pub use parents::{builds_on, in_layout, local_references, parents};
pub use rebuild::{Likeness, Rebuilt, RebuiltLayer, rebuild};
pub use source::Source;
pub use staging::{Existing, Unfinished, write_file, write_files};
pub use unpack::{
    ChosenLayer, Preview, PreviewFile, Selection, Sources, UnpackOptions, Unpacked, preview,
    unpack, unpack_after,
};
