//! `vars`: values of objects that stand in texts of others as `$(NAME)`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::config::Specs;
use super::fields::{Made, each};
use super::replacements::look_up;
use super::resources::Resources;
use crate::{Error, Result};

/// An entry of `vars`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Var {
    pub(super) name: String,
    objref: Reference,
    fieldref: Field,
}

/// The object that has the value.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Reference {
    api_version: String,
    group: String,
    version: String,
    kind: String,
    name: String,
    namespace: String,
}

/// The field that is the value; the name unless another is given.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Field {
    field_path: String,
}

impl Reference {
    fn group_and_version(&self) -> (&str, &str) {
        match self.api_version.split('/').collect::<Vec<_>>().as_slice() {
            [""] | [_, _, _, ..] => (&self.group, &self.version),
            [version] => (&self.group, version),
            [group, version] => (group, version),
            [] => ("", ""),
        }
    }
}

/// Marks the objects that vars take their values from, while they have the names of here.
pub(super) fn mark(resources: &mut Resources, vars: &[Var]) -> Result<()> {
    for var in vars {
        let to = &var.objref;
        let (group, version) = to.group_and_version();
        let mut matches = Vec::new();
        for (n, resource) in resources.iter().enumerate() {
            let is_it = resource.ids().any(|id| {
                (id.group, id.version, id.kind, id.name) == (group, version, &to.kind, &to.name)
                    && (to.namespace.is_empty() || id.namespace == to.namespace)
            });
            if is_it {
                matches.push(n);
            }
        }
        match matches.as_slice() {
            [] => {}
            [n] => resources.as_mut()[*n].vars.push(var.name.clone()),
            _ => return Err(wrong(format!("several objects are the one of {}", var.name))),
        }
    }
    Ok(())
}

/// Adds vars to others; each name is there once.
pub(super) fn merge(vars: &mut Vec<Var>, others: &[Var]) -> Result<()> {
    for other in others {
        if vars.iter().any(|var| var.name == other.name) {
            return Err(wrong(format!("{} is there twice", other.name)));
        }
        vars.push(other.clone());
    }
    Ok(())
}

/// Puts the values of all vars into the fields that may name them.
pub(super) fn resolve(resources: &mut Resources, vars: &[Var], specs: &Specs) -> Result<()> {
    if vars.is_empty() {
        return Ok(());
    }
    let mut values = BTreeMap::new();
    for var in vars {
        values.insert(var.name.clone(), value(resources, var)?);
    }
    for resource in resources.as_mut() {
        for spec in specs.of(&resource.id()) {
            each(resource.value_mut(), spec, Made::Nothing, &mut |found| set(found, &values))
                .map_err(wrong)?;
        }
    }
    Ok(())
}

fn value(resources: &Resources, var: &Var) -> Result<Value> {
    let source = resources.iter().find(|resource| resource.vars.contains(&var.name));
    let source = source.ok_or_else(|| wrong(format!("no object is the one of {}", var.name)))?;
    let path = match var.fieldref.field_path.as_str() {
        "" => "metadata.name",
        path => path,
    };
    look_up(source.value(), path)
        .map_err(wrong)?
        .cloned()
        .ok_or_else(|| wrong(format!("{} has no field {path} for {}", source.shown(), var.name)))
}

fn wrong(message: String) -> Error {
    Error::Kustomize { field: "vars", message }
}

fn set(found: &mut Value, values: &BTreeMap<String, Value>) -> Result<(), String> {
    match found {
        Value::String(text) => *found = replaced(text, values),
        Value::Object(map) => {
            for value in map.values_mut() {
                if let Value::String(text) = value {
                    *value = replaced(text, values);
                }
            }
        }
        Value::Array(elements) => {
            for element in elements {
                match element {
                    Value::String(text) => *element = replaced(text, values),
                    other => return Err(format!("{other} is no text in which a var could be")),
                }
            }
        }
        _ => {}
    }
    Ok(())
}

/// A text with the values of the vars that it names; a text that is one var becomes its value. `$$`
/// stands for a dollar.
fn replaced(text: &str, values: &BTreeMap<String, Value>) -> Value {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('$') {
        let (before, after) = rest.split_at(start);
        out.push_str(before);
        let after = &after[1..];
        if after.is_empty() {
            out.push('$');
            rest = after;
        } else if let Some(dollar) = after.strip_prefix('$') {
            out.push('$');
            rest = dollar;
        } else if let Some((name, behind)) =
            after.strip_prefix('(').and_then(|it| it.split_once(')'))
        {
            match values.get(name) {
                Some(value @ (Value::String(_) | Value::Number(_) | Value::Bool(_))) => {
                    if text.len() == name.len() + 3 {
                        return value.clone();
                    }
                    match value {
                        Value::String(value) => out.push_str(value),
                        other => out.push_str(&other.to_string()),
                    }
                }
                _ => out.push_str(&format!("$({name})")),
            }
            rest = behind;
        } else {
            // One character behind the dollar goes with it, as in kustomize.
            let n = after.chars().next().map_or(0, char::len_utf8);
            out.push('$');
            out.push_str(&after[..n]);
            rest = &after[n..];
        }
    }
    out.push_str(rest);
    Value::String(out)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn vars_are_found_in_texts() {
        let values: BTreeMap<String, Value> = [
            ("A".to_owned(), json!("x")),
            ("N".to_owned(), json!(3)),
            ("M".to_owned(), json!({"a": 1})),
        ]
        .into();
        for (text, expected) in [
            ("$(A)", json!("x")),
            ("$(N)", json!(3)),
            ("a$(A)b$(N)", json!("axb3")),
            ("$(B) $(M)", json!("$(B) $(M)")),
            ("$$(A)", json!("$(A)")),
            ("$(A", json!("$(A")),
            ("a$", json!("a$")),
            ("$x$(A)", json!("$xx")),
            ("é$é$(A)", json!("é$éx")),
        ] {
            assert_eq!(replaced(text, &values), expected, "{text}");
        }
    }
}
