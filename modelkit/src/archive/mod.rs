//! Tar archives: written the same on every machine, extracted without trusting them.
//!
//! There is one writer and one extractor, for ModelKit layers, for the layers of runtime images,
//! and for whoever else needs either.

mod entry;
mod extract;
mod folder;
mod header;
mod limits;
mod read;
mod small;
mod stream;
mod write;

pub use entry::{Content, Entry, FileOnDisk};
pub(crate) use entry::{Stamp, check_name};
pub use extract::{ExtractOptions, Extracted, extract};
pub(crate) use extract::{Rules, extract_by, for_each_file};
pub use folder::Folder;
pub(crate) use limits::Budget;
pub use limits::Limits;
pub(crate) use stream::{LastFile, Stream};
pub(crate) use write::write_content;
pub use write::{around, size, write};
