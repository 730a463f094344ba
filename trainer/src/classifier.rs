//! A checkpoint, its tokenizer and its labels: one value that classifies text.

use std::ops::ControlFlow;
use std::path::Path;
use std::{fmt, io};

use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, TensorData};
use checkpoint::{
    Checkpoint, Config, Encoded, Network, Task, Tokenizer, TokenizerFiles, Windower, Windows,
};
use fs_err as fs;
use sha2::{Digest as _, Sha256};

use crate::dataset::Example;
use crate::dataset::labels::{are_bare, are_of};
use crate::device::DeviceKind;
use crate::distilbert::{Batch, DistilBertClassifier, Dropout, Head, new_head_norm};
use crate::error::{Error, Result};
use crate::evaluate::{self, HALF};
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
    pub(crate) windows: Option<Windower>,
}

/// The tokens of a text, or of a pair of texts: one sequence, or several windows.
pub(crate) type Sequences = Vec<Encoded>;

impl Classifier {
    /// Loads a Hugging Face model folder: `config.json`, `tokenizer.json` (or `vocab.txt`),
    /// `model.safetensors` (or its shards). A tensor that is missing, unknown or misshapen is an
    /// error that names it.
    /// A base checkpoint comes without labels: [`Classifier::with_labels`] gives it some.
    pub fn load(dir: &Path, device: DeviceKind) -> Result<Self> {
        let Checkpoint { config, tensors } = Checkpoint::open(dir)?;
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
        Ok(Self { network, config, tokenizer, kind: device, loaded, files, windows: None })
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

    /// A classifier for these labels, which are a dataset's, of which one is right.
    /// Where each is one of its own, it stays as it is, with its own order and those that are not
    /// among them; numbers from 0 and names are the same where they are as many, and the names
    /// count. Otherwise a new head is drawn from the seed.
    /// [`Dataset::aligned_to`](crate::Dataset::aligned_to) numbers examples as the classifier does.
    #[must_use]
    pub fn with_labels(self, labels: Vec<String>, seed: u64) -> Self {
        self.with_task(Task::SingleLabel, labels, seed)
    }

    /// The same for a task: a head that was trained for another one is drawn anew, and thresholds
    /// of labels that it no longer has are forgotten.
    #[must_use]
    pub fn with_task(mut self, task: Task, labels: Vec<String>, seed: u64) -> Self {
        let known = &self.config.labels;
        let has_head = self.network.classifier.is_some();
        let is_of_task = has_head && self.task() == task;
        // A logit without a problem_type is a figure to transformers, as soon as it is trained.
        let is_one_logit = has_head && known.len() == 1 && labels.len() == 1;
        self.config.task = task;
        if labels.is_empty() {
            self.network.classifier = None;
        } else if (is_one_logit && task != Task::SingleLabel)
            || (is_of_task && are_of(known, &labels))
        {
            return self;
        } else if !(is_of_task
            && are_bare(known)
            && !are_bare(&labels)
            && labels.len() == known.len())
        {
            self.draw_head(labels.len(), seed);
        }
        self.config.labels = labels;
        self.config.thresholds = None;
        self
    }

    /// The same, which looks at long texts in windows that overlap and answers with the mean of
    /// their logits, weighted by their tokens. Pairs are cut as without.
    pub fn with_windows(mut self, windows: Windows) -> Result<Self> {
        self.windows = Some(self.tokenizer.in_windows(windows)?);
        Ok(self)
    }

    /// What the logits mean. A single one that is no figure says yes or no to its label, which is
    /// several labels at once, of which there is one.
    #[must_use]
    pub fn task(&self) -> Task {
        match self.config.task {
            Task::SingleLabel if self.config.labels.len() == 1 => Task::MultiLabel,
            task => task,
        }
    }

    /// The scores from which on labels are given, where several may be right: those that the model
    /// came with, or a half each.
    #[must_use]
    pub fn thresholds(&self) -> Vec<f64> {
        let halves = || vec![HALF; self.config.labels.len()];
        self.config.thresholds.clone().unwrap_or_else(halves)
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

    /// The tokens of examples as the network is given them: one sequence each, or several windows.
    pub fn encode(&self, examples: &[Example]) -> Result<Vec<Vec<Encoded>>> {
        encode(&self.tokenizer, self.windows.as_ref(), examples)
    }

    /// The labels that a text with these logits is given: the best one, or those whose scores reach
    /// their thresholds; none where the answer is a figure.
    #[must_use]
    pub fn given(&self, logits: &[f32]) -> Vec<usize> {
        evaluate::given(self.task(), logits, &self.thresholds())
    }

    /// Logits: one row a text, in the order of the labels.
    pub fn classify<T: AsRef<str>>(&self, texts: &[T]) -> Result<Vec<Vec<f32>>> {
        let examples: Vec<Example> =
            texts.iter().map(|text| Example::labelled(text.as_ref(), 0)).collect();
        Ok(self.classify_heard(&examples, &|_| ControlFlow::Continue(()))?.0)
    }

    /// The same of examples, and how many of them were cut; `on` hears after each batch how many
    /// examples are done, as a share of all windows, and ends it with [`Error::Cancelled`] when it answers `Break`.
    pub(crate) fn classify_heard(
        &self,
        examples: &[Example],
        on: Listener<'_, usize>,
    ) -> Result<(Vec<Vec<f32>>, usize)> {
        self.check_head()?;
        let texts = self.encode(examples)?;
        let n_cut = texts.iter().filter(|text| text[0].is_cut).count();
        let device = self.kind.device();
        let n_sequences: usize = texts.iter().map(Vec::len).sum();
        let mut n_done = 0;
        let logits = in_batches(&self.tokenizer, &texts, |sequences| {
            let found = logits(&self.network, &self.config, sequences, &device);
            n_done += sequences.len();
            if on(n_done * texts.len() / n_sequences).is_break() {
                Err(Error::Cancelled)
            } else {
                Ok(found)
            }
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

/// Tokenizes examples, which are shared between all threads.
pub(crate) fn encode(
    tokenizer: &Tokenizer,
    windows: Option<&Windower>,
    examples: &[Example],
) -> Result<Vec<Sequences>> {
    use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};
    let (mut singles, mut pairs) = (Vec::new(), Vec::new());
    for Example { text, pair, .. } in examples {
        match pair {
            None => singles.push(text.as_str()),
            Some(pair) => pairs.push((text.as_str(), pair.as_str())),
        }
    }
    let alone = |encoded: Vec<Encoded>| encoded.into_iter().map(|one| vec![one]);
    let mut singles = match windows {
        None => alone(tokenizer.encode_all(&singles)?).collect(),
        Some(windows) => {
            singles.par_iter().map(|text| Ok(windows.encode(text)?)).collect::<Result<Vec<_>>>()?
        }
    }
    .into_iter();
    let mut pairs = match pairs.is_empty() {
        true => Vec::new(),
        false => alone(tokenizer.encode_pairs(&pairs)?).collect(),
    }
    .into_iter();
    let next = |example: &Example| {
        let found = if example.pair.is_none() { singles.next() } else { pairs.next() };
        found.expect("each example was tokenized")
    };
    Ok(examples.iter().map(next).collect())
}

/// Takes sequences in batches of similar length; the answer is a row for each text, in their
/// order.
pub(crate) fn in_batches(
    tokenizer: &Tokenizer,
    texts: &[Sequences],
    mut of_batch: impl FnMut(&[&Encoded]) -> Result<Vec<Vec<f32>>>,
) -> Result<Vec<Vec<f32>>> {
    let sequences: Vec<&Encoded> = texts.iter().flatten().collect();
    let mut order: Vec<usize> = (0..sequences.len()).collect();
    order.sort_by_key(|n| sequences[*n].ids.len());
    let mut found = vec![Vec::new(); sequences.len()];
    for batch in order.chunks(BATCH_SIZE) {
        let chosen: Vec<&Encoded> = batch.iter().map(|n| sequences[*n]).collect();
        batch.iter().zip(of_batch(&chosen)?).for_each(|(n, row)| found[*n] = row);
    }
    let mut rows = found.iter();
    let of_text = |text: &Sequences| {
        let windows: Vec<(usize, &[f32])> = text
            .iter()
            .zip(rows.by_ref())
            .map(|(window, row)| (tokenizer.n_of_text(window.ids.len()), &row[..]))
            .collect();
        Windows::combined(&windows)
    };
    Ok(texts.iter().map(of_text).collect())
}

/// Classifies the sequences of one batch.
pub(crate) fn logits(
    network: &DistilBertClassifier,
    config: &Config,
    sequences: &[&Encoded],
    device: &Device,
) -> Vec<Vec<f32>> {
    let batch = Batch::of(sequences, &config.network, device);
    let values = network.forward(&batch, &config.network, &mut Dropout::off());
    let values = values.into_data().try_into_vec::<f32>().expect("logits are f32");
    values.chunks_exact(config.labels.len()).map(<[f32]>::to_vec).collect()
}
