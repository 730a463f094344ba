//! Texts that are made to hurt: they are refused, quickly.

use std::time::{Duration, Instant};

use expect_test::{Expect, expect};
use kitfile::Kitfile;

/// Reads a text that is meant to be costly, and expects to be told so soon.
fn check(text: &str, problem: Expect) {
    let start = Instant::now();
    let told = Kitfile::parse(text).unwrap_err().to_string();
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    problem.assert_eq(&told);
}

#[test]
fn a_billion_laughs_are_not_laughed() {
    let mut text = String::from(
        "manifestVersion: 1.0.0\nmodel:\n  path: m\n  parameters:\n    a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n",
    );
    for i in 1..10 {
        let aliases = vec![format!("*a{}", i - 1); 10].join(", ");
        text += &format!("    a{i}: &a{i} [{aliases}]\n");
    }
    check(&text, expect!["9:49: too many values, once all aliases are written out"]);
}

#[test]
fn a_long_text_repeated_is_too_long() {
    let aliases = vec!["*a"; 5000].join(", ");
    let text = format!(
        "manifestVersion: 1.0.0\nmodel: {{path: m, parameters: [&a {}, {aliases}]}}\n",
        "x".repeat(10_000)
    );
    check(&text, expect!["2:11708: too many values, once all aliases are written out"]);
}

#[test]
fn deep_nesting_is_refused_before_it_is_built() {
    let n = 100_000;
    check(&("model: ".to_owned() + &"[".repeat(n)), expect!["1:263: recursion limit exceeded"]);
    check(&"{a: ".repeat(n), expect!["1:1021: recursion limit exceeded"]);
    check(&"- ".repeat(n), expect!["1:129: lists and maps lie more than 64 deep in each other"]);
    check(&"? ".repeat(n), expect!["1:129: lists and maps lie more than 64 deep in each other"]);
    check(
        &format!("{{\"a\": {}1{}}}", "[".repeat(n), "]".repeat(n)),
        expect!["1:261: recursion limit exceeded"],
    );
}

#[test]
fn a_block_that_deepens_line_by_line_is_refused() {
    let text: String = (0..1000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    check(&text, expect!["65:65: lists and maps lie more than 64 deep in each other"]);
}

#[test]
fn merges_of_merges_stay_bounded() {
    let mut text = String::from(
        "manifestVersion: 1.0.0\nmodel:\n  path: m\n  parameters:\n    m0: &m0 {a: 1}\n",
    );
    for i in 1..40 {
        text += &format!("    m{i}: &m{i} {{<<: [*m{0}, *m{0}], k{i}: 1}}\n", i - 1);
    }
    check(&text, expect!["18:27: too many values, once all aliases are written out"]);
}

#[test]
fn a_text_that_is_too_long_is_not_read() {
    check(
        &"#".repeat(2 << 20),
        expect!["longer than 1048576 bytes, the most that a Kitfile may have"],
    );
}

/// What is told may be long, but must not take long.
#[test]
fn many_problems_are_told_in_time() {
    let items = |item: &str, n: usize| vec![item; n].join(", ");
    let start = Instant::now();
    for text in [
        format!("code: [{}]", items("{path: /a}", 30_000)),
        format!("code: [{}]", items("{path: a}", 30_000)),
        format!("code: [{}]", items("{pth: a}", 30_000)),
        format!("code: [{}]", items("~, {path: ..}", 20_000)),
        format!("datasets: [{}, {{path: a/b}}]", items("{path: a, remotePath: 'b:c'}", 20_000)),
        format!("code: [&a {{path: '{}'}}, {}]", "x/".repeat(2000), items("*a", 900)),
        format!(
            "datasets: [{{path: a, remotePath: 'b:c'}}, {}]",
            items(&format!("{{path: 'a/{}'}}", "x/".repeat(2000)), 200)
        ),
        format!(
            "code: {{{}}}",
            (0..50_000).map(|i| format!("k{i}: 1")).collect::<Vec<_>>().join(", ")
        ),
    ] {
        assert!(Kitfile::parse(&text).is_err());
    }
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}

#[test]
fn nonsense_never_panics() {
    let pieces = [
        "manifestVersion: 1.0.0\n",
        "model:\n",
        "  path: m\n",
        "- ",
        "? ",
        ": ",
        "&a ",
        "*a",
        "<<: ",
        "[",
        "]",
        "{",
        "}",
        ",",
        "|\n",
        ">-\n",
        "'",
        "\"",
        "\\",
        "#",
        "---\n",
        "...\n",
        "%YAML 1.2\n",
        "!!str ",
        "!x ",
        "\t",
        "\r",
        "\u{feff}",
        "é",
        "\0",
        "code:\n",
        "x",
        "~",
        "  ",
        "\n",
    ];
    let mut state: u64 = 7;
    for _ in 0..30_000 {
        let mut text = String::new();
        for _ in 0..12 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            text += pieces[usize::try_from(state >> 33).expect("31 bits") % pieces.len()];
        }
        if let Ok(parsed) = Kitfile::parse(&text) {
            assert_eq!(
                Kitfile::parse(&parsed.kitfile.to_yaml()).expect("ours").kitfile,
                parsed.kitfile,
                "{text:?}"
            );
        }
        let model = kitfile::Model { path: "new".to_owned(), ..Default::default() };
        if let Ok(edited) = kitfile::edit::set_model(&text, &model) {
            assert_eq!(
                Kitfile::parse(&edited).expect("edited").kitfile.model,
                Some(model),
                "{text:?}"
            );
        }
    }
}

/// The seeds of the fuzz target hold its law, on every run of the tests.
#[test]
fn whatever_is_read_is_written_so_that_it_reads_the_same() {
    let seeds = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/kitfile");
    let mut n_read = 0;
    for seed in std::fs::read_dir(seeds).unwrap() {
        let text = std::fs::read_to_string(seed.unwrap().path()).unwrap();
        let Ok(parsed) = Kitfile::parse(&text) else { continue };
        n_read += 1;
        assert_eq!(Kitfile::parse(&parsed.kitfile.to_yaml()).unwrap().kitfile, parsed.kitfile);
        assert_eq!(
            Kitfile::from_json(parsed.kitfile.to_json().as_bytes()).unwrap(),
            parsed.kitfile
        );
    }
    assert!(n_read >= 6, "{n_read}");
}
