//! What we train, we serve: every folder that `trainer` opens, the engine opens too, and both give
//! the same logits.

use std::path::Path;

use fs_err as fs;
use kit_trainer::{Classifier, TrainConfig, train};
use safetensors::Dtype;
use serde_json::json;
use serve::Predictor as _;
use serve::engine::{Engine, EngineOptions};

use crate::fixture::{
    Tensors, edited, go_on, load, of_architecture, of_serve, read_tensors, split, tiny, tiny_bert,
    with_training, write_tensors,
};

const TEXTS: [&str; 5] = [
    "A wonderful film!",
    "i never want to see it again",
    "",
    "\u{e9}t\u{e9} \u{4e2d}\u{6587} [SEP] [MASK] x",
    "the plot is thin but the music and the camera make every scene of this film a joy to watch again and again",
];

fn engine(dir: &Path) -> Engine {
    Engine::load(dir, &EngineOptions { n_threads: Some(2), ..EngineOptions::default() })
        .expect("what is trained is served")
}

/// Both say the same of the same texts; returns what.
fn check(dir: &Path) -> Vec<Vec<f32>> {
    let (classifier, engine) = (load(dir), engine(dir));
    assert_eq!(engine.labels(), classifier.labels());
    let prepared = TEXTS.map(|text| engine.prepare(text).expect("prepared").input);
    let ids = prepared.iter().flatten().map(|tokens| tokens.ids.clone()).collect::<Vec<_>>();
    assert_eq!(ids, classifier.tokenize(&TEXTS).expect("tokenized"));
    let served = engine.predict(&prepared).expect("computed");
    let trained = classifier.classify(&TEXTS).expect("computed");
    for (a, b) in served.iter().flatten().zip(trained.iter().flatten()) {
        assert!((a - b).abs() <= 5e-6, "{}: {served:?} is not {trained:?}", dir.display());
    }
    assert_eq!(served.len(), trained.len());
    served
}

/// A copy of a fixture with a `vocab.txt`, changed.
fn bert(edit: impl FnOnce(&Path, &mut Tensors)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in ["config.json", "vocab.txt"] {
        fs::copy(tiny_bert().join(name), folder.path().join(name)).expect("copied");
    }
    let mut tensors = read_tensors(&tiny_bert().join("model.safetensors"));
    edit(folder.path(), &mut tensors);
    write_tensors(&folder.path().join("model.safetensors"), &tensors);
    folder
}

#[test]
fn every_fixture_is_served_as_it_is_trained() {
    let others = ["xlm-roberta", "data2vec-text"].map(of_architecture);
    for fixture in with_training().into_iter().chain(others).chain([of_serve()]) {
        check(&fixture);
    }
}

#[test]
fn what_is_only_served_is_refused_by_name() {}

#[test]
fn old_names_and_left_overs_are_served() {
    let old = bert(|_, tensors| {
        let names = std::mem::take(tensors).into_iter();
        let old = |name: String| {
            name.replace("LayerNorm.weight", "LayerNorm.gamma")
                .replace("LayerNorm.bias", "LayerNorm.beta")
        };
        *tensors = names.map(|(name, tensor)| (old(name), tensor)).collect();
        for name in ["bert.embeddings.token_type_ids", "bert.embeddings.position_ids"] {
            tensors.insert(name.to_owned(), (Dtype::I64, vec![1, 64], vec![0; 512]));
        }
        for name in ["cls.predictions.bias", "cls.seq_relationship.weight"] {
            tensors.insert(name.to_owned(), (Dtype::F32, vec![1], vec![0; 4]));
        }
    });
    assert_eq!(check(old.path()), check(&tiny_bert()));
    let (deberta, folder) = (of_architecture("deberta-v2"), tempfile::tempdir().expect("a folder"));
    for name in ["config.json", "spm.model"] {
        fs::copy(deberta.join(name), folder.path().join(name)).expect("copied");
    }
    let mut tensors = read_tensors(&deberta.join("model.safetensors"));
    for name in ["position_embeddings.weight", "word_embeddings._weight"] {
        let tensor = (Dtype::F32, vec![2, 24], vec![0; 192]);
        tensors.insert(format!("deberta.embeddings.{name}"), tensor);
    }
    write_tensors(&folder.path().join("model.safetensors"), &tensors);
    assert_eq!(check(folder.path()), check(&deberta));
}

#[test]
fn doubles_and_shards_are_served() {
    let doubles = edited(|tensors, _| {
        for (dtype, _, bytes) in tensors.values_mut() {
            let floats =
                bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            *bytes = floats.flat_map(|value| f64::from(value).to_le_bytes()).collect();
            *dtype = Dtype::F64;
        }
    });
    assert_eq!(check(doubles.path()), check(&tiny()));
    let shards = edited(|_, _| ());
    let path = |name: &str| shards.path().join(name);
    let mut tensors = read_tensors(&path("model.safetensors"));
    let rest = tensors.split_off("distilbert.transformer.layer.1");
    let mut weight_map = serde_json::Map::new();
    for (name, shard) in [("a.safetensors", tensors), ("b.safetensors", rest)] {
        write_tensors(&path(name), &shard);
        weight_map.extend(shard.keys().map(|tensor| (tensor.clone(), json!(name))));
    }
    let index = json!({"weight_map": weight_map}).to_string();
    fs::write(path("model.safetensors.index.json"), index).expect("written");
    fs::remove_file(path("model.safetensors")).expect("removed");
    assert_eq!(check(shards.path()), check(&tiny()));
}

#[test]
fn pickles_are_served_and_trained_as_safetensors_are() {
    let from = of_architecture("roberta");
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in ["config.json", "vocab.json", "merges.txt", "pytorch_model.bin"] {
        fs::copy(from.join(name), folder.path().join(name)).expect("copied");
    }
    assert_eq!(check(folder.path()), check(&from));
}

#[test]
fn other_words_of_the_configuration_are_served() {
    let named = edited(|_, config| {
        let config = config.as_object_mut().expect("an object");
        for (ours, theirs) in [
            ("dim", "hidden_size"),
            ("n_heads", "num_attention_heads"),
            ("n_layers", "num_hidden_layers"),
        ] {
            let value = config.remove(ours).expect("it is there");
            config.insert(theirs.to_owned(), value);
        }
        config.insert("activation".to_owned(), json!("gelu_python"));
        config.insert("id2label".to_owned(), json!(["negative", "positive"]));
        // Keys of BERT's, which DistilBERT does not have.
        config.insert("layer_norm_eps".to_owned(), json!(0.1));
        config.insert("hidden_act".to_owned(), json!("silu"));
    });
    assert_eq!(check(named.path()), check(&tiny()));
    let relu = edited(|_, config| config["activation"] = json!("relu"));
    assert_ne!(check(relu.path()), check(&tiny()));
}

#[test]
fn the_settings_beside_the_tokenizer_are_served() {
    let cased = edited(|_, _| ());
    let settings =
        json!({"do_lower_case": false, "model_max_length": 12, "truncation_side": "left"});
    fs::write(cased.path().join("tokenizer_config.json"), settings.to_string()).expect("written");
    assert_ne!(check(cased.path()), check(&tiny()));
}

#[test]
fn what_was_trained_is_served() {
    for fixture in with_training() {
        let config = TrainConfig { epochs: 2, learning_rate: 1e-3, ..TrainConfig::default() };
        let start = load(&fixture).with_labels(["no", "yes"].map(str::to_owned).to_vec(), 1);
        let (trained, _) = train(start, &split(8), &config, None, &go_on).expect("trained");
        let folder = tempfile::tempdir().expect("a temporary folder");
        Classifier::save(&trained, &folder.path().join("out"), None).expect("saved");
        assert_ne!(check(&folder.path().join("out")), check(&fixture));
    }
}
