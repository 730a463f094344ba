//! A schema that a kustomization brings along in `openapi`.

use serde_json::Value;

use super::{Field, Schema, Shape, Type};
use crate::yaml::{self, Dialect};
use crate::{Error, Result};

impl Schema {
    /// The types of an OpenAPI document, in place of Kubernetes' own or besides them.
    pub(in crate::kustomize) fn of_openapi(text: &str, besides: bool) -> Result<Self> {
        let wrong =
            |message: &str| Error::Kustomize { field: "openapi", message: message.to_owned() };
        let document = yaml::parse_as(text, Dialect::Json)?.into_iter().next();
        let Some(Value::Object(document)) = document else {
            return Err(wrong("the schema is no mapping"));
        };
        let Some(Value::Object(definitions)) = document.get("definitions") else {
            return Err(wrong("the schema has no definitions"));
        };
        let mut schema = if besides { Self::kubernetes().clone() } else { Self::default() };
        let mut own = Vec::new();
        for (name, definition) in definitions {
            let n = schema.types.len();
            let name = short(name);
            if !schema.names.contains_key(name) {
                schema.names.insert(name.to_owned(), n);
                schema.types.push(Type::default());
                own.push((n, definition));
            }
        }
        for (n, definition) in own {
            schema.fill(n, definition);
            let kinds = definition.get("x-kubernetes-group-version-kind");
            for kind in kinds.and_then(Value::as_array).into_iter().flatten() {
                let text = |key| kind.get(key).and_then(Value::as_str).unwrap_or_default();
                let api_version = match text("group") {
                    "" => text("version").to_owned(),
                    group => format!("{group}/{}", text("version")),
                };
                schema.kinds.insert((api_version, text("kind").to_owned()), n);
            }
        }
        Ok(schema)
    }

    fn fill(&mut self, n: usize, definition: &Value) {
        let properties = definition.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            let field = self.field(property);
            self.types[n].fields.insert(name.clone(), field);
        }
        let others = definition.get("additionalProperties").filter(|it| it.is_object());
        self.types[n].others = others.map(|it| Box::new(self.field(it)));
    }

    fn field(&mut self, property: &Value) -> Field {
        let of_items = property.get("items").map(|items| (items, Shape::List));
        let of_values = property
            .get("additionalProperties")
            .filter(|it| it.is_object() && property.get("properties").is_none())
            .map(|values| (values, Shape::Map));
        let (inner, shape) = of_items.or(of_values).unwrap_or((property, Shape::One));
        Field { target: self.target(inner), shape, keys: keys(property) }
    }

    /// The type that a schema refers to, or which it is itself.
    fn target(&mut self, schema: &Value) -> Option<usize> {
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            return self.names.get(short(reference.strip_prefix("#/definitions/")?)).copied();
        }
        if schema.get("properties").is_none() && schema.get("additionalProperties").is_none() {
            return None;
        }
        let n = self.types.len();
        self.types.push(Type::default());
        self.fill(n, schema);
        Some(n)
    }
}

/// A type's name as the table of Kubernetes' own has it.
fn short(name: &str) -> &str {
    let name = name.strip_prefix("io.k8s.api.").unwrap_or(name);
    let name = name.strip_prefix("io.k8s.").unwrap_or(name);
    name.strip_prefix("apimachinery.pkg.apis.").unwrap_or(name)
}

/// The keys of a list with the patch strategy `merge`.
fn keys(property: &Value) -> Option<Vec<String>> {
    let strategy = property.get("x-kubernetes-patch-strategy").and_then(Value::as_str)?;
    strategy.split(',').find(|it| *it == "merge")?;
    let texts = |value: &Value| value.as_str().map(str::to_owned);
    if let Some(Value::Array(keys)) = property.get("x-kubernetes-list-map-keys") {
        return Some(keys.iter().filter_map(texts).collect());
    }
    Some(property.get("x-kubernetes-patch-merge-key").and_then(texts).into_iter().collect())
}
