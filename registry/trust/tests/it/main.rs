//! Signatures, attestations and policies before a registry of the test's own.

mod attacks;
mod attestations;
mod copies;
mod policy;
mod world;
