//! The engine against PyTorch, and against broken folders.

use std::path::{Path, PathBuf};

use kit_serve::engine::{Engine, EngineOptions, Tokens, Windows};
use kit_serve::{Lifecycle, ModelIdentity, Predictor, ServeOptions, server};
use serde_json::{Value, json};

use crate::support::predict;

/// A DistilBERT of a few kilobytes; `make.py` beside it made it, and wrote down PyTorch's logits.
fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../trainer/testdata/tiny-distilbert")
}

/// The same for BERT, with sizes that divide into nothing.
fn tiny_bert() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/tiny-bert")
}

fn engine_of(dir: &Path, n_threads: usize) -> Engine {
    Engine::load(dir, &EngineOptions { n_threads: Some(n_threads), ..Default::default() }).unwrap()
}

fn engine(n_threads: usize) -> Engine {
    engine_of(&tiny(), n_threads)
}

struct Golden {
    texts: Vec<String>,
    inputs: Vec<Vec<Tokens>>,
    logits: Vec<Vec<f32>>,
}

/// A text as the engine is given it.
fn input(ids: Vec<u32>) -> Vec<Tokens> {
    vec![Tokens { ids, kinds: Vec::new() }]
}

fn golden() -> Golden {
    golden_of(&tiny())
}

fn golden_of(dir: &Path) -> Golden {
    let golden: Value =
        serde_json::from_slice(&std::fs::read(dir.join("golden.json")).unwrap()).unwrap();
    let field = |name: &str| golden[name].clone();
    Golden {
        texts: serde_json::from_value(field("texts")).unwrap(),
        inputs: serde_json::from_value::<Vec<Vec<u32>>>(field("input_ids"))
            .unwrap()
            .into_iter()
            .map(input)
            .collect(),
        logits: serde_json::from_value(field("logits")).unwrap(),
    }
}

fn assert_close(ours: &[Vec<f32>], theirs: &[Vec<f32>], what: &str) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (n, (a, b)) in ours.iter().zip(theirs).enumerate() {
        let worst = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(a.len() == b.len() && worst <= 1e-5, "{what}: text {n} has {a:?}, not {b:?}");
    }
}

#[test]
fn token_ids_are_those_of_transformers() {
    for dir in [tiny(), tiny_bert()] {
        let (engine, golden) = (engine_of(&dir, 1), golden_of(&dir));
        for (text, ids) in golden.texts.iter().zip(&golden.inputs) {
            assert_eq!(engine.prepare(text).unwrap().input, *ids, "{text:?}");
        }
    }
}

#[test]
fn logits_are_those_of_pytorch_and_the_same_alone_and_packed_for_any_number_of_threads() {
    for dir in [tiny(), tiny_bert()] {
        let golden = golden_of(&dir);
        let alone = golden
            .inputs
            .iter()
            .map(|ids| engine_of(&dir, 1).predict(std::slice::from_ref(ids)).unwrap());
        let alone = alone.flatten().collect::<Vec<_>>();
        assert_close(&alone, &golden.logits, "alone");
        for n_threads in [1, 2, 3] {
            let engine = engine_of(&dir, n_threads);
            assert_eq!(engine.predict(&golden.inputs).unwrap(), alone, "packed, to the last bit");
            let backwards: Vec<_> = golden.inputs.iter().rev().cloned().collect();
            let logits: Vec<_> = engine.predict(&backwards).unwrap().into_iter().rev().collect();
            assert_eq!(logits, alone, "packed backwards, to the last bit");
        }
    }
    assert!(engine(1).predict(&[]).unwrap().is_empty());
}

#[test]
fn pinned_threads_compute_the_same() {
    let pinned = Engine::load(&tiny(), &EngineOptions { pin: true, ..Default::default() }).unwrap();
    assert_close(&pinned.predict(&golden().inputs).unwrap(), &golden().logits, "pinned");
}

#[tokio::test]
async fn a_model_that_misses_its_golden_logits_is_not_served() {
    let dir = changed_json("golden.json", |golden| {
        golden["logits"][1][0] = json!(golden["logits"][1][0].as_f64().unwrap() + 0.01)
    });
    let (_router, handle) =
        server(engine_of(dir.path(), 1), ModelIdentity::default(), ServeOptions::default());
    let Lifecycle::Failed(reason) = handle.started().await else { panic!("it was served") };
    assert!(reason.contains("but its golden logits are"), "{reason}");
    let broken = changed("golden.json", |_| br#"{"texts":["a"],"logits":[]}"#.to_vec());
    assert_eq!(
        problem(&broken),
        "cannot use DIR/golden.json: it has not as many rows of logits as texts"
    );
}

#[test]
fn long_texts_are_cut_at_the_models_length() {
    let engine = engine(1);
    let whole = "good film ".repeat(31);
    let exact = engine.prepare(&whole).unwrap();
    assert_eq!((exact.n_tokens, exact.truncated), (64, false));
    // Long enough to be looked at in pieces, with and without anything to cut at.
    for long in [
        whole.clone() + "x",
        whole.repeat(5000),
        whole.clone() + &"x".repeat(1 << 20),
        whole.clone() + &" ".repeat(1 << 20) + "x",
    ] {
        let cut = engine.prepare(&long).unwrap();
        assert_eq!((&cut.input, cut.truncated), (&exact.input, true), "{} bytes", long.len());
    }
    let padded = engine.prepare(&(whole + &" ".repeat(1 << 20))).unwrap();
    assert_eq!((padded.input, padded.truncated), (exact.input, false));
}

/// A copy of the tiny model's folder with one file changed.
fn changed(file: &str, change: impl Fn(Vec<u8>) -> Vec<u8>) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in ["config.json", "tokenizer.json", "model.safetensors", "golden.json"] {
        let bytes = std::fs::read(tiny().join(name)).unwrap();
        std::fs::write(dir.path().join(name), if name == file { change(bytes) } else { bytes })
            .unwrap();
    }
    dir
}

fn changed_json(file: &str, change: impl Fn(&mut Value)) -> tempfile::TempDir {
    changed(file, |bytes| {
        let mut json = serde_json::from_slice(&bytes).unwrap();
        change(&mut json);
        serde_json::to_vec(&json).unwrap()
    })
}

/// Rewrites the table of contents of a safetensors file; the data stays.
fn changed_header(change: impl Fn(&mut serde_json::Map<String, Value>)) -> tempfile::TempDir {
    changed("model.safetensors", |bytes| {
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let mut header: serde_json::Map<String, Value> =
            serde_json::from_slice(&bytes[8..8 + length]).unwrap();
        change(&mut header);
        let header = serde_json::to_vec(&header).unwrap();
        [&(header.len() as u64).to_le_bytes(), &*header, &bytes[8 + length..]].concat()
    })
}

fn problem(dir: &tempfile::TempDir) -> String {
    let error =
        Engine::load(dir.path(), &EngineOptions::default()).expect_err("the folder is broken");
    let mut chain = vec![error.to_string()];
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        chain.push(error.to_string());
        cause = error.source();
    }
    chain.join(": ").replace(&dir.path().display().to_string(), "DIR")
}

#[test]
fn every_tensor_that_is_missing_unused_or_misshapen_is_named() {
    let dir = changed_header(|header| {
        let bias = header.remove("classifier.bias").unwrap();
        header.insert("classifier.extra".to_owned(), bias);
        header["pre_classifier.bias"]["shape"] = json!([4, 8]);
    });
    let expected = "the weights in DIR do not fit its config.json: classifier.bias is missing; \
                    pre_classifier.bias has shape [4, 8] instead of [32]; classifier.extra is unknown";
    assert_eq!(problem(&dir), expected);
}

#[test]
fn a_model_without_a_classifier_is_told_so() {
    let dir = changed_header(|header| {
        for part in ["weight", "bias"] {
            let tensor = header.remove(&format!("classifier.{part}")).unwrap();
            header.insert(format!("vocab_projector.{part}"), tensor);
        }
    });
    assert_eq!(problem(&dir), "the checkpoint in DIR has no classifier yet: train it first");
}

#[test]
fn files_that_are_broken_are_errors_that_name_them() {
    let cut = changed("model.safetensors", |bytes| bytes[..bytes.len() - 4].to_vec());
    assert!(
        problem(&cut).starts_with("cannot parse the weights DIR/model.safetensors: "),
        "{}",
        problem(&cut)
    );
    let empty = changed("model.safetensors", |_| Vec::new());
    assert!(problem(&empty).contains("model.safetensors"), "{}", problem(&empty));
    let garbage = changed("tokenizer.json", |_| b"{}".to_vec());
    assert!(
        problem(&garbage).starts_with("cannot use the tokenizer DIR/tokenizer.json: "),
        "{}",
        problem(&garbage)
    );
    let shape = changed_json("config.json", |config| config["hidden_dim"] = json!(128));
    assert!(
        problem(&shape).contains("lin1.weight has shape [64, 32] instead of [128, 32]"),
        "{}",
        problem(&shape)
    );
    let labels = changed_json("config.json", |config| config["id2label"] = json!({"0": "only"}));
    assert_eq!(
        problem(&labels),
        "cannot use DIR/config.json: id2label has 1 labels, but the classifier has 2"
    );
    let missing = tempfile::tempdir().unwrap();
    assert!(problem(&missing).contains("DIR/config.json"), "{}", problem(&missing));
}

#[test]
fn a_tokenizers_own_padding_and_truncation_are_switched_off() {
    let dir = changed_json("tokenizer.json", |tokenizer| {
        tokenizer["truncation"] =
            json!({"direction":"Right","max_length":4,"strategy":"LongestFirst","stride":0});
        tokenizer["padding"] = json!({"strategy":{"Fixed":64},"direction":"Right","pad_to_multiple_of":null,"pad_id":0,"pad_type_id":0,"pad_token":"[PAD]"});
    });
    let (padding, golden) =
        (Engine::load(dir.path(), &EngineOptions::default()).unwrap(), golden());
    for (text, ids) in golden.texts.iter().zip(&golden.inputs) {
        assert_eq!(padding.prepare(text).unwrap().input, *ids);
    }
}

#[test]
fn default_labels_stand_in_for_missing_ones() {
    let dir = changed_json("config.json", |config| {
        drop(config.as_object_mut().unwrap().remove("id2label"))
    });
    let engine = Engine::load(dir.path(), &EngineOptions::default()).unwrap();
    assert_eq!(engine.labels(), ["LABEL_0", "LABEL_1"]);
}

#[test]
fn weights_of_half_precision_are_converted() {
    let to_bf16 = changed("model.safetensors", |bytes| {
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let mut header: serde_json::Map<String, Value> =
            serde_json::from_slice(&bytes[8..8 + length]).unwrap();
        for (_, tensor) in header.iter_mut().filter(|(name, _)| *name != "__metadata__") {
            tensor["dtype"] = json!("BF16");
            let offsets: Vec<u64> = serde_json::from_value(tensor["data_offsets"].clone()).unwrap();
            tensor["data_offsets"] = json!([offsets[0] / 2, offsets[1] / 2]);
        }
        let header = serde_json::to_vec(&header).unwrap();
        let data: Vec<u8> =
            bytes[8 + length..].chunks_exact(4).flat_map(|float| [float[2], float[3]]).collect();
        [&(header.len() as u64).to_le_bytes(), &*header, &data].concat()
    });
    let (engine, golden) =
        (Engine::load(to_bf16.path(), &EngineOptions::default()).unwrap(), golden());
    for (ours, theirs) in engine.predict(&golden.inputs).unwrap().iter().zip(&golden.logits) {
        for (a, b) in ours.iter().zip(theirs) {
            assert!((a - b).abs() < 0.1 && a != b, "{a} is near {b}, but not it");
        }
    }
}

#[tokio::test]
async fn the_engine_serves() {
    let golden = golden();
    let (router, handle) = server(engine(2), ModelIdentity::default(), ServeOptions::default());
    assert_eq!(handle.started().await, Lifecycle::Ready);
    let body = json!({ "text": golden.texts }).to_string();
    let answers: Vec<Value> = serde_json::from_str(&predict(&router, &body).await.body).unwrap();
    assert_eq!(answers.len(), golden.texts.len());
    for (answer, logits) in answers.iter().zip(&golden.logits) {
        let [negative, positive] = [logits[0], logits[1]].map(f64::from);
        let label = if positive > negative { "positive" } else { "negative" };
        let score = 1.0 / (1.0 + (-(positive - negative).abs()).exp());
        assert_eq!(answer[0]["label"], label);
        assert!(
            (answer[0]["score"].as_f64().unwrap() - score).abs() < 1e-5,
            "{answer} is not {score}"
        );
    }
}

/// The mean of the windows' logits, weighted by the tokens that each has of the text; what is looked
/// at of a long text does not change them.
#[test]
fn long_texts_are_answered_in_windows() {
    let windowed = |overlap, most| {
        let windows = Some(Windows { overlap, most });
        let options = EngineOptions { n_threads: Some(2), windows, ..Default::default() };
        Engine::load(&tiny(), &options)
    };
    let plain = engine(2);
    let engine = windowed(Some(8), 40).unwrap();
    let logits = |engine: &Engine, text: &str| {
        let prepared = engine.prepare(text).unwrap();
        (engine.predict(&[prepared.input]).unwrap().remove(0), prepared.truncated)
    };
    assert_eq!(logits(&engine, "a wonderful film"), logits(&plain, "a wonderful film"));
    let long = "the plot is thin but the music and the camera make every scene a joy ".repeat(40);
    let prepared = engine.prepare(&long).unwrap();
    assert!(prepared.input.len() > 8 && !prepared.truncated);
    let n_tokens: usize = prepared.input.iter().map(|window| window.ids.len()).sum();
    assert_eq!(prepared.n_tokens, n_tokens);
    let (mut sum, mut total) = ([0.0_f64; 2], 0.0);
    for window in &prepared.input {
        let row = plain.predict(&[vec![window.clone()]]).unwrap().remove(0);
        let weight = (window.ids.len() - 2) as f64;
        total += weight;
        (0..2).for_each(|label| sum[label] += weight * f64::from(row[label]));
    }
    let (ours, _) = logits(&engine, &long);
    for label in 0..2 {
        assert!((f64::from(ours[label]) - sum[label] / total).abs() < 1e-6, "{ours:?}");
    }
    // No more of them than were asked for, and the first ones whatever follows.
    let few = windowed(Some(8), 3).unwrap();
    let cut = few.prepare(&long).unwrap();
    assert!(cut.truncated);
    assert_eq!(cut.input, prepared.input[..3]);
    assert_eq!(few.prepare(&long.repeat(20)).unwrap().input, prepared.input[..3]);
    // A pair is cut as without windows.
    let pair = |engine: &Engine| engine.prepare_pair(&long, "a joy").unwrap();
    assert_eq!(pair(&few), pair(&plain));
    assert!(windowed(Some(62), 3).is_err(), "there is no room for anything new");
}
