//! DeBERTa, versions 2 and 3: attention looks at contents and distances apart.
//! Source: "DeBERTa: Decoding-enhanced BERT with Disentangled Attention", §3, and
//! `modeling_deberta_v2.py` in `transformers`.

use super::Architecture;
use crate::keys::Keys;
use crate::network::{
    Activation, Attention, Convolution, Disentangled, Dropouts, Head, Network, Positions,
};

pub(super) const DEBERTA_V2: Architecture = Architecture {
    model_type: "deberta-v2",
    class: "DebertaV2ForSequenceClassification",
    prefix: "deberta.",
    bare: &["embeddings.", "encoder."],
    names: &[
        ("distilbert.embeddings", "deberta.embeddings"),
        ("distilbert.transformer.conv", "deberta.encoder.conv.conv"),
        ("distilbert.transformer.conv_norm", "deberta.encoder.conv.LayerNorm"),
        ("distilbert.transformer.distances", "deberta.encoder.rel_embeddings"),
        ("distilbert.transformer.distance_norm", "deberta.encoder.LayerNorm"),
        (
            "distilbert.transformer.layer.*.attention.q_lin",
            "deberta.encoder.layer.*.attention.self.query_proj",
        ),
        (
            "distilbert.transformer.layer.*.attention.k_lin",
            "deberta.encoder.layer.*.attention.self.key_proj",
        ),
        (
            "distilbert.transformer.layer.*.attention.v_lin",
            "deberta.encoder.layer.*.attention.self.value_proj",
        ),
        (
            "distilbert.transformer.layer.*.attention.distance_q_lin",
            "deberta.encoder.layer.*.attention.self.pos_query_proj",
        ),
        (
            "distilbert.transformer.layer.*.attention.distance_k_lin",
            "deberta.encoder.layer.*.attention.self.pos_key_proj",
        ),
        (
            "distilbert.transformer.layer.*.attention.out_lin",
            "deberta.encoder.layer.*.attention.output.dense",
        ),
        (
            "distilbert.transformer.layer.*.sa_layer_norm",
            "deberta.encoder.layer.*.attention.output.LayerNorm",
        ),
        ("distilbert.transformer.layer.*.ffn.lin1", "deberta.encoder.layer.*.intermediate.dense"),
        ("distilbert.transformer.layer.*.ffn.lin2", "deberta.encoder.layer.*.output.dense"),
        (
            "distilbert.transformer.layer.*.output_layer_norm",
            "deberta.encoder.layer.*.output.LayerNorm",
        ),
        ("pre_classifier", "pooler.dense"),
    ],
    left_out: &[
        "deberta.embeddings.position_ids",
        // Version 3 learned its embeddings as a difference, and some checkpoints still have it.
        "deberta.embeddings.word_embeddings._weight",
        "lm_predictions.",
        "mask_predictions.",
        "cls.",
    ],
    network,
    tokenizer: "DebertaV2Tokenizer",
};

fn network(keys: &mut Keys<'_>) -> Network {
    let vocab_size = keys.size(&["vocab_size"], 128_100);
    let dim = keys.size(&["hidden_size"], 1536);
    let n_heads = keys.size(&["num_attention_heads"], 24);
    for name in ["embedding_size", "pooler_hidden_size"] {
        let other = keys.size(&[name], dim);
        if other != dim {
            keys.problems
                .push(format!("{name} is {other}, and only hidden_size {dim} is supported"));
        }
    }
    let head_dim = dim / n_heads.max(1);
    let other = keys.size(&["attention_head_size"], head_dim);
    if other != head_dim {
        let problem = format!("attention_head_size is {other}, and only {head_dim} is supported");
        keys.problems.push(problem);
    }
    let has_positions = keys.flag("position_biased_input").unwrap_or(true);
    let network = Network::of_bert(keys, vocab_size);
    let n_layers = keys.size(&["num_hidden_layers"], 24);
    Network {
        type_vocab_size: keys.whole("type_vocab_size").map_or(0, |n| n.try_into().unwrap_or(0)),
        positions: if has_positions { Positions::FromStart } else { Positions::None },
        dim,
        embedding_dim: dim,
        n_heads,
        n_layers,
        convolution: convolution(keys, n_layers),
        hidden_dim: keys.size(&["intermediate_size"], 6144),
        dropout: Dropouts {
            pooled: Some(keys.share("pooler_dropout", 0.0)),
            classified: Some(keys.share("cls_dropout", network.dropout.fed.unwrap_or(0.0))),
            ..network.dropout
        },
        layer_norm_eps: keys.number("layer_norm_eps", 1e-7),
        attention: attention(keys),
        head: Head {
            activation: keys.activation("pooler_hidden_act", Activation::Gelu),
            ..Head::default()
        },
        ..network
    }
}

fn convolution(keys: &mut Keys<'_>, n_layers: usize) -> Option<Convolution> {
    let kernel = keys.whole("conv_kernel_size").and_then(|n| usize::try_from(n).ok())?;
    if kernel == 0 {
        return None;
    }
    let n_groups = keys.size(&["conv_groups"], 1);
    if kernel.is_multiple_of(2) || n_groups != 1 || n_layers < 2 {
        let problem = format!(
            "conv_kernel_size is {kernel} with conv_groups {n_groups} and {n_layers} layers, and \
             only odd ones of one group before a second layer are supported"
        );
        keys.problems.push(problem);
    }
    Some(Convolution { kernel, activation: keys.activation("conv_act", Activation::Tanh) })
}

fn attention(keys: &mut Keys<'_>) -> Attention {
    let kinds = keys.words("pos_att_type");
    for kind in kinds.iter().filter(|kind| !["c2p", "p2c"].contains(&kind.as_str())) {
        keys.problems
            .push(format!("pos_att_type has {kind:?}, and only c2p and p2c are supported"));
    }
    let has = |kind: &str| kinds.iter().any(|found| found == kind);
    let (of_content, of_distance) = (has("c2p"), has("p2c"));
    if keys.flag("relative_attention") != Some(true) {
        if of_content || of_distance {
            keys.problems
                .push("pos_att_type without relative_attention is not supported".to_owned());
        }
        return Attention::Plain;
    }
    let longest = keys.size(&["max_position_embeddings"], 512);
    // -1 is how either says that it is not there.
    let positive = |n: Option<i64>| n.and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
    let max_distance = positive(keys.whole("max_relative_positions")).unwrap_or(longest);
    let n_buckets = positive(keys.whole("position_buckets"));
    if n_buckets.is_some_and(|n| n < 4 || max_distance <= n / 2 + 1) {
        keys.problems.push("position_buckets does not fit max_relative_positions".to_owned());
    }
    Attention::Disentangled(Disentangled {
        n_buckets,
        max_distance,
        of_content,
        of_distance,
        shares_projections: keys.flag("share_att_key").unwrap_or(false),
        is_normed: keys.words("norm_rel_ebd").iter().any(|word| word == "layer_norm"),
    })
}
