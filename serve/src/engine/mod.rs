//! A classifier read from a Hugging Face model folder: exact in f32, without padding, without
//! Python.

mod attention;
mod embeddings;
mod head;
mod kernels;
mod layer;
mod linear;
mod model;
mod norm;
mod pin;
mod tokens;
mod turned;
mod zero_shot;

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread::available_parallelism;

pub use checkpoint::Windows;
use checkpoint::{Checkpoint, Cut, Tokenizer, TokenizerFiles, Windower, golden};
use rayon::{ThreadPool, ThreadPoolBuilder};

use self::kernels::Isa;
use self::model::{Model, Space};
pub use self::tokens::Tokens;
use self::zero_shot::Inference;
pub use self::zero_shot::ZeroShot;
use crate::error::{Error, Result};
use crate::predictor::{BoxError, Predictor, Prepared, Task};

/// How an [`Engine`] computes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineOptions {
    /// Compute threads; `None` for as many as this process may use, by affinity and cgroup quota.
    pub n_threads: Option<usize>,
    /// Whether each compute thread stays on a processor of its own. For whoever owns them: where
    /// others compute too, it is in the way.
    pub pin: bool,
    /// Labels of somebody's own, that a model of inference tells apart.
    pub zero_shot: Option<ZeroShot>,
    /// How texts that are longer than the model takes are looked at, in place of being cut. Pairs
    /// are cut all the same.
    pub windows: Option<Windows>,
}

/// Our own [`Predictor`].
pub struct Engine {
    labels: Vec<String>,
    task: Task,
    thresholds: Option<Vec<f64>>,
    windows: Option<Windower>,
    inference: Option<Inference>,
    tokenizer: Tokenizer,
    model: Model,
    isa: Isa,
    golden: Vec<(String, Vec<f32>)>,
    threads: ThreadPool,
    /// Used by one batch at a time.
    space: Mutex<Space>,
}

impl Engine {
    /// Loads a classifier's folder as [`checkpoint`] reads it, and its `golden.json` where there is
    /// one (`{"texts": [..], "logits": [[..], ..]}`), which the first forward pass is held to.
    ///
    /// Weights are computed in f32, whatever they are stored as. A tensor missing, unknown or
    /// misshapen is an error that names it. The files of the weights must not be changed in place
    /// while the engine lives: the word embeddings are read from them.
    pub fn load(dir: &Path, options: &EngineOptions) -> Result<Self> {
        let Checkpoint { config, tensors } = Checkpoint::open(dir)?;
        if config.labels.is_empty() {
            return Err(Error::NoClassifier { dir: dir.to_owned() });
        }
        let zero_shot = options.zero_shot.as_ref();
        let inference = zero_shot.map(|asked| Inference::of(asked, &config.labels, dir));
        let inference = inference.transpose()?;
        if inference.is_some() && options.windows.is_some() {
            let problem = "a hypothesis has no windows, for it is compared with a whole text";
            return Err(Error::ZeroShot { dir: dir.to_owned(), problem: problem.to_owned() });
        }
        let threads = threads(options)?;
        let isa = Isa::detect();
        let (tokenizer, model) = threads.install(|| {
            rayon::join(
                || TokenizerFiles::read(dir, &config)?.tokenizer(&config.network),
                || Model::load(&tensors, &config, isa),
            )
        });
        let tokenizer = tokenizer?;
        let windows = options.windows.map(|windows| tokenizer.in_windows(windows)).transpose()?;
        Ok(Self {
            task: match config.task {
                checkpoint::Task::SingleLabel => Task::SingleLabel,
                checkpoint::Task::MultiLabel => Task::MultiLabel,
                checkpoint::Task::Regression => Task::Regression,
            },
            labels: config.labels,
            thresholds: config.thresholds,
            windows,
            inference,
            tokenizer,
            model,
            isa,
            golden: golden(dir)?,
            threads,
            space: Mutex::default(),
        })
    }

    /// The instruction set that was chosen for this CPU: `avx512`, `avx2` or `plain`.
    pub fn instruction_set(&self) -> &'static str {
        self.isa.name
    }
}

impl Predictor for Engine {
    /// One sequence of tokens, or its windows, or one for each label that is asked for.
    type Input = Vec<Tokens>;

    fn labels(&self) -> &[String] {
        self.inference.as_ref().map_or(&self.labels, |inference| &inference.labels)
    }

    fn task(&self) -> Task {
        self.inference.as_ref().map_or(self.task, Inference::task)
    }

    fn thresholds(&self) -> Option<&[f64]> {
        self.thresholds.as_deref().filter(|_| self.inference.is_none())
    }

    fn prepare(&self, text: &str) -> Result<Prepared<Vec<Tokens>>, BoxError> {
        match (&self.inference, &self.windows) {
            (Some(inference), _) => inference.prepare(&self.tokenizer, text),
            (None, Some(windows)) => tokens::prepare_windows(&self.tokenizer, text, windows),
            (None, None) => tokens::prepare(&self.tokenizer, text),
        }
    }

    fn takes_pairs(&self) -> bool {
        self.inference.is_none()
    }

    fn prepare_pair(&self, text: &str, pair: &str) -> Result<Prepared<Vec<Tokens>>, BoxError> {
        tokens::prepare_pair(&self.tokenizer, text, pair, Cut::Longest)
    }

    fn predict(&self, inputs: &[Vec<Tokens>]) -> Result<Vec<Vec<f32>>, BoxError> {
        let sequences: Vec<&Tokens> = inputs.iter().flatten().collect();
        if sequences.is_empty() {
            return Ok(Vec::new());
        }
        let mut space = self.space.lock().unwrap_or_else(PoisonError::into_inner);
        let space = &mut *space;
        let logits = self.threads.install(|| self.model.logits(&sequences, space));
        let mut rows = logits.chunks_exact(self.labels.len());
        let of_one = |input: &Vec<Tokens>| match &self.inference {
            None => {
                let of_window =
                    |(window, row): (&Tokens, _)| (self.tokenizer.n_of_text(window.ids.len()), row);
                let windows: Vec<_> = input.iter().zip(rows.by_ref()).map(of_window).collect();
                Windows::combined(&windows)
            }
            Some(inference) => {
                rows.by_ref().take(input.len()).map(|row| inference.logit(row)).collect()
            }
        };
        Ok(inputs.iter().map(of_one).collect())
    }

    fn golden(&self) -> Vec<(String, Vec<f32>)> {
        // They are of the model's own labels, and of texts that are cut.
        let is_as_told = |text: &str| match &self.windows {
            _ if self.inference.is_some() => false,
            None => true,
            Some(windows) => windows.encode(text).is_ok_and(|windows| windows.len() == 1),
        };
        self.golden.iter().filter(|(text, _)| is_as_told(text)).cloned().collect()
    }

    fn max_tokens(&self) -> Option<usize> {
        Some(self.tokenizer.max_tokens())
    }

    fn cuts_beginning(&self) -> bool {
        self.tokenizer.keeps_end()
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("labels", &self.labels)
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

/// The compute threads. Rust's `available_parallelism` knows affinity and cgroup quotas.
fn threads(options: &EngineOptions) -> Result<ThreadPool> {
    let n_threads =
        options.n_threads.unwrap_or_else(|| available_parallelism().map_or(1, usize::from)).max(1);
    let processors = if options.pin { pin::processors() } else { Vec::new() };
    let stay = move |n: usize| {
        if let Some(processor) = processors.get(n)
            && !pin::stay_on(*processor)
        {
            tracing::warn!(processor, "a compute thread could not be pinned");
        }
    };
    let pool = ThreadPoolBuilder::new()
        .num_threads(n_threads)
        .thread_name(|n| format!("compute-{n}"))
        .start_handler(stay);
    let pool = pool.build();
    pool.map_err(|source| Error::Threads { n_threads, source: source.into() })
}
