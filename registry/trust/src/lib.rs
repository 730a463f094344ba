#![doc = include_str!("../README.md")]

mod attach;
mod bundle;
mod certificate;
mod check;
mod dsse;
mod error;
mod key;
pub mod model;
mod policy;
mod predicate;
mod signer;
mod simple;
mod statement;

pub use attach::{Forms, Signed, attest, sign};
pub use certificate::{Chain, Roots};
pub use check::{Attestation, Form, Verified, attestations, verify};
pub use error::{Error, Result};
pub use key::{PrivateKey, PublicKey};
pub use policy::{Clock, Mode, Policy, Rule, Verdict};
pub use predicate::{EVALUATION, predicate_type};
pub use signer::Signer;
