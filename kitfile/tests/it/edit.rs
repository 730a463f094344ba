//! Edits of the model section: what changes, and that nothing else does.

use expect_test::{Expect, expect};
use kitfile::edit::set_model;
use kitfile::{Kitfile, Model, ModelPart};
use serde_json::json;

fn check(text: &str, change: impl FnOnce(&mut Model), expected: Expect) {
    let before = Kitfile::parse(text).expect("a correct Kitfile").kitfile;
    let mut model = before.model.clone().unwrap_or_default();
    change(&mut model);
    let edited = set_model(text, &model).unwrap_or_else(|error| panic!("{error}"));
    expected.assert_eq(&edited.replace("\r\n", "\n"));
    let after = Kitfile::parse(&edited).expect("still correct").kitfile;
    assert_eq!(after, Kitfile { model: Some(model), ..before });
}

const COMMENTED: &str = "\
# The project.
manifestVersion: 1.0.0   # the only one

package: { name: 'sentiment',  authors: [Jo] }
model:
  # Where it lies.
  path: ./base        # before training
  name: \"base\"

  framework:   transformers
  parts:
    - path: tokenizer.json # shared
# The rest.
docs:
- path: README.md
";

#[test]
fn only_what_differs_is_written_anew() {
    check(
        COMMENTED,
        |model| {
            model.path = "./fine_tuned_model".to_owned();
            model.name = "1.0".to_owned();
            model.parameters = json!({"epochs": 3, "labels": ["NEGATIVE", "POSITIVE"]});
            model.license = "MIT".to_owned();
        },
        expect![[r##"
            # The project.
            manifestVersion: 1.0.0   # the only one

            package: { name: 'sentiment',  authors: [Jo] }
            model:
              # Where it lies.
              path: ./fine_tuned_model        # before training
              name: "1.0"
              license: MIT

              framework:   transformers
              parts:
                - path: tokenizer.json # shared
              parameters:
                epochs: 3
                labels:
                  - NEGATIVE
                  - POSITIVE
            # The rest.
            docs:
            - path: README.md
        "##]],
    );
}

#[test]
fn a_field_that_is_gone_takes_its_lines_with_it() {
    check(
        COMMENTED,
        |model| {
            model.parts.clear();
            model.name.clear();
        },
        expect![[r#"
            # The project.
            manifestVersion: 1.0.0   # the only one

            package: { name: 'sentiment',  authors: [Jo] }
            model:
              # Where it lies.
              path: ./base        # before training

              framework:   transformers
            # The rest.
            docs:
            - path: README.md
        "#]],
    );
}

#[test]
fn an_equal_model_changes_nothing() {
    let model = Kitfile::parse(COMMENTED).unwrap().kitfile.model.unwrap();
    assert_eq!(set_model(COMMENTED, &model).unwrap(), COMMENTED);
    let text = "manifestVersion: v1.0.0\npackage: {authors: Jo}\nmodel: {path: m}";
    let model = Model { path: "m".to_owned(), ..Model::default() };
    assert_eq!(set_model(text, &model).unwrap(), text);
}

#[test]
fn layers_digests_are_left_out() {
    let mut model = Kitfile::parse(COMMENTED).unwrap().kitfile.model.unwrap();
    model.digest = Some("sha256:x".to_owned());
    assert_eq!(set_model(COMMENTED, &model).unwrap(), COMMENTED);
}

#[test]
fn a_new_section_comes_after_the_package() {
    let path = |model: &mut Model| model.path = "m".to_owned();
    check(
        "manifestVersion: 1.0.0\n# Code.\ncode:\n  - path: c # it\n",
        path,
        expect![[r#"
        manifestVersion: 1.0.0
        model:
          path: m
        # Code.
        code:
          - path: c # it
    "#]],
    );
    check(
        "docs: [{path: d}]\npackage:\n  name: x\n\nmanifestVersion: 1.0.0\n",
        path,
        expect![[r#"
        docs: [{path: d}]
        package:
          name: x

        manifestVersion: 1.0.0
        model:
          path: m
    "#]],
    );
    check(
        "code: []\n",
        path,
        expect![[r#"
        model:
          path: m
        code: []
    "#]],
    );
    check(
        "manifestVersion: 1.0.0",
        path,
        expect![[r#"
        manifestVersion: 1.0.0
        model:
          path: m"#]],
    );
    check(
        "manifestVersion: 1.0.0\n---\nmore: 1\n",
        path,
        expect![[r#"
        manifestVersion: 1.0.0
        model:
          path: m
        ---
        more: 1
    "#]],
    );
}

#[test]
fn an_empty_section_is_filled() {
    let path = |model: &mut Model| model.path = "m".to_owned();
    check(
        "manifestVersion: 1.0.0\nmodel: # to come\ncode: []\n",
        path,
        expect![[r#"
        manifestVersion: 1.0.0
        model:
          path: m
        code: []
    "#]],
    );
    check(
        "manifestVersion: 1.0.0\nmodel: {}\ncode: []\n",
        path,
        expect![[r#"
        manifestVersion: 1.0.0
        model:
          path: m
        code: []
    "#]],
    );
}

#[test]
fn sections_of_other_styles_are_replaced() {
    let path = |model: &mut Model| model.path = "new".to_owned();
    check(
        "manifestVersion: 1.0.0\nmodel: {path: old, name: n} # flow\ncode: []\n",
        path,
        expect![[r#"
        manifestVersion: 1.0.0
        model:
          name: "n"
          path: new
        code: []
    "#]],
    );
    check(
        "manifestVersion: 1.0.0\nmodel:\n  {path: old,\n   name: n}\n# c\ncode: []\n",
        path,
        expect![[r#"
        manifestVersion: 1.0.0
        model:
          name: "n"
          path: new
        # c
        code: []
    "#]],
    );
    check(
        "{\"manifestVersion\": \"1.0.0\",\n  \"model\": {\"path\": \"old\"}, \"code\": []}\n",
        path,
        expect![[r#"
        {"manifestVersion": "1.0.0",
          "model": {"path":"new"}, "code": []}
    "#]],
    );
    check(
        "{\"manifestVersion\": \"1.0.0\"}\n",
        path,
        expect![[r#"
        {"model": {"path":"new"}, "manifestVersion": "1.0.0"}
    "#]],
    );
}

#[test]
fn long_texts_and_windows_lines_are_kept() {
    let text = "manifestVersion: 1.0.0\r\nmodel:\r\n  description: |\r\n    one\r\n    two\r\n\r\n  path: m\r\ndocs: []\r\n";
    check(
        text,
        |model| model.description = "three\nfour\n".to_owned(),
        expect![[r#"
            manifestVersion: 1.0.0
            model:
              description: |
                three
                four

              path: m
            docs: []
        "#]],
    );
    check(
        text,
        |model| model.version = "2".to_owned(),
        expect![[r#"
            manifestVersion: 1.0.0
            model:
              description: |
                one
                two

              path: m
              version: "2"
            docs: []
        "#]],
    );
}

#[test]
fn windows_lines_stay_windows_lines() {
    let text = COMMENTED.replace('\n', "\r\n");
    let mut model = Kitfile::parse(&text).unwrap().kitfile.model.unwrap();
    model.parameters = json!({"a": [1], "b": "x\ny"});
    let edited = set_model(&text, &model).unwrap();
    assert_eq!(edited.matches('\n').count(), edited.matches("\r\n").count());
    assert!(edited.contains("parameters:\r\n    a:\r\n"));
}

#[test]
fn anchors_that_others_use_are_kept_or_refused() {
    let text = "manifestVersion: 1.0.0\nmodel:\n  path: &p m\n  license: &l MIT\ncode:\n  - path: c\n    license: *l\n";
    check(
        text,
        |model| model.path = "n".to_owned(),
        expect![[r#"
        manifestVersion: 1.0.0
        model:
          path: "n"
          license: &l MIT
        code:
          - path: c
            license: *l
    "#]],
    );
    let mut model = Kitfile::parse(text).unwrap().kitfile.model.unwrap();
    model.license = "ISC".to_owned();
    let error = set_model(text, &model).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot edit the Kitfile: its model section cannot be told from the rest of the text"
    );
}

#[test]
fn a_model_that_breaks_a_rule_is_refused() {
    let model = Model { path: "../m".to_owned(), ..Model::default() };
    assert!(set_model(COMMENTED, &model).is_err());
    let model = Model { path: "README.md".to_owned(), ..Model::default() };
    assert!(set_model(COMMENTED, &model).is_err());
    assert!(set_model("model: [", &Model::default()).is_err());
}

#[test]
fn a_new_field_stands_before_one_that_changes() {
    let text = "manifestVersion: 1.0.0\nmodel:\n  path: m\n  description: old # gone\n";
    check(
        text,
        |model| {
            model.license = "MIT".to_owned();
            model.description = "two\nlines".to_owned();
        },
        expect![[r#"
            manifestVersion: 1.0.0
            model:
              path: m
              license: MIT
              description: |-
                two
                lines
        "#]],
    );
}

/// Whatever changes in the model, the lines of the other sections stay as they are.
#[test]
fn any_change_keeps_the_rest() {
    let mut state: u64 = 3;
    let mut next = |limit: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).expect("31 bits") % limit
    };
    let values = ["", "", "x", "1.0", "two\nlines\n", "a: b # c", " lead", "ä"];
    let mut text = COMMENTED.to_owned();
    for _ in 0..500 {
        let mut model = Model { path: "m".to_owned(), ..Model::default() };
        for field in [
            &mut model.name,
            &mut model.license,
            &mut model.framework,
            &mut model.version,
            &mut model.description,
        ] {
            *field = values[next(values.len())].to_owned();
        }
        model.parts = (0..next(3))
            .map(|i| ModelPart { path: format!("p{i}"), ..ModelPart::default() })
            .collect();
        model.parameters =
            [json!(null), json!({"k": [1, "x\ny"]}), json!([]), json!("t")][next(4)].clone();
        text = set_model(&text, &model).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(Kitfile::parse(&text).expect("correct").kitfile.model, Some(model));
        let (head, tail) = (
            COMMENTED.split_once("model:").expect("there").0,
            COMMENTED.split_once("# The rest").expect("there").1,
        );
        assert!(text.starts_with(head) && text.ends_with(tail), "{text}");
    }
}

#[test]
fn parts_are_written_as_a_block() {
    let part = |path: &str| ModelPart { path: path.to_owned(), ..ModelPart::default() };
    check(
        COMMENTED,
        |model| model.parts.push(part("vocab.txt")),
        expect![[r##"
        # The project.
        manifestVersion: 1.0.0   # the only one

        package: { name: 'sentiment',  authors: [Jo] }
        model:
          # Where it lies.
          path: ./base        # before training
          name: "base"

          framework:   transformers
          parts:
            - path: tokenizer.json
            - path: vocab.txt
        # The rest.
        docs:
        - path: README.md
    "##]],
    );
}
