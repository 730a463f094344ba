//! An object on its way through a build, with the names that it has had.

use serde_json::Value;

use super::scope::is_cluster_scoped;
use crate::{Object, ObjectId};

/// An object on its way through a build, with what it was called before.
#[derive(Clone, Debug)]
pub(super) struct Resource {
    pub(super) object: Object,
    /// What it was called before each change of name, namespace or kind, oldest first.
    pub(super) previous: Vec<Previous>,
    /// Prefixes and suffixes that were added, innermost first.
    pub(super) prefixes: Vec<String>,
    pub(super) suffixes: Vec<String>,
    /// Whether its name gets a hash of its content.
    pub(super) needs_hash: bool,
    /// The `vars` that take their value from it.
    pub(super) vars: Vec<String>,
    /// JSON pointers to fields that were written with nothing behind the colon; a strategic merge
    /// drops them, unlike those with `null`.
    pub(super) blanks: Vec<String>,
    /// JSON pointers to labels and annotations that one transformer has put into several fields:
    /// what changes one of them changes all, until the object becomes JSON.
    pub(super) shared: Vec<Vec<String>>,
    /// What identifies it and was written as no text: where, as which text, and what it was.
    raw: Vec<(&'static str, String, Value)>,
}

/// A former name. Group and version are always those of now.
#[derive(Clone, Debug)]
pub(super) struct Previous {
    pub(super) kind: String,
    /// As [`Id::namespace`].
    pub(super) namespace: String,
    pub(super) name: String,
}

/// What identifies an object for kustomize.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Id<'a> {
    pub(super) group: &'a str,
    pub(super) version: &'a str,
    pub(super) kind: &'a str,
    /// `default` where it names none, a mark of its own for objects of the whole cluster.
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
}

/// The namespace of what is in none.
const CLUSTER: &str = "_non_namespaceable_";

impl Resource {
    pub(super) fn new(object: Object) -> Self {
        Self {
            object,
            previous: Vec::new(),
            prefixes: Vec::new(),
            suffixes: Vec::new(),
            needs_hash: false,
            vars: Vec::new(),
            blanks: Vec::new(),
            shared: Vec::new(),
            raw: Vec::new(),
        }
    }

    /// Notes what was written as no text: it is so again in the end, unless it was changed.
    pub(super) fn keep_raw(&mut self, raw: Vec<(&'static str, Value)>) {
        let text = |at: &str| self.value().pointer(at).and_then(Value::as_str).map(str::to_owned);
        self.raw = raw.into_iter().filter_map(|(at, was)| Some((at, text(at)?, was))).collect();
    }

    /// The object as it is printed.
    pub(super) fn finish(mut self) -> Object {
        for (at, text, was) in std::mem::take(&mut self.raw) {
            if let Some(there) = self.object.value_mut().pointer_mut(at).filter(|it| **it == *text)
            {
                *there = was;
            }
        }
        self.object
    }

    /// What it is called now.
    pub(super) fn id(&self) -> Id<'_> {
        let api_version = self.object.api_version();
        let (group, version) = split_api_version(api_version);
        let kind = self.object.kind();
        let namespace = effective(api_version, kind, self.object.namespace());
        Id { group, version, kind, namespace, name: self.object.name() }
    }

    /// For messages.
    pub(super) fn shown(&self) -> ObjectId {
        self.object.id()
    }

    /// What it was called, oldest first.
    pub(super) fn previous_ids(&self) -> impl Iterator<Item = Id<'_>> {
        let (group, version) = split_api_version(self.object.api_version());
        self.previous.iter().map(move |it| Id {
            group,
            version,
            kind: &it.kind,
            namespace: &it.namespace,
            name: &it.name,
        })
    }

    /// What it was called and is called.
    pub(super) fn ids(&self) -> impl Iterator<Item = Id<'_>> {
        self.previous_ids().chain([self.id()])
    }

    /// What it was called at first.
    pub(super) fn original(&self) -> Id<'_> {
        self.previous_ids().next().unwrap_or_else(|| self.id())
    }

    /// Keeps the present identity before it changes.
    pub(super) fn remember(&mut self) {
        let id = self.id();
        let previous = Previous {
            kind: id.kind.to_owned(),
            namespace: id.namespace.to_owned(),
            name: id.name.to_owned(),
        };
        self.previous.push(previous);
    }

    /// Whether it is, or ever was, the object with that identity.
    pub(super) fn was(&self, id: &Id<'_>) -> bool {
        self.was_called(id.name) && self.ids().any(|other| other == *id)
    }

    /// Whether it has, or ever had, that name.
    pub(super) fn was_called(&self, name: &str) -> bool {
        self.object.name() == name || self.previous.iter().any(|it| it.name == name)
    }

    pub(super) fn value(&self) -> &Value {
        self.object.value()
    }

    pub(super) fn value_mut(&mut self) -> &mut Value {
        self.object.value_mut()
    }

    pub(super) fn set_name(&mut self, name: &str) {
        self.value_mut()["metadata"]["name"] = name.into();
    }

    /// Changes the object by fields; those that share a value get the same one.
    pub(super) fn change<T>(&mut self, by: impl FnOnce(&mut Self) -> T) -> T {
        if self.shared.is_empty() {
            return by(self);
        }
        let before = self.value().clone();
        let done = by(self);
        let value = self.object.value_mut();
        for pointers in &self.shared {
            let mut changed = pointers.iter().filter_map(|it| {
                let now = value.pointer(it)?;
                (Some(now) != before.pointer(it)).then(|| now.clone())
            });
            if let Some(now) = changed.next_back() {
                for pointer in pointers {
                    if let Some(there) = value.pointer_mut(pointer) {
                        there.clone_from(&now);
                    }
                }
            }
        }
        done
    }

    /// Whether a patch has deleted it.
    pub(super) fn is_gone(&self) -> bool {
        self.value().is_null()
    }

    /// Whether it is meant for tools on this machine only.
    pub(super) fn is_local(&self) -> bool {
        self.object
            .annotation("config.kubernetes.io/local-config")
            .is_some_and(|value| value != "false")
    }
}

impl Id<'_> {
    /// Whether it is of a group, version and kind, each of which may be empty.
    pub(super) fn is_of(&self, group: &str, version: &str, kind: &str) -> bool {
        let fits = |wanted: &str, has: &str| wanted.is_empty() || wanted == has;
        fits(group, self.group) && fits(version, self.version) && fits(kind, self.kind)
    }

    pub(super) fn is_cluster_scoped(&self) -> bool {
        self.namespace == CLUSTER
    }

    /// The identity as a key.
    pub(super) fn key(&self) -> String {
        [self.group, self.version, self.kind, self.namespace, self.name].join("\0")
    }
}

/// The namespace that counts for an identity.
pub(super) fn effective<'a>(api_version: &str, kind: &str, namespace: &'a str) -> &'a str {
    match namespace {
        _ if is_cluster_scoped(api_version, kind) => CLUSTER,
        "" => "default",
        namespace => namespace,
    }
}

/// Group and version of an `apiVersion`.
pub(super) fn split_api_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}
