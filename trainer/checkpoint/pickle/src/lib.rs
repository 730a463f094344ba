#![doc = include_str!("../README.md")]

mod harmless;
mod machine;
mod map;
mod reader;
mod scan;
mod state;
mod tensors;
mod value;
mod zip;

pub use map::{give_back, map};
pub use scan::{Finding, is_suspect, scan, scan_file};
pub use tensors::{Stored, tensors};
