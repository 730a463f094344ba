//! The columns and rows that kubectl prints: those of Kubernetes' own kinds, and of Flux' as their
//! definitions name them.
//!
//! Source: `kubernetes:pkg/printers/internalversion/printers.go`; `additionalPrinterColumns` of
//! Flux' definitions.

use std::time::SystemTime;

use gitops::get::{PodRow, age, since};
use serde_json::{Value, json};

/// `columnDefinitions` of a kind.
pub(super) fn columns(kind: &str) -> Vec<Value> {
    let column = |(name, priority): &(&str, u8)| {
        json!({
            "name": name, "type": "string", "description": "", "priority": priority,
            "format": if *name == "Name" { "name" } else { "" },
        })
    };
    names(kind).iter().map(column).collect()
}

/// The names of the columns; those of priority 1 are shown by `-o wide`.
fn names(kind: &str) -> &'static [(&'static str, u8)] {
    match kind {
        "Pod" => &[
            ("Name", 0),
            ("Ready", 0),
            ("Status", 0),
            ("Restarts", 0),
            ("Age", 0),
            ("IP", 1),
            ("Node", 1),
            ("Nominated Node", 1),
            ("Readiness Gates", 1),
        ],
        "Deployment" => &[
            ("Name", 0),
            ("Ready", 0),
            ("Up-to-date", 0),
            ("Available", 0),
            ("Age", 0),
            ("Containers", 1),
            ("Images", 1),
            ("Selector", 1),
        ],
        "ReplicaSet" => &[("Name", 0), ("Desired", 0), ("Current", 0), ("Ready", 0), ("Age", 0)],
        "Service" => &[
            ("Name", 0),
            ("Type", 0),
            ("Cluster-IP", 0),
            ("External-IP", 0),
            ("Port(s)", 0),
            ("Age", 0),
            ("Selector", 1),
        ],
        "Event" => &[
            ("Last Seen", 0),
            ("Type", 0),
            ("Reason", 0),
            ("Object", 0),
            ("Source", 1),
            ("Message", 0),
            ("First Seen", 1),
            ("Count", 1),
            ("Name", 1),
        ],
        "Namespace" => &[("Name", 0), ("Status", 0), ("Age", 0)],
        "Node" => &[
            ("Name", 0),
            ("Status", 0),
            ("Roles", 0),
            ("Age", 0),
            ("Version", 0),
            ("Internal-IP", 1),
        ],
        "ConfigMap" => &[("Name", 0), ("Data", 0), ("Age", 0)],
        "Secret" => &[("Name", 0), ("Type", 0), ("Data", 0), ("Age", 0)],
        "GitRepository" | "OCIRepository" | "HelmRepository" => {
            &[("Name", 0), ("URL", 0), ("Age", 0), ("Ready", 0), ("Status", 0)]
        }
        "Kustomization" | "HelmRelease" => &[("Name", 0), ("Age", 0), ("Ready", 0), ("Status", 0)],
        _ => &[("Name", 0), ("Age", 0)],
    }
}

/// The row of an object.
pub(super) fn cells(kind: &str, object: &Value, now: SystemTime) -> Vec<Value> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let count = |pointer: &str| object.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let (name, age) = (text("/metadata/name").to_owned(), age(object, now));
    let cells: Vec<String> = match kind {
        "Pod" => {
            let PodRow { ready, status, restarts } = PodRow::of(object, now);
            let none = || "<none>".to_owned();
            let (address, node) = (or_none(text("/status/podIP")), or_none(text("/spec/nodeName")));
            vec![name, ready, status, restarts, age, address, node, none(), none()]
        }
        "Deployment" => {
            let wanted = object["spec"]["replicas"].as_u64().unwrap_or(1);
            let of_containers = |field: &str| {
                let list = object.pointer("/spec/template/spec/containers");
                let list = list.and_then(Value::as_array).into_iter().flatten();
                list.filter_map(|it| it[field].as_str()).collect::<Vec<_>>().join(",")
            };
            vec![
                name,
                format!("{}/{wanted}", count("/status/readyReplicas")),
                count("/status/updatedReplicas").to_string(),
                count("/status/availableReplicas").to_string(),
                age,
                of_containers("name"),
                of_containers("image"),
                pairs(object.pointer("/spec/selector/matchLabels")),
            ]
        }
        "ReplicaSet" => vec![
            name,
            count("/spec/replicas").to_string(),
            count("/status/replicas").to_string(),
            count("/status/readyReplicas").to_string(),
            age,
        ],
        "Service" => vec![
            name,
            or(text("/spec/type"), "ClusterIP"),
            or_none(text("/spec/clusterIP")),
            "<none>".to_owned(),
            ports(object),
            age,
            pairs(object.pointer("/spec/selector")),
        ],
        "Event" => {
            let about = &object["involvedObject"];
            let of = |field: &str| about[field].as_str().unwrap_or_default();
            vec![
                since(text("/lastTimestamp"), now),
                text("/type").to_owned(),
                text("/reason").to_owned(),
                format!("{}/{}", of("kind").to_lowercase(), of("name")),
                text("/source/component").to_owned(),
                text("/message").trim().to_owned(),
                since(text("/firstTimestamp"), now),
                count("/count").max(1).to_string(),
                name,
            ]
        }
        "Namespace" => vec![name, or(text("/status/phase"), "Active"), age],
        "Node" => vec![
            name,
            if ready(object).0 == "True" { "Ready" } else { "NotReady" }.to_owned(),
            "<none>".to_owned(),
            age,
            text("/status/nodeInfo/kubeletVersion").to_owned(),
            text("/status/addresses/0/address").to_owned(),
        ],
        "ConfigMap" => vec![name, n_keys(object, &["data", "binaryData"]), age],
        "Secret" => {
            let keys = n_keys(object, &["data", "stringData"]);
            vec![name, or(text("/type"), "Opaque"), keys, age]
        }
        "GitRepository" | "OCIRepository" | "HelmRepository" => {
            let (is_ready, status) = ready(object);
            vec![name, text("/spec/url").to_owned(), age, is_ready, status]
        }
        "Kustomization" | "HelmRelease" => {
            let (is_ready, status) = ready(object);
            vec![name, age, is_ready, status]
        }
        _ => vec![name, age],
    };
    cells.into_iter().map(Value::String).collect()
}

/// Status and message of the condition Ready.
fn ready(object: &Value) -> (String, String) {
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    let mut ready = conditions.filter(|it| it["type"] == "Ready");
    let text = |it: &Value, field: &str| it[field].as_str().unwrap_or_default().to_owned();
    ready.next().map_or_else(Default::default, |it| (text(it, "status"), text(it, "message")))
}

fn ports(service: &Value) -> String {
    let ports = service["spec"]["ports"].as_array().into_iter().flatten();
    let port = |it: &Value| format!("{}/{}", it["port"], it["protocol"].as_str().unwrap_or("TCP"));
    or_none(&ports.map(port).collect::<Vec<_>>().join(","))
}

fn pairs(map: Option<&Value>) -> String {
    let pairs = map.and_then(Value::as_object).into_iter().flatten();
    let pair =
        |(key, value): (&String, &Value)| format!("{key}={}", value.as_str().unwrap_or_default());
    or_none(&pairs.map(pair).collect::<Vec<_>>().join(","))
}

fn n_keys(object: &Value, fields: &[&str]) -> String {
    let keys = fields.iter().filter_map(|field| object[field].as_object());
    let keys: std::collections::BTreeSet<_> = keys.flat_map(serde_json::Map::keys).collect();
    keys.len().to_string()
}

fn or_none(text: &str) -> String {
    or(text, "<none>")
}

fn or(text: &str, other: &str) -> String {
    if text.is_empty() { other.to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn rows_have_as_many_cells_as_there_are_columns() {
        for kind in [
            "Pod",
            "Deployment",
            "Service",
            "Event",
            "Namespace",
            "Node",
            "ConfigMap",
            "Secret",
            "GitRepository",
            "Kustomization",
            "ReplicaSet",
            "Role",
        ] {
            let cells = cells(kind, &json!({"metadata": {"name": "a"}}), SystemTime::UNIX_EPOCH);
            assert_eq!(cells.len(), columns(kind).len(), "{kind}");
        }
    }

    #[test]
    fn rows_say_what_kubectl_prints() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(90);
        let told = |kind: &str, object: Value| {
            let cells = cells(kind, &object, now);
            cells.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
        };
        let service = json!({
            "metadata": {"name": "web", "creationTimestamp": "1970-01-01T00:00:00Z"},
            "spec": {"clusterIP": "127.1.0.1", "ports": [{"port": 80}, {"port": 53, "protocol": "UDP"}], "selector": {"app": "web"}},
        });
        assert_eq!(
            told("Service", service),
            "web ClusterIP 127.1.0.1 <none> 80/TCP,53/UDP 90s app=web"
        );
        let source = json!({
            "metadata": {"name": "flux-system"}, "spec": {"url": "https://git.example/a"},
            "status": {"conditions": [{"type": "Ready", "status": "True", "message": "stored"}]},
        });
        assert_eq!(
            told("GitRepository", source),
            "flux-system https://git.example/a <unknown> True stored"
        );
        let event = json!({
            "metadata": {"name": "web.1"}, "involvedObject": {"kind": "Pod", "name": "web"},
            "type": "Warning", "reason": "BackOff", "message": "again ", "count": 3,
            "firstTimestamp": "1970-01-01T00:00:30Z", "lastTimestamp": "1970-01-01T00:01:00Z",
            "source": {"component": "kubelet"},
        });
        assert_eq!(told("Event", event), "30s Warning BackOff pod/web kubelet again 60s 3 web.1");
        let secret =
            json!({"metadata": {"name": "s"}, "data": {"a": ""}, "stringData": {"a": "", "b": ""}});
        assert_eq!(told("Secret", secret), "s Opaque 2 <unknown>");
    }
}
