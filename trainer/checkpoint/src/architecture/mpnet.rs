//! MPNet: scores of attention have a bias by distance. Source: `modeling_mpnet.py` in
//! `transformers`.

use super::Architecture;
use crate::network::{Attention, Network, Positions};

pub(super) const MPNET: Architecture = Architecture {
    model_type: "mpnet",
    class: "MPNetForSequenceClassification",
    prefix: "mpnet.",
    bare: &["embeddings.", "encoder.", "pooler."],
    names: &[
        ("distilbert.embeddings", "mpnet.embeddings"),
        ("distilbert.transformer.distance_bias", "mpnet.encoder.relative_attention_bias"),
        (
            "distilbert.transformer.layer.*.attention.q_lin",
            "mpnet.encoder.layer.*.attention.attn.q",
        ),
        (
            "distilbert.transformer.layer.*.attention.k_lin",
            "mpnet.encoder.layer.*.attention.attn.k",
        ),
        (
            "distilbert.transformer.layer.*.attention.v_lin",
            "mpnet.encoder.layer.*.attention.attn.v",
        ),
        (
            "distilbert.transformer.layer.*.attention.out_lin",
            "mpnet.encoder.layer.*.attention.attn.o",
        ),
        (
            "distilbert.transformer.layer.*.sa_layer_norm",
            "mpnet.encoder.layer.*.attention.LayerNorm",
        ),
        ("distilbert.transformer.layer.*.ffn.lin1", "mpnet.encoder.layer.*.intermediate.dense"),
        ("distilbert.transformer.layer.*.ffn.lin2", "mpnet.encoder.layer.*.output.dense"),
        (
            "distilbert.transformer.layer.*.output_layer_norm",
            "mpnet.encoder.layer.*.output.LayerNorm",
        ),
        ("pre_classifier", "classifier.dense"),
        ("classifier", "classifier.out_proj"),
    ],
    left_out: &["mpnet.embeddings.position_ids", "mpnet.pooler.", "lm_head."],
    network: |keys| {
        let vocab_size = keys.size(&["vocab_size"], 30527);
        let n_buckets = keys.size(&["relative_attention_num_buckets"], 32);
        if n_buckets < 4 {
            keys.problems.push(format!("relative_attention_num_buckets is {n_buckets}, below 4"));
        }
        let network = Network {
            pad_token_id: keys.token("pad_token_id", 1),
            // Whatever `pad_token_id` says.
            positions: Positions::After(1),
            attention: Attention::Biased { n_buckets },
            ..Network::of_bert(keys, vocab_size)
        };
        network.with_pooled_dropout()
    },
    tokenizer: "MPNetTokenizer",
};
