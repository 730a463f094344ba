//! How many pods a rolling update may start and end next: Kubernetes' own arithmetic, as a pure
//! function.

use crate::spec::{DeploymentSpec, Strategy};

/// How many pods there are; those on their way out do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) total: usize,
    pub(crate) ready: usize,
    /// Ready for `minReadySeconds`.
    pub(crate) available: usize,
}

/// What to do next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Step {
    /// Pods of the present template to start.
    pub(crate) start: usize,
    /// Pods of the present template to end.
    pub(crate) end_new: usize,
    /// Pods of former templates to end, those that do not serve first.
    pub(crate) end_old: usize,
}

/// The next step towards `spec.replicas` pods of the present template.
/// At most `replicas + maxSurge` pods live at any time, at least `replicas - maxUnavailable` are
/// available. `leaving`: pods of former templates that were told to go and are still there.
pub(crate) fn step(spec: &DeploymentSpec, new: Counts, old: Counts, leaving: usize) -> Step {
    let replicas = spec.replicas;
    let end_new = new.total.saturating_sub(replicas);
    if spec.strategy.kind == "Recreate" {
        let free = old.total == 0 && leaving == 0;
        let start = if free { replicas.saturating_sub(new.total) } else { 0 };
        return Step { start, end_new, end_old: old.total };
    }
    let (surge, unavailable) = limits(&spec.strategy, replicas);
    let room = (replicas + surge).saturating_sub(new.total + old.total);
    Step {
        start: room.min(replicas.saturating_sub(new.total)),
        end_new,
        end_old: removable(replicas.saturating_sub(unavailable), new, old),
    }
}

/// How many old pods may go: all that do not serve, and of those that do what the available ones
/// leave over.
fn removable(min_available: usize, new: Counts, old: Counts) -> usize {
    // New pods that are not available yet are needed: they must not be traded for old ones.
    let new_unavailable = new.total - new.available;
    let spare = (new.total + old.total).saturating_sub(min_available + new_unavailable);
    let idle = (old.total - old.available).min(spare);
    let serving = (new.available + old.available).saturating_sub(min_available);
    idle + serving.min(old.available)
}

/// How many pods must be available at any time.
pub(crate) fn min_available(spec: &DeploymentSpec) -> usize {
    spec.replicas.saturating_sub(limits(&spec.strategy, spec.replicas).1)
}

/// maxSurge and maxUnavailable in pods; both zero would never move.
fn limits(strategy: &Strategy, replicas: usize) -> (usize, usize) {
    let of = |amount: &Option<crate::spec::Amount>, up: bool| match amount {
        Some(amount) => amount.of(replicas, up).unwrap_or(0),
        None if up => replicas.div_ceil(4),
        None => replicas / 4,
    };
    let rolling = &strategy.rolling_update;
    match (of(&rolling.max_surge, true), of(&rolling.max_unavailable, false)) {
        (0, 0) => (0, 1),
        limits => limits,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::spec;

    fn spec_of(replicas: usize, strategy: Value) -> DeploymentSpec {
        spec::read(
            &json!({"replicas": replicas, "selector": {}, "strategy": strategy, "template": {}}),
        )
        .unwrap()
    }

    fn pods(total: usize, available: usize) -> Counts {
        Counts { total, ready: available, available }
    }

    fn check(spec: &DeploymentSpec, new: Counts, old: Counts, expected: (usize, usize, usize)) {
        let step = step(spec, new, old, 0);
        assert_eq!((step.start, step.end_new, step.end_old), expected, "{new:?} {old:?}");
    }

    #[test]
    fn the_old_pod_stays_until_the_new_one_serves() {
        let one = spec_of(1, json!({"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}));
        check(&one, pods(0, 0), pods(0, 0), (1, 0, 0));
        check(&one, pods(0, 0), pods(1, 1), (1, 0, 0));
        check(&one, pods(1, 0), pods(1, 1), (0, 0, 0));
        check(&one, pods(1, 1), pods(1, 1), (0, 0, 1));
        check(&one, pods(1, 1), pods(0, 0), (0, 0, 0));
    }

    #[test]
    fn old_pods_that_do_not_serve_go_first_and_free_no_serving_one() {
        let one = spec_of(1, json!({}));
        // The third version comes while the second hangs; the first is the one that serves.
        check(&one, pods(0, 0), pods(2, 1), (0, 0, 1));
        let four = spec_of(4, json!({"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}}));
        check(&four, pods(0, 0), pods(4, 4), (1, 0, 1));
        check(&four, pods(2, 0), pods(3, 3), (0, 0, 0));
        check(&four, pods(2, 2), pods(3, 3), (0, 0, 2));
    }

    #[test]
    fn scaling_needs_no_rollout() {
        let three = spec_of(3, json!({}));
        check(&three, pods(1, 1), pods(0, 0), (2, 0, 0));
        check(&three, pods(5, 5), pods(0, 0), (0, 2, 0));
        check(&spec_of(0, json!({})), pods(1, 1), pods(1, 1), (0, 1, 1));
    }

    #[test]
    fn recreate_ends_everything_before_it_starts_anything() {
        let two = spec_of(2, json!({"type": "Recreate"}));
        check(&two, pods(0, 0), pods(2, 2), (0, 0, 2));
        assert_eq!(step(&two, pods(0, 0), pods(0, 0), 1).start, 0);
        assert_eq!(step(&two, pods(0, 0), pods(0, 0), 0).start, 2);
    }

    #[test]
    fn whatever_the_limits_every_rollout_ends_and_keeps_enough_serving() {
        for (replicas, surge, unavailable) in
            [(1, 1, 0), (1, 0, 0), (3, 1, 0), (4, 2, 1), (5, 0, 2)]
        {
            let spec = spec_of(
                replicas,
                json!({"rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}),
            );
            let (mut new, mut old) = (pods(0, 0), pods(replicas, replicas));
            let least = replicas - if surge + unavailable == 0 { 1 } else { unavailable };
            let mut rounds = 0;
            while new != pods(replicas, replicas) || old.total > 0 {
                let step = step(&spec, new, old, 0);
                old = pods(old.total - step.end_old, old.available - step.end_old);
                assert!(new.available + old.available >= least, "{replicas} {surge} {unavailable}");
                let total = new.total + step.start;
                assert!(total + old.total <= replicas + surge);
                // Those that were started before become available now.
                new = Counts { total, ready: new.total, available: new.total };
                rounds += 1;
                assert!(rounds < 30, "{replicas} {surge} {unavailable} does not end");
            }
        }
    }
}
