//! The bounded queue between the clients and the compute thread, counted in tokens.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::error::Result;
use crate::model::Model;
use crate::options::ServeOptions;
use crate::predictor::AnyInput;
use crate::throughput::Throughput;

/// One text that waits to be computed.
pub(crate) struct Job {
    pub(crate) model: Arc<Model>,
    pub(crate) input: AnyInput,
    pub(crate) n_tokens: usize,
    pub(crate) arrived: Instant,
    /// When the client stops waiting.
    pub(crate) deadline: Instant,
    pub(crate) answer: oneshot::Sender<Answer>,
}

impl Job {
    /// Whether nobody waits for the answer any more.
    fn is_abandoned(&self) -> bool {
        self.answer.is_closed() || self.deadline <= Instant::now()
    }
}

/// The logits of one text, or `None` where the model failed.
pub(crate) type Answer = Option<Computed>;

/// One row of logits and what it took.
#[derive(Debug)]
pub(crate) struct Computed {
    pub(crate) logits: Vec<f32>,
    pub(crate) waited: Duration,
    pub(crate) computed: Duration,
}

/// A model to be tested before it is served; goes before every waiting text.
pub(crate) struct SelfTest {
    pub(crate) model: Arc<Model>,
    pub(crate) verdict: Box<dyn FnOnce(Result<()>) + Send>,
}

/// What the compute thread does next.
pub(crate) enum Task {
    SelfTest(SelfTest),
    /// Texts of one model.
    Batch(Vec<Job>),
}

/// Why a request was not taken in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shed {
    pub(crate) reason: ShedReason,
    /// When what waits now will have been computed, by what is known of the speed.
    pub(crate) wait: Duration,
}

/// Which limit it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ShedReason {
    /// Too many tokens wait.
    Tokens,
    /// It would have to wait for too long.
    Wait,
}

impl ShedReason {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Wait => "wait",
        }
    }
}

/// Texts that wait for when there is nothing else to do, at most.
const MAX_BACKGROUND: usize = 64;

/// Texts in the order of their arrival.
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    max_tokens: usize,
    max_wait: Duration,
    max_batch_tokens: usize,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    /// For when there are no jobs.
    background: VecDeque<Job>,
    throughput: Throughput,
    self_tests: VecDeque<SelfTest>,
    n_tokens: usize,
    closed: bool,
}

impl Queue {
    pub(crate) fn new(options: &ServeOptions) -> Self {
        let ServeOptions {
            max_queue_tokens: max_tokens,
            max_queue_wait: max_wait,
            max_batch_tokens,
            ..
        } = *options;
        Self {
            waiting: Mutex::default(),
            changed: Condvar::new(),
            max_tokens,
            max_wait,
            max_batch_tokens,
        }
    }

    /// Says no early, before a request has cost anything: whether not even a single token would be
    /// taken in.
    pub(crate) fn admits(&self, deadline: Instant) -> Result<(), Shed> {
        self.lock().admit(1, deadline, self)
    }

    /// Takes all the texts of one request in, or none. A request larger than the whole queue is
    /// taken in when nothing waits.
    pub(crate) fn push(&self, jobs: Vec<Job>) -> Result<(), Shed> {
        let n_tokens: usize = jobs.iter().map(|job| job.n_tokens).sum();
        let Some(deadline) = jobs.iter().map(|job| job.deadline).min() else { return Ok(()) };
        let mut waiting = self.lock();
        waiting.admit(n_tokens, deadline, self)?;
        if !waiting.closed {
            waiting.n_tokens += n_tokens;
            waiting.jobs.extend(jobs);
        }
        drop(waiting);
        self.changed.notify_one();
        Ok(())
    }

    /// Takes a text in for when there is nothing else to do; says whether there was room.
    pub(crate) fn push_background(&self, job: Job) -> bool {
        let mut waiting = self.lock();
        let fits = waiting.background.len() < MAX_BACKGROUND && !waiting.closed;
        if fits {
            waiting.background.push_back(job);
        }
        drop(waiting);
        self.changed.notify_one();
        fits
    }

    /// A batch is over.
    pub(crate) fn end_batch(&self) {
        self.lock().throughput.end(Instant::now());
    }

    /// How fast the compute thread has been lately; 0 before its first batch.
    pub(crate) fn tokens_per_second(&self) -> f64 {
        self.lock().throughput.tokens_per_second()
    }

    /// Asks for a self-test. On a closed queue the verdict is dropped unheard.
    pub(crate) fn push_self_test(&self, test: SelfTest) {
        let mut waiting = self.lock();
        if !waiting.closed {
            waiting.self_tests.push_back(test);
        }
        drop(waiting);
        self.changed.notify_one();
    }

    /// Waits for work and takes all of one model's texts that wait, up to `max_batch_tokens` (but
    /// at least one). `None` once closed and empty.
    pub(crate) fn take(&self) -> Option<Task> {
        let mut waiting = self.lock();
        loop {
            if let Some(test) = waiting.self_tests.pop_front() {
                return Some(Task::SelfTest(test));
            }
            let batch = waiting.take_batch(self.max_batch_tokens);
            if !batch.is_empty() {
                waiting
                    .throughput
                    .begin(batch.iter().map(|job| job.n_tokens).sum(), Instant::now());
                return Some(Task::Batch(batch));
            }
            if waiting.closed {
                return None;
            }
            if let Some(job) = waiting.background.pop_front() {
                // One at a time: whoever comes meanwhile waits for no more than one text.
                return Some(Task::Batch(vec![job]));
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes nothing in any more; what waits is still computed.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Texts and tokens that somebody waits for now.
    pub(crate) fn depth(&self) -> (usize, usize) {
        let mut waiting = self.lock();
        waiting.drop_abandoned();
        (waiting.jobs.len(), waiting.n_tokens)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Whether so many more tokens may be taken in. Texts that nobody waits for are dropped where
    /// they are in the way.
    fn admit(&mut self, n_tokens: usize, deadline: Instant, queue: &Queue) -> Result<(), Shed> {
        if self.refusal(n_tokens, deadline, queue).is_some() {
            self.drop_abandoned();
        }
        self.refusal(n_tokens, deadline, queue).map_or(Ok(()), Err)
    }

    fn refusal(&self, n_tokens: usize, deadline: Instant, queue: &Queue) -> Option<Shed> {
        if self.n_tokens == 0 {
            return None;
        }
        let now = Instant::now();
        let wait = self.throughput.wait(self.n_tokens, now);
        let too_long = wait > queue.max_wait || wait > deadline.saturating_duration_since(now);
        let reason = match self.n_tokens + n_tokens > queue.max_tokens {
            true => ShedReason::Tokens,
            false if too_long => ShedReason::Wait,
            false => return None,
        };
        Some(Shed { reason, wait })
    }

    fn take_batch(&mut self, max_tokens: usize) -> Vec<Job> {
        let mut batch: Vec<Job> = Vec::new();
        let mut n_tokens = 0;
        self.drop_abandoned_front();
        while let Some(next) = self.jobs.front() {
            let fits = n_tokens + next.n_tokens <= max_tokens
                && batch.iter().all(|job| Arc::ptr_eq(&job.model, &next.model));
            if !batch.is_empty() && !fits {
                break;
            }
            n_tokens += next.n_tokens;
            batch.extend(self.pop());
            self.drop_abandoned_front();
        }
        batch
    }

    fn drop_abandoned_front(&mut self) {
        while self.jobs.front().is_some_and(Job::is_abandoned) {
            self.pop();
        }
    }

    fn drop_abandoned(&mut self) {
        self.jobs.retain(|job| !job.is_abandoned());
        self.n_tokens = self.jobs.iter().map(|job| job.n_tokens).sum();
    }

    fn pop(&mut self) -> Option<Job> {
        let job = self.jobs.pop_front()?;
        self.n_tokens -= job.n_tokens;
        Some(job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ModelIdentity;
    use crate::testing::Lengths;

    fn job(model: &Arc<Model>, n_tokens: usize) -> (Job, oneshot::Receiver<Answer>) {
        let ((answer, answered), arrived) = (oneshot::channel(), Instant::now());
        let deadline = arrived + Duration::from_secs(60);
        (
            Job {
                model: Arc::clone(model),
                input: Box::new(()),
                n_tokens,
                arrived,
                deadline,
                answer,
            },
            answered,
        )
    }

    fn queue(max_queue_tokens: usize, max_batch_tokens: usize) -> Queue {
        Queue::new(&ServeOptions { max_queue_tokens, max_batch_tokens, ..Default::default() })
    }

    fn model() -> Arc<Model> {
        Model::new(Lengths::default(), ModelIdentity::default())
    }

    fn tokens(work: Option<Task>) -> Vec<usize> {
        match work {
            Some(Task::Batch(jobs)) => jobs.iter().map(|job| job.n_tokens).collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn a_batch_takes_what_waits_up_to_the_cap() {
        let (queue, model) = (queue(100, 35), model());
        let (jobs, _answers): (Vec<_>, Vec<_>) =
            [10, 20, 30, 5].map(|n| job(&model, n)).into_iter().unzip();
        queue.push(jobs).unwrap();
        assert_eq!(tokens(queue.take()), [10, 20]);
        assert_eq!(tokens(queue.take()), [30, 5]);
        assert_eq!(queue.depth(), (0, 0));
        let (long, _answer) = job(&model, 90);
        queue.push(vec![long]).unwrap();
        assert_eq!(tokens(queue.take()), [90], "a single text may be longer than the cap");
    }

    #[test]
    fn a_full_queue_refuses_whole_requests() {
        let (queue, model) = (queue(100, 100), model());
        let (first, _a) = job(&model, 150);
        queue.push(vec![first]).expect("larger than the queue, but nothing waits");
        let ((second, _b), (third, _c)) = (job(&model, 1), job(&model, 1));
        assert_eq!(
            queue.push(vec![second, third]).map_err(|shed| shed.reason),
            Err(ShedReason::Tokens)
        );
        assert_eq!(queue.depth(), (1, 150));
    }

    #[test]
    fn abandoned_texts_are_dropped_before_compute() {
        let (queue, model) = (queue(100, 100), model());
        let ((first, gone), (second, _b), (third, also_gone)) =
            (job(&model, 1), job(&model, 2), job(&model, 3));
        queue.push(vec![first, second, third]).unwrap();
        drop((gone, also_gone));
        assert_eq!(tokens(queue.take()), [2]);
        assert_eq!(queue.depth(), (0, 0));
    }

    #[test]
    fn abandoned_texts_take_no_room() {
        let (queue, model) = (queue(100, 100), model());
        let ((first, _a), (second, gone), (third, _c)) =
            (job(&model, 1), job(&model, 99), job(&model, 99));
        queue.push(vec![first, second]).unwrap();
        drop(gone);
        queue.push(vec![third]).expect("the second text is dropped for it");
        assert_eq!(queue.depth(), (2, 100));
    }

    #[test]
    fn a_batch_never_mixes_models() {
        let (queue, old, new) = (queue(100, 100), model(), model());
        let ((first, _a), (second, _b)) = (job(&old, 1), job(&new, 2));
        queue.push(vec![first, second]).unwrap();
        assert_eq!(tokens(queue.take()), [1]);
        assert_eq!(tokens(queue.take()), [2]);
    }

    #[test]
    fn a_closed_queue_ends_when_it_is_empty() {
        let (queue, model) = (queue(100, 100), model());
        let (first, _a) = job(&model, 1);
        queue.push(vec![first]).unwrap();
        queue.close();
        assert_eq!(tokens(queue.take()), [1]);
        assert!(queue.take().is_none());
    }

    #[test]
    fn a_request_that_would_wait_too_long_is_refused() {
        let options =
            ServeOptions { max_queue_wait: Duration::from_millis(500), ..Default::default() };
        let (queue, model) = (Queue::new(&options), model());
        {
            // 1000 tokens a second.
            let (mut waiting, began) = (queue.lock(), Instant::now());
            waiting.throughput.begin(1000, began);
            waiting.throughput.end(began + Duration::from_secs(1));
        }
        let push = |n_tokens: usize, patience: Duration| {
            let (mut job, answered) = job(&model, n_tokens);
            job.deadline = job.arrived + patience;
            (queue.push(vec![job]), answered)
        };
        let minute = Duration::from_secs(60);
        let (first, _a) = push(400, minute);
        assert_eq!(first, Ok(()));
        let (impatient, _b) = push(1, Duration::from_millis(100));
        assert_eq!(
            impatient.unwrap_err().reason,
            ShedReason::Wait,
            "it would be answered after its deadline"
        );
        let (second, _c) = push(300, minute);
        assert_eq!(second, Ok(()), "what waits takes 0.4 s");
        assert!(queue.admits(Instant::now() + minute).is_err());
        let shed = push(1, minute).0.unwrap_err();
        assert!(
            shed.reason == ShedReason::Wait && (650..750).contains(&shed.wait.as_millis()),
            "{shed:?}"
        );
    }

    #[test]
    fn texts_whose_client_has_stopped_waiting_are_not_computed() {
        let (queue, model) = (queue(100, 100), model());
        let ((mut late, _a), (second, _b)) = (job(&model, 1), job(&model, 2));
        late.deadline = late.arrived;
        queue.push(vec![late]).unwrap();
        queue.push(vec![second]).unwrap();
        assert_eq!(tokens(queue.take()), [2]);
    }

    #[test]
    fn background_work_is_done_one_by_one_when_there_is_nothing_else() {
        let (queue, model) = (queue(100, 100), model());
        let (background, _answers): (Vec<_>, Vec<_>) =
            (0..MAX_BACKGROUND + 1).map(|n| job(&model, n + 1)).unzip();
        let taken_in: Vec<bool> =
            background.into_iter().map(|job| queue.push_background(job)).collect();
        assert_eq!(taken_in.iter().filter(|fits| **fits).count(), MAX_BACKGROUND);
        let (first, _a) = job(&model, 50);
        queue.push(vec![first]).unwrap();
        assert_eq!(tokens(queue.take()), [50]);
        assert_eq!(tokens(queue.take()), [1]);
        assert_eq!(tokens(queue.take()), [2]);
    }
}
