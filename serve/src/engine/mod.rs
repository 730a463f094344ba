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

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread::available_parallelism;

use checkpoint::{Checkpoint, Tokenizer, TokenizerFiles, golden};
use rayon::{ThreadPool, ThreadPoolBuilder};

use self::kernels::Isa;
use self::model::{Model, Space};
use crate::error::{Error, Result};
use crate::predictor::{BoxError, Predictor, Prepared};

/// How an [`Engine`] computes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineOptions {
    /// Compute threads; `None` for as many as this process may use, by affinity and cgroup quota.
    pub n_threads: Option<usize>,
    /// Whether each compute thread stays on a processor of its own. For whoever owns them: where
    /// others compute too, it is in the way.
    pub pin: bool,
}

/// Our own [`Predictor`].
pub struct Engine {
    labels: Vec<String>,
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
        let threads = threads(options)?;
        let isa = Isa::detect();
        let (tokenizer, model) = threads.install(|| {
            rayon::join(
                || TokenizerFiles::read(dir, &config)?.tokenizer(&config.network),
                || Model::load(&tensors, &config, isa),
            )
        });
        Ok(Self {
            labels: config.labels,
            tokenizer: tokenizer?,
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
    type Input = Vec<u32>;

    fn labels(&self) -> &[String] {
        &self.labels
    }

    fn prepare(&self, text: &str) -> Result<Prepared<Vec<u32>>, BoxError> {
        tokens::prepare(&self.tokenizer, text)
    }

    fn predict(&self, inputs: &[Vec<u32>]) -> Result<Vec<Vec<f32>>, BoxError> {
        if inputs.is_empty() {
            return Ok(Vec::new());
        }
        let mut space = self.space.lock().unwrap_or_else(PoisonError::into_inner);
        let space = &mut *space;
        let logits = self.threads.install(|| self.model.logits(inputs, space));
        Ok(logits.chunks_exact(self.labels.len()).map(<[f32]>::to_vec).collect())
    }

    fn golden(&self) -> Vec<(String, Vec<f32>)> {
        self.golden.clone()
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
