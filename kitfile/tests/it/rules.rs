//! The rules of a Kitfile's values, held against kit's own.

use expect_test::expect_file;
use kitfile::{Kitfile, Problem};

use crate::cases;

const CASES: &str = include_str!("../../testdata/rules/cases.txt");

#[test]
fn every_problem_is_told_with_its_place() {
    let mut told = String::new();
    for (name, text) in cases(CASES) {
        told += &format!("=== {name}\n");
        told += &match Kitfile::parse(&text) {
            Ok(parsed) => lines("warning: ", &parsed.warnings) + "ok\n",
            Err(problems) => lines("", &problems),
        };
    }
    expect_file!["../../testdata/rules/problems.txt"].assert_eq(&told);
}

fn lines<'a>(before: &str, problems: impl IntoIterator<Item = &'a Problem>) -> String {
    problems.into_iter().map(|problem| format!("{before}{problem}\n")).collect()
}

/// Where the two differ, we are the stricter ones, but for a single author.
#[test]
fn kit_refuses_what_we_refuse() {
    let kit = cases(include_str!("../../testdata/rules/kit.txt"));
    let mut differ = Vec::new();
    for ((name, text), (_, kit)) in cases(CASES).into_iter().zip(kit) {
        if Kitfile::parse(&text).is_err() != kit.starts_with("refused") {
            differ.push(name);
        }
    }
    let expected = [
        // Kit passes paths that leave the folder on to whoever unpacks, and forgets prompts.
        "absolute path of a prompt",
        "paths that leave the folder",
        "the same path for a prompt and docs",
        "authors as a text",
        // Kit drops what has such a tag.
        "a tag of one's own",
    ];
    assert_eq!(differ, expected);
}

#[test]
fn a_kitfile_made_in_code_is_checked_without_places() {
    let mut kitfile = Kitfile { manifest_version: "1.0.0".to_owned(), ..Kitfile::default() };
    assert_eq!(kitfile.check(), Ok(()));
    for path in ["../a", "/b"] {
        kitfile.code.push(kitfile::Code { path: path.to_owned(), ..Default::default() });
    }
    let problems = kitfile.check().unwrap_err().to_string();
    assert_eq!(
        problems,
        "code[0].path: the path leaves the context folder: ../a\ncode[1].path: absolute paths are not supported: /b"
    );
}
