//! config.json of a DistilBERT classifier, as transformers 4 and 5 write it.

use std::collections::BTreeMap;
use std::path::Path;

use fs_err as fs;
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::predictor::BoxError;

/// The shape of a model. Fields are named after config.json; what stands for itself in transformers when missing, does so here.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub(super) struct Config {
    model_type: String,
    activation: String,
    problem_type: Option<String>,
    id2label: Option<BTreeMap<String, String>>,
    pub(super) dim: usize,
    pub(super) hidden_dim: usize,
    pub(super) n_heads: usize,
    pub(super) n_layers: usize,
    pub(super) max_position_embeddings: usize,
    pub(super) vocab_size: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            model_type: String::new(),
            activation: "gelu".to_owned(),
            problem_type: None,
            id2label: None,
            dim: 768,
            hidden_dim: 3072,
            n_heads: 12,
            n_layers: 6,
            max_position_embeddings: 512,
            vocab_size: 30522,
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

    fn problems(&self) -> Vec<String> {
        let Self { model_type, activation, problem_type, dim, n_heads, .. } = self;
        let sizes = [
            ("dim", self.dim),
            ("hidden_dim", self.hidden_dim),
            ("n_heads", self.n_heads),
            ("n_layers", self.n_layers),
            ("max_position_embeddings", self.max_position_embeddings),
            ("vocab_size", self.vocab_size),
        ];
        let mut problems: Vec<String> =
            sizes.iter().filter(|(_, size)| *size == 0).map(|(name, _)| format!("{name} is 0")).collect();
        let mut unless = |fine: bool, problem: String| {
            if !fine {
                problems.push(problem)
            }
        };
        unless(model_type == "distilbert", format!("model_type is {model_type:?}, but only \"distilbert\" is served"));
        unless(activation == "gelu", format!("activation is {activation:?}, but only \"gelu\" is served"));
        unless(*n_heads == 0 || dim % n_heads == 0, format!("dim {dim} does not divide into {n_heads} heads"));
        let single_label = problem_type.as_deref().is_none_or(|kind| kind == "single_label_classification");
        unless(
            single_label,
            format!("problem_type is {problem_type:?}, but only single_label_classification is served"),
        );
        problems
    }

    /// The labels in the order of the logits; `LABEL_0`, … where config.json has none, as transformers 5 leaves out the default ones.
    pub(super) fn labels(&self, n_labels: usize) -> Result<Vec<String>, BoxError> {
        let Some(id2label) = &self.id2label else {
            return Ok((0..n_labels).map(|n| format!("LABEL_{n}")).collect());
        };
        if id2label.len() != n_labels {
            return Err(format!("id2label has {} labels, but the classifier has {n_labels}", id2label.len()).into());
        }
        let label =
            |n: usize| id2label.get(&n.to_string()).cloned().ok_or_else(|| format!("id2label has no label {n}").into());
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
            problem(r#"{"model_type":"distilbert","torch_dtype":"float32","transformers_version":"4.57.0"}"#),
            "none"
        );
        assert_eq!(problem(r#"{"model_type":"distilbert","dtype":"float32","transformers_version":"5.2.0"}"#), "none");
    }

    #[test]
    fn what_is_not_served_is_said_all_at_once() {
        let text = r#"{"model_type":"bert","activation":"relu","dim":10,"n_heads":3,"n_layers":0,"problem_type":"regression"}"#;
        let expected = "n_layers is 0; model_type is \"bert\", but only \"distilbert\" is served; activation is \"relu\", but only \"gelu\" is served; \
                        dim 10 does not divide into 3 heads; problem_type is Some(\"regression\"), but only single_label_classification is served";
        assert_eq!(problem(text), expected);
    }

    #[test]
    fn labels_default_and_are_checked() {
        let config = |text: &str| Config::parse(text).unwrap();
        let plain = config(r#"{"model_type":"distilbert"}"#);
        assert_eq!(plain.labels(2).unwrap(), ["LABEL_0", "LABEL_1"]);
        let named = config(r#"{"model_type":"distilbert","id2label":{"1":"good","0":"bad"}}"#);
        assert_eq!(named.labels(2).unwrap(), ["bad", "good"]);
        assert_eq!(named.labels(3).unwrap_err().to_string(), "id2label has 2 labels, but the classifier has 3");
        let holes = config(r#"{"model_type":"distilbert","id2label":{"0":"bad","2":"good"}}"#);
        assert_eq!(holes.labels(2).unwrap_err().to_string(), "id2label has no label 1");
    }
}
