//! The values of Secrets are nobody's business: what is shown is that they differ.

use serde_json::Value;

use crate::Object;

/// The fields of a Secret with values.
const FIELDS: [&str; 2] = ["data", "stringData"];

/// An annotation in which `kubectl apply` keeps the whole object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The objects as YAML.
pub(super) struct Masked {
    pub(super) old: Option<String>,
    pub(super) new: Option<String>,
}

/// Prints both objects; of Secrets the words of `kubectl diff` stand in the place of values.
pub(super) fn texts(old: Option<&Object>, new: Option<&Object>) -> Masked {
    let print = |object: Option<&Object>, other: Option<&Object>, word: &str| {
        object.map(|object| match is_secret(object) {
            true => masked(object, other, word).to_yaml(),
            false => object.to_yaml(),
        })
    };
    Masked { old: print(old, new, "*** (before)"), new: print(new, old, "*** (after)") }
}

fn is_secret(object: &Object) -> bool {
    object.kind() == "Secret" && !object.api_version().contains('/')
}

fn masked(object: &Object, other: Option<&Object>, word: &str) -> Object {
    let mut masked = object.clone();
    let mut hide = |path: &[&str], key: Option<&str>| {
        let pointer: String = path.iter().map(|step| format!("/{step}")).collect();
        let Some(place) = masked.value_mut().pointer_mut(&pointer) else { return };
        let there = other.and_then(|other| other.at(&pointer));
        match (place, key) {
            (Value::Object(map), key) => {
                for (name, value) in
                    map.iter_mut().filter(|(name, _)| key.is_none_or(|key| key == *name))
                {
                    let is_other =
                        there.and_then(|map| map.get(name)).is_some_and(|it| it != value);
                    *value = Value::String(if is_other { word } else { "***" }.to_owned());
                }
            }
            // It should be a map; whatever it is, it is not shown.
            (place, None) => {
                let is_other = there.is_some_and(|it| it != place);
                *place = Value::String(if is_other { word } else { "***" }.to_owned());
            }
            (_, Some(_)) => {}
        }
    };
    FIELDS.iter().for_each(|field| hide(&[field], None));
    hide(&["metadata", "annotations"], Some(LAST_APPLIED));
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(fields: &str) -> Object {
        format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\n{fields}\n").parse().unwrap()
    }

    #[test]
    fn no_value_of_a_secret_is_shown_and_those_that_differ_say_so() {
        let old = secret("data: {a: b25l, b: dHdv, c: c2FtZQ==}\nstringData: {x: plain}");
        let new = secret("data: {a: bmV3, c: c2FtZQ==, d: bmV3}\nstringData: plain");
        let Masked { old, new } = texts(Some(&old), Some(&new));
        let (old, new) = (old.unwrap(), new.unwrap());
        assert!(old.contains("data:\n  a: '*** (before)'\n  b: '***'\n  c: '***'\n"), "{old}");
        assert!(new.contains("data:\n  a: '*** (after)'\n  c: '***'\n  d: '***'\n"), "{new}");
        for text in [old, new] {
            for value in ["b25l", "dHdv", "c2FtZQ", "bmV3", "plain"] {
                assert!(!text.contains(value), "{text}");
            }
        }
    }

    #[test]
    fn what_kubectl_keeps_of_a_secret_is_one_too() {
        let mut object = secret("data: {a: b25l}");
        object.set_annotation(LAST_APPLIED, r#"{"data": {"a": "b25l"}}"#);
        object.set_annotation("other", "stays");
        let text = texts(None, Some(&object)).new.unwrap();
        assert!(!text.contains("b25l") && text.contains("other: stays"), "{text}");
    }

    #[test]
    fn what_only_has_the_name_is_shown() {
        let text =
            "apiVersion: example.com/v1\ndata:\n  a: x\nkind: Secret\nmetadata:\n  name: s\n";
        assert_eq!(texts(None, Some(&text.parse().unwrap())).new.unwrap(), text);
    }
}
