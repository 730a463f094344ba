//! ModernBERT: positions by rotation, windows in most layers, gated feed-forward networks, norms
//! before and not behind. Source: "Smarter, Better, Faster, Longer", §2, and
//! `modeling_modernbert.py` in `transformers`.

use super::Architecture;
use crate::keys::Keys;
use crate::network::{
    Activation, Attention, Block, Dropouts, Head, Initializer, Network, Pooling, Positions, Rotary,
};

pub(super) const MODERNBERT: Architecture = Architecture {
    model_type: "modernbert",
    class: "ModernBertForSequenceClassification",
    prefix: "model.",
    bare: &["embeddings.", "layers.", "final_norm."],
    names: &[
        ("distilbert.embeddings.word_embeddings", "model.embeddings.tok_embeddings"),
        ("distilbert.embeddings.LayerNorm", "model.embeddings.norm"),
        ("distilbert.transformer.layer.*.attention.qkv_lin", "model.layers.*.attn.Wqkv"),
        ("distilbert.transformer.layer.*.attention.out_lin", "model.layers.*.attn.Wo"),
        ("distilbert.transformer.layer.*.sa_layer_norm", "model.layers.*.attn_norm"),
        ("distilbert.transformer.layer.*.ffn.lin1", "model.layers.*.mlp.Wi"),
        ("distilbert.transformer.layer.*.ffn.lin2", "model.layers.*.mlp.Wo"),
        ("distilbert.transformer.layer.*.output_layer_norm", "model.layers.*.mlp_norm"),
        ("distilbert.transformer.final_layer_norm", "model.final_norm"),
        ("pre_classifier", "head.dense"),
        ("head_layer_norm", "head.norm"),
    ],
    left_out: &["decoder."],
    network,
    tokenizer: "TokenizersBackend",
};

fn network(keys: &mut Keys<'_>) -> Network {
    let vocab_size = keys.size(&["vocab_size"], 50_368);
    let n_layers = keys.size(&["num_hidden_layers"], 22);
    let dim = keys.size(&["hidden_size"], 768);
    let norm_has_bias = keys.flag("norm_bias").unwrap_or(false);
    let attention_dropout = keys.share("attention_dropout", 0.0);
    keys.only("classifier_pooling", &["cls", "mean"]);
    let pooling = match keys.text("classifier_pooling") {
        Some("mean") => Pooling::Mean,
        _ => Pooling::First,
    };
    Network {
        vocab_size,
        max_position_embeddings: keys.size(&["max_position_embeddings"], 8192),
        positions: Positions::None,
        n_layers,
        n_heads: keys.size(&["num_attention_heads"], 12),
        dim,
        embedding_dim: dim,
        hidden_dim: keys.size(&["intermediate_size"], 1152),
        dropout: Dropouts {
            embedded: Some(keys.share("embedding_dropout", 0.0)),
            attention: Some(attention_dropout),
            attended: Some(attention_dropout),
            fed: Some(keys.share("mlp_dropout", 0.0)),
            pooled: None,
            classified: Some(keys.share("classifier_dropout", 0.0)),
        },
        activation: keys.activation("hidden_activation", Activation::Gelu),
        initializer: Initializer {
            dense: keys.number("initializer_range", 0.02) / (2.0 * n_layers as f64).sqrt(),
            classifier: 1.0 / (dim as f64).sqrt(),
            cutoff: Some(keys.number("initializer_cutoff_factor", 2.0)),
        },
        pad_token_id: keys.token("pad_token_id", 50_283),
        layer_norm_eps: keys.number("norm_eps", 1e-5),
        attention: Attention::Rotary(rotary(keys, n_layers)),
        block: Block::PreNorm {
            attention_has_bias: keys.flag("attention_bias").unwrap_or(false),
            ffn_has_bias: keys.flag("mlp_bias").unwrap_or(false),
            norm_has_bias,
        },
        head: Head {
            pooling,
            activation: keys.activation("classifier_activation", Activation::Gelu),
            is_normed: true,
            has_bias: keys.flag("classifier_bias").unwrap_or(false),
        },
        ..Network::default()
    }
}

/// Which layers see how far, and how fast positions turn in them. Newer versions write
/// `layer_types` and `rope_parameters`, older ones a number of layers and two of theta.
fn rotary(keys: &mut Keys<'_>, n_layers: usize) -> Rotary {
    const KINDS: [&str; 2] = ["full_attention", "sliding_attention"];
    for name in ["rope_scaling", "head_dim", "sliding_window"] {
        if keys.holds(name) {
            keys.problems.push(format!("it has {name}, which is not supported"));
        }
    }
    let every = keys.size(&["global_attn_every_n_layers"], 3).max(1);
    let is_local = if keys.holds("layer_types") {
        let kinds = keys.words("layer_types");
        if kinds.len() != n_layers || kinds.iter().any(|kind| !KINDS.contains(&kind.as_str())) {
            let kinds = KINDS.join(" or ");
            keys.problems
                .push(format!("layer_types should say {kinds} for each of {n_layers} layers"));
        }
        kinds.iter().map(|kind| kind == KINDS[1]).collect()
    } else {
        // Of which there are no more than tensors.
        (0..n_layers.min(1 << 16)).map(|layer| !layer.is_multiple_of(every)).collect()
    };
    let thetas = [("global_rope_theta", 160_000.0), ("local_rope_theta", 10_000.0)];
    let [theta, local_theta] = [0, 1].map(|n| {
        let (name, default) = thetas[n];
        // Older versions take the other theta then, newer ones fail.
        keys.refuse_null(&[name]);
        let named = keys.number(name, default);
        let rope = keys.within("rope_parameters", KINDS[n]);
        if let Some(kind) =
            rope.and_then(|rope| rope.get("rope_type")).filter(|kind| *kind != "default")
        {
            keys.problems.push(format!(
                "rope_parameters has rope_type {kind}, and only default is supported"
            ));
        }
        let theta = rope.and_then(|rope| rope.get("rope_theta")?.as_f64()).unwrap_or(named);
        if theta.is_nan() || theta <= 1.0 {
            keys.problems.push(format!("{name} is {theta}"));
        }
        theta
    });
    Rotary { theta, local_theta, window: keys.size(&["local_attention"], 128) / 2, is_local }
}
