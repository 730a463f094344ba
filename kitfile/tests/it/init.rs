//! What is guessed from a folder's files.

use expect_test::{Expect, expect};
use kitfile::{FileInfo, InitOptions, Kitfile, needs_head};

fn file(path: &str, size: u64, head: impl Into<Vec<u8>>) -> FileInfo {
    FileInfo { path: path.to_owned(), size, head: head.into() }
}

fn init(name: &str, files: &[FileInfo]) -> Kitfile {
    kitfile::init(name, files, &InitOptions::default())
}

/// Files of which nothing but the name counts.
fn names(paths: &[&str]) -> Vec<FileInfo> {
    paths.iter().map(|path| file(path, 100, format!("testing: {path}"))).collect()
}

fn check(name: &str, files: &[FileInfo], expected: Expect) {
    let kitfile = init(name, files);
    expected.assert_eq(&kitfile.to_yaml());
    assert_eq!(kitfile.check(), Ok(()));
    assert_eq!(Kitfile::parse(&kitfile.to_yaml()).expect("correct").kitfile, kitfile);
}

fn safetensors(header: &str) -> Vec<u8> {
    let length = u64::try_from(header.len()).expect("short").to_le_bytes();
    [&length, header.as_bytes(), &[0; 8]].concat()
}

const CONFIG: &str = r#"{"model_type": "distilbert", "architectures": ["DistilBertForSequenceClassification"], "dim": 768,
    "n_layers": 6, "id2label": {"0": "NEGATIVE", "1": "POSITIVE"}, "attention_dropout": 0.1}"#;

const CARD: &str = "---\nlicense: apache-2.0\nlanguage: en\nbase_model: distilbert/distilbert-base-uncased\ndatasets: [sst2, imdb]\n---\n# Title\n";

/// What the hub has of a text classifier.
fn hub_folder() -> Vec<FileInfo> {
    let weights = safetensors(
        r#"{"__metadata__":{"format":"pt"},"a.weight":{"dtype":"F32","shape":[10,20],"data_offsets":[0,800]},"a.bias":{"dtype":"F32","shape":[20],"data_offsets":[800,880]}}"#,
    );
    let mut files = names(&[
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "vocab.txt",
        ".gitattributes",
    ]);
    files.push(file("config.json", 300, CONFIG));
    files.push(file("model.safetensors", 1_000_000, weights));
    files.push(file("README.md", 200, CARD));
    files
}

#[test]
fn a_folder_from_the_hub_is_told_in_full() {
    check(
        "distilbert/distilbert-base-uncased",
        &hub_folder(),
        expect![[r#"
        manifestVersion: 1.0.0
        package:
          name: distilbert-base-uncased
          authors: [distilbert]
        model:
          name: distilbert-base-uncased
          path: model.safetensors
          license: Apache-2.0
          framework: transformers
          format: safetensors
          parts:
            - path: config.json
            - path: special_tokens_map.json
            - path: tokenizer.json
            - path: tokenizer_config.json
            - path: vocab.txt
          parameters:
            architectures:
              - DistilBertForSequenceClassification
            base_model: distilbert/distilbert-base-uncased
            datasets:
              - sst2
              - imdb
            dim: 768
            dtype: F32
            labels:
              - NEGATIVE
              - POSITIVE
            language: en
            model_type: distilbert
            n_layers: 6
            num_parameters: 220
        docs:
          - path: README.md
            description: Readme file
    "#]],
    );
}

#[test]
fn every_file_of_a_hub_folder_is_packed_once() {
    let kitfile = init("org/name", &hub_folder());
    let mut packed: Vec<_> = kitfile.entries().map(|entry| entry.path).collect();
    packed.sort_unstable();
    let mut there: Vec<_> = hub_folder()
        .into_iter()
        .map(|file| file.path)
        .filter(|path| !path.starts_with('.'))
        .collect();
    there.sort_unstable();
    assert_eq!(packed, there);
}

#[test]
fn the_same_model_in_several_formats_is_one_model() {
    let mut files = names(&[
        "config.json",
        "flax_model.msgpack",
        "pytorch_model.bin",
        "rust_model.ot",
        "tf_model.h5",
        "LICENSE",
        "map.jpeg",
    ]);
    files.push(file("model.safetensors", 90, safetensors("{}")));
    files.push(file("onnx/model.onnx", 5000, ""));
    check(
        "org/base",
        &files,
        expect![[r#"
            manifestVersion: 1.0.0
            package:
              name: base
              authors: [org]
            model:
              name: base
              path: model.safetensors
              format: safetensors
              parts:
                - path: flax_model.msgpack
                - path: pytorch_model.bin
                - path: rust_model.ot
                - path: tf_model.h5
                - path: onnx/model.onnx
                - path: config.json
            docs:
              - path: LICENSE
                description: License file
              - path: map.jpeg
        "#]],
    );
}

#[test]
fn a_gguf_file_tells_what_it_is() {
    let text = |text: &str| {
        [&u64::try_from(text.len()).expect("short").to_le_bytes(), text.as_bytes()].concat()
    };
    let mut head =
        [b"GGUF".as_slice(), &3_u32.to_le_bytes(), &0_u64.to_le_bytes(), &4_u64.to_le_bytes()]
            .concat();
    for (name, value) in [("general.architecture", "llama"), ("general.license", "mit")] {
        head.extend([text(name), 8_u32.to_le_bytes().to_vec(), text(value)].concat());
    }
    head.extend(
        [
            text("tokenizer.ggml.scores"),
            9_u32.to_le_bytes().to_vec(),
            6_u32.to_le_bytes().to_vec(),
            2_u64.to_le_bytes().to_vec(),
            vec![0; 8],
        ]
        .concat(),
    );
    head.extend(
        [
            text("llama.context_length"),
            4_u32.to_le_bytes().to_vec(),
            4096_u32.to_le_bytes().to_vec(),
        ]
        .concat(),
    );
    check(
        "chat",
        &[file("chat-q4.gguf", 4_000_000, head.clone())],
        expect![[r#"
        manifestVersion: 1.0.0
        package:
          name: chat
        model:
          name: chat-q4
          path: chat-q4.gguf
          license: MIT
          format: gguf
          parameters:
            architecture: llama
            context_length: 4096
    "#]],
    );
    for length in 0..head.len() {
        init("chat", &[file("weights.bin", 4_000_000, &head[..length])]);
    }
}

#[test]
fn the_figures_of_a_model_in_shards_are_those_of_all_of_them() {
    let shard = |n: usize, dtype: &str, rows: usize| {
        let header = format!(r#"{{"t{n}":{{"dtype":"{dtype}","shape":[{rows},10]}}}}"#);
        file(&format!("model-0000{n}-of-00003.safetensors"), 1000, safetensors(&header))
    };
    let mut shards = vec![shard(1, "BF16", 1), shard(2, "F32", 2), shard(3, "BF16", 4)];
    let parameters = |files: &[FileInfo]| init("org/x", files).model.expect("a model").parameters;
    let of_all = parameters(&shards);
    assert_eq!((&of_all["num_parameters"], &of_all["dtype"]), (&70.into(), &"BF16, F32".into()));
    // Who has only some of them does not know.
    shards.pop();
    assert_eq!(parameters(&shards).get("num_parameters"), None);
}

#[test]
fn headers_that_lie_are_not_believed() {
    let huge = [&u64::MAX.to_le_bytes(), b"{".as_slice()].concat();
    let list = [&u64::MAX.to_le_bytes(), b"GGUF".as_slice()].concat();
    let gguf = [
        b"GGUF".as_slice(),
        &3_u32.to_le_bytes(),
        &u64::MAX.to_le_bytes(),
        &u64::MAX.to_le_bytes(),
        &u64::MAX.to_le_bytes(),
    ]
    .concat();
    for head in [huge, list, gguf] {
        init("x", &[file("a.safetensors", 9, head.clone()), file("b", 9, head)]);
    }
    let shape = safetensors(
        r#"{"a":{"dtype":"F32","shape":[18446744073709551615,18446744073709551615]},"b":{"shape":"x"},"c":3}"#,
    );
    assert!(
        init("x", &[file("a.safetensors", 500, shape)])
            .to_yaml()
            .contains("num_parameters: 18446744073709551615")
    );
    let card = "---\nlicense: &a [*a]\n---\n";
    assert_eq!(init("x", &[file("README.md", 9, card)]).package.license, "");
}

#[test]
fn folders_are_taken_as_a_whole_by_name_or_by_what_is_in_them() {
    let files = names(&[
        "src/run.sh",
        "lib/a.o",
        "docs/manual",
        "data/a.json",
        "weights/one1.gguf",
        "weights/two2.gguf",
        "weights/zmeta.json",
        "tables/a.csv",
        "tables/b/c.parquet",
        "tables/zmeta.json",
        "papers/a.pdf",
        "papers/b.md",
        "mixed/a.md",
        "mixed/b.csv",
        "asks/x.prompt",
        "tools/t.mcpb",
        ".git/HEAD",
        "__pycache__/a.pyc",
        "src/__pycache__/b.pyc",
    ]);
    check(
        "folders",
        &files,
        expect![[r#"
        manifestVersion: 1.0.0
        package:
          name: folders
        model:
          name: folders
          path: weights/one1.gguf
          format: gguf
          parts:
            - path: weights/two2.gguf
            - path: weights/zmeta.json
        code:
          - path: lib/
          - path: mixed/
          - path: src/
        datasets:
          - path: data/
          - path: tables/
        docs:
          - path: docs/
          - path: papers/
        prompts:
          - path: asks/
        mcpServers:
          - name: tools/t
            path: tools/t.mcpb
    "#]],
    );
}

#[test]
fn a_folder_with_a_skill_is_one_prompt() {
    let mut files = names(&["skill-a/run.py", "notes.md"]);
    files.push(file(
        "skill-a/SKILL.md",
        60,
        "---\nname: summarise\ndescription: Makes texts short\n---\nText\n",
    ));
    check(
        "skills",
        &files,
        expect![[r#"
        manifestVersion: 1.0.0
        package:
          name: skills
        docs:
          - path: notes.md
        prompts:
          - name: summarise
            path: skill-a/
            description: Makes texts short
    "#]],
    );
}

#[test]
fn the_largest_weights_are_the_model_and_adapters_its_parts() {
    let files = [
        file("adapter1.gguf", 10, ""),
        file("adapter2.gguf", 10, ""),
        file("zmain.gguf", 1000, ""),
        file("config.yaml", 5, ""),
    ];
    check(
        "chat",
        &files,
        expect![[r#"
        manifestVersion: 1.0.0
        package:
          name: chat
        model:
          name: zmain
          path: zmain.gguf
          format: gguf
          parts:
            - path: adapter1.gguf
            - path: adapter2.gguf
            - path: config.yaml
    "#]],
    );
}

#[test]
fn numbered_weights_are_one_model() {
    let files = names(&[
        "model-00003-of-00003.safetensors",
        "model-00001-of-00003.safetensors",
        "model-00002-of-00003.safetensors",
        "model.safetensors.index.json",
    ]);
    check(
        "org/large",
        &files,
        expect![[r#"
        manifestVersion: 1.0.0
        package:
          name: large
          authors: [org]
        model:
          name: large
          path: model-00001-of-00003.safetensors
          format: safetensors
          parts:
            - path: model-00002-of-00003.safetensors
            - path: model-00003-of-00003.safetensors
            - path: model.safetensors.index.json
    "#]],
    );
}

#[test]
fn without_a_model_metadata_belongs_to_the_data() {
    let mut files = names(&["a.tar", "b.csv", "c.jsonl", "x.json", "y.xml"]);
    files.push(file(
        "LICENSE",
        1000,
        "                                 Apache License\n                           Version 2.0, January 2004\n",
    ));
    check(
        "data",
        &files,
        expect![[r#"
        manifestVersion: 1.0.0
        package:
          name: data
          license: Apache-2.0
        datasets:
          - path: a.tar
          - path: b.csv
          - path: c.jsonl
          - path: x.json
          - path: y.xml
        docs:
          - path: LICENSE
            description: License file
    "#]],
    );
}

#[test]
fn many_unknown_files_are_the_rest_of_the_folder() {
    check(
        "few",
        &names(&["a.py", "b.sh"]),
        expect![[r#"
        manifestVersion: 1.0.0
        package:
          name: few
        code:
          - path: a.py
          - path: b.sh
    "#]],
    );
    check(
        "many",
        &names(&["a.py", "b.sh", "c.x", "d", "e", "f", "README.md"]),
        expect![[r#"
        manifestVersion: 1.0.0
        package:
          name: many
        code:
          - path: .
        docs:
          - path: README.md
            description: Readme file
    "#]],
    );
}

#[test]
fn an_empty_folder_has_an_empty_kitfile() {
    check(
        "nothing",
        &[],
        expect![[r#"
        manifestVersion: 1.0.0
        package:
          name: nothing
    "#]],
    );
    check(
        "nothing",
        &names(&["Kitfile", "kitfile", ".kitfile", ".kitignore", ".DS_Store", "Thumbs.db"]),
        expect![[r#"
            manifestVersion: 1.0.0
            package:
              name: nothing
        "#]],
    );
}

#[test]
fn upper_case_names_are_recognised() {
    check(
        "loud",
        &names(&["MODEL.SAFETENSORS", "DATA.CSV", "Notes.MD", "Agents.md"]),
        expect![[r#"
            manifestVersion: 1.0.0
            package:
              name: loud
            model:
              name: loud
              path: MODEL.SAFETENSORS
              format: safetensors
            datasets:
              - path: DATA.CSV
            docs:
              - path: Notes.MD
            prompts:
              - path: Agents.md
        "#]],
    );
}

#[test]
fn what_names_tell_needs_no_look() {
    let needing = |paths: &[&'static str]| {
        paths.iter().copied().filter(|path| needs_head(path)).collect::<Vec<_>>()
    };
    let all = [
        "model.safetensors",
        "config.json",
        "README.md",
        "LICENSE",
        "SKILL.md",
        "unknown",
        "pytorch_model.bin",
    ];
    assert_eq!(needing(&all), all);
    assert_eq!(needing(&["data.csv", "train.py", "notes.pdf", ".hidden", "tool.mcpb"]), [""; 0]);
}

#[test]
fn folders_are_gone_through_to_the_depth_that_is_asked_for() {
    let files = names(&["a/b/c/x.csv", "a/y.csv"]);
    for (depth, expected) in [
        (0, &["a/"][..]),
        (1, &["a/y.csv", "a/b/"]),
        (2, &["a/y.csv", "a/b/c/"]),
        (usize::MAX, &["a/y.csv", "a/b/c/x.csv"]),
    ] {
        let kitfile = kitfile::init("n", &files, &InitOptions { depth });
        let paths: Vec<_> = kitfile.datasets.iter().map(|dataset| &*dataset.path).collect();
        assert_eq!(paths, expected, "{depth}");
    }
}

/// faster-whisper, OpenVINO, ggml and fastText call their weights so; so do others what they run.
#[test]
fn bin_files_are_weights_unless_they_say_otherwise() {
    let model = |head: &[u8]| {
        let kitfile = init("n", &[file("model.bin", 1000, head)]);
        (kitfile.model.is_some(), kitfile.code.len())
    };
    for weights in [
        &b"\x06\0\0\0\x0b\0\0\0WhisperSpec\0"[..],
        b"lmgg\x01\0\0\0",
        b"\xba\x16\x4f\x2f\x0c\0\0\0",
        b"PK\x03\x04",
        b"\0\0\x80\x3f\0\0\0\x40",
        b"",
    ] {
        assert_eq!(model(weights), (true, 0), "{weights:?}");
    }
    for other in [&b"\x7fELF\x02\x01\x01"[..], b"#!/bin/sh\necho\n", b"just a few lines of text\n"]
    {
        assert_eq!(model(other), (false, 1), "{other:?}");
    }
    let table = init("n", &[file("data.bin", 1000, "PAR1")]);
    assert_eq!(table.datasets.len(), 1);
    let files = [file("openvino_model.bin", 9, [0, 1]), file("openvino_model.xml", 9, "<net/>")];
    let openvino = init("n", &files);
    let model = openvino.model.unwrap();
    assert_eq!((&*model.path, &*model.parts[0].path), ("openvino_model.bin", "openvino_model.xml"));
}

#[test]
fn what_a_guess_passes_over_is_named() {
    let files = names(&[".env", ".git/config", ".DS_Store", "a/.secret/x", "a/b.csv", "Kitfile"]);
    assert_eq!(kitfile::passed_over(&files), [".env", "a/.secret/x"]);
}
