//! A pod: what it runs, where, and how it is. Its life is lived in `kubelet`.

mod container;
mod defaults;
mod object;
mod state;

use std::fmt;
use std::net::Ipv4Addr;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use gitops::get::PodRow;
use serde_json::Value;

pub(crate) use self::container::{ContainerState, Role, Run};
pub(crate) use self::state::{State, Stop};
use crate::changes::{Changes, locked};
use crate::clock::Moment;
use crate::spec::{Amount, Container, Metadata, PodSpec, SecurityContext, Volume};

/// A pod of one or more containers, which share its address and its volumes.
#[derive(Debug)]
pub(crate) struct Pod {
    pub(crate) metadata: Metadata,
    pub(crate) owner: Owner,
    /// Which template of the Deployment it was made from.
    pub(crate) template_hash: String,
    pub(crate) address: Ipv4Addr,
    /// In the order in which they start.
    pub(crate) containers: Vec<Container>,
    security: Option<SecurityContext>,
    pub(crate) volumes: Vec<Volume>,
    pub(crate) grace: Duration,
    /// As the template has it.
    spec: Value,
    created: Moment,
    state: Mutex<State>,
    /// Wakes the pod's own threads.
    changed: Condvar,
    /// Wakes the controllers.
    changes: Arc<Changes>,
}

/// What a pod belongs to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Owner {
    /// The uid of its Deployment.
    pub(crate) deployment: String,
    /// Name and uid of its ReplicaSet.
    pub(crate) set: (String, String),
}

/// A pod as `kubectl get pods -o wide` shows it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PodInfo {
    /// Its name.
    pub name: String,
    /// The process of its first container, while it has one; those that run before do not count.
    pub pid: Option<u32>,
    /// Its own address.
    pub address: Ipv4Addr,
    /// Whether its Services send it connections.
    pub ready: bool,
    /// The image of its first container, as the Deployment names it.
    pub image: String,
    /// `Running`, `ContainerCreating`, `ErrImagePull`, `CrashLoopBackOff`, `Terminating`, …
    pub status: String,
    /// How often its processes were started again.
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
    /// A pod of a template's spec, read and as it stands.
    pub(crate) fn new(
        metadata: Metadata,
        owner: Owner,
        template_hash: String,
        (spec, raw): (&PodSpec, &Value),
        address: Ipv4Addr,
        changes: Arc<Changes>,
    ) -> Self {
        let role = |it: &Container| match it.restart_policy.as_deref() {
            Some("Always") => Role::Sidecar,
            _ => Role::Init,
        };
        let first = spec.init_containers.iter().map(|it| (it.name.clone(), role(it)));
        let main = spec.containers.iter().map(|it| (it.name.clone(), Role::Main));
        let created = Moment::now();
        let state = Mutex::new(State::new(first.chain(main).collect(), created));
        Self {
            metadata,
            owner,
            template_hash,
            address,
            containers: spec.all_containers().cloned().collect(),
            security: spec.security_context.clone(),
            volumes: spec.volumes.clone(),
            grace: Duration::from_secs(spec.termination_grace_period_seconds.unwrap_or(30)),
            spec: raw.clone(),
            created,
            state,
            changed: Condvar::new(),
            changes,
        }
    }

    /// `pod namespace/name`.
    pub(crate) fn subject(&self) -> String {
        format!("pod {}/{}", self.metadata.namespace, self.metadata.name)
    }

    /// A message that says which container it is about, where there are several.
    pub(crate) fn about(&self, n: usize, message: &str) -> String {
        match self.containers.len() {
            1 => message.to_owned(),
            _ => format!("{}: {message}", self.containers[n].name),
        }
    }

    /// What holds for one of its containers.
    pub(crate) fn security(&self, container: &Container) -> SecurityContext {
        SecurityContext::of(self.security.as_ref(), container)
    }

    /// The port that this means in one of the containers that run on, the main ones first.
    pub(crate) fn port(&self, wanted: &Amount) -> Option<u16> {
        let state = locked(&self.state);
        let of = |role: Role| {
            let roles = state.containers.iter().map(move |it| it.role == role);
            self.containers.iter().zip(roles).filter_map(|(it, is_of)| is_of.then_some(it))
        };
        of(Role::Main).chain(of(Role::Sidecar)).find_map(|it| wanted.port(it))
    }

    pub(crate) fn state(&self) -> State {
        locked(&self.state).clone()
    }

    /// Looks at the state without a copy of it.
    pub(crate) fn look<T>(&self, at: impl FnOnce(&State) -> T) -> T {
        at(&locked(&self.state))
    }

    pub(crate) fn is_told_to_go(&self) -> bool {
        self.look(|state| state.stop.is_some())
    }

    /// Changes the state and wakes all who may care.
    pub(crate) fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        self.update_at(Moment::now(), change)
    }

    pub(crate) fn update_at<T>(&self, now: Moment, change: impl FnOnce(&mut State) -> T) -> T {
        let result = {
            let mut state = locked(&self.state);
            let result = change(&mut state);
            state.settle(now);
            result
        };
        self.wake();
        result
    }

    /// Wakes all who may care.
    pub(crate) fn wake(&self) {
        self.changed.notify_all();
        self.changes.notify();
    }

    /// Sleeps until `over` holds, but not longer than `until`; says whether it holds.
    pub(crate) fn wait(&self, until: Option<Moment>, over: impl Fn(&State) -> bool) -> bool {
        let mut state = locked(&self.state);
        while !over(&state) {
            state = match until.map(|until| until.since(Moment::now())) {
                Some(Duration::ZERO) => return false,
                Some(rest) => {
                    let woken = self.changed.wait_timeout(state, rest);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
        true
    }

    /// Takes the pod out of its Services at once, and has it end.
    pub(crate) fn stop(&self, how: Stop) {
        self.stop_at(Moment::now(), how);
    }

    fn stop_at(&self, now: Moment, how: Stop) {
        if self.look(|state| state.stop.is_none_or(|known| how > known)) {
            self.update_at(now, |state| {
                state.stop = Some(how);
                state.stopped_at.get_or_insert(now);
            });
        }
    }

    pub(crate) fn info(&self) -> PodInfo {
        let state = self.state();
        let main = state.containers.iter().zip(&self.containers);
        let first = main.clone().find(|(it, _)| it.role == Role::Main);
        let restarts = main.map(|(it, _)| it.restarts).sum();
        PodInfo {
            name: self.metadata.name.clone(),
            pid: first.as_ref().and_then(|(it, _)| it.pid),
            address: self.address,
            ready: state.is_ready(),
            image: first.map_or_else(String::new, |(_, container)| container.image.clone()),
            status: PodRow::of(&self.object(), SystemTime::now()).status,
            restarts,
            trouble: state.trouble(),
        }
    }
}
