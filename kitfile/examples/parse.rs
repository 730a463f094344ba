//! Reads a Kitfile, and shows what is told of a wrong one.

use kitfile::Kitfile;

fn main() {
    let text = "
manifestVersion: 1.0.0
package: { name: sentiment, version: 1.0.6, authors: [Jo] }
model:
  path: ./model
  framework: transformers
datasets:
  - path: data/train.json
";
    let kitfile = Kitfile::parse(text).expect("a correct Kitfile").kitfile;
    let paths: Vec<_> = kitfile.entries().map(|entry| entry.path).collect();
    assert_eq!(paths, ["./model", "data/train.json"]);
    assert!(
        kitfile
            .to_json()
            .starts_with(r#"{"manifestVersion":"1.0.0","package":{"name":"sentiment""#)
    );

    // Every problem is told at once, each where it stands.
    let problems = Kitfile::parse(
        &text.replace("./model", "../model").replace("data/train.json", "https://host/x"),
    )
    .unwrap_err();
    let lines: Vec<_> = problems.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [Some(5), Some(8)]);
}
