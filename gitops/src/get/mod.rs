//! Tables of what a cluster holds, as `flux get` and `kubectl get` print them: Kubernetes' JSON in,
//! rows of text out.

mod pod;

use std::io::Write as _;
use std::time::{Duration, SystemTime};
use std::{fmt, iter};

use jiff::Timestamp;
use serde_json::Value;
use tabwriter::TabWriter;

pub use self::pod::PodRow;
use crate::ObjectId;

/// A table of texts; printing it aligns the columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The names of the columns.
    pub header: Vec<&'static str>,
    /// The rows.
    pub rows: Vec<Vec<String>>,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = TabWriter::new(Vec::new()).minwidth(0).padding(3);
        for line in
            iter::once(self.header.join("\t")).chain(self.rows.iter().map(|row| row.join("\t")))
        {
            writeln!(table, "{line}").map_err(|_| fmt::Error)?;
        }
        let text = table.into_inner().map_err(|_| fmt::Error)?;
        String::from_utf8_lossy(&text)
            .lines()
            .try_for_each(|line| writeln!(f, "{}", line.trim_end()))
    }
}

/// `flux get kustomizations -A`, of a KustomizationList.
pub fn kustomizations(list: &Value) -> Table {
    let row = |item: &Value| {
        let ready = item["status"]["conditions"].as_array().and_then(|conditions| {
            conditions.iter().find(|condition| condition["type"] == "Ready")
        });
        let suspended = if item["spec"]["suspend"] == true { "True" } else { "False" };
        let (status, message) = ready
            .map_or(("Unknown", ""), |ready| (text(&ready["status"]), text(&ready["message"])));
        let revision = short_revision(text(&item["status"]["lastAppliedRevision"]));
        vec![
            metadata(item, "namespace"),
            metadata(item, "name"),
            revision,
            suspended.to_owned(),
            status.to_owned(),
            short_revision(message),
        ]
    };
    Table {
        header: vec!["NAMESPACE", "NAME", "REVISION", "SUSPENDED", "READY", "MESSAGE"],
        rows: items(list).iter().map(row).collect(),
    }
}

/// `kubectl get pods -A`, of a PodList.
pub fn pods(list: &Value, now: SystemTime) -> Table {
    let row = |item: &Value| {
        let PodRow { ready, status, restarts } = PodRow::of(item, now);
        let (namespace, name) = (metadata(item, "namespace"), metadata(item, "name"));
        vec![namespace, name, ready, status, restarts, age(item, now)]
    };
    Table {
        header: vec!["NAMESPACE", "NAME", "READY", "STATUS", "RESTARTS", "AGE"],
        rows: items(list).iter().map(row).collect(),
    }
}

/// `kubectl get deployments -A`, of a DeploymentList.
pub fn deployments(list: &Value, now: SystemTime) -> Table {
    let row = |item: &Value| {
        let count = |field: &str| item["status"][field].as_u64().unwrap_or(0);
        let wanted = item["spec"]["replicas"].as_u64().unwrap_or(1);
        let ready = format!("{}/{wanted}", count("readyReplicas"));
        vec![
            metadata(item, "namespace"),
            metadata(item, "name"),
            ready,
            count("updatedReplicas").to_string(),
            count("availableReplicas").to_string(),
            age(item, now),
        ]
    };
    Table {
        header: vec!["NAMESPACE", "NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"],
        rows: items(list).iter().map(row).collect(),
    }
}

/// `flux tree kustomization`, of a KustomizationList: what one of them has applied, with what the
/// Kustomizations among it have. None where there is no such Kustomization.
pub fn tree(list: &Value, namespace: &str, name: &str) -> Option<String> {
    let mut lines = vec![format!("Kustomization/{namespace}/{name}")];
    branch(list, (namespace, name), "", &mut Vec::new(), &mut lines)?;
    Some(lines.join("\n"))
}

fn branch(
    list: &Value,
    (namespace, name): (&str, &str),
    indent: &str,
    above: &mut Vec<ObjectId>,
    lines: &mut Vec<String>,
) -> Option<()> {
    let is_it =
        |it: &&Value| metadata(it, "namespace") == namespace && metadata(it, "name") == name;
    let found = items(list).iter().find(is_it)?;
    let entries = found["status"]["inventory"]["entries"].as_array();
    let entries: Vec<ObjectId> = entries
        .into_iter()
        .flatten()
        .filter_map(|entry| ObjectId::from_inventory(text(&entry["id"]), text(&entry["v"])))
        .collect();
    for (n, id) in entries.iter().enumerate() {
        let is_last = n + 1 == entries.len();
        let (knot, space) = if is_last { ("└── ", "    ") } else { ("├── ", "│   ") };
        lines.push(format!("{indent}{knot}{id}"));
        // One that lists itself, as Flux' own does, has no end.
        let is_flux = id.group == "kustomize.toolkit.fluxcd.io" && id.kind == "Kustomization";
        if is_flux && (&*id.namespace, &*id.name) != (namespace, name) && !above.contains(id) {
            above.push(id.clone());
            let indent = format!("{indent}{space}");
            let _ = branch(list, (&id.namespace, &id.name), &indent, above, lines);
            above.pop();
        }
    }
    Some(())
}

fn items(list: &Value) -> &[Value] {
    list["items"].as_array().map_or(&[], Vec::as_slice)
}

fn metadata(item: &Value, field: &str) -> String {
    text(&item["metadata"][field]).to_owned()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Shortens every commit of a text to eight digits: `main@sha1:0123456789…` becomes
/// `main@sha1:01234567`.
fn short_revision(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(place) = rest.find("@sha1:") {
        let start = place + "@sha1:".len();
        let hex =
            rest[start..].find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len() - start);
        out.push_str(&rest[..start + hex.min(8)]);
        rest = &rest[start + hex..];
    }
    out + rest
}

/// How old an object is, as kubectl prints it.
pub fn age(item: &Value, now: SystemTime) -> String {
    since(text(&item["metadata"]["creationTimestamp"]), now)
}

/// How long ago a time was that Kubernetes wrote.
pub fn since(time: &str, now: SystemTime) -> String {
    parse_timestamp(time).map_or_else(
        || "<unknown>".to_owned(),
        |time| human(now.duration_since(time).unwrap_or_default()),
    )
}

/// A span as kubectl prints it: two units while they matter.
fn human(span: Duration) -> String {
    let s = span.as_secs();
    let (m, h, d) = (s / 60, s / 3600, s / 86_400);
    let two = |big: u64, unit: &str, small: u64, small_unit: &str| {
        if small == 0 { format!("{big}{unit}") } else { format!("{big}{unit}{small}{small_unit}") }
    };
    match s {
        0..120 => format!("{s}s"),
        120..600 => two(m, "m", s % 60, "s"),
        600..10_800 => format!("{m}m"),
        10_800..28_800 => two(h, "h", m % 60, "m"),
        28_800..172_800 => format!("{h}h"),
        172_800..691_200 => two(d, "d", h % 24, "h"),
        _ => format!("{d}d"),
    }
}

/// A time as Kubernetes writes it, `2026-01-31T12:00:00Z`.
pub fn timestamp(time: SystemTime) -> String {
    let time = Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{time:.0}")
}

/// Reads a time as Kubernetes writes it; fractions of a second are dropped.
pub fn parse_timestamp(text: &str) -> Option<SystemTime> {
    let seconds = text.parse::<Timestamp>().ok()?.as_second();
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn kustomizations_look_as_in_flux() {
        let revision = format!("main@sha1:{}", "0123456789".repeat(4));
        let list = json!({"items": [
            {"metadata": {"namespace": "flux-system", "name": "distilbert-app"}, "spec": {}, "status": {"lastAppliedRevision": revision, "conditions": [{"type": "Ready", "status": "True", "message": format!("Applied revision: {revision}")}]}},
            {"metadata": {"namespace": "flux-system", "name": "x"}, "spec": {"suspend": true}},
        ]});
        expect![[r"
            NAMESPACE     NAME             REVISION             SUSPENDED   READY     MESSAGE
            flux-system   distilbert-app   main@sha1:01234567   False       True      Applied revision: main@sha1:01234567
            flux-system   x                                     True        Unknown
        "]]
        .assert_eq(&kustomizations(&list).to_string());
    }

    #[test]
    fn what_was_applied_hangs_from_what_applied_it() {
        let of = |name: &str, ids: &[&str]| {
            let entries: Vec<Value> = ids.iter().map(|id| json!({"id": id, "v": "v1"})).collect();
            json!({"metadata": {"namespace": "flux-system", "name": name}, "status": {"inventory": {"entries": entries}}})
        };
        let app = "flux-system_a-app_kustomize.toolkit.fluxcd.io_Kustomization";
        let own = "flux-system_flux-system_kustomize.toolkit.fluxcd.io_Kustomization";
        let list = json!({"items": [
            of("flux-system", &["_a__Namespace", app, own]),
            of("a-app", &["a_a__Service", "a_a_apps_Deployment", own]),
        ]});
        expect![[r"
            Kustomization/flux-system/flux-system
            ├── Namespace/a
            ├── Kustomization/flux-system/a-app
            │   ├── Service/a/a
            │   ├── Deployment/a/a
            │   └── Kustomization/flux-system/flux-system
            │       ├── Namespace/a
            │       ├── Kustomization/flux-system/a-app
            │       └── Kustomization/flux-system/flux-system
            └── Kustomization/flux-system/flux-system"]]
        .assert_eq(&tree(&list, "flux-system", "flux-system").unwrap());
        assert_eq!(tree(&list, "flux-system", "b"), None);
    }

    #[test]
    fn pods_and_deployments_look_as_in_kubectl() {
        let list = json!({"items": [
            {"metadata": {"namespace": "d", "name": "a-1", "creationTimestamp": "1970-01-01T00:00:10Z"}, "spec": {"containers": [{}]}, "status": {"phase": "Running", "containerStatuses": [{"ready": true, "restartCount": 2, "state": {"running": {}}}]}},
            {"metadata": {"namespace": "d", "name": "a-2", "deletionTimestamp": "x"}, "spec": {"containers": [{}]}, "status": {"phase": "Running"}},
            {"metadata": {"namespace": "d", "name": "a-3"}, "spec": {"containers": [{}]}, "status": {"phase": "Pending", "containerStatuses": [{"ready": false, "state": {"waiting": {"reason": "ContainerCreating"}}}]}},
        ]});
        expect![[r"
            NAMESPACE   NAME   READY   STATUS              RESTARTS   AGE
            d           a-1    1/1     Running             2          30m
            d           a-2    0/1     Terminating         0          <unknown>
            d           a-3    0/1     ContainerCreating   0          <unknown>
        "]]
        .assert_eq(&pods(&list, at(1810)).to_string());
        let list = json!({"items": [{"metadata": {"namespace": "d", "name": "a", "creationTimestamp": "1970-01-01T00:00:00Z"}, "spec": {"replicas": 2}, "status": {"readyReplicas": 1, "updatedReplicas": 2, "availableReplicas": 1}}]});
        expect![[r"
            NAMESPACE   NAME   READY   UP-TO-DATE   AVAILABLE   AGE
            d           a      1/2     2            1           45s
        "]]
        .assert_eq(&deployments(&list, at(45)).to_string());
    }

    #[test]
    fn times_are_printed_and_read_back() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_102_444_800, "2100-01-01T00:00:00Z"),
        ] {
            assert_eq!(timestamp(at(seconds)), text);
            assert_eq!(parse_timestamp(text), Some(at(seconds)));
        }
        assert_eq!(parse_timestamp("2000-02-29T00:00:00.123456Z"), Some(at(951_782_400)));
        for bad in ["", "x", "2000-02-29", "2000-13-01T00:00:00Z", "1969-01-01T00:00:00Z"] {
            assert_eq!(parse_timestamp(bad), None, "{bad}");
        }
    }

    #[test]
    fn spans_have_two_units_while_they_matter() {
        let texts = [5, 119, 150, 600, 3600, 11_100, 90_000, 180_000, 900_000]
            .map(|s| human(Duration::from_secs(s)));
        assert_eq!(texts, ["5s", "119s", "2m30s", "10m", "60m", "3h5m", "25h", "2d2h", "10d"]);
    }
}
