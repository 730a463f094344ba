//! Label selectors, as `kubectl -l`, `target.labelSelector` and the API write them.
//!
//! Source: the grammar of `k8s.io/apimachinery/pkg/labels`, selector.go.

use serde_json::Value;

/// What labels, or annotations, have to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Requirement {
    Exists(String),
    Absent(String),
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    /// The value is a whole number, and more than this one.
    Above(String, i64),
    /// The value is a whole number, and less than this one.
    Below(String, i64),
}

impl Selector {
    /// Reads `a=b, c!=d, e in (f,g), h notin (i), j, !k, l>1, m<2`; the empty text selects all. The
    /// error says which part is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut depth = 0;
        let parts = text.split(|c| {
            match c {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            c == ',' && depth == 0
        });
        let parts = parts.map(str::trim).filter(|part| !part.is_empty());
        parts.map(requirement).collect::<Result<_, _>>().map(Self)
    }

    /// Whether it selects all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a map of labels is as asked; none is an empty one.
    pub fn matches(&self, labels: Option<&Value>) -> bool {
        self.0.iter().all(|requirement| requirement.holds(labels))
    }
}

impl Requirement {
    fn holds(&self, labels: Option<&Value>) -> bool {
        let value = |key: &str| labels.and_then(|labels| labels.get(key)).and_then(Value::as_str);
        let number = |key: &str| value(key)?.parse::<i64>().ok();
        match self {
            Self::Exists(key) => value(key).is_some(),
            Self::Absent(key) => value(key).is_none(),
            Self::In(key, values) => {
                value(key).is_some_and(|value| values.iter().any(|other| other == value))
            }
            Self::NotIn(key, values) => {
                value(key).is_none_or(|value| values.iter().all(|other| other != value))
            }
            Self::Above(key, limit) => number(key).is_some_and(|value| value > *limit),
            Self::Below(key, limit) => number(key).is_some_and(|value| value < *limit),
        }
    }
}

fn requirement(text: &str) -> Result<Requirement, String> {
    let one = |key: &str, value: &str| (key.trim().to_owned(), vec![value.trim().to_owned()]);
    if let Some((key, value)) = text.split_once("!=") {
        let (key, values) = one(key, value);
        return Ok(Requirement::NotIn(key, values));
    }
    if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        let (key, values) = one(key, value);
        return Ok(Requirement::In(key, values));
    }
    if let Some((head, list)) = text.split_once('(') {
        let values =
            list.trim_end_matches(')').split(',').map(|value| value.trim().to_owned()).collect();
        return match head.split_whitespace().collect::<Vec<_>>().as_slice() {
            [key, "in"] => Ok(Requirement::In((*key).to_owned(), values)),
            [key, "notin"] => Ok(Requirement::NotIn((*key).to_owned(), values)),
            _ => Err(format!("{text:?} is no label selector")),
        };
    }
    for (sign, made) in [
        ('>', Requirement::Above as fn(String, i64) -> Requirement),
        ('<', Requirement::Below as fn(String, i64) -> Requirement),
    ] {
        if let Some((key, limit)) = text.split_once(sign) {
            let limit = limit.trim();
            let limit = limit
                .parse()
                .map_err(|_| format!("{limit:?} is no whole number to compare with"))?;
            return Ok(made(key.trim().to_owned(), limit));
        }
    }
    match text.strip_prefix('!') {
        Some(key) => Ok(Requirement::Absent(key.trim().to_owned())),
        None if text.contains(char::is_whitespace) => Err(format!("{text:?} is no label selector")),
        None => Ok(Requirement::Exists(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_operator_says_what_it_says_in_kubernetes() {
        let labels = json!({"app": "web", "n": "3", "empty": ""});
        for (text, expected) in [
            ("", true),
            ("app", true),
            ("!app", false),
            ("other", false),
            ("!other", true),
            ("app=web", true),
            ("app == web", true),
            ("app=other", false),
            ("app!=other", true),
            // What is not there is not equal to anything.
            ("other!=x", true),
            ("app in (web, other)", true),
            ("app in (other)", false),
            ("app notin (web)", false),
            ("other notin (web)", true),
            ("empty=", true),
            ("n>2,n<4", true),
            ("n>3", false),
            ("app>1", false),
            ("app=web,n=3, !other", true),
            ("app=web,n=4", false),
        ] {
            let selector = Selector::parse(text).unwrap();
            assert_eq!(selector.matches(Some(&labels)), expected, "{text}");
        }
        assert!(!Selector::parse("a").unwrap().matches(None));
    }

    #[test]
    fn what_is_none_is_named() {
        for text in ["a b", "a has (b)", "(b)", "a>x"] {
            assert!(Selector::parse(text).unwrap_err().contains("is no"), "{text}");
        }
    }
}
