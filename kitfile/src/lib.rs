#![doc = include_str!("../README.md")]

mod context_path;
mod document;
pub mod edit;
mod entry;
mod error;
mod init;
mod json;
mod parse;
mod problem;
mod reference;
mod rules;
mod scalar;
mod schema;
mod sections;
mod yaml;

pub use context_path::ContextPath;
pub use entry::{Entry, EntryMut, Section};
pub use error::{Error, Result};
pub use init::{FileInfo, InitOptions, init, needs_head, passed_over};
pub use json::unknown_fields;
pub use parse::Parsed;
pub use problem::{Problem, Problems};
pub use reference::is_modelkit_reference;
pub use sections::{Code, Dataset, Doc, Kitfile, McpServer, Model, ModelPart, Package, Prompt};

/// The names that a Kitfile may have in its folder; the first that is there counts.
pub const FILE_NAMES: [&str; 3] = ["Kitfile", "kitfile", ".kitfile"];

/// The JSON Schema of a Kitfile, for editors.
pub const SCHEMA: &str = include_str!("../kitfile.schema.json");
