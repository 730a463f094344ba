//! How a container is ended: its preStop hook, its turn, SIGTERM, what is left of the grace period,
//! SIGKILL.

use std::time::Duration;

use rustix::process::Signal;

use crate::clock::Moment;
use crate::pod::Stop;

/// What a container gets after SIGTERM, even when its hook or its turn used the whole period up
/// (the kubelet's `minimumGracePeriodInSeconds`).
const LEAST: Duration = Duration::from_secs(2);

/// How far the ending of a container is.
#[derive(Debug)]
pub(crate) struct Ending {
    begun: Moment,
    grace: Duration,
    hook: Duration,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// The preStop hook is under way.
    Hook,
    /// It waits for others that have to end first.
    Turn,
    /// It was asked to end, and may until then.
    Asked(Moment),
    Killed,
}

impl Ending {
    /// One that began at `begun`, of a container whose preStop hook takes `hook`.
    pub(crate) fn new(begun: Moment, grace: Duration, hook: Duration) -> Self {
        Self { begun, grace, hook, phase: Phase::Hook }
    }

    /// What is to be sent now, if it still runs.
    pub(crate) fn step(&mut self, now: Moment, how: Stop, is_its_turn: bool) -> Option<Signal> {
        if how == Stop::Kill && self.phase != Phase::Killed {
            self.phase = Phase::Killed;
            return Some(Signal::KILL);
        }
        let end = self.begun + self.grace;
        if self.phase == Phase::Hook
            && (how > Stop::Drain || now >= self.begun + self.hook.min(self.grace))
        {
            self.phase = Phase::Turn;
        }
        match self.phase {
            Phase::Turn if is_its_turn || now >= end => {
                self.phase = Phase::Asked(end.max(now + LEAST));
                Some(Signal::TERM)
            }
            Phase::Asked(until) if now >= until => {
                self.phase = Phase::Killed;
                Some(Signal::KILL)
            }
            _ => None,
        }
    }

    /// When the next step is due, whatever others do.
    pub(crate) fn due(&self) -> Option<Moment> {
        match self.phase {
            Phase::Hook => Some(self.begun + self.hook.min(self.grace)),
            Phase::Turn => Some(self.begun + self.grace),
            Phase::Asked(until) => Some(until),
            Phase::Killed => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    /// Goes from one due step to the next; the seconds at which signals are sent.
    fn signals(grace: u64, hook: u64, how: Stop, turn_at: Option<u64>) -> Vec<(u64, Signal)> {
        let begun = Moment::now();
        let mut ending = Ending::new(begun, seconds(grace), seconds(hook));
        let mut sent = Vec::new();
        let mut now = begun;
        for _ in 0..10 {
            let is_turn = turn_at.is_some_and(|at| now >= begun + seconds(at));
            sent.extend(ending.step(now, how, is_turn).map(|it| (now.since(begun).as_secs(), it)));
            let turn = turn_at.map(|at| begun + seconds(at)).filter(|at| *at > now);
            let Some(next) = ending.due().into_iter().chain(turn).min() else { break };
            now = next;
        }
        sent
    }

    #[test]
    fn the_grace_period_is_for_the_hook_and_for_what_comes_after_sigterm() {
        let drain = |grace, hook| signals(grace, hook, Stop::Drain, Some(0));
        assert_eq!(drain(30, 0), [(0, Signal::TERM), (30, Signal::KILL)]);
        assert_eq!(drain(30, 5), [(5, Signal::TERM), (30, Signal::KILL)]);
        // A hook that would take longer is cut off, and two seconds are left.
        assert_eq!(drain(10, 60), [(10, Signal::TERM), (12, Signal::KILL)]);
        assert_eq!(drain(0, 0), [(0, Signal::TERM), (2, Signal::KILL)]);
    }

    #[test]
    fn a_hook_is_for_draining_only() {
        let sent = signals(30, 5, Stop::Terminate, Some(0));
        assert_eq!(sent, [(0, Signal::TERM), (30, Signal::KILL)]);
        assert_eq!(signals(30, 5, Stop::Kill, Some(0)), [(0, Signal::KILL)]);
    }

    #[test]
    fn one_that_waits_for_its_turn_has_what_is_left() {
        let drain = |turn| signals(30, 0, Stop::Drain, turn);
        assert_eq!(drain(Some(10)), [(10, Signal::TERM), (30, Signal::KILL)]);
        assert_eq!(drain(Some(29)), [(29, Signal::TERM), (31, Signal::KILL)]);
        // Those before it do not end: it is not spared for that.
        assert_eq!(drain(None), [(30, Signal::TERM), (32, Signal::KILL)]);
    }

    #[test]
    fn whoever_loses_patience_is_heard_at_once() {
        let begun = Moment::now();
        let mut ending = Ending::new(begun, seconds(30), seconds(20));
        assert_eq!(ending.step(begun, Stop::Drain, true), None);
        let later = begun + seconds(3);
        assert_eq!(ending.step(later, Stop::Terminate, true), Some(Signal::TERM));
        assert_eq!(ending.step(later, Stop::Terminate, true), None);
        assert_eq!(ending.step(later, Stop::Kill, true), Some(Signal::KILL));
        assert_eq!((ending.step(later, Stop::Kill, true), ending.due()), (None, None));
    }
}
