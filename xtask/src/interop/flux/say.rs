//! What a status says, as text that both clusters can agree on.

use serde_json::Value;

/// Everything that the status of a Kustomization says, without times and temporary folders; none
/// before it is final.
pub(super) fn status(object: &Value) -> Option<String> {
    let status = &object["status"];
    let conditions = status["conditions"].as_array()?;
    let of = |kind: &str| conditions.iter().find(|it| it["type"] == kind);
    let ready = of("Ready").filter(|it| it["status"] != "Unknown")?;
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
    let _ = ready;
    Some(lines.join("\n"))
}

/// A message without what differs from one run to the next.
pub(super) fn plain(message: &str) -> String {
    let words = message.split(' ').map(|word| {
        let bare = word.trim_end_matches([':', ',']);
        match is_duration(bare) && !word.ends_with("retrying") {
            true => word.replace(bare, "TIME"),
            false => without_folder(word),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Times that were measured have a fraction; those that are configured have none.
fn is_duration(word: &str) -> bool {
    let ends = word.ends_with('s') || word.ends_with("ms") || word.ends_with("µs");
    ends && word.starts_with(|c: char| c.is_ascii_digit())
        && (word.contains('.') || word.ends_with("ms") || word.ends_with("µs"))
}

/// The folder that Flux unpacks an artifact into has another number each time.
fn without_folder(word: &str) -> String {
    match word.find("/tmp/kustomization-") {
        None => word.to_owned(),
        Some(start) => {
            let rest = &word[start + 5..];
            let end = rest.find('/').unwrap_or(rest.len());
            format!("{}{}", &word[..start], &rest[end..])
        }
    }
}
