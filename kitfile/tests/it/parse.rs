//! Kitfiles as people write them, and what is made of them.

use expect_test::{Expect, expect};
use kitfile::{Kitfile, Section};

fn check(text: &str, problems: Expect) {
    problems.assert_eq(&Kitfile::parse(text).unwrap_err().to_string());
}

/// The Kitfile of the tutorial, with an author that kit writes otherwise.
const TUTORIAL: &str = "\
manifestVersion: v1.0.0
package:
  name: distilbert-sentiment
  version: 1.0.6
  authors: Jo Doe
model:
  name: distilbert-base-uncased
  framework: transformers
  version: 1.0.6
  path: ./fine_tuned_model
code:
  - path: ./code
datasets:
  - path: ./datasets/sample_data.json
docs:
  - path: ./README.md
";

#[test]
fn the_tutorials_kitfile_is_read_with_a_warning() {
    let parsed = Kitfile::parse(TUTORIAL).unwrap();
    let warnings: Vec<_> = parsed.warnings.iter().map(ToString::to_string).collect();
    expect!["5:12: package.authors: this is a list in a Kitfile: write [name]"]
        .assert_eq(&warnings.join("\n"));
    assert_eq!(parsed.kitfile.manifest_version, "1.0.0");
    assert_eq!(parsed.kitfile.package.version, "1.0.6");
    assert_eq!(parsed.kitfile.package.authors, ["Jo Doe"]);
}

#[test]
fn entries_come_in_kits_order() {
    let text = "\
manifestVersion: 1.0.0
mcpServers: [{name: s, path: s.mcpb}]
prompts: [{name: p, path: p}]
docs: [{path: o}]
datasets: [{name: far, path: f, remotePath: 's3://b/k', remoteHash: x}, {name: near, path: n}]
code: [{path: c}]
model: {name: m, path: m, parts: [{path: m/a}, {name: b, path: m/b}]}
";
    let kitfile = Kitfile::parse(text).unwrap().kitfile;
    let places: Vec<_> =
        kitfile.entries().map(|entry| format!("{} {}", entry.place(), entry.path)).collect();
    assert_eq!(
        places,
        [
            "model m",
            "model.parts[0] m/a",
            "model.parts[1] m/b",
            "code[0] c",
            "datasets[1] n",
            "docs[0] o",
            "prompts[0] p",
            "mcpServers[0] s.mcpb"
        ]
    );
    assert_eq!(
        kitfile.entries().nth(4).map(|entry| (entry.section, entry.name)),
        Some((Section::Dataset, Some("near")))
    );
    let mut again = kitfile.clone();
    let paths: Vec<_> =
        again.entries_mut().map(|entry| (entry.section, entry.path.to_owned())).collect();
    assert_eq!(
        paths,
        kitfile.entries().map(|entry| (entry.section, entry.path.to_owned())).collect::<Vec<_>>()
    );
}

#[test]
fn a_model_from_another_modelkit_has_no_layer() {
    let text = "manifestVersion: 1.0.0\nmodel: {path: 'org/base:v1', parts: [{path: adapter}]}\n";
    let kitfile = Kitfile::parse(text).unwrap().kitfile;
    assert_eq!(kitfile.model.as_ref().and_then(kitfile::Model::parent), Some("org/base:v1"));
    assert_eq!(kitfile.entries().map(|entry| entry.path).collect::<Vec<_>>(), ["adapter"]);
}

#[test]
fn an_empty_text_is_no_kitfile() {
    for text in ["", "\n", "# nothing\n", "---\n"] {
        assert!(Kitfile::parse(text).is_err(), "{text:?}");
    }
    check("", expect!["1:1: the Kitfile is empty"]);
}

#[test]
fn a_mark_at_the_beginning_and_windows_lines_are_read() {
    let text = format!("\u{feff}{}", TUTORIAL.replace('\n', "\r\n"));
    assert_eq!(Kitfile::parse(&text).unwrap(), Kitfile::parse(TUTORIAL).unwrap());
}

#[test]
fn a_syntax_error_is_shown_where_it_stands() {
    check(
        "manifestVersion: 1.0.0\nmodel:\n  path: [m\ncode: x\n",
        expect!["4:5: illegal placement of ':' indicator"],
    );
    check(
        "manifestVersion: 1.0.0\nmodel:\n  path: a\n path: b\n",
        expect!["4:2: while parsing a block mapping, did not find expected key"],
    );
    check(
        "{\"manifestVersion\": \"1.0.0\", \"model\" 3}",
        expect!["1:38: invalid trailing content after double-quoted scalar"],
    );
}

#[test]
fn columns_count_characters() {
    check(
        "{manifestVersion: 1.0.0, package: {name: 日本, nome: x}}",
        expect!["1:46: package.nome: unknown key; did you mean `name`?"],
    );
}

/// So do all of KitOps' own pages.
#[test]
fn a_version_may_be_written_with_a_letter() {
    let parsed = Kitfile::parse("manifestVersion: v1.0.0\n").unwrap();
    assert_eq!((&*parsed.kitfile.manifest_version, parsed.warnings.len()), ("1.0.0", 0));
    assert_eq!(Kitfile::parse("manifestVersion: v2\n").unwrap().warnings.len(), 1);
}
