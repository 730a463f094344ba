//! The order in which kustomize prints the keys of a mapping: `f2` before `f10`, `DB_HOST` before
//! `DBNAME`.

use std::cmp::Ordering;

/// Sorts by key.
///
/// The order has cycles (`10`, `1a`, `2`), so nothing of the standard library may be asked: this is a
/// merge sort, whose result is one of those that kustomize gives, which begins with another order of a
/// hash table each time.
pub(super) fn sorted<T>(mut entries: Vec<(&String, T)>) -> Vec<(&String, T)> {
    let has_letters_only = |key: &str| key.bytes().all(|byte| byte.is_ascii_alphabetic());
    if entries.iter().all(|(key, _)| has_letters_only(key)) {
        entries.sort_by_key(|(key, _)| *key);
        return entries;
    }
    if entries.len() < 2 {
        return entries;
    }
    let right = sorted(entries.split_off(entries.len() / 2));
    let (mut left, mut right) = (sorted(entries).into_iter(), right.into_iter());
    let (mut a, mut b) = (left.next(), right.next());
    let mut merged = Vec::with_capacity(left.len() + right.len() + 2);
    loop {
        match (a.take(), b.take()) {
            (Some(first), Some(second)) if compare(first.0, second.0).is_gt() => {
                merged.push(second);
                (a, b) = (Some(first), right.next());
            }
            (Some(first), second) => {
                merged.push(first);
                (a, b) = (left.next(), second);
            }
            (None, Some(second)) => {
                merged.push(second);
                b = right.next();
            }
            (None, None) => return merged,
        }
    }
}

/// As `keyList.Less` of go-yaml v2, which kustomize prints with (`sorter.go`): where two keys begin to
/// differ, letters come last, and digits are numbers.
fn compare(a: &str, b: &str) -> Ordering {
    let same = a.char_indices().zip(b.chars()).find(|((_, a), b)| a != b);
    let Some(((at, one), other)) = same else { return a.len().cmp(&b.len()) };
    match (one.is_alphabetic(), other.is_alphabetic()) {
        (true, true) => return one.cmp(&other),
        (one, other) if one || other => return one.cmp(&other),
        _ => {}
    }
    // A zero counts for as much as the digits before it make of it.
    let mut before = a[..at].bytes().rev().take_while(u8::is_ascii_digit);
    let is_inside = (one == '0' || other == '0') && before.any(|digit| digit != b'0');
    let number = |text: &str| -> (i64, usize) {
        let digits = text.bytes().take_while(u8::is_ascii_digit);
        digits.fold((i64::from(is_inside), 0), |(number, n), digit| {
            (number.wrapping_mul(10).wrapping_add(i64::from(digit - b'0')), n + 1)
        })
    };
    number(&a[at..]).cmp(&number(&b[at..])).then(one.cmp(&other))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each line is an order that go-yaml v2.4.2 printed.
    #[test]
    fn keys_stand_in_the_order_of_go_yaml() {
        for line in [
            "DB_HOST DBNAME",
            "f1 f2 f02 f10 fa",
            "a a-b a.b a_b a1 ab",
            "_x 0 1-a 1.5 2 10 A B Z a ä",
            "10 1a",
            "v1 v1.2 v1.10 v1.10a v1a v2",
            "100 1000 1001",
            "x0 x00 x1 x01 x10",
        ] {
            let keys: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let mut turned: Vec<_> = keys.iter().map(|key| (key, ())).collect();
            turned.reverse();
            let found: Vec<&str> = sorted(turned).iter().map(|(key, ())| key.as_str()).collect();
            assert_eq!(found.join(" "), line);
        }
    }

    #[test]
    fn a_cycle_ends() {
        let keys: Vec<String> =
            (0..200).map(|n| format!("{}{}", n % 12, ["", "a"][n % 2])).collect();
        let mut found: Vec<_> = sorted(keys.iter().map(|key| (key, ())).collect());
        let mut all: Vec<_> = keys.iter().map(|key| (key, ())).collect();
        found.sort();
        all.sort();
        assert_eq!(found, all);
    }
}
