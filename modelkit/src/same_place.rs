//! Paths that differ, and are one place on file systems that fold case or normalise Unicode, as
//! those of macOS and Windows do.

use std::collections::HashMap;

use icu_normalizer::DecomposingNormalizerBorrowed;

/// The first two of these paths that differ and may be one place, in their order; equal paths are
/// another matter.
pub(crate) fn find<'a>(paths: impl IntoIterator<Item = &'a str>) -> Option<(&'a str, &'a str)> {
    let mut seen: HashMap<String, &str> = HashMap::new();
    paths.into_iter().find_map(|path| {
        let first = *seen.entry(folded(path)).or_insert(path);
        (first != path).then_some((first, path))
    })
}

/// What such file systems compare. To upper case and back again also brings `ß` to `ss`, and the
/// Kelvin sign to `k`.
fn folded(path: &str) -> String {
    let nfd = DecomposingNormalizerBorrowed::new_nfd();
    let lower = nfd.normalize(path).to_uppercase().to_lowercase();
    nfd.normalize(&lower).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_composition_do_not_tell_paths_apart() {
        for (a, b) in [
            ("README.md", "readme.md"),
            ("caf\u{e9}", "cafe\u{301}"),
            ("stra\u{df}e", "STRASSE"),
            ("\u{212a}", "k"),
        ] {
            assert_eq!(find(["other", a, b]), Some((a, b)));
        }
    }

    #[test]
    fn other_paths_and_equal_ones_do_not_clash() {
        assert_eq!(find(["a", "b", "a/b", "A/c", "a"]), None);
    }
}
