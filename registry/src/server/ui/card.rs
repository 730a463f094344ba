//! The card of a model: the README among the documents that a ModelKit brings.

use super::kind;
use crate::Layout;
use crate::content::Document;
use crate::server::limits::{MAX_IN_MEMORY, MAX_ROWS};
use crate::server::repository::Repository;

/// How long the blocks of an archive are.
const BLOCK: usize = 512;

/// The text of the card, where it lies in a small layer of documents that is not compressed.
pub(super) fn card(
    layout: &Layout,
    repository: &Repository,
    document: &Document,
) -> Option<String> {
    let layers = document.layers.iter().take(MAX_ROWS);
    let docs = layers.filter(|it| kind::section(it) == "docs" && it.size() <= MAX_IN_MEMORY);
    docs.filter(|it| repository.has_blob(it.digest())).find_map(|layer| {
        let bytes = layout.read(layer).ok()?;
        let media_type: &str = layer.media_type().as_ref();
        let text = match media_type.rsplit('.').next()? {
            "tar" => in_archive(&bytes)?,
            "raw" if kind::path(layer).is_some_and(is_readme) => &bytes,
            _ => return None,
        };
        String::from_utf8(text.to_vec()).ok()
    })
}

/// The first README of an archive (POSIX, `pax`, "ustar Interchange Format").
fn in_archive(archive: &[u8]) -> Option<&[u8]> {
    let mut rest = archive;
    while let Some((head, behind)) = rest.split_at_checked(BLOCK) {
        // The blocks at the end have no number.
        let size = usize::from_str_radix(field(&head[124..136]).trim(), 8).ok()?;
        let content = behind.get(..size)?;
        if matches!(head[156], b'0' | 0) && is_readme(field(&head[..100])) {
            return Some(content);
        }
        rest = behind.get(size.next_multiple_of(BLOCK)..)?;
    }
    None
}

/// The text of a field, up to its first zero.
fn field(bytes: &[u8]) -> &str {
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    std::str::from_utf8(text).unwrap_or_default()
}

fn is_readme(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| name.eq_ignore_ascii_case("readme.md"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, size: &str, content: &str) -> Vec<u8> {
        let mut bytes = vec![0; BLOCK];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        bytes[124..124 + size.len()].copy_from_slice(size.as_bytes());
        bytes[156] = b'0';
        bytes.extend_from_slice(content.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        bytes
    }

    #[test]
    fn the_readme_is_found_behind_other_files() {
        let mut archive = entry("docs/other.md", "00000000003\0", "abc");
        archive.extend(entry("docs/README.md", "00000000006 ", "# Card"));
        archive.extend([0; 2 * BLOCK]);
        assert_eq!(in_archive(&archive), Some(&b"# Card"[..]));
        assert_eq!(in_archive(&archive[..BLOCK * 2]), None);
        assert_eq!(in_archive(&archive[..BLOCK * 3 + 2]), None);
    }

    #[test]
    fn what_is_no_archive_has_no_card() {
        for size in ["77777777777\0", "-1", "x", "", "99"] {
            assert_eq!(in_archive(&entry("README.md", size, "x")), None, "{size}");
        }
        assert_eq!(in_archive(b"# Card"), None);
    }
}
