//! `POST /predict`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use super::body::{self, Texts};
use super::json::{Quoted, float};
use super::problem::{detail, json};
use super::stamp::AnsweredBy;
use crate::handle::Lifecycle;
use crate::model::Model;
use crate::predictor::{AnyInput, Prepared};
use crate::queue::{Answer, Computed, Full, Job};
use crate::scores::top;
use crate::server::Shared;

/// Texts shorter than this, together, are tokenised at once where the request was read; longer ones on a thread of their own.
const SHORT_BYTES: usize = 8192;

/// Answers one text with `[{"label","score"}]`, and a list of texts with a list of such answers.
pub(crate) async fn predict(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    let started = Instant::now();
    let _in_flight = shared.enter();
    let texts = match body::texts(request, &shared.options).await {
        Ok(texts) => texts,
        Err(answer) => return answer,
    };
    let model = shared.model.load_full();
    let mut answer = compute(&shared, &model, texts).await.unwrap_or_else(|answer| answer);
    answer.extensions_mut().insert(AnsweredBy(model));
    shared.metrics.predict_seconds.observe(started.elapsed().as_secs_f64());
    answer
}

async fn compute(shared: &Shared, model: &Arc<Model>, texts: Texts) -> Result<Response, Response> {
    if let Lifecycle::Failed(_) = *shared.lifecycle.borrow() {
        return Err(detail(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"));
    }
    let started = Instant::now();
    let is_list = matches!(texts, Texts::Many(_));
    let prepared = prepare(shared, model, texts).await.ok_or_else(failed)?;
    let tokenised = started.elapsed();
    let n_truncated = prepared.iter().filter(|prepared| prepared.truncated).count();
    let waiting = admit(shared, model, prepared).map_err(|full| refused(shared, &full))?;
    let mut rows = Vec::with_capacity(waiting.len());
    for answer in waiting {
        rows.push(answer.await.ok().flatten().ok_or_else(failed)?);
    }
    let mut answer = json(StatusCode::OK, write(shared, model, &rows, is_list));
    answer.headers_mut().insert("server-timing", timing(tokenised, &rows));
    if n_truncated > 0 {
        shared.metrics.truncated.add(n_truncated as u64);
        answer.headers_mut().insert("x-truncated", HeaderValue::from_static("true"));
    }
    Ok(answer)
}

/// Tokenises; `None` when the model cannot, which is logged.
async fn prepare(shared: &Shared, model: &Arc<Model>, texts: Texts) -> Option<Vec<Prepared<AnyInput>>> {
    if texts.as_slice().iter().map(String::len).sum::<usize>() <= SHORT_BYTES {
        return prepare_now(model, &texts);
    }
    let _turn = shared.preparing.acquire().await.ok()?;
    let model = Arc::clone(model);
    spawn_blocking(move || prepare_now(&model, &texts)).await.ok()?
}

fn prepare_now(model: &Model, texts: &Texts) -> Option<Vec<Prepared<AnyInput>>> {
    let prepare = || texts.as_slice().iter().map(|text| model.predictor.prepare(text)).collect::<Result<Vec<_>, _>>();
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
) -> Result<Vec<oneshot::Receiver<Answer>>, Full> {
    let arrived = Instant::now();
    let job = |Prepared { input, n_tokens, .. }| {
        let (answer, waiting) = oneshot::channel();
        (Job { model: Arc::clone(model), input, n_tokens, arrived, answer }, waiting)
    };
    let (jobs, waiting) = prepared.into_iter().map(job).unzip();
    shared.queue.push(jobs)?;
    Ok(waiting)
}

/// 429, with the seconds after which what waits now will have been computed.
fn refused(shared: &Shared, full: &Full) -> Response {
    shared.metrics.shed.add(1);
    let seconds = full.n_tokens as f64 / shared.metrics.tokens_per_second().max(1.0);
    let mut answer = detail(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests");
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds.ceil().clamp(1.0, 60.0) as u64));
    answer
}

/// As Starlette answers when the app fails.
fn failed() -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error").into_response()
}

fn write(shared: &Shared, model: &Model, rows: &[Computed], is_list: bool) -> String {
    let one = |row: &Computed| {
        let best = top(&row.logits);
        let label = &model.predictor.labels()[best.index];
        shared.metrics.label(label);
        format!("[{{\"label\":{},\"score\":{}}}]", Quoted(label), float(f64::from(best.score)))
    };
    let answers: Vec<String> = rows.iter().map(one).collect();
    if is_list { format!("[{}]", answers.join(",")) } else { answers.concat() }
}

/// `Server-Timing`, in milliseconds: tokenising, the longest wait, the longest computation.
fn timing(tokenised: Duration, rows: &[Computed]) -> HeaderValue {
    let longest = |time: fn(&Computed) -> Duration| rows.iter().map(time).max().unwrap_or_default();
    let [tok, queue, infer] =
        [tokenised, longest(|row| row.waited), longest(|row| row.computed)].map(|time| time.as_secs_f64() * 1e3);
    let text = format!("tok;dur={tok:.3}, queue;dur={queue:.3}, infer;dur={infer:.3}");
    HeaderValue::from_str(&text).expect("digits and punctuation are a header's value")
}
