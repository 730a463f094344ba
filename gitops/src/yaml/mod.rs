//! YAML as Kubernetes' tools read it.
//!
//! They are written in Go, whose parser is neither YAML 1.1 nor 1.2: `0644` is an octal number,
//! `yes` a text, and other readers of the same files take `yes` for true. `serde_yaml` follows 1.2,
//! where `0644` is a text and `yes` needs no quotes, so this crate has a reader and a printer of
//! its own on top of a parser of nodes, which lossless edits need anyway.

mod emit;
mod node;
mod order;
mod quote;
mod resolve;
mod value;

pub(crate) use emit::{emit, printed, scalar};
pub(crate) use node::{Data, Node, documents};
pub(crate) use resolve::plain;
pub(crate) use value::{Dialect, Document, parse_all, parse_as, parse_objects};
