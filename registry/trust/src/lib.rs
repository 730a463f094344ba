//! Who made it: signatures of what lies in registries and of model files, with a plain key pair and
//! nothing else, in the forms that cosign and OpenSSF Model Signing read and write.
//!
//! Nothing here asks a service: no certificate authority, no log, no clock. A signature counts when
//! the given key made it over exactly this digest.

mod attach;
mod bundle;
mod check;
mod dsse;
mod error;
mod key;
pub mod model;
mod simple;
mod statement;

pub use attach::{Forms, Signed, sign};
pub use check::{Form, Verified, verify};
pub use error::{Error, Result};
pub use key::{PrivateKey, PublicKey};
