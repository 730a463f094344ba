//! The transformers that a kustomization's own fields stand for.

use super::config::Config;
use super::file::Kustomization;
use super::loader::Loader;
use super::names::{Namespace, Side};
use super::transformer::Transformer;
use super::{labels, patch, replacements};
use crate::Result;

/// The transformers that the fields of a kustomization ask for, in kustomize's order, by the plugins
/// that they stand for.
pub(super) fn transformers(
    loader: &Loader<'_>,
    file: &Kustomization,
    config: &Config,
) -> Result<Vec<(&'static str, Transformer)>> {
    let mut all = Vec::new();
    if !file.patches_strategic_merge.is_empty() {
        let merges = patch::prepare_merges(loader, &file.patches_strategic_merge, "")?;
        all.push(("PatchStrategicMergeTransformer", Transformer::Merges(merges)));
    }
    for entry in &file.patches {
        let patch = patch::prepare(loader, entry)?;
        all.push(("PatchTransformer", Transformer::Patch(patch)));
    }
    if !file.namespace.is_empty() {
        let (namespace, specs) = (file.namespace.clone(), config.namespace.clone());
        let by = Namespace { namespace, specs, ..Namespace::default() };
        all.push(("NamespaceTransformer", Transformer::Namespace(by)));
    }
    for (plugin, affix, side, specs) in [
        ("PrefixTransformer", &file.name_prefix, Side::Prefix, &config.name_prefix),
        ("SuffixTransformer", &file.name_suffix, Side::Suffix, &config.name_suffix),
    ] {
        if !affix.is_empty() {
            let (affix, specs) = (affix.clone(), specs.clone());
            all.push((plugin, Transformer::Affix { affix, side, specs }));
        }
    }
    for entry in &file.labels {
        let (labels, specs) = (entry.pairs.clone(), labels::specs(entry, config)?);
        all.push(("LabelTransformer", Transformer::Labels { labels, specs }));
    }
    if !file.labels.is_empty() || !file.common_labels.is_empty() {
        let (labels, specs) = (file.common_labels.clone(), config.common_labels.clone());
        all.push(("LabelTransformer", Transformer::Labels { labels, specs }));
    }
    if !file.common_annotations.is_empty() {
        let annotations = file.common_annotations.clone();
        let specs = config.common_annotations.clone();
        all.push(("AnnotationsTransformer", Transformer::Annotations { annotations, specs }));
    }
    for entry in &file.patches_json6902 {
        let patch = patch::prepare_json(loader, entry)?;
        all.push(("PatchJson6902Transformer", Transformer::Patch(patch)));
    }
    for replicas in &file.replicas {
        let (replicas, specs) = (replicas.clone(), config.replicas.clone());
        all.push(("ReplicaCountTransformer", Transformer::Replicas { replicas, specs }));
    }
    for image in &file.images {
        let (image, specs) = (image.clone(), config.images.clone());
        all.push(("ImageTagTransformer", Transformer::Image { image, specs }));
    }
    if !file.replacements.is_empty() {
        let entries = replacements::read(loader, &file.replacements)?;
        all.push(("ReplacementTransformer", Transformer::Replacements(entries)));
    }
    Ok(all)
}
