//! What Kubernetes, Flux, Git and container runtimes take: grammars and limits, each from whoever
//! refuses what is beyond it. Every value that is given is held against them before it is written.
//!
//! Sources: apimachinery's `validation` package (names, labels, ports), the patterns of Flux' CRDs
//! (durations, addresses), git-check-ref-format(1), and the grammar of the `distribution` project
//! (images).

use std::time::Duration;

/// What a rule says: nothing, or what is wrong.
pub(crate) type Rule = Result<(), &'static str>;

/// The largest number of a field of type `int32`.
pub(crate) const INT32: u64 = i32::MAX as u64;

/// The longest value of a label, which is also the longest DNS label.
const LABEL: usize = 63;

/// The longest span of Go's `time.Duration`, whose nanoseconds are an `int64`.
pub(crate) const LONGEST: Duration = Duration::from_nanos(i64::MAX as u64);

/// A DNS label (RFC 1123): namespaces, and what is part of other names.
pub(crate) fn label(text: &str) -> Rule {
    if !(1..=LABEL).contains(&text.len()) {
        return Err("it has 1 to 63 characters");
    }
    let ends = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    if !text.bytes().all(|b| ends(b) || b == b'-') {
        return Err("only a-z, 0-9 and - are allowed");
    }
    match text.starts_with('-') || text.ends_with('-') {
        true => Err("it starts and ends with a letter or a digit"),
        false => Ok(()),
    }
}

/// The name of a Service, which before Kubernetes 1.36 is a DNS label of RFC 1035.
pub(crate) fn service(text: &str) -> Rule {
    label(text)?;
    match text.starts_with(|c: char| c.is_ascii_lowercase()) {
        true => Ok(()),
        false => Err("the name of a Service starts with a letter"),
    }
}

/// A DNS subdomain (RFC 1123): Secrets and most other objects.
pub(crate) fn subdomain(text: &str) -> Rule {
    if !(1..=253).contains(&text.len()) {
        return Err("it has 1 to 253 characters");
    }
    let is_part = |part: &str| {
        let ends = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        ends(part.bytes().next())
            && ends(part.bytes().last())
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    match text.split('.').all(is_part) {
        true => Ok(()),
        false => Err(
            "only a-z, 0-9, - and . are allowed, and a letter or a digit at both ends of each part",
        ),
    }
}

/// The value of a label.
pub(crate) fn label_value(text: &str) -> Rule {
    let ends = |b: Option<u8>| b.is_none_or(|b| b.is_ascii_alphanumeric());
    let is_one = text.len() <= LABEL
        && ends(text.bytes().next())
        && ends(text.bytes().last())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    match is_one {
        true => Ok(()),
        false => Err("it has at most 63 letters, digits and - _ ., a letter or digit at both ends"),
    }
}

/// The name of a port: an IANA service name (RFC 6335, section 5.1), in lower case.
pub(crate) fn port_name(text: &str) -> Rule {
    let is_one = (1..=15).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && text.bytes().any(|b| b.is_ascii_lowercase())
        && !text.starts_with('-')
        && !text.ends_with('-')
        && !text.contains("--");
    match is_one {
        true => Ok(()),
        false => Err("it has at most 15 of a-z, 0-9 and single -, and a letter among them"),
    }
}

/// A namespace that an application may have for its own: those of the system cannot be deleted, or
/// take the cluster with them.
pub(crate) fn own_namespace(text: &str) -> Rule {
    label(text)?;
    match text {
        "default" => Err("Kubernetes never lets the namespace default be deleted"),
        "flux-system" => Err("Flux itself is in the namespace flux-system"),
        text if text.starts_with("kube-") => Err("the namespaces kube-* are those of Kubernetes"),
        _ => Ok(()),
    }
}

/// The name of an environment variable, as every version of Kubernetes takes it.
pub(crate) fn variable(text: &str) -> Rule {
    let first = |b: u8| b.is_ascii_alphabetic() || b"_-.".contains(&b);
    let is_one = text.bytes().next().is_some_and(first)
        && text.bytes().all(|b| first(b) || b.is_ascii_digit())
        && text != "."
        && !text.starts_with("..");
    match is_one {
        true => Ok(()),
        false => Err("it has letters, digits and _ - ., and does not start with a digit"),
    }
}

/// A text that a process can be given: no NUL ends it early.
pub(crate) fn text(text: &str) -> Rule {
    match text.contains('\0') {
        true => Err("it has a NUL"),
        false => Ok(()),
    }
}

/// The name of a branch: git-check-ref-format(1).
pub(crate) fn branch(text: &str) -> Rule {
    if text.is_empty() || text == "@" || text.starts_with('-') {
        return Err("it is empty, or Git means something else by it");
    }
    let bad = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
    if text.contains(bad) || text.contains("..") || text.contains("@{") {
        return Err("Git allows no blanks, no ~ ^ : ? * [ \\, no .. and no @{ in it");
    }
    let is_part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && !part.ends_with('.')
            && !part.ends_with(".lock")
    };
    match text.split('/').all(is_part) {
        true => Ok(()),
        false => Err(
            "each of its parts has a name that neither starts nor ends with . or ends with .lock",
        ),
    }
}

/// `HOST` or `HOST:PORT`, with `[…]` around an IPv6 address.
pub(crate) fn host(text: &str) -> Rule {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_port = |port: &str| {
        port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|n| n > 0)
    };
    if !port.is_none_or(is_port) {
        return Err("its port is a number from 1 to 65535");
    }
    let is_address = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok());
    let is_name =
        !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    match is_address || is_name {
        true => Ok(()),
        false => Err("it has a host"),
    }
}

/// The name of an image, with or without its registry.
pub(crate) fn image_name(text: &str) -> Rule {
    const WRONG: &str = "the name has lower-case letters and digits, with . _ __ - between them, and / between its parts";
    if text.len() > 255 {
        return Err("the name has at most 255 characters");
    }
    let is_host =
        |first: &str| first == "localhost" || first.contains(['.', ':']) || first.starts_with('[');
    let path = match text.split_once('/') {
        Some((first, rest)) if is_host(first) => {
            host(first)?;
            rest
        }
        _ => text,
    };
    match path.split('/').all(is_image_part) {
        true => Ok(()),
        false => Err(WRONG),
    }
}

/// Words of lower-case letters and digits with one `.`, one or two `_`, or any number of `-`
/// between them.
fn is_image_part(part: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_gap = |gap: &str| matches!(gap, "" | "." | "_" | "__") || gap.bytes().all(|b| b == b'-');
    part.starts_with(word) && part.ends_with(word) && part.split(word).all(is_gap)
}

/// The tag of an image.
pub(crate) fn tag(text: &str) -> Rule {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let is_tag = (1..=128).contains(&text.len())
        && text.bytes().all(|b| word(b) || b == b'.' || b == b'-')
        && text.bytes().next().is_some_and(word);
    match is_tag {
        true => Ok(()),
        false => Err("the tag has 1 to 128 letters, digits and . _ -"),
    }
}

/// The digest of an image.
pub(crate) fn digest(text: &str) -> Rule {
    let hex = |text: &str, n| {
        text.len() == n && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let is_digest = match text.split_once(':') {
        Some(("sha256", text)) => hex(text, 64),
        Some(("sha512", text)) => hex(text, 128),
        _ => false,
    };
    match is_digest {
        true => Ok(()),
        false => Err("the digest is sha256: and 64 lower hexadecimal digits, or sha512: and 128"),
    }
}

/// A span that Flux and Kubernetes take: a second at least, and no longer than Go can count.
pub(crate) fn span(span: Duration) -> Rule {
    match () {
        () if span < Duration::from_secs(1) => Err("it is a second at least"),
        () if span > LONGEST => Err("it is longer than 292 years"),
        () => Ok(()),
    }
}

/// A number of seconds in a field of type `int32` that has to be above zero.
pub(crate) fn seconds(span: Duration) -> Rule {
    match span.as_secs() {
        0 => Err("it is a second at least"),
        1..=INT32 => Ok(()),
        _ => Err("it is more than 2147483647 seconds"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Holds a rule against a pattern of those who refuse: each text of a few characters is taken
    /// by both or by neither.
    fn same(rule: impl Fn(&str) -> Rule, pattern: &str, letters: &str) {
        let pattern = regex::Regex::new(pattern).unwrap();
        let mut texts = vec![String::new()];
        let mut begin = 0;
        for _ in 0..4 {
            let end = texts.len();
            for n in begin..end {
                for letter in letters.chars() {
                    texts.push(format!("{}{letter}", texts[n]));
                }
            }
            begin = end;
        }
        for text in texts {
            assert_eq!(rule(&text).is_ok(), pattern.is_match(&text), "{text:?}");
        }
    }

    #[test]
    fn rules_are_those_of_whoever_refuses() {
        // apimachinery, pkg/util/validation: the patterns of names and labels.
        same(label, "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "a0-.A_");
        same(service, "^[a-z]([-a-z0-9]*[a-z0-9])?$", "a0-.A_");
        same(
            subdomain,
            r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
            "a0-.A_",
        );
        same(label_value, "^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$", "a0-.A_/");
        // IsValidPortName: the characters, a letter, and no two hyphens.
        same(port_name, "^([a-z0-9]+-)*[a-z0-9]*[a-z][a-z0-9]*(-[a-z0-9]+)*$", "a0-A_");
        // distribution/reference: a path's component, and a tag.
        same(image_name, "^[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*$", "a0-._A");
        same(tag, r"^[\w][\w.-]{0,127}$", "a0-._A/");
    }

    #[test]
    fn lengths_are_counted() {
        for (rule, n) in [(label as fn(&str) -> Rule, 63), (service, 63), (label_value, 63)] {
            assert!(rule(&"x".repeat(n)).is_ok() && rule(&"x".repeat(n + 1)).is_err());
        }
        assert!(subdomain(&"x".repeat(253)).is_ok() && subdomain(&"x".repeat(254)).is_err());
        assert!(tag(&"x".repeat(128)).is_ok() && tag(&"x".repeat(129)).is_err());
        assert!(image_name(&"x".repeat(255)).is_ok() && image_name(&"x".repeat(256)).is_err());
    }

    #[test]
    fn branches_are_those_that_git_takes() {
        for good in ["main", "release/1.0", "a-b", "é", "a@b", "x.y"] {
            assert_eq!(branch(good), Ok(()), "{good}");
        }
        for bad in [
            "", "@", "-x", "a b", "a..b", "a~1", "a^", "a:b", "a?", "a*", "a[", "a\\b", "/a", "a/",
            "a//b", ".a", "a/.b", "a.", "a.lock", "a@{1}", "a\n", "a\u{7f}",
        ] {
            assert!(branch(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn hosts_have_ports_that_are_there() {
        for good in ["h", "git.example.com", "h:1", "h:65535", "127.0.0.1:22", "[::1]", "[::1]:22"]
        {
            assert_eq!(host(good), Ok(()), "{good}");
        }
        for bad in ["", ":1", "h:0", "h:65536", "h:", "h:x", "h:+1", "[::g]", "::1", "h/x", "h x"] {
            assert!(host(bad).is_err(), "{bad}");
        }
        for good in
            ["localhost:5000/a", "ghcr.io/a/b__c", "127.0.0.1:5000/a", "a/b", "[::1]:5000/a"]
        {
            assert_eq!(image_name(good), Ok(()), "{good}");
        }
        for bad in ["h:99999/a", "A/b", "a//b", "/a", "a/", "a___b", "a.io:/b", "ghcr.io/A"] {
            assert!(image_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_and_spans_fit_their_fields() {
        let s = Duration::from_secs;
        assert!(seconds(s(1)).is_ok() && seconds(s(INT32)).is_ok());
        assert!(seconds(s(0)).is_err() && seconds(s(INT32 + 1)).is_err());
        assert!(span(s(1)).is_ok() && span(LONGEST).is_ok());
        assert!(span(Duration::from_millis(999)).is_err() && span(LONGEST + s(1)).is_err());
    }

    #[test]
    fn namespaces_of_the_system_are_not_ones_own() {
        for bad in ["default", "flux-system", "kube-system", "kube-public", "kube-x"] {
            assert!(own_namespace(bad).is_err(), "{bad}");
        }
        assert!(own_namespace("kubeflow").is_ok() && own_namespace("defaults").is_ok());
    }
}
