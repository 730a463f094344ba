//! Which texts count as references to ModelKits.

/// Whether a `model.path` or `remotePath` names another ModelKit: it holds `:` or `@`, and reads as
/// a reference.
///
/// The rule is kit's own, so a file whose name reads as a reference (`weights:v1`) counts as one.
pub fn is_modelkit_reference(path: &str) -> bool {
    path.contains([':', '@']) && (is_digest(path) || is_named(path))
}

/// `[registry/]repository[:tag[,tag…]][@digest]`; only a first part with `.` or `:` is a registry.
fn is_named(path: &str) -> bool {
    let first = path.split(',').next().unwrap_or_default();
    let rest = match first.split_once('/') {
        Some((registry, rest)) if registry.contains([':', '.']) => {
            if !is_registry(registry) {
                return false;
            }
            rest
        }
        _ => first,
    };
    if let Some((name, digest)) = rest.split_once('@') {
        return is_repository(name.split(':').next().unwrap_or_default()) && is_digest(digest);
    }
    match rest.split_once(':') {
        Some((repository, tag)) => is_repository(repository) && is_tag(tag),
        None => is_repository(rest),
    }
}

/// `host[:port]`.
fn is_registry(text: &str) -> bool {
    let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
    let host_fits =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '[' | ']' | ':');
    !host.is_empty() && host.chars().all(host_fits) && port.chars().all(|c| c.is_ascii_digit())
}

/// Lower-case names joined by `/`; inside a name `.`, `_`, `__` or dashes may join letters and
/// digits.
fn is_repository(text: &str) -> bool {
    text.split('/').all(|name| {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let joints = name.split(plain).filter(|joint| !joint.is_empty());
        name.starts_with(plain)
            && name.ends_with(plain)
            && joints
                .into_iter()
                .all(|joint| matches!(joint, "." | "_" | "__") || joint.bytes().all(|b| b == b'-'))
    })
}

fn is_tag(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.starts_with(word)
        && text.len() <= 128
        && text.chars().all(|c| word(c) || matches!(c, '.' | '-'))
}

fn is_digest(text: &str) -> bool {
    let Some((algorithm, hex)) = text.split_once(':') else {
        return false;
    };
    let length = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return false,
    };
    hex.len() == length && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_has_up_to_128_characters() {
        assert!(is_modelkit_reference(&format!("base:{}", "a".repeat(128))));
        assert!(!is_modelkit_reference(&format!("base:{}", "a".repeat(129))));
    }

    #[test]
    fn references_are_told_from_paths() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let named = format!("ghcr.io/org/base@{digest}");
        for text in [
            "org/base:v1",
            "localhost:5000/base:v1",
            "localhost:5000/base",
            "base:v1",
            "base:v1,v2",
            &digest,
            &named,
        ] {
            assert!(is_modelkit_reference(text), "{text}");
        }
        for text in [
            "model",
            "./model",
            "a/b",
            "ghcr.io/org/base",
            "Base:v1",
            "a b:c",
            "x:",
            "https://host/a",
            "s3://bucket/key",
            "a@b",
        ] {
            assert!(!is_modelkit_reference(text), "{text}");
        }
    }
}
