//! `configMapGenerator` and `secretGenerator`: objects made of literals and files.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::file::{Behavior, Generator, GeneratorOptions};
use super::loader::Loader;
use super::origin;
use super::resource::Resource;
use super::resources::Resources;
use crate::tree::Bytes;
use crate::{Error, Object, Result};

/// What generates an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    ConfigMap,
    Secret,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
        }
    }

    /// The plugin that kustomize has for it.
    pub(super) fn plugin(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMapGenerator",
            Self::Secret => "SecretGenerator",
        }
    }

    fn field(self) -> &'static str {
        match self {
            Self::ConfigMap => "configMapGenerator",
            Self::Secret => "secretGenerator",
        }
    }
}

/// Makes the object of a generator.
pub(super) fn object(
    loader: &Loader<'_>,
    kind: Kind,
    generator: &Generator,
    global: &GeneratorOptions,
) -> Result<Resource> {
    Source { loader, field: kind.field() }.object(kind.name(), generator, global)
}

/// Adds a generated object, or brings it together with the one that is there.
pub(super) fn absorb(resources: &mut Resources, made: Resource, behavior: Behavior) -> Result<()> {
    let id = made.id();
    let was = |n: &usize| resources.as_slice()[*n].was(&id);
    let matches: Vec<usize> = (0..resources.as_slice().len()).filter(was).collect();
    let shown = made.shown();
    let wrong = |message| Err(Error::Kustomize { field: "generators", message });
    match (matches.as_slice(), behavior) {
        ([], Behavior::Create) => resources.append(made),
        ([], _) => wrong(format!("{shown} is not there to be merged or replaced")),
        ([_], Behavior::Create) => {
            wrong(format!("{shown} is there already: the behavior must be merge or replace"))
        }
        ([n], _) => {
            bring_together(&mut resources.as_mut()[*n], made, behavior == Behavior::Merge);
            resources.check()
        }
        _ => wrong(format!("{shown} is there several times")),
    }
}

/// The new object keeps the old one's name and history, and a hash in the name when both want it;
/// with `merge`, data that it does not have itself.
fn bring_together(old: &mut Resource, made: Resource, merge: bool) {
    let name = old.object.name().to_owned();
    let origin = old.object.annotation(origin::ANNOTATION).map(str::to_owned);
    let namespace = old.object.at("/metadata/namespace").cloned();
    let mut object = made.object;
    for field in ["labels", "annotations"] {
        let both = union(
            old.object.at(&format!("/metadata/{field}")),
            object.at(&format!("/metadata/{field}")),
        );
        if !both.is_empty() {
            object.value_mut()["metadata"][field] = Value::Object(both);
        }
    }
    for field in ["data", "binaryData"].into_iter().filter(|_| merge) {
        let both = union(old.object.value().get(field), object.value().get(field));
        match both.is_empty() {
            true => drop(object.value_mut().as_object_mut().map(|it| it.remove(field))),
            false => object.value_mut()[field] = Value::Object(both),
        }
    }
    object.value_mut()["metadata"]["name"] = name.into();
    match namespace {
        Some(namespace) => object.value_mut()["metadata"]["namespace"] = namespace,
        None => {
            let metadata = object.value_mut()["metadata"].as_object_mut();
            metadata.map(|metadata| metadata.remove("namespace"));
        }
    }
    old.object = object;
    if let Some(origin) = origin.filter(|_| merge) {
        old.object.set_annotation(origin::ANNOTATION, &origin);
    }
    old.needs_hash &= made.needs_hash;
}

fn union(old: Option<&Value>, new: Option<&Value>) -> Map<String, Value> {
    [old, new]
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
        .flat_map(|map| map.clone())
        .collect()
}

struct Source<'a> {
    loader: &'a Loader<'a>,
    field: &'static str,
}

impl Source<'_> {
    fn object(
        &self,
        kind: &str,
        generator: &Generator,
        global: &GeneratorOptions,
    ) -> Result<Resource> {
        if generator.name.is_empty() {
            return Err(self.wrong("an object has no name".to_owned()));
        }
        let options = &generator.options;
        let data = self.data(generator)?;
        let mut object =
            json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": generator.name}});
        if kind == "Secret" {
            let given = generator.r#type.as_deref().filter(|it| !it.is_empty());
            object["type"] = given.unwrap_or("Opaque").into();
            object["data"] = json!({});
        } else if generator.r#type.is_some() {
            return Err(self.wrong("a ConfigMap has no type".to_owned()));
        }
        for (key, bytes) in data {
            match String::from_utf8(bytes) {
                Ok(text) if kind == "ConfigMap" => object["data"][key] = text.into(),
                Ok(text) => object["data"][key] = base64_lines(text.as_bytes()).into(),
                Err(error) => {
                    let field = if kind == "Secret" { "data" } else { "binaryData" };
                    object[field][key] = base64_lines(error.as_bytes()).into();
                }
            }
        }
        if !generator.namespace.is_empty() {
            object["metadata"]["namespace"] = generator.namespace.as_str().into();
        }
        for (field, global, own) in [
            ("labels", &global.labels, &options.labels),
            ("annotations", &global.annotations, &options.annotations),
        ] {
            let both: BTreeMap<&String, &String> = global.iter().chain(own).collect();
            if !both.is_empty() {
                object["metadata"][field] = json!(both);
            }
        }
        if global.immutable || options.immutable {
            object["immutable"] = true.into();
        }
        let mut resource = Resource::new(Object::from_value(object)?);
        resource.needs_hash = !global.disable_name_suffix_hash && !options.disable_name_suffix_hash;
        Ok(resource)
    }

    fn data(&self, generator: &Generator) -> Result<BTreeMap<String, Vec<u8>>> {
        let mut data = BTreeMap::new();
        let mut pairs = Vec::new();
        for path in generator.envs.iter().chain(&generator.env) {
            pairs.extend(self.env_file(path)?);
        }
        for literal in &generator.literals {
            pairs.push(self.literal(literal)?);
        }
        for file in &generator.files {
            pairs.push(self.file(file)?);
        }
        for (key, text) in pairs {
            if !is_key(&key) {
                return Err(
                    self.wrong(format!("{key:?} is not a key: it has letters, digits and - _ ."))
                );
            }
            if data.insert(key.clone(), text).is_some() {
                return Err(
                    self.wrong(format!("the key {key:?} of {} is there twice", generator.name))
                );
            }
        }
        Ok(data)
    }

    /// `key=value`; one pair of quotes around the value is taken off.
    fn literal(&self, literal: &str) -> Result<(String, Vec<u8>)> {
        let Some((key, value)) = literal.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            return Err(self.wrong(format!("the literal {literal:?} is not key=value")));
        };
        let unquoted =
            ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
        Ok((key.to_owned(), unquoted.unwrap_or(value).into()))
    }

    /// `key=path`, or a path whose last part is the key.
    fn file(&self, entry: &str) -> Result<(String, Vec<u8>)> {
        let (key, path) = match entry.split_once('=') {
            Some((key, path)) if !key.is_empty() && !path.is_empty() && !path.contains('=') => {
                (key, path)
            }
            Some(_) => return Err(self.wrong(format!("the file {entry:?} is not key=path"))),
            None => (entry.rsplit('/').next().unwrap_or(entry), entry),
        };
        let bytes = match self.loader.bytes(path)? {
            Bytes::Text(text) => text.as_bytes(),
            Bytes::Binary(bytes) => bytes,
        };
        Ok((key.to_owned(), bytes.to_owned()))
    }

    /// Lines `KEY=value`; empty ones and comments are left out.
    fn env_file(&self, path: &str) -> Result<Vec<(String, Vec<u8>)>> {
        let text = self.loader.text(path)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = text
            .lines()
            .map(str::trim_start)
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        Ok(lines
            .map(|line| {
                // A line without `=` is an empty value.
                let (key, value) = line.split_once('=').unwrap_or((line, ""));
                (key.to_owned(), value.into())
            })
            .collect())
    }

    fn wrong(&self, message: String) -> Error {
        Error::Kustomize { field: self.field, message }
    }
}

fn is_key(key: &str) -> bool {
    (1..=253).contains(&key.len())
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        && key != "."
        && !key.starts_with("..")
}

/// Base64; a text of 70 characters or more is broken into lines of 70, each ended by a line feed,
/// as kustomize does before it hashes.
fn base64_lines(bytes: &[u8]) -> String {
    const LINE: usize = 70;
    let text = base64(bytes);
    if text.len() < LINE {
        return text;
    }
    text.as_bytes()
        .chunks(LINE)
        .map(|line| format!("{}\n", String::from_utf8_lossy(line)))
        .collect()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for n in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * n)) as usize & 63];
            out.push(if n <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}
