//! W3C trace context: where a request stands in a trace that others began.
//! Source: "Trace Context", W3C Recommendation, §3.2.

use std::hash::{BuildHasher, RandomState};

use axum::http::HeaderMap;

use crate::observer::Trace;

/// Reads `traceparent`; where there is none, or none that can be understood, a trace begins here.
pub(crate) fn trace(headers: &HeaderMap) -> Trace {
    let span_id = hex(1);
    let given = headers.get("traceparent").and_then(|value| parse(value.to_str().ok()?));
    match given {
        Some((trace_id, parent_id, sampled)) => Trace {
            trace_id: trace_id.to_owned(),
            span_id,
            parent_id: Some(parent_id.to_owned()),
            sampled,
        },
        None => Trace { trace_id: hex(2), span_id, parent_id: None, sampled: true },
    }
}

/// `version-trace_id-parent_id-flags`. A higher version may have more behind it, and is read as
/// this one.
fn parse(value: &str) -> Option<(&str, &str, bool)> {
    let mut parts = value.trim().split('-');
    let (version, trace_id, parent_id, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let nonzero = |text: &str| text.bytes().any(|byte| byte != b'0');
    let fine = is_hex(version, 2)
        && version != "ff"
        && is_hex(trace_id, 32)
        && nonzero(trace_id)
        && is_hex(parent_id, 16)
        && nonzero(parent_id)
        && is_hex(flags, 2)
        && (version != "00" || parts.next().is_none());
    let flags = u8::from_str_radix(flags, 16).ok()?;
    fine.then_some((trace_id, parent_id, flags & 1 == 1))
}

/// Random hexadecimal digits, 16 per word; they need to be different, not secret.
fn hex(n_words: u64) -> String {
    let word = |n: u64| format!("{:016x}", RandomState::new().hash_one(n).max(1));
    (0..n_words).map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn of(header: &str) -> Trace {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", header.parse().unwrap());
        trace(&headers)
    }

    #[test]
    fn a_trace_is_continued() {
        let trace = of("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        assert_eq!(
            (trace.trace_id.as_str(), trace.parent_id.as_deref()),
            (TRACE, Some("00f067aa0ba902b7"))
        );
        assert!(trace.sampled && trace.span_id.len() == 16 && trace.span_id != "00f067aa0ba902b7");
        assert!(!of("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00").sampled);
        assert_eq!(
            of("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes").trace_id,
            TRACE
        );
    }

    #[test]
    fn what_cannot_be_understood_begins_a_new_trace() {
        for bad in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-x1",
        ] {
            let trace = of(bad);
            assert!(
                trace.trace_id != TRACE && trace.trace_id.len() == 32 && trace.parent_id.is_none(),
                "{bad}"
            );
        }
    }
}
