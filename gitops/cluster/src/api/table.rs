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
        let is = if is_number(kind, name) { "integer" } else { "string" };
        json!({
            "name": name, "type": is, "description": "", "priority": priority,
            "format": if *name == "Name" { "name" } else { "" },
        })
    };
    names(kind).iter().map(column).collect()
}

/// Whether a column has numbers.
fn is_number(kind: &str, name: &str) -> bool {
    ["Available", "Count", "Current", "Data", "Desired", "Up-to-date"].contains(&name)
        || (kind, name) == ("ReplicaSet", "Ready")
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
        "ReplicaSet" => &[
            ("Name", 0),
            ("Desired", 0),
            ("Current", 0),
            ("Ready", 0),
            ("Age", 0),
            ("Containers", 1),
            ("Images", 1),
            ("Selector", 1),
        ],
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
            ("Subobject", 1),
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
            ("External-IP", 1),
            ("OS-Image", 1),
            ("Kernel-Version", 1),
            ("Container-Runtime", 1),
        ],
        "NetworkPolicy" => &[("Name", 0), ("Pod-Selector", 0), ("Age", 0)],
        "ConfigMap" => &[("Name", 0), ("Data", 0), ("Age", 0)],
        "Secret" => &[("Name", 0), ("Type", 0), ("Data", 0), ("Age", 0)],
        "GitRepository" | "HelmRepository" => {
            &[("Name", 0), ("URL", 0), ("Age", 0), ("Ready", 0), ("Status", 0)]
        }
        "OCIRepository" => &[("Name", 0), ("URL", 0), ("Ready", 0), ("Status", 0), ("Age", 0)],
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
            vec![
                name,
                format!("{}/{wanted}", count("/status/readyReplicas")),
                count("/status/updatedReplicas").to_string(),
                count("/status/availableReplicas").to_string(),
                age,
                of_template(object, "name"),
                of_template(object, "image"),
                pairs(object.pointer("/spec/selector/matchLabels")),
            ]
        }
        "ReplicaSet" => vec![
            name,
            count("/spec/replicas").to_string(),
            count("/status/replicas").to_string(),
            count("/status/readyReplicas").to_string(),
            age,
            of_template(object, "name"),
            of_template(object, "image"),
            pairs(object.pointer("/spec/selector/matchLabels")),
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
                of("fieldPath").to_owned(),
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
            or_none(text("/status/addresses/0/address")),
            "<none>".to_owned(),
            or(text("/status/nodeInfo/osImage"), "<unknown>"),
            or(text("/status/nodeInfo/kernelVersion"), "<unknown>"),
            or(text("/status/nodeInfo/containerRuntimeVersion"), "<unknown>"),
        ],
        "NetworkPolicy" => vec![name, pairs(object.pointer("/spec/podSelector/matchLabels")), age],
        "ConfigMap" => vec![name, n_keys(object, &["data", "binaryData"]), age],
        "Secret" => {
            let keys = n_keys(object, &["data", "stringData"]);
            vec![name, or(text("/type"), "Opaque"), keys, age]
        }
        "GitRepository" | "HelmRepository" => {
            let (is_ready, status) = ready(object);
            vec![name, text("/spec/url").to_owned(), age, is_ready, status]
        }
        "OCIRepository" => {
            let (is_ready, status) = ready(object);
            vec![name, text("/spec/url").to_owned(), is_ready, status, age]
        }
        "Kustomization" | "HelmRelease" => {
            let (is_ready, status) = ready(object);
            vec![name, age, is_ready, status]
        }
        _ => vec![name, age],
    };
    let cell = |(text, (name, _)): (String, &(&str, u8))| match text.parse::<u64>() {
        Ok(number) if is_number(kind, name) => number.into(),
        _ => text.into(),
    };
    cells.into_iter().zip(names(kind)).map(cell).collect()
}

/// A field of the containers of a template.
fn of_template(object: &Value, field: &str) -> String {
    let list = object.pointer("/spec/template/spec/containers");
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|it| it[field].as_str()).collect::<Vec<_>>().join(",")
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

    /// What Kubernetes' own printers say of `objects.json` (`make.go` beside it).
    #[test]
    fn rows_are_those_of_a_real_server() {
        let objects = include_str!("../../testdata/tables/objects.json");
        let objects: Vec<Value> = serde_json::from_str(objects).unwrap();
        let expected = include_str!("../../testdata/tables/tables.jsonl");
        let hour = Duration::from_secs(3600);
        let now = gitops::get::parse_timestamp("2026-01-01T00:00:00Z").unwrap() + hour;
        assert_eq!(objects.len(), expected.lines().count());
        for (object, line) in objects.iter().zip(expected.lines()) {
            let expected: Value = serde_json::from_str(line).unwrap();
            let kind = object["kind"].as_str().unwrap();
            let named = names(kind).iter().map(|(name, priority)| format!("{name}/{priority}"));
            let told = json!({
                "kind": kind, "name": object["metadata"]["name"],
                "columns": named.collect::<Vec<_>>(), "cells": cells(kind, object, now),
            });
            assert_eq!(told, expected);
        }
    }

    /// As Flux' definitions name the columns (`additionalPrinterColumns`).
    #[test]
    fn rows_of_flux_say_how_it_is() {
        let now = SystemTime::UNIX_EPOCH;
        let told = |kind: &str, object: Value| {
            let cells = cells(kind, &object, now);
            cells.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
        };
        let source = json!({
            "metadata": {"name": "flux-system"}, "spec": {"url": "https://git.example/a"},
            "status": {"conditions": [{"type": "Ready", "status": "True", "message": "stored"}]},
        });
        assert_eq!(
            told("GitRepository", source.clone()),
            "flux-system https://git.example/a <unknown> True stored"
        );
        assert_eq!(
            told("OCIRepository", source.clone()),
            "flux-system https://git.example/a True stored <unknown>"
        );
        assert_eq!(told("Kustomization", source), "flux-system <unknown> True stored");
    }
}
