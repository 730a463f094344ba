//! The bounded queue between the clients and the compute thread, counted in tokens.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::error::Result;
use crate::model::Model;
use crate::predictor::AnyInput;

/// One text that waits to be computed.
pub(crate) struct Job {
    pub(crate) model: Arc<Model>,
    pub(crate) input: AnyInput,
    pub(crate) n_tokens: usize,
    pub(crate) arrived: Instant,
    pub(crate) answer: oneshot::Sender<Answer>,
}

impl Job {
    /// Whether nobody waits for the answer any more.
    fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
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

/// A model to be tried before it is served; goes before every waiting text.
pub(crate) struct Trial {
    pub(crate) model: Arc<Model>,
    pub(crate) verdict: Box<dyn FnOnce(Result<()>) + Send>,
}

/// What the compute thread does next.
pub(crate) enum Work {
    Try(Trial),
    /// Texts of one model.
    Predict(Vec<Job>),
}

/// Why a request was not taken in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full {
    /// Tokens that wait already.
    pub(crate) n_tokens: usize,
}

/// Texts in the order of their arrival.
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    max_tokens: usize,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    trials: VecDeque<Trial>,
    n_tokens: usize,
    closed: bool,
}

impl Queue {
    pub(crate) fn new(max_tokens: usize) -> Self {
        Self { waiting: Mutex::default(), changed: Condvar::new(), max_tokens }
    }

    /// Takes all the texts of one request in, or none. A request larger than the whole queue is taken in when nothing waits.
    pub(crate) fn push(&self, jobs: Vec<Job>) -> Result<(), Full> {
        let n_tokens: usize = jobs.iter().map(|job| job.n_tokens).sum();
        let mut waiting = self.lock();
        if waiting.is_full_for(n_tokens, self.max_tokens) {
            waiting.drop_abandoned();
        }
        if waiting.is_full_for(n_tokens, self.max_tokens) {
            return Err(Full { n_tokens: waiting.n_tokens });
        }
        if !waiting.closed {
            waiting.n_tokens += n_tokens;
            waiting.jobs.extend(jobs);
        }
        drop(waiting);
        self.changed.notify_one();
        Ok(())
    }

    /// Asks for a trial. On a closed queue the verdict is dropped unheard.
    pub(crate) fn push_trial(&self, trial: Trial) {
        let mut waiting = self.lock();
        if !waiting.closed {
            waiting.trials.push_back(trial);
        }
        drop(waiting);
        self.changed.notify_one();
    }

    /// Waits for work and takes all of one model's texts that wait, up to `max_tokens` (but at least one). `None` once closed and empty.
    pub(crate) fn take(&self, max_tokens: usize) -> Option<Work> {
        let mut waiting = self.lock();
        loop {
            if let Some(trial) = waiting.trials.pop_front() {
                return Some(Work::Try(trial));
            }
            let batch = waiting.take_batch(max_tokens);
            if !batch.is_empty() {
                return Some(Work::Predict(batch));
            }
            if waiting.closed {
                return None;
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
    fn is_full_for(&self, n_tokens: usize, max_tokens: usize) -> bool {
        self.n_tokens > 0 && self.n_tokens + n_tokens > max_tokens
    }

    fn take_batch(&mut self, max_tokens: usize) -> Vec<Job> {
        let mut batch: Vec<Job> = Vec::new();
        let mut n_tokens = 0;
        self.drop_abandoned_front();
        while let Some(next) = self.jobs.front() {
            let fits =
                n_tokens + next.n_tokens <= max_tokens && batch.iter().all(|job| Arc::ptr_eq(&job.model, &next.model));
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
        let (answer, answered) = oneshot::channel();
        (Job { model: Arc::clone(model), input: Box::new(()), n_tokens, arrived: Instant::now(), answer }, answered)
    }

    fn model() -> Arc<Model> {
        Model::new(Lengths::default(), ModelIdentity::default())
    }

    fn tokens(work: Option<Work>) -> Vec<usize> {
        match work {
            Some(Work::Predict(jobs)) => jobs.iter().map(|job| job.n_tokens).collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn a_batch_takes_what_waits_up_to_the_cap() {
        let (queue, model) = (Queue::new(100), model());
        let (jobs, _answers): (Vec<_>, Vec<_>) = [10, 20, 30, 5].map(|n| job(&model, n)).into_iter().unzip();
        queue.push(jobs).unwrap();
        assert_eq!(tokens(queue.take(35)), [10, 20]);
        assert_eq!(tokens(queue.take(1)), [30], "a single text may be longer than the cap");
        assert_eq!(queue.depth(), (1, 5));
    }

    #[test]
    fn a_full_queue_refuses_whole_requests() {
        let (queue, model) = (Queue::new(100), model());
        let (first, _a) = job(&model, 150);
        queue.push(vec![first]).expect("larger than the queue, but nothing waits");
        let ((second, _b), (third, _c)) = (job(&model, 1), job(&model, 1));
        assert_eq!(queue.push(vec![second, third]), Err(Full { n_tokens: 150 }));
        assert_eq!(queue.depth(), (1, 150));
    }

    #[test]
    fn abandoned_texts_are_dropped_before_compute() {
        let (queue, model) = (Queue::new(100), model());
        let ((first, gone), (second, _b), (third, also_gone)) = (job(&model, 1), job(&model, 2), job(&model, 3));
        queue.push(vec![first, second, third]).unwrap();
        drop((gone, also_gone));
        assert_eq!(tokens(queue.take(100)), [2]);
        assert_eq!(queue.depth(), (0, 0));
    }

    #[test]
    fn abandoned_texts_take_no_room() {
        let (queue, model) = (Queue::new(100), model());
        let ((first, _a), (second, gone), (third, _c)) = (job(&model, 1), job(&model, 99), job(&model, 99));
        queue.push(vec![first, second]).unwrap();
        drop(gone);
        queue.push(vec![third]).expect("the second text is dropped for it");
        assert_eq!(queue.depth(), (2, 100));
    }

    #[test]
    fn a_batch_never_mixes_models() {
        let (queue, old, new) = (Queue::new(100), model(), model());
        let ((first, _a), (second, _b)) = (job(&old, 1), job(&new, 2));
        queue.push(vec![first, second]).unwrap();
        assert_eq!(tokens(queue.take(100)), [1]);
        assert_eq!(tokens(queue.take(100)), [2]);
    }

    #[test]
    fn a_closed_queue_ends_when_it_is_empty() {
        let (queue, model) = (Queue::new(100), model());
        let (first, _a) = job(&model, 1);
        queue.push(vec![first]).unwrap();
        queue.close();
        assert_eq!(tokens(queue.take(100)), [1]);
        assert!(queue.take(100).is_none());
    }
}
