//! Each architecture is held to what PyTorch and `transformers` compute of its tiny checkpoint:
//! `trainer/testdata/architectures/make.py` wrote it down.

use std::path::{Path, PathBuf};

use kit_serve::engine::{Engine, EngineOptions, Tokens, ZeroShot};
use kit_serve::{Predictor as _, Task};
use serde::Deserialize;
use serde_json::{Value, json};

const ARCHITECTURES: [&str; 10] = [
    "albert",
    "camembert",
    "data2vec-text",
    "deberta-v2",
    "deberta-v2-convolution",
    "electra",
    "modernbert",
    "mpnet",
    "roberta",
    "xlm-roberta",
];

#[derive(Deserialize)]
struct Golden {
    texts: Vec<String>,
    input_ids: Vec<Vec<u32>>,
    logits: Vec<Vec<f32>>,
    pairs: Vec<[String; 2]>,
    pair_input_ids: Vec<Vec<u32>>,
    pair_token_type_ids: Vec<Vec<u32>>,
    pair_logits: Vec<Vec<f32>>,
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../trainer/testdata/architectures").join(name)
}

fn golden(name: &str) -> Golden {
    let text = std::fs::read(folder(name).join("golden.json")).expect("readable");
    serde_json::from_slice(&text).expect("golden.json")
}

fn engine(name: &str) -> Engine {
    let options = EngineOptions { n_threads: Some(2), ..EngineOptions::default() };
    Engine::load(&folder(name), &options).unwrap_or_else(|error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        panic!("{name}: {error}: {}", cause.unwrap_or_default())
    })
}

/// A text as the engine is given it.
fn input(ids: &[u32]) -> Vec<Tokens> {
    vec![Tokens { ids: ids.to_vec(), kinds: Vec::new() }]
}

fn largest_difference(ours: &[f32], theirs: &[f32]) -> f32 {
    assert_eq!(ours.len(), theirs.len());
    ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn tokens_and_logits_are_those_of_transformers() {
    let mut wrong = Vec::new();
    for name in ARCHITECTURES {
        let (golden, engine) = (golden(name), engine(name));
        for (text, theirs) in golden.texts.iter().zip(&golden.input_ids) {
            let ours = engine.prepare(text).expect("prepared").input;
            if ours != input(theirs) {
                wrong.push(format!("{name}: {text:?} {ours:?} {theirs:?}"));
            }
        }
        let inputs: Vec<_> = golden.input_ids.iter().map(|ids| input(ids)).collect();
        let together = engine.predict(&inputs).expect("computed");
        for (n, theirs) in golden.logits.iter().enumerate() {
            let alone = engine.predict(&inputs[n..=n]).expect("computed");
            assert_eq!(alone[0], together[n], "{name}: a text is the same in any batch");
            let difference = largest_difference(&together[n], theirs);
            if difference > 1e-5 {
                wrong.push(format!(
                    "{name}: logits of {:?} are {difference:e} off",
                    golden.texts[n]
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn pairs_are_those_of_transformers() {
    let mut wrong = Vec::new();
    for name in ARCHITECTURES {
        let (golden, engine) = (golden(name), engine(name));
        assert!(engine.takes_pairs());
        for (n, [text, pair]) in golden.pairs.iter().enumerate() {
            let ours = engine.prepare_pair(text, pair).expect("prepared").input;
            let (ids, kinds) = (&golden.pair_input_ids[n], &golden.pair_token_type_ids[n]);
            // DeBERTa's tokenizer tells kinds that its network has no embeddings of.
            let has_kinds = kinds.iter().any(|kind| *kind > 0) && !name.starts_with("deberta-v2");
            let kinds = if has_kinds { kinds.clone() } else { Vec::new() };
            let theirs = vec![Tokens { ids: ids.clone(), kinds }];
            if ours != theirs {
                wrong.push(format!("{name}: {text:?} {pair:?} {ours:?} {theirs:?}"));
            }
            let logits = engine.predict(&[theirs]).expect("computed");
            let difference = largest_difference(&logits[0], &golden.pair_logits[n]);
            if difference > 1e-5 {
                wrong.push(format!("{name}: logits of {text:?} {pair:?} are {difference:e} off"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn labels_of_ones_own_are_scored_as_the_pipeline_does() {
    let golden = std::fs::read(folder("zero-shot.json")).expect("readable");
    let golden: ZeroShotGolden = serde_json::from_slice(&golden).expect("JSON");
    for case in &golden.cases {
        let copy = inference(&case.checkpoint, &golden.names);
        let zero_shot = ZeroShot {
            labels: case.labels.clone(),
            hypothesis: case.hypothesis.clone(),
            multi_label: case.multi_label,
        };
        let options =
            EngineOptions { n_threads: Some(2), zero_shot: Some(zero_shot), ..Default::default() };
        let engine = Engine::load(copy.path(), &options).expect("it tells entailment");
        assert_eq!((engine.labels(), engine.takes_pairs()), (&case.labels[..], false));
        let inputs: Vec<_> =
            golden.texts.iter().map(|text| engine.prepare(text).expect("prepared").input).collect();
        for ((logits, theirs), text) in
            engine.predict(&inputs).expect("computed").iter().zip(&case.scores).zip(&golden.texts)
        {
            let exponentials: Vec<f32> = logits.iter().map(|logit| logit.exp()).collect();
            let sum: f32 = exponentials.iter().sum();
            let ours: Vec<f32> = match engine.task() {
                Task::MultiLabel => exponentials.iter().map(|x| x / (1.0 + x)).collect(),
                _ => exponentials.iter().map(|x| x / sum).collect(),
            };
            assert!(largest_difference(&ours, theirs) < 1e-5, "{text:?}: {ours:?} {theirs:?}");
        }
    }
    let zero_shot =
        ZeroShot { labels: vec!["a".to_owned()], hypothesis: "{}".to_owned(), multi_label: false };
    let options = EngineOptions { zero_shot: Some(zero_shot), ..Default::default() };
    let error =
        Engine::load(&folder("roberta"), &options).expect_err("it tells no entailment").to_string();
    assert!(
        error.ends_with("none of its labels is entailment: LABEL_0, LABEL_1, LABEL_2"),
        "{error}"
    );
}

#[derive(Deserialize)]
struct ZeroShotGolden {
    names: Vec<String>,
    texts: Vec<String>,
    cases: Vec<ZeroShotCase>,
}

#[derive(Deserialize)]
struct ZeroShotCase {
    checkpoint: String,
    labels: Vec<String>,
    hypothesis: String,
    multi_label: bool,
    scores: Vec<Vec<f32>>,
}

/// A copy of a checkpoint whose labels are those of a model of inference.
fn inference(name: &str, labels: &[String]) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a temporary folder");
    for entry in std::fs::read_dir(folder(name)).expect("readable") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "py")
            && !path.ends_with("golden.json")
        {
            std::fs::copy(&path, copy.path().join(path.file_name().expect("a name")))
                .expect("copied");
        }
    }
    let path = copy.path().join("config.json");
    let mut config: Value =
        serde_json::from_slice(&std::fs::read(&path).expect("readable")).expect("JSON");
    config["id2label"] = json!(labels);
    std::fs::write(&path, config.to_string()).expect("written");
    copy
}
