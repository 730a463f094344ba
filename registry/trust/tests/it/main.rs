//! Signatures, attestations and policies before a registry of the test's own.

mod attacks;
mod attestations;
mod policy;
mod world;
