//! Runtime images: a server's binary and a ModelKit's own layers, as any container runtime takes
//! them, made without one; or each of the two by itself.

mod binary;
mod build;
mod config;
mod face;
mod runtime;
mod server;
mod unpack;

pub use binary::Binary;
pub use build::{ImageOptions, build};
pub use config::ImageConfig;
pub use face::{FaceOptions, MOUNT_FACE, is_face_of, mount_face};
pub use runtime::Runtime;
pub use server::{ServerOptions, server};
pub use unpack::{unpack, unpack_from};

/// The label with the digest of the ModelKit's manifest.
pub const MODELKIT_DIGEST: &str = "ml.kitops.modelkit.digest";

/// The label of an image that is the server's program alone.
const PROGRAM: &str = "ml.kitops.program";
/// The name of the binary in an image.
const BINARY: &str = "kit-rs";
/// The variable with the reference of the ModelKit.
const MODELKIT: &str = "KIT_RS_MODELKIT";
/// The name of the ModelKit's manifest in an image.
pub(crate) const MANIFEST: &str = "modelkit.json";
/// How the names begin by which a layer takes files of those below away.
pub(crate) const WHITEOUT: &str = ".wh.";
