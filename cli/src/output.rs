//! Forms of answers that several commands share.

use std::io::Write as _;
use std::iter;

use registry::content::Digest;
use registry::{Pushed, Reference};
use serde_json::Value;
use tabwriter::TabWriter;

use crate::shown;

/// `name@digest`: what an artifact is called once it is resolved.
pub(crate) fn pinned(reference: &Reference, digest: &Digest) -> String {
    reference.with_digest(digest.clone()).to_string()
}

/// A number of bytes for people: `1.5 MiB`.
pub(crate) fn human_size(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}

/// So many things of a kind: `1 file`, `2 files`.
pub(crate) fn n_of(n: u64, one: &str) -> String {
    format!("{n} {one}{}", if n == 1 { "" } else { "s" })
}

/// What a push did.
pub(crate) fn pushed(pushed: &Pushed) -> String {
    format!(
        "uploaded {} ({}), mounted {}, there already {}",
        n_of(pushed.uploaded as u64, "blob"),
        n_of(pushed.uploaded_bytes, "byte"),
        pushed.mounted,
        pushed.existing
    )
}

/// The first of these names, in quotes, and how many more there are.
pub(crate) fn some_of<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 5;
    let n_more = names.len().saturating_sub(SHOWN);
    let shown: Vec<String> = names.take(SHOWN).map(|name| format!("`{name}`")).collect();
    match n_more {
        0 => shown.join(", "),
        n_more => format!("{} and {n_more} more", shown.join(", ")),
    }
}

/// Rows with a header, columns padded to their widest cell.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = TabWriter::new(Vec::new()).minwidth(0).padding(2);
    let cells = |row: &Vec<String>| {
        row.iter().map(|cell| shown::line(cell).into_owned()).collect::<Vec<_>>()
    };
    let body = rows.iter().map(|row| cells(row).join("\t"));
    let lines: Vec<String> = iter::once(header.join("\t")).chain(body).collect();
    table.write_all(lines.join("\n").as_bytes()).expect("memory takes everything");
    String::from_utf8(table.into_inner().expect("it is flushed")).expect("cells are texts")
}

/// Lines, each of which stays one.
pub(crate) fn lines<T: AsRef<str>>(lines: impl IntoIterator<Item = T>) -> String {
    let shown: Vec<String> =
        lines.into_iter().map(|line| shown::line(line.as_ref()).into_owned()).collect();
    shown.join("\n")
}

/// A document as YAML; where that would have to be written out to be shown, as JSON, which is YAML
/// too and says the same in characters that can be seen.
pub(crate) fn yaml(yaml: &str, document: &Value) -> anyhow::Result<String> {
    let yaml = yaml.trim_end();
    if shown::is_plain(yaml) {
        return Ok(yaml.to_owned());
    }
    Ok(shown::json(&serde_json::to_string_pretty(document)?).into_owned())
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
    fn one_is_not_many() {
        assert_eq!([0, 1, 2].map(|n| n_of(n, "file")), ["0 files", "1 file", "2 files"]);
    }

    #[test]
    fn a_long_list_of_names_is_cut_and_counted() {
        assert_eq!(some_of(["a", "b"].into_iter()), "`a`, `b`");
        assert_eq!(some_of(["a"; 7].into_iter()), "`a`, `a`, `a`, `a`, `a` and 2 more");
    }

    #[test]
    fn a_table_has_no_trailing_spaces() {
        let text = table(
            &["NAME", "SIZE"],
            &[vec!["model".into(), "1".into()], vec!["a".into(), "200".into()]],
        );
        assert_eq!(text, "NAME   SIZE\nmodel  1\na      200");
    }

    #[test]
    fn a_cell_stays_in_its_place() {
        let row = vec!["a\tb\nc\u{1b}[2J".into(), "1".into()];
        let text = table(&["NAME", "SIZE"], &[row]);
        assert_eq!(text.lines().nth(1), Some("a\\tb\\nc\\u{1b}[2J  1"));
        assert_eq!(text.lines().count(), 2);
        assert_eq!(lines(["a\nb", "c"]), "a\\nb\nc");
    }

    #[test]
    fn yaml_that_cannot_be_shown_is_json() {
        let document = serde_json::json!({ "name": "a\u{202e}b" });
        let text = yaml("name: a\u{202e}b\n", &document).expect("it becomes JSON");
        let read: Value = serde_yaml::from_str(&text).expect("JSON is YAML");
        assert_eq!(read, document);
        assert!(shown::is_plain(&text), "{text}");
        assert_eq!(yaml("name: a\n", &document).expect("it is plain"), "name: a");
    }
}
