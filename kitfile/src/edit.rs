//! Edits of a Kitfile's text that keep every byte they are not about.

use std::ops::Range;

use serde_yaml::{Mapping, Value};

use crate::document::{self, Content, Field, Node};
use crate::{Error, Kitfile, Model, Result, schema, yaml};

/// Brings the `model` section up to date, and keeps every other byte: comments, order, quotes,
/// blank lines.
///
/// Inside of the section only the fields that differ are written anew (a comment beside a word
/// stays, one inside of a list or a map that changes goes with it); a new section comes after
/// `package`. The result reads as the same Kitfile with this model (its layers' digests left out);
/// where no such text can be made, and where the text or the model breaks a rule, it is an error.
///
/// ```
/// let text = "manifestVersion: 1.0.0\nmodel: # ours\n  path: model\n  version: 1.0.0\n";
/// let mut model = kitfile::Kitfile::parse(text).unwrap().kitfile.model.unwrap();
/// model.version = "1.1.0".to_owned();
/// let edited = kitfile::edit::set_model(text, &model)?;
/// assert_eq!(edited, text.replace(" version: 1.0.0", " version: 1.1.0"));
/// # Ok::<(), kitfile::Error>(())
/// ```
pub fn set_model(text: &str, model: &Model) -> Result<String> {
    let mut wanted = Kitfile::parse(text).map_err(Error::Edit)?.kitfile;
    let before = wanted.clone();
    wanted.model = Some(model.clone());
    wanted.clear_layers();
    wanted.check().map_err(Error::Edit)?;
    if wanted == before {
        return Ok(text.to_owned());
    }
    // Lines are put after whole lines, so the last one needs its end for a while.
    let end = if text.ends_with('\n') { "" } else { "\n" };
    let whole = format!("{text}{end}");
    let root = document::read(&whole).map_err(|problem| Error::Edit(problem.into()))?;
    let edit = Edit::of(&whole, &root);
    let model = wanted.model.clone().unwrap_or_default();
    let attempts = [edit.fields(before.model.as_ref(), &model), edit.section(&model)];
    let texts = attempts.into_iter().flatten().flat_map(|text| {
        let trimmed = text.strip_suffix(end).filter(|_| !end.is_empty()).map(str::to_owned);
        [trimmed, Some(text)].into_iter().flatten()
    });
    let fits = |text: &String| Kitfile::parse(text).is_ok_and(|parsed| parsed.kitfile == wanted);
    let reason = "its model section cannot be told from the rest of the text";
    texts.into_iter().find(fits).ok_or(Error::Shape { reason })
}

/// A text, its tree, and where its characters are among its bytes.
struct Edit<'a> {
    text: &'a str,
    root: &'a Node,
    offsets: Vec<usize>,
}

/// What is to stand in place of a range of bytes.
type Change = (Range<usize>, String);

impl<'a> Edit<'a> {
    fn of(text: &'a str, root: &'a Node) -> Self {
        let offsets = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        Self { text, root, offsets }
    }

    /// Writes only those of the model's fields anew that differ.
    fn fields(&self, before: Option<&Model>, after: &Model) -> Option<String> {
        let section = &self.root.field("model")?.value;
        let (before, after) = (values(before?), values(after));
        if section.flow || self.root.flow || !matches!(section.content, Content::Mapping { .. }) {
            return None;
        }
        let mut changes = Vec::new();
        for (key, _) in schema::MODEL {
            match after.get(key) {
                value if value == before.get(key) => {}
                Some(value) => changes.push(self.put(section, key, value, schema::MODEL)?),
                None => changes.push((self.lines_of(section.field(key)?)?, String::new())),
            }
        }
        Some(self.with(changes))
    }

    /// Writes the whole section anew.
    fn section(&self, model: &Model) -> Option<String> {
        let change = if self.root.flow {
            self.put_in_braces(&serde_json::to_string(model).ok()?)?
        } else {
            self.put(self.root, "model", &Value::Mapping(values(model)), schema::FIELDS)?
        };
        Some(self.with(vec![change]))
    }

    /// Gives a field of a block a value: in its old one's place, else after the field that comes
    /// before it.
    fn put(&self, block: &Node, key: &str, value: &Value, order: schema::Fields) -> Option<Change> {
        if let Some(field) = block.field(key) {
            if let (Some(place), Some(value)) = (self.word(field), yaml::word(value)) {
                return Some((place, value));
            }
            let lines = self.lines_of(field)?;
            return Some((lines, self.lines(key, value, self.indent_of(field)?)));
        }
        let Content::Mapping { fields } = &block.content else {
            return None;
        };
        let rank = |key: &str| order.iter().position(|(name, _)| *name == key);
        let earlier = fields.iter().filter(|field| rank(&field.key) < rank(key));
        let at = match earlier.max_by_key(|field| field.span) {
            Some(field) => self.lines_of(field)?.end,
            None => self.lines_of(fields.first()?)?.start,
        };
        let indent = self.indent_of(fields.first()?)?;
        Some((at..at, self.lines(key, value, indent)))
    }

    /// Gives the model a value within `{}`, where it goes first if it is not there yet.
    fn put_in_braces(&self, json: &str) -> Option<Change> {
        if let Some(field) = self.root.field("model") {
            let start = self.offsets[field.value.span.0];
            return Some((start..self.offsets[field.span.1], json.to_owned()));
        }
        let Content::Mapping { fields } = &self.root.content else {
            return None;
        };
        let comma = if fields.is_empty() { "" } else { ", " };
        let at = self.offsets[self.root.span.0] + 1;
        Some((at..at, format!("\"model\": {json}{comma}")))
    }

    /// Where a field's value is, when it is one word on its key's line.
    fn word(&self, field: &Field) -> Option<Range<usize>> {
        let (start, end) = field.value.span;
        let is_here = field.span.0 < start && field.span.1 == end;
        let range = self.offsets[start]..self.offsets[end];
        let whole = &self.text[self.offsets[field.span.0]..range.end];
        let is_word = matches!(field.value.content, Content::Scalar { .. }) && !range.is_empty();
        (is_here && is_word && !whole.contains('\n')).then_some(range)
    }

    /// The lines of a field, from its key's to its last value's: no other field may stand on them.
    fn lines_of(&self, field: &Field) -> Option<Range<usize>> {
        let key = self.offsets[field.span.0];
        let end = key + self.text[key..self.offsets[field.span.1]].trim_end().len();
        let end = self.text[end..].find('\n').map_or(self.text.len(), |at| end + at + 1);
        Some(key - self.indent_of(field)?..end)
    }

    /// How many spaces stand before a key; none when other things do.
    fn indent_of(&self, field: &Field) -> Option<usize> {
        let before = &self.text[..self.offsets[field.span.0]];
        let line = before.rfind('\n').map_or(before, |at| &before[at + 1..]);
        let indent = line.trim_start_matches('\u{feff}');
        indent.bytes().all(|b| b == b' ').then_some(indent.len())
    }

    /// A field as lines of its own, with the line ends of the text.
    fn lines(&self, key: &str, value: &Value, indent: usize) -> String {
        let lines = yaml::lines(key, value, indent);
        if self.text.contains("\r\n") { lines.replace('\n', "\r\n") } else { lines }
    }

    fn with(&self, mut changes: Vec<Change>) -> String {
        changes.sort_by_key(|(range, _)| (range.start, range.end));
        let mut text = self.text.to_owned();
        for (range, new) in changes.into_iter().rev() {
            text.replace_range(range, &new);
        }
        text
    }
}

fn values(model: &Model) -> Mapping {
    match serde_yaml::to_value(model) {
        Ok(Value::Mapping(values)) => values,
        _ => Mapping::new(),
    }
}
