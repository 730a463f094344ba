//! What a model card says of itself before its text.

use serde_yaml::Value;

/// The front matter of a model card, as far as it is used.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct FrontMatter {
    pub(crate) license: Option<String>,
    pub(crate) language: Vec<String>,
    /// The model that this one was made of.
    pub(crate) base_model: Option<String>,
}

impl FrontMatter {
    /// Reads what is between the first two lines `---`; a card without it, or with other things in
    /// it, says nothing.
    pub(crate) fn of(card: &str) -> Self {
        let text = card.strip_prefix('\u{feff}').unwrap_or(card);
        let Some(front) = text.strip_prefix("---").and_then(|rest| rest.split_once("\n---")) else {
            return Self::default();
        };
        let Ok(Value::Mapping(front)) = serde_yaml::from_str(front.0) else {
            return Self::default();
        };
        let texts = |key: &str| -> Vec<String> {
            match front.get(key) {
                Some(Value::String(text)) => vec![text.clone()],
                Some(Value::Sequence(items)) => {
                    items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
                }
                _ => Vec::new(),
            }
        };
        Self {
            license: texts("license").into_iter().next(),
            language: texts("language").into_iter().take(1).collect(),
            base_model: texts("base_model").into_iter().next(),
        }
    }
}

/// The text as YAML in one line, whatever it holds.
pub(crate) fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    match !text.is_empty()
        && text.chars().all(is_plain)
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
    {
        true if !matches!(
            text,
            "no" | "yes" | "on" | "off" | "true" | "false" | "null" | "y" | "n"
        ) =>
        {
            text.to_owned()
        }
        _ => serde_json::to_string(text).expect("a text becomes JSON"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_says_licence_language_and_base_model() {
        let card = "---\nlicense: apache-2.0\nlanguage: [en, de]\nbase_model:\n- org/base\ntags: [x]\n---\n# Title\n";
        let front = FrontMatter::of(card);
        assert_eq!(
            (front.license.as_deref(), front.base_model.as_deref()),
            (Some("apache-2.0"), Some("org/base"))
        );
        assert_eq!(front.language, ["en"]);
        for silent in ["", "# Title", "---\nlicense: [\n---\n", "---\n- a\n---\n"] {
            assert_eq!(FrontMatter::of(silent), FrontMatter::default(), "{silent}");
        }
    }

    #[test]
    fn norwegian_stays_norwegian() {
        assert_eq!(
            (quoted("no").as_str(), quoted("en").as_str(), quoted("a: b").as_str()),
            ("\"no\"", "en", "\"a: b\"")
        );
    }
}
