//! A Kubernetes object, and what identifies it.

use std::fmt;
use std::str::FromStr;

use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};
use serde_json::{Map, Value};

use crate::{Error, Result, yaml};

/// A Kubernetes object: a mapping with `apiVersion`, `kind` and `metadata.name`, all texts.
#[derive(Clone, Debug, PartialEq)]
pub struct Object(Value);

impl Object {
    /// Takes a JSON value for an object, if it is one.
    pub fn from_value(value: Value) -> Result<Self> {
        checked(value).map_err(|reason| Error::NotAnObject { number: 1, reason })
    }

    /// Takes a value for an object that may lack an `apiVersion`, and a list's name, as kustomize
    /// takes it.
    pub(crate) fn of_kustomize(mut value: Value) -> Result<Self, String> {
        if !value.is_object() {
            return checked(value);
        }
        let has_version = value.get("apiVersion").is_some();
        if !has_version {
            value["apiVersion"] = "v1".into();
        }
        let is_list = text(value.get("kind")).ends_with("List");
        let has_name = !is_list || value.pointer("/metadata/name").is_some_and(|it| !it.is_null());
        if !has_name {
            if value.get("metadata").is_none_or(Value::is_null) {
                value["metadata"] = Value::Object(Map::new());
            }
            if !value["metadata"].is_object() {
                return Err("its metadata is no mapping".to_owned());
            }
            value["metadata"]["name"] = "list".into();
        }
        let mut object = checked(value)?;
        if !has_version {
            object.root().remove("apiVersion");
        }
        if let Some(Value::Object(metadata)) = object.root().get_mut("metadata")
            && !has_name
        {
            metadata.remove("name");
        }
        Ok(object)
    }

    /// Parses all objects of a text (YAML or JSON); a `List` is replaced by its items, empty
    /// documents are left out.
    pub fn parse_all(text: &str) -> Result<Vec<Self>> {
        let mut objects = Vec::new();
        for (n, document) in yaml::parse_all(text)?.into_iter().enumerate() {
            for value in items(document) {
                objects.push(
                    checked(value)
                        .map_err(|reason| Error::NotAnObject { number: n + 1, reason })?,
                );
            }
        }
        Ok(objects)
    }

    /// Prints the object as YAML with sorted keys, as kustomize does.
    pub fn to_yaml(&self) -> String {
        yaml::emit(&self.0)
    }

    /// Prints several objects as one text, `---` between them.
    pub fn to_yaml_all(objects: &[Self]) -> String {
        objects.par_iter().map(Self::to_yaml).collect::<Vec<_>>().join("---\n")
    }

    /// The object as a JSON value.
    pub fn value(&self) -> &Value {
        &self.0
    }

    /// The object as a JSON value, to keep.
    pub fn into_value(self) -> Value {
        self.0
    }

    /// The value at a JSON pointer, `/spec/replicas`.
    pub fn at(&self, pointer: &str) -> Option<&Value> {
        self.0.pointer(pointer)
    }

    /// What identifies the object within a cluster.
    pub fn id(&self) -> ObjectId {
        let (group, version) = split_api_version(self.api_version());
        ObjectId {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: self.kind().to_owned(),
            namespace: self.namespace().to_owned(),
            name: self.name().to_owned(),
        }
    }

    /// `apiVersion`, `apps/v1`.
    pub fn api_version(&self) -> &str {
        text(self.0.get("apiVersion"))
    }

    /// `kind`.
    pub fn kind(&self) -> &str {
        text(self.0.get("kind"))
    }

    /// `metadata.name`.
    pub fn name(&self) -> &str {
        text(self.metadata("name"))
    }

    /// `metadata.namespace`; empty where there is none.
    pub fn namespace(&self) -> &str {
        text(self.metadata("namespace"))
    }

    /// The value of an annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.metadata("annotations")?.get(key)?.as_str()
    }

    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.metadata("labels")?.get(key)?.as_str()
    }

    /// Sets a label.
    pub fn set_label(&mut self, key: &str, value: &str) {
        self.metadata_map("labels").insert(key.to_owned(), value.into());
    }

    /// Sets an annotation.
    pub fn set_annotation(&mut self, key: &str, value: &str) {
        self.metadata_map("annotations").insert(key.to_owned(), value.into());
    }

    /// Sets `status`, as a controller does.
    pub fn set_status(&mut self, status: Value) {
        self.root().insert("status".to_owned(), status);
    }

    pub(crate) fn value_mut(&mut self) -> &mut Value {
        &mut self.0
    }

    fn metadata_map(&mut self, field: &str) -> &mut Map<String, Value> {
        let metadata = self.root()["metadata"].as_object_mut().expect("an object has metadata");
        let entry = metadata.entry(field).or_insert_with(|| Value::Object(Map::new()));
        if !entry.is_object() {
            *entry = Value::Object(Map::new());
        }
        entry.as_object_mut().expect("made an object above")
    }

    fn root(&mut self) -> &mut Map<String, Value> {
        self.0.as_object_mut().expect("an object is a mapping")
    }

    fn metadata(&self, field: &str) -> Option<&Value> {
        self.0.get("metadata")?.get(field)
    }
}

fn text(value: Option<&Value>) -> &str {
    value.and_then(Value::as_str).unwrap_or_default()
}

fn checked(value: Value) -> Result<Object, String> {
    let map = value.as_object().ok_or("it is not a mapping")?;
    for field in ["apiVersion", "kind"] {
        match map.get(field) {
            Some(Value::String(text)) if !text.is_empty() => {}
            _ => return Err(format!("it has no {field}")),
        }
    }
    let kind = map["kind"].as_str().unwrap_or_default();
    match value.pointer("/metadata/name") {
        Some(Value::String(name)) if !name.is_empty() => {}
        _ => return Err(format!("this {kind} has no metadata.name")),
    }
    match value.pointer("/metadata/namespace") {
        None | Some(Value::String(_)) => Ok(Object(value)),
        Some(_) => Err(format!("the metadata.namespace of this {kind} is not a text")),
    }
}

fn items(value: Value) -> Vec<Value> {
    let is_list =
        value.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List"));
    match value.get("items") {
        Some(Value::Array(items)) if is_list => items.clone(),
        _ => vec![value],
    }
}

fn split_api_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

/// What identifies an object within a cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    /// The API group, `apps`; empty for the core group.
    pub group: String,
    /// The version, `v1`. It is a view, not part of the identity: see [`Self::is_same`].
    pub version: String,
    /// The kind, `Deployment`.
    pub kind: String,
    /// The namespace; empty for objects of the whole cluster.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl ObjectId {
    /// Whether both name the same object, whatever version each speaks.
    pub fn is_same(&self, other: &Self) -> bool {
        self.key() == other.key()
    }

    /// The entry of Flux' inventory: `<namespace>_<name>_<group>_<kind>`. The names of roles and
    /// their bindings may hold colons, for which two underscores stand.
    pub fn inventory_id(&self) -> String {
        let name = match self.group.as_str() {
            "rbac.authorization.k8s.io" => self.name.replace(':', "__"),
            _ => self.name.clone(),
        };
        format!("{}_{name}_{}_{}", self.namespace, self.group, self.kind)
    }

    /// What an entry of Flux' inventory names, if it is one.
    pub fn from_inventory(id: &str, version: &str) -> Option<Self> {
        let (namespace, rest) = id.split_once('_')?;
        let (rest, kind) = rest.rsplit_once('_')?;
        let (name, group) = rest.rsplit_once('_')?;
        Some(Self {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.replace("__", ":"),
        })
    }

    /// Group and version together, `apps/v1`.
    pub fn api_version(&self) -> String {
        match self.group.as_str() {
            "" => self.version.clone(),
            group => format!("{group}/{}", self.version),
        }
    }

    pub(crate) fn key(&self) -> (&str, &str, &str, &str) {
        (&self.group, &self.kind, &self.namespace, &self.name)
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.as_str() {
            "" => write!(f, "{}/{}", self.kind, self.name),
            namespace => write!(f, "{}/{namespace}/{}", self.kind, self.name),
        }
    }
}

impl FromStr for Object {
    type Err = Error;

    /// Parses a text with exactly one object.
    fn from_str(text: &str) -> Result<Self> {
        let mut objects = Self::parse_all(text)?;
        match (objects.pop(), objects.len()) {
            (Some(object), 0) => Ok(object),
            (_, n) => Err(Error::NotAnObject {
                number: n + 1,
                reason: "exactly one object was expected".to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_knows_its_identity() {
        let object: Object =
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a, namespace: n}\n"
                .parse()
                .unwrap();
        let id = object.id();
        assert_eq!(
            (id.to_string().as_str(), id.inventory_id().as_str(), id.api_version().as_str()),
            ("Deployment/n/a", "n_a_apps_Deployment", "apps/v1")
        );
        let namespace: Object =
            "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n".parse().unwrap();
        assert_eq!(namespace.id().to_string(), "Namespace/a");
        assert_eq!(namespace.id().inventory_id(), "_a__Namespace");
        let role = ObjectId {
            group: "rbac.authorization.k8s.io".to_owned(),
            kind: "ClusterRole".to_owned(),
            namespace: String::new(),
            name: "system:a:b".to_owned(),
            version: "v1".to_owned(),
        };
        let role_entry = "_system__a__b_rbac.authorization.k8s.io_ClusterRole";
        assert_eq!(role.inventory_id(), role_entry);
        for (id, entry) in
            [(id, "n_a_apps_Deployment"), (namespace.id(), "_a__Namespace"), (role, role_entry)]
        {
            assert_eq!(ObjectId::from_inventory(entry, "v1"), Some(id));
        }
    }

    #[test]
    fn lists_are_replaced_by_their_items() {
        let text = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: A, metadata: {name: a}}\n- {apiVersion: v1, kind: B, metadata: {name: b}}\n";
        let names: Vec<_> = Object::parse_all(text)
            .unwrap()
            .iter()
            .map(|object| object.name().to_owned())
            .collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn what_lacks_a_name_or_a_kind_is_no_object() {
        for (text, reason) in [
            ("a: 1", "document 1 is not a Kubernetes object: it has no apiVersion"),
            (
                "apiVersion: v1\nkind: A",
                "document 1 is not a Kubernetes object: this A has no metadata.name",
            ),
            ("[1]", "document 1 is not a Kubernetes object: it is not a mapping"),
            (
                "{apiVersion: v1, kind: A, metadata: {name: a}}\n---\n{apiVersion: v1, kind: A, metadata: {name: 1}}",
                "document 2 is not a Kubernetes object: this A has no metadata.name",
            ),
        ] {
            assert_eq!(Object::parse_all(text).unwrap_err().to_string(), reason);
        }
    }

    #[test]
    fn printing_is_the_inverse_of_parsing() {
        let text =
            "apiVersion: v1\ndata:\n  a: |\n    x\n    y\nkind: ConfigMap\nmetadata:\n  name: c\n";
        let object: Object = text.parse().unwrap();
        assert_eq!(object.to_yaml(), text);
    }
}
