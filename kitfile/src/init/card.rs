//! What a model card's front matter, a skill's, and a licence's text tell.

use serde_json::{Map, Value};

use super::FileInfo;
use crate::document::{self, Content, Node};

/// The fields of a front matter that a Kitfile has a use for.
#[derive(Debug, Default)]
pub(super) struct Card {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) license: String,
    /// The facts about a model that have no field of their own.
    pub(super) parameters: Map<String, Value>,
}

/// The keys of a model card that say how the model came to be and what it does.
const FACTS: [&str; 6] =
    ["base_model", "datasets", "language", "library_name", "pipeline_tag", "tags"];

impl Card {
    /// Reads the YAML between the two `---` lines that a file begins with; what is no front matter
    /// tells nothing.
    pub(super) fn of(file: &FileInfo) -> Self {
        let text = String::from_utf8_lossy(&file.head).replace("\r\n", "\n");
        let matter = text
            .trim_start_matches('\u{feff}')
            .strip_prefix("---\n")
            .and_then(|rest| rest.split_once("\n---"));
        let Some(root) = matter.and_then(|(matter, _)| document::read(matter).ok()) else {
            return Self::default();
        };
        let field =
            |key: &str| root.field(key).map(|field| texts(&field.value)).unwrap_or_default();
        let fact = |key: &&str| {
            let value = match field(key).as_slice() {
                [] => return None,
                [one] => Value::from(one.clone()),
                several => Value::from(several),
            };
            Some(((*key).to_owned(), value))
        };
        Self {
            name: field("name").join(" "),
            description: field("description").join(" "),
            license: spdx(field("license").first().map_or("", String::as_str)),
            parameters: FACTS.iter().filter_map(fact).collect(),
        }
    }
}

/// A text, or the texts of a list.
fn texts(node: &Node) -> Vec<String> {
    match &node.content {
        Content::Scalar { text, .. } if !node.is_null() => vec![text.clone()],
        Content::Sequence { items } => items.iter().flat_map(|item| texts(item)).collect(),
        _ => Vec::new(),
    }
}

/// SPDX identifiers and what a licence's text must hold, all of it; the first that fits.
const LICENSES: [(&str, &[&str]); 17] = [
    ("Apache-2.0", &["apache license", "version 2.0"]),
    ("AGPL-3.0", &["gnu affero general public license", "version 3"]),
    ("LGPL-3.0", &["gnu lesser general public license", "version 3"]),
    ("LGPL-2.1", &["gnu lesser general public license", "version 2.1"]),
    ("GPL-3.0", &["gnu general public license", "version 3"]),
    ("GPL-2.0", &["gnu general public license", "version 2"]),
    ("MPL-2.0", &["mozilla public license", "version 2.0"]),
    (
        "MIT",
        &[
            "permission is hereby granted, free of charge",
            "without limitation the rights to use, copy, modify",
        ],
    ),
    ("BSD-3-Clause", &["redistributions of source code must retain", "neither the name of"]),
    (
        "BSD-2-Clause",
        &["redistributions of source code must retain", "redistributions in binary form"],
    ),
    ("ISC", &["permission to use, copy, modify, and/or distribute this software"]),
    ("Unlicense", &["this is free and unencumbered software released into the public domain"]),
    ("CC0-1.0", &["cc0 1.0 universal"]),
    ("CC-BY-SA-4.0", &["attribution-sharealike 4.0 international"]),
    ("CC-BY-NC-4.0", &["attribution-noncommercial 4.0 international"]),
    ("CC-BY-4.0", &["attribution 4.0 international"]),
    ("BSL-1.0", &["boost software license", "version 1.0"]),
];

/// The licence whose text this is; empty when it is none of the well-known ones.
pub(super) fn license_of(file: &FileInfo) -> String {
    let text = String::from_utf8_lossy(&file.head).to_lowercase();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let known =
        LICENSES.iter().find(|(_, needles)| needles.iter().all(|needle| text.contains(needle)));
    known.map_or_else(String::new, |(id, _)| (*id).to_owned())
}

/// The hub writes identifiers in lower case; SPDX does not. `other` says nothing.
pub(super) fn spdx(id: &str) -> String {
    let known =
        LICENSES.iter().map(|(known, _)| *known).find(|known| known.eq_ignore_ascii_case(id));
    match known {
        Some(known) => known.to_owned(),
        None if matches!(id, "other" | "unknown") => String::new(),
        None => id.to_owned(),
    }
}
