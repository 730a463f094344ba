//! Each key of `config.json` means what it means to transformers, or is refused:
//! `testdata/keys/make.py` wrote down what it computes.

use std::path::PathBuf;

use expect_test::expect;
use fs_err as fs;
use kit_trainer::{Classifier, DeviceKind};
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Deserialize)]
struct Golden {
    texts: Vec<String>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    checkpoint: String,
    set: Map<String, Value>,
    removed: Vec<String>,
    labels: Option<Vec<String>>,
    /// None where transformers refuses it.
    logits: Option<Vec<Vec<f32>>>,
}

fn testdata(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name)
}

fn golden() -> Golden {
    let text = fs::read(testdata("keys/golden.json")).expect("readable");
    serde_json::from_slice(&text).expect("golden.json")
}

impl Case {
    fn load(&self) -> Result<Classifier, kit_trainer::Error> {
        let (from, folder) =
            (testdata(&self.checkpoint), tempfile::tempdir().expect("a temporary folder"));
        for file in fs::read_dir(&from).expect("a folder") {
            let name = file.expect("an entry").file_name();
            // What `make.py` wrote beside a checkpoint is none of it.
            if !["golden", "whole", "make"].iter().any(|it| name.to_string_lossy().starts_with(it))
            {
                fs::copy(from.join(&name), folder.path().join(&name)).expect("copied");
            }
        }
        let config = fs::read(from.join("config.json")).expect("readable");
        let mut config: Map<String, Value> = serde_json::from_slice(&config).expect("an object");
        config.extend(self.set.clone());
        self.removed.iter().for_each(|key| drop(config.remove(key)));
        let config = Value::Object(config).to_string();
        fs::write(folder.path().join("config.json"), config).expect("written");
        Classifier::load(folder.path(), DeviceKind::Flex)
    }

    /// What transformers makes of it; of what it refuses, the only other right thing.
    fn expected(&self, cases: &[Self]) -> Vec<Vec<f32>> {
        let plain =
            cases.iter().find(|case| case.name == "as it is" && case.checkpoint == self.checkpoint);
        let plain = plain.and_then(|case| case.logits.clone()).expect("the plain case");
        self.logits.clone().unwrap_or(plain)
    }
}

#[test]
fn keys_mean_what_they_mean_to_transformers() {
    let Golden { texts, cases } = golden();
    let (mut refused, mut wrong) = (Vec::new(), Vec::new());
    for case in &cases {
        let shown = format!("{}: {}", case.checkpoint, case.name);
        let Ok(classifier) = case.load() else {
            refused.extend(case.logits.is_some().then_some(shown));
            continue;
        };
        let found = classifier.classify(&texts).expect("classified");
        let is_near = |(a, b): (&Vec<f32>, &Vec<f32>)| {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 2e-6)
        };
        if !found.iter().zip(&case.expected(&cases)).all(is_near) {
            wrong.push(shown.clone());
        }
        if let Some(labels) = &case.labels {
            assert_eq!(classifier.labels(), labels, "{shown}");
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // What transformers 5 computes, and is refused here: what older versions compute otherwise, what
    // contradicts itself, and what is of another task.
    expect![[r#"
        tiny-distilbert: in BERT's words
        tiny-distilbert: another number of heads in BERT's words
        tiny-distilbert: a decoder
        tiny-distilbert: cross attention
        tiny-distilbert: relative positions
        tiny-distilbert: one layer less
        tiny-distilbert: a negative padding token
        tiny-distilbert: a name that is missing
        tiny-distilbert: an unknown problem
        tiny-distilbert: heads that were pruned
        tiny-bert: a decoder
        tiny-bert: relative positions
        tiny-bert: one layer less
        tiny-bert: a negative padding token
        tiny-bert: an unknown problem
        tiny-bert: heads that were pruned
        architectures/roberta: hidden_act is quick_gelu
        architectures/roberta: hidden_act is gelu_10
        architectures/roberta: hidden_act is mish
        architectures/roberta: hidden_act is sigmoid
        architectures/roberta: relative positions
        architectures/roberta: a decoder
        architectures/electra: hidden_act is quick_gelu
        architectures/electra: hidden_act is gelu_10
        architectures/electra: hidden_act is mish
        architectures/electra: hidden_act is sigmoid
        architectures/electra: relative positions
        architectures/mpnet: hidden_act is quick_gelu
        architectures/mpnet: hidden_act is gelu_10
        architectures/mpnet: hidden_act is mish
        architectures/mpnet: hidden_act is sigmoid
        architectures/mpnet: relative positions
        architectures/albert: hidden_act is quick_gelu
        architectures/albert: hidden_act is gelu_10
        architectures/albert: hidden_act is mish
        architectures/albert: hidden_act is sigmoid
        architectures/albert: one group
        architectures/albert: one layer of two groups
        architectures/albert: relative positions
        architectures/deberta-v2: hidden_act is quick_gelu
        architectures/deberta-v2: hidden_act is gelu_10
        architectures/deberta-v2: hidden_act is mish
        architectures/deberta-v2: hidden_act is sigmoid
        architectures/deberta-v2: pooler_hidden_act is quick_gelu
        architectures/deberta-v2: pooler_hidden_act is gelu_10
        architectures/deberta-v2: pooler_hidden_act is mish
        architectures/deberta-v2: pooler_hidden_act is sigmoid
        architectures/deberta-v2: an unknown kind
        architectures/deberta-v2: capitals in a list
        architectures/deberta-v2: no norm of distances
        architectures/deberta-v2: a missing norm
        architectures/deberta-v2: no relative attention
        architectures/modernbert: hidden_activation is quick_gelu
        architectures/modernbert: hidden_activation is gelu_10
        architectures/modernbert: hidden_activation is mish
        architectures/modernbert: hidden_activation is sigmoid
        architectures/modernbert: classifier_activation is quick_gelu
        architectures/modernbert: classifier_activation is gelu_10
        architectures/modernbert: classifier_activation is mish
        architectures/modernbert: classifier_activation is sigmoid
        architectures/modernbert: a window of 0
        architectures/modernbert: a sliding window
        architectures/modernbert: another kind of turning
        architectures/modernbert: stretched"#]]
    .assert_eq(&refused.join("\n"));
}
