//! What is known of one of a pod's containers, and how that changes.

use crate::clock::Moment;
use crate::probe::Finding;

/// What a container is for in its pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Role {
    /// Runs before the others until it succeeds.
    Init,
    /// Starts before the others and runs on beside them: an init container with
    /// `restartPolicy: Always` (KEP-753).
    Sidecar,
    #[default]
    Main,
}

/// What is known of one of a pod's containers.
#[derive(Clone, Debug, Default)]
pub(crate) struct ContainerState {
    pub(crate) name: String,
    pub(crate) role: Role,
    /// Why it does not run: reason and message.
    pub(crate) waiting: Option<(&'static str, String)>,
    pub(crate) pid: Option<u32>,
    /// Its process has ended, and nobody has taken its exit code in yet.
    pub(crate) exited: bool,
    pub(crate) running_since: Option<Moment>,
    /// Where in its log this run begins, in bytes.
    pub(crate) log_from: u64,
    /// Its startup probe has passed, in this run.
    pub(crate) started: bool,
    /// The same, in any run.
    pub(crate) was_started: bool,
    /// Its readiness probe has passed.
    pub(crate) ready: bool,
    /// What the last probe had to say, when it failed.
    pub(crate) failing: Option<String>,
    /// Why it must be restarted.
    pub(crate) dead: Option<String>,
    pub(crate) restarts: u32,
    /// The run that ended last, and the one before.
    pub(crate) last: Option<Run>,
    pub(crate) former: Option<Run>,
}

/// A run of a container that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) pid: u32,
    pub(crate) code: i32,
    pub(crate) from: Moment,
    pub(crate) to: Moment,
    /// What of the container's log it wrote: from where to where, in bytes.
    pub(crate) log: (u64, u64),
}

impl Run {
    pub(crate) fn reason(&self) -> &'static str {
        if self.code == 0 { "Completed" } else { "Error" }
    }
}

impl ContainerState {
    /// Whether it has succeeded, and needs not run any more.
    pub(crate) fn is_done(&self) -> bool {
        self.pid.is_none() && self.waiting.is_none() && self.last.is_some_and(|run| run.code == 0)
    }

    /// The run before the one that its state tells of.
    pub(crate) fn before(&self) -> Option<Run> {
        let is_ended = self.waiting.is_none() && self.pid.is_none();
        if is_ended { self.former } else { self.last }
    }

    pub(super) fn last_pid(&self) -> Option<u32> {
        self.last.map(|run| run.pid)
    }

    /// Notes that it runs now, with so many bytes in its log.
    pub(crate) fn run(&mut self, pid: u32, now: Moment, log_from: u64) {
        if self.last.is_some() {
            self.restarts += 1;
        }
        self.pid = Some(pid);
        self.running_since = Some(now);
        self.log_from = log_from;
        (self.waiting, self.dead, self.failing) = (None, None, None);
    }

    /// Notes that it has ended, with so many bytes in its log.
    pub(crate) fn end(&mut self, code: i32, now: Moment, log_to: u64) {
        if let (Some(pid), Some(from)) = (self.pid, self.running_since) {
            self.former = self.last;
            self.last = Some(Run { pid, code, from, to: now, log: (self.log_from, log_to) });
        }
        (self.pid, self.running_since) = (None, None);
        (self.ready, self.started, self.exited) = (false, false, false);
    }

    /// Notes what a probe found.
    pub(crate) fn found(&mut self, finding: Finding) {
        if self.pid.is_none() {
            return;
        }
        match finding {
            Finding::Started => (self.started, self.was_started) = (true, true),
            Finding::Ready => (self.ready, self.failing) = (true, None),
            Finding::Failed(why) => self.failing = Some(why),
            Finding::Unready(why) => (self.ready, self.failing) = (false, Some(why)),
            Finding::Dead(why) => (self.ready, self.dead) = (false, Some(why)),
        }
    }
}
