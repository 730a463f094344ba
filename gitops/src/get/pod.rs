//! The row of a pod: how many of its containers are ready, and in a word how it is.
//!
//! Source: `printPod` of `kubernetes:pkg/printers/internalversion/printers.go`.

use std::time::SystemTime;

use serde_json::Value;

use super::{since, text};

/// The columns of a pod between its name and its age.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodRow {
    /// `1/2`: containers that are ready, of all.
    pub ready: String,
    /// `Running`, `Init:0/1`, `CrashLoopBackOff`, `Terminating`, …
    pub status: String,
    /// `0`, or `3 (2m ago)`.
    pub restarts: String,
}

/// What the containers of a pod say so far.
#[derive(Default)]
struct Count {
    ready: usize,
    restarts: u64,
    /// The latest end of a former run.
    last: Option<String>,
}

impl Count {
    fn restart(&mut self, container: &Value) {
        self.restarts += container["restartCount"].as_u64().unwrap_or(0);
        let ended = container["lastState"]["terminated"]["finishedAt"].as_str();
        // Times of one form are ordered as texts are.
        self.last = self.last.take().max(ended.map(str::to_owned));
    }
}

impl PodRow {
    /// The row of a pod.
    pub fn of(pod: &Value, now: SystemTime) -> Self {
        let list = |pointer: &str| pod.pointer(pointer).and_then(Value::as_array);
        let n_init = list("/spec/initContainers").map_or(0, Vec::len);
        let is_sidecar = |name: &Value| {
            let of_spec = list("/spec/initContainers").into_iter().flatten();
            of_spec.filter(|it| it["name"] == *name).any(|it| it["restartPolicy"] == "Always")
        };
        let own = text(&pod["status"]["reason"]);
        let phase = text(&pod["status"]["phase"]);
        let mut status = match (own, phase) {
            ("", "") => "Unknown".to_owned(),
            ("", phase) => phase.to_owned(),
            (own, _) => own.to_owned(),
        };
        let (mut count, mut of_sidecars) = (Count::default(), Count::default());
        let mut is_initializing = false;
        for (n, container) in
            list("/status/initContainerStatuses").into_iter().flatten().enumerate()
        {
            count.restart(container);
            let is_sidecar = is_sidecar(&container["name"]);
            if is_sidecar {
                of_sidecars.restart(container);
            }
            let (ended, waits) =
                (&container["state"]["terminated"], &container["state"]["waiting"]);
            let reason = text(&waits["reason"]);
            if ended["exitCode"] == 0 {
                continue;
            }
            if is_sidecar && container["started"] == true {
                count.ready += usize::from(container["ready"] == true);
                continue;
            }
            status = match (ended.is_object(), reason) {
                (true, _) => format!("Init:{}", why_ended(ended)),
                (false, "" | "PodInitializing") => format!("Init:{n}/{n_init}"),
                (false, reason) => format!("Init:{reason}"),
            };
            is_initializing = true;
            break;
        }
        let has_condition = |name: &str| {
            let mut conditions = list("/status/conditions").into_iter().flatten();
            conditions.any(|it| it["type"] == name && it["status"] == "True")
        };
        if !is_initializing || has_condition("Initialized") {
            (count.restarts, count.last) = (of_sidecars.restarts, of_sidecars.last);
            let mut has_running = false;
            for container in list("/status/containerStatuses").into_iter().flatten().rev() {
                count.restart(container);
                let state = &container["state"];
                let waits = text(&state["waiting"]["reason"]);
                if !waits.is_empty() {
                    waits.clone_into(&mut status);
                } else if state["terminated"].is_object() {
                    status = why_ended(&state["terminated"]);
                } else if container["ready"] == true && state["running"].is_object() {
                    has_running = true;
                    count.ready += 1;
                }
            }
            if status == "Completed" && has_running {
                status = if has_condition("Ready") { "Running" } else { "NotReady" }.to_owned();
            }
        }
        if pod["metadata"]["deletionTimestamp"].is_string()
            && !["Succeeded", "Failed"].contains(&phase)
        {
            "Terminating".clone_into(&mut status);
        }
        let all = list("/spec/containers").map_or(0, Vec::len)
            + list("/spec/initContainers")
                .map_or(0, |all| all.iter().filter(|it| it["restartPolicy"] == "Always").count());
        let restarts = match &count.last {
            Some(last) if count.restarts > 0 => {
                format!("{} ({} ago)", count.restarts, since(last, now))
            }
            _ => count.restarts.to_string(),
        };
        Self { ready: format!("{}/{all}", count.ready), status, restarts }
    }
}

/// In a word why a container ended.
fn why_ended(ended: &Value) -> String {
    match (text(&ended["reason"]), ended["signal"].as_u64().filter(|signal| *signal != 0)) {
        ("", Some(signal)) => format!("Signal:{signal}"),
        ("", None) => format!("ExitCode:{}", ended["exitCode"]),
        (reason, _) => reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn check(pod: &Value, expected: &str) {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(190);
        let PodRow { ready, status, restarts } = PodRow::of(pod, now);
        assert_eq!(format!("{ready} {status} {restarts}"), expected, "{pod}");
    }

    /// The expected texts are those of Kubernetes' own printers, as `gitops/cluster/testdata/tables` has
    /// them of such pods.
    #[test]
    fn pods_are_as_kubectl_says() {
        let running = json!({"ready": true, "restartCount": 0, "state": {"running": {}}});
        let crashed = json!({
            "ready": false, "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 1, "finishedAt": "1970-01-01T00:00:10Z"}},
        });
        let pod = |containers: &[&Value], phase: &str| {
            json!({
                "metadata": {}, "spec": {"containers": vec![json!({}); containers.len()]},
                "status": {"phase": phase, "containerStatuses": containers},
            })
        };
        check(&pod(&[&running], "Running"), "1/1 Running 0");
        check(&pod(&[&running, &crashed], "Running"), "1/2 CrashLoopBackOff 3 (3m ago)");
        let done = json!({"ready": false, "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}});
        check(&pod(&[&done], "Succeeded"), "0/1 Completed 0");
        check(&pod(&[&done, &running], "Running"), "1/2 NotReady 0");
        let killed = json!({"state": {"terminated": {"exitCode": 137, "signal": 9}}});
        check(&pod(&[&killed], "Failed"), "0/1 Signal:9 0");
        let mut gone = pod(&[&running], "Running");
        gone["metadata"]["deletionTimestamp"] = "1970-01-01T00:00:10Z".into();
        check(&gone, "1/1 Terminating 0");
        let with_init = |init: Value, restart: &str| {
            let waiting = json!({"state": {"waiting": {"reason": "PodInitializing"}}});
            let mut pod = pod(&[&waiting], "Pending");
            pod["spec"]["initContainers"] = json!([{"name": "i", "restartPolicy": restart}]);
            pod["status"]["initContainerStatuses"] = json!([init]);
            pod
        };
        check(&with_init(json!({"name": "i", "state": {"running": {}}}), ""), "0/1 Init:0/1 0");
        let failed = json!({"name": "i", "state": {"terminated": {"exitCode": 2}}});
        check(&with_init(failed, ""), "0/1 Init:ExitCode:2 0");
        let back_off = json!({"name": "i", "restartCount": 2, "state": {"waiting": {"reason": "CrashLoopBackOff"}}});
        check(&with_init(back_off, ""), "0/1 Init:CrashLoopBackOff 2");
        let sidecar =
            json!({"name": "i", "started": true, "ready": true, "state": {"running": {}}});
        check(&with_init(sidecar, "Always"), "1/2 PodInitializing 0");
    }
}
