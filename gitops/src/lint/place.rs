//! Where the parts of a document stand in its file.

use std::collections::HashMap;

use crate::yaml::{Data, Node};

/// A line and a column, both from 1.
pub(super) type Place = (usize, usize);

/// The places of all parts of a document, by their JSON pointers: of an entry its key.
#[derive(Debug, Default)]
pub(super) struct Places(HashMap<String, Place>);

impl Places {
    pub(super) fn of(document: &Node) -> Self {
        let mut places = Self::default();
        places.add(document, String::new());
        places
    }

    /// The place of a part; of one that is not there, of the nearest around it.
    pub(super) fn find(&self, pointer: &str) -> Place {
        let mut pointer = pointer;
        loop {
            if let Some(place) = self.0.get(pointer) {
                return *place;
            }
            match pointer.rsplit_once('/') {
                Some((outer, _)) => pointer = outer,
                None => return (0, 0),
            }
        }
    }

    /// The places of what is below a part, as a document of its own.
    pub(super) fn below(&self, pointer: &str) -> Self {
        let is_below = |rest: &str| rest.is_empty() || rest.starts_with('/');
        let inner = self.0.iter().filter_map(|(place, found)| {
            let rest = place.strip_prefix(pointer).filter(|rest| is_below(rest))?;
            Some((rest.to_owned(), *found))
        });
        Self(inner.collect())
    }

    fn add(&mut self, node: &Node, pointer: String) {
        match &node.data {
            Data::Mapping(entries) => {
                for (key, value) in entries {
                    let name = key.text().unwrap_or_default().replace('~', "~0").replace('/', "~1");
                    let inner = format!("{pointer}/{name}");
                    self.add(value, inner.clone());
                    self.0.insert(inner, place(key));
                }
            }
            Data::Sequence(elements) => {
                for (n, element) in elements.iter().enumerate() {
                    self.add(element, format!("{pointer}/{n}"));
                }
            }
            Data::Scalar { .. } | Data::Alias(_) => {}
        }
        self.0.insert(pointer, place(node));
    }
}

fn place(node: &Node) -> Place {
    (node.span.start.line(), node.span.start.col() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_has_its_place_and_what_is_missing_that_of_what_is_around() {
        let text = "a:\n  b/c: [x, {d: 1}]\n  e: |\n    text\n";
        let places = Places::of(&crate::yaml::documents(text).unwrap()[0]);
        for (pointer, place) in [
            ("", (1, 1)),
            ("/a", (1, 1)),
            ("/a/b~1c", (2, 3)),
            ("/a/b~1c/0", (2, 9)),
            ("/a/b~1c/1/d", (2, 13)),
            ("/a/b~1c/1/nothing/more", (2, 12)),
            ("/a/e", (3, 3)),
            ("/z", (1, 1)),
        ] {
            assert_eq!(places.find(pointer), place, "{pointer}");
        }
    }
}
