//! What unquoted YAML means, and how values are written, held against kit's own.

use kitfile::Kitfile;

use crate::cases;

const CASES: &str = include_str!("../../testdata/values/cases.txt");

fn parsed(name: &str, text: &str) -> Kitfile {
    Kitfile::parse(text).unwrap_or_else(|problems| panic!("{name}: {problems}")).kitfile
}

#[test]
fn both_forms_are_those_that_kit_writes() {
    let kit = cases(include_str!("../../testdata/values/kit.txt"));
    assert_eq!(kit.len(), cases(CASES).len());
    for ((name, text), (_, kit)) in cases(CASES).into_iter().zip(kit) {
        let kitfile = parsed(&name, &text);
        assert_eq!(
            format!("{}\n{}", kitfile.to_json(), kitfile.to_yaml()).trim_end(),
            kit.trim_end(),
            "{name}"
        );
    }
}

#[test]
fn what_was_written_is_read_again() {
    for (name, text) in cases(CASES) {
        let kitfile = parsed(&name, &text);
        assert_eq!(parsed(&name, &kitfile.to_yaml()), kitfile, "{name}, YAML");
        assert_eq!(
            Kitfile::from_json(kitfile.to_json().as_bytes()).unwrap(),
            kitfile,
            "{name}, JSON"
        );
    }
}

/// Another reader of YAML, libyaml's, understands what we write the same way.
#[test]
fn another_reader_reads_the_same() {
    for (name, text) in cases(CASES) {
        let kitfile = parsed(&name, &text);
        let other: Kitfile = serde_yaml::from_str(&kitfile.to_yaml()).expect("YAML");
        assert_eq!(other.to_json(), kitfile.to_json(), "{name}");
    }
}

/// The law `parse ∘ print = id` for texts made of the characters that YAML has a use for.
#[test]
fn any_text_survives_being_written() {
    let letters: Vec<char> =
        "ab1-+.:#,?!&*|>%@`'\"[]{}=~_ \n\t\r\0\u{7f}\u{85}\u{a0}é\u{2028}\u{feff}\u{fffd}😀\\<"
            .chars()
            .collect();
    let mut state: u64 = 42;
    let mut next = |limit: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).expect("31 bits") % limit
    };
    for _ in 0..20_000 {
        let length = next(7);
        let text: String = (0..length).map(|_| letters[next(letters.len())]).collect();
        let mut kitfile = Kitfile { manifest_version: "1.0.0".to_owned(), ..Kitfile::default() };
        kitfile.package.description.clone_from(&text);
        kitfile.package.authors = vec![text.clone(), "x".to_owned()];
        let parameters = serde_json::json!({ &*text: [text, [text], {"k": text}] });
        kitfile.model =
            Some(kitfile::Model { path: "m".to_owned(), parameters, ..Default::default() });
        let yaml = kitfile.to_yaml();
        let again = Kitfile::parse(&yaml)
            .unwrap_or_else(|problems| panic!("{text:?}: {problems}\n{yaml}"))
            .kitfile;
        assert_eq!(again, kitfile, "{text:?}\n{yaml}");
    }
}

#[test]
fn digests_stand_in_json_only_and_last() {
    let text =
        "manifestVersion: 1.0.0\nmodel: {path: m, parameters: {digest: kept}}\ndocs: [{path: d}]\n";
    let mut kitfile = parsed("digests", text);
    for entry in kitfile.entries_mut() {
        *entry.digest = Some(format!("sha256:{}", entry.path));
        *entry.diff_id = Some("sha256:x".to_owned());
    }
    let json = r#"{"manifestVersion":"1.0.0","package":{},"model":{"path":"m","parameters":{"digest":"kept"},"digest":"sha256:m","diffId":"sha256:x"},"docs":[{"path":"d","digest":"sha256:d","diffId":"sha256:x"}]}"#;
    assert_eq!(kitfile.to_json(), json);
    assert_eq!(Kitfile::from_json(json.as_bytes()).unwrap(), kitfile);
    assert!(!kitfile.to_yaml().contains("sha256") && kitfile.to_yaml().contains("digest: kept"));
}

#[test]
fn json_of_other_versions_is_read() {
    let json = br#"{"manifestVersion":"1.0.0","future":1,"model":{"path":"m","more":{}},"docs":null,"code":[{"path":"c","x":[]}]}"#;
    let kitfile = Kitfile::from_json(json).unwrap();
    assert_eq!(kitfile.model.unwrap().path, "m");
    assert_eq!((kitfile.docs.len(), kitfile.code.len()), (0, 1));
    assert!(Kitfile::from_json(b"{\"model\": 3}").is_err());
}
