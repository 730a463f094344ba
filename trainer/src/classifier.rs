//! A checkpoint, its tokenizer and its labels: one value that classifies text.

use std::ops::ControlFlow;
use std::path::Path;
use std::{fmt, io};

use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, TensorData};
use checkpoint::{Checkpoint, Config, Network, Task, Tokenizer, TokenizerFiles};
use fs_err as fs;
use sha2::{Digest as _, Sha256};

use crate::dataset::labels::{are_bare, are_of};
use crate::device::DeviceKind;
use crate::distilbert::{Batch, DistilBertClassifier, Dropout, Head, new_head_norm};
use crate::error::{Error, Result};
use crate::place::Place;
use crate::random::{Purpose, normal, stream};
use crate::report::sha256_text;
use crate::train::Listener;
use crate::weights;

/// Texts that are classified together; they are sorted by length before.
const BATCH_SIZE: usize = 32;

/// A text classifier: DistilBERT or another encoder, its tokenizer and its labels.
#[derive(Clone)]
pub struct Classifier {
    pub(crate) network: DistilBertClassifier,
    pub(crate) config: Config,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) kind: DeviceKind,
    /// SHA-256 of the weights that were loaded.
    pub(crate) loaded: String,
    pub(crate) files: TokenizerFiles,
}

impl Classifier {
    /// Loads a Hugging Face model folder: `config.json`, `tokenizer.json` (or `vocab.txt`),
    /// `model.safetensors` (or its shards). A tensor that is missing, unknown or misshapen is an
    /// error that names it.
    /// A base checkpoint comes without labels: [`Classifier::with_labels`] gives it some.
    pub fn load(dir: &Path, device: DeviceKind) -> Result<Self> {
        let Checkpoint { config, tensors } = Checkpoint::open(dir)?;
        let untrained = |what: String| Error::Untrained { dir: dir.to_owned(), what };
        if config.task != Task::SingleLabel {
            return Err(untrained(format!("the problem_type {}", config.task.name())));
        }
        let files = TokenizerFiles::read(dir, &config)?;
        let tokenizer = files.tokenizer(&config.network)?;
        let mut hasher = Sha256::new();
        tensors.files().for_each(|bytes| hasher.update(bytes));
        let loaded = sha256_text(hasher);
        let head = Head {
            pre_classifier: tensors.get("pre_classifier.weight").is_some(),
            n_labels: (!config.labels.is_empty()).then_some(config.labels.len()),
        };
        let skeleton = DistilBertClassifier::skeleton(&config.network, head, &device.device());
        let network = weights::fill(skeleton, &tensors, &device.device());
        tracing::debug!(dir = %dir.display(), digest = %loaded, labels = config.labels.len(), "loaded a checkpoint");
        Ok(Self { network, config, tokenizer, kind: device, loaded, files })
    }

    /// Writes the same kind of folder, which `transformers` opens; `card` becomes its `README.md`.
    /// The same classifier gives the same bytes.
    ///
    /// The folder appears whole: it is written beside its place and takes it at the end, or, after a
    /// kill, never. What is there is replaced with all that is in it, and has to be
    /// [replaceable](is_replaceable).
    pub fn save(&self, dir: &Path, card: Option<&str>) -> Result<()> {
        self.save_with(dir, card.map(|card| ("README.md", card)).as_slice())
    }

    /// The same, with some texts beside it: names of files, and what they hold.
    pub fn save_with(&self, dir: &Path, texts: &[(&str, &str)]) -> Result<()> {
        if !is_replaceable(dir) {
            return Err(Error::NotReplaced { dir: dir.to_owned() });
        }
        let unwritten = |source| Error::SavedModel { dir: dir.to_owned(), source };
        let place = Place::of(dir).map_err(|source| match source.kind() {
            io::ErrorKind::WouldBlock => Error::TrainingUnderWay { path: dir.to_owned() },
            _ => unwritten(source),
        })?;
        let fresh = place.fresh();
        checkpoint::write(&fresh, &self.config, &self.files, weights::saved(&self.network))?;
        for (name, text) in texts {
            fs::write(fresh.join(name), text).map_err(unwritten)?;
        }
        place.take().map_err(unwritten)
    }

    /// A classifier for these labels, which are a dataset's.
    /// Where each is one of its own, it stays as it is, with its own order and those that are not
    /// among them; numbers from 0 and names are the same where they are as many, and the names
    /// count. Otherwise a new head is drawn from the seed.
    /// [`Dataset::aligned_to`](crate::Dataset::aligned_to) numbers examples as the classifier does.
    #[must_use]
    pub fn with_labels(mut self, labels: Vec<String>, seed: u64) -> Self {
        let known = &self.config.labels;
        let has_head = self.network.classifier.is_some();
        if labels.is_empty() {
            self.network.classifier = None;
        } else if has_head && are_of(known, &labels) {
            return self;
        } else if !(has_head
            && are_bare(known)
            && !are_bare(&labels)
            && labels.len() == known.len())
        {
            self.draw_head(labels.len(), seed);
        }
        self.config.labels = labels;
        self
    }

    /// The labels, in the order of the logits.
    #[must_use]
    pub fn labels(&self) -> &[String] {
        &self.config.labels
    }

    /// Tokens of the longest text that is not cut, special ones included.
    #[must_use]
    pub fn max_tokens(&self) -> usize {
        self.tokenizer.max_tokens()
    }

    /// The number of weights.
    #[must_use]
    pub fn n_parameters(&self) -> usize {
        use burn::module::Module as _;
        self.network.num_params()
    }

    /// Token ids: one row a text, special tokens included, cut to the longest that the network
    /// takes.
    pub fn tokenize<T: AsRef<str>>(&self, texts: &[T]) -> Result<Vec<Vec<u32>>> {
        Ok(self.tokenizer.encode_all(texts)?.into_iter().map(|encoded| encoded.ids).collect())
    }

    /// Logits: one row a text, in the order of the labels.
    pub fn classify<T: AsRef<str>>(&self, texts: &[T]) -> Result<Vec<Vec<f32>>> {
        Ok(self.classify_heard(texts, &|_| ControlFlow::Continue(()))?.0)
    }

    /// The same, and how many texts were cut; `on` hears after each batch how many texts are done, and ends it with
    /// [`Error::Cancelled`] when it answers `Break`.
    pub(crate) fn classify_heard<T: AsRef<str>>(
        &self,
        texts: &[T],
        on: Listener<'_, usize>,
    ) -> Result<(Vec<Vec<f32>>, usize)> {
        self.check_head()?;
        let encoded = self.tokenizer.encode_all(texts)?;
        let n_cut = encoded.iter().filter(|encoded| encoded.is_cut).count();
        let rows: Vec<Vec<u32>> = encoded.into_iter().map(|encoded| encoded.ids).collect();
        let device = self.kind.device();
        let mut n_done = 0;
        let logits = in_batches(&rows, |rows| {
            let found = logits(&self.network, &self.config, rows, &device);
            n_done += rows.len();
            if on(n_done).is_break() { Err(Error::Cancelled) } else { Ok(found) }
        })?;
        match logits.iter().position(|row| !row.iter().all(|logit| logit.is_finite())) {
            Some(text) => Err(Error::NotFinite { text: text + 1 }),
            None => Ok((logits, n_cut)),
        }
    }

    /// `sha256:` of the tokenizer's files.
    pub(crate) fn tokenizer_digest(&self) -> String {
        let mut hasher = Sha256::new();
        for (name, bytes) in self.files.iter() {
            hasher.update(format!("{name} {}\n", bytes.len()));
            hasher.update(bytes);
        }
        sha256_text(hasher)
    }

    /// Refuses to classify before there are labels.
    pub(crate) fn check_head(&self) -> Result<()> {
        if self.config.labels.is_empty() { Err(Error::NoLabels) } else { Ok(()) }
    }

    /// Draws a head as transformers does: normal weights, biases of zero.
    fn draw_head(&mut self, n_labels: usize, seed: u64) {
        let Network { dim, initializer, head, .. } = self.config.network;
        let device = self.kind.device();
        let linear = |d_output: usize, index, deviation, has_bias: bool| {
            let mut rng = stream(seed, Purpose::Head, index);
            let weight = normal(dim * d_output, deviation, initializer.cutoff, &mut rng);
            let weight = TensorData::new(weight, [dim, d_output]);
            let bias = || TensorData::new(vec![0_f32; d_output], [d_output]);
            let bias = has_bias.then(|| Param::from_tensor(Tensor::from_data(bias(), &device)));
            Linear { weight: Param::from_tensor(Tensor::from_data(weight, &device)), bias }
        };
        if self.network.pre_classifier.is_none() {
            self.network.pre_classifier = Some(linear(dim, 0, initializer.dense, head.has_bias));
            self.network.head_layer_norm = new_head_norm(&self.config.network, &device);
        }
        self.network.classifier = Some(linear(n_labels, 1, initializer.classifier, true));
    }
}

impl fmt::Debug for Classifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Classifier")
            .field("labels", &self.config.labels)
            .field("network", &self.config.network)
            .field("device", &self.kind)
            .finish_non_exhaustive()
    }
}

/// Whether [`Classifier::save`] may take a place: nothing is there, an empty folder or a model's.
#[must_use]
pub fn is_replaceable(dir: &Path) -> bool {
    let is_model = || dir.join("config.json").is_file();
    let is_empty = || fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none());
    !dir.exists() || is_model() || is_empty()
}

/// Takes token rows in batches of similar length; the answer has the order of the rows.
pub(crate) fn in_batches(
    rows: &[Vec<u32>],
    mut of_batch: impl FnMut(&[&[u32]]) -> Result<Vec<Vec<f32>>>,
) -> Result<Vec<Vec<f32>>> {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|n| rows[*n].len());
    let mut found = vec![Vec::new(); rows.len()];
    for batch in order.chunks(BATCH_SIZE) {
        let texts: Vec<&[u32]> = batch.iter().map(|n| &rows[*n][..]).collect();
        batch.iter().zip(of_batch(&texts)?).for_each(|(n, row)| found[*n] = row);
    }
    Ok(found)
}

/// Classifies the token rows of one batch.
pub(crate) fn logits(
    network: &DistilBertClassifier,
    config: &Config,
    rows: &[&[u32]],
    device: &Device,
) -> Vec<Vec<f32>> {
    let batch = Batch::new(rows, &config.network, device);
    let values = network.forward(&batch, &config.network, &mut Dropout::off());
    let values = values.into_data().try_into_vec::<f32>().expect("logits are f32");
    values.chunks_exact(config.labels.len()).map(<[f32]>::to_vec).collect()
}
