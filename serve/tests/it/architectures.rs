//! Each architecture is held to what PyTorch and `transformers` compute of its tiny checkpoint:
//! `trainer/testdata/architectures/make.py` wrote it down.

use std::path::{Path, PathBuf};

use kit_serve::Predictor as _;
use kit_serve::engine::{Engine, EngineOptions};
use serde::Deserialize;

const ARCHITECTURES: [&str; 8] = [
    "albert",
    "camembert",
    "deberta-v2",
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

#[test]
fn tokens_and_logits_are_those_of_transformers() {
    let mut wrong = Vec::new();
    for name in ARCHITECTURES {
        let (golden, engine) = (golden(name), engine(name));
        let inputs: Vec<Vec<u32>> =
            golden.texts.iter().map(|text| engine.prepare(text).expect("prepared").input).collect();
        for ((text, ours), theirs) in golden.texts.iter().zip(&inputs).zip(&golden.input_ids) {
            if ours != theirs {
                wrong.push(format!("{name}: {text:?} {ours:?} {theirs:?}"));
            }
        }
        let together = engine.predict(&golden.input_ids).expect("computed");
        let mut largest = 0_f32;
        for (n, theirs) in golden.logits.iter().enumerate() {
            let alone = engine.predict(&golden.input_ids[n..=n]).expect("computed");
            assert_eq!(alone[0], together[n], "{name}: a text is the same in any batch");
            let pairs = together[n].iter().zip(theirs);
            largest = pairs.fold(largest, |largest, (a, b)| largest.max((a - b).abs()));
        }
        if largest > 1e-5 {
            wrong.push(format!("{name}: logits are {largest:e} off"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
