//! From texts to logits: what one request asks, whatever its protocol. It knows no HTTP.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::timeout_at;

use crate::lifecycle::Lifecycle;
use crate::metrics::SecondOpinion;
use crate::model::Model;
use crate::observer::Usage;
use crate::predictor::{AnyInput, Prepared, Text};
use crate::queue::{Answer, Computed, Job, Shed};
use crate::scores::Top;
use crate::shared::Shared;
use crate::traffic::Choice;

/// Texts shorter than this, together, are tokenised at once where the request was read; longer ones
/// on a thread of their own.
const SHORT_BYTES: usize = 8192;

/// Why texts were not classified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Too much waits already; seconds after which another try makes sense.
    Busy(u64),
    /// The deadline is over.
    Late,
    /// There is no model yet, or it has failed its first forward pass.
    NoModel,
    /// The model failed on these texts.
    Failed,
    /// A text is too long, and was asked not to be cut.
    TooLong,
    /// Long texts were asked to be cut at the end that the model keeps.
    OtherSide,
    /// The model takes no pairs of texts.
    NoPairs,
}

/// What one request wants to know.
pub(crate) struct Question {
    pub(crate) texts: Vec<Text>,
    pub(crate) overlong: Overlong,
    /// When the client stops waiting.
    pub(crate) deadline: Instant,
}

/// What becomes of a text that has more tokens than the model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overlong {
    Cut,
    /// Cut at this side, or refused where the model cuts at the other.
    CutAt(Side),
    Refuse,
}

/// The end of a text, as its reader goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Beginning,
    End,
}

/// The logits of all texts of one request, all from one model.
pub(crate) struct Classified {
    pub(crate) model: Arc<Model>,
    pub(crate) rows: Vec<Computed>,
    pub(crate) usage: Usage,
}

impl Classified {
    /// The best label of each text.
    pub(crate) fn best(&self) -> impl Iterator<Item = (&str, Top)> {
        let labels = self.model.predictor.labels();
        self.rows.iter().map(move |row| {
            let best = self.model.top(&row.logits);
            (labels[best.index].as_str(), best)
        })
    }
}

/// Classifies texts: prepares them, waits for its turn, and hears what the compute thread says.
pub(crate) async fn classify(
    shared: &Shared,
    request_id: &str,
    question: Question,
) -> Result<Classified, Refusal> {
    let Question { texts, overlong, deadline } = question;
    if let Lifecycle::Failed(_) = *shared.lifecycle.borrow() {
        return Err(Refusal::NoModel);
    }
    let choice = shared.traffic.load().choose(request_id.as_bytes());
    if choice.model.predictor.labels().is_empty() {
        return Err(Refusal::NoModel);
    }
    let side = if choice.model.predictor.cuts_beginning() { Side::Beginning } else { Side::End };
    if matches!(overlong, Overlong::CutAt(asked) if asked != side) {
        return Err(Refusal::OtherSide);
    }
    if !choice.model.predictor.takes_pairs() && texts.iter().any(|text| text.pair.is_some()) {
        return Err(Refusal::NoPairs);
    }
    shared.queue.admits(deadline).map_err(|shed| busy(shared, &shed))?;
    let started = Instant::now();
    let (prepared, texts) = prepare(shared, &choice.model, texts).await.ok_or(Refusal::Failed)?;
    let tokenised = started.elapsed();
    let n_truncated = prepared.iter().filter(|prepared| prepared.truncated).count();
    if n_truncated > 0 && overlong == Overlong::Refuse {
        return Err(Refusal::TooLong);
    }
    let mut usage = Usage {
        n_texts: prepared.len(),
        n_tokens: prepared.iter().map(|prepared| prepared.n_tokens).sum(),
        n_truncated,
        tokenised,
        ..Usage::default()
    };
    let waiting =
        admit(shared, &choice.model, prepared, deadline).map_err(|shed| busy(shared, &shed))?;
    let rows = timeout_at(deadline.into(), all(waiting)).await.ok().flatten();
    // The queue drops what is late without an answer.
    let refusal = || if Instant::now() >= deadline { late(shared) } else { Refusal::Failed };
    let rows = rows.ok_or_else(refusal)?;
    usage.waited = rows.iter().map(|row| row.waited).max().unwrap_or_default();
    usage.computed = rows.iter().map(|row| row.computed).max().unwrap_or_default();
    let classified = Classified { model: Arc::clone(&choice.model), rows, usage };
    let best = classified.best().map(|(label, best)| (label, best.score));
    shared.metrics.classified(&usage, choice.role, best);
    ask_for_second_opinion(shared, &choice, &texts, &classified);
    Ok(classified)
}

async fn all(waiting: Vec<oneshot::Receiver<Answer>>) -> Option<Vec<Computed>> {
    let mut rows = Vec::with_capacity(waiting.len());
    for answer in waiting {
        rows.push(answer.await.ok().flatten()?);
    }
    Some(rows)
}

/// Tokenises; `None` when the model cannot, which is logged. Gives the texts back.
async fn prepare(
    shared: &Shared,
    model: &Arc<Model>,
    texts: Vec<Text>,
) -> Option<(Vec<Prepared<AnyInput>>, Vec<Text>)> {
    if texts.iter().map(Text::len).sum::<usize>() <= SHORT_BYTES {
        return Some((prepare_now(model, &texts)?, texts));
    }
    let _turn = shared.preparing.acquire().await.ok()?;
    let model = Arc::clone(model);
    spawn_blocking(move || Some((prepare_now(&model, &texts)?, texts))).await.ok()?
}

fn prepare_now(model: &Model, texts: &[Text]) -> Option<Vec<Prepared<AnyInput>>> {
    let prepare =
        || texts.iter().map(|text| model.predictor.prepare(text)).collect::<Result<Vec<_>, _>>();
    match catch_unwind(AssertUnwindSafe(prepare)) {
        Ok(Ok(prepared)) => Some(prepared),
        Ok(Err(error)) => {
            tracing::error!(error = &*error, "the model cannot prepare a text");
            None
        }
        Err(_) => {
            tracing::error!("the model panicked over a text");
            None
        }
    }
}

fn admit(
    shared: &Shared,
    model: &Arc<Model>,
    prepared: Vec<Prepared<AnyInput>>,
    deadline: Instant,
) -> Result<Vec<oneshot::Receiver<Answer>>, Shed> {
    let jobs = prepared.into_iter().map(|prepared| job(model, prepared, deadline));
    let (jobs, waiting) = jobs.unzip();
    shared.queue.push(jobs)?;
    Ok(waiting)
}

fn job(
    model: &Arc<Model>,
    prepared: Prepared<AnyInput>,
    deadline: Instant,
) -> (Job, oneshot::Receiver<Answer>) {
    let (answer, waiting) = oneshot::channel();
    let Prepared { input, n_tokens, .. } = prepared;
    (
        Job {
            model: Arc::clone(model),
            input,
            n_tokens,
            arrived: Instant::now(),
            deadline,
            answer,
        },
        waiting,
    )
}

fn busy(shared: &Shared, shed: &Shed) -> Refusal {
    shared.metrics.shed(shed.reason);
    Refusal::Busy(shed.wait.as_secs_f64().ceil().clamp(1.0, 60.0) as u64)
}

fn late(shared: &Shared) -> Refusal {
    shared.metrics.late.inc();
    Refusal::Late
}

/// Asks the other model the same, for when there is nothing else to do, and compares in the
/// background.
fn ask_for_second_opinion(shared: &Shared, choice: &Choice, texts: &[Text], first: &Classified) {
    let Some((other, judged)) = &choice.second else { return };
    let judged = *judged;
    for (text, row) in texts.iter().zip(&first.rows) {
        let prepared = prepare_now(other, std::slice::from_ref(text));
        let Some(prepared) = prepared.and_then(|mut one| one.pop()) else { return };
        let (job, opinion) = job(other, prepared, Instant::now() + shared.options.request_timeout);
        if !shared.queue.push_background(job) {
            shared.metrics.second_opinion(judged, SecondOpinion::Dropped);
            continue;
        }
        let (metrics, first) = (Arc::clone(&shared.metrics), choice.model.top(&row.logits));
        let (model, other) = (Arc::clone(&choice.model), Arc::clone(other));
        tokio::spawn(async move {
            let opinion = opinion.await.ok().flatten().map(|row| {
                let second = other.top(&row.logits);
                let [label, other_label] = [(&model, &first), (&other, &second)]
                    .map(|(model, top)| &model.predictor.labels()[top.index]);
                SecondOpinion::Given {
                    agrees: label == other_label,
                    delta: (first.score - second.score).abs(),
                }
            });
            metrics.second_opinion(judged, opinion.unwrap_or(SecondOpinion::Dropped));
        });
    }
}
