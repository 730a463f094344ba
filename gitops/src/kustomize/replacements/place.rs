//! Fields of an object that a path with dots means, `spec.containers.[name=a].image`, and what it
//! is to put a value there.

use regex::Regex;
use serde_json::{Map, Value};

use crate::yaml;

/// A step to a value.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Key(String),
    Index(usize),
}

/// What a missing field is made as, after the value that comes there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Made {
    Scalar,
    Mapping,
    List,
}

impl Made {
    pub(super) fn like(value: &Value) -> Self {
        match value {
            Value::Object(_) => Self::Mapping,
            Value::Array(_) => Self::List,
            _ => Self::Scalar,
        }
    }

    fn value(self) -> Value {
        match self {
            Self::Scalar => Value::Null,
            Self::Mapping => Value::Object(Map::new()),
            Self::List => Value::Array(Vec::new()),
        }
    }
}

/// A field that was found or made.
#[derive(Debug)]
pub(super) struct Place {
    steps: Vec<Step>,
    /// Whether it was made, and so has no type yet.
    is_new: bool,
}

/// Splits a path at its dots; `\.` and brackets keep theirs, and brackets without `=` are taken off.
pub(super) fn split(path: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut raw: Vec<&str> = path.split('.').collect();
    if raw.len() > 1 && raw[0].is_empty() {
        raw.remove(0);
    }
    let mut open = false;
    for part in raw {
        match parts.last_mut() {
            Some(last) if open || last.ends_with('\\') => {
                if !open {
                    last.pop();
                }
                last.push('.');
                last.push_str(part);
            }
            _ => parts.push(part.to_owned()),
        }
        open = parts.last().is_some_and(|last| last.starts_with('[') && !last.ends_with(']'));
    }
    let key =
        |part: String| match part.starts_with('[') && part.ends_with(']') && !part.contains('=') {
            true if part.contains('.') => part.trim_matches(['[', ']']).to_owned(),
            _ => part,
        };
    parts.into_iter().map(key).collect()
}

/// The value that a source's path means; at most one, lists by index, `-` for the last, or by the
/// value of a key.
pub(super) fn look_up<'a>(value: &'a Value, path: &[String]) -> Result<Option<&'a Value>, String> {
    let mut found = value;
    for part in path.iter().map(|part| part.trim()).filter(|part| !part.is_empty()) {
        let next = match (found, part.parse::<usize>()) {
            (Value::Array(elements), Ok(index)) => elements.get(index),
            (Value::Array(elements), _) if part == "-" => elements.last(),
            (_, _) if part == "*" => return Err("a source has no *".to_owned()),
            (Value::Array(elements), _) => match element(part)? {
                Some((key, wanted)) => {
                    elements.iter().find(|it| text_at(it, key) == Some(wanted.to_owned()))
                }
                None => return Err(format!("a list has no field {part:?}")),
            },
            (Value::Object(map), _) => map.get(part),
            (Value::Null, _) => None,
            _ => return Err(format!("{part:?} is looked for in a scalar")),
        };
        match next {
            Some(next) => found = next,
            None => return Ok(None),
        }
    }
    Ok(Some(found))
}

/// `[key=value]`; the key is empty for a list of scalars.
fn element(part: &str) -> Result<Option<(&str, &str)>, String> {
    let Some(inside) = part.strip_prefix('[').and_then(|part| part.strip_suffix(']')) else {
        return Ok(None);
    };
    inside.split_once('=').map(Some).ok_or_else(|| format!("{part} is not [key=value]"))
}

/// The text of a scalar, or of the scalar at a key.
fn text_at(value: &Value, key: &str) -> Option<String> {
    match key {
        "" => text(value),
        key => value.get(key).and_then(text),
    }
}

pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some("null".to_owned()),
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    }
}

/// All fields that a target's path means; what is missing is made, when asked for.
pub(super) fn find(
    value: &mut Value,
    path: &[String],
    create: Option<Made>,
) -> Result<Vec<Place>, String> {
    let mut places = Vec::new();
    walk(value, path, create, (&mut Vec::new(), false), &mut places)?;
    Ok(places)
}

fn walk(
    value: &mut Value,
    path: &[String],
    create: Option<Made>,
    (steps, is_new): (&mut Vec<Step>, bool),
    places: &mut Vec<Place>,
) -> Result<(), String> {
    let Some((part, rest)) = path.split_first() else {
        places.push(Place { steps: steps.clone(), is_new });
        return Ok(());
    };
    let mut into = |next: &mut Value, step: Step, is_new: bool, steps: &mut Vec<Step>| {
        steps.push(step);
        let walked = walk(next, rest, create, (steps, is_new), places);
        steps.pop();
        walked
    };
    let is_list = part == "*" || part.parse::<usize>().is_ok() || element(part)?.is_some();
    match value {
        Value::Array(elements) if is_list => {
            let (chosen, is_new) = choose(elements, part, rest, create)?;
            for n in chosen {
                into(&mut elements[n], Step::Index(n), is_new, steps)?;
            }
            Ok(())
        }
        Value::Object(map) if !is_list => {
            let is_missing = !map.contains_key(part.as_str());
            match create {
                None if is_missing => return Ok(()),
                Some(made) if is_missing => {
                    map.insert(part.clone(), first_of(rest, made).value());
                }
                _ => {}
            }
            match map.get_mut(part.as_str()) {
                Some(next) => into(next, Step::Key(part.clone()), is_missing, steps),
                None => Ok(()),
            }
        }
        Value::Null => Ok(()),
        _ => Err(format!("{part:?} is looked for in another kind of value")),
    }
}

/// The elements of a list that a part of a path means, and whether they were made.
fn choose(
    elements: &mut Vec<Value>,
    part: &str,
    rest: &[String],
    create: Option<Made>,
) -> Result<(Vec<usize>, bool), String> {
    if part == "*" {
        return Ok(((0..elements.len()).collect(), false));
    }
    if let Ok(index) = part.parse::<usize>() {
        let mut is_new = false;
        if let (Some(made), true) = (create, index == elements.len()) {
            elements.push(first_of(rest, made).value());
            is_new = true;
        }
        return match index < elements.len() {
            true => Ok((vec![index], is_new)),
            false => {
                Err(format!("the list has {} elements, and {index} is asked for", elements.len()))
            }
        };
    }
    let Some((key, pattern)) = element(part)? else { return Ok((Vec::new(), false)) };
    // As in kustomize it is a regular expression, and not anchored.
    let regex = Regex::new(pattern).map_err(|error| error.to_string())?;
    let chosen: Vec<usize> = (0..elements.len())
        .filter(|n| text_at(&elements[*n], key).is_some_and(|text| regex.is_match(text.trim())))
        .collect();
    if create.is_none() || !chosen.is_empty() {
        return Ok((chosen, false));
    }
    elements.push(match key {
        "" => yaml::plain(pattern),
        key => Value::Object(Map::from_iter([(key.to_owned(), yaml::plain(pattern))])),
    });
    Ok((vec![elements.len() - 1], false))
}

/// What the first part of the rest of a path needs to stand in.
fn first_of(rest: &[String], made: Made) -> Made {
    match rest.first() {
        None => made,
        Some(part)
            if part.parse::<usize>().is_ok() || part.starts_with('[') && part.ends_with(']') =>
        {
            Made::List
        }
        Some(_) => Made::Mapping,
    }
}

/// How a value is put where another is.
#[derive(Default)]
pub(super) struct Split<'a> {
    /// Where the texts are parted; empty for not at all.
    pub(super) delimiter: &'a str,
    /// Which part is replaced: before the first one it is put in front, behind the last one at the
    /// end.
    pub(super) index: i64,
}

/// Puts a value at a place. A scalar keeps its type and takes the text only.
pub(super) fn set(
    object: &mut Value,
    place: &Place,
    value: &Value,
    split: &Split<'_>,
) -> Result<(), String> {
    let mut target = object;
    for step in &place.steps {
        let next = match step {
            Step::Key(key) => target.get_mut(key.as_str()),
            Step::Index(index) => target.get_mut(index),
        };
        target = next.ok_or("a value has replaced the field itself")?;
    }
    let scalar = text(target).map(|text| if place.is_new { String::new() } else { text });
    let mut put = text(value);
    if !split.delimiter.is_empty() {
        let old = scalar.as_deref().ok_or("only a scalar can be split at a delimiter")?;
        put = Some(spliced(old, put.as_deref().unwrap_or_default(), split));
    }
    *target = match scalar {
        Some(_) => typed(target, place.is_new, put.as_deref().unwrap_or_default())?,
        None => value.clone(),
    };
    Ok(())
}

fn spliced(old: &str, put: &str, split: &Split<'_>) -> String {
    let mut parts: Vec<&str> = old.split(split.delimiter).collect();
    match usize::try_from(split.index) {
        Err(_) => parts.insert(0, put),
        Ok(index) if index >= parts.len() => parts.push(put),
        Ok(index) => parts[index] = put,
    }
    parts.join(split.delimiter)
}

/// The text as a value of the type that is there; a field that was made has none, and its text is
/// read as if it stood in a file.
fn typed(there: &Value, is_new: bool, text: &str) -> Result<Value, String> {
    let value = match text.contains('\n') {
        true => Value::String(text.to_owned()),
        false => yaml::plain(text),
    };
    let fits = is_new
        || match (there, &value) {
            (Value::String(_), _) => return Ok(Value::String(text.to_owned())),
            (Value::Number(there), Value::Number(_)) if there.is_f64() => true,
            (Value::Number(_), Value::Number(number)) => !number.is_f64(),
            (Value::Bool(_), Value::Bool(_)) | (Value::Null, Value::Null) => true,
            _ => false,
        };
    match fits {
        true => Ok(value),
        false => Err(format!("{text:?} is put where {there} is, which is of another type")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_are_split_as_kustomize_splits_them() {
        for (path, parts) in [
            ("a.b", &["a", "b"][..]),
            (".a.b", &["a", "b"]),
            ("a.[b.c/d].e", &["a", "b.c/d", "e"]),
            ("a.[name=b.c].d", &["a", "[name=b.c]", "d"]),
            ("a.b\\.c", &["a", "b.c"]),
        ] {
            assert_eq!(split(path), parts, "{path}");
        }
    }

    #[test]
    fn a_scalar_keeps_its_type() {
        let mut object = json!({"a": 1, "b": "1", "c": [{"n": "x"}]});
        for (path, value, expected) in [
            ("a", json!("2"), Some(json!(2))),
            ("a", json!("x"), None),
            ("b", json!(3), Some(json!("3"))),
            ("c", json!("x"), Some(json!("x"))),
        ] {
            let place = find(&mut object, &split(path), None).unwrap().pop().unwrap();
            let set = set(&mut object, &place, &value, &Split::default());
            assert_eq!(set.ok().map(|()| object[path].clone()), expected, "{path}");
        }
    }
}
