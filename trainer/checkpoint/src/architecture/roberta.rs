//! RoBERTa, and what is the same network under its names: XLM-R and CamemBERT.
//! Source: `modeling_roberta.py`, `modeling_xlm_roberta.py` and `modeling_camembert.py` in
//! `transformers`.

use super::Architecture;
use crate::keys::Keys;
use crate::network::{Network, Positions};

pub(super) const ROBERTA: Architecture = Architecture {
    model_type: "roberta",
    class: "RobertaForSequenceClassification",
    prefix: "roberta.",
    bare: &["embeddings.", "encoder.", "pooler."],
    names: &[
        ("distilbert.embeddings", "roberta.embeddings"),
        (
            "distilbert.transformer.layer.*.attention.q_lin",
            "roberta.encoder.layer.*.attention.self.query",
        ),
        (
            "distilbert.transformer.layer.*.attention.k_lin",
            "roberta.encoder.layer.*.attention.self.key",
        ),
        (
            "distilbert.transformer.layer.*.attention.v_lin",
            "roberta.encoder.layer.*.attention.self.value",
        ),
        (
            "distilbert.transformer.layer.*.attention.out_lin",
            "roberta.encoder.layer.*.attention.output.dense",
        ),
        (
            "distilbert.transformer.layer.*.sa_layer_norm",
            "roberta.encoder.layer.*.attention.output.LayerNorm",
        ),
        ("distilbert.transformer.layer.*.ffn.lin1", "roberta.encoder.layer.*.intermediate.dense"),
        ("distilbert.transformer.layer.*.ffn.lin2", "roberta.encoder.layer.*.output.dense"),
        (
            "distilbert.transformer.layer.*.output_layer_norm",
            "roberta.encoder.layer.*.output.LayerNorm",
        ),
        ("pre_classifier", "classifier.dense"),
        ("classifier", "classifier.out_proj"),
    ],
    left_out: &[
        "roberta.embeddings.position_ids",
        "roberta.embeddings.token_type_ids",
        "roberta.pooler.",
        "lm_head.",
    ],
    network: |keys| network(keys, 50265),
    tokenizer: "RobertaTokenizer",
};

pub(super) const XLM_ROBERTA: Architecture = Architecture {
    model_type: "xlm-roberta",
    class: "XLMRobertaForSequenceClassification",
    network: |keys| network(keys, 30522),
    tokenizer: "XLMRobertaTokenizer",
    ..ROBERTA
};

pub(super) const CAMEMBERT: Architecture = Architecture {
    model_type: "camembert",
    class: "CamembertForSequenceClassification",
    network: |keys| network(keys, 30522),
    tokenizer: "CamembertTokenizer",
    ..ROBERTA
};

pub(super) fn network(keys: &mut Keys<'_>, vocab_size: usize) -> Network {
    let vocab_size = keys.size(&["vocab_size"], vocab_size);
    let type_vocab_size = keys.size(&["type_vocab_size"], 2);
    let pad_token_id = keys.padding(1);
    let network = Network {
        type_vocab_size,
        pad_token_id,
        positions: Positions::After(pad_token_id.unwrap_or(1)),
        ..Network::of_bert(keys, vocab_size)
    };
    network.with_classifier_dropout(keys).with_pooled_dropout()
}
