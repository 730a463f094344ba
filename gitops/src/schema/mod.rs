//! What Kubernetes', Flux' and Argo CD's schemas say of an object: which fields there are, of which types, which
//! of them are needed, and what their values look like.
//!
//! The schemas are part of the program: `kubernetes.txt`, `flux.txt` and `argocd.txt`, which `make.py`
//! makes of the official ones (their heads say of which version). One type after the other, each begins with its
//! name and, where it is a kind, with ` = API-VERSION KIND`; the fields follow, each in a line: a
//! blank, the name, `!` where it is needed, the type, and as JSON what its values are held to.
//! `[]T` is a list and `{}T` a map from texts.
//!
//! Of Flux' kinds, fields and values the JSON also says which version brought them (`since`; of
//! values, `later`), and of kinds that are served no more, which one was the last to have them
//! (`until`).

mod validate;
mod value;

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

use serde::Deserialize;
pub(crate) use validate::{Fault, validate};

use crate::flux::FluxVersion;

const TEXTS: [&str; 3] =
    [include_str!("kubernetes.txt"), include_str!("flux.txt"), include_str!("argocd.txt")];

/// All types, and the kinds among them.
pub(crate) struct Schemas {
    types: HashMap<&'static str, Type>,
    kinds: HashMap<(&'static str, &'static str), Kind>,
}

/// A kind, and which versions of Flux have it.
struct Kind {
    of: &'static str,
    served: Served,
}

/// Which versions of Flux have a kind; all, where it says none.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Served {
    since: Option<FluxVersion>,
    until: Option<FluxVersion>,
}

impl Served {
    fn by(&self, flux: FluxVersion) -> bool {
        self.since.is_none_or(|since| since <= flux) && self.until.is_none_or(|until| flux <= until)
    }
}

/// The fields of an object.
pub(super) struct Type {
    /// Whether it is of a definition of Flux or Argo CD, which are read more strictly than Go's types.
    pub(super) is_custom: bool,
    pub(super) fields: HashMap<&'static str, Field>,
}

pub(super) struct Field {
    pub(super) is_needed: bool,
    pub(super) shape: Shape,
    pub(super) rules: Rules,
}

/// What a value is made of.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shape {
    List(Box<Self>),
    Map(Box<Self>),
    /// A type by its name, or a scalar.
    Named(&'static str),
}

/// What values are held to, in the words of JSON Schema.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Rules {
    #[serde(default)]
    pub(super) r#enum: Vec<serde_json::Value>,
    pub(super) pattern: Option<String>,
    pub(super) min_length: Option<usize>,
    pub(super) max_length: Option<usize>,
    pub(super) min_items: Option<usize>,
    pub(super) max_items: Option<usize>,
    pub(super) minimum: Option<f64>,
    pub(super) maximum: Option<f64>,
    #[serde(default, rename = "nullable")]
    _nullable: bool,
    /// Of the elements of a list.
    pub(super) items: Option<Box<Self>>,
    /// The version of Flux that brought the field.
    pub(super) since: Option<FluxVersion>,
    /// The versions of Flux that brought some of the values.
    #[serde(default)]
    pub(super) later: BTreeMap<String, FluxVersion>,
}

/// The schemas that this program carries.
pub(crate) fn schemas() -> &'static Schemas {
    static SCHEMAS: OnceLock<Schemas> = OnceLock::new();
    SCHEMAS.get_or_init(|| {
        let mut schemas = Schemas { types: HashMap::new(), kinds: HashMap::new() };
        for (n, text) in TEXTS.into_iter().enumerate() {
            schemas.read(text, n > 0);
        }
        schemas
    })
}

impl Schemas {
    /// The type of a kind, as this version of Flux has it; none for a kind that nobody here knows.
    ///
    /// Of a kind that is served no more, but was at that time, nothing but its name is known: its
    /// type has no fields, and is no type of [`Self::get`].
    pub(crate) fn kind(
        &self,
        api_version: &str,
        kind: &str,
        flux: FluxVersion,
    ) -> Option<&'static str> {
        self.kinds.get(&(api_version, kind)).filter(|it| it.served.by(flux)).map(|it| it.of)
    }

    /// The versions in which a kind is served in the place of one that is not: those of its group,
    /// and of the groups that took over from `extensions`.
    pub(crate) fn instead_of(
        &self,
        api_version: &str,
        kind: &str,
        flux: FluxVersion,
    ) -> Vec<&'static str> {
        let group =
            |api_version: &str| api_version.split_once('/').map(|(group, _)| group.to_owned());
        let of = group(api_version);
        let known = self.kinds.iter().filter(|((known, other), it)| {
            *other == kind
                && (group(known) == of || of.as_deref() == Some("extensions"))
                && it.served.by(flux)
        });
        let mut versions: Vec<&str> = known.map(|((known, _), _)| *known).collect();
        versions.sort_unstable();
        versions
    }

    pub(super) fn get(&self, name: &str) -> Option<&Type> {
        self.types.get(name)
    }

    fn read(&mut self, text: &'static str, is_custom: bool) {
        let mut name = "";
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some(field) = line.strip_prefix(' ') else {
                let (first, kind) = line.split_once(" = ").unwrap_or((line, ""));
                name = first;
                let mut parts = kind.splitn(3, ' ');
                let served: Served = match parts.clone().nth(2) {
                    Some(json) => serde_json::from_str(json).expect("the files are made whole"),
                    None => Served::default(),
                };
                let is_gone = served.until.is_some();
                if let Some(kind) = parts.next().zip(parts.next()) {
                    self.kinds.insert(kind, Kind { of: name, served });
                }
                if !is_gone {
                    self.types.insert(name, Type { is_custom, fields: HashMap::new() });
                }
                continue;
            };
            let mut parts = field.splitn(3, ' ');
            let (field, shape) =
                (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            let rules = parts
                .next()
                .map(|json| serde_json::from_str(json).expect("the files are made whole"));
            let read = Field {
                is_needed: field.ends_with('!'),
                shape: Shape::read(shape),
                rules: rules.unwrap_or_default(),
            };
            let fields = &mut self.types.get_mut(name).expect("a type begins its fields").fields;
            fields.insert(field.trim_end_matches('!'), read);
        }
    }
}

impl Shape {
    fn read(text: &'static str) -> Self {
        if let Some(inner) = text.strip_prefix("[]") {
            return Self::List(Box::new(Self::read(inner)));
        }
        match text.strip_prefix("{}") {
            Some(inner) => Self::Map(Box::new(Self::read(inner))),
            None => Self::Named(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `value::check` knows.
    const SCALARS: [&str; 10] = [
        "any", "boolean", "bytes", "int32", "int64", "intstr", "number", "quantity", "string",
        "time",
    ];

    #[test]
    fn every_type_that_is_named_is_there() {
        fn leaf(shape: &Shape) -> &str {
            match shape {
                Shape::List(inner) | Shape::Map(inner) => leaf(inner),
                Shape::Named(name) => name,
            }
        }
        let schemas = schemas();
        for (name, of) in &schemas.types {
            for (field, read) in &of.fields {
                let leaf = leaf(&read.shape);
                assert!(
                    schemas.types.contains_key(leaf) || SCALARS.contains(&leaf),
                    "{name}.{field}: {leaf}"
                );
                if let Some(pattern) = &read.rules.pattern {
                    regex::Regex::new(pattern).unwrap_or_else(|error| panic!("{name}: {error}"));
                }
            }
        }
        assert!(schemas.types.len() > 500 && schemas.kinds.len() > 90);
    }

    #[test]
    fn what_the_program_carries_stays_small() {
        let bytes: usize = TEXTS.iter().map(|text| text.len()).sum();
        assert!(bytes < 200_000, "{bytes}");
    }
}
