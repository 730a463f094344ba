//! The one compute thread: whenever it is free it takes all that waits. There is no timer, so an
//! idle server answers at once and a busy one batches by itself.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use crate::error::{Error, Result};
use crate::metrics::Metrics;
use crate::model::Model;
use crate::predictor::{AnyInput, BoxError, Text};
use crate::queue::{Computed, Job, Queue, Task};

/// What the first forward pass of each model computes.
const SELF_TEST_TEXTS: [&str; 2] =
    ["ready", "A text of another length, so that both are packed into one batch."];

/// Works until the queue is closed and empty.
pub(crate) fn run(queue: &Queue, metrics: &Metrics) {
    while let Some(task) = queue.take() {
        match task {
            Task::SelfTest(test) => (test.verdict)(self_test(&test.model)),
            Task::Batch(jobs) => {
                answer(jobs, metrics);
                queue.end_batch();
            }
        }
    }
}

/// Computes a model's answers for two texts, together and alone: they must have one finite logit
/// per label, and be the same both ways. Then those for its golden texts, if it has any: they must
/// be the golden ones.
fn self_test(model: &Model) -> Result<()> {
    let attempt = || -> Result<(), BoxError> {
        let together = predict(model, prepare(model, &SELF_TEST_TEXTS)?)?;
        for (text, row) in SELF_TEST_TEXTS.iter().zip(together) {
            let alone = predict(model, prepare(model, &[text])?)?.concat();
            if !close(&row, &alone) {
                return Err(format!(
                    "{text:?} has the logits {alone:?} alone, but {row:?} in a batch"
                )
                .into());
            }
        }
        for (text, golden) in model.predictor.golden() {
            let logits = predict(model, prepare(model, &[&text])?)?.concat();
            if !close(&logits, &golden) {
                return Err(format!(
                    "{text:?} has the logits {logits:?}, but its golden logits are {golden:?}"
                )
                .into());
            }
        }
        Ok(())
    };
    attempt().map_err(|source| Error::Verify { source })
}

/// Whether two rows of logits are the same but for rounding.
fn close(left: &[f32], right: &[f32]) -> bool {
    left.len() == right.len()
        && left.iter().zip(right).all(|(a, b)| (a - b).abs() <= 1e-3 * (1.0 + a.abs()))
}

fn prepare(model: &Model, texts: &[&str]) -> Result<Vec<AnyInput>, BoxError> {
    let text = |text: &&str| Text::from((*text).to_owned());
    texts.iter().map(|one| Ok(model.predictor.prepare(&text(one))?.input)).collect()
}

fn answer(jobs: Vec<Job>, metrics: &Metrics) {
    let started = Instant::now();
    let Some(model) = jobs.first().map(|job| Arc::clone(&job.model)) else { return };
    let n_tokens: usize = jobs.iter().map(|job| job.n_tokens).sum();
    let (inputs, waiters): (Vec<_>, Vec<_>) =
        jobs.into_iter().map(|job| (job.input, (job.answer, started - job.arrived))).unzip();
    let rows = predict(&model, inputs);
    let computed = started.elapsed();
    match rows {
        Ok(rows) => {
            metrics.batch(
                &waiters.iter().map(|(_, waited)| *waited).collect::<Vec<_>>(),
                n_tokens,
                computed,
            );
            for ((answer, waited), logits) in waiters.into_iter().zip(rows) {
                // A client that has gone meanwhile does not matter.
                let _ = answer.send(Some(Computed { logits, waited, computed }));
            }
        }
        Err(error) => {
            tracing::error!(
                error = &*error,
                n_texts = waiters.len(),
                "the model failed on a batch"
            );
            metrics.failed_batches.inc();
            model.fail();
            for (answer, _) in waiters {
                let _ = answer.send(None);
            }
        }
    }
}

/// Asks the model, and believes nothing: a panic, a row too few or a logit that is not finite is an
/// error like any other.
fn predict(model: &Model, inputs: Vec<AnyInput>) -> Result<Vec<Vec<f32>>, BoxError> {
    let (n_texts, n_labels) = (inputs.len(), model.predictor.labels().len());
    let rows = catch_unwind(AssertUnwindSafe(|| model.predictor.predict(inputs)))
        .map_err(|_| "the model panicked")??;
    if rows.len() != n_texts {
        return Err(format!("{} rows of logits for {n_texts} texts", rows.len()).into());
    }
    match rows
        .iter()
        .find(|row| row.len() != n_labels || row.iter().any(|logit| !logit.is_finite()))
    {
        Some(row) => Err(format!("the logits {row:?} are not {n_labels} finite numbers").into()),
        None if n_labels == 0 => Err("the model has no labels".into()),
        None => Ok(rows),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ModelIdentity;
    use crate::testing::{Lengths, Scripted};

    fn verdict(predictor: impl crate::Predictor) -> String {
        match self_test(&Model::new(predictor, ModelIdentity::default())) {
            Ok(()) => "fine".to_owned(),
            Err(error) => std::error::Error::source(&error).expect("a cause").to_string(),
        }
    }

    #[test]
    fn a_self_test_accepts_a_model_that_answers_alike_alone_and_in_a_batch() {
        assert_eq!(verdict(Lengths::default()), "fine");
    }

    #[test]
    fn a_self_test_refuses_a_model_that_is_broken() {
        assert_eq!(verdict(Scripted(|_| Err("no weights".into()))), "no weights");
        assert_eq!(verdict(Scripted(|_| panic!("out of bounds"))), "the model panicked");
        assert_eq!(verdict(Scripted(|_| Ok(vec![]))), "0 rows of logits for 2 texts");
        assert_eq!(
            verdict(Scripted(|n| Ok(vec![vec![f32::NAN, 0.0]; n]))),
            "the logits [NaN, 0.0] are not 2 finite numbers"
        );
        assert_eq!(
            verdict(Scripted(|n| Ok(vec![vec![1.0]; n]))),
            "the logits [1.0] are not 2 finite numbers"
        );
        assert!(
            verdict(Scripted(|n| Ok(vec![vec![n as f32, 0.0]; n])))
                .contains("alone, but [2.0, 0.0] in a batch")
        );
    }
}
