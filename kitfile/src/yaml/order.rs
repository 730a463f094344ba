//! The order in which `yaml.v3` writes the keys of a free map: `k9` comes before `k10`.

use std::cmp::Ordering;

use serde_yaml::{Mapping, Value};

/// Brings the keys of a value's maps into order, at every depth.
pub(super) fn sort(value: &mut Value) {
    match value {
        Value::Sequence(items) => items.iter_mut().for_each(sort),
        Value::Mapping(map) => {
            let mut fields: Vec<_> = std::mem::take(map).into_iter().collect();
            fields.iter_mut().for_each(|(_, value)| sort(value));
            let text = |key: &Value| key.as_str().unwrap_or_default().chars().collect::<Vec<_>>();
            fields.sort_by_cached_key(|(key, _)| Key(text(key)));
            *map = fields.into_iter().collect::<Mapping>();
        }
        _ => {}
    }
}

#[derive(PartialEq, Eq)]
struct Key(Vec<char>);

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, b) = (&self.0, &other.0);
        let Some(at) = a.iter().zip(b).position(|(a, b)| a != b) else {
            return a.len().cmp(&b.len());
        };
        match (a[at].is_alphabetic(), b[at].is_alphabetic()) {
            (true, true) => a[at].cmp(&b[at]),
            (false, false) => number(a, at).cmp(&number(b, at)).then_with(|| a[at].cmp(&b[at])),
            // A number that goes on is larger than one that ends; otherwise letters come last.
            (a_is_letter, _) => {
                let after_digit = at > 0 && a[at - 1].is_numeric();
                if a_is_letter == after_digit { Ordering::Less } else { Ordering::Greater }
            }
        }
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The number whose digits go on here, and how many they are; zeros count once a larger digit stood
/// before them.
fn number(text: &[char], at: usize) -> (u128, usize) {
    let digit = |c: &char| c.to_digit(10).map(u128::from);
    let before = text[..at].iter().rev().map_while(digit).any(|digit| digit != 0);
    let digits: Vec<u128> = text[at..].iter().map_while(digit).collect();
    let number = digits
        .iter()
        .fold(u128::from(before), |number, digit| number.wrapping_mul(10).wrapping_add(*digit));
    (number, digits.len())
}
