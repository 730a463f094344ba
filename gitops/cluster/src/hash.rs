//! The letters by which pods and their templates are told from one another.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use serde_json::Value;

/// `length` letters that Kubernetes uses in such names: none that could spell a word.
pub(crate) fn readable(value: &impl Hash, length: usize) -> String {
    const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    let mut rest = hasher.finish();
    let mut next = || {
        let letter = LETTERS[(rest % 27) as usize];
        rest /= 27;
        char::from(letter)
    };
    (0..length).map(|_| next()).collect()
}

/// A JSON value that hashes alike whatever the order of its keys.
pub(crate) struct Canonical<'a>(pub(crate) &'a Value);

impl Hash for Canonical<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.0 {
            Value::Object(map) => {
                let sorted: BTreeMap<_, _> = map.iter().collect();
                state.write_usize(sorted.len());
                for (key, value) in sorted {
                    key.hash(state);
                    Canonical(value).hash(state);
                }
            }
            Value::Array(list) => {
                state.write_usize(list.len());
                list.iter().for_each(|value| Canonical(value).hash(state));
            }
            scalar => scalar.to_string().hash(state),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_hash_depends_on_the_values_and_not_on_the_order() {
        let hash = |text: &str| readable(&Canonical(&serde_json::from_str(text).unwrap()), 10);
        assert_eq!(hash(r#"{"a": 1, "b": [1, 2]}"#), hash(r#"{"b": [1, 2], "a": 1}"#));
        assert_ne!(hash(r#"{"a": 1, "b": [1, 2]}"#), hash(r#"{"a": 1, "b": [2, 1]}"#));
        assert_ne!(hash(r#"{"a": 1}"#), hash(r#"{"a": "1"}"#));
    }
}
