//! From texts to logits: what all protocols share. They differ in how they ask and in how they say
//! no.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::timeout_at;

use super::stamp::{AnsweredBy, Done};
use crate::handle::Lifecycle;
use crate::model::Model;
use crate::predictor::{AnyInput, Prepared};
use crate::queue::{Answer, Computed, Full, Job};
use crate::record::Work;
use crate::routes::{Choice, Role};
use crate::scores::{Top, top};
use crate::server::Shared;

/// Texts shorter than this, together, are tokenised at once where the request was read; longer ones
/// on a thread of their own.
const SHORT_BYTES: usize = 8192;

/// Why texts were not classified.
#[derive(Debug)]
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
}

impl Refusal {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Busy(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Late => StatusCode::GATEWAY_TIMEOUT,
            Self::NoModel => StatusCode::SERVICE_UNAVAILABLE,
            Self::Failed => StatusCode::INTERNAL_SERVER_ERROR,
            Self::TooLong => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }

    pub(crate) fn message(&self) -> &'static str {
        match self {
            Self::Busy(_) => "Too Many Requests",
            Self::Late => "Gateway Timeout",
            Self::NoModel => "Service Unavailable",
            Self::Failed => "Internal Server Error",
            Self::TooLong => "the text has more tokens than the model takes",
        }
    }

    /// Says in its header when another try makes sense.
    pub(crate) fn onto(&self, mut answer: Response) -> Response {
        let seconds = match self {
            Self::Busy(seconds) => *seconds,
            Self::NoModel => 1,
            _ => return answer,
        };
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        answer
    }
}

/// What one request wants to know.
pub(crate) struct Question {
    pub(crate) texts: Vec<String>,
    /// Whether a text that is too long may be cut.
    pub(crate) truncate: bool,
    pub(crate) deadline: Instant,
}

/// The logits of all texts of one request, all from one model.
pub(crate) struct Classified {
    pub(crate) model: Arc<Model>,
    pub(crate) rows: Vec<Computed>,
    pub(crate) work: Work,
}

impl Classified {
    /// The best label of each text.
    pub(crate) fn best(&self) -> impl Iterator<Item = (&str, Top)> {
        let labels = self.model.predictor.labels();
        self.rows.iter().map(move |row| {
            let best = top(&row.logits);
            (labels[best.index].as_str(), best)
        })
    }

    /// Says on the answer which model gave it, what it took and whether a text was cut.
    pub(crate) fn onto(&self, mut answer: Response) -> Response {
        let Work { tokenised, waited, computed, n_truncated, n_tokens, .. } = self.work;
        let [tok, queue, infer] =
            [tokenised, waited, computed].map(|time| time.as_secs_f64() * 1e3);
        let timing = format!("tok;dur={tok:.3}, queue;dur={queue:.3}, infer;dur={infer:.3}");
        let text = |text: &str| {
            HeaderValue::from_str(text).expect("digits and punctuation are a header's value")
        };
        answer.headers_mut().insert("server-timing", text(&timing));
        answer.headers_mut().insert("x-tokens", text(&n_tokens.to_string()));
        if n_truncated > 0 {
            answer.headers_mut().insert("x-truncated", HeaderValue::from_static("true"));
        }
        answer.extensions_mut().insert(AnsweredBy(Arc::clone(&self.model)));
        answer.extensions_mut().insert(Done(self.work));
        answer
    }
}

/// When a client stops waiting: by `X-Request-Timeout-Ms`, at most the server's own limit. `Err`
/// where it is no number of milliseconds.
pub(crate) fn deadline(headers: &HeaderMap, shared: &Shared) -> Result<Instant, &'static str> {
    let limit = shared.options.request_timeout;
    let Some(asked) = headers.get("x-request-timeout-ms") else {
        return Ok(Instant::now() + limit);
    };
    let digits = asked.to_str().unwrap_or_default().trim();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("X-Request-Timeout-Ms is not a number of milliseconds");
    }
    // More than fits into a number is more than the limit.
    let asked = digits.parse().map_or(limit, Duration::from_millis);
    Ok(Instant::now() + asked.min(limit))
}

/// Classifies texts: prepares them, waits for its turn, and hears what the compute thread says.
pub(crate) async fn classify(
    shared: &Shared,
    request_id: &str,
    question: Question,
) -> Result<Classified, Refusal> {
    let Question { texts, truncate, deadline } = question;
    if let Lifecycle::Failed(_) = *shared.lifecycle.borrow() {
        return Err(Refusal::NoModel);
    }
    let choice = shared.routes.load().choose(request_id.as_bytes());
    if choice.model.predictor.labels().is_empty() {
        return Err(Refusal::NoModel);
    }
    shared.queue.admits(deadline).map_err(|full| busy(shared, &full))?;
    let started = Instant::now();
    let (prepared, texts) = prepare(shared, &choice.model, texts).await.ok_or(Refusal::Failed)?;
    let tokenised = started.elapsed();
    if prepared.iter().any(|prepared| prepared.truncated && !truncate) {
        return Err(Refusal::TooLong);
    }
    let mut work = Work {
        n_texts: prepared.len(),
        n_tokens: prepared.iter().map(|prepared| prepared.n_tokens).sum(),
        n_truncated: prepared.iter().filter(|prepared| prepared.truncated).count(),
        tokenised,
        ..Work::default()
    };
    let waiting =
        admit(shared, &choice.model, prepared, deadline).map_err(|full| busy(shared, &full))?;
    let rows = timeout_at(deadline.into(), all(waiting)).await.ok().flatten();
    // The queue drops what is late without an answer.
    let refusal = || if Instant::now() >= deadline { late(shared) } else { Refusal::Failed };
    let rows = rows.ok_or_else(refusal)?;
    work.waited = rows.iter().map(|row| row.waited).max().unwrap_or_default();
    work.computed = rows.iter().map(|row| row.computed).max().unwrap_or_default();
    let classified = Classified { model: Arc::clone(&choice.model), rows, work };
    shared.metrics.classified(&classified, choice.role);
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
    texts: Vec<String>,
) -> Option<(Vec<Prepared<AnyInput>>, Vec<String>)> {
    if texts.iter().map(String::len).sum::<usize>() <= SHORT_BYTES {
        return Some((prepare_now(model, &texts)?, texts));
    }
    let _turn = shared.preparing.acquire().await.ok()?;
    let model = Arc::clone(model);
    spawn_blocking(move || Some((prepare_now(&model, &texts)?, texts))).await.ok()?
}

fn prepare_now(model: &Model, texts: &[String]) -> Option<Vec<Prepared<AnyInput>>> {
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
) -> Result<Vec<oneshot::Receiver<Answer>>, Full> {
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

fn busy(shared: &Shared, full: &Full) -> Refusal {
    shared.metrics.shed(full.reason);
    Refusal::Busy(full.wait.as_secs_f64().ceil().clamp(1.0, 60.0) as u64)
}

fn late(shared: &Shared) -> Refusal {
    shared.metrics.late.add(1);
    Refusal::Late
}

/// Asks the other model the same, for when there is nothing else to do, and compares in the
/// background.
fn ask_for_second_opinion(shared: &Shared, choice: &Choice, texts: &[String], first: &Classified) {
    let Some((other, judged)) = &choice.second else { return };
    for (text, row) in texts.iter().zip(&first.rows) {
        let Some(prepared) =
            prepare_now(other, std::slice::from_ref(text)).and_then(|mut one| one.pop())
        else {
            return;
        };
        let (job, opinion) = job(other, prepared, Instant::now() + shared.options.request_timeout);
        if !shared.queue.push_idle(job) {
            shared.metrics.opinion_dropped(*judged);
            continue;
        }
        let (metrics, first, labels) =
            (Arc::clone(&shared.metrics), top(&row.logits), Arc::clone(&choice.model));
        let (judged, other): (Role, Arc<Model>) = (*judged, Arc::clone(other));
        tokio::spawn(async move {
            match opinion.await.ok().flatten() {
                Some(row) => {
                    let second = top(&row.logits);
                    let name =
                        |model: &Model, top: &Top| model.predictor.labels()[top.index].clone();
                    let agrees = name(&labels, &first) == name(&other, &second);
                    metrics.opinion(judged, agrees, (first.score - second.score).abs());
                }
                None => metrics.opinion_dropped(judged),
            }
        });
    }
}
