//! What a label of a dataset means, in every format alike: a number or a name, and which of a
//! classifier's labels it is.

use std::collections::BTreeSet;

/// What is written of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A whole number, as programs write it: `7`, `-1`, and not `007`.
    Whole,
    /// Another number.
    Fraction,
    Name,
}

/// A label without what does not count: blanks around it, and the point of a whole number, which
/// some programs write as soon as one cell of a column is missing (`1.0`).
pub(super) fn written(cell: &str) -> &str {
    let label = cell.trim();
    match label.split_once('.') {
        Some((number, zeros)) if whole(number).is_some() && is_zeros(zeros) => number,
        _ => label,
    }
}

fn is_zeros(digits: &str) -> bool {
    !digits.is_empty() && digits.bytes().all(|byte| byte == b'0')
}

/// What a written label is.
pub(super) fn kind(label: &str) -> Kind {
    let is_number = label.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
        && label.contains(['.', 'e', 'E'])
        && label.parse::<f64>().is_ok();
    match whole(label) {
        Some(_) => Kind::Whole,
        None if is_number => Kind::Fraction,
        None => Kind::Name,
    }
}

fn whole(label: &str) -> Option<i64> {
    let digits = label.strip_prefix('-').unwrap_or(label);
    let is_plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_padded = digits.starts_with('0') && label != "0";
    if is_plain && !is_padded { label.parse().ok() } else { None }
}

/// The labels of a dataset, and what is written for each: every different one is a label.
/// Numbers from 0 without a gap are `LABEL_0` and so on, as in transformers, unless they are names;
/// other numbers are names, in their own order.
pub(super) fn numbered<'a>(
    written: impl Iterator<Item = &'a String>,
    are_names: bool,
) -> (Vec<String>, Vec<String>) {
    let mut names: Vec<String> = written.collect::<BTreeSet<_>>().into_iter().cloned().collect();
    let numbers: Option<Vec<i64>> = names.iter().map(|name| whole(name)).collect();
    let Some(numbers) = numbers else { return (names.clone(), names) };
    names.sort_by_key(|name| whole(name));
    let is_from_zero =
        (0..).zip(numbers.iter().collect::<BTreeSet<_>>()).all(|(n, found)| n == *found);
    match is_from_zero && !are_names {
        true => ((0..names.len()).map(bare).collect(), names),
        false => (names.clone(), names),
    }
}

/// The name of a label that has only a number.
pub(super) fn bare(label: usize) -> String {
    format!("LABEL_{label}")
}

/// Whether the labels are bare numbers from 0.
pub(crate) fn are_bare(labels: &[String]) -> bool {
    labels.iter().enumerate().all(|(n, label)| *label == bare(n))
}

/// Which of a classifier's labels each of a dataset's is; the first that is none is the error.
///
/// Names are matched as they are, else without regard to case. Numbers are matched with the numbers
/// in the classifier's names (`LABEL_3`, `3 stars`); where those have none, numbers from 0 are
/// their places.
pub(super) fn places<'a>(own: &'a [String], known: &[String]) -> Result<Vec<usize>, &'a String> {
    let exactly = |label: &String| known.iter().position(|other| other == label);
    let all: Option<Vec<usize>> = own.iter().map(exactly).collect();
    if let Some(places) = all {
        return Ok(places);
    }
    let numbers: Option<Vec<i64>> = own.iter().map(|label| number(label)).collect();
    let Some(numbers) = numbers else {
        let folded: Vec<String> = known.iter().map(|label| label.trim().to_lowercase()).collect();
        let loosely = |label: &String| only(&label.to_lowercase(), &folded);
        let place = |label| exactly(label).or_else(|| loosely(label)).ok_or(label);
        return own.iter().map(place).collect();
    };
    match numbers_in(known) {
        Some(theirs) => {
            let place =
                |(label, number)| theirs.iter().position(|other| *other == number).ok_or(label);
            own.iter().zip(numbers).map(place).collect()
        }
        None if are_bare(own) => match own.get(known.len()..) {
            Some([.., beyond]) => Err(beyond),
            _ => Ok((0..own.len()).collect()),
        },
        None => Err(&own[0]),
    }
}

/// Whether a classifier's head is one for a dataset: all of its labels are the classifier's own.
/// Bare numbers on both sides have to be as many; so have places, which say of no label which it is.
pub(crate) fn are_of(known: &[String], own: &[String]) -> bool {
    let by_place = are_places(own, known);
    match are_bare(known) || by_place {
        true => own.len() == known.len() && (by_place || own == known),
        false => places(own, known).is_ok(),
    }
}

/// Whether numbers say no more than the places of a classifier's labels.
pub(super) fn are_places(own: &[String], known: &[String]) -> bool {
    are_bare(own) && numbers_in(known).is_none()
}

/// Where a label is, if it is there once.
fn only(label: &str, known: &[String]) -> Option<usize> {
    let mut found = known.iter().enumerate().filter(|(_, other)| *other == label);
    match (found.next(), found.next()) {
        (Some((place, _)), None) => Some(place),
        _ => None,
    }
}

/// The number that a dataset's label is, by itself or as `LABEL_3`.
fn number(label: &str) -> Option<i64> {
    whole(label.strip_prefix("LABEL_").unwrap_or(label))
}

/// The numbers in a classifier's labels, where each has one and they differ.
fn numbers_in(labels: &[String]) -> Option<Vec<i64>> {
    let one = |label: &String| {
        if let Some(number) = whole(label) {
            return Some(number);
        }
        let mut runs = label.split(|c: char| !c.is_ascii_digit()).filter(|run| !run.is_empty());
        let run = runs.next().filter(|_| runs.next().is_none())?;
        run.parse().ok()
    };
    let numbers: Vec<i64> = labels.iter().map(one).collect::<Option<_>>()?;
    let differ = numbers.iter().collect::<BTreeSet<_>>().len() == numbers.len();
    differ.then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Vec<String> {
        text.split(", ").map(str::to_owned).collect()
    }

    fn of(written: &str, are_names: bool) -> String {
        numbered(labels(written).iter(), are_names).0.join(", ")
    }

    /// Every different label is one class, as in `run_classification.py` of transformers.
    #[test]
    fn as_many_labels_as_there_are_different_ones() {
        assert_eq!(of("205, 101, 910", false), "101, 205, 910");
        assert_eq!(of("5, 1, 2, 3, 4, 5", false), "1, 2, 3, 4, 5");
        assert_eq!(of("1, 0, -1", false), "-1, 0, 1");
        assert_eq!(of("2024, 2023", false), "2023, 2024");
        assert_eq!(of("0, 5", false), "0, 5");
        assert_eq!(
            of("10, 9, 1, 2, 3, 4, 5, 6, 7, 8, 0", true),
            "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10"
        );
        assert_eq!(of("1, 0, 1", false), "LABEL_0, LABEL_1");
        assert_eq!(of("1, 0, 1", true), "0, 1");
        assert_eq!(of("pos, neg", false), "neg, pos");
    }

    #[test]
    fn a_label_is_what_is_written_but_for_blanks_and_the_point_of_a_whole_number() {
        for (cell, label) in
            [(" a b ", "a b"), ("1.0", "1"), ("-1.00", "-1"), ("1.", "1."), ("007.0", "007.0")]
        {
            assert_eq!(written(cell), label, "{cell:?}");
        }
        for (label, expected) in [
            ("0", Kind::Whole),
            ("-1", Kind::Whole),
            ("007", Kind::Name),
            ("-0", Kind::Name),
            ("3.8", Kind::Fraction),
            ("1e-05", Kind::Fraction),
            ("1.2.3", Kind::Name),
            ("inf", Kind::Name),
            ("e", Kind::Name),
        ] {
            assert_eq!(kind(label), expected, "{label:?}");
        }
    }

    fn check(own: &str, known: &str, expected: Result<&[usize], &str>) {
        let (own, known) = (labels(own), labels(known));
        let found = places(&own, &known);
        assert_eq!(
            found.as_deref().map_err(|label| label.as_str()),
            expected,
            "{own:?} in {known:?}"
        );
    }

    #[test]
    fn a_classifiers_own_names_are_matched() {
        const STARS: &str = "1 star, 2 stars, 3 stars, 4 stars, 5 stars";
        check("1, 2, 3, 4", STARS, Ok(&[0, 1, 2, 3]));
        check("LABEL_0, LABEL_1", STARS, Err("LABEL_0"));
        check("4, 5, 6", STARS, Err("6"));
        check("negative, positive", "NEGATIVE, POSITIVE", Ok(&[0, 1]));
        check("no", "No, NO", Err("no"));
        check("LABEL_0, LABEL_1", "bad, good", Ok(&[0, 1]));
        check("LABEL_0, LABEL_1, LABEL_2", "bad, good", Err("LABEL_2"));
        check("1, 2", "bad, fair, good", Err("1"));
        check("1, 2", "LABEL_0, LABEL_1, LABEL_2", Ok(&[1, 2]));
        check("-1, 1", "-1, 0, 1", Ok(&[0, 2]));
        check("LABEL_0, LABEL_1", "0, 1, 5", Ok(&[0, 1]));
        check("b, a", "a, b", Ok(&[1, 0]));
    }

    #[test]
    fn a_head_is_kept_for_its_own_labels() {
        let kept = |known: &str, own: &str| are_of(&labels(known), &labels(own));
        assert!(kept("1 star, 2 stars, 3 stars", "1, 2"));
        assert!(kept("joy, anger, fear", "anger, joy"));
        assert!(kept("bad, good", "LABEL_0, LABEL_1"));
        assert!(kept("LABEL_0, LABEL_1", "LABEL_0, LABEL_1"));
        // A sample of numbers says of no nameless label which it is.
        assert!(!kept("LABEL_0, LABEL_1, LABEL_2, LABEL_3, LABEL_4", "1, 2, 3, 4"));
        assert!(!kept("LABEL_0, LABEL_1, LABEL_2", "LABEL_0, LABEL_1"));
        assert!(!kept("bad, fair, good", "LABEL_0, LABEL_1"));
        assert!(!kept("bad, good", "good, great"));
    }
}
