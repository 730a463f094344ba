//! What the checkpoint of each family calls the tensors of the one network, and which there are.

use std::collections::BTreeMap;

use crate::config::Family;
use crate::network::Network;

/// What a masked-LM head, and constants, are called in a base checkpoint: known, and not needed to
/// classify.
const LEFT_OUT: [&str; 18] = [
    "vocab_transform.weight",
    "vocab_transform.bias",
    "vocab_layer_norm.weight",
    "vocab_layer_norm.bias",
    "vocab_projector.weight",
    "vocab_projector.bias",
    "distilbert.embeddings.position_ids",
    "bert.embeddings.position_ids",
    "bert.embeddings.token_type_ids",
    "cls.predictions.bias",
    "cls.predictions.transform.dense.weight",
    "cls.predictions.transform.dense.bias",
    "cls.predictions.transform.LayerNorm.weight",
    "cls.predictions.transform.LayerNorm.bias",
    "cls.predictions.decoder.weight",
    "cls.predictions.decoder.bias",
    "cls.seq_relationship.weight",
    "cls.seq_relationship.bias",
];

/// The network's name of a layer's tensor, and BERT's.
const IN_LAYER: [(&str, &str); 8] = [
    ("attention.q_lin", "attention.self.query"),
    ("attention.k_lin", "attention.self.key"),
    ("attention.v_lin", "attention.self.value"),
    ("attention.out_lin", "attention.output.dense"),
    ("sa_layer_norm", "attention.output.LayerNorm"),
    ("ffn.lin1", "intermediate.dense"),
    ("ffn.lin2", "output.dense"),
    ("output_layer_norm", "output.LayerNorm"),
];

/// Whether the tensor belongs to a part that a classifier does not have.
pub(crate) fn is_left_out(name: &str) -> bool {
    LEFT_OUT.contains(&name)
}

impl Family {
    /// What checkpoints of the family call the tensor that DistilBERT calls so.
    #[must_use]
    pub fn tensor_name(self, name: &str) -> String {
        if self == Self::DistilBert {
            return name.to_owned();
        }
        if let Some(rest) = name.strip_prefix("distilbert.transformer.layer.") {
            let (number, rest) = rest.split_once('.').unwrap_or((rest, ""));
            let renamed = IN_LAYER
                .iter()
                .find_map(|(ours, theirs)| Some(format!("{theirs}{}", rest.strip_prefix(ours)?)));
            return format!("bert.encoder.layer.{number}.{}", renamed.as_deref().unwrap_or(rest));
        }
        if let Some(rest) = name.strip_prefix("distilbert.") {
            return format!("bert.{rest}");
        }
        match name.strip_prefix("pre_classifier.") {
            Some(rest) => format!("bert.pooler.dense.{rest}"),
            None => name.to_owned(),
        }
    }
}

/// Which parts of a head there are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) has_pre_classifier: bool,
    pub(crate) n_labels: Option<usize>,
}

/// The checkpoint's names of all tensors of a network, and their shapes. Whoever asks knows that
/// its layers are not more than there are tensors.
pub(crate) fn expected(
    family: Family,
    network: &Network,
    head: Head,
) -> BTreeMap<String, Vec<usize>> {
    let &Network { dim, hidden_dim, .. } = network;
    let mut tensors = BTreeMap::new();
    let mut tensor = |name: String, shape: Vec<usize>| {
        tensors.insert(family.tensor_name(&name), shape);
    };
    let kinds = [
        ("word", network.vocab_size),
        ("position", network.max_position_embeddings),
        ("token_type", network.type_vocab_size),
    ];
    for (kind, n_rows) in kinds.into_iter().filter(|(_, n_rows)| *n_rows > 0) {
        tensor(format!("distilbert.embeddings.{kind}_embeddings.weight"), vec![n_rows, dim]);
    }
    let mut norms = vec!["distilbert.embeddings.LayerNorm".to_owned()];
    let mut linears = Vec::new();
    for layer in (0..network.n_layers).map(|n| format!("distilbert.transformer.layer.{n}")) {
        let square = ["q_lin", "k_lin", "v_lin", "out_lin"];
        linears.extend(square.map(|name| (format!("{layer}.attention.{name}"), dim, dim)));
        linears.push((format!("{layer}.ffn.lin1"), hidden_dim, dim));
        linears.push((format!("{layer}.ffn.lin2"), dim, hidden_dim));
        norms.extend(["sa", "output"].map(|name| format!("{layer}.{name}_layer_norm")));
    }
    if head.has_pre_classifier {
        linears.push(("pre_classifier".to_owned(), dim, dim));
    }
    if let Some(n_labels) = head.n_labels {
        linears.push(("classifier".to_owned(), n_labels, dim));
    }
    for (name, n_out, n_in) in linears {
        tensor(format!("{name}.weight"), vec![n_out, n_in]);
        tensor(format!("{name}.bias"), vec![n_out]);
    }
    for name in norms {
        tensor(format!("{name}.weight"), vec![dim]);
        tensor(format!("{name}.bias"), vec![dim]);
    }
    tensors
}

/// The full name of a stored tensor: a bare model is saved without the prefix that the same tensors
/// have elsewhere, and the oldest checkpoints say gamma and beta.
pub(crate) fn full(family: Family, name: &str) -> String {
    let (prefix, parts): (_, &[&str]) = match family {
        Family::DistilBert => ("distilbert.", &["embeddings.", "transformer."]),
        Family::Bert => ("bert.", &["embeddings.", "encoder.", "pooler."]),
    };
    let is_bare = parts.iter().any(|part| name.starts_with(part));
    let name = if is_bare { format!("{prefix}{name}") } else { name.to_owned() };
    let old = [("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias")];
    let renamed =
        old.iter().find_map(|(old, new)| Some(format!("{}{new}", name.strip_suffix(old)?)));
    renamed.unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_network_are_berts() {
        let check = |ours: &str, theirs: &str| assert_eq!(Family::Bert.tensor_name(ours), theirs);
        check("distilbert.embeddings.LayerNorm.weight", "bert.embeddings.LayerNorm.weight");
        check(
            "distilbert.transformer.layer.11.attention.out_lin.bias",
            "bert.encoder.layer.11.attention.output.dense.bias",
        );
        check(
            "distilbert.transformer.layer.0.output_layer_norm.weight",
            "bert.encoder.layer.0.output.LayerNorm.weight",
        );
        check("pre_classifier.weight", "bert.pooler.dense.weight");
        check("classifier.bias", "classifier.bias");
    }

    #[test]
    fn old_and_bare_names_become_full_ones() {
        assert_eq!(
            full(Family::Bert, "embeddings.LayerNorm.gamma"),
            "bert.embeddings.LayerNorm.weight"
        );
        assert_eq!(full(Family::Bert, "cls.predictions.bias"), "cls.predictions.bias");
        assert_eq!(
            full(Family::DistilBert, "transformer.layer.0.ffn.lin1.bias"),
            "distilbert.transformer.layer.0.ffn.lin1.bias"
        );
    }
}
