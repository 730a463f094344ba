//! `replacements`: a value of one object is put into fields of others
//! (api/filters/replacement/replacement.go).

mod inside;
mod place;

use serde::Deserialize;
use serde_json::Value;

use self::place::{Made, Split};
use super::decode;
use super::file::Selector;
use super::loader::Loader;
use super::patch::select::{labelled, pattern};
use super::resource::{Id, Resource};
use crate::selector::Selector as Labels;
use crate::yaml::{self, Dialect};
use crate::{Error, Result};

/// An entry of `replacements`: a file with one or several, or one itself.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Entry {
    path: Option<String>,
    source: Option<Source>,
    source_value: Option<String>,
    targets: Option<Vec<Target>>,
}

/// Where the value comes from.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Source {
    group: String,
    version: String,
    kind: String,
    name: String,
    namespace: String,
    field_path: String,
    options: Options,
}

/// Where it goes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Target {
    select: Option<Selector>,
    reject: Vec<Selector>,
    field_paths: Vec<String>,
    options: Options,
}

/// Which part of a text is meant, and whether a missing field is made.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Options {
    delimiter: String,
    index: i64,
    encoding: String,
    create: bool,
}

const NAME: &str = "metadata.name";

/// Reads entries; those of files take their place.
pub(super) fn read(loader: &Loader<'_>, entries: &[Entry]) -> Result<Vec<Entry>> {
    let mut all = Vec::new();
    for entry in entries {
        match &entry.path {
            None => all.push(entry.clone()),
            Some(_) if entry.source.is_some() || entry.targets.is_some() => {
                return Err(wrong("an entry has either a path or a source with targets"));
            }
            Some(path) => {
                let entries = parse(loader.text(path)?);
                all.extend(entries.map_err(|error| error.in_file(path))?);
            }
        }
    }
    Ok(all)
}

/// Applies replacements in their order.
pub(super) fn apply(resources: &mut [Resource], entries: &[Entry]) -> Result<()> {
    entries.iter().try_for_each(|entry| one(resources, entry))
}

fn parse(text: &str) -> Result<Vec<Entry>> {
    let read = |value| decode::loosely(value).map_err(|error| wrong(&error.to_string()));
    match yaml::parse_as(text, Dialect::Json)?.into_iter().next() {
        Some(Value::Array(entries)) => entries.into_iter().map(read).collect(),
        Some(entry @ Value::Object(_)) => Ok(vec![read(entry)?]),
        _ => Err(wrong("the file has neither a replacement nor a list of them")),
    }
}

fn one(resources: &mut [Resource], entry: &Entry) -> Result<()> {
    let Some(targets) = &entry.targets else { return Err(wrong("there are no targets")) };
    let mut given = match (&entry.source, &entry.source_value) {
        (Some(source), None) => source.value(resources)?,
        (None, Some(value)) => Given { value: yaml_value(value), place: None },
        (Some(_), Some(_)) => return Err(wrong("there is both a source and a sourceValue")),
        (None, None) => return Err(wrong("there is no source")),
    };
    targets.iter().try_for_each(|target| target.set(resources, &mut given))
}

/// What is put into other fields. A whole field is what it is at each moment, for a replacement may
/// change its own source.
struct Given {
    value: Value,
    /// The object and the path of a whole field.
    place: Option<(usize, Vec<String>)>,
}

impl Given {
    /// Looks at an object again that may have changed.
    fn refresh(&mut self, n: usize, object: &Value) {
        if let Some((_, path)) = self.place.as_ref().filter(|(of, _)| *of == n)
            && let Ok(Some(now)) = place::look_up(object, path)
        {
            self.value.clone_from(now);
        }
    }
}

/// A value that is written in the kustomization is a text, whatever it looks like.
fn yaml_value(text: &str) -> Value {
    Value::String(text.to_owned())
}

/// The value at a path with dots of an object; list elements as `list[0]`, `list.0` or
/// `list.[name=x]`.
pub(super) fn look_up<'a>(object: &'a Value, path: &str) -> Result<Option<&'a Value>, String> {
    let mut parts = Vec::new();
    for part in place::split(path) {
        let index = part.strip_suffix(']').and_then(|it| it.rsplit_once('['));
        match index {
            Some((list, index)) if index.parse::<usize>().is_ok() => {
                parts.extend(
                    [list, index].iter().filter(|it| !it.is_empty()).map(|it| it.to_string()),
                );
            }
            _ => parts.push(part),
        }
    }
    place::look_up(object, &parts)
}

impl Source {
    fn value(&self, resources: &[Resource]) -> Result<Given> {
        let all = resources.iter().enumerate();
        let mut selected = all.filter(|(_, it)| identities(it).iter().any(|id| self.is(id)));
        let (n, resource) =
            selected.next().ok_or_else(|| wrong(&format!("no object is {self}")))?;
        if selected.next().is_some() {
            return Err(wrong(&format!("several objects are {self}")));
        }
        let path = if self.field_path.is_empty() { NAME } else { &self.field_path };
        let of_source = |reason: String| wrong(&format!("{path} of {self}: {reason}"));
        let steps = place::split(path);
        let found = place::look_up(resource.object.value(), &steps).map_err(of_source)?;
        let empty = |value: &Value| match value {
            Value::Null => true,
            Value::Object(map) => map.is_empty(),
            Value::Array(elements) => elements.is_empty(),
            _ => false,
        };
        let Some(found) = found.filter(|found| !empty(found)) else {
            return Err(of_source("there is nothing".to_owned()));
        };
        self.options.check()?;
        if self.options.delimiter.is_empty() {
            return Ok(Given { value: found.clone(), place: Some((n, steps)) });
        }
        let text = place::text(found)
            .ok_or_else(|| of_source("only a scalar can be split at a delimiter".to_owned()))?;
        let index = usize::try_from(self.options.index).ok();
        let part = index.and_then(|index| text.split(&self.options.delimiter).nth(index));
        let part = part.map(|part| Given { value: part.into(), place: None });
        part.ok_or_else(|| {
            of_source(format!("there is no part {} in {text:?}", self.options.index))
        })
    }

    fn is(&self, id: &Id<'_>) -> bool {
        let fits = |wanted: &str, has: &str| wanted.is_empty() || wanted == has;
        let namespace = if id.namespace.is_empty() { "default" } else { id.namespace };
        fits(&self.group, id.group)
            && fits(&self.version, id.version)
            && fits(&self.kind, id.kind)
            && fits(&self.name, id.name)
            && fits(&self.namespace, namespace)
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = [&self.group, &self.version, &self.kind, &self.namespace, &self.name];
        let parts: Vec<&str> =
            parts.into_iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
        f.write_str(&parts.join("/"))
    }
}

impl Target {
    fn set(&self, resources: &mut [Resource], given: &mut Given) -> Result<()> {
        let select =
            self.select.as_ref().ok_or_else(|| wrong("a target does not say what it selects"))?;
        let select = Pattern::new(select)?;
        let reject = self.reject.iter().map(Pattern::new).collect::<Result<Vec<_>>>()?;
        self.options.check()?;
        for (n, resource) in resources.iter_mut().enumerate() {
            let ids = identities(resource);
            if !select.labels(resource)
                || reject.iter().any(|it| it.has_labels() && it.labels(resource))
                || reject.iter().any(|it| it.has_names && ids.iter().any(|id| it.names(id)))
                || !ids.iter().any(|id| select.names(id))
            {
                continue;
            }
            for path in self.paths() {
                let id = resource.shown();
                resource
                    .change(|it| self.set_field(it.value_mut(), path, (n, given)))
                    .map_err(|reason| wrong(&format!("{path} of {id}: {reason}")))?;
                given.refresh(n, resource.value());
            }
        }
        Ok(())
    }

    fn paths(&self) -> impl Iterator<Item = &str> {
        let name = self.field_paths.is_empty().then_some(NAME);
        self.field_paths.iter().map(String::as_str).chain(name)
    }

    fn set_field(
        &self,
        object: &mut Value,
        path: &str,
        (n, given): (usize, &mut Given),
    ) -> Result<(), String> {
        let path = place::split(path);
        let create = self.options.create.then(|| Made::like(&given.value));
        if inside::set(object, &path, &given.value, create)? {
            return Ok(());
        }
        let places = place::find(object, &path, create)?;
        if places.is_empty() {
            return Err("there is no such field".to_owned());
        }
        let split = Split { delimiter: &self.options.delimiter, index: self.options.index };
        places.iter().try_for_each(|place| {
            given.refresh(n, object);
            place::set(object, place, &given.value, &split)
        })
    }
}

impl Options {
    fn check(&self) -> Result<()> {
        match self.encoding.as_str() {
            "" => Ok(()),
            _ => Err(Error::Unsupported { field: "replacements: encoding".to_owned() }),
        }
    }
}

/// A selector with its regular expressions.
struct Pattern {
    /// Group, version, kind, name and namespace.
    patterns: [regex::Regex; 5],
    has_names: bool,
    of_labels: Labels,
    of_annotations: Labels,
}

impl Pattern {
    fn new(selector: &Selector) -> Result<Self> {
        let Selector { group, version, kind, name, namespace, .. } = selector;
        Ok(Self {
            patterns: [
                pattern(group)?,
                pattern(version)?,
                pattern(kind)?,
                pattern(name)?,
                pattern(namespace)?,
            ],
            has_names: [group, version, kind, name, namespace].iter().any(|it| !it.is_empty()),
            of_labels: labelled(&selector.label_selector)?,
            of_annotations: labelled(&selector.annotation_selector)?,
        })
    }

    fn names(&self, id: &Id<'_>) -> bool {
        let texts = [id.group, id.version, id.kind, id.name, id.namespace];
        self.patterns.iter().zip(texts).all(|(pattern, text)| pattern.is_match(text))
    }

    fn has_labels(&self) -> bool {
        !self.of_labels.is_empty() || !self.of_annotations.is_empty()
    }

    fn labels(&self, resource: &Resource) -> bool {
        self.of_labels.matches(resource.object.at("/metadata/labels"))
            && self.of_annotations.matches(resource.object.at("/metadata/annotations"))
    }
}

/// What an object was called and is called; the namespace of now is the one that it names.
fn identities(resource: &Resource) -> Vec<Id<'_>> {
    let now = Id { namespace: resource.object.namespace(), ..resource.id() };
    resource.previous_ids().chain([now]).collect()
}

fn wrong(message: &str) -> Error {
    Error::Kustomize { field: "replacements", message: message.to_owned() }
}
