//! ALBERT: layers share their weights, and embeddings are narrow. Source: `modeling_albert.py` in
//! `transformers`.

use super::Architecture;
use crate::network::{Activation, Dropouts, Network};

pub(super) const ALBERT: Architecture = Architecture {
    model_type: "albert",
    class: "AlbertForSequenceClassification",
    prefix: "albert.",
    bare: &["embeddings.", "encoder.", "pooler."],
    names: &[
        ("distilbert.embeddings.projection", "albert.encoder.embedding_hidden_mapping_in"),
        ("distilbert.embeddings", "albert.embeddings"),
        (
            "distilbert.transformer.layer.*.attention.q_lin",
            "albert.encoder.albert_layer_groups.*.albert_layers.0.attention.query",
        ),
        (
            "distilbert.transformer.layer.*.attention.k_lin",
            "albert.encoder.albert_layer_groups.*.albert_layers.0.attention.key",
        ),
        (
            "distilbert.transformer.layer.*.attention.v_lin",
            "albert.encoder.albert_layer_groups.*.albert_layers.0.attention.value",
        ),
        (
            "distilbert.transformer.layer.*.attention.out_lin",
            "albert.encoder.albert_layer_groups.*.albert_layers.0.attention.dense",
        ),
        (
            "distilbert.transformer.layer.*.sa_layer_norm",
            "albert.encoder.albert_layer_groups.*.albert_layers.0.attention.LayerNorm",
        ),
        (
            "distilbert.transformer.layer.*.ffn.lin1",
            "albert.encoder.albert_layer_groups.*.albert_layers.0.ffn",
        ),
        (
            "distilbert.transformer.layer.*.ffn.lin2",
            "albert.encoder.albert_layer_groups.*.albert_layers.0.ffn_output",
        ),
        (
            "distilbert.transformer.layer.*.output_layer_norm",
            "albert.encoder.albert_layer_groups.*.albert_layers.0.full_layer_layer_norm",
        ),
        ("pre_classifier", "albert.pooler"),
    ],
    left_out: &[
        "albert.embeddings.position_ids",
        "albert.embeddings.token_type_ids",
        "predictions.",
        "sop_classifier.",
    ],
    network: |keys| {
        let vocab_size = keys.size(&["vocab_size"], 30000);
        if keys.size(&["inner_group_num"], 1) != 1 {
            keys.problems.push("inner_group_num is not 1, which is not supported".to_owned());
        }
        let n_groups = keys.size(&["num_hidden_groups"], 1);
        let network = Network::of_bert(keys, vocab_size);
        let dropout = keys.share("hidden_dropout_prob", 0.0);
        Network {
            type_vocab_size: keys.size(&["type_vocab_size"], 2),
            embedding_dim: keys.size(&["embedding_size"], 128),
            projects: true,
            dim: keys.size(&["hidden_size"], 4096),
            n_groups: Some(n_groups),
            n_heads: keys.size(&["num_attention_heads"], 64),
            hidden_dim: keys.size(&["intermediate_size"], 16384),
            dropout: Dropouts {
                embedded: Some(dropout),
                attention: Some(keys.share("attention_probs_dropout_prob", 0.0)),
                attended: Some(dropout),
                classified: Some(keys.share("classifier_dropout_prob", 0.1)),
                ..Dropouts::default()
            },
            activation: keys.activation("hidden_act", Activation::GeluTanh),
            ..network
        }
    },
    tokenizer: "AlbertTokenizer",
};
