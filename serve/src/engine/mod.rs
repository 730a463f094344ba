//! A DistilBERT or BERT classifier read from a Hugging Face model folder: exact in f32, without
//! padding, without Python.

mod attention;
mod config;
mod kernels;
mod linear;
mod map;
mod model;
mod names;
mod pin;
mod tokens;
mod weights;

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread::available_parallelism;

use fs_err::File;
use rayon::{ThreadPool, ThreadPoolBuilder};

use self::config::Config;
use self::kernels::Isa;
use self::model::{Model, Space};
use self::names::Names;
use self::tokens::Tokens;
use self::weights::Weights;
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
    tokens: Tokens,
    model: Model,
    isa: Isa,
    golden: Vec<(String, Vec<f32>)>,
    threads: ThreadPool,
    /// Used by one batch at a time.
    space: Mutex<Space>,
}

impl Engine {
    /// Loads `config.json`, `tokenizer.json` and `model.safetensors` of a folder, and `golden.json`
    /// where there is one (`{"texts": [..], "logits": [[..], ..]}`), which the first forward pass
    /// is held to.
    ///
    /// Weights may be F32, F16 or BF16; they are computed in f32. A tensor missing, unused or
    /// misshapen is an error that names it. The file of the weights must not be changed in place
    /// while the engine lives: the word embeddings are read from it.
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
        let ignored = Names::of(config.family()).position_ids();
        weights.check(&names::tensors(&config, n_labels), &ignored).map_err(refused)?;
        let labels = config
            .labels(n_labels)
            .map_err(|source| Error::Config { path: dir.join("config.json"), source })?;
        let isa = Isa::detect();
        let model = threads.install(|| Model::load(&weights, &config, n_labels, isa));
        Ok(Self {
            labels,
            tokens,
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

    fn golden(&self) -> Vec<(String, Vec<f32>)> {
        self.golden.clone()
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

/// `golden.json` of a model folder, where there is one: texts, and the logits that whoever made the
/// model got for them.
#[derive(serde::Deserialize)]
struct Golden {
    texts: Vec<String>,
    logits: Vec<Vec<f32>>,
}

fn golden(dir: &Path) -> Result<Vec<(String, Vec<f32>)>> {
    let path = dir.join("golden.json");
    let bytes = match fs_err::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let golden: Golden = serde_json::from_slice(&bytes)
        .map_err(|source| Error::Config { path: path.clone(), source: source.into() })?;
    if golden.texts.len() != golden.logits.len() {
        return Err(Error::Config {
            path,
            source: "it has not as many rows of logits as texts".into(),
        });
    }
    Ok(golden.texts.into_iter().zip(golden.logits).collect())
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
