//! What the checkpoint of each family calls the tensors of the one network.

use crate::model_config::Family;

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
pub(super) fn is_left_out(name: &str) -> bool {
    LEFT_OUT.contains(&name)
}

/// The checkpoint's name of a tensor of the network.
pub(crate) fn in_checkpoint(family: Family, name: &str) -> String {
    if family == Family::DistilBert {
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

/// The full name of a stored tensor: a bare model is saved without the prefix that the same tensors
/// have elsewhere, and the oldest checkpoints say gamma and beta.
pub(super) fn full(family: Family, name: &str) -> String {
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
        let check =
            |ours: &str, theirs: &str| assert_eq!(in_checkpoint(Family::Bert, ours), theirs);
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
