//! config.json of a DistilBERT or BERT classifier, as transformers 4 and 5 write it.

use std::collections::BTreeMap;
use std::path::Path;

use fs_err as fs;
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::predictor::BoxError;

/// The shape of a model, in DistilBERT's words; BERT's own are read too.
/// What stands for itself in transformers when missing, does so here.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub(super) struct Config {
    model_type: String,
    #[serde(alias = "hidden_act")]
    activation: String,
    position_embedding_type: Option<String>,
    problem_type: Option<String>,
    id2label: Option<BTreeMap<String, String>>,
    #[serde(alias = "hidden_size")]
    pub(super) dim: usize,
    #[serde(alias = "intermediate_size")]
    pub(super) hidden_dim: usize,
    #[serde(alias = "num_attention_heads")]
    pub(super) n_heads: usize,
    #[serde(alias = "num_hidden_layers")]
    n_layers: Option<usize>,
    pub(super) max_position_embeddings: usize,
    pub(super) type_vocab_size: usize,
    pub(super) vocab_size: usize,
    pub(super) layer_norm_eps: f32,
}

/// The architectures that are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    DistilBert,
    Bert,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            model_type: String::new(),
            activation: "gelu".to_owned(),
            position_embedding_type: None,
            problem_type: None,
            id2label: None,
            dim: 768,
            hidden_dim: 3072,
            n_heads: 12,
            n_layers: None,
            max_position_embeddings: 512,
            type_vocab_size: 2,
            vocab_size: 30522,
            layer_norm_eps: 1e-12,
        }
    }
}

impl Config {
    /// Reads and checks `config.json` of a model folder.
    pub(super) fn read(dir: &Path) -> Result<Self> {
        let path = dir.join("config.json");
        let text = fs::read_to_string(&path)?;
        Self::parse(&text).map_err(|source| Error::Config { path, source })
    }

    fn parse(text: &str) -> Result<Self, BoxError> {
        let config: Self = serde_json::from_str(text)?;
        let problems = config.problems();
        if problems.is_empty() { Ok(config) } else { Err(problems.join("; ").into()) }
    }

    /// Which architecture it is.
    pub(super) fn family(&self) -> Family {
        if self.model_type == "bert" { Family::Bert } else { Family::DistilBert }
    }

    pub(super) fn n_layers(&self) -> usize {
        let default = if self.family() == Family::Bert { 12 } else { 6 };
        self.n_layers.unwrap_or(default)
    }

    fn problems(&self) -> Vec<String> {
        let Self {
            model_type,
            activation,
            position_embedding_type,
            problem_type,
            dim,
            n_heads,
            ..
        } = self;
        let sizes = [
            ("dim", self.dim),
            ("hidden_dim", self.hidden_dim),
            ("n_heads", self.n_heads),
            ("n_layers", self.n_layers()),
            ("max_position_embeddings", self.max_position_embeddings),
            ("type_vocab_size", self.type_vocab_size),
            ("vocab_size", self.vocab_size),
        ];
        let mut problems: Vec<String> = sizes
            .iter()
            .filter(|(_, size)| *size == 0)
            .map(|(name, _)| format!("{name} is 0"))
            .collect();
        let mut unless = |fine: bool, problem: String| {
            if !fine {
                problems.push(problem)
            }
        };
        let known = ["distilbert", "bert"].contains(&model_type.as_str());
        unless(
            known,
            format!(
                "model_type is {model_type:?}, but only \"distilbert\" and \"bert\" are served"
            ),
        );
        unless(
            activation == "gelu",
            format!("activation is {activation:?}, but only \"gelu\" is served"),
        );
        let absolute = position_embedding_type.as_deref().is_none_or(|kind| kind == "absolute");
        unless(
            absolute,
            format!(
                "position_embedding_type is {position_embedding_type:?}, but only \"absolute\" is served"
            ),
        );
        unless(
            *n_heads == 0 || dim % n_heads == 0,
            format!("dim {dim} does not divide into {n_heads} heads"),
        );
        let single_label =
            problem_type.as_deref().is_none_or(|kind| kind == "single_label_classification");
        unless(
            single_label,
            format!(
                "problem_type is {problem_type:?}, but only single_label_classification is served"
            ),
        );
        problems
    }

    /// The labels in the order of the logits; `LABEL_0`, … where config.json has none, as
    /// transformers 5 leaves out the default ones.
    pub(super) fn labels(&self, n_labels: usize) -> Result<Vec<String>, BoxError> {
        let Some(id2label) = &self.id2label else {
            return Ok((0..n_labels).map(|n| format!("LABEL_{n}")).collect());
        };
        if id2label.len() != n_labels {
            return Err(format!(
                "id2label has {} labels, but the classifier has {n_labels}",
                id2label.len()
            )
            .into());
        }
        let label = |n: usize| {
            id2label
                .get(&n.to_string())
                .cloned()
                .ok_or_else(|| format!("id2label has no label {n}").into())
        };
        (0..n_labels).map(label).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        Config::parse(text).map_or_else(|error| error.to_string(), |_| "none".to_owned())
    }

    #[test]
    fn both_generations_of_transformers_are_read() {
        assert_eq!(
            problem(
                r#"{"model_type":"distilbert","torch_dtype":"float32","transformers_version":"4.57.0"}"#
            ),
            "none"
        );
        assert_eq!(
            problem(
                r#"{"model_type":"distilbert","dtype":"float32","transformers_version":"5.2.0"}"#
            ),
            "none"
        );
    }

    #[test]
    fn bert_has_its_own_words_and_defaults() {
        let text = r#"{"model_type":"bert","hidden_act":"gelu","hidden_size":384,"intermediate_size":1536,"num_attention_heads":12,
                       "layer_norm_eps":1e-7,"position_embedding_type":"absolute"}"#;
        let config = Config::parse(text).unwrap();
        assert_eq!(
            (config.family(), config.dim, config.hidden_dim, config.n_layers()),
            (Family::Bert, 384, 1536, 12)
        );
        assert_eq!(config.layer_norm_eps, 1e-7);
        let text =
            r#"{"model_type":"bert","hidden_act":"relu","position_embedding_type":"relative_key"}"#;
        let expected = "activation is \"relu\", but only \"gelu\" is served; \
                        position_embedding_type is Some(\"relative_key\"), but only \"absolute\" is served";
        assert_eq!(problem(text), expected);
    }

    #[test]
    fn what_is_not_served_is_said_all_at_once() {
        let text = r#"{"model_type":"gpt2","activation":"relu","dim":10,"n_heads":3,"n_layers":0,"problem_type":"regression"}"#;
        let expected = "n_layers is 0; model_type is \"gpt2\", but only \"distilbert\" and \"bert\" are served; activation is \"relu\", \
                        but only \"gelu\" is served; dim 10 does not divide into 3 heads; \
                        problem_type is Some(\"regression\"), but only single_label_classification is served";
        assert_eq!(problem(text), expected);
    }

    #[test]
    fn labels_default_and_are_checked() {
        let config = |text: &str| Config::parse(text).unwrap();
        let plain = config(r#"{"model_type":"distilbert"}"#);
        assert_eq!(plain.labels(2).unwrap(), ["LABEL_0", "LABEL_1"]);
        let named = config(r#"{"model_type":"distilbert","id2label":{"1":"good","0":"bad"}}"#);
        assert_eq!(named.labels(2).unwrap(), ["bad", "good"]);
        assert_eq!(
            named.labels(3).unwrap_err().to_string(),
            "id2label has 2 labels, but the classifier has 3"
        );
        let holes = config(r#"{"model_type":"distilbert","id2label":{"0":"bad","2":"good"}}"#);
        assert_eq!(holes.labels(2).unwrap_err().to_string(), "id2label has no label 1");
    }
}
