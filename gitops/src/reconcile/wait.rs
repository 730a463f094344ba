//! Waiting until objects are healthy.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::outcome::{Condition, Healthy, Status};
use super::turn::{Failure, Turn};
use super::{Event, order};
use crate::ObjectId;
use crate::flux::format_duration;
use crate::status::Health;

/// The least time between two looks at what is not healthy yet, so that no listener makes this
/// spin.
const PAUSE: Duration = Duration::from_millis(50);

/// How a wait ended that did not end well.
enum Ended {
    /// What the listener answered.
    Broken,
    /// What Flux says of it.
    Badly(String),
}

/// The last step of a reconciliation.
pub(super) fn for_health(turn: &mut Turn<'_>, mut watched: Vec<ObjectId>) -> Result<(), Failure> {
    // One that waits for itself would never end.
    let own = turn.kustomization;
    watched.retain(|id| {
        (id.kind.as_str(), &id.name, &id.namespace) != ("Kustomization", &own.name, &own.namespace)
    });
    if watched.is_empty() {
        turn.outcome.healthy = Healthy::NotAsked;
        return Ok(());
    }
    turn.progress("Running health checks");
    let start = Instant::now();
    let condition = |status, reason, message| Healthy::Told(Condition { status, reason, message });
    match until_current(turn, watched, turn.kustomization.timeout, |it| Event::Waiting(it)) {
        Ok(()) => {
            let message = format!("Health check passed in {}", rounded(start.elapsed()));
            turn.outcome.healthy = condition(Status::True, "Succeeded", message);
            Ok(())
        }
        Err(Ended::Broken) => {
            let progress = turn.outcome.progress.clone();
            turn.outcome.healthy = condition(Status::Unknown, "Progressing", progress);
            let after = rounded(start.elapsed());
            Err(Failure::new("HealthCheckCanceled", format!("health check canceled after {after}")))
        }
        Err(Ended::Badly(why)) => {
            turn.outcome.healthy = condition(Status::False, "HealthCheckFailed", why.clone());
            let after = rounded(start.elapsed());
            Err(Failure::new(
                "HealthCheckFailed",
                format!("health check failed after {after}: {why}"),
            ))
        }
    }
}

/// What is applied first has to be there before what needs it.
pub(super) fn until_there(
    turn: &mut Turn<'_>,
    ids: &[ObjectId],
    timeout: Duration,
) -> Result<(), String> {
    match until_current(turn, ids.to_vec(), timeout, |it| Event::Defining(it)) {
        Ok(()) => Ok(()),
        Err(Ended::Broken) => Err("the wait was broken off".to_owned()),
        Err(Ended::Badly(why)) => Err(why),
    }
}

/// Looks until all are current, one has failed for good, or the time is over.
fn until_current(
    turn: &mut Turn<'_>,
    mut watched: Vec<ObjectId>,
    timeout: Duration,
    event: impl Fn(&[(ObjectId, Health)]) -> Event<'_>,
) -> Result<(), Ended> {
    watched.sort_by(order::compare);
    let start = Instant::now();
    loop {
        let health: Vec<_> = watched
            .iter()
            .map(|id| (id.clone(), turn.cluster.health(id)))
            .filter(|(_, health)| !health.is_current())
            .collect();
        if health.is_empty() {
            return Ok(());
        }
        let stalled: Vec<_> =
            health.iter().filter(|(_, health)| health.is_failed()).cloned().collect();
        if !stalled.is_empty() {
            return Err(unhealthy(turn, "failed early due to stalled resources", &stalled));
        }
        if start.elapsed() >= timeout {
            return Err(unhealthy(turn, "timeout waiting for", &health));
        }
        let next = Instant::now() + PAUSE;
        if (turn.on)(event(&health)) == ControlFlow::Break(()) {
            return Err(Ended::Broken);
        }
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

/// Flux gives the word only.
fn unhealthy(turn: &mut Turn<'_>, what: &str, objects: &[(ObjectId, Health)]) -> Ended {
    let _ = (turn.on)(Event::Unhealthy(objects));
    let told = |(id, health): &(ObjectId, Health)| {
        let why = match health {
            Health::Unknown(why) => format!(": {why}"),
            _ => String::new(),
        };
        format!("{id} status: '{}'{why}", health.word())
    };
    let list: Vec<_> = objects.iter().map(told).collect();
    Ended::Badly(format!("{what}: [{}]", list.join(", ")))
}

fn rounded(elapsed: Duration) -> String {
    format_duration(Duration::from_millis(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)))
}
