//! A pod as an object of the Kubernetes API: the template's spec with what an API server and a
//! scheduler add to it, and the status that a kubelet keeps.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::Pod;
use super::container::{ContainerState, Role, Run};
use super::defaults::with_defaults;
use super::state::State;
use crate::quantity::qos_class;
use crate::spec::Container;

impl Pod {
    /// The pod as an object.
    pub(crate) fn object(&self) -> Value {
        let state = self.state();
        let mut metadata = json!({
            "name": self.metadata.name,
            "namespace": self.metadata.namespace,
            "uid": self.metadata.uid,
            "labels": self.metadata.labels,
            "annotations": self.metadata.annotations,
            "creationTimestamp": self.created.stamp(),
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "controller": true,
                "name": self.owner.set.0, "uid": self.owner.set.1,
            }],
        });
        if let Some(at) = state.stopped_at {
            metadata["deletionTimestamp"] = (at + self.grace).stamp().into();
            metadata["deletionGracePeriodSeconds"] = self.grace.as_secs().into();
        }
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": with_defaults(&self.spec),
            "status": self.status(&state),
        })
    }

    fn status(&self, state: &State) -> Value {
        let all = || self.containers.iter().zip(&state.containers);
        let statuses = |is_main: bool| -> Vec<Value> {
            let some = all().filter(|(_, it)| (it.role == Role::Main) == is_main);
            some.map(|(container, state)| container_status(container, state)).collect()
        };
        let mut status = json!({
            "phase": state.phase(),
            "conditions": conditions(state),
            "hostIP": Ipv4Addr::LOCALHOST,
            "hostIPs": [{"ip": Ipv4Addr::LOCALHOST}],
            "podIP": self.address,
            "podIPs": [{"ip": self.address}],
            "startTime": self.created.stamp(),
            "containerStatuses": statuses(true),
            "qosClass": qos_class(self.containers.iter()),
        });
        let first = statuses(false);
        if !first.is_empty() {
            status["initContainerStatuses"] = first.into();
        }
        status
    }
}

fn conditions(state: &State) -> Value {
    let names = |of: &mut dyn Iterator<Item = &ContainerState>| {
        of.map(|it| it.name.as_str()).collect::<Vec<_>>().join(" ")
    };
    let condition = |(kind, holds, since): &(&str, bool, crate::clock::Moment)| {
        let mut condition = json!({
            "type": kind,
            "status": if *holds { "True" } else { "False" },
            "lastProbeTime": null,
            "lastTransitionTime": since.stamp(),
        });
        if !holds {
            let (reason, message) = match *kind {
                "Initialized" => {
                    let names = names(&mut state.uninitialized());
                    ("ContainersNotInitialized", format!("incomplete status: [{names}]"))
                }
                _ => {
                    let names = names(&mut state.unready());
                    ("ContainersNotReady", format!("unready status: [{names}]"))
                }
            };
            condition["reason"] = reason.into();
            condition["message"] = format!("containers with {message}").into();
        }
        condition
    };
    state.conditions().iter().map(condition).collect()
}

fn container_status(container: &Container, state: &ContainerState) -> Value {
    let now = match (&state.waiting, state.running_since, &state.last) {
        (Some((reason, message)), _, _) if message.is_empty() => {
            json!({"waiting": {"reason": reason}})
        }
        (Some((reason, message)), _, _) => {
            json!({"waiting": {"reason": reason, "message": message}})
        }
        (None, Some(since), _) => json!({"running": {"startedAt": since.stamp()}}),
        (None, None, Some(last)) => terminated(last),
        (None, None, None) => json!({"waiting": {"reason": "ContainerCreating"}}),
    };
    let id = state.pid.or(state.last_pid()).map_or(String::new(), process);
    json!({
        "name": container.name,
        "image": container.image,
        "imageID": if id.is_empty() { "" } else { container.image.as_str() },
        "containerID": id,
        "ready": if state.role == Role::Init { state.is_done() } else { state.ready },
        "started": state.started,
        "restartCount": state.restarts,
        "state": now,
        "lastState": state.before().as_ref().map_or(json!({}), terminated),
    })
}

fn terminated(run: &Run) -> Value {
    json!({"terminated": {
        "exitCode": run.code,
        "reason": run.reason(),
        "startedAt": run.from.stamp(),
        "finishedAt": run.to.stamp(),
        "containerID": process(run.pid),
    }})
}

fn process(pid: u32) -> String {
    format!("process://{pid}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::clock::Moment;
    use crate::pod::{Owner, Stop};
    use crate::probe::Finding;
    use crate::spec::{self, Metadata};

    fn pod(spec: Value) -> Pod {
        let metadata: Metadata =
            spec::read(&json!({"name": "web-1", "namespace": "default", "uid": "u"})).unwrap();
        let read = spec::read(&spec).unwrap();
        let owner = Owner { deployment: "u".to_owned(), set: ("web".to_owned(), "v".to_owned()) };
        let address = Ipv4Addr::new(127, 1, 0, 1);
        Pod::new(metadata, owner, "h".to_owned(), (&read, &spec), address, Arc::default())
    }

    fn two() -> Pod {
        pod(json!({
            "terminationGracePeriodSeconds": 5,
            "initContainers": [{"name": "first", "image": "i:1"}],
            "containers": [
                {"name": "server", "image": "s:1", "tty": true, "ports": [{"containerPort": 8000}],
                 "readinessProbe": {"httpGet": {"port": 8000}}},
                {"name": "proxy", "image": "p:1"},
            ],
        }))
    }

    #[test]
    fn the_spec_is_the_templates_with_what_a_server_fills_in() {
        let spec = two().object()["spec"].take();
        assert_eq!(spec["containers"][0]["tty"], true);
        assert_eq!(spec["containers"][0]["ports"][0]["protocol"], "TCP");
        let probe = json!({
            "httpGet": {"path": "/", "port": 8000, "scheme": "HTTP"}, "timeoutSeconds": 1,
            "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3,
        });
        assert_eq!(spec["containers"][0]["readinessProbe"], probe);
        assert_eq!(spec["nodeName"], crate::NODE);
        assert_eq!(spec["terminationGracePeriodSeconds"], 5);
    }

    #[test]
    fn each_container_has_its_status() {
        let pod = two();
        let begun = Moment::now();
        pod.update_at(begun, |state| {
            state.containers[0].run(7, begun, 0);
            state.containers[0].end(0, begun, 0);
            state.containers[1].run(8, begun, 0);
            state.containers[1].found(Finding::Started);
            state.containers[1].found(Finding::Ready);
            state.containers[2].run(9, begun, 0);
            state.containers[2].end(3, begun, 0);
            state.containers[2].waiting = Some(("CrashLoopBackOff", "it ended".to_owned()));
        });
        let status = pod.object()["status"].take();
        assert_eq!(status["initContainerStatuses"][0]["state"]["terminated"]["exitCode"], 0);
        assert_eq!(status["initContainerStatuses"][0]["ready"], true);
        let [server, proxy] = [0, 1].map(|n| &status["containerStatuses"][n]);
        assert_eq!(
            (&server["ready"], &server["containerID"]),
            (&json!(true), &json!("process://8"))
        );
        assert_eq!(server["state"]["running"]["startedAt"], begun.stamp());
        let waiting = json!({"waiting": {"reason": "CrashLoopBackOff", "message": "it ended"}});
        assert_eq!(proxy["state"], waiting);
        let last = &proxy["lastState"]["terminated"];
        assert_eq!((&last["exitCode"], &last["reason"]), (&json!(3), &json!("Error")));
        let ready = &status["conditions"][2];
        assert_eq!(ready["message"], "containers with unready status: [proxy]");
        assert_eq!(status["conditions"][1]["status"], "True");
        assert_eq!(
            (&status["phase"], &status["qosClass"]),
            (&json!("Running"), &json!("BestEffort"))
        );
    }

    #[test]
    fn a_pod_that_was_told_to_go_is_gone_after_its_grace_period_whenever_one_looks() {
        let pod = two();
        let begun = Moment::now();
        pod.stop_at(begun, Stop::Drain);
        pod.stop_at(begun + Duration::from_secs(60), Stop::Kill);
        let metadata = pod.object()["metadata"].take();
        assert_eq!(metadata["deletionTimestamp"], (begun + Duration::from_secs(5)).stamp());
        assert_eq!(metadata["deletionGracePeriodSeconds"], 5);
    }
}
