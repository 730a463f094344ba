//! The shape of the network, in DistilBERT's words.

use crate::config::Family;
use crate::keys::Keys;

/// What the network needs to know; defaults are those of `transformers`.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// Tokens that have an embedding.
    pub vocab_size: usize,
    /// Tokens of the longest text.
    pub max_position_embeddings: usize,
    /// Encoder layers.
    pub n_layers: usize,
    /// Attention heads of a layer.
    pub n_heads: usize,
    /// Numbers that a token is between the layers.
    pub dim: usize,
    /// Numbers that a token is inside of a feed-forward network.
    pub hidden_dim: usize,
    /// Dropout of what layers put out.
    pub dropout: f64,
    /// Dropout of attention's weights.
    pub attention_dropout: f64,
    /// Dropout before the classifier.
    pub seq_classif_dropout: f64,
    /// The feed-forward networks' activation.
    pub activation: Activation,
    /// The deviation that new weights are drawn with.
    pub initializer_range: f64,
    /// The token that batches are filled up with.
    pub pad_token_id: Option<u32>,
    /// LayerNorm's epsilon; that of DistilBERT is fixed.
    pub layer_norm_eps: f64,
    /// Kinds of tokens; 0 where the network does not tell them apart.
    pub type_vocab_size: usize,
    /// Whether attention's output passes through dropout, as in BERT.
    pub drops_attended: bool,
    /// The activation between the two layers of the head.
    pub pooling: Pooling,
}

/// The activation between the two layers of the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pooling {
    /// DistilBERT's pre-classifier.
    #[default]
    Relu,
    /// BERT's pooler.
    Tanh,
}

/// The feed-forward network's activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// By the error function.
    Gelu,
    /// `max(x, 0)`.
    Relu,
}

impl Network {
    /// Reads the keys of a family. Those of the other one are not looked at, as in `transformers`.
    pub(crate) fn read(family: Family, keys: &mut Keys<'_>) -> Self {
        let network = match family {
            Family::DistilBert => Self::distilbert(keys),
            Family::Bert => Self::bert(keys),
        };
        network.check(family, keys);
        network
    }

    fn distilbert(keys: &mut Keys<'_>) -> Self {
        Self {
            vocab_size: keys.size(&["vocab_size"], 30522),
            max_position_embeddings: keys.size(&["max_position_embeddings"], 512),
            n_layers: keys.size(&["n_layers", "num_hidden_layers"], 6),
            n_heads: keys.size(&["n_heads", "num_attention_heads"], 12),
            dim: keys.size(&["dim", "hidden_size"], 768),
            hidden_dim: keys.size(&["hidden_dim"], 3072),
            dropout: keys.share("dropout", 0.1),
            attention_dropout: keys.share("attention_dropout", 0.1),
            seq_classif_dropout: keys.share("seq_classif_dropout", 0.2),
            activation: activation(keys, "activation"),
            initializer_range: keys.number("initializer_range", 0.02),
            pad_token_id: keys.token("pad_token_id", 0),
            layer_norm_eps: 1e-12,
            type_vocab_size: 0,
            drops_attended: false,
            pooling: Pooling::Relu,
        }
    }

    fn bert(keys: &mut Keys<'_>) -> Self {
        let dropout = keys.share("hidden_dropout_prob", 0.1);
        Self {
            vocab_size: keys.size(&["vocab_size"], 30522),
            max_position_embeddings: keys.size(&["max_position_embeddings"], 512),
            n_layers: keys.size(&["num_hidden_layers"], 12),
            n_heads: keys.size(&["num_attention_heads"], 12),
            dim: keys.size(&["hidden_size"], 768),
            hidden_dim: keys.size(&["intermediate_size"], 3072),
            dropout,
            attention_dropout: keys.share("attention_probs_dropout_prob", 0.1),
            seq_classif_dropout: keys.share("classifier_dropout", dropout),
            activation: activation(keys, "hidden_act"),
            initializer_range: keys.number("initializer_range", 0.02),
            pad_token_id: keys.token("pad_token_id", 0),
            layer_norm_eps: keys.number("layer_norm_eps", 1e-12),
            type_vocab_size: keys.size(&["type_vocab_size"], 2),
            drops_attended: true,
            pooling: Pooling::Tanh,
        }
    }

    fn check(&self, family: Family, keys: &mut Keys<'_>) {
        let &Self { dim, n_heads, vocab_size, .. } = self;
        let (dim_name, heads_name) = match family {
            Family::DistilBert => ("dim", "n_heads"),
            Family::Bert => ("hidden_size", "num_attention_heads"),
        };
        if n_heads > 0 && !dim.is_multiple_of(n_heads) {
            keys.problems
                .push(format!("{dim_name} {dim} is no multiple of {heads_name} {n_heads}"));
        }
        if let Some(id) = self.pad_token_id.filter(|id| *id as usize >= vocab_size) {
            keys.problems.push(format!("pad_token_id is {id}, and vocab_size {vocab_size}"));
        }
    }
}

/// `gelu_python` is the same function, written out.
fn activation(keys: &mut Keys<'_>, name: &'static str) -> Activation {
    match keys.named(name) {
        None | Some("gelu" | "gelu_python") => Activation::Gelu,
        Some("relu") => Activation::Relu,
        Some(other) => {
            let problem = format!("{name} is {other:?}, and only gelu and relu are supported");
            keys.problems.push(problem);
            Activation::Gelu
        }
    }
}
