//! BERT, and the keys and names that most others took over.
//! Source: `modeling_bert.py` in `transformers`.

use super::Architecture;
use crate::keys::Keys;
use crate::network::{Activation, Dropouts, Initializer, Network};

pub(super) const BERT: Architecture = Architecture {
    model_type: "bert",
    class: "BertForSequenceClassification",
    prefix: "bert.",
    bare: &["embeddings.", "encoder.", "pooler."],
    names: &[
        ("distilbert.embeddings", "bert.embeddings"),
        (
            "distilbert.transformer.layer.*.attention.q_lin",
            "bert.encoder.layer.*.attention.self.query",
        ),
        (
            "distilbert.transformer.layer.*.attention.k_lin",
            "bert.encoder.layer.*.attention.self.key",
        ),
        (
            "distilbert.transformer.layer.*.attention.v_lin",
            "bert.encoder.layer.*.attention.self.value",
        ),
        (
            "distilbert.transformer.layer.*.attention.out_lin",
            "bert.encoder.layer.*.attention.output.dense",
        ),
        (
            "distilbert.transformer.layer.*.sa_layer_norm",
            "bert.encoder.layer.*.attention.output.LayerNorm",
        ),
        ("distilbert.transformer.layer.*.ffn.lin1", "bert.encoder.layer.*.intermediate.dense"),
        ("distilbert.transformer.layer.*.ffn.lin2", "bert.encoder.layer.*.output.dense"),
        (
            "distilbert.transformer.layer.*.output_layer_norm",
            "bert.encoder.layer.*.output.LayerNorm",
        ),
        ("pre_classifier", "bert.pooler.dense"),
    ],
    left_out: &[
        "bert.embeddings.position_ids",
        "bert.embeddings.token_type_ids",
        "cls.predictions.bias",
        "cls.predictions.transform.dense.weight",
        "cls.predictions.transform.dense.bias",
        "cls.predictions.transform.LayerNorm.weight",
        "cls.predictions.transform.LayerNorm.bias",
        "cls.predictions.decoder.weight",
        "cls.predictions.decoder.bias",
        "cls.seq_relationship.weight",
        "cls.seq_relationship.bias",
    ],
    network: |keys| {
        let vocab_size = keys.size(&["vocab_size"], 30522);
        let type_vocab_size = keys.size(&["type_vocab_size"], 2);
        let network = Network { type_vocab_size, ..Network::of_bert(keys, vocab_size) };
        network.with_classifier_dropout(keys)
    },
    tokenizer: "BertTokenizer",
};

impl Network {
    /// Reads the keys that BERT and most others have.
    pub(super) fn of_bert(keys: &mut Keys<'_>, vocab_size: usize) -> Self {
        let dropout = keys.share("hidden_dropout_prob", 0.1);
        let dim = keys.size(&["hidden_size"], 768);
        Self {
            vocab_size,
            max_position_embeddings: keys.size(&["max_position_embeddings"], 512),
            n_layers: keys.size(&["num_hidden_layers"], 12),
            n_heads: keys.size(&["num_attention_heads"], 12),
            dim,
            embedding_dim: dim,
            hidden_dim: keys.size(&["intermediate_size"], 3072),
            dropout: Dropouts {
                embedded: Some(dropout),
                attention: Some(keys.share("attention_probs_dropout_prob", 0.1)),
                attended: Some(dropout),
                fed: Some(dropout),
                pooled: None,
                classified: Some(dropout),
            },
            activation: keys.activation("hidden_act", Activation::Gelu),
            initializer: Initializer::plain(keys.number("initializer_range", 0.02)),
            pad_token_id: keys.token("pad_token_id", 0),
            layer_norm_eps: keys.number("layer_norm_eps", 1e-12),
            ..Self::default()
        }
    }

    /// With the share that has a key of its own, or else that of hidden layers.
    pub(super) fn with_classifier_dropout(mut self, keys: &mut Keys<'_>) -> Self {
        let share = keys.share("classifier_dropout", self.dropout.fed.unwrap_or(0.0));
        self.dropout.classified = Some(share);
        self
    }

    /// With the same dropout before the head's dense layer.
    pub(super) fn with_pooled_dropout(mut self) -> Self {
        self.dropout.pooled = self.dropout.classified;
        self
    }
}
