//! The keys of a JSON document, read one by one; what is wrong with them is collected.

use serde_json::{Map, Value};

use crate::network::Activation;

/// A document while it is read.
pub(crate) struct Keys<'a> {
    document: &'a Map<String, Value>,
    pub(crate) problems: Vec<String>,
}

impl<'a> Keys<'a> {
    pub(crate) fn of(document: &'a Map<String, Value>) -> Self {
        Self { document, problems: Vec::new() }
    }

    /// The value of a key that has several names; two that differ are a problem, `null` is none.
    fn find(&mut self, names: &[&'static str]) -> Option<(&'static str, &'a Value)> {
        let document = self.document;
        let mut found = names.iter().filter_map(|name| {
            Some((*name, document.get(*name).filter(|value| !value.is_null())?))
        });
        let first = found.next()?;
        for (name, value) in found.filter(|(_, value)| *value != first.1) {
            self.problems.push(format!("{} is {}, and {name} {value}", first.0, first.1));
        }
        Some(first)
    }

    /// A key without which nothing is known, and that says nothing.
    pub(crate) fn refuse_null(&mut self, names: &[&'static str]) {
        let found: Vec<(&&str, &Value)> =
            names.iter().filter_map(|name| Some((name, self.document.get(*name)?))).collect();
        if let Some((name, _)) =
            found.first().filter(|_| found.iter().all(|(_, value)| value.is_null()))
        {
            self.problems.push(format!("{name} is null"));
        }
    }

    /// What a key has, where that is of the right kind.
    fn typed<T>(
        &mut self,
        names: &[&'static str],
        kind: &str,
        take: impl Fn(&'a Value) -> Option<T>,
    ) -> Option<T> {
        let (name, value) = self.find(names)?;
        let taken = take(value);
        if taken.is_none() {
            self.problems.push(format!("{name} is {value}, and should be {kind}"));
        }
        taken
    }

    /// A whole number that is at least 1.
    pub(crate) fn size(&mut self, names: &[&'static str], default: usize) -> usize {
        self.refuse_null(names);
        let whole = |value: &Value| value.as_u64().and_then(|n| usize::try_from(n).ok());
        let size = self.typed(names, "a whole number", whole).unwrap_or(default);
        if size == 0 {
            self.problems.push(format!("{} is 0", names[0]));
        }
        size
    }

    /// A share, from 0 to below 1.
    pub(crate) fn share(&mut self, name: &'static str, default: f64) -> f64 {
        let share = |value: &Value| value.as_f64().filter(|share| (0.0..1.0).contains(share));
        self.typed(&[name], "from 0 to below 1", share).unwrap_or(default)
    }

    /// A number of tokens under the first of its names that is there; none where that is `null`.
    pub(crate) fn length(&mut self, names: &[&'static str]) -> Option<usize> {
        let name = names.iter().find(|name| self.document.contains_key(**name))?;
        // Tokenizers without a limit say 1e30.
        let length = |value: &Value| value.as_f64().filter(|n| *n >= 1.0).map(|n| n as usize);
        self.typed(&[name], "a number from 1", length)
    }

    /// A number.
    pub(crate) fn number(&mut self, name: &'static str, default: f64) -> f64 {
        self.typed(&[name], "a number", Value::as_f64).unwrap_or(default)
    }

    /// A text.
    pub(crate) fn text(&mut self, name: &'static str) -> Option<&'a str> {
        self.typed(&[name], "a text", Value::as_str)
    }

    /// A text that may be missing, but not be `null`.
    pub(crate) fn named(&mut self, name: &'static str) -> Option<&'a str> {
        self.refuse_null(&[name]);
        self.text(name)
    }

    /// Yes or no.
    pub(crate) fn flag(&mut self, name: &'static str) -> Option<bool> {
        self.typed(&[name], "true or false", Value::as_bool)
    }

    /// The number of a token; `None` where the document says `null`.
    pub(crate) fn token(&mut self, name: &'static str, default: u32) -> Option<u32> {
        let number = |value: &Value| value.as_u64().and_then(|n| u32::try_from(n).ok());
        match self.document.get(name) {
            Some(Value::Null) => None,
            _ => Some(self.typed(&[name], "the number of a token", number).unwrap_or(default)),
        }
    }

    /// A number without a fraction, of either sign.
    pub(crate) fn whole(&mut self, name: &'static str) -> Option<i64> {
        self.typed(&[name], "a whole number", Value::as_i64)
    }

    /// The number of the token that batches are filled up with, where positions are counted from
    /// it.
    pub(crate) fn padding(&mut self, default: u32) -> Option<u32> {
        let number = self.token("pad_token_id", default);
        if number.is_none() {
            self.problems
                .push("pad_token_id is null, and positions are counted from it".to_owned());
        }
        number
    }

    /// Some words: a list, or a text with bars between them. `transformers` takes both.
    pub(crate) fn words(&mut self, name: &'static str) -> Vec<String> {
        let words = |value: &Value| match value {
            Value::String(text) => {
                Some(text.to_lowercase().split('|').map(|word| word.trim().to_owned()).collect())
            }
            Value::Array(items) => items
                .iter()
                .map(|item| item.as_str().map(str::to_owned))
                .collect::<Option<Vec<String>>>(),
            _ => None,
        };
        self.typed(&[name], "some words", words).unwrap_or_default()
    }

    /// An activation function.
    pub(crate) fn activation(&mut self, name: &'static str, default: Activation) -> Activation {
        let Some(named) = self.named(name) else { return default };
        Activation::named(named).unwrap_or_else(|| {
            let known: Vec<&str> = Activation::names().collect();
            let problem =
                format!("{name} is {named:?}, and only {} are supported", known.join(", "));
            self.problems.push(problem);
            default
        })
    }

    /// An object in another one.
    pub(crate) fn within(&self, name: &str, inner: &str) -> Option<&'a Map<String, Value>> {
        self.document.get(name)?.get(inner)?.as_object()
    }

    /// Whether the document has a key, with whatever value.
    pub(crate) fn is_there(&self, name: &str) -> bool {
        self.document.contains_key(name)
    }

    /// Whether a key holds anything: neither `null` nor something empty.
    pub(crate) fn holds(&self, name: &str) -> bool {
        match self.document.get(name) {
            None | Some(Value::Null) => false,
            Some(Value::Array(items)) => !items.is_empty(),
            Some(Value::Object(entries)) => !entries.is_empty(),
            Some(_) => true,
        }
    }

    /// Says that a key has a value that nobody heeds, if it is not what everybody has.
    pub(crate) fn only(&mut self, name: &'static str, heeded: &[&str]) {
        if let Some(text) = self.text(name).filter(|text| !heeded.contains(text)) {
            let heeded = heeded.join(" and ");
            self.problems.push(format!("{name} is {text:?}, and only {heeded} is supported"));
        }
    }
}
