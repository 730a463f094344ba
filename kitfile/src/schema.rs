//! The fields of a Kitfile, as a table: the parser refuses what is not in it.

/// Names, in the order in which they are written, and what may stand there.
pub(crate) type Fields = &'static [(&'static str, Shape)];

/// What may stand in a field.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    /// A text; an unquoted number or truth value is one too, as written.
    Text,
    /// A list of texts, or (with a warning) a single one.
    Texts,
    /// Anything that JSON can say.
    Anything,
    /// A map with these fields.
    Section(Fields),
    /// A list of such maps.
    Sections(Fields),
}

use Shape::{Anything, Section, Sections, Text, Texts};

pub(crate) const KITFILE: Shape = Section(FIELDS);

pub(crate) const FIELDS: Fields = &[
    ("manifestVersion", Text),
    ("package", Section(PACKAGE)),
    ("model", Section(MODEL)),
    ("code", Sections(CODE)),
    ("datasets", Sections(DATASET)),
    ("docs", Sections(DOC)),
    ("prompts", Sections(NAMED)),
    ("mcpServers", Sections(NAMED)),
];

const PACKAGE: Fields = &[
    ("name", Text),
    ("version", Text),
    ("description", Text),
    ("license", Text),
    ("authors", Texts),
];

pub(crate) const MODEL: Fields = &[
    ("name", Text),
    ("path", Text),
    ("license", Text),
    ("framework", Text),
    ("format", Text),
    ("version", Text),
    ("description", Text),
    ("parts", Sections(&[("name", Text), ("path", Text), ("license", Text), ("type", Text)])),
    ("parameters", Anything),
];

const CODE: Fields = &[("path", Text), ("description", Text), ("license", Text)];

const DATASET: Fields = &[
    ("name", Text),
    ("path", Text),
    ("remotePath", Text),
    ("remoteHash", Text),
    ("description", Text),
    ("license", Text),
    ("parameters", Anything),
];

const DOC: Fields = &[("path", Text), ("description", Text)];

const NAMED: Fields = &[("name", Text), ("path", Text), ("description", Text)];
