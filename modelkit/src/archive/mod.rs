//! Tar archives: written the same on every machine, extracted without trusting them.
//!
//! There is one writer and one extractor, for ModelKit layers, for the layers of runtime images, and for whoever else needs either.

mod beneath;
mod entry;
mod extract;
mod header;
mod read;
mod write;

pub use beneath::Folder;
pub use entry::{Content, Entry};
pub use extract::{Extracted, Limits, extract};
pub use write::{size, write};

pub(crate) use entry::check_name;
pub(crate) use write::copy_planned;
