//! What a Kitfile's text means, and what is told of a wrong one.

mod edit;
mod hostile;
mod init;
mod parse;
mod rules;
mod schema;
mod values;

/// The cases of a file: each begins with a line `=== name`.
fn cases(text: &str) -> Vec<(String, String)> {
    let text = format!("\n{text}");
    let parts = text.split("\n=== ").skip(1);
    parts
        .map(|part| {
            let (name, case) = part.split_once('\n').unwrap_or((part, ""));
            (name.to_owned(), format!("{case}\n"))
        })
        .collect()
}
