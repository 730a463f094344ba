//! What stands behind the path of an address, or in the body of a form.

/// Names and values, in their order.
#[derive(Clone, Debug)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(text: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(text).into_owned().collect())
    }

    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    pub(super) fn number(&self, name: &str) -> Option<usize> {
        self.pairs().find(|(key, _)| *key == name).and_then(|(_, value)| value.parse().ok())
    }

    /// Says whether something is asked for.
    pub(super) fn asks(&self, name: &str) -> bool {
        self.pairs().any(|(key, value)| key == name && Self::is_true(value))
    }

    pub(super) fn is_true(value: &str) -> bool {
        matches!(value, "true" | "True" | "1")
    }

    /// The same with another cursor, encoded.
    pub(super) fn with_cursor(&self, cursor: usize) -> String {
        url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(self.pairs().filter(|(key, _)| *key != "cursor"))
            .append_pair("cursor", &cursor.to_string())
            .finish()
    }
}
