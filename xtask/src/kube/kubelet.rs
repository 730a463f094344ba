//! A kubelet that runs nothing: it takes every pod, and says of each what its annotation asks for.
//! That is enough of a node for whoever waits for health.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Api;

/// The one node.
pub(super) const NODE: &str = "node-1";

/// What a pod is to do, in place of being ready: `notready`, `crash` or `badimage`.
pub(crate) const BEHAVIOUR: &str = "kit-rs.test/behaviour";

/// Runs until it is dropped.
pub(crate) struct FakeKubelet {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl FakeKubelet {
    /// Registers a node and takes all pods.
    pub(crate) fn start(api: Api) -> anyhow::Result<Self> {
        let node = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": NODE, "labels": {"kubernetes.io/os": "linux", "kubernetes.io/hostname": NODE}},
        });
        api.create("api/v1/nodes", &node)?;
        let over = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&over);
        let work = move || {
            let mut turns = 0u32;
            let begun = Instant::now();
            while !end.load(Ordering::Acquire) {
                // What fails once is tried again in the next turn.
                if turns.is_multiple_of(20) {
                    let _ = beat(&api, begun.elapsed().as_secs());
                }
                let _ = look(&api);
                turns += 1;
                std::thread::sleep(Duration::from_millis(400));
            }
        };
        let thread = std::thread::Builder::new().name("kubelet".into()).spawn(work)?;
        Ok(Self { over, thread: Some(thread) })
    }
}

impl Drop for FakeKubelet {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn beat(api: &Api, seconds: u64) -> anyhow::Result<()> {
    let capacity = json!({"cpu": "64", "memory": "256Gi", "pods": "250"});
    // Whoever watches nodes looks whether this time moves, and not what it is.
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let heard = format!("2026-01-01T{hours:02}:{minutes:02}:{seconds:02}Z");
    let ready = json!({
        "type": "Ready", "status": "True", "reason": "Fake", "message": "nothing is run",
        "lastHeartbeatTime": heard,
    });
    let status = json!({
        "conditions": [ready], "capacity": capacity, "allocatable": capacity,
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
    });
    api.patch(&format!("api/v1/nodes/{NODE}/status"), &json!({"status": status}))?;
    // The node lifecycle controller marks those that it has not heard of.
    let _ = api.patch(&format!("api/v1/nodes/{NODE}"), &json!({"spec": {"taints": null}}));
    Ok(())
}

fn look(api: &Api) -> anyhow::Result<()> {
    for pod in api.list("api/v1/pods")? {
        let text = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
        let path = format!("api/v1/namespaces/{namespace}/pods/{name}");
        if pod["metadata"]["deletionTimestamp"].is_string() {
            let _ = api.delete(&path, true);
        } else if text("/spec/nodeName").is_empty() {
            let target = json!({"apiVersion": "v1", "kind": "Node", "name": NODE});
            let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": target});
            let _ = api.create(&format!("{path}/binding"), &binding);
        } else {
            let status = status(&pod);
            let is_same = ["phase", "containerStatuses"]
                .iter()
                .all(|field| pod["status"].get(*field).map(shape) == status.get(*field).map(shape));
            if !is_same {
                let _ = api.patch(&format!("{path}/status"), &json!({"status": status}));
            }
        }
    }
    Ok(())
}

/// What of a status tells one from another.
fn shape(value: &Value) -> Value {
    match value.as_array() {
        None => value.clone(),
        Some(containers) => containers
            .iter()
            .map(|it| {
                json!([
                    it["ready"],
                    it["state"].as_object().map(|it| it.keys().cloned().collect::<Vec<_>>())
                ])
            })
            .collect(),
    }
}

fn status(pod: &Value) -> Value {
    let behaviour = pod["metadata"]["annotations"][BEHAVIOUR].as_str().unwrap_or_default();
    let is_ready = behaviour.is_empty();
    let start = &pod["metadata"]["creationTimestamp"];
    let waiting = |reason: &str| json!({"waiting": {"reason": reason, "message": reason}});
    let (phase, state) = match behaviour {
        "crash" => ("Running", waiting("CrashLoopBackOff")),
        "badimage" => ("Pending", waiting("ImagePullBackOff")),
        _ => ("Running", json!({"running": {"startedAt": start}})),
    };
    let containers: Vec<Value> = pod["spec"]["containers"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|it| {
            json!({
                "name": it["name"], "image": it["image"], "imageID": it["image"], "ready": is_ready,
                "started": is_ready, "restartCount": 0, "state": state,
            })
        })
        .collect();
    let condition = |kind: &str, holds: bool| json!({"type": kind, "status": if holds { "True" } else { "False" }, "lastTransitionTime": start});
    json!({
        "phase": phase, "podIP": "127.0.0.1", "hostIP": "127.0.0.1", "startTime": start,
        "containerStatuses": containers,
        "conditions": [
            condition("Initialized", true), condition("PodScheduled", true),
            condition("ContainersReady", is_ready), condition("Ready", is_ready),
        ],
    })
}
