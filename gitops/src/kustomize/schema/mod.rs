//! Which lists are merged by which keys: Kubernetes' own types as kustomize knows them, or those of
//! the field `openapi`.

mod custom;

use std::collections::HashMap;
use std::sync::LazyLock;

/// Types with their fields, as far as merging needs them.
#[derive(Clone, Debug, Default)]
pub(super) struct Schema {
    types: Vec<Type>,
    /// The type of a kind, by its `apiVersion` and name.
    kinds: HashMap<(String, String), usize>,
    /// The types by their own names.
    names: HashMap<String, usize>,
}

#[derive(Clone, Debug, Default)]
struct Type {
    fields: HashMap<String, Field>,
    /// What every other field is.
    others: Option<Box<Field>>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Field {
    /// The type of the field, or of what is in it.
    target: Option<usize>,
    shape: Shape,
    /// The keys by which a list is merged; no key for a set of scalars.
    keys: Option<Vec<String>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Shape {
    #[default]
    One,
    List,
    Map,
}

/// A place in a schema.
#[derive(Clone, Copy, Debug)]
pub(super) struct At<'a> {
    schema: &'a Schema,
    target: Option<usize>,
    shape: Shape,
    keys: Option<&'a [String]>,
}

static KUBERNETES: LazyLock<Schema> =
    LazyLock::new(|| Schema::of_table(include_str!("kubernetes.txt")));

impl Schema {
    /// Kubernetes' own types.
    pub(super) fn kubernetes() -> &'static Self {
        &KUBERNETES
    }

    /// The type of a kind.
    pub(super) fn of_kind(&self, api_version: &str, kind: &str) -> Option<At<'_>> {
        let target = *self.kinds.get(&(api_version.to_owned(), kind.to_owned()))?;
        Some(At { schema: self, target: Some(target), shape: Shape::One, keys: None })
    }

    fn of_table(text: &str) -> Self {
        let mut schema = Self::default();
        let lines = || text.lines().filter(|line| !line.starts_with('#'));
        let heads = lines().filter(|line| !line.starts_with(' '));
        schema.names = heads
            .filter_map(|line| line.split(' ').next())
            .enumerate()
            .map(|(n, name)| (name.to_owned(), n))
            .collect();
        for line in lines() {
            let mut words = line.trim_start().split(' ');
            let first = words.next().unwrap_or_default();
            if !line.starts_with(' ') {
                let n = schema.types.len();
                schema.types.push(Type::default());
                let kinds = words.filter_map(|word| word.split_once(':'));
                let kinds = kinds.map(|(version, kind)| ((version.to_owned(), kind.to_owned()), n));
                schema.kinds.extend(kinds);
                continue;
            }
            let (name, shape) =
                first.strip_suffix("[]").map_or((first, Shape::One), |name| (name, Shape::List));
            let rest: Vec<&str> = words.collect();
            let target = rest.first().and_then(|name| schema.names.get(*name)).copied();
            let keys = rest.iter().position(|word| *word == "by").and_then(|n| rest.get(n + 1));
            let keys = keys
                .map(|keys| keys.split(',').filter(|key| *key != "-").map(str::to_owned).collect());
            if let Some(last) = schema.types.last_mut() {
                last.fields.insert(name.to_owned(), Field { target, shape, keys });
            }
        }
        schema
    }
}

impl<'a> At<'a> {
    /// A field of what is here.
    pub(super) fn field(&self, key: &str) -> Option<Self> {
        match self.shape {
            Shape::One => {
                let of = &self.schema.types[self.target?];
                let field = of.fields.get(key).or(of.others.as_deref())?;
                Some(Self {
                    schema: self.schema,
                    target: field.target,
                    shape: field.shape,
                    keys: field.keys.as_deref(),
                })
            }
            Shape::Map => Some(Self { shape: Shape::One, keys: None, ..*self }),
            Shape::List => None,
        }
    }

    /// An element of the list that is here.
    pub(super) fn elements(&self) -> Option<Self> {
        (self.shape == Shape::List && self.target.is_some()).then_some(Self {
            shape: Shape::One,
            keys: None,
            ..*self
        })
    }

    /// The keys by which the list that is here is merged; none for one that is replaced.
    pub(super) fn merge_keys(&self) -> Option<&'a [String]> {
        self.keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(api_version: &str, kind: &str, path: &[&str]) -> Option<Vec<String>> {
        let start = Schema::kubernetes().of_kind(api_version, kind)?;
        let at = path.iter().try_fold(start, |at, key| match *key {
            "[]" => at.elements(),
            key => at.field(key),
        })?;
        at.merge_keys().map(<[String]>::to_vec)
    }

    #[test]
    fn lists_have_the_keys_that_kustomize_knows() {
        let containers = ["spec", "template", "spec", "containers"];
        assert_eq!(keys("apps/v1", "Deployment", &containers), Some(vec!["name".to_owned()]));
        let ports = [&containers[..], &["[]", "ports"]].concat();
        let expected = vec!["containerPort".to_owned(), "protocol".to_owned()];
        assert_eq!(keys("apps/v1", "Deployment", &ports), Some(expected));
        assert_eq!(keys("v1", "Pod", &["metadata", "finalizers"]), Some(Vec::new()));
        assert_eq!(keys("extensions/v1beta1", "Deployment", &containers), None);
        assert_eq!(
            keys("gateway.networking.k8s.io/v1", "Gateway", &["metadata", "finalizers"]),
            None
        );
    }
}
