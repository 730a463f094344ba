//! Forms of answers that several commands share.

use registry::Reference;
use registry::content::Digest;

/// `name@digest`: what an artifact is called once it is resolved.
pub(crate) fn pinned(reference: &Reference, digest: &Digest) -> String {
    reference.with_digest(digest.clone()).to_string()
}

/// A number of bytes for people: `1.5 MiB`.
pub(crate) fn human_size(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}

/// Rows with a header, columns padded to their widest cell.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let widths: Vec<usize> = (0..header.len())
        .map(|column| {
            rows.iter()
                .map(|row| row[column].chars().count())
                .chain([header[column].len()])
                .max()
                .unwrap_or(0)
        })
        .collect();
    let line = |cells: Vec<&str>| {
        let padded: Vec<String> =
            cells.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(header.to_vec())];
    lines.extend(rows.iter().map(|row| line(row.iter().map(String::as_str).collect())));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_no_trailing_spaces() {
        let text = table(
            &["NAME", "SIZE"],
            &[vec!["model".into(), "1".into()], vec!["a".into(), "200".into()]],
        );
        assert_eq!(text, "NAME   SIZE\nmodel  1\na      200");
    }
}
