//! The one node, as an object: this machine.

use std::time::SystemTime;

use gitops::Object;
use gitops::get::timestamp;
use serde_json::{Value, json};

use crate::store::Store;
use crate::{NODE, Result};

/// The version of Kubernetes whose API and behaviour these are, and our own.
pub(crate) const VERSION: &str = concat!("v1.36.0-kit-rs.", env!("CARGO_PKG_VERSION"));

/// Adds it to the store.
pub(crate) fn register(store: &Store) -> Result<()> {
    let node = Object::from_value(json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": NODE,
            "labels": {
                "kubernetes.io/hostname": NODE,
                "kubernetes.io/os": std::env::consts::OS,
                "kubernetes.io/arch": architecture(),
            },
        },
        "spec": {},
    }))?;
    store.apply(&node)?;
    store.set_status(&node.id(), status())
}

fn status() -> Value {
    let now = timestamp(SystemTime::now());
    let n_cores = std::thread::available_parallelism().map_or(1, usize::from).to_string();
    let mut room = json!({"cpu": n_cores, "pods": "110"});
    if let Some(kilobytes) = memory() {
        room["memory"] = format!("{kilobytes}Ki").into();
    }
    json!({
        "conditions": [{
            "type": "Ready", "status": "True", "reason": "KubeletReady",
            "message": "pods are processes of this machine",
            "lastHeartbeatTime": now, "lastTransitionTime": now,
        }],
        "addresses": [
            {"type": "InternalIP", "address": "127.0.0.1"}, {"type": "Hostname", "address": NODE},
        ],
        "capacity": room,
        "allocatable": room,
        "nodeInfo": {
            "kubeletVersion": VERSION, "operatingSystem": std::env::consts::OS,
            "architecture": architecture(), "containerRuntimeVersion": "process://1",
            "machineID": "", "systemUUID": "", "bootID": "", "kernelVersion": "", "osImage": "",
            "kubeProxyVersion": "",
        },
    })
}

/// The machine's memory in units of 1024 bytes, where it says so (proc_meminfo(5)).
fn memory() -> Option<u64> {
    let info = fs_err::read_to_string("/proc/meminfo").ok()?;
    let total = info.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    total.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// As Go names it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
