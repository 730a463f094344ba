//! `crds`: schemas of OpenAPI whose extensions say what a field is for
//! (api/internal/accumulator/loadconfigfromcrds.go).

use serde_json::Value;

use super::{Config, FieldSpec, NameReference, Specs};
use crate::yaml::{self, Dialect};
use crate::{Error, Result};

/// What the types of a file say of their fields.
pub(super) fn config(text: &str) -> Result<Config> {
    let wrong = || Error::Kustomize {
        field: "crds",
        message: "the file is no mapping of types to schemas".to_owned(),
    };
    let types = match yaml::parse_as(text, Dialect::Json)?.into_iter().next() {
        None => return Ok(Config::default()),
        Some(types @ Value::Object(_)) => types,
        Some(_) => return Err(wrong()),
    };
    let mut config = Config::default();
    for (name, api) in types.as_object().ok_or_else(wrong)? {
        let properties = properties(api);
        let is_object = ["kind", "apiVersion", "metadata"]
            .iter()
            .all(|field| properties.is_some_and(|it| it.get(*field).is_some()));
        if is_object {
            let kind = name.rsplit('.').next().unwrap_or(name);
            Walk { types: &types, kind, config: &mut config }.walk(name, &mut Vec::new())?;
        }
    }
    Ok(config)
}

/// The properties of a type; Go reads `Schema` in any letter case.
fn properties(api: &Value) -> Option<&Value> {
    let schema = api.as_object()?.iter().find(|(key, _)| key.eq_ignore_ascii_case("schema"))?.1;
    schema.get("properties")
}

struct Walk<'a> {
    types: &'a Value,
    kind: &'a str,
    config: &'a mut Config,
}

impl Walk<'_> {
    fn walk(&mut self, name: &str, path: &mut Vec<String>) -> Result<()> {
        const MAX_DEPTH: usize = 64;
        if path.len() > MAX_DEPTH {
            let message = format!("{name} contains itself");
            return Err(Error::Kustomize { field: "crds", message });
        }
        let types = self.types;
        let Some(Value::Object(properties)) = types.get(name).and_then(properties) else {
            return Ok(());
        };
        for (field, property) in properties {
            path.push(field.clone());
            let says = |key: &str| property.get(key).and_then(Value::as_str);
            if says("x-kubernetes-annotation").is_some() {
                let specs = self.spec(path);
                self.config.common_annotations = self.config.common_annotations.with(&specs)?;
            }
            if says("x-kubernetes-label-selector").is_some() {
                let specs = self.spec(path);
                self.config.common_labels = self.config.common_labels.with(&specs)?;
            }
            if says("x-kubernetes-identity").is_some() {
                let specs = self.spec(path);
                self.config.name_prefix = self.config.name_prefix.with(&specs)?;
            }
            if let (Some(version), Some(kind)) =
                (says("x-kubernetes-object-ref-api-version"), says("x-kubernetes-object-ref-kind"))
            {
                path.push(says("x-kubernetes-object-ref-name-key").unwrap_or("name").to_owned());
                let reference = NameReference {
                    group: String::new(),
                    version: version.to_owned(),
                    kind: kind.to_owned(),
                    referrers: self.spec(path),
                };
                path.pop();
                self.config.refer(&reference)?;
            }
            if let Some(target) = says("$ref") {
                self.walk(target, path)?;
            }
            path.pop();
        }
        Ok(())
    }

    fn spec(&self, path: &[String]) -> Specs {
        let kind = self.kind.to_owned();
        Specs(vec![FieldSpec { kind, path: path.join("/"), ..FieldSpec::default() }])
    }
}
