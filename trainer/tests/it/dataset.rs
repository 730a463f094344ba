//! Datasets in all their forms, and what is wrong with them.

use expect_test::{Expect, expect};
use kit_trainer::{Columns, Dataset, Example, ReadOptions, Target, Task};

/// Reads a dataset of this name and content, and shows it, or what is wrong with it.
fn read(name: &str, content: impl AsRef<[u8]>) -> String {
    read_with(name, content, &ReadOptions::default())
}

fn read_with(name: &str, content: impl AsRef<[u8]>, options: &ReadOptions) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs_err::write(folder.path().join(name), content).expect("written");
    shown(Dataset::read(&[folder.path().join(name)], options), folder.path())
}

/// What was read, in short.
fn shown(read: kit_trainer::Result<Dataset>, folder: &std::path::Path) -> String {
    match read {
        Ok(Dataset { examples, labels, skipped, .. }) => {
            let examples: Vec<_> =
                examples.iter().map(|e| format!("{}={}", e.text, target(&e.target))).collect();
            let skipped: Vec<_> = skipped.iter().map(|problem| format!("; {problem}")).collect();
            format!("{} of {}{}", examples.join(" "), labels.join(" "), skipped.concat())
        }
        Err(error) => {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            let shown = format!("{error}{}", cause.unwrap_or_default());
            shown.replace(&*folder.to_string_lossy(), "")
        }
    }
}

/// A label, labels in brackets, or a figure.
fn target(target: &Target) -> String {
    match target {
        Target::Label(label) => label.to_string(),
        Target::Labels(labels) => format!("{labels:?}").replace(' ', ""),
        Target::Value(value) => value.to_string(),
    }
}

fn check(name: &str, content: impl AsRef<[u8]>, expect: Expect) {
    expect.assert_eq(&read(name, content));
}

#[test]
fn every_form_gives_the_same_examples() {
    let expected = "x=1 y=0 of LABEL_0 LABEL_1";
    let rows = r#"{"text": "x", "label": 1}, {"text": "y", "label": 0, "id": 7}"#;
    assert_eq!(read("a.json", format!(r#"{{"samples": [{rows}], "about": "us"}}"#)), expected);
    assert_eq!(read("a.json", format!("[{rows}]")), expected);
    let lines = rows.replace("}, {", "}\n\n{");
    assert_eq!(read("a.jsonl", &lines), expected);
    assert_eq!(read("a.json", &lines), expected);
}

#[test]
fn labels_that_are_texts_are_sorted() {
    check(
        "a.json",
        r#"[{"text": "x", "label": "pos"}, {"text": "y", "label": "neg"}, {"text": "z", "label": "pos"}]"#,
        expect!["x=1 y=0 z=1 of neg pos"],
    );
}

#[test]
fn marks_of_the_byte_order_and_blanks_around_labels_do_not_count() {
    for (name, content) in [
        (
            "a.jsonl",
            "\u{feff}{\"text\": \"x\", \"label\": \"b\"}\n{\"text\": \"y\", \"label\": \"a\"}\n",
        ),
        (
            "a.json",
            "\u{feff}[{\"text\": \"x\", \"label\": \"b\"}, {\"text\": \"y\", \"label\": \"a\"}]",
        ),
        ("a.csv", "\u{feff}text, label\nx, b\ny,a \n"),
    ] {
        assert_eq!(read(name, content), "x=1 y=0 of a b", "{name}");
    }
}

#[test]
fn a_document_of_another_kind_is_told_as_a_whole() {
    check(
        "a.json",
        "{\"data\": [\n{\"text\": \"x\", \"label\": 1},\n{\"text\": \"y\", \"label\": 0}]}",
        expect!["cannot parse the dataset /a.json: it has no list at `samples`"],
    );
    check(
        "a.csv",
        "text,label,label\nx,1,2\n",
        expect![[r#"cannot read the dataset /a.csv: it has two columns "label""#]],
    );
}

/// The right values are those of `run_classification.py` in transformers: a class for each
/// different label, sorted.
#[test]
fn every_format_takes_the_same_for_a_label() {
    for (labels, expected) in [
        (["101", "910", "205"], "t0=0 t1=2 t2=1 of 101 205 910"),
        (["1", "3", "2"], "t0=0 t1=2 t2=1 of 1 2 3"),
        (["1", "-1", "0"], "t0=2 t1=0 t2=1 of -1 0 1"),
        (["2024", "2023", "2024"], "t0=1 t1=0 t2=1 of 2023 2024"),
        (["1", "0", "2"], "t0=1 t1=0 t2=2 of LABEL_0 LABEL_1 LABEL_2"),
        (["1.0", "0.0", "1.0"], "t0=1 t1=0 t2=1 of LABEL_0 LABEL_1"),
        (["10", "9", "8"], "t0=2 t1=1 t2=0 of 8 9 10"),
    ] {
        let rows = |label: &dyn Fn(&str) -> String, separator: &str| {
            let rows = labels
                .iter()
                .enumerate()
                .map(|(n, one)| label(one).replace("TEXT", &format!("t{n}")));
            rows.collect::<Vec<_>>().join(separator)
        };
        let number = rows(&|label| format!(r#"{{"text": "TEXT", "label": {label}}}"#), "\n");
        let text = rows(&|label| format!(r#"{{"text": "TEXT", "label": "{label}"}}"#), ",");
        let cells = rows(&|label| format!("TEXT,{label}"), "\n");
        assert_eq!(read("a.jsonl", number), expected, "{labels:?}");
        assert_eq!(read("a.json", format!("[{text}]")), expected, "{labels:?}");
        assert_eq!(read("a.csv", format!("text,label\n{cells}")), expected, "{labels:?}");
        let cells = cells.replace(',', "\t");
        assert_eq!(read("a.tsv", format!("text\tlabel\n{cells}")), expected, "{labels:?}");
    }
}

#[test]
fn labels_are_names_where_that_is_said() {
    let names = ReadOptions { labels_are_names: true, ..ReadOptions::default() };
    let content = "text,label\nx,1\ny,0\nz,3.8\nv,no\n";
    assert_eq!(read_with("a.csv", content, &names), "x=1 y=0 z=2 v=3 of 0 1 3.8 no");
    check(
        "a.csv",
        content,
        expect![[
            r#"the dataset /a.csv has rows that cannot be used: line 4: its label "3.8" is no whole number; line 5: its label "no" is a text, and the others are numbers"#
        ]],
    );
}

#[test]
fn rows_that_are_left_out_are_counted() {
    let skip = ReadOptions { skip_bad_rows: true, ..ReadOptions::default() };
    let found = read_with("a.csv", "text,label\nlabel,text\nx,1\n,1\ny,0\nz\n", &skip);
    expect![[r#"x=1 y=0 of LABEL_0 LABEL_1; line 2: its label "text" is a text, and the others are numbers; line 4: its text is empty; line 6: it has 1 cells, and the header has 2"#]].assert_eq(&found);
    let found = read_with(
        "a.jsonl",
        "{\"text\": \"x\", \"label\": 1}\n{\"text\": \"\\ud83d\", \"label\": 1}",
        &skip,
    );
    expect!["x=0 of 1; line 2: no JSON: a surrogate without its other half at column 17"]
        .assert_eq(&found);
}

#[test]
fn files_of_another_kind_are_told_what_they_are() {
    check(
        "a.txt",
        "I love it\t1\n",
        expect![
            "cannot read the dataset /a.txt: its name does not tell what it is: it ends in .json, .jsonl, .ndjson, .csv, .tsv or .parquet"
        ],
    );
    check(
        "a.csv.gz",
        b"\x1f\x8b\x08\x00rest",
        expect![
            "cannot read the dataset /a.csv.gz: it is compressed: unpack it first, with gunzip"
        ],
    );
    check(
        "a.csv",
        b"\xff\xfet\0e\0x\0t\0",
        expect![
            "cannot read the dataset /a.csv: it is UTF-16: save it as UTF-8, or iconv -f UTF-16 -t UTF-8"
        ],
    );
    check(
        "a.jsonl",
        b"{\0\"\0t\0e\0",
        expect![
            "cannot read the dataset /a.jsonl: it is UTF-16: save it as UTF-8, or iconv -f UTF-16 -t UTF-8"
        ],
    );
    check(
        "a.csv",
        b"text,label\nx,1\ncaf\xe9,0\n",
        expect![
            "cannot read the dataset /a.csv: line 3 is not UTF-8, it has a byte 0xe9: save it as UTF-8, or, if it is Latin-1, iconv -f LATIN1 -t UTF-8"
        ],
    );
    check(
        "a.csv",
        "review,stars\nx,1\n",
        expect![[r#"the dataset /a.csv has no column "text", only review, stars"#]],
    );
    check(
        "a.jsonl",
        "{\"review\": \"x\", \"label\": 1}\n{\"review\": \"y\", \"label\": 0}",
        expect![[r#"the dataset /a.jsonl has no column "text", only label, review"#]],
    );
}

/// As pandas reads them.
#[test]
fn carriage_returns_alone_end_lines_too() {
    assert_eq!(read("a.csv", "text,label\rx,1\ry,0\r"), "x=1 y=0 of LABEL_0 LABEL_1");
    let lines = "{\"text\": \"x\", \"label\": 1}\r{\"text\": \"y\", \"label\": 0}\r";
    assert_eq!(read("a.jsonl", lines), "x=1 y=0 of LABEL_0 LABEL_1");
}

#[test]
fn what_is_told_of_a_dataset_is_bounded() {
    let lines =
        (0..20_000).map(|_| "{}\n").collect::<String>() + "{\"text\": \"x\", \"label\": \"y\"}";
    let wide = "x".repeat(1 << 20);
    let wide_label = format!("text,label\nx,1\ny,2\nz,{wide}\n");
    let header =
        format!("{}\n", (0..9999).map(|n| format!("column{n}")).collect::<Vec<_>>().join(","));
    for (name, content) in [
        ("a.jsonl", lines),
        ("a.csv", wide_label),
        ("a.csv", format!("{wide}\n")),
        ("a.csv", header),
    ] {
        let told = read(name, content);
        assert!(told.len() < 2000, "{} bytes: {}", told.len(), &told[..200]);
    }
    let many = (0..10_001).map(|n| format!("x,{n}\n")).collect::<String>();
    check(
        "a.csv",
        format!("text,label\n{many}"),
        expect![[
            r#"cannot read the dataset /a.csv: it has 10001 different labels, and at most 10000 are taken: is "label" their column?"#
        ]],
    );
}

#[test]
fn the_lines_of_all_bad_rows_are_told() {
    let content = "{\"text\": \"x\"}\n".repeat(30) + "{\"label\": \"y\"}";
    let told = read("a.jsonl", &content);
    assert!(
        told.ends_with("; and 11 more, in lines 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31"),
        "{told}"
    );
}

fn labelled_by(labels: &[&str]) -> Columns {
    let labels = labels.iter().map(|label| (*label).to_owned()).collect();
    Columns { labels, ..Columns::default() }
}

/// What pandas finds with `sep=None`, or with the one that is named.
#[test]
fn cells_are_separated_by_whatever_separates_the_header() {
    for (name, content) in [
        ("a.csv", "text\tlabel\nx, or not\t1\ny\t0\n"),
        ("a.csv", "text;label\r\n\"x, or not\";1\r\ny;0\r\n"),
        ("a.tsv", "id|text|label\n0|x, or not|1\n1|y|0\n"),
        ("a.tsv", "text,label\n\"x, or not\",1\ny,0\n"),
    ] {
        assert_eq!(read(name, content), "x, or not=1 y=0 of LABEL_0 LABEL_1", "{content:?}");
    }
    let asked = ReadOptions { delimiter: Some(b'~'), ..ReadOptions::default() };
    let found = read_with("a.csv", "text~label\nx,y~1\nz~0\n", &asked);
    assert_eq!(found, "x,y=1 z=0 of LABEL_0 LABEL_1");
    expect![[r#"the dataset /a.csv has no column "text", only text,label"#]].assert_eq(&read_with(
        "a.csv",
        "text,label\nx,1\n",
        &asked,
    ));
}

#[test]
fn truth_values_are_the_same_labels_however_they_are_written() {
    let expected = "x=1 y=0 of false true";
    assert_eq!(read("a.csv", "text,label\nx,True\ny,False\n"), expected);
    let lines = "{\"text\": \"x\", \"label\": true}\n{\"text\": \"y\", \"label\": false}";
    assert_eq!(read("a.jsonl", lines), expected);
    let names = ReadOptions { labels_are_names: true, ..ReadOptions::default() };
    assert_eq!(read_with("a.csv", "text,label\nx,True\ny,no\n", &names), "x=0 y=1 of True no");
    assert_eq!(read("a.csv", "text,label\nx,True\ny,no\n"), "x=0 y=1 of True no");
}

/// Lists of names as `run_classification.py` of transformers takes them, the columns of Jigsaw's
/// data, and lists of 0 and 1.
#[test]
fn several_labels_at_once_are_said_in_many_ways() {
    let expected = "x=[0,1] y=[] z=[1] of a b";
    let rows = r#"{"text": "x", "label": ["b", "a"]}, {"text": "y", "label": []}, {"text": "z", "label": ["b"]}"#;
    assert_eq!(read("a.json", format!("[{rows}]")), expected);
    for cells in [
        ["\"[\"\"b\"\", \"\"a\"\"]\"", "[]", "[\"\"b\"\"]"].map(|cell| {
            if cell.starts_with("[\"") { format!("\"{cell}\"") } else { cell.to_owned() }
        }),
        ["\"['b', 'a']\"", "[]", "['b']"].map(str::to_owned),
    ] {
        let [x, y, z] = cells;
        assert_eq!(read("a.csv", format!("text,label\nx,{x}\ny,{y}\nz,{z}\n")), expected);
    }
    let separated = ReadOptions { label_separator: Some("|".to_owned()), ..ReadOptions::default() };
    let content = "text,label\nx,b | a\ny,\nz,b\n";
    assert_eq!(read_with("a.csv", content, &separated), expected);
    let flags = ReadOptions { columns: labelled_by(&["a", "b"]), ..ReadOptions::default() };
    assert_eq!(read_with("a.csv", "text,a,b\nx,1,1\ny,0,0\nz,False,1.0\n", &flags), expected);
    let hot = r#"{"text": "x", "label": [1, 1]}, {"text": "y", "label": [0, 0]}, {"text": "z", "label": [0, 1.0]}"#;
    assert_eq!(read("a.json", format!("[{hot}]")), expected.replace("a b", "LABEL_0 LABEL_1"));
    let numbers = r#"{"text": "x", "label": [2, 0]}, {"text": "y", "label": [1]}, {"text": "z", "label": []}"#;
    assert_eq!(
        read("a.json", format!("[{numbers}]")),
        "x=[0,2] y=[1] z=[] of LABEL_0 LABEL_1 LABEL_2"
    );
    let yes = ReadOptions { task: Some(Task::MultiLabel), ..ReadOptions::default() };
    assert_eq!(read_with("a.csv", "text,label\nx,1\ny,0\n", &yes), "x=[0] y=[] of label");
}

#[test]
fn what_is_no_label_of_several_is_named() {
    let flags = ReadOptions { columns: labelled_by(&["a", "b"]), ..ReadOptions::default() };
    expect![[r#"the dataset /a.csv has rows that cannot be used: line 2: it has "2" for one of its labels, and neither 0 nor 1; line 3: it has "" for one of its labels, and neither 0 nor 1"#]].assert_eq(&read_with("a.csv", "text,a,b\nx,1,2\ny,,0\n", &flags));
    check(
        "a.jsonl",
        "{\"text\": \"x\", \"label\": [\"a\", \"a\"]}\n{\"text\": \"y\", \"label\": [null]}\n{\"text\": \"z\", \"label\": [\"a\", 1]}\n{\"text\": \"v\"}",
        expect![[
            r#"the dataset /a.jsonl has rows that cannot be used: line 1: it has the label "a" twice; line 2: it has no "label"; line 3: its label "1" is a number, and the others are texts; line 4: it has no "label""#
        ]],
    );
    let single = ReadOptions { task: Some(Task::SingleLabel), ..ReadOptions::default() };
    expect![[r#"the dataset /a.jsonl has rows that cannot be used: line 1: its label is a list, and one label is learned"#]].assert_eq(&read_with("a.jsonl", "{\"text\": \"x\", \"label\": [1]}", &single));
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    let refused = |options: ReadOptions, expected: &str| {
        let found = read_with("a.csv", "text,label,b\nx,1,0\n", &options);
        assert_eq!(found, format!("cannot read the dataset /a.csv: {expected}"));
    };
    let two = || ReadOptions { columns: labelled_by(&["label", "b"]), ..ReadOptions::default() };
    let separated =
        || ReadOptions { label_separator: Some("|".to_owned()), ..ReadOptions::default() };
    let (single, figure) = (Some(Task::SingleLabel), Some(Task::Regression));
    let expected = "several columns of labels are for several labels at once";
    refused(ReadOptions { task: single, ..two() }, expected);
    refused(
        ReadOptions { task: figure, ..two() },
        "a regression learns from one column of figures",
    );
    let expected = "a separator of labels is for several labels at once";
    refused(ReadOptions { task: single, ..separated() }, expected);
    refused(ReadOptions { task: figure, ..separated() }, expected);
    let names = ReadOptions { labels_are_names: true, ..ReadOptions::default() };
    refused(ReadOptions { task: figure, ..names }, "figures are no names");
    let expected = "labels are in several columns, or in one with a separator, and not in both";
    refused(ReadOptions { columns: labelled_by(&["label", "b"]), ..separated() }, expected);
    let asked = ReadOptions { delimiter: Some(b';'), ..ReadOptions::default() };
    expect!["cannot read the dataset /a.jsonl: a delimiter is asked for, and its name ends in neither .csv nor .tsv"].assert_eq(&read_with("a.jsonl", "{}", &asked));
}

#[test]
fn figures_are_numbers() {
    let figures = ReadOptions { task: Some(Task::Regression), ..ReadOptions::default() };
    let found = read_with("a.csv", "text,label\nx,3.8\ny,-1e-3\nz,2\n", &figures);
    assert_eq!(found, "x=3.8 y=-0.001 z=2 of LABEL_0");
    let lines = "{\"text\": \"x\", \"label\": 3.8}\n{\"text\": \"y\", \"label\": \"4\"}";
    assert_eq!(read_with("a.jsonl", lines, &figures), "x=3.8 y=4 of LABEL_0");
    expect![[r#"the dataset /a.csv has rows that cannot be used: line 2: its label "3,8" is no number; line 3: its label "" is no number; line 4: its label "inf" is no number; line 5: its label "good" is no number"#]].assert_eq(&read_with("a.csv", "text,label\nx,\"3,8\"\ny,\nz,inf\nv,good\n", &figures));
}

#[test]
fn pairs_have_a_second_text() {
    let columns = Columns { pair: Some("hypothesis".to_owned()), ..Columns::default() };
    let options = ReadOptions { columns, ..ReadOptions::default() };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("a.csv");
    fs_err::write(&path, "hypothesis,text,label\ny,x,1\nv,u,0\n").expect("written");
    let dataset = Dataset::read(&[&path], &options).expect("readable");
    let pair = |text: &str, pair: &str, label| Example {
        pair: Some(pair.to_owned()),
        ..Example::labelled(text, label)
    };
    assert_eq!(dataset.examples, [pair("x", "y", 1), pair("u", "v", 0)]);
    let alone: Vec<Example> =
        dataset.examples.iter().map(|e| Example { pair: None, ..e.clone() }).collect();
    assert_ne!(dataset.digest(), Dataset { examples: alone, ..dataset }.digest());
    expect![[r#"the dataset /a.csv has rows that cannot be used: line 2: its second text is empty; line 3: its text is empty"#]].assert_eq(&read_with("a.csv", "text,hypothesis,label\nx,,1\n,y,1\n", &options));
    expect![[r#"the dataset /a.csv has no column "hypothesis", only text, label"#]]
        .assert_eq(&read_with("a.csv", "text,label\nx,1\n", &options));
}

#[test]
fn several_files_are_one_dataset_and_a_bad_row_has_a_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let put = |name: &str, content: &str| {
        let path = folder.path().join(name);
        fs_err::write(&path, content).expect("written");
        path
    };
    let paths =
        [put("1.csv", "text,label\nx,b\n"), put("2.jsonl", "{\"text\": \"y\", \"label\": \"a\"}")];
    let both = Dataset::read(&paths, &ReadOptions::default());
    assert_eq!(shown(both, folder.path()), "x=1 y=0 of a b");
    let paths =
        [paths[0].clone(), put("3.csv", "text,label\nx,c\n,d\n"), put("4.csv", "text,label\n,e\n")];
    let bad = Dataset::read(&paths, &ReadOptions::default());
    expect!["the dataset /3.csv has rows that cannot be used: line 3: its text is empty"]
        .assert_eq(&shown(bad, folder.path()));
    let skip = ReadOptions { skip_bad_rows: true, ..ReadOptions::default() };
    let dataset = Dataset::read(&paths, &skip).expect("some rows are good");
    let places: Vec<_> = dataset.skipped.iter().map(|one| (one.path.clone(), one.line)).collect();
    assert_eq!(places, [(paths[1].clone(), 3), (paths[2].clone(), 2)]);
}

/// A label of which there are few examples is on both sides, also where others come with it.
#[test]
fn a_split_has_rare_labels_on_both_sides() {
    let several = |n: usize| match n % 10 {
        0 => vec![0, 1],
        1 | 2 => vec![1],
        3 => vec![],
        _ => vec![2],
    };
    let examples = (0..100).map(|n| Example::of(format!("t{n}"), Target::Labels(several(n))));
    let dataset = Dataset {
        examples: examples.collect(),
        labels: ["a", "b", "c"].map(str::to_owned).to_vec(),
        task: Task::MultiLabel,
        ..Dataset::default()
    };
    let split = dataset.split(0.2, 3).expect("a share");
    let count = |examples: &[Example], label: usize| {
        examples.iter().filter(|example| example.target.labels().contains(&label)).count()
    };
    let counts =
        [0, 1, 2].map(|label| (count(&split.train, label), count(&split.validation, label)));
    assert_eq!(counts, [(8, 2), (24, 6), (48, 12)]);
    let figures = (0..10).map(|n| Example::of(format!("t{n}"), Target::Value(n as f64)));
    let dataset = Dataset {
        examples: figures.collect(),
        labels: vec!["LABEL_0".to_owned()],
        task: Task::Regression,
        ..Dataset::default()
    };
    let split = dataset.split(0.2, 3).expect("a share");
    assert_eq!((split.train.len(), split.validation.len()), (8, 2));
}

#[test]
fn a_share_is_from_zero_to_below_one() {
    for share in [-0.1, 1.0, 20.0, f64::NAN] {
        assert!(uneven().split(share, 1).is_err(), "{share}");
    }
    let mut once_each = uneven();
    once_each.examples = [0, 1].map(|label| once_each.examples[2 - 2 * label].clone()).to_vec();
    let error = once_each.split(0.2, 1).expect_err("nothing can be held out").to_string();
    assert!(error.contains("no label has two examples"), "{error}");
    assert_eq!(once_each.split(0.0, 1).expect("nothing is asked for").train.len(), 2);
}

#[test]
fn labels_of_another_kind_are_told_by_the_one_that_is_unknown() {
    let known = ["bad", "good"].map(str::to_owned);
    let numbered = |n: usize| Dataset {
        labels: (0..n).map(|n| format!("LABEL_{n}")).collect(),
        ..Dataset::default()
    };
    let error = numbered(3).aligned_to(&known).expect_err("three labels are too many").to_string();
    assert!(error.contains("\"LABEL_2\""), "{error}");
    assert!(numbered(2).aligned_to(&[]).is_err());
    let twice = ["bad", "bad"].map(str::to_owned);
    let error = numbered(2).aligned_to(&twice).expect_err("which is which?").to_string();
    assert!(error.contains("two labels \"bad\""), "{error}");
    assert_eq!(numbered(2).aligned_to(&known).expect("two numbers").labels, known);
}

#[test]
fn every_bad_row_is_named() {
    check(
        "a.json",
        r#"[{"text": "x", "label": 1}, {"label": 1}, {"text": "y"}, 3, {"text": " ", "label": 0},
            {"text": "z", "label": -1}, {"text": 1, "label": 1}, {"text": "w", "label": "no"}, {"text": "v", "label": {}}]"#,
        expect![[
            r#"the dataset /a.json has rows that cannot be used: line 1: it has no "text"; line 1: it has no "label"; line 1: no object with text and label; line 1: its text is empty; line 2: its text is not a string; line 2: its label "no" is a text, and the others are numbers; line 2: its label is neither a text nor a number"#
        ]],
    );
    check(
        "a.jsonl",
        "{\"text\": \"x\", \"label\": 1}\n\n{\"text\": \"y\", \"label\": 1",
        expect![
            "the dataset /a.jsonl has rows that cannot be used: line 3: no JSON: EOF while parsing an object at column 24"
        ],
    );
}

#[test]
fn csv_has_quotes_lines_and_named_columns() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("a.csv");
    let content =
        "\u{feff}id,Review,stars\r\n1,\"good, \"\"really\"\"\n good\",pos\r\n\r\n2,bad,neg\r\n";
    fs_err::write(&path, content).expect("written");
    let columns = Columns { text: "Review".to_owned(), ..labelled_by(&["stars"]) };
    let options = ReadOptions { columns, ..ReadOptions::default() };
    let dataset = Dataset::read(&[&path], &options).expect("readable");
    let rows = [("good, \"really\"\n good", 1), ("bad", 0)];
    assert_eq!(dataset.examples, rows.map(|(text, label)| Example::labelled(text, label)));
    assert_eq!(dataset.labels, ["neg", "pos"]);
    assert_eq!(read("a.tsv", "label\ttext\n1\tx\n0\ty"), "x=1 y=0 of LABEL_0 LABEL_1");
}

#[test]
fn bad_rows_of_csv_are_named_by_their_line() {
    check(
        "a.csv",
        "text,stars\nx,1\n",
        expect![[r#"the dataset /a.csv has no column "label", only text, stars"#]],
    );
    check("a.csv", "", expect!["cannot read the dataset /a.csv: it has no header"]);
    check(
        "a.csv",
        "text,label\n\"two\nlines\",1\nx\n,0\n\"y\"z,1\nw,no\nx,1,2\n\"v,1\n",
        expect![[
            r#"the dataset /a.csv has rows that cannot be used: line 4: it has 1 cells, and the header has 2; line 5: its text is empty; line 6: there is text after a closing quote; line 7: its label "no" is a text, and the others are numbers; line 8: it has 3 cells, and the header has 2; line 9: a quote is never closed"#
        ]],
    );
}

#[test]
fn a_broken_document_says_where() {
    check(
        "a.json",
        "{\"samples\": [\n  {\"text\": \"x\", \"label\": 1},,\n]}",
        expect!["cannot parse the dataset /a.json: expected value at line 2 column 29"],
    );
}

/// Sixty examples of label 0, forty of label 1.
fn uneven() -> Dataset {
    let rows =
        (0..100).map(|n| format!(r#"{{"text": "t{n}", "label": {}}}"#, usize::from(n % 5 < 2)));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("rows.jsonl");
    fs_err::write(&path, rows.collect::<Vec<_>>().join("\n")).expect("written");
    Dataset::read(&[&path], &ReadOptions::default()).expect("readable")
}

#[test]
fn a_split_keeps_the_shares_of_the_labels() {
    let split = uneven().split(0.2, 1).expect("a share");
    let count = |examples: &[kit_trainer::Example], label| {
        examples.iter().filter(|e| e.target == Target::Label(label)).count()
    };
    assert_eq!((count(&split.validation, 0), count(&split.validation, 1)), (12, 8));
    assert_eq!((count(&split.train, 0), count(&split.train, 1)), (48, 32));
    assert!(split.train.iter().all(|example| !split.validation.contains(example)));
}

#[test]
fn a_split_depends_on_the_seed_only() {
    assert_eq!(uneven().split(0.2, 1).expect("a share"), uneven().split(0.2, 1).expect("a share"));
    assert_ne!(uneven().split(0.2, 1).expect("a share"), uneven().split(0.2, 2).expect("a share"));
    assert!(uneven().split(0.0, 1).expect("a share").validation.is_empty());
}

#[test]
fn examples_are_numbered_as_the_classifier_numbers_its_labels() {
    let dataset = || {
        let mut dataset = uneven();
        dataset.labels = vec!["no".to_owned(), "yes".to_owned()];
        dataset
    };
    let labels = ["yes", "maybe", "no"].map(str::to_owned);
    let aligned = dataset().aligned_to(&labels).expect("all labels are known");
    let targets = [0, 2].map(|n| aligned.examples[n].target.clone());
    assert_eq!(targets, [Target::Label(0), Target::Label(2)]);
    let error = dataset().aligned_to(&labels[..2]).expect_err("no is unknown");
    expect![[r#"the dataset's label "no" is none of the classifier's: yes, maybe"#]]
        .assert_eq(&error.to_string());
    let numbered = uneven().aligned_to(&labels).expect("numbers are kept");
    assert_eq!(numbered.examples, uneven().examples);
}

#[test]
fn the_digest_is_that_of_texts_and_labels() {
    let mut other = uneven();
    assert_eq!(other.digest(), uneven().digest());
    other.examples[3].target = Target::Label(1 - other.examples[3].target.labels()[0]);
    assert_ne!(other.digest(), uneven().digest());
}

/// Files that `pyarrow` wrote; `testdata/parquet/make.py` is how.
#[cfg(feature = "parquet")]
mod parquet {
    use std::path::PathBuf;

    use super::*;

    fn testdata(name: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/parquet").join(name)
    }

    #[test]
    fn class_labels_have_their_names() {
        let Dataset { examples, labels, .. } =
            Dataset::read(&[testdata("named.parquet")], &ReadOptions::default())
                .expect("it is read");
        assert_eq!(labels, ["negative", "positive"]);
        let rows = [("a wonderful film", 1), ("boring, ünd slow", 0), ("the cast is brilliant", 1)];
        assert_eq!(examples, rows.map(|(text, label)| Example::labelled(text, label)));
    }

    #[test]
    fn rows_and_columns_that_are_missing_are_named() {
        let columns = Columns { text: "review".to_owned(), ..labelled_by(&["stars"]) };
        let options = ReadOptions { columns, ..ReadOptions::default() };
        let error =
            Dataset::read(&[testdata("plain.parquet")], &options).expect_err("a label is missing");
        assert!(error.to_string().contains("line 2: it has no \"stars\""), "{error}");
        let error = Dataset::read(&[testdata("plain.parquet")], &ReadOptions::default())
            .expect_err("there is no such column");
        assert!(
            error.to_string().contains("has no column \"text\", only review, stars"),
            "{error}"
        );
        let broken = tempfile::tempdir().expect("a temporary folder");
        let path = broken.path().join("a.parquet");
        fs_err::write(&path, b"PAR1 and no more").expect("written");
        Dataset::read(&[&path], &ReadOptions::default()).expect_err("it is no Parquet file");
    }
}
