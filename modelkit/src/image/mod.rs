//! Runtime images: a server's binary and a ModelKit's own layers, as any container runtime takes
//! them, made without one.

mod binary;
mod build;
mod config;
mod runtime;
mod unpack;

pub use binary::Binary;
pub use build::{ImageOptions, build};
pub use config::ImageConfig;
pub use runtime::Runtime;
pub use unpack::{unpack, unpack_from};

/// The label with the digest of the ModelKit's manifest.
pub const MODELKIT_DIGEST: &str = "ml.kitops.modelkit.digest";

/// The name of the binary in an image.
const BINARY: &str = "kit-rs";
/// The variable with the reference of the ModelKit.
const MODELKIT: &str = "KIT_RS_MODELKIT";
/// The name of the ModelKit's manifest in an image.
const MANIFEST: &str = "modelkit.json";
/// How the names begin by which a layer takes files of those below away.
pub(crate) const WHITEOUT: &str = ".wh.";
