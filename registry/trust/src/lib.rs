#![doc = include_str!("../README.md")]

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
