//! data2vec's text encoder: RoBERTa under names of its own.
//! Source: `modeling_data2vec_text.py` in `transformers`.

use super::Architecture;
use super::roberta::{ROBERTA, network};

pub(super) const DATA2VEC_TEXT: Architecture = Architecture {
    model_type: "data2vec-text",
    class: "Data2VecTextForSequenceClassification",
    prefix: "data2vec_text.",
    names: &[
        ("distilbert.embeddings", "data2vec_text.embeddings"),
        (
            "distilbert.transformer.layer.*.attention.q_lin",
            "data2vec_text.encoder.layer.*.attention.self.query",
        ),
        (
            "distilbert.transformer.layer.*.attention.k_lin",
            "data2vec_text.encoder.layer.*.attention.self.key",
        ),
        (
            "distilbert.transformer.layer.*.attention.v_lin",
            "data2vec_text.encoder.layer.*.attention.self.value",
        ),
        (
            "distilbert.transformer.layer.*.attention.out_lin",
            "data2vec_text.encoder.layer.*.attention.output.dense",
        ),
        (
            "distilbert.transformer.layer.*.sa_layer_norm",
            "data2vec_text.encoder.layer.*.attention.output.LayerNorm",
        ),
        (
            "distilbert.transformer.layer.*.ffn.lin1",
            "data2vec_text.encoder.layer.*.intermediate.dense",
        ),
        ("distilbert.transformer.layer.*.ffn.lin2", "data2vec_text.encoder.layer.*.output.dense"),
        (
            "distilbert.transformer.layer.*.output_layer_norm",
            "data2vec_text.encoder.layer.*.output.LayerNorm",
        ),
        ("pre_classifier", "classifier.dense"),
        ("classifier", "classifier.out_proj"),
    ],
    left_out: &["data2vec_text.embeddings.position_ids", "data2vec_text.pooler.", "lm_head."],
    network: |keys| network(keys, 30522),
    ..ROBERTA
};
