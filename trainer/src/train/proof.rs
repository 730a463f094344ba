//! A training that is derived again and held against its record: all of it, or some segments.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::path::Path;

use serde::Serialize;

use super::learner::Learner;
use super::record::{Link, Record};
use super::state::learner_at;
use super::task::Task;
use super::{Event, Listener, TrainConfig, train};
use crate::classifier::Classifier;
use crate::dataset::Split;
use crate::error::{Error, Result};
use crate::random::{Purpose, below, stream};

/// Where what was derived is not what was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "what", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Difference {
    /// The weights or the moments that steps begin with.
    #[error("the state after step {step} is not the one that was recorded")]
    State {
        /// Steps that are done; 0 at the start.
        step: usize,
    },
    /// The first step whose loss is another one.
    #[error("step {step} has another loss than was recorded")]
    Loss {
        /// From 1.
        step: usize,
    },
    /// All losses are alike, and what came out is not.
    #[error("one of the steps from {first} to {last} gives another state than was recorded")]
    Steps {
        /// The first that it may be, from 1.
        first: usize,
        /// The last.
        last: usize,
    },
    /// The training went on for longer, or ended sooner.
    #[error("the training ends after step {found}, and the record after step {recorded}")]
    End {
        /// The last step of the record.
        recorded: usize,
        /// The last step that was done.
        found: usize,
    },
    /// Other weights were kept.
    #[error("epoch {found} is the best one, and the record has kept epoch {recorded}")]
    Best {
        /// What the record says.
        recorded: usize,
        /// What came out.
        found: usize,
    },
}

/// A training that was derived again.
#[derive(Debug)]
pub struct Retrained {
    /// Where it first differs; the work ends there.
    pub difference: Option<Difference>,
    /// What came out where nothing differs.
    pub classifier: Option<Classifier>,
}

/// Some steps that were derived again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Audited {
    /// Steps that were done before.
    pub from: usize,
    /// Steps that were done after.
    pub to: usize,
    /// Where they differ from the record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<Difference>,
}

/// Trains again as a record says, with any number of threads, until something differs.
///
/// What goes in has to be what the record names, and the machine has to compute the same bits;
/// otherwise the error says what is another.
pub fn retrain(
    start: Classifier,
    data: &Split,
    record: &Record,
    threads: Option<usize>,
    on: Listener<'_>,
) -> Result<Retrained> {
    record.check().map_err(|source| Error::BrokenRecord { source })?;
    record.check_inputs(&start, data)?;
    let config = TrainConfig { threads, ..record.config()? };
    let losses: Vec<Option<u32>> = record.links.iter().flat_map(Link::loss_bits).collect();
    let n_recorded = losses.len();
    let difference = RefCell::new(None);
    let mut links = record.links.iter();
    let links = RefCell::new(&mut links);
    let compared = |event: Event| {
        let differs = match &event {
            Event::Linked(link) => {
                links.borrow_mut().next().and_then(|recorded| of_link(recorded, link, record))
            }
            Event::Step { step, loss, .. } => match losses.get(step - 1) {
                Some(Some(bits)) if *bits == loss.to_bits() => None,
                Some(_) => Some(Difference::Loss { step: *step }),
                None => Some(Difference::End { recorded: n_recorded, found: *step }),
            },
            _ => None,
        };
        match differs {
            None => on(event),
            Some(found) => {
                // A loss that differs is told before the link after it.
                difference.borrow_mut().get_or_insert(found);
                ControlFlow::Break(())
            }
        }
    };
    let trained = train(start, data, &config, None, &compared);
    let difference = difference.into_inner();
    match trained {
        Err(Error::Cancelled) if difference.is_some() => {
            Ok(Retrained { difference, classifier: None })
        }
        Err(error) => Err(error),
        Ok((classifier, report)) => {
            let again = &report.record;
            let last = |record: &Record| record.links.last().map_or(0, |link| link.step);
            let (recorded, found) = (last(record), last(again));
            let difference = if recorded != found {
                Some(Difference::End { recorded, found })
            } else if record.best_epoch != again.best_epoch {
                Some(Difference::Best { recorded: record.best_epoch, found: again.best_epoch })
            } else {
                None
            };
            let classifier = difference.is_none().then_some(classifier);
            Ok(Retrained { difference, classifier })
        }
    }
}

/// Derives segments of a training again, each from the state that was kept at its beginning; the
/// first begins with the start itself. `segments` are places of links in the record.
///
/// What one audit does not look at it says nothing about: of a share `f` of segments that do not
/// hold, `k` segments that were [drawn](drawn) find one with a probability of `1 − (1 − f)^k`.
pub fn audit(
    start: &Classifier,
    data: &Split,
    record: &Record,
    states: &Path,
    segments: &[usize],
    threads: Option<usize>,
    on: Listener<'_, Audited>,
) -> Result<Vec<Audited>> {
    record.check().map_err(|source| Error::BrokenRecord { source })?;
    record.check_inputs(start, data)?;
    let config = TrainConfig { threads, ..record.config()? };
    config.check(start)?;
    let task = Task::new(start, data, &config)?;
    let mut all = Vec::new();
    for segment in segments {
        let [from, to] = record.links.get(*segment..segment + 2).unwrap_or_default() else {
            return Err(Error::NoSegment { segment: *segment });
        };
        let fresh = Learner::new(start, data, &config, task.n_steps());
        let learner = match from.step {
            0 => fresh,
            step => learner_at(states, step, &fresh, start)?,
        };
        let audited = Audited {
            from: from.step,
            to: to.step,
            difference: of_segment(&task, learner, (from, to), start)?,
        };
        all.push(audited.clone());
        if on(audited).is_break() {
            return Err(Error::Cancelled);
        }
    }
    Ok(all)
}

/// Segments of a record, drawn with a seed, each from all of them: the same one may come twice.
#[must_use]
pub fn drawn(record: &Record, n: usize, seed: u64) -> Vec<usize> {
    let n_segments = record.links.len().saturating_sub(1);
    let mut rng = stream(seed, Purpose::Audit, 0);
    let n = if n_segments == 0 { 0 } else { n };
    (0..n).map(|_| below(n_segments, &mut rng)).collect()
}

fn of_segment(
    task: &Task<'_>,
    learner: Learner,
    (from, to): (&Link, &Link),
    start: &Classifier,
) -> Result<Option<Difference>> {
    let is_of = |learner: &Learner, link: &Link| {
        task.threads.run(|| {
            start.digest_of(&learner.network()) == link.weights
                && learner.optimizer_digest() == link.optimizer
        })
    };
    if !is_of(&learner, from) {
        return Ok(Some(Difference::State { step: from.step }));
    }
    let losses: Vec<Option<u32>> = to.loss_bits().collect();
    let differs = RefCell::new(None);
    let learned = task.learn(learner, from.step..to.step, &|learner| {
        let step = learner.losses.len();
        let found = learner.losses.last().map(|loss| loss.to_bits());
        match losses[step - from.step - 1] == found {
            true => Ok(()),
            false => {
                differs.replace(Some(Difference::Loss { step }));
                Err(Error::Cancelled)
            }
        }
    });
    match (learned, differs.into_inner()) {
        (_, Some(difference)) => Ok(Some(difference)),
        (Err(error), None) => Err(error),
        (Ok(learner), None) => Ok((!is_of(&learner, to))
            .then_some(Difference::Steps { first: from.step + 1, last: to.step })),
    }
}

/// How a link that was derived differs from the recorded one of the same place.
fn of_link(recorded: &Link, found: &Link, record: &Record) -> Option<Difference> {
    let before = record.links.iter().take_while(|link| link.step < recorded.step).last();
    let first = before.map_or(0, |link| link.step) + 1;
    let mut losses = recorded.loss_bits().zip(found.loss_bits());
    if let Some(n) = losses.position(|(recorded, found)| recorded != found) {
        return Some(Difference::Loss { step: first + n });
    }
    let state = |link: &Link| (link.step, link.epoch, link.weights.clone(), link.optimizer.clone());
    match (state(recorded) == state(found), recorded.step) {
        (true, _) => None,
        (false, 0) => Some(Difference::State { step: 0 }),
        (false, last) => Some(Difference::Steps { first, last }),
    }
}
