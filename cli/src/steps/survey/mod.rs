//! Looking at files as far as a guess of their Kitfile needs: in a folder, or on a hub.

mod folder;
#[cfg(feature = "full")]
mod remote;

#[cfg(feature = "full")]
pub(crate) use folder::survey;
pub(crate) use folder::{Surveyed, survey_following};
#[cfg(feature = "full")]
pub(crate) use remote::{head, survey_remote};

/// How much of each file is looked at, in bytes: a safetensors or GGUF header's beginning, a model
/// card's front matter.
const HEAD: u64 = 64 * 1024;

/// The longest header of a safetensors file that is read, in bytes: those of the largest models
/// have some MB.
const MAX_HEADER: u64 = 16 << 20;

/// How long the header of a safetensors file is, in bytes; 0 for anything else: a length, then
/// JSON.
fn header_size(head: &[u8], size: u64) -> u64 {
    let Some((length, rest)) = head.split_first_chunk() else { return 0 };
    let header = u64::from_le_bytes(*length).saturating_add(8);
    if rest.first() == Some(&b'{') && header <= size.min(MAX_HEADER) { header } else { 0 }
}
