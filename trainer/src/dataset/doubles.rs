//! Texts that are there more than once.

use std::collections::{HashMap, HashSet};

use super::{Example, Split, Target};

/// Texts, or pairs of them, that are there more than once; blanks around them do not count.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Doubles {
    /// Examples that were there before, with the same to be learned.
    pub n_repeated: usize,
    /// Texts of which different things are said to be right.
    pub n_contradicted: usize,
    /// The first of these.
    pub contradicted: Option<String>,
    /// Held-out examples whose text is learned from, too.
    pub n_leaked: usize,
}

impl Doubles {
    /// Those of some examples.
    #[must_use]
    pub fn of(examples: &[Example]) -> Self {
        Self::among(examples.iter())
    }

    fn among<'a>(examples: impl Iterator<Item = &'a Example>) -> Self {
        let mut first: HashMap<_, &Target> = HashMap::new();
        let mut contradicted = HashSet::new();
        let mut doubles = Self::default();
        for example in examples {
            let known = *first.entry(example.texts()).or_insert(&example.target);
            if std::ptr::eq(known, &raw const example.target) {
                continue;
            }
            if *known == example.target {
                doubles.n_repeated += 1;
            } else if contradicted.insert(example.texts()) {
                doubles.n_contradicted += 1;
                doubles.contradicted.get_or_insert_with(|| example.text.clone());
            }
        }
        doubles
    }
}

impl Split {
    /// Those of what is learned from and of what is held out, together.
    #[must_use]
    pub fn doubles(&self) -> Doubles {
        let learned: HashSet<_> = self.train.iter().map(Example::texts).collect();
        let leaked = self.validation.iter().filter(|example| learned.contains(&example.texts()));
        let n_leaked = leaked.count();
        Doubles { n_leaked, ..Doubles::among(self.train.iter().chain(&self.validation)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_twice_is_counted_as_what_it_is() {
        let train = [("a", 0), ("b", 1), (" a ", 0), ("a", 1), ("b", 0), ("c", 1)];
        let train = train.map(|(text, label)| Example::labelled(text, label)).to_vec();
        let validation = vec![Example::labelled("c", 1), Example::labelled("d", 1)];
        let found = Split { train, validation }.doubles();
        let expected = Doubles {
            n_repeated: 2,
            n_contradicted: 2,
            contradicted: Some("a".to_owned()),
            n_leaked: 1,
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn a_pair_is_another_one_with_another_second_text() {
        let pair = |second: &str, label| Example {
            pair: Some(second.to_owned()),
            ..Example::labelled("a", label)
        };
        assert_eq!(Doubles::of(&[pair("x", 0), pair("y", 1)]), Doubles::default());
        assert_eq!(Doubles::of(&[pair("x", 0), pair("x", 1)]).n_contradicted, 1);
    }
}
