//! A DistilBERT classifier read from a Hugging Face model folder: exact in f32, without padding, without Python.

mod attention;
mod config;
mod distilbert;
mod kernels;
mod linear;
mod map;
mod tokens;
mod weights;

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread::available_parallelism;

use fs_err::File;
use rayon::{ThreadPool, ThreadPoolBuilder};

use self::config::Config;
use self::distilbert::{DistilBert, Space};
use self::tokens::Tokens;
use self::weights::Weights;
use crate::error::{Error, Result};
use crate::predictor::{BoxError, Predictor, Prepared};

/// How an [`Engine`] computes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineOptions {
    /// Compute threads; `None` for as many as this process may use, by affinity and cgroup quota.
    pub n_threads: Option<usize>,
}

/// Our own [`Predictor`].
pub struct Engine {
    labels: Vec<String>,
    tokens: Tokens,
    model: DistilBert,
    threads: ThreadPool,
    /// Used by one batch at a time.
    space: Mutex<Space>,
}

impl Engine {
    /// Loads `config.json`, `tokenizer.json` and `model.safetensors` of a folder.
    ///
    /// Weights may be F32, F16 or BF16; they are computed in f32. A tensor missing, unused or misshapen is an error that names it.
    /// The file of the weights must not be changed in place while the engine lives: the word embeddings are read from it.
    pub fn load(dir: &Path, options: &EngineOptions) -> Result<Self> {
        let config = Config::read(dir)?;
        let tokens = Tokens::read(dir, config.max_position_embeddings, config.vocab_size)?;
        let threads = threads(options)?;
        let path = dir.join("model.safetensors");
        let file = File::open(&path)?;
        let refused = |source| Error::Weights { path: path.clone(), source };
        let weights = Weights::read(map::map(&file)?).map_err(refused)?;
        // A model without a classifier is told so below.
        let n_labels = weights.n_rows("classifier.weight").unwrap_or(2);
        weights.check(&distilbert::tensors(&config, n_labels)).map_err(refused)?;
        let labels =
            config.labels(n_labels).map_err(|source| Error::Config { path: dir.join("config.json"), source })?;
        let mut model = threads.install(|| DistilBert::load(&weights, &config, n_labels));
        // All but the word embeddings has been copied: a fresh map holds no page of it.
        model.read_words_from(&weights.remapped(map::map(&file)?));
        Ok(Self { labels, tokens, model, threads, space: Mutex::default() })
    }
}

impl Predictor for Engine {
    type Input = Vec<u32>;

    fn labels(&self) -> &[String] {
        &self.labels
    }

    fn prepare(&self, text: &str) -> Result<Prepared<Vec<u32>>, BoxError> {
        self.tokens.prepare(text)
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
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("labels", &self.labels).field("threads", &self.threads).finish_non_exhaustive()
    }
}

/// The compute threads. Rust's `available_parallelism` knows affinity and cgroup quotas.
fn threads(options: &EngineOptions) -> Result<ThreadPool> {
    let n_threads = options.n_threads.unwrap_or_else(|| available_parallelism().map_or(1, usize::from)).max(1);
    let pool = ThreadPoolBuilder::new().num_threads(n_threads).thread_name(|n| format!("compute-{n}")).build();
    pool.map_err(|source| Error::Threads { n_threads, source: source.into() })
}
