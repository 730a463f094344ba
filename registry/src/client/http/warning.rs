//! Warnings that a registry sends along (distribution-spec, "Warnings").

use reqwest::header::HeaderMap;

use super::envelope::printable;

/// All warnings of one answer may have this many bytes together.
const MAX_BYTES: usize = 4096;

/// Returns the texts of the headers `Warning: 299 - "text"`; others are not meant for people.
pub(crate) fn warnings(headers: &HeaderMap) -> Vec<String> {
    let values: Vec<&str> =
        headers.get_all("warning").iter().filter_map(|value| value.to_str().ok()).collect();
    if values.iter().map(|value| value.len()).sum::<usize>() > MAX_BYTES {
        return Vec::new();
    }
    values.into_iter().filter_map(text).collect()
}

fn text(value: &str) -> Option<String> {
    let quoted = value.strip_prefix("299 - \"")?.strip_suffix('"')?;
    let mut text = String::new();
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return None,
            '\\' => text.push(chars.next()?),
            _ => text.push(c),
        }
    }
    Some(printable(&text)).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &'static str, expected: &[&str]) {
        let headers = HeaderMap::from_iter([(
            reqwest::header::WARNING,
            reqwest::header::HeaderValue::from_static(value),
        )]);
        assert_eq!(warnings(&headers), expected, "{value}");
    }

    #[test]
    fn only_well_formed_warnings_are_shown() {
        check(r#"299 - "it \"ends\" soon""#, &[r#"it "ends" soon"#]);
        check(r#"110 - "stale""#, &[]);
        check(r#"299 host "x""#, &[]);
        check(r#"299 - "x" "Sun, 06 Nov 1994 08:49:37 GMT""#, &[]);
        check(r#"299 - "open"#, &[]);
    }
}
