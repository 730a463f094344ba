//! DistilBERT; the network has its names. Source: `modeling_distilbert.py` in `transformers`.

use super::Architecture;
use crate::network::{Activation, Dropouts, Head, Initializer, Network};

pub(super) const DISTILBERT: Architecture = Architecture {
    model_type: "distilbert",
    class: "DistilBertForSequenceClassification",
    prefix: "distilbert.",
    bare: &["embeddings.", "transformer."],
    names: &[],
    left_out: &[
        "distilbert.embeddings.position_ids",
        "vocab_transform.weight",
        "vocab_transform.bias",
        "vocab_layer_norm.weight",
        "vocab_layer_norm.bias",
        "vocab_projector.weight",
        "vocab_projector.bias",
    ],
    network: |keys| {
        let vocab_size = keys.size(&["vocab_size"], 30522);
        let max_position_embeddings = keys.size(&["max_position_embeddings"], 512);
        let n_layers = keys.size(&["n_layers", "num_hidden_layers"], 6);
        let n_heads = keys.size(&["n_heads", "num_attention_heads"], 12);
        let dim = keys.size(&["dim", "hidden_size"], 768);
        let dropout = keys.share("dropout", 0.1);
        Network {
            vocab_size,
            max_position_embeddings,
            n_layers,
            n_heads,
            dim,
            embedding_dim: dim,
            hidden_dim: keys.size(&["hidden_dim"], 3072),
            dropout: Dropouts {
                embedded: Some(dropout),
                attention: Some(keys.share("attention_dropout", 0.1)),
                attended: None,
                fed: Some(dropout),
                pooled: None,
                classified: Some(keys.share("seq_classif_dropout", 0.2)),
            },
            activation: keys.activation("activation", Activation::Gelu),
            initializer: Initializer::plain(keys.number("initializer_range", 0.02)),
            pad_token_id: keys.token("pad_token_id", 0),
            layer_norm_eps: 1e-12,
            head: Head { activation: Activation::Relu, ..Head::default() },
            ..Network::default()
        }
    },
    tokenizer: "DistilBertTokenizer",
};
