//! What the tensors of an architecture are called, and which shapes they have.

use std::collections::BTreeMap;

use super::config::{Config, Family};

/// The names of one architecture. Fields are DistilBERT's words, as in [`model`](super::model).
pub(super) struct Names {
    pub(super) embeddings: &'static str,
    /// Before a layer's number.
    layers: &'static str,
    pub(super) q_lin: &'static str,
    pub(super) k_lin: &'static str,
    pub(super) v_lin: &'static str,
    pub(super) out_lin: &'static str,
    pub(super) sa_layer_norm: &'static str,
    pub(super) lin1: &'static str,
    pub(super) lin2: &'static str,
    pub(super) output_layer_norm: &'static str,
    /// The layer before the classifier.
    pub(super) pre_classifier: &'static str,
    pub(super) has_token_types: bool,
}

const DISTILBERT: Names = Names {
    embeddings: "distilbert.embeddings",
    layers: "distilbert.transformer.layer",
    q_lin: "attention.q_lin",
    k_lin: "attention.k_lin",
    v_lin: "attention.v_lin",
    out_lin: "attention.out_lin",
    sa_layer_norm: "sa_layer_norm",
    lin1: "ffn.lin1",
    lin2: "ffn.lin2",
    output_layer_norm: "output_layer_norm",
    pre_classifier: "pre_classifier",
    has_token_types: false,
};

const BERT: Names = Names {
    embeddings: "bert.embeddings",
    layers: "bert.encoder.layer",
    q_lin: "attention.self.query",
    k_lin: "attention.self.key",
    v_lin: "attention.self.value",
    out_lin: "attention.output.dense",
    sa_layer_norm: "attention.output.LayerNorm",
    lin1: "intermediate.dense",
    lin2: "output.dense",
    output_layer_norm: "output.LayerNorm",
    pre_classifier: "bert.pooler.dense",
    has_token_types: true,
};

impl Names {
    pub(super) fn of(family: Family) -> &'static Self {
        match family {
            Family::DistilBert => &DISTILBERT,
            Family::Bert => &BERT,
        }
    }

    /// The beginning of the names of one layer's tensors.
    pub(super) fn layer(&self, n: usize) -> String {
        format!("{}.{n}", self.layers)
    }

    /// A buffer that older versions of transformers saved; it holds 0, 1, 2, …
    pub(super) fn position_ids(&self) -> String {
        format!("{}.position_ids", self.embeddings)
    }
}

/// The names and shapes of all tensors of a classifier.
pub(super) fn tensors(config: &Config, n_labels: usize) -> BTreeMap<String, Vec<usize>> {
    let names = Names::of(config.family());
    let Config { dim, hidden_dim, .. } = *config;
    let mut tensors = BTreeMap::new();
    let mut embedding = |name: &str, n_rows: usize| {
        tensors.insert(format!("{}.{name}.weight", names.embeddings), vec![n_rows, dim]);
    };
    embedding("word_embeddings", config.vocab_size);
    embedding("position_embeddings", config.max_position_embeddings);
    if names.has_token_types {
        embedding("token_type_embeddings", config.type_vocab_size);
    }
    let mut linears =
        vec![(names.pre_classifier.to_owned(), dim, dim), ("classifier".to_owned(), n_labels, dim)];
    let mut norms = vec![format!("{}.LayerNorm", names.embeddings)];
    for layer in (0..config.n_layers()).map(|n| names.layer(n)) {
        let square = [names.q_lin, names.k_lin, names.v_lin, names.out_lin];
        linears.extend(square.map(|name| (format!("{layer}.{name}"), dim, dim)));
        linears.push((format!("{layer}.{}", names.lin1), hidden_dim, dim));
        linears.push((format!("{layer}.{}", names.lin2), dim, hidden_dim));
        norms.extend(
            [names.sa_layer_norm, names.output_layer_norm].map(|name| format!("{layer}.{name}")),
        );
    }
    for (name, n_out, n_in) in linears {
        tensors.insert(format!("{name}.weight"), vec![n_out, n_in]);
        tensors.insert(format!("{name}.bias"), vec![n_out]);
    }
    for (name, part) in norms.iter().flat_map(|name| ["weight", "bias"].map(|part| (name, part))) {
        tensors.insert(format!("{name}.{part}"), vec![dim]);
    }
    tensors
}
