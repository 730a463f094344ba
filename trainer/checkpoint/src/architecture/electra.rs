//! ELECTRA's discriminator. Source: `modeling_electra.py` in `transformers`.

use super::Architecture;
use crate::network::{Activation, Head, Network};

pub(super) const ELECTRA: Architecture = Architecture {
    model_type: "electra",
    class: "ElectraForSequenceClassification",
    prefix: "electra.",
    bare: &["embeddings.", "embeddings_project.", "encoder."],
    names: &[
        ("distilbert.embeddings.projection", "electra.embeddings_project"),
        ("distilbert.embeddings", "electra.embeddings"),
        (
            "distilbert.transformer.layer.*.attention.q_lin",
            "electra.encoder.layer.*.attention.self.query",
        ),
        (
            "distilbert.transformer.layer.*.attention.k_lin",
            "electra.encoder.layer.*.attention.self.key",
        ),
        (
            "distilbert.transformer.layer.*.attention.v_lin",
            "electra.encoder.layer.*.attention.self.value",
        ),
        (
            "distilbert.transformer.layer.*.attention.out_lin",
            "electra.encoder.layer.*.attention.output.dense",
        ),
        (
            "distilbert.transformer.layer.*.sa_layer_norm",
            "electra.encoder.layer.*.attention.output.LayerNorm",
        ),
        ("distilbert.transformer.layer.*.ffn.lin1", "electra.encoder.layer.*.intermediate.dense"),
        ("distilbert.transformer.layer.*.ffn.lin2", "electra.encoder.layer.*.output.dense"),
        (
            "distilbert.transformer.layer.*.output_layer_norm",
            "electra.encoder.layer.*.output.LayerNorm",
        ),
        ("pre_classifier", "classifier.dense"),
        ("classifier", "classifier.out_proj"),
    ],
    left_out: &[
        "electra.embeddings.position_ids",
        "electra.embeddings.token_type_ids",
        "discriminator_predictions.",
        "generator_predictions.",
        "generator_lm_head.",
    ],
    network: |keys| {
        let vocab_size = keys.size(&["vocab_size"], 30522);
        let embedding_dim = keys.size(&["embedding_size"], 128);
        let dim = keys.size(&["hidden_size"], 256);
        let network = Network {
            type_vocab_size: keys.size(&["type_vocab_size"], 2),
            embedding_dim,
            dim,
            n_heads: keys.size(&["num_attention_heads"], 4),
            hidden_dim: keys.size(&["intermediate_size"], 1024),
            // Whatever `hidden_act` and `summary_activation` say.
            head: Head { activation: Activation::Gelu, ..Head::default() },
            ..Network::of_bert(keys, vocab_size)
        };
        network.with_classifier_dropout(keys).with_pooled_dropout()
    },
    tokenizer: "BertTokenizer",
};
