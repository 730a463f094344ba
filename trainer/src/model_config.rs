//! `config.json` of a DistilBERT or BERT checkpoint, as transformers 4 and 5 write it.

use std::collections::BTreeMap;
use std::path::Path;

use fs_err as fs;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};

/// What the network needs to know, and the document that it came from.
#[derive(Debug, Clone)]
pub(crate) struct ModelConfig {
    pub(crate) family: Family,
    pub(crate) network: Network,
    /// By index; empty where the document names none.
    pub(crate) labels: Vec<String>,
    /// Everything, also what we do not use: it is written back.
    document: Map<String, Value>,
}

/// The shape of the network; defaults are `DistilBertConfig`'s.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub(crate) struct Network {
    pub(crate) vocab_size: usize,
    pub(crate) max_position_embeddings: usize,
    pub(crate) n_layers: usize,
    pub(crate) n_heads: usize,
    pub(crate) dim: usize,
    pub(crate) hidden_dim: usize,
    pub(crate) dropout: f64,
    pub(crate) attention_dropout: f64,
    pub(crate) seq_classif_dropout: f64,
    pub(crate) activation: Activation,
    pub(crate) initializer_range: f64,
    pub(crate) pad_token_id: Option<u32>,
    /// LayerNorm's epsilon; DistilBERT's documents have no key for it.
    pub(crate) layer_norm_eps: f64,
    /// Kinds of tokens; 0 where the network does not tell them apart.
    #[serde(skip)]
    pub(crate) type_vocab_size: usize,
    /// Whether attention's output passes through dropout, as in BERT.
    #[serde(skip)]
    pub(crate) drops_attended: bool,
    /// The activation between the two layers of the head.
    #[serde(skip)]
    pub(crate) pooling: Pooling,
}

/// Whose names the checkpoint's tensors have, and which details of the network differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Family {
    #[default]
    DistilBert,
    Bert,
}

/// The activation between the two layers of the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Pooling {
    /// DistilBERT's pre-classifier.
    #[default]
    Relu,
    /// BERT's pooler.
    Tanh,
}

/// BERT's own keys; defaults are `BertConfig`'s.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct BertKeys {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    hidden_act: Activation,
    hidden_dropout_prob: f64,
    attention_probs_dropout_prob: f64,
    classifier_dropout: Option<f64>,
    max_position_embeddings: usize,
    type_vocab_size: usize,
    initializer_range: f64,
    layer_norm_eps: f64,
    pad_token_id: Option<u32>,
}

impl Default for BertKeys {
    fn default() -> Self {
        Self {
            vocab_size: 30522,
            hidden_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            intermediate_size: 3072,
            hidden_act: Activation::Gelu,
            hidden_dropout_prob: 0.1,
            attention_probs_dropout_prob: 0.1,
            classifier_dropout: None,
            max_position_embeddings: 512,
            type_vocab_size: 2,
            initializer_range: 0.02,
            layer_norm_eps: 1e-12,
            pad_token_id: Some(0),
        }
    }
}

impl From<BertKeys> for Network {
    fn from(keys: BertKeys) -> Self {
        Self {
            vocab_size: keys.vocab_size,
            max_position_embeddings: keys.max_position_embeddings,
            n_layers: keys.num_hidden_layers,
            n_heads: keys.num_attention_heads,
            dim: keys.hidden_size,
            hidden_dim: keys.intermediate_size,
            dropout: keys.hidden_dropout_prob,
            attention_dropout: keys.attention_probs_dropout_prob,
            seq_classif_dropout: keys.classifier_dropout.unwrap_or(keys.hidden_dropout_prob),
            activation: keys.hidden_act,
            initializer_range: keys.initializer_range,
            pad_token_id: keys.pad_token_id,
            layer_norm_eps: keys.layer_norm_eps,
            type_vocab_size: keys.type_vocab_size,
            drops_attended: true,
            pooling: Pooling::Tanh,
        }
    }
}

/// The feed-forward network's activation.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Activation {
    Gelu,
    Relu,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            vocab_size: 30522,
            max_position_embeddings: 512,
            n_layers: 6,
            n_heads: 12,
            dim: 768,
            hidden_dim: 3072,
            dropout: 0.1,
            attention_dropout: 0.1,
            seq_classif_dropout: 0.2,
            activation: Activation::Gelu,
            initializer_range: 0.02,
            pad_token_id: Some(0),
            layer_norm_eps: 1e-12,
            type_vocab_size: 0,
            drops_attended: false,
            pooling: Pooling::Relu,
        }
    }
}

impl ModelConfig {
    /// Reads `config.json`.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).map_err(|source| Error::ModelFolder {
            dir: path.parent().unwrap_or(path).to_owned(),
            source,
        })?;
        let unparsed = |source| Error::ModelDocument { path: path.to_owned(), source };
        let document: Map<String, Value> = serde_json::from_slice(&bytes).map_err(unparsed)?;
        let unsupported = |problem| Error::UnsupportedModel { path: path.to_owned(), problem };
        let family = kind(&document).map_err(unsupported)?;
        let keys = Value::Object(document.clone());
        let network: Network = match family {
            Family::DistilBert => serde_json::from_value(keys).map_err(unparsed)?,
            Family::Bert => serde_json::from_value::<BertKeys>(keys).map_err(unparsed)?.into(),
        };
        network.check().map_err(unsupported)?;
        let labels = labels(&document).map_err(unsupported)?;
        Ok(Self { family, network, labels, document })
    }

    /// The document of a classifier with these labels: keys sorted, everything else as it was.
    pub(crate) fn to_json(&self) -> String {
        let mut document = self.document.clone();
        let by_index = self.labels.iter().enumerate();
        let id2label: BTreeMap<String, &String> =
            by_index.clone().map(|(n, label)| (n.to_string(), label)).collect();
        let label2id: BTreeMap<&String, usize> = by_index.map(|(n, label)| (label, n)).collect();
        let architecture = match self.family {
            Family::DistilBert => "DistilBertForSequenceClassification",
            Family::Bert => "BertForSequenceClassification",
        };
        document.insert("architectures".into(), json!([architecture]));
        document.insert("id2label".into(), json!(id2label));
        document.insert("label2id".into(), json!(label2id));
        document.insert("problem_type".into(), json!("single_label_classification"));
        document.remove("num_labels");
        for key in ["dtype", "torch_dtype"] {
            if let Some(dtype) = document.get_mut(key) {
                *dtype = json!("float32");
            }
        }
        format!("{:#}\n", sorted(Value::Object(document)))
    }
}

impl Network {
    fn check(&self) -> Result<(), String> {
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("max_position_embeddings", self.max_position_embeddings),
            ("n_layers", self.n_layers),
            ("n_heads", self.n_heads),
            ("dim", self.dim),
            ("hidden_dim", self.hidden_dim),
        ];
        if let Some((name, _)) = sizes.iter().find(|(_, size)| *size == 0) {
            return Err(format!("{name} is 0"));
        }
        if !self.dim.is_multiple_of(self.n_heads) {
            return Err(format!("dim {} is no multiple of n_heads {}", self.dim, self.n_heads));
        }
        if let Some(id) = self.pad_token_id.filter(|id| *id as usize >= self.vocab_size) {
            return Err(format!("pad_token_id is {id}, and vocab_size {}", self.vocab_size));
        }
        let dropouts = [self.dropout, self.attention_dropout, self.seq_classif_dropout];
        match dropouts.iter().find(|p| !(0.0..1.0).contains(*p)) {
            Some(p) => Err(format!("a dropout of {p}")),
            None => Ok(()),
        }
    }
}

/// Refuses what is neither DistilBERT nor BERT, or does not choose one label.
fn kind(document: &Map<String, Value>) -> Result<Family, String> {
    let text = |key: &str| document.get(key).and_then(Value::as_str);
    let family = match text("model_type") {
        Some("distilbert") => Family::DistilBert,
        Some("bert") => Family::Bert,
        Some(other) => {
            return Err(format!(
                "model_type {other:?}, and only distilbert and bert are supported"
            ));
        }
        None => return Err("it names no model_type".to_owned()),
    };
    if let Some(other) = text("position_embedding_type").filter(|kind| *kind != "absolute") {
        return Err(format!(
            "position_embedding_type {other:?}, and only absolute positions are supported"
        ));
    }
    if document.get("is_decoder") == Some(&Value::Bool(true)) {
        return Err("is_decoder, and only encoders are supported".to_owned());
    }
    match text("problem_type") {
        None | Some("single_label_classification") => Ok(family),
        Some(other) => {
            Err(format!("problem_type {other:?}, and only one label a text is supported"))
        }
    }
}

/// The labels of `id2label` in the order of their numbers.
fn labels(document: &Map<String, Value>) -> Result<Vec<String>, String> {
    let Some(id2label) = document.get("id2label").and_then(Value::as_object) else {
        return Ok(Vec::new());
    };
    let label = |n: usize| id2label.get(&n.to_string()).and_then(Value::as_str).map(str::to_owned);
    (0..id2label.len())
        .map(|n| label(n).ok_or_else(|| format!("id2label has no text for {n}")))
        .collect()
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

    fn check(document: &str, expect: Expect) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("config.json");
        fs::write(&path, document).expect("written");
        let shown = match ModelConfig::read(&path) {
            Ok(config) => format!("{:?} {:?}", config.labels, config.network.activation),
            Err(error) => {
                let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
                format!("{error}{}", cause.unwrap_or_default())
            }
        };
        expect.assert_eq(&shown.replace(&*folder.path().to_string_lossy(), ""));
    }

    #[test]
    fn config_of_transformers_4_and_5_is_read() {
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
    fn berts_own_keys_are_read() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("config.json");
        let document = r#"{"model_type": "bert", "hidden_size": 8, "num_attention_heads": 2, "hidden_dropout_prob": 0.3}"#;
        fs::write(&path, document).expect("written");
        let Network { dim, n_heads, n_layers, seq_classif_dropout, type_vocab_size, .. } =
            ModelConfig::read(&path).expect("readable").network;
        assert_eq!(
            (dim, n_heads, n_layers, seq_classif_dropout, type_vocab_size),
            (8, 2, 12, 0.3, 2)
        );
    }

    #[test]
    fn what_cannot_be_used_is_said() {
        check(
            r#"{"model_type": "bert", "position_embedding_type": "relative_key"}"#,
            expect![[
                r#"cannot use /config.json: position_embedding_type "relative_key", and only absolute positions are supported"#
            ]],
        );
        check(
            r#"{"model_type": "roberta"}"#,
            expect![[
                r#"cannot use /config.json: model_type "roberta", and only distilbert and bert are supported"#
            ]],
        );
        check(
            r#"{"model_type": "distilbert", "problem_type": "regression"}"#,
            expect![[
                r#"cannot use /config.json: problem_type "regression", and only one label a text is supported"#
            ]],
        );
        check(
            r#"{"model_type": "distilbert", "dim": 30, "n_heads": 4}"#,
            expect!["cannot use /config.json: dim 30 is no multiple of n_heads 4"],
        );
        check(
            r#"{"model_type": "distilbert", "id2label": {"0": "a", "2": "b"}}"#,
            expect!["cannot use /config.json: id2label has no text for 1"],
        );
        check(
            r#"{"model_type": "distilbert", "activation": "silu"}"#,
            expect!["cannot parse /config.json: unknown variant `silu`, expected `gelu` or `relu`"],
        );
    }

    #[test]
    fn a_written_config_keeps_what_it_does_not_know() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("config.json");
        let document = r#"{"torch_dtype": "float16", "model_type": "distilbert", "x": {"b": 1, "a": [2]}, "num_labels": 5}"#;
        fs::write(&path, document).expect("written");
        let mut config = ModelConfig::read(&path).expect("readable");
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
