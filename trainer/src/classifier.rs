//! A checkpoint, its tokenizer and its labels: one value that classifies text.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;

use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, TensorData};
use fs_err as fs;
use sha2::{Digest as _, Sha256};

use crate::dataset::{are_numbers, numbered};
use crate::device::DeviceKind;
use crate::distilbert::{Batch, DistilBertClassifier, Dropout, Head};
use crate::error::{Error, Result};
use crate::model_config::ModelConfig;
use crate::random::{Purpose, normal, stream};
use crate::report::sha256_text;
use crate::tokenizer::TextTokenizer;
use crate::vocabulary;
use crate::weights::{self, Checkpoint};

/// The tokenizer's files; they are carried from the checkpoint to the trained model as they are.
const TOKENIZER_FILES: [&str; 5] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
];

/// Texts that are classified together; they are sorted by length before.
const BATCH_SIZE: usize = 32;

/// A text classifier: DistilBERT or BERT, its tokenizer and its labels.
#[derive(Clone)]
pub struct Classifier {
    pub(crate) network: DistilBertClassifier,
    pub(crate) config: ModelConfig,
    pub(crate) tokenizer: TextTokenizer,
    pub(crate) kind: DeviceKind,
    /// SHA-256 of the weights that were loaded.
    pub(crate) loaded: String,
    pub(crate) files: BTreeMap<&'static str, Vec<u8>>,
}

impl Classifier {
    /// Loads a Hugging Face model folder: `config.json`, `tokenizer.json` (or `vocab.txt`),
    /// `model.safetensors` (or its shards). A tensor that is missing, unknown or misshapen is an
    /// error that names it.
    /// A base checkpoint comes without labels: [`Classifier::with_labels`] gives it some.
    pub fn load(dir: &Path, device: DeviceKind) -> Result<Self> {
        let mut config = ModelConfig::read(&dir.join("config.json"))?;
        let mut files = tokenizer_files(dir)?;
        add_tokenizer(&mut files, dir)?;
        let tokenizer = TextTokenizer::parse(
            files.get("tokenizer.json").map_or(&[], Vec::as_slice),
            &dir.join("tokenizer.json"),
            config.network.vocab_size,
            config.network.max_position_embeddings,
        )?;
        let checkpoint = Checkpoint::read(dir, config.family)?;
        if config.network.n_layers > checkpoint.n_tensors() {
            let problem = format!(
                "{} layers, and the weights are {} tensors",
                config.network.n_layers,
                checkpoint.n_tensors()
            );
            return Err(Error::UnsupportedModel { path: dir.join("config.json"), problem });
        }
        let loaded = checkpoint.digest.clone();
        let head = head(&mut config, &checkpoint);
        let skeleton = DistilBertClassifier::skeleton(&config.network, head, &device.device());
        let network = weights::fill(skeleton, checkpoint, config.family, &device.device())
            .map_err(|problems| Error::Tensors { dir: dir.to_owned(), problems })?;
        tracing::debug!(dir = %dir.display(), digest = %loaded, labels = config.labels.len(), "loaded a checkpoint");
        Ok(Self { network, config, tokenizer, kind: device, loaded, files })
    }

    /// Writes the same kind of folder; `transformers` opens it.
    /// The same classifier gives the same bytes.
    pub fn save(&self, dir: &Path) -> Result<()> {
        let unwritten = |source| Error::SavedModel { dir: dir.to_owned(), source };
        fs::create_dir_all(dir).map_err(unwritten)?;
        for (name, bytes) in &self.files {
            fs::write(dir.join(name), bytes).map_err(unwritten)?;
        }
        fs::write(dir.join("config.json"), self.config.to_json()).map_err(unwritten)?;
        let path = dir.join("model.safetensors");
        weights::save(&self.network, self.config.family, &path)
            .map_err(|source| Error::SavedWeights { path: path.clone(), source })?;
        // Written for its owner only: it gets what the umask gave the others.
        let permissions = fs::metadata(dir.join("config.json")).map_err(unwritten)?.permissions();
        fs::set_permissions(path, permissions).map_err(unwritten)
    }

    /// A classifier for these labels.
    /// Where they are those that it has, in whatever order, it stays as it is, with its own order;
    /// as many labels of which one side's are bare numbers (`LABEL_0`) are taken for the same, and
    /// the other side's names count. Otherwise a new head is drawn from the seed.
    /// [`Dataset::aligned_to`](crate::Dataset::aligned_to) numbers examples as the classifier does.
    #[must_use]
    pub fn with_labels(mut self, labels: Vec<String>, seed: u64) -> Self {
        let has_head =
            self.network.classifier.is_some() && labels.len() == self.config.labels.len();
        let are_bare = are_numbers(&labels);
        if labels.is_empty() {
            self.network.classifier = None;
        } else if has_head
            && (are_bare || labels.iter().all(|label| self.config.labels.contains(label)))
        {
            return self;
        } else if !has_head || !are_numbers(&self.config.labels) {
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

    /// The number of weights.
    #[must_use]
    pub fn n_parameters(&self) -> usize {
        use burn::module::Module as _;
        self.network.num_params()
    }

    /// Token ids: one row a text, special tokens included, cut to the longest that the network
    /// takes.
    pub fn tokenize<T: AsRef<str>>(&self, texts: &[T]) -> Result<Vec<Vec<u32>>> {
        self.tokenizer.encode(texts)
    }

    /// Logits: one row a text, in the order of the labels.
    pub fn classify<T: AsRef<str>>(&self, texts: &[T]) -> Result<Vec<Vec<f32>>> {
        self.classify_told(texts, &mut |_| ControlFlow::Continue(()))
    }

    /// The same; `on` hears after each batch how many texts are done, and ends it with
    /// [`Error::Cancelled`] when it answers `Break`.
    pub fn classify_told<T: AsRef<str>>(
        &self,
        texts: &[T],
        on: &mut dyn FnMut(usize) -> ControlFlow<()>,
    ) -> Result<Vec<Vec<f32>>> {
        self.check_head()?;
        let rows = self.tokenizer.encode(texts)?;
        let device = self.kind.device();
        let mut n_done = 0;
        let logits = in_batches(&rows, |rows| {
            let found = logits(&self.network, &self.config, rows, &device);
            n_done += rows.len();
            if on(n_done).is_break() { Err(Error::Cancelled) } else { Ok(found) }
        })?;
        match logits.iter().position(|row| !row.iter().all(|logit| logit.is_finite())) {
            Some(text) => Err(Error::NotFinite { text: text + 1 }),
            None => Ok(logits),
        }
    }

    /// `sha256:` of the tokenizer's files.
    pub(crate) fn tokenizer_digest(&self) -> String {
        let mut hasher = Sha256::new();
        for (name, bytes) in &self.files {
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
        let (dim, deviation) = (self.config.network.dim, self.config.network.initializer_range);
        let device = self.kind.device();
        let linear = |d_output: usize, index| {
            let weight = normal(dim * d_output, deviation, &mut stream(seed, Purpose::Head, index));
            let weight = TensorData::new(weight, [dim, d_output]);
            let bias = TensorData::new(vec![0_f32; d_output], [d_output]);
            Linear {
                weight: Param::from_tensor(Tensor::from_data(weight, &device)),
                bias: Some(Param::from_tensor(Tensor::from_data(bias, &device))),
            }
        };
        self.network.pre_classifier.get_or_insert_with(|| linear(dim, 0));
        self.network.classifier = Some(linear(n_labels, 1));
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
    config: &ModelConfig,
    rows: &[&[u32]],
    device: &Device,
) -> Vec<Vec<f32>> {
    let batch = Batch::new(rows, config.network.pad_token_id.unwrap_or(0), device);
    let values = network.forward(&batch, &config.network, &mut Dropout::off());
    let values = values.into_data().try_into_vec::<f32>().expect("logits are f32");
    values.chunks_exact(config.labels.len()).map(<[f32]>::to_vec).collect()
}

/// What of a head the checkpoint has; labels without names become `LABEL_0`, as in transformers.
fn head(config: &mut ModelConfig, checkpoint: &Checkpoint) -> Head {
    let pooler = weights::in_checkpoint(config.family, "pre_classifier.weight");
    let classifier = checkpoint.shape("classifier.weight");
    match classifier {
        None => config.labels.clear(),
        Some([n_labels, dim]) if config.labels.is_empty() && *dim == config.network.dim => {
            config.labels = (0..*n_labels).map(numbered).collect();
        }
        Some(_) => (),
    }
    Head {
        pre_classifier: checkpoint.shape(&pooler).is_some() || classifier.is_some(),
        n_labels: classifier.map(|_| config.labels.len()).filter(|n_labels| *n_labels > 0),
    }
}

/// Where there is only the old `vocab.txt`, `tokenizer.json` is made of it, and saved with the
/// model.
fn add_tokenizer(files: &mut BTreeMap<&'static str, Vec<u8>>, dir: &Path) -> Result<()> {
    if files.contains_key("tokenizer.json") {
        return Ok(());
    }
    let path = dir.join("vocab.txt");
    let unusable = |source| Error::TokenizerFile { path: path.clone(), source };
    let Some(vocabulary) = files.get("vocab.txt") else {
        let missing = std::io::Error::new(
            std::io::ErrorKind::NotFound,
            "there is no tokenizer.json and no vocab.txt",
        );
        return Err(Error::ModelFolder { dir: dir.to_owned(), source: missing });
    };
    let vocabulary = std::str::from_utf8(vocabulary).map_err(|error| unusable(error.into()))?;
    let config = files.get("tokenizer_config.json").map(Vec::as_slice);
    let made = vocabulary::tokenizer_json(vocabulary, config)
        .map_err(|problem| unusable(problem.into()))?;
    files.insert("tokenizer.json", made.into_bytes());
    Ok(())
}

/// Those that are there.
fn tokenizer_files(dir: &Path) -> Result<BTreeMap<&'static str, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for name in TOKENIZER_FILES {
        match fs::read(dir.join(name)) {
            Ok(bytes) => drop(files.insert(name, bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => (),
            Err(source) => return Err(Error::ModelFolder { dir: dir.to_owned(), source }),
        }
    }
    Ok(files)
}
