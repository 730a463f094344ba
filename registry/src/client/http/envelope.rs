//! The reasons a registry gives for a refusal (distribution-spec, "Error Codes").

use serde::Deserialize;

#[derive(Deserialize)]
struct Envelope {
    errors: Vec<Reason>,
}

#[derive(Deserialize)]
struct Reason {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: Option<String>,
}

/// Returns the reasons in one line, `CODE: message`, or nothing when the body is not an error
/// document.
///
/// Control characters are dropped, and long texts are cut: the line ends in a terminal.
pub(crate) fn reasons(body: &[u8]) -> String {
    let Ok(Envelope { errors }) = serde_json::from_slice(body) else { return String::new() };
    let reasons: Vec<String> = errors.iter().take(5).map(reason).collect();
    reasons.join("; ")
}

fn reason(Reason { code, message }: &Reason) -> String {
    let code = printable(code);
    match message.as_deref().map(printable) {
        Some(message) if !message.is_empty() && !code.is_empty() => format!("{code}: {message}"),
        Some(message) if code.is_empty() => message,
        _ => code,
    }
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
    }

    #[test]
    fn foreign_text_cannot_fill_the_screen() {
        let body =
            format!(r#"{{"errors":[{{"code":"X","message":"{}\u001b[2J"}}]}}"#, "a".repeat(10_000));
        assert!(reasons(body.as_bytes()).len() < 400);
        assert!(!reasons(br#"{"errors":[{"code":"\u001b[2J"}]}"#).contains('\u{1b}'));
    }
}
