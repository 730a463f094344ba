//! A pod: what it runs, where, and how it is. Its life is lived in `kubelet`.

use std::fmt;
use std::net::Ipv4Addr;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant, SystemTime};

use gitops::get::timestamp;
use serde_json::{Value, json};

use crate::changes::{Changes, locked};
use crate::probe::Finding;
use crate::spec::{Container, Metadata, PodSpec, SecurityContext, Volume};

/// A pod of one container, and of those that run before it.
#[derive(Debug)]
pub(crate) struct Pod {
    pub(crate) metadata: Metadata,
    /// Name and uid of its Deployment.
    pub(crate) owner: (String, String),
    /// Which template of the Deployment it was made from.
    pub(crate) template_hash: String,
    pub(crate) address: Ipv4Addr,
    pub(crate) container: Container,
    pub(crate) init: Vec<Container>,
    security: Option<SecurityContext>,
    pub(crate) volumes: Vec<Volume>,
    pub(crate) grace: Duration,
    created: SystemTime,
    state: Mutex<State>,
    /// Wakes the pod's own threads.
    changed: Condvar,
    /// Wakes the controllers.
    changes: Arc<Changes>,
}

/// What is known of a pod at a moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) stop: Option<Stop>,
    pub(crate) pid: Option<u32>,
    /// Why the container does not run: reason and message.
    pub(crate) waiting: Option<(&'static str, String)>,
    /// How many of those that run before have succeeded.
    pub(crate) n_initialized: usize,
    /// How often each of them was tried again.
    pub(crate) init_restarts: Vec<u32>,
    pub(crate) running_since: Option<SystemTime>,
    pub(crate) started: bool,
    pub(crate) ready_since: Option<Instant>,
    /// What the last probe had to say, when it failed.
    pub(crate) failing: Option<String>,
    /// Why the container must be restarted.
    pub(crate) dead: Option<String>,
    pub(crate) restarts: u32,
    pub(crate) last_exit: Option<(i32, SystemTime)>,
    /// The pod's thread is done.
    pub(crate) finished: bool,
}

/// How a pod is told to go, from the gentlest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stop {
    /// preStop, SIGTERM, grace period, SIGKILL.
    Drain,
    /// SIGTERM, grace period, SIGKILL: nobody sends anything any more.
    Terminate,
    /// SIGKILL.
    Kill,
}

/// A pod as `kubectl get pods -o wide` shows it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PodInfo {
    /// Its name.
    pub name: String,
    /// Its process, while it has one.
    pub pid: Option<u32>,
    /// Its own address.
    pub address: Ipv4Addr,
    /// Whether its Services send it connections.
    pub ready: bool,
    /// Its image, as the Deployment names it.
    pub image: String,
    /// `Running`, `ContainerCreating`, `ErrImagePull`, `CrashLoopBackOff`, `Terminating`, …
    pub status: String,
    /// How often its process was started again.
    pub restarts: u32,
    /// Why it is not ready, as far as is known.
    pub trouble: Option<String>,
}

impl fmt::Display for PodInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, address, status, restarts, image, .. } = self;
        let ready = if self.ready { "ready" } else { "not ready" };
        write!(f, "{name} at {address}: {status}, {ready}, {restarts} restarts, {image}")?;
        self.trouble.as_ref().map_or(Ok(()), |why| write!(f, " ({why})"))
    }
}

impl Pod {
    pub(crate) fn new(
        metadata: Metadata,
        owner: (String, String),
        template_hash: String,
        spec: &PodSpec,
        address: Ipv4Addr,
        changes: Arc<Changes>,
    ) -> Option<Self> {
        Some(Self {
            metadata,
            owner,
            template_hash,
            address,
            container: spec.containers.first()?.clone(),
            init: spec.init_containers.clone(),
            security: spec.security_context.clone(),
            volumes: spec.volumes.clone(),
            grace: Duration::from_secs(spec.termination_grace_period_seconds.unwrap_or(30)),
            created: SystemTime::now(),
            state: Mutex::new(State {
                waiting: Some(("ContainerCreating", String::new())),
                init_restarts: vec![0; spec.init_containers.len()],
                ..State::default()
            }),
            changed: Condvar::new(),
            changes,
        })
    }

    /// `pod namespace/name`.
    pub(crate) fn subject(&self) -> String {
        format!("pod {}/{}", self.metadata.namespace, self.metadata.name)
    }

    /// What holds for one of its containers.
    pub(crate) fn security(&self, container: &Container) -> SecurityContext {
        SecurityContext::of(self.security.as_ref(), container)
    }

    pub(crate) fn state(&self) -> State {
        locked(&self.state).clone()
    }

    /// Changes the state and wakes all who may care.
    pub(crate) fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut locked(&self.state));
        self.changed.notify_all();
        self.changes.notify();
        result
    }

    /// Sleeps until `until` holds, but not longer than `at_most`; says whether it holds.
    pub(crate) fn wait(&self, at_most: Duration, until: impl Fn(&State) -> bool) -> bool {
        let state = locked(&self.state);
        let waited = self.changed.wait_timeout_while(state, at_most, |state| !until(state));
        waited.is_ok_and(|(state, _)| until(&state))
    }

    /// Takes the pod out of its Services at once, and has it end.
    pub(crate) fn stop(&self, how: Stop) {
        let known = self.state().stop;
        if known.is_none_or(|known| how > known) {
            self.update(|state| state.stop = Some(how));
        }
    }

    /// Notes what a probe found.
    pub(crate) fn found(&self, finding: Finding) {
        self.update(|state| {
            if state.pid.is_none() {
                return;
            }
            match finding {
                Finding::Started => state.started = true,
                Finding::Ready => {
                    state.ready_since = Some(Instant::now());
                    state.failing = None;
                }
                Finding::Failed(why) => state.failing = Some(why),
                Finding::Unready(why) => {
                    state.ready_since = None;
                    state.failing = Some(why);
                }
                Finding::Dead(why) => {
                    state.ready_since = None;
                    state.dead = Some(why);
                }
            }
        });
    }

    pub(crate) fn info(&self) -> PodInfo {
        let state = self.state();
        PodInfo {
            name: self.metadata.name.clone(),
            pid: state.pid,
            address: self.address,
            ready: state.is_ready(),
            image: self.container.image.clone(),
            status: state.summary().to_owned(),
            restarts: state.restarts,
            trouble: state.trouble(),
        }
    }

    /// The pod as an object of the Kubernetes API.
    pub(crate) fn object(&self) -> Value {
        let state = self.state();
        let mut metadata = json!({
            "name": self.metadata.name,
            "namespace": self.metadata.namespace,
            "uid": self.metadata.uid,
            "labels": self.metadata.labels,
            "annotations": self.metadata.annotations,
            "creationTimestamp": timestamp(self.created),
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "Deployment", "controller": true,
                "name": self.owner.0, "uid": self.owner.1,
            }],
        });
        if state.stop.is_some() {
            metadata["deletionTimestamp"] = timestamp(SystemTime::now()).into();
            metadata["deletionGracePeriodSeconds"] = self.grace.as_secs().into();
        }
        let brief =
            |container: &Container| json!({"name": container.name, "image": container.image});
        let mut spec = json!({
            "nodeName": crate::NODE,
            "terminationGracePeriodSeconds": self.grace.as_secs(),
            "containers": [brief(&self.container)],
        });
        if !self.init.is_empty() {
            spec["initContainers"] = self.init.iter().map(brief).collect();
        }
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": spec,
            "status": self.status(&state),
        })
    }

    fn status(&self, state: &State) -> Value {
        let phase = match state.running_since.is_some() || state.restarts > 0 {
            true => "Running",
            false => "Pending",
        };
        let condition = |kind: &str, holds: bool| {
            let mut condition =
                json!({"type": kind, "status": if holds { "True" } else { "False" }});
            if let (false, Some(message)) = (holds, state.trouble()) {
                condition["reason"] = "ContainersNotReady".into();
                condition["message"] = message.into();
            }
            condition
        };
        let mut status = json!({
            "phase": phase,
            "podIP": self.address,
            "podIPs": [{"ip": self.address}],
            "hostIP": Ipv4Addr::LOCALHOST,
            "startTime": timestamp(self.created),
            "conditions": [
                condition("PodScheduled", true),
                condition("ContainersReady", state.is_ready()),
                condition("Ready", state.is_ready()),
            ],
            "containerStatuses": [self.container_status(state)],
        });
        if !self.init.is_empty() {
            let init = self.init.iter().enumerate();
            status["initContainerStatuses"] =
                init.map(|(n, container)| init_status(n, container, state)).collect();
        }
        status
    }

    fn container_status(&self, state: &State) -> Value {
        let now = match (&state.waiting, state.running_since) {
            (Some((reason, message)), _) => {
                json!({"waiting": {"reason": reason, "message": message}})
            }
            (None, Some(since)) => json!({"running": {"startedAt": timestamp(since)}}),
            (None, None) => json!({"waiting": {"reason": "ContainerCreating"}}),
        };
        let last = state.last_exit.map_or(json!({}), |(code, at)| {
            let reason = if code == 0 { "Completed" } else { "Error" };
            json!({"terminated": {"exitCode": code, "reason": reason, "finishedAt": timestamp(at)}})
        });
        json!({
            "name": self.container.name,
            "image": self.container.image,
            "imageID": self.container.image,
            "containerID": state.pid.map(|pid| format!("process://{pid}")),
            "ready": state.is_ready(),
            "started": state.started,
            "restartCount": state.restarts,
            "state": now,
            "lastState": last,
        })
    }
}

/// One of those that run before: done, at work, or still to come.
fn init_status(n: usize, container: &Container, state: &State) -> Value {
    let is_done = n < state.n_initialized;
    let now = match &state.waiting {
        _ if is_done => json!({"terminated": {"exitCode": 0, "reason": "Completed"}}),
        Some((reason, message)) if n == state.n_initialized && reason.starts_with("Init:") => {
            json!({"waiting": {"reason": reason.trim_start_matches("Init:"), "message": message}})
        }
        Some(("PodInitializing", _)) if n == state.n_initialized => json!({"running": {}}),
        _ => json!({"waiting": {"reason": "PodInitializing"}}),
    };
    json!({
        "name": container.name,
        "image": container.image,
        "imageID": container.image,
        "ready": is_done,
        "restartCount": state.init_restarts[n],
        "state": now,
    })
}

impl State {
    /// Whether the pod belongs into the endpoints of its Services.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready_since.is_some() && self.stop.is_none()
    }

    /// Whether it has been ready for `min_ready`.
    pub(crate) fn is_available(&self, min_ready: Duration) -> bool {
        self.stop.is_none() && self.ready_since.is_some_and(|since| since.elapsed() >= min_ready)
    }

    /// One word for how it is, as kubectl prints it.
    fn summary(&self) -> &'static str {
        match (&self.waiting, self.stop) {
            (_, Some(_)) => "Terminating",
            (Some((reason, _)), None) => reason,
            (None, None) => "Running",
        }
    }

    /// Why it is not ready, as far as is known.
    pub(crate) fn trouble(&self) -> Option<String> {
        if self.is_ready() {
            return None;
        }
        match (&self.waiting, &self.failing) {
            (Some((reason, message)), _) if message.is_empty() => Some((*reason).to_owned()),
            (Some((reason, message)), _) => Some(format!("{reason}: {message}")),
            (None, Some(failing)) => Some(failing.clone()),
            (None, None) => {
                self.last_exit.map(|(code, _)| format!("the last run ended with exit code {code}"))
            }
        }
    }
}
