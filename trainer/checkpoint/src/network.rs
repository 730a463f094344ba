//! What an encoder is made of, in DistilBERT's words: embeddings, layers, a head. Each
//! [`Architecture`](crate::Architecture) reads its own keys into it.

use crate::keys::Keys;

/// What the network needs to know; defaults are those of `transformers`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Network {
    /// Tokens that have an embedding.
    pub vocab_size: usize,
    /// Rows of the table of positions, where there is one; otherwise tokens of the longest text.
    pub max_position_embeddings: usize,
    /// Which rows a text's tokens have.
    pub positions: Positions,
    /// Kinds of tokens; 0 where the network does not tell them apart.
    pub type_vocab_size: usize,
    /// Numbers that a token is before the first layer.
    pub embedding_dim: usize,
    /// Whether they are made `dim` by a layer of their own, even where they are as many.
    pub projects: bool,
    /// Encoder layers.
    pub n_layers: usize,
    /// How many different ones, where layers share their weights.
    pub n_groups: Option<usize>,
    /// Attention heads of a layer.
    pub n_heads: usize,
    /// Numbers that a token is between the layers.
    pub dim: usize,
    /// Numbers that a token is inside of a feed-forward network.
    pub hidden_dim: usize,
    /// What is dropped while training.
    pub dropout: Dropouts,
    /// The feed-forward networks' activation.
    pub activation: Activation,
    /// How a new head is drawn.
    pub initializer: Initializer,
    /// The token that batches are filled up with.
    pub pad_token_id: Option<u32>,
    /// LayerNorm's epsilon.
    pub layer_norm_eps: f64,
    /// How tokens look at each other.
    pub attention: Attention,
    /// What looks at neighbours behind the first layer. DeBERTa's.
    pub convolution: Option<Convolution>,
    /// How a layer is put together.
    pub block: Block,
    /// What is made of the last layer's output.
    pub head: Head,
}

/// How the weights of a new head are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Initializer {
    /// The deviation of the dense layer's.
    pub dense: f64,
    /// The deviation of the classifier's.
    pub classifier: f64,
    /// How many deviations a weight may be from 0.
    pub cutoff: Option<f64>,
}

impl Initializer {
    /// The same deviation for both layers.
    pub(crate) fn plain(deviation: f64) -> Self {
        Self { dense: deviation, classifier: deviation, cutoff: None }
    }
}

/// Which share is dropped at each place while training; none where the network has no such place.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Dropouts {
    /// Of embeddings, and of DeBERTa's distances.
    pub embedded: Option<f64>,
    /// Of attention's weights.
    pub attention: Option<f64>,
    /// Of attention's output.
    pub attended: Option<f64>,
    /// Of a feed-forward network's output; of a gated one's product.
    pub fed: Option<f64>,
    /// Of what the head's dense layer is given.
    pub pooled: Option<f64>,
    /// Before the classifier.
    pub classified: Option<f64>,
}

impl Dropouts {
    /// The same share at each place that there is.
    #[must_use]
    pub fn all(self, share: f64) -> Self {
        let Self { embedded, attention, attended, fed, pooled, classified } = self;
        let [embedded, attention, attended, fed, pooled, classified] =
            [embedded, attention, attended, fed, pooled, classified].map(|it| it.and(Some(share)));
        Self { embedded, attention, attended, fed, pooled, classified }
    }
}

/// Which rows of the table of positions a text's tokens have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Positions {
    /// From 0 on.
    #[default]
    FromStart,
    /// Those behind this token's number, which is that of padding, counted without tokens that are
    /// it; those have that number. RoBERTa's.
    After(u32),
    /// There is no table.
    None,
}

/// How tokens look at each other.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Attention {
    /// By what they are.
    #[default]
    Plain,
    /// And by a bias of their distance, the same in all layers. MPNet's.
    Biased {
        /// Kinds of distances that are told apart.
        n_buckets: usize,
    },
    /// And by what their distance is to what they are. DeBERTa's.
    Disentangled(Disentangled),
    /// Turned by their position. ModernBERT's.
    Rotary(Rotary),
}

/// DeBERTa's attention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disentangled {
    /// Distances that are told apart in each direction, where the farther ones fall together.
    pub n_buckets: Option<usize>,
    /// The greatest distance.
    pub max_distance: usize,
    /// Whether a token's content looks at distances: `c2p`.
    pub of_content: bool,
    /// Whether distances look at a token's content: `p2c`.
    pub of_distance: bool,
    /// Whether distances have the projections of contents.
    pub shares_projections: bool,
    /// Whether the distances' embeddings pass through a LayerNorm.
    pub is_normed: bool,
}

/// A convolution of the embeddings, which is added to the first layer's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Convolution {
    /// Tokens that it sees, an odd number.
    pub kernel: usize,
    /// What is done to what comes out.
    pub activation: Activation,
}

/// ModernBERT's positions.
#[derive(Debug, Clone, PartialEq)]
pub struct Rotary {
    /// The base of the frequencies where every token sees every other.
    pub theta: f64,
    /// The same where it sees its neighbours.
    pub local_theta: f64,
    /// How far it then sees, in each direction.
    pub window: usize,
    /// Whether it sees only its neighbours, by layer.
    pub is_local: Vec<bool>,
}

/// How a layer is put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Block {
    /// Attention and feed-forward network, each with what went in added and a LayerNorm behind.
    #[default]
    PostNorm,
    /// A LayerNorm before each, but for the first layer's attention, and one behind the last layer;
    /// the feed-forward network is gated.
    PreNorm {
        /// Whether attention's layers have a bias.
        attention_has_bias: bool,
        /// Whether the feed-forward network's have.
        ffn_has_bias: bool,
        /// Whether LayerNorms have.
        norm_has_bias: bool,
    },
}

/// What is made of the last layer's output: one row a text, a dense layer, the classifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Which row.
    pub pooling: Pooling,
    /// The dense layer's activation.
    pub activation: Activation,
    /// Whether the dense layer has a bias.
    pub has_bias: bool,
    /// Whether a LayerNorm follows.
    pub is_normed: bool,
}

impl Default for Head {
    fn default() -> Self {
        let (pooling, activation) = (Pooling::First, Activation::Tanh);
        Self { pooling, activation, has_bias: true, is_normed: false }
    }
}

/// How a text's tokens become one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pooling {
    /// The first one's.
    #[default]
    First,
    /// The mean of all.
    Mean,
}

/// What is done to each number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Activation {
    /// By the error function.
    #[default]
    Gelu,
    /// The approximation of the same by tanh.
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
    /// `x · sigmoid(x)`.
    Silu,
    /// The hyperbolic tangent.
    Tanh,
}

impl Activation {
    /// The names by which `transformers` knows them; some are the same function written otherwise.
    const NAMES: [(&'static str, Self); 10] = [
        ("gelu", Self::Gelu),
        ("gelu_python", Self::Gelu),
        ("gelu_new", Self::GeluTanh),
        ("gelu_fast", Self::GeluTanh),
        ("gelu_pytorch_tanh", Self::GeluTanh),
        ("gelu_accurate", Self::GeluTanh),
        ("relu", Self::Relu),
        ("silu", Self::Silu),
        ("swish", Self::Silu),
        ("tanh", Self::Tanh),
    ];

    /// The one that `transformers` calls so.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find_map(|(known, activation)| (*known == name).then_some(*activation))
    }

    /// All names.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        Self::NAMES.iter().map(|(name, _)| *name)
    }
}

/// Where no table of positions bounds it.
const MAX_TOKENS: usize = 1 << 20;
/// Layers that share their weights are not bounded by them.
const MAX_SHARED_LAYERS: usize = 1024;

impl Network {
    /// Tokens of the longest text.
    #[must_use]
    pub fn max_tokens(&self) -> usize {
        self.max_position_embeddings.saturating_sub(self.first_position())
    }

    /// The row of a text's first token.
    #[must_use]
    pub fn first_position(&self) -> usize {
        match self.positions {
            Positions::After(id) => id as usize + 1,
            Positions::FromStart | Positions::None => 0,
        }
    }

    /// Rows of a text's tokens in the table of positions.
    pub fn positions<'a>(&self, ids: &'a [u32]) -> impl Iterator<Item = usize> + 'a {
        let padding = match self.positions {
            Positions::After(id) => Some(id),
            Positions::FromStart | Positions::None => None,
        };
        let mut next = self.first_position();
        ids.iter().map(move |id| match padding {
            Some(padding) if padding == *id => padding as usize,
            _ => {
                next += 1;
                next - 1
            }
        })
    }

    /// Which weights a layer has.
    #[must_use]
    pub fn group(&self, layer: usize) -> usize {
        // In floating point, as transformers does it.
        let per_group = |n_groups: usize| self.n_layers as f64 / n_groups as f64;
        self.n_groups.map_or(layer, |n_groups| (layer as f64 / per_group(n_groups)) as usize)
    }

    /// How many different layers the first `n` are; none where they share weights with a later one.
    #[must_use]
    pub fn n_different(&self, n: usize) -> Option<usize> {
        let Some(last) = n.checked_sub(1).map(|last| self.group(last)) else { return Some(0) };
        (n >= self.n_layers || self.group(n) != last).then_some(last + 1)
    }

    /// Whether embeddings have a layer that makes them `dim` numbers.
    #[must_use]
    pub fn has_projection(&self) -> bool {
        self.projects || self.embedding_dim != self.dim
    }

    /// What cannot be, whatever the architecture.
    pub(crate) fn check(&self, keys: &mut Keys<'_>) {
        let &Self { dim, n_heads, vocab_size, n_layers, .. } = self;
        let [dim_name, heads_name] = if keys.is_there("n_heads") || keys.is_there("dim") {
            ["dim", "n_heads"]
        } else {
            ["hidden_size", "num_attention_heads"]
        };
        if n_heads > 0 && !dim.is_multiple_of(n_heads) {
            keys.problems
                .push(format!("{dim_name} {dim} is no multiple of {heads_name} {n_heads}"));
        }
        if let Some(id) = self.pad_token_id.filter(|id| *id as usize >= vocab_size) {
            keys.problems.push(format!("pad_token_id is {id}, and vocab_size {vocab_size}"));
        }
        let longest = self.max_position_embeddings;
        if self.positions == Positions::None && longest > MAX_TOKENS {
            keys.problems.push(format!(
                "max_position_embeddings is {longest}, and at most {MAX_TOKENS} is supported"
            ));
        }
        if let Positions::After(id) = self.positions
            && self.max_tokens() == 0
        {
            keys.problems.push(format!(
                "max_position_embeddings is {longest}, and positions begin behind token {id}"
            ));
        }
        if let Some(n_groups) = self.n_groups
            && (n_groups > n_layers || n_layers > MAX_SHARED_LAYERS)
        {
            keys.problems.push(format!("{n_layers} layers of {n_groups} groups are not supported"));
        }
        if let Attention::Rotary(_) = self.attention
            && n_heads > 0
            && !(dim / n_heads).is_multiple_of(2)
        {
            keys.problems.push(format!("heads of {} numbers cannot be turned", dim / n_heads));
        }
    }
}
