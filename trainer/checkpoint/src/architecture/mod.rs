//! The architectures: what each calls its keys and tensors, and what its encoder is made of. One
//! short file each; `ARCHITECTURE.md` says how to add the next.

mod albert;
mod bert;
mod data2vec;
mod deberta;
mod distilbert;
mod electra;
mod modernbert;
mod mpnet;
mod roberta;

use std::fmt;

use crate::keys::Keys;
use crate::network::Network;

/// All of them.
const ALL: [&Architecture; 11] = [
    &distilbert::DISTILBERT,
    &bert::BERT,
    &roberta::ROBERTA,
    &roberta::XLM_ROBERTA,
    &roberta::CAMEMBERT,
    &data2vec::DATA2VEC_TEXT,
    &electra::ELECTRA,
    &mpnet::MPNET,
    &albert::ALBERT,
    &deberta::DEBERTA_V2,
    &modernbert::MODERNBERT,
];

/// Whose names a checkpoint's keys and tensors have, and how they become a [`Network`].
pub struct Architecture {
    /// `model_type` in `config.json`.
    pub model_type: &'static str,
    /// The class of `transformers` that classifies texts.
    pub class: &'static str,
    /// What the names of the base model's tensors begin with in a classifier.
    pub(crate) prefix: &'static str,
    /// How the same names begin in a checkpoint of the base model alone, without that.
    pub(crate) bare: &'static [&'static str],
    /// The beginnings of our names of tensors, and theirs; `*` is a layer's number. The first that
    /// fits counts.
    pub(crate) names: &'static [(&'static str, &'static str)],
    /// Tensors that are in its checkpoints and not needed to classify: heads of other tasks, and
    /// constants. One that ends with a point is the beginning of a name.
    pub(crate) left_out: &'static [&'static str],
    /// Reads the keys.
    pub(crate) network: fn(&mut Keys<'_>) -> Network,
    /// What `transformers` takes for the tokenizer's class where none is named.
    pub(crate) tokenizer: &'static str,
}

impl Architecture {
    /// That of a `model_type`.
    pub(crate) fn find(model_type: &str) -> Option<&'static Self> {
        ALL.into_iter().find(|architecture| architecture.model_type == model_type)
    }

    /// The `model_type` of each.
    pub fn model_types() -> impl Iterator<Item = &'static str> {
        ALL.into_iter().map(|architecture| architecture.model_type)
    }

    /// What its checkpoints call the tensor that the network calls so.
    #[must_use]
    pub fn tensor_name(&self, name: &str) -> String {
        let renamed = self.names.iter().find_map(|(ours, theirs)| rename(name, ours, theirs));
        renamed.unwrap_or_else(|| name.to_owned())
    }

    /// The full name of a stored tensor: a bare model is saved without the prefix that the same
    /// tensors have elsewhere, and the oldest checkpoints say gamma and beta.
    pub(crate) fn full_name(&self, name: &str) -> String {
        let is_bare = self.bare.iter().any(|part| name.starts_with(part));
        let name = if is_bare { format!("{}{name}", self.prefix) } else { name.to_owned() };
        let old = [("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias")];
        let renamed =
            old.iter().find_map(|(old, new)| Some(format!("{}{new}", name.strip_suffix(old)?)));
        renamed.unwrap_or(name)
    }

    /// Whether the tensor belongs to a part that a classifier does not have.
    pub(crate) fn is_left_out(&self, name: &str) -> bool {
        let fits =
            |left: &&str| if left.ends_with('.') { name.starts_with(*left) } else { name == *left };
        self.left_out.iter().any(fits)
    }
}

impl PartialEq for Architecture {
    fn eq(&self, other: &Self) -> bool {
        self.model_type == other.model_type
    }
}

impl fmt::Debug for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.model_type)
    }
}

/// The name with another beginning, where it has this one; a `*` in both stands for one part.
fn rename(name: &str, ours: &str, theirs: &str) -> Option<String> {
    let Some((before, after)) = ours.split_once('*') else {
        return Some(format!("{theirs}{}", rest_of(name, ours)?));
    };
    let (number, rest) = name.strip_prefix(before)?.split_once('.')?;
    let rest = rest_of(rest, after.strip_prefix('.')?)?;
    Some(format!("{}{rest}", theirs.replacen('*', number, 1)))
}

/// What follows a beginning that ends with a part of a name.
fn rest_of<'a>(name: &'a str, beginning: &str) -> Option<&'a str> {
    let rest = name.strip_prefix(beginning)?;
    (beginning.is_empty() || beginning.ends_with('.') || rest.is_empty() || rest.starts_with('.'))
        .then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(model_type: &str, ours: &str) -> String {
        Architecture::find(model_type).expect("known").tensor_name(ours)
    }

    #[test]
    fn names_of_the_network_are_those_of_each_architecture() {
        let check = |model_type: &str, ours: &str, theirs: &str| {
            assert_eq!(name(model_type, ours), theirs, "{model_type}");
        };
        let norm = "distilbert.embeddings.LayerNorm.weight";
        check("distilbert", norm, norm);
        check("bert", norm, "bert.embeddings.LayerNorm.weight");
        check("xlm-roberta", norm, "roberta.embeddings.LayerNorm.weight");
        check("modernbert", norm, "model.embeddings.norm.weight");
        let out = "distilbert.transformer.layer.11.attention.out_lin.bias";
        check("bert", out, "bert.encoder.layer.11.attention.output.dense.bias");
        check("mpnet", out, "mpnet.encoder.layer.11.attention.attn.o.bias");
        check(
            "albert",
            out,
            "albert.encoder.albert_layer_groups.11.albert_layers.0.attention.dense.bias",
        );
        check("modernbert", out, "model.layers.11.attn.Wo.bias");
        let norm = "distilbert.transformer.layer.0.output_layer_norm.weight";
        check("bert", norm, "bert.encoder.layer.0.output.LayerNorm.weight");
        check("deberta-v2", norm, "deberta.encoder.layer.0.output.LayerNorm.weight");
        check("bert", "pre_classifier.weight", "bert.pooler.dense.weight");
        check("camembert", "pre_classifier.weight", "classifier.dense.weight");
        check("roberta", "classifier.bias", "classifier.out_proj.bias");
        check("bert", "classifier.bias", "classifier.bias");
    }

    #[test]
    fn old_and_bare_names_become_full_ones() {
        let check = |model_type: &str, name: &str, full: &str| {
            assert_eq!(Architecture::find(model_type).expect("known").full_name(name), full);
        };
        check("bert", "embeddings.LayerNorm.gamma", "bert.embeddings.LayerNorm.weight");
        check("bert", "cls.predictions.bias", "cls.predictions.bias");
        check(
            "distilbert",
            "transformer.layer.0.ffn.lin1.bias",
            "distilbert.transformer.layer.0.ffn.lin1.bias",
        );
        check(
            "deberta-v2",
            "encoder.rel_embeddings.weight",
            "deberta.encoder.rel_embeddings.weight",
        );
    }

    #[test]
    fn a_beginning_ends_where_a_part_of_the_name_does() {
        assert_eq!(rename("classifier.bias", "classifier", "x"), Some("x.bias".to_owned()));
        assert_eq!(rename("classifiers.bias", "classifier", "x"), None);
        assert_eq!(rename("a.3.b.c", "a.*.b", "z.*.y"), Some("z.3.y.c".to_owned()));
        assert_eq!(rename("a.3.bb.c", "a.*.b", "z.*.y"), None);
    }
}
