//! What kind of statement is meant.

/// The type as it is written into a statement.
pub(crate) fn predicate_type(text: &str) -> Result<String, String> {
    trust::predicate_type(text)
        .map(str::to_owned)
        .ok_or_else(|| "it is neither a URI nor one of the short names".to_owned())
}
