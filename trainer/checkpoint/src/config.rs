//! `config.json` of a checkpoint, as transformers 2 to 5 write it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use fs_err as fs;
use serde_json::{Map, Value, json};

use crate::architecture::Architecture;
use crate::error::{Error, Result};
use crate::keys::Keys;
use crate::network::Network;
use crate::tensors::{IS_LFS_POINTER, LFS_POINTER};

/// What is known of a checkpoint without its tensors, and the document that it came from.
#[derive(Debug, Clone)]
pub struct Config {
    /// Whose names keys and tensors have.
    pub architecture: &'static Architecture,
    /// The shape of the network.
    pub network: Network,
    /// In the order of the logits; empty where there is no head.
    pub labels: Vec<String>,
    /// What the logits mean.
    pub task: Task,
    /// The least score with which a text is given each label, in their order, where several may be
    /// right at once and somebody has chosen: `label_thresholds`, a key of our own.
    pub thresholds: Option<Vec<f64>>,
    /// Everything, also what we do not use: it is written back.
    pub(crate) document: Map<String, Value>,
}

const THRESHOLDS: &str = "label_thresholds";

/// What the logits of a classifier mean: `problem_type` in `config.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Task {
    /// One of the labels is right.
    #[default]
    SingleLabel,
    /// Each label is right or wrong for itself.
    MultiLabel,
    /// They are the answer.
    Regression,
}

impl Task {
    const NAMES: [(&'static str, Self); 3] = [
        ("single_label_classification", Self::SingleLabel),
        ("multi_label_classification", Self::MultiLabel),
        ("regression", Self::Regression),
    ];

    /// The one of a `problem_type`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, task)| *task)
    }

    /// What `problem_type` calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize].0
    }
}

impl Config {
    /// Reads `config.json` of a folder. Its labels are those that it names.
    pub(crate) fn read(dir: &Path) -> Result<Self> {
        let path = dir.join("config.json");
        let bytes =
            fs::read(&path).map_err(|source| Error::Folder { dir: dir.to_owned(), source })?;
        if bytes.starts_with(LFS_POINTER) {
            return Err(Error::Unsupported { path, problems: vec![IS_LFS_POINTER.to_owned()] });
        }
        let document = serde_json::from_slice(&bytes)
            .map_err(|source| Error::Document { path: path.clone(), source })?;
        Self::of(document).map_err(|problems| Error::Unsupported { path, problems })
    }

    fn of(document: Map<String, Value>) -> Result<Self, Vec<String>> {
        let mut keys = Keys::of(&document);
        let architecture = architecture(&mut keys);
        check_heeded(&mut keys);
        let names = Task::NAMES.map(|(name, _)| name);
        keys.only("problem_type", &names);
        let named = keys.text("problem_type");
        let task = named.and_then(Task::named).unwrap_or_default();
        let labels = labels(&document).unwrap_or_else(|problem| {
            keys.problems.push(problem);
            Vec::new()
        });
        let thresholds = thresholds(&document, task).unwrap_or_else(|problem| {
            keys.problems.push(problem);
            None
        });
        let Some(architecture) = architecture else { return Err(keys.problems) };
        let network = (architecture.network)(&mut keys);
        network.check(&mut keys);
        let mut problems = keys.problems;
        if problems.is_empty() {
            return Ok(Self { architecture, network, labels, task, thresholds, document });
        }
        // Architectures that share keys read some of them twice.
        let mut seen = BTreeSet::new();
        problems.retain(|problem| seen.insert(problem.clone()));
        Err(problems)
    }

    /// The document of a classifier with these labels: keys sorted, everything else as it was.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut document = self.document.clone();
        let by_index = self.labels.iter().enumerate();
        let id2label: BTreeMap<String, &String> =
            by_index.clone().map(|(n, label)| (n.to_string(), label)).collect();
        let label2id: BTreeMap<&String, usize> = by_index.map(|(n, label)| (label, n)).collect();
        document.insert("architectures".into(), json!([self.architecture.class]));
        document.insert("id2label".into(), json!(id2label));
        document.insert("label2id".into(), json!(label2id));
        document.insert("problem_type".into(), json!(self.task.name()));
        document.remove("num_labels");
        match self.thresholds.as_ref().filter(|_| self.task == Task::MultiLabel) {
            Some(thresholds) => document.insert(THRESHOLDS.into(), json!(thresholds)),
            None => document.remove(THRESHOLDS),
        };
        for key in ["dtype", "torch_dtype"] {
            if let Some(dtype) = document.get_mut(key) {
                *dtype = json!("float32");
            }
        }
        format!("{:#}\n", sorted(Value::Object(document)))
    }

    /// How many labels it says there are; their names say it too.
    pub(crate) fn n_labels(&self) -> Option<u64> {
        self.document.get("num_labels").and_then(Value::as_u64)
    }

    /// The classes that the checkpoint was saved from.
    pub(crate) fn architectures(&self) -> impl Iterator<Item = &str> {
        let named = self.document.get("architectures").and_then(Value::as_array);
        named.into_iter().flatten().filter_map(Value::as_str)
    }
}

/// The architecture, or the problem that there is none.
fn architecture(keys: &mut Keys<'_>) -> Option<&'static Architecture> {
    let Some(named) = keys.text("model_type") else {
        keys.problems.push("it names no model_type".to_owned());
        return None;
    };
    let found = Architecture::find(named);
    if found.is_none() {
        let known: Vec<&str> = Architecture::model_types().collect();
        let known = known.join(", ");
        keys.problems
            .push(format!("model_type is {named:?}, and only these are supported: {known}"));
    }
    found
}

/// Refuses what changes the numbers and is not computed here.
fn check_heeded(keys: &mut Keys<'_>) {
    keys.only("position_embedding_type", &["absolute"]);
    for name in ["is_decoder", "add_cross_attention"] {
        if keys.flag(name) == Some(true) {
            keys.problems.push(format!("{name}, and only encoders are supported"));
        }
    }
    for name in ["pruned_heads", "quantization_config"] {
        if keys.holds(name) {
            keys.problems.push(format!("it has {name}, which is not supported"));
        }
    }
}

/// The labels of `id2label` in the order of their numbers: an object or a list, of texts or
/// numbers.
fn labels(document: &Map<String, Value>) -> Result<Vec<String>, String> {
    let text = |n: usize, value: Option<&Value>| match value {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Number(number)) => Ok(number.to_string()),
        _ => Err(format!("id2label has no text for {n}")),
    };
    match document.get("id2label") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => (0..items.len()).map(|n| text(n, items.get(n))).collect(),
        Some(Value::Object(entries)) => {
            (0..entries.len()).map(|n| text(n, entries.get(&n.to_string()))).collect()
        }
        Some(_) => Err("id2label is neither an object nor a list".to_owned()),
    }
}

/// The thresholds of a classifier of several labels at once.
fn thresholds(document: &Map<String, Value>, task: Task) -> Result<Option<Vec<f64>>, String> {
    let share = |value: &Value| value.as_f64().filter(|share| (0.0..=1.0).contains(share));
    match document.get(THRESHOLDS) {
        None | Some(Value::Null) => Ok(None),
        Some(_) if task != Task::MultiLabel => {
            Err(format!("it has {THRESHOLDS}, and its problem_type is {}", task.name()))
        }
        Some(Value::Array(items)) => match items.iter().map(share).collect() {
            Some(thresholds) => Ok(Some(thresholds)),
            None => Err(format!("{THRESHOLDS} should be numbers from 0 to 1")),
        },
        Some(_) => Err(format!("{THRESHOLDS} is no list")),
    }
}

/// Sorts the keys at every level, whatever order the map inside keeps.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let map: BTreeMap<String, Value> = map.into_iter().collect();
            Value::Object(map.into_iter().map(|(key, value)| (key, sorted(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn config(document: &str) -> Result<Config, Vec<String>> {
        Config::of(serde_json::from_str(document).expect("an object"))
    }

    fn check(document: &str, expect: Expect) {
        let shown = match config(document) {
            Ok(config) => format!("{:?} {:?}", config.labels, config.network.activation),
            Err(problems) => problems.join("; "),
        };
        expect.assert_eq(&shown);
    }

    #[test]
    fn config_of_every_generation_of_transformers_is_read() {
        check(
            r#"{"model_type": "distilbert", "output_past": true, "tie_weights_": true, "sinusoidal_pos_embds": true}"#,
            expect!["[] Gelu"],
        );
        check(
            r#"{"model_type": "distilbert", "torch_dtype": "float32", "id2label": {"1": "b", "0": "a"}}"#,
            expect![[r#"["a", "b"] Gelu"#]],
        );
        check(
            r#"{"model_type": "distilbert", "dtype": "float32", "activation": "relu"}"#,
            expect!["[] Relu"],
        );
    }

    #[test]
    fn labels_may_be_a_list_and_numbers() {
        check(
            r#"{"model_type": "bert", "id2label": ["a", 5], "hidden_act": "gelu_python"}"#,
            expect![[r#"["a", "5"] Gelu"#]],
        );
    }

    #[test]
    fn each_family_has_its_own_keys_and_defaults() {
        let network = |document: &str| config(document).expect("supported").network;
        let bert = network(
            r#"{"model_type": "bert", "hidden_size": 8, "num_attention_heads": 2, "hidden_dropout_prob": 0.3,
                "layer_norm_eps": 1e-7, "dim": 16, "n_layers": 1}"#,
        );
        assert_eq!((bert.dim, bert.n_heads, bert.n_layers, bert.type_vocab_size), (8, 2, 12, 2));
        assert_eq!((bert.dropout.classified, bert.layer_norm_eps), (Some(0.3), 1e-7));
        // `hidden_size` is another name of `dim`; the others are BERT's.
        let distilbert = network(
            r#"{"model_type": "distilbert", "hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 3,
                "intermediate_size": 5, "hidden_act": "silu", "layer_norm_eps": 1e-7}"#,
        );
        assert_eq!((distilbert.dim, distilbert.n_heads, distilbert.n_layers), (8, 2, 3));
        assert_eq!((distilbert.hidden_dim, distilbert.layer_norm_eps), (3072, 1e-12));
    }

    #[test]
    fn what_cannot_be_used_is_said_all_at_once() {
        check(
            r#"{"model_type": "bert", "position_embedding_type": "relative_key", "hidden_act": "mish", "is_decoder": true}"#,
            expect![[
                r#"position_embedding_type is "relative_key", and only absolute is supported; is_decoder, and only encoders are supported; hidden_act is "mish", and only gelu, gelu_python, gelu_new, gelu_fast, gelu_pytorch_tanh, gelu_accurate, relu, silu, swish, tanh are supported"#
            ]],
        );
        check(r#"{"model_type": "roberta", "problem_type": "regression"}"#, expect!["[] Gelu"]);
        check(
            r#"{"model_type": "distilbert", "dim": 30, "n_heads": 4, "hidden_size": 31, "n_layers": 0, "dropout": 1.5, "vocab_size": "7"}"#,
            expect![[
                r#"vocab_size is "7", and should be a whole number; n_layers is 0; dim is 30, and hidden_size 31; dropout is 1.5, and should be from 0 to below 1; dim 30 is no multiple of n_heads 4"#
            ]],
        );
        check(
            r#"{"model_type": "distilbert", "id2label": {"0": "a", "2": "b"}, "pruned_heads": {"0": [1]}, "pad_token_id": 99999}"#,
            expect![
                "it has pruned_heads, which is not supported; id2label has no text for 1; pad_token_id is 99999, and vocab_size 30522"
            ],
        );
        check("{}", expect!["it names no model_type"]);
    }

    #[test]
    fn thresholds_are_written_where_they_are_read() {
        let document = r#"{"model_type": "bert", "problem_type": "multi_label_classification", "label_thresholds": [0.25, 1]}"#;
        let read = config(document).expect("readable");
        assert_eq!(read.thresholds, Some(vec![0.25, 1.0]));
        let again = config(&read.to_json()).expect("readable");
        assert_eq!(again.thresholds, read.thresholds);
        let single = Config { task: Task::SingleLabel, ..read };
        assert!(!single.to_json().contains("label_thresholds"));
        check(
            r#"{"model_type": "bert", "label_thresholds": [0.5]}"#,
            expect!["it has label_thresholds, and its problem_type is single_label_classification"],
        );
        check(
            r#"{"model_type": "bert", "problem_type": "multi_label_classification", "label_thresholds": [2]}"#,
            expect!["label_thresholds should be numbers from 0 to 1"],
        );
    }

    #[test]
    fn a_written_config_keeps_what_it_does_not_know() {
        let document = r#"{"torch_dtype": "float16", "model_type": "distilbert", "x": {"b": 1, "a": [2]}, "num_labels": 5}"#;
        let mut config = config(document).expect("readable");
        config.labels = vec!["no".to_owned(), "yes".to_owned()];
        expect![[r#"
            {
              "architectures": [
                "DistilBertForSequenceClassification"
              ],
              "id2label": {
                "0": "no",
                "1": "yes"
              },
              "label2id": {
                "no": 0,
                "yes": 1
              },
              "model_type": "distilbert",
              "problem_type": "single_label_classification",
              "torch_dtype": "float32",
              "x": {
                "a": [
                  2
                ],
                "b": 1
              }
            }
        "#]]
        .assert_eq(&config.to_json());
    }
}
