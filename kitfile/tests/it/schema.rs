//! The JSON Schema for editors, held against the parser.

use kitfile::{Kitfile, SCHEMA};
use serde_json::Value;

use crate::cases;

fn schema() -> Value {
    serde_json::from_str(SCHEMA).expect("the schema is JSON")
}

fn is_valid(kitfile: &Value) -> bool {
    let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
    compiler.add_resource("kitfile.schema.json", schema()).expect("the schema is a document");
    let compiled = compiler.compile("kitfile.schema.json", &mut schemas);
    schemas.validate(kitfile, compiled.expect("the schema is one")).is_ok()
}

/// What an editor sees: YAML's own types, not ours.
fn seen(text: &str) -> Option<Value> {
    serde_yaml::from_str(text).ok()
}

#[test]
fn correct_kitfiles_are_valid() {
    let mut n_checked = 0;
    for (name, text) in cases(include_str!("../../testdata/values/cases.txt")) {
        let json = Kitfile::parse(&text).expect("correct").kitfile.to_json();
        assert!(is_valid(&serde_json::from_str(&json).expect("JSON")), "{name}: {json}");
        n_checked += 1;
    }
    assert!(n_checked > 15);
}

/// A schema cannot compare one field with another; what it can tell, it tells in the editor.
#[test]
fn wrong_kitfiles_are_invalid_as_far_as_a_schema_can_tell() {
    let beyond = [
        "the same path",
        "no path is the folder",
        "a key twice",
        "two servers",
        "within a remote dataset",
        "ModelKits elsewhere",
        "other addresses",
        "what is no reference",
        "paths that leave",
    ];
    for (name, text) in cases(include_str!("../../testdata/rules/cases.txt")) {
        let (refused, Some(seen)) = (Kitfile::parse(&text).is_err(), seen(&text)) else { continue };
        if refused
            && !beyond.iter().any(|beyond| name.contains(beyond))
            && !text.contains("nan")
            && !text.contains("!secret")
        {
            assert!(!is_valid(&seen), "{name}");
        }
        if is_valid(&seen) && !refused {
            assert!(
                Kitfile::parse(&text).expect("correct").warnings.is_empty()
                    || name.contains("hash"),
                "{name}"
            );
        }
    }
}

#[test]
fn the_tutorials_shape_is_valid_once_its_two_slips_are_put_right() {
    let text = "\
manifestVersion: 1.0.0
package:
  name: distilbert-sentiment
  version: 1.0.6
  authors: [Jo Doe]
model:
  name: distilbert-base-uncased
  framework: transformers
  version: 1.0
  path: ./fine_tuned_model
code:
  - path: ./code
    description: Inference and training
datasets:
  - path: ./datasets/sample_data.json
docs:
  - path: ./README.md
";
    assert!(is_valid(&seen(text).expect("YAML")));
    assert!(!is_valid(&seen(&text.replace("1.0.0", "v1.0.0")).expect("YAML")));
    assert!(!is_valid(&seen(&text.replace("[Jo Doe]", "Jo Doe")).expect("YAML")));
}

/// The parser lists the keys it knows when it meets another one.
#[test]
fn the_schema_has_the_parsers_keys() {
    let schema = schema();
    let check = |text: &str, section: &Value| {
        let told = Kitfile::parse(text).unwrap_err().to_string();
        let keys: Vec<_> = told.split_once("here may stand ").expect(&told).1.split(", ").collect();
        let names: Vec<_> = section["properties"]
            .as_object()
            .expect("a section")
            .keys()
            .map(String::as_str)
            .collect();
        let sorted = |mut names: Vec<&str>| {
            names.sort_unstable();
            names.join(" ")
        };
        assert_eq!(sorted(names), sorted(keys), "{text}");
    };
    let definitions = &schema["definitions"];
    check("unknownunknown: x", &schema);
    check("package: {unknownunknown: x}", &schema["properties"]["package"]);
    check("model: {unknownunknown: x}", &schema["properties"]["model"]);
    check("model: {parts: [{unknownunknown: x}]}", &definitions["part"]);
    check("code: [{unknownunknown: x}]", &definitions["code"]);
    check("datasets: [{unknownunknown: x}]", &definitions["dataset"]);
    check("docs: [{unknownunknown: x}]", &definitions["doc"]);
    check("prompts: [{unknownunknown: x}]", &definitions["prompt"]);
    check("mcpServers: [{unknownunknown: x}]", &definitions["mcpServer"]);
}
