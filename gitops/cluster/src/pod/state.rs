//! What is known of a pod at a moment, and what follows from it by the kubelet's rules: phase and
//! conditions.

use std::time::Duration;

use super::container::{ContainerState, Role};
use crate::clock::Moment;

/// What is known of a pod at a moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) stop: Option<Stop>,
    /// When it was told to go, first.
    pub(crate) stopped_at: Option<Moment>,
    /// In the order in which they start.
    pub(crate) containers: Vec<ContainerState>,
    /// Whether each condition held when it was looked at last, and since when that is so.
    conditions: Vec<(&'static str, bool, Moment)>,
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

/// Of a pod's `status.conditions`, in the kubelet's order.
pub(crate) const CONDITIONS: [&str; 5] =
    ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];

impl State {
    /// The state of a pod whose containers have not begun.
    pub(crate) fn new(containers: Vec<(String, Role)>, now: Moment) -> Self {
        let is_first = containers.iter().all(|(_, role)| *role == Role::Main);
        let reason = if is_first { "ContainerCreating" } else { "PodInitializing" };
        let waiting = |(name, role)| ContainerState {
            name,
            role,
            waiting: Some((reason, String::new())),
            ..ContainerState::default()
        };
        let containers = containers.into_iter().map(waiting).collect();
        let mut state = Self { containers, ..Self::default() };
        state.conditions = CONDITIONS.map(|kind| (kind, state.holds(kind), now)).to_vec();
        state
    }

    /// Notes when conditions came to hold, or ceased to.
    pub(super) fn settle(&mut self, now: Moment) {
        for n in 0..self.conditions.len() {
            let (kind, held, _) = self.conditions[n];
            let holds = self.holds(kind);
            if holds != held {
                self.conditions[n] = (kind, holds, now);
            }
        }
    }

    /// Each condition: whether it holds, and since when that is so.
    pub(super) fn conditions(&self) -> &[(&'static str, bool, Moment)] {
        &self.conditions
    }

    fn holds(&self, kind: &str) -> bool {
        match kind {
            "Initialized" => self.is_initialized(),
            "Ready" | "ContainersReady" => self.unready().next().is_none(),
            _ => true,
        }
    }

    /// Whether all that comes before the main containers is done, or has come up once.
    pub(crate) fn is_initialized(&self) -> bool {
        self.uninitialized().next().is_none()
    }

    /// Those that come before the main containers and are not there yet.
    pub(super) fn uninitialized(&self) -> impl Iterator<Item = &ContainerState> {
        self.containers.iter().filter(|it| match it.role {
            Role::Init => !it.is_done(),
            Role::Sidecar => !it.was_started,
            Role::Main => false,
        })
    }

    /// Those that keep the pod from being ready.
    pub(super) fn unready(&self) -> impl Iterator<Item = &ContainerState> {
        self.containers.iter().filter(|it| it.role != Role::Init && !it.ready)
    }

    /// Whether the pod belongs into the endpoints of its Services.
    pub(crate) fn is_ready(&self) -> bool {
        self.stop.is_none() && self.unready().next().is_none()
    }

    /// Since when it has been ready, if it is.
    pub(crate) fn ready_since(&self) -> Option<Moment> {
        let ready = self.conditions.iter().find(|(kind, holds, _)| *kind == "Ready" && *holds);
        ready.filter(|_| self.is_ready()).map(|(_, _, since)| *since)
    }

    /// Whether it has been ready for `min_ready`.
    pub(crate) fn is_available(&self, min_ready: Duration, now: Moment) -> bool {
        self.ready_since().is_some_and(|since| now >= since + min_ready)
    }

    /// Whether a container may be asked to end: those with which a sidecar started, and after it,
    /// go before.
    pub(crate) fn is_turn_of(&self, n: usize) -> bool {
        self.containers[n].role != Role::Sidecar
            || self.containers[n + 1..].iter().all(|it| it.pid.is_none())
    }

    fn main(&self) -> impl DoubleEndedIterator<Item = &ContainerState> {
        self.containers.iter().filter(|it| it.role == Role::Main)
    }

    /// `status.phase` of a pod whose containers are always restarted.
    /// Source: kubernetes, pkg/kubelet/kubelet_pods.go, getPhase.
    pub(crate) fn phase(&self) -> &'static str {
        if self.stop.is_some() && self.main().all(|it| it.pid.is_none() && it.last.is_some()) {
            let succeeded = self.main().all(|it| it.last.is_some_and(|run| run.code == 0));
            return if succeeded { "Succeeded" } else { "Failed" };
        }
        match self.is_initialized() && self.main().all(|it| it.pid.or(it.last_pid()).is_some()) {
            true => "Running",
            false => "Pending",
        }
    }

    /// Why it is not ready, as far as is known.
    pub(crate) fn trouble(&self) -> Option<String> {
        if self.is_ready() {
            return None;
        }
        let first = self.uninitialized().next();
        let it = first.or_else(|| self.unready().next())?;
        let init = if it.role == Role::Main { "" } else { "Init:" };
        let whose = match self.containers.len() {
            1 => String::new(),
            _ => format!("{}: ", it.name),
        };
        match (&it.waiting, &it.failing) {
            (Some((reason, message)), _) if message.is_empty() => Some(format!("{init}{reason}")),
            (Some((reason, message)), _) => Some(format!("{init}{reason}: {message}")),
            (None, Some(failing)) => Some(format!("{whose}{failing}")),
            (None, None) => {
                it.last.map(|run| format!("{whose}the last run ended with exit code {}", run.code))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Arc;
    use std::time::SystemTime;

    use gitops::get::PodRow;
    use serde_json::{Value, json};

    use super::*;
    use crate::pod::{Owner, Pod};
    use crate::probe::Finding;
    use crate::spec::{self, Metadata};

    /// A pod of `(name, role)`s, and the moment at which it was made.
    fn pod(containers: &[(&str, Role)]) -> (State, Moment) {
        let now = Moment::now();
        let named = containers.iter().map(|(name, role)| ((*name).to_owned(), *role));
        (State::new(named.collect(), now), now)
    }

    fn start(state: &mut State, n: usize, now: Moment) {
        let it = &mut state.containers[n];
        it.run(100 + n as u32, now, 0);
        it.found(Finding::Started);
        it.found(Finding::Ready);
        state.settle(now);
    }

    fn end(state: &mut State, n: usize, code: i32, now: Moment) {
        state.containers[n].end(code, now, 0);
        state.settle(now);
    }

    /// The word that kubectl shows of a pod in a state.
    fn word(state: &State) -> String {
        let named = |is_main: bool| -> Vec<Value> {
            let some = state.containers.iter().filter(|it| (it.role == Role::Main) == is_main);
            let policy = |role: Role| (role == Role::Sidecar).then_some("Always");
            some.map(|it| json!({"name": it.name, "restartPolicy": policy(it.role)})).collect()
        };
        let raw = json!({"initContainers": named(false), "containers": named(true)});
        let spec = spec::read(&raw).unwrap();
        let (metadata, owner) = (Metadata::default(), Owner::default());
        let changes = Arc::default();
        let pod =
            Pod::new(metadata, owner, String::new(), (&spec, &raw), Ipv4Addr::LOCALHOST, changes);
        pod.update(|it| *it = state.clone());
        PodRow::of(&pod.object(), SystemTime::now()).status
    }

    #[track_caller]
    fn check(state: &State, shown: &str, phase: &str, is_ready: bool) {
        assert_eq!((&*word(state), state.phase(), state.is_ready()), (shown, phase, is_ready));
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_pod_is_ready_when_all_its_containers_are() {
        let (mut state, now) = pod(&[("a", Role::Main), ("b", Role::Main)]);
        check(&state, "ContainerCreating", "Pending", false);
        start(&mut state, 0, now);
        check(&state, "ContainerCreating", "Pending", false);
        start(&mut state, 1, now);
        check(&state, "Running", "Running", true);
        end(&mut state, 0, 1, now);
        check(&state, "Error", "Running", false);
        state.containers[0].waiting = Some(("CrashLoopBackOff", "a ended".to_owned()));
        check(&state, "CrashLoopBackOff", "Running", false);
        assert_eq!(state.trouble().unwrap(), "CrashLoopBackOff: a ended");
        start(&mut state, 0, now);
        assert_eq!(state.containers[0].restarts, 1);
        check(&state, "Running", "Running", true);
    }

    #[test]
    fn what_comes_first_is_told_by_its_number() {
        let (mut state, now) =
            pod(&[("proxy", Role::Sidecar), ("load", Role::Init), ("server", Role::Main)]);
        check(&state, "Init:0/2", "Pending", false);
        start(&mut state, 0, now);
        check(&state, "Init:1/2", "Pending", false);
        state.containers[1].run(7, now, 0);
        check(&state, "Init:1/2", "Pending", false);
        end(&mut state, 1, 3, now);
        check(&state, "Init:Error", "Pending", false);
        state.containers[1].run(8, now, 0);
        end(&mut state, 1, 0, now);
        check(&state, "PodInitializing", "Pending", false);
        start(&mut state, 2, now);
        check(&state, "Running", "Running", true);
        // A sidecar that comes back does not undo that, and is told all the same.
        end(&mut state, 0, 1, now);
        check(&state, "Init:Error", "Running", false);
    }

    #[test]
    fn a_sidecar_ends_after_all_that_came_after_it() {
        let (mut state, now) = pod(&[
            ("first", Role::Sidecar),
            ("second", Role::Sidecar),
            ("a", Role::Main),
            ("b", Role::Main),
        ]);
        (0..4).for_each(|n| start(&mut state, n, now));
        (state.stop, state.stopped_at) = (Some(Stop::Drain), Some(now));
        let turns = |state: &State| (0..4).filter(|n| state.is_turn_of(*n)).collect::<Vec<_>>();
        assert_eq!(turns(&state), [2, 3]);
        check(&state, "Terminating", "Running", false);
        end(&mut state, 3, 0, now);
        assert_eq!(turns(&state), [2, 3]);
        end(&mut state, 2, 143, now);
        assert_eq!(turns(&state), [1, 2, 3]);
        end(&mut state, 1, 0, now);
        assert_eq!(turns(&state), [0, 1, 2, 3]);
        check(&state, "Error", "Failed", false);
    }

    #[test]
    fn a_pod_is_available_when_it_was_ready_for_long_enough_without_a_break() {
        let (mut state, now) = pod(&[("a", Role::Main)]);
        start(&mut state, 0, now);
        let available = |state: &State, at| state.is_available(10 * SECOND, now + at * SECOND);
        assert!(!available(&state, 9));
        assert!(available(&state, 10));
        state.containers[0].found(Finding::Unready("503".to_owned()));
        state.settle(now + 11 * SECOND);
        assert!(!available(&state, 12));
        state.containers[0].found(Finding::Ready);
        state.settle(now + 13 * SECOND);
        assert!(!available(&state, 22));
        assert!(available(&state, 23));
        state.stop = Some(Stop::Drain);
        assert!(!available(&state, 23));
    }

    #[test]
    fn a_condition_has_the_time_at_which_it_changed() {
        let (mut state, now) = pod(&[("a", Role::Main)]);
        start(&mut state, 0, now + 5 * SECOND);
        start(&mut state, 0, now + 9 * SECOND);
        let since: Vec<_> = state.conditions().iter().map(|it| it.2.since(now).as_secs()).collect();
        assert_eq!(since, [0, 0, 5, 5, 0]);
    }
}
