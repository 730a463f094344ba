//! Which objects a patch is for: `target`, with its patterns and label selectors.

use regex::Regex;

use super::wrong;
use crate::Result;
use crate::kustomize::file::Selector;
use crate::kustomize::resource::Resource;
use crate::kustomize::resources::Resources;
use crate::selector::Selector as Labels;

/// The places of the objects that a selector means. Names and namespaces may be those from before
/// the build or those of now.
pub(in crate::kustomize) fn select(
    resources: &mut Resources,
    selector: &Selector,
) -> Result<Vec<usize>> {
    let [group, version, kind, name, in_namespace] =
        [&selector.group, &selector.version, &selector.kind, &selector.name, &selector.namespace]
            .map(|text| pattern(text));
    let (group, version, kind, name, in_namespace) =
        (group?, version?, kind?, name?, in_namespace?);
    let (labels, annotations) =
        (labelled(&selector.label_selector)?, labelled(&selector.annotation_selector)?);
    let selected = |resource: &Resource| {
        let called = [Some(resource.object.name()), resource.previous.first().map(|it| &*it.name)];
        let is_named = called.iter().flatten().any(|it| name.is_match(it));
        if !is_named || !kind.is_match(resource.object.kind()) {
            return false;
        }
        let (now, before) = (resource.id(), resource.original());
        let placed =
            in_namespace.is_match(now.namespace) || in_namespace.is_match(before.namespace);
        let typed = group.is_match(now.group) && version.is_match(now.version);
        placed
            && typed
            && labels.matches(resource.object.at("/metadata/labels"))
            && annotations.matches(resource.object.at("/metadata/annotations"))
    };
    let is_literal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let candidates = match !selector.name.is_empty() && selector.name.chars().all(is_literal) {
        true => resources.called(&selector.name).to_vec(),
        false => (0..resources.as_slice().len()).collect(),
    };
    Ok(candidates.into_iter().filter(|n| selected(&resources.as_slice()[*n])).collect())
}

/// An anchored regular expression; the empty one matches everything.
pub(in crate::kustomize) fn pattern(text: &str) -> Result<Regex> {
    let text = if text.is_empty() { String::new() } else { format!("^(?:{text})$") };
    Regex::new(&text).map_err(|error| wrong(format!("target: {error}")))
}

/// A label selector, whose errors are those of a build.
pub(in crate::kustomize) fn labelled(text: &str) -> Result<Labels> {
    Labels::parse(text).map_err(|why| wrong(format!("target: {why}")))
}
