//! What a status says, as text that both clusters can agree on.

use serde_json::Value;

/// Everything that the status of a Kustomization says, without times and temporary folders; none
/// before it is final.
pub(super) fn status(object: &Value) -> Option<String> {
    let status = &object["status"];
    let conditions = status["conditions"].as_array()?;
    conditions.iter().find(|it| it["type"] == "Ready" && it["status"] != "Unknown")?;
    let mut lines = Vec::new();
    let mut sorted: Vec<&Value> = conditions.iter().collect();
    sorted.sort_by_key(|it| it["type"].as_str());
    for it in sorted {
        let text = |field: &str| it[field].as_str().unwrap_or_default();
        let seen = it["observedGeneration"] == object["metadata"]["generation"];
        lines.push(format!(
            "{} {} {} (seen: {seen}): {}",
            text("type"),
            text("status"),
            text("reason"),
            plain(text("message"))
        ));
    }
    let observed = match &status["observedGeneration"] {
        it if *it == object["metadata"]["generation"] => "the present one".to_owned(),
        it => it.to_string(),
    };
    lines.push(format!("observedGeneration {observed}"));
    for field in ["lastAppliedRevision", "lastAttemptedRevision"] {
        lines.push(format!("{field} {}", status[field]));
    }
    let entries = status["inventory"]["entries"].as_array();
    let entries = entries.map(|list| {
        list.iter().map(|it| format!("{}@{}", it["id"], it["v"])).collect::<Vec<_>>().join(" ")
    });
    lines.push(format!("inventory {entries:?}"));
    let mut history: Vec<String> = status["history"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|it| {
            format!("history {} {} {}", it["digest"], it["lastReconciledStatus"], it["metadata"])
        })
        .collect();
    history.sort();
    lines.append(&mut history);
    Some(lines.join("\n"))
}

/// What a GitRepository says of its branch.
pub(super) fn source(object: &Value) -> Option<String> {
    let conditions = object["status"]["conditions"].as_array()?;
    let ready = conditions.iter().find(|it| it["type"] == "Ready" && it["status"] != "Unknown")?;
    let revision = &object["status"]["artifact"]["revision"];
    let text = |field: &str| ready[field].as_str().unwrap_or_default();
    let (status, reason, message) = (text("status"), text("reason"), plain(text("message")));
    Some(format!("Ready {status} {reason}: {message}\nartifact {revision}"))
}

/// What of an object says how Flux dealt with it: labels and annotations of its own, and data.
pub(super) fn content(object: &Value) -> Option<String> {
    let metadata = &object["metadata"];
    let flux = |field: &str| {
        let map = metadata[field].as_object().cloned().unwrap_or_default();
        map.into_iter()
            .filter(|(key, _)| !key.starts_with("kubectl"))
            .map(|(key, value)| format!("{key}={value}"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    Some(format!(
        "labels {}\nannotations {}\ndata {}",
        flux("labels"),
        flux("annotations"),
        object["data"]
    ))
}

/// A message without what differs from one run to the next: times that were measured, and the
/// folder that was unpacked into.
pub(super) fn plain(message: &str) -> String {
    let (mut words, mut before) = (Vec::new(), "");
    for word in message.split(' ') {
        let is_measured =
            ["in", "after"].contains(&before) && word.starts_with(|c: char| c.is_ascii_digit());
        let end = if word.ends_with(':') { ":" } else { "" };
        words.push(if is_measured { format!("TIME{end}") } else { without_folder(word) });
        before = word;
    }
    words.join(" ")
}

/// The folder that Flux unpacks an artifact into has another number each time.
fn without_folder(word: &str) -> String {
    match word.split_once("/tmp/kustomization-") {
        None => word.to_owned(),
        Some((before, rest)) => {
            let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            format!("{before}{}", without_folder(rest))
        }
    }
}
