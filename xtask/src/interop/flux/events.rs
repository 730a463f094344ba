//! What both tell of each case by events.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::Value;

use super::world::World;
use super::{PEER, differences, say};
use crate::kube::Api;
use crate::report::Report;

/// The events of each Kustomization and GitRepository of Flux' namespace, by its name.
type Told = BTreeMap<String, BTreeSet<String>>;

/// How long events may come behind what they tell of.
const PATIENCE: Duration = Duration::from_secs(20);

/// Compares the events of all cases, each a claim's part: what differs is told by case.
pub(super) fn run(world: &World, report: &mut Report, cases: &[&'static str]) {
    let claim = format!("events: of {} cases both tell the same", cases.len());
    report.claim(PEER, &claim, || {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let [real, ours] = world.both().map(told);
            let (real, ours) = (real?, ours?);
            let different: Vec<String> =
                cases.iter().filter_map(|case| difference(case, &real, &ours)).collect();
            if different.is_empty() {
                ensure!(!real.is_empty(), "there are no events");
                return Ok(());
            }
            if Instant::now() > deadline {
                anyhow::bail!("{} cases differ\n{}", different.len(), different.join("\n"));
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    });
}

fn difference(case: &str, real: &Told, ours: &Told) -> Option<String> {
    let of = |all: &Told| -> BTreeSet<String> {
        let lines = all.get(case).into_iter().flatten();
        lines.map(|line| differences::of_event(case, line)).collect()
    };
    let (real, ours) = (of(real), of(ours));
    let list = |mark: &str, lines: Vec<&String>| -> String {
        lines.into_iter().map(|line| format!("\n  {mark} {line}")).collect()
    };
    (real != ours).then(|| {
        let missing = list("only real:", real.difference(&ours).collect());
        let more = list("only ours:", ours.difference(&real).collect());
        format!("{case}:{missing}{more}")
    })
}

fn told(api: &Api) -> anyhow::Result<Told> {
    let mut all = Told::new();
    for event in api.list("api/v1/namespaces/flux-system/events")? {
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or("");
        if text("/involvedObject/kind") == "Kustomization" {
            let message = say::plain(text("/message")).replace('\n', " | ");
            let line = format!("{} {}: {message}", text("/type"), text("/reason"));
            all.entry(text("/involvedObject/name").to_owned()).or_default().insert(line);
        }
    }
    Ok(all)
}
