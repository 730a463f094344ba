//! Which objects a patch is for: `target`, with its patterns and label selectors.

use regex::Regex;
use serde_json::Value;

use super::wrong;
use crate::Result;
use crate::kustomize::file::Selector;
use crate::kustomize::resource::Resource;
use crate::kustomize::resources::Resources;

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
        (requirements(&selector.label_selector)?, requirements(&selector.annotation_selector)?);
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
        let labelled = labels
            .iter()
            .all(|requirement| requirement.holds(resource.object.at("/metadata/labels")));
        let annotated = annotations
            .iter()
            .all(|requirement| requirement.holds(resource.object.at("/metadata/annotations")));
        placed && typed && labelled && annotated
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

/// One requirement of a label selector.
pub(in crate::kustomize) enum Requirement {
    Exists(String),
    Absent(String),
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    /// The value is a whole number, and more than this one.
    Above(String, i64),
    /// The value is a whole number, and less than this one.
    Below(String, i64),
}

impl Requirement {
    pub(in crate::kustomize) fn holds(&self, labels: Option<&Value>) -> bool {
        let value = |key: &str| labels.and_then(|labels| labels.get(key)).and_then(Value::as_str);
        let number = |key: &str| value(key)?.parse::<i64>().ok();
        match self {
            Self::Exists(key) => value(key).is_some(),
            Self::Absent(key) => value(key).is_none(),
            Self::In(key, values) => {
                value(key).is_some_and(|value| values.iter().any(|other| other == value))
            }
            Self::NotIn(key, values) => {
                value(key).is_none_or(|value| values.iter().all(|other| other != value))
            }
            Self::Above(key, limit) => number(key).is_some_and(|value| value > *limit),
            Self::Below(key, limit) => number(key).is_some_and(|value| value < *limit),
        }
    }
}

/// Parses `a=b, c!=d, e in (f,g), h notin (i), j, !k, l>1, m<2`.
pub(in crate::kustomize) fn requirements(text: &str) -> Result<Vec<Requirement>> {
    let mut depth = 0;
    let parts = text.split(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    });
    parts.map(str::trim).filter(|part| !part.is_empty()).map(requirement).collect()
}

fn requirement(text: &str) -> Result<Requirement> {
    let one = |key: &str, value: &str| (key.trim().to_owned(), vec![value.trim().to_owned()]);
    if let Some((key, value)) = text.split_once("!=") {
        let (key, values) = one(key, value);
        return Ok(Requirement::NotIn(key, values));
    }
    if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        let (key, values) = one(key, value);
        return Ok(Requirement::In(key, values));
    }
    if let Some((head, list)) = text.split_once('(') {
        let values =
            list.trim_end_matches(')').split(',').map(|value| value.trim().to_owned()).collect();
        return match head.split_whitespace().collect::<Vec<_>>().as_slice() {
            [key, "in"] => Ok(Requirement::In((*key).to_owned(), values)),
            [key, "notin"] => Ok(Requirement::NotIn((*key).to_owned(), values)),
            _ => Err(wrong(format!("target: {text:?} is no label selector"))),
        };
    }
    for (sign, made) in [
        ('>', Requirement::Above as fn(String, i64) -> Requirement),
        ('<', Requirement::Below as fn(String, i64) -> Requirement),
    ] {
        if let Some((key, limit)) = text.split_once(sign) {
            let limit = limit.trim().parse().map_err(|_| {
                wrong(format!("target: {limit:?} is no whole number to compare with"))
            })?;
            return Ok(made(key.trim().to_owned(), limit));
        }
    }
    match text.strip_prefix('!') {
        Some(key) => Ok(Requirement::Absent(key.trim().to_owned())),
        None if text.contains(char::is_whitespace) => {
            Err(wrong(format!("target: {text:?} is no label selector")))
        }
        None => Ok(Requirement::Exists(text.to_owned())),
    }
}
