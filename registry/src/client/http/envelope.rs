//! The reasons a registry gives for a refusal (distribution-spec, "Error Codes").

use serde_json::Value;

/// Returns the reasons in one line, `CODE: message`, or nothing when the body is not an error
/// document. What other servers write, `{"error": "…"}` or `{"message": "…"}`, is understood too.
///
/// Control characters are dropped, and long texts are cut: the line ends in a terminal.
pub(crate) fn reasons(body: &[u8]) -> String {
    let Ok(document) = serde_json::from_slice::<Value>(body) else { return String::new() };
    let reasons: Vec<String> = match document["errors"].as_array() {
        Some(errors) => errors.iter().take(5).map(reason).collect(),
        None => ["error", "message"].map(|key| text(&document[key])).to_vec(),
    };
    let reasons: Vec<String> = reasons.into_iter().filter(|reason| !reason.is_empty()).collect();
    reasons.join("; ")
}

fn reason(error: &Value) -> String {
    let (code, message) = (text(&error["code"]), text(&error["message"]));
    match (code.is_empty(), message.is_empty()) {
        (false, false) => format!("{code}: {message}"),
        (true, false) => message,
        _ => code,
    }
}

fn text(value: &Value) -> String {
    printable(value.as_str().unwrap_or_default())
}

/// Returns a foreign text as one short line.
pub(crate) fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(300).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_one_line() {
        let body = br#"{"errors":[{"code":"DENIED","message":"no\nrights"},{"code":"UNKNOWN","message":null},{"message":"m"}]}"#;
        assert_eq!(reasons(body), "DENIED: norights; UNKNOWN; m");
    }

    #[test]
    fn a_body_that_is_no_error_document_gives_nothing() {
        assert_eq!(reasons(b"<html>"), "");
        assert_eq!(reasons(b"{}"), "");
        assert_eq!(reasons(br#"{"errors":"x"}"#), "");
        assert_eq!(reasons(br#"[1]"#), "");
    }

    #[test]
    fn other_servers_give_reasons_too() {
        assert_eq!(reasons(br#"{"error":"Invalid token"}"#), "Invalid token");
        assert_eq!(reasons(br#"{"errors":[{"status":403,"message":"no"}]}"#), "no");
        assert_eq!(reasons(br#"{"errors":[{"code":403,"message":"no"},{}]}"#), "no");
    }

    #[test]
    fn foreign_text_cannot_fill_the_screen() {
        let body =
            format!(r#"{{"errors":[{{"code":"X","message":"{}\u001b[2J"}}]}}"#, "a".repeat(10_000));
        assert!(reasons(body.as_bytes()).len() < 400);
        assert!(!reasons(br#"{"errors":[{"code":"\u001b[2J"}]}"#).contains('\u{1b}'));
    }
}
