//! Model folders, in and out.

use std::path::Path;

use expect_test::{Expect, expect};
use fs_err as fs;
use kit_trainer::{Classifier, DeviceKind, Error, TrainConfig, train};
use safetensors::Dtype;
use serde_json::{Value, json};

use crate::fixture::{
    Tensors, base, edited, go_on, load, read_tensors, split, tiny, tiny_bert, write_tensors,
};

const TEXTS: [&str; 3] = ["a wonderful film", "i never want to see it again", ""];

fn logits(classifier: &Classifier) -> Vec<Vec<f32>> {
    classifier.classify(&TEXTS).expect("classified")
}

/// What is wrong with a folder that was made this way.
fn check(edit: impl FnOnce(&mut Tensors, &mut Value), expect: Expect) {
    let folder = edited(edit);
    let error = Classifier::load(folder.path(), DeviceKind::Flex).expect_err("it is refused");
    expect.assert_eq(&error.to_string().replace(&*folder.path().to_string_lossy(), "DIR"));
}

#[test]
fn tensors_that_do_not_fit_are_named() {
    check(
        |tensors, _| {
            tensors.remove("distilbert.transformer.layer.1.ffn.lin1.bias");
            let moved =
                tensors.remove("distilbert.embeddings.LayerNorm.weight").expect("it is there");
            tensors.insert("distilbert.embeddings.LayerNorm.scale".to_owned(), moved);
            tensors.insert(
                "pre_classifier.weight".to_owned(),
                (Dtype::F32, vec![16, 64], vec![0; 4096]),
            );
            tensors.insert("pre_classifier.bias".to_owned(), (Dtype::I32, vec![32], vec![0; 128]));
        },
        expect![
            "the weights in DIR do not fit its config.json: distilbert.embeddings.LayerNorm.weight is missing; distilbert.transformer.layer.1.ffn.lin1.bias is missing; pre_classifier.bias has elements of type I32; pre_classifier.weight has shape [16, 64] instead of [32, 32]; distilbert.embeddings.LayerNorm.scale is unknown"
        ],
    );
    check(
        |_, config| config["n_layers"] = json!(1),
        expect![
            "the weights in DIR do not fit its config.json: distilbert.transformer.layer.1.attention.k_lin.bias is unknown; distilbert.transformer.layer.1.attention.k_lin.weight is unknown; distilbert.transformer.layer.1.attention.out_lin.bias is unknown; distilbert.transformer.layer.1.attention.out_lin.weight is unknown; distilbert.transformer.layer.1.attention.q_lin.bias is unknown; distilbert.transformer.layer.1.attention.q_lin.weight is unknown; distilbert.transformer.layer.1.attention.v_lin.bias is unknown; distilbert.transformer.layer.1.attention.v_lin.weight is unknown; distilbert.transformer.layer.1.ffn.lin1.bias is unknown; distilbert.transformer.layer.1.ffn.lin1.weight is unknown; distilbert.transformer.layer.1.ffn.lin2.bias is unknown; distilbert.transformer.layer.1.ffn.lin2.weight is unknown; distilbert.transformer.layer.1.output_layer_norm.bias is unknown; distilbert.transformer.layer.1.output_layer_norm.weight is unknown; distilbert.transformer.layer.1.sa_layer_norm.bias is unknown; distilbert.transformer.layer.1.sa_layer_norm.weight is unknown"
        ],
    );
    check(
        |_, config| config["id2label"] = json!({"0": "a", "1": "b", "2": "c"}),
        expect!["cannot use DIR/config.json: id2label has 3 labels, but the classifier has 2"],
    );
}

#[test]
fn a_token_that_the_embedding_does_not_have_is_refused() {
    let folder = edited(|tensors, config| {
        config["vocab_size"] = json!(317);
        let (_, shape, bytes) =
            tensors.get_mut("distilbert.embeddings.word_embeddings.weight").expect("it is there");
        shape[0] = 317;
        bytes.truncate(317 * 32 * 4);
    });
    let error = Classifier::load(folder.path(), DeviceKind::Flex).expect_err("it is refused");
    let source = std::error::Error::source(&error).expect("a cause").to_string();
    assert_eq!(source, r###"token "##ness" has number 317, and config.json's vocab_size is 317"###);
}

#[test]
fn heads_of_base_checkpoints_are_left_out() {
    let folder = edited(|tensors, config| {
        tensors.retain(|name, _| !name.contains("classifier"));
        for name in ["vocab_transform.weight", "vocab_layer_norm.bias", "vocab_projector.bias"] {
            tensors.insert(name.to_owned(), (Dtype::F32, vec![1], vec![0; 4]));
        }
        config["architectures"] = json!(["DistilBertForMaskedLM"]);
    });
    let classifier = load(folder.path());
    assert!(classifier.labels().is_empty());
    let labels = ["a", "b", "c"].map(str::to_owned);
    let one = classifier.clone().with_labels(labels.to_vec(), 1);
    assert_eq!(one.labels(), labels);
    assert_eq!(logits(&one)[0].len(), 3);
    assert_eq!(logits(&one), logits(&classifier.clone().with_labels(labels.to_vec(), 1)));
    assert_ne!(logits(&one), logits(&classifier.with_labels(labels.to_vec(), 2)));
}

#[test]
fn a_bare_model_without_prefix_loads() {
    let folder = edited(|tensors, _| {
        tensors.retain(|name, _| !name.contains("classifier"));
        let names = std::mem::take(tensors).into_iter();
        *tensors =
            names.map(|(name, tensor)| (name.replacen("distilbert.", "", 1), tensor)).collect();
    });
    assert!(load(folder.path()).labels().is_empty());
}

#[test]
fn a_masked_lm_head_has_its_own_tensors_and_no_others() {
    check(
        |tensors, _| {
            drop(
                tensors
                    .insert("vocab_transform.extra".to_owned(), (Dtype::F32, vec![1], vec![0; 4])),
            )
        },
        expect!["the weights in DIR do not fit its config.json: vocab_transform.extra is unknown"],
    );
}

#[test]
fn gamma_and_beta_of_the_oldest_checkpoints_are_read() {
    let folder = edited(|tensors, _| {
        let names = std::mem::take(tensors).into_iter();
        let old = |name: String| {
            name.replace("LayerNorm.weight", "LayerNorm.gamma")
                .replace("LayerNorm.bias", "LayerNorm.beta")
        };
        *tensors = names.map(|(name, tensor)| (old(name), tensor)).collect();
    });
    assert_eq!(logits(&load(folder.path())), logits(&load(&tiny())));
}

#[test]
fn a_base_bert_gets_a_head_and_is_saved_under_its_own_names() {
    let (start, folder) =
        (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    for name in ["config.json", "vocab.txt"] {
        fs::copy(tiny_bert().join(name), start.path().join(name)).expect("copied");
    }
    let mut tensors = read_tensors(&tiny_bert().join("model.safetensors"));
    // As `BertForPreTraining` saves it; as for the masked LM alone, there is no pooler.
    tensors.retain(|name, _| !name.starts_with("classifier") && !name.contains("pooler"));
    tensors.insert("cls.predictions.bias".to_owned(), (Dtype::F32, vec![1], vec![0; 4]));
    write_tensors(&start.path().join("model.safetensors"), &tensors);
    let base = load(start.path());
    assert!(base.labels().is_empty());
    let classifier = base.with_labels(["a", "b"].map(str::to_owned).to_vec(), 3);
    classifier.save(folder.path(), None).expect("saved");
    let saved = read_tensors(&folder.path().join("model.safetensors"));
    assert_eq!(saved["bert.pooler.dense.weight"].1, [24, 24]);
    assert_eq!(saved["classifier.weight"].1, [2, 24]);
    assert!(
        saved["bert.embeddings.token_type_embeddings.weight"]
            == tensors["bert.embeddings.token_type_embeddings.weight"]
    );
    assert!(folder.path().join("tokenizer.json").exists(), "made of the vocabulary");
    assert_eq!(logits(&load(folder.path())), logits(&classifier));
}

#[test]
fn labels_that_are_known_keep_the_head_and_its_order() {
    let tiny = load(&tiny());
    let mut backwards = tiny.labels().to_vec();
    backwards.reverse();
    let numbers = ["LABEL_0", "LABEL_1"].map(str::to_owned).to_vec();
    for labels in [backwards, numbers] {
        let same = tiny.clone().with_labels(labels, 1);
        assert_eq!((same.labels(), logits(&same)), (tiny.labels(), logits(&tiny)));
    }
    let others = tiny.clone().with_labels(["no", "yes"].map(str::to_owned).to_vec(), 1);
    assert_ne!(logits(&others), logits(&tiny), "a head for other labels is drawn");
    assert_eq!(others.labels(), ["no", "yes"]);
    // One of the checkpoint's own is enough, whatever its case; the others stay.
    let one = tiny.clone().with_labels(vec![tiny.labels()[1].to_uppercase()], 1);
    assert_eq!((one.labels(), logits(&one)), (tiny.labels(), logits(&tiny)));
    // Numbers are given names.
    let folder =
        edited(|_, config| drop(config.as_object_mut().expect("an object").remove("id2label")));
    let named = load(folder.path()).with_labels(["no", "yes"].map(str::to_owned).to_vec(), 1);
    assert_eq!((named.labels()[1].as_str(), logits(&named)), ("yes", logits(&tiny)));
}

#[test]
fn what_would_panic_is_refused() {
    let config = |key: &'static str, value: serde_json::Value| {
        let folder = edited(move |_, config| config[key] = value);
        shown(folder.path())
    };
    assert!(config("pad_token_id", json!(99999)).contains("pad_token_id is 99999"));
    assert!(config("n_layers", json!(1_000_000_000)).contains("1000000000 layers"));
    let folder = edited(|tensors, config| {
        config.as_object_mut().expect("an object").remove("id2label");
        let empty = (Dtype::F32, vec![30_000_000_000, 0], Vec::new());
        tensors.insert("classifier.weight".to_owned(), empty);
    });
    assert!(shown(folder.path()).contains("classifier.weight is unknown"));
    let folder = edited(|tensors, _| {
        let twice = tensors["distilbert.embeddings.LayerNorm.weight"].clone();
        tensors.insert("embeddings.LayerNorm.gamma".to_owned(), twice);
    });
    assert!(shown(folder.path()).contains("distilbert.embeddings.LayerNorm.weight is there twice"));
}

#[test]
fn weights_that_are_no_numbers_are_found_out() {
    let folder = edited(|tensors, _| {
        let (_, _, bytes) =
            tensors.get_mut("distilbert.transformer.layer.0.ffn.lin1.weight").expect("a layer");
        *bytes = f32::NAN.to_le_bytes().repeat(bytes.len() / 4);
    });
    for device in [DeviceKind::Flex, DeviceKind::NdArray] {
        let broken = Classifier::load(folder.path(), device).expect("it loads");
        let found = broken.classify(&["a film"]);
        assert!(matches!(found, Err(Error::NotFinite { text: 1 })), "{device}: {found:?}");
        let trained = train(broken, &split(8), &TrainConfig::default(), None, &go_on);
        assert!(matches!(trained, Err(Error::Diverged { step: 1 })), "{device}");
    }
}

/// Why a folder does not load.
fn shown(folder: &Path) -> String {
    Classifier::load(folder, DeviceKind::Flex).expect_err("it is refused").to_string()
}

#[test]
fn labels_without_names_are_numbered() {
    let folder = edited(|_, config| {
        let config = config.as_object_mut().expect("an object");
        config.remove("id2label");
        config.remove("label2id");
    });
    assert_eq!(load(folder.path()).labels(), ["LABEL_0", "LABEL_1"]);
}

#[test]
fn half_precision_is_read() {
    let folder = edited(|tensors, config| {
        config["dtype"] = json!("bfloat16");
        for (dtype, _, bytes) in tensors.values_mut() {
            *dtype = Dtype::BF16;
            *bytes = bytes.chunks_exact(4).flat_map(|value| [value[2], value[3]]).collect();
        }
    });
    let pairs = [logits(&load(folder.path())), logits(&load(&tiny()))];
    let differences =
        pairs[0].iter().flatten().zip(pairs[1].iter().flatten()).map(|(a, b)| (a - b).abs());
    let largest = differences.fold(0.0, f32::max);
    assert!(largest > 0.0 && largest < 0.1, "{largest}");
}

#[test]
fn shards_are_read_by_their_index() {
    let folder = edited(|_, _| ());
    let path = |name: &str| folder.path().join(name);
    let mut tensors = read_tensors(&path("model.safetensors"));
    let rest = tensors.split_off("distilbert.transformer.layer.1");
    let names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let mut weight_map = serde_json::Map::new();
    for (name, shard) in names.into_iter().zip([tensors, rest]) {
        write_tensors(&path(name), &shard);
        weight_map.extend(shard.keys().map(|tensor| (tensor.clone(), json!(name))));
    }
    fs::write(path("model.safetensors.index.json"), json!({"weight_map": weight_map}).to_string())
        .expect("written");
    fs::remove_file(path("model.safetensors")).expect("removed");
    assert_eq!(logits(&load(folder.path())), logits(&load(&tiny())));
}

#[test]
fn a_saved_classifier_is_the_same_when_loaded() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let classifier = load(&tiny());
    classifier.save(&folder.path().join("out"), None).expect("saved");
    let saved = |name: &str| fs::read(folder.path().join("out").join(name)).expect("readable");
    let given = |name: &str| fs::read(tiny().join(name)).expect("readable");
    assert!(saved("model.safetensors") == given("model.safetensors"), "PyTorch's own bytes");
    assert!(saved("tokenizer.json") == given("tokenizer.json"));
    assert_eq!(logits(&load(&folder.path().join("out"))), logits(&classifier));
}

#[test]
fn a_saved_classifier_takes_the_place_of_another_and_of_nothing_else() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (place, classifier) = (folder.path().join("deep/out"), load(&tiny()));
    for card in ["one", "two"] {
        classifier.save(&place, Some(card)).expect("saved");
        fs::write(place.join("old"), "").expect("written");
        assert_eq!(fs::read_to_string(place.join("README.md")).expect("readable"), card);
    }
    classifier.save(&place, None).expect("saved");
    assert!(!place.join("README.md").exists() && !place.join("old").exists());
    let names = fs::read_dir(folder.path().join("deep")).expect("readable");
    assert_eq!(names.count(), 1, "nothing else is left beside it");

    let notes = folder.path().join("notes");
    fs::create_dir(&notes).expect("made");
    fs::write(notes.join("mine"), "mine").expect("written");
    for taken in [notes.clone(), notes.join("mine")] {
        let error = classifier.save(&taken, None).expect_err("it is somebody's");
        assert!(error.to_string().ends_with("is there and is no model's folder"), "{error}");
    }
    assert_eq!(fs::read_to_string(notes.join("mine")).expect("readable"), "mine");
}

#[test]
fn a_new_head_is_saved_with_its_labels() {
    let (start, folder) = (base(32, 64), tempfile::tempdir().expect("a temporary folder"));
    let classifier = load(start.path()).with_labels(["a", "b", "c"].map(str::to_owned).to_vec(), 1);
    classifier.save(folder.path(), None).expect("saved");
    let loaded = load(folder.path());
    assert_eq!(loaded.labels(), ["a", "b", "c"]);
    assert_eq!(logits(&loaded), logits(&classifier));
}

#[test]
fn the_tokenizers_own_padding_and_truncation_are_left_out() {
    let text = fs::read_to_string(tiny().join("tokenizer.json")).expect("readable");
    assert!(text.contains(r#""Fixed": 16"#), "the file asks for it");
    let long = "the plot is thin but the music and the camera make every scene of this film a joy to watch";
    let classifier = load(&tiny());
    let longer = format!("{long} and i never want it to end");
    let both = classifier.classify(&[long, &longer]).expect("classified");
    assert_ne!(both[0], both[1], "what comes after the sixteenth token counts");
    let endless = longer.repeat(20);
    classifier.classify(&[endless]).expect("cut to the model's own limit");
}

#[test]
fn what_is_not_there_is_named() {
    let folder = edited(|_, _| ());
    fs::remove_file(folder.path().join("tokenizer.json")).expect("removed");
    let error = Classifier::load(folder.path(), DeviceKind::Flex).expect_err("it is refused");
    let source = std::error::Error::source(&error).expect("a cause").to_string();
    assert_eq!(source, "there is no tokenizer.json and no vocab.txt");
}
