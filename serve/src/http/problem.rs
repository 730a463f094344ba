//! Error bodies as FastAPI writes them.

use std::fmt::{Display, Write as _};

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::json::{Json, Quoted};

/// One entry of a 422 answer's `detail`.
pub(crate) struct Problem {
    kind: &'static str,
    /// Where it is, as JSON.
    place: String,
    message: String,
    /// What was given, as JSON.
    input: String,
    /// More about it, as JSON.
    context: Option<String>,
}

impl Problem {
    /// There is no body.
    pub(crate) fn no_body() -> Self {
        Self::new("missing", "[\"body\"]", "Field required", Json::Null)
    }

    /// The body is not JSON.
    pub(crate) fn not_json(message: &str, position: usize) -> Self {
        let context = format!("{{\"error\":{}}}", Quoted(message));
        let problem = Self::new(
            "json_invalid",
            format!("[\"body\",{position}]"),
            "JSON decode error",
            Json::Object(Vec::new()),
        );
        Self { context: Some(context), ..problem }
    }

    /// The body is something other than an object.
    pub(crate) fn not_an_object(body: &Json) -> Self {
        Self::new(
            "model_attributes_type",
            "[\"body\"]",
            "Input should be a valid dictionary or object to extract fields from",
            body,
        )
    }

    /// The object has no `text`.
    pub(crate) fn no_text(body: &Json) -> Self {
        Self::new("missing", "[\"body\",\"text\"]", "Field required", body)
    }

    /// A key that would change the answer, if it were heeded.
    pub(crate) fn not_permitted(name: &str, value: &Json) -> Self {
        let place = format!("[\"body\",{}]", Quoted(name));
        Self::new("extra_forbidden", place, "Extra inputs are not permitted", value)
    }

    /// The `text`, or the text at `index` of the list, is not a string.
    pub(crate) fn not_a_string(index: Option<usize>, value: &Json) -> Self {
        let place = index.map_or("[\"body\",\"text\"]".to_owned(), |index| {
            format!("[\"body\",\"text\",{index}]")
        });
        Self::new("string_type", place, "Input should be a valid string", value)
    }

    /// The `text_pair` is not a string.
    pub(crate) fn no_pair(value: &Json) -> Self {
        let place = "[\"body\",\"text_pair\"]";
        Self::new("string_type", place, "Input should be a valid string", value)
    }

    /// The list has too many texts.
    pub(crate) fn too_many_texts(n_texts: usize, max_texts: usize, value: &Json) -> Self {
        let message =
            format!("List should have at most {max_texts} items after validation, not {n_texts}");
        let context = format!(
            "{{\"field_type\":\"List\",\"max_length\":{max_texts},\"actual_length\":{n_texts}}}"
        );
        Self {
            context: Some(context),
            ..Self::new("too_long", "[\"body\",\"text\"]", message, value)
        }
    }

    fn new(
        kind: &'static str,
        place: impl Into<String>,
        message: impl Into<String>,
        input: impl Display,
    ) -> Self {
        Self {
            kind,
            place: place.into(),
            message: message.into(),
            input: input.to_string(),
            context: None,
        }
    }
}

/// Answers 422 with all that is wrong.
pub(crate) fn unprocessable(problems: &[Problem]) -> Response {
    let mut body = String::from("{\"detail\":[");
    for (n, Problem { kind, place, message, input, context }) in problems.iter().enumerate() {
        let comma = if n == 0 { "" } else { "," };
        let message = Quoted(message);
        // Writing to a String cannot fail.
        let _ = write!(
            body,
            "{comma}{{\"type\":\"{kind}\",\"loc\":{place},\"msg\":{message},\"input\":{input}"
        );
        let _ = context.as_ref().map(|context| write!(body, ",\"ctx\":{context}"));
        body.push('}');
    }
    json(StatusCode::UNPROCESSABLE_ENTITY, body + "]}")
}

/// Answers `{"detail": …}`.
pub(crate) fn detail(status: StatusCode, detail: &str) -> Response {
    json(status, format!("{{\"detail\":{}}}", Quoted(detail)))
}

/// Answers a JSON document.
pub(crate) fn json(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body)
        .into_response()
}
