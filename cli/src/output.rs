//! Forms of answers that several commands share.

use std::io::Write as _;
use std::iter;

use registry::Reference;
use registry::content::Digest;
use serde_json::Value;
use tabwriter::TabWriter;

/// `name@digest`: what an artifact is called once it is resolved.
pub(crate) fn pinned(reference: &Reference, digest: &Digest) -> String {
    reference.with_digest(digest.clone()).to_string()
}

/// A number of bytes for people: `1.5 MiB`.
pub(crate) fn human_size(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}

/// A number of things: `1 file`, `2 files`.
pub(crate) fn counted(n: impl Into<u128>, thing: &str) -> String {
    let n = n.into();
    format!("{n} {thing}{}", if n == 1 { "" } else { "s" })
}

/// Rows with a header, columns padded to their widest cell.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = TabWriter::new(Vec::new()).minwidth(0).padding(2);
    let body = rows.iter().map(|row| row.join("\t"));
    let lines: Vec<String> = iter::once(header.join("\t")).chain(body).collect();
    table.write_all(lines.join("\n").as_bytes()).expect("memory takes everything");
    String::from_utf8(table.into_inner().expect("it is flushed")).expect("cells are texts")
}

/// What stands at a dotted path; numbers count the items of a list from 0.
pub(crate) fn select<'a>(document: &'a Value, path: &str) -> Option<&'a Value> {
    let steps = path.trim_start_matches('.').split('.');
    steps.into_iter().try_fold(document, |value, step| match value {
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        other => other.get(step),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_not_several() {
        let said = [0u64, 1, 2].map(|n| counted(n, "file"));
        assert_eq!(said, ["0 files", "1 file", "2 files"]);
    }

    #[test]
    fn a_table_has_no_trailing_spaces() {
        let text = table(
            &["NAME", "SIZE"],
            &[vec!["model".into(), "1".into()], vec!["a".into(), "200".into()]],
        );
        assert_eq!(text, "NAME   SIZE\nmodel  1\na      200");
    }
}
