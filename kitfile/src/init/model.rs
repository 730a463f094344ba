//! Which of the files is the model, and what is to be said of it.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::FileInfo;
use super::card::{self, Card};
use super::header::Weights;
use crate::{Model, ModelPart};

/// Names of weights that tell nothing of the model.
const PLAIN_NAMES: [&str; 7] =
    ["model", "pytorch_model", "tf_model", "flax_model", "rust_model", "adapter_model", "weights"];

/// What `config.json` says that a reader of a Kitfile wants to know.
const CONFIG_FACTS: [&str; 12] = [
    "architectures",
    "dim",
    "dtype",
    "hidden_size",
    "max_position_embeddings",
    "model_type",
    "n_heads",
    "n_layers",
    "num_attention_heads",
    "num_hidden_layers",
    "torch_dtype",
    "vocab_size",
];

/// Makes one model of the weights files (at least one, in the order of their paths) and what
/// belongs to them.
pub(super) fn model(name: &str, weights: &[&FileInfo], metadata: &[&FileInfo]) -> Model {
    let main = main_file(weights);
    let header = Weights::of(main);
    let config = config(main, metadata);
    let mut parameters = Map::new();
    if let Some(config) = &config {
        parameters.extend(
            CONFIG_FACTS
                .iter()
                .filter_map(|key| Some(((*key).to_owned(), config.get(*key)?.clone()))),
        );
        parameters.extend(labels(config).map(|labels| ("labels".to_owned(), labels)));
    }
    let license = header
        .as_ref()
        .and_then(|header| header.license.as_deref())
        .map(card::spdx)
        .unwrap_or_default();
    let format = header
        .as_ref()
        .map_or_else(|| format_by_name(&main.path), |header| header.format)
        .to_owned();
    parameters.extend(header.map(|header| header.parameters).unwrap_or_default());
    count_shards(main, weights, &mut parameters);
    let others = weights.iter().filter(|file| file.path != main.path).chain(metadata);
    Model {
        name: model_name(name, main, weights.len()),
        path: main.path.clone(),
        license,
        framework: framework(config.as_ref(), metadata).to_owned(),
        format,
        parts: others
            .map(|file| ModelPart { path: file.path.clone(), ..ModelPart::default() })
            .collect(),
        parameters: if parameters.is_empty() { Value::Null } else { parameters.into() },
        ..Model::default()
    }
}

/// Adds what the model card says.
pub(super) fn describe(model: &mut Model, card: Card) {
    if !card.license.is_empty() {
        model.license = card.license;
    }
    if model.framework.is_empty() {
        model.framework = card
            .parameters
            .get("library_name")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
    }
    if !card.parameters.is_empty() {
        let mut parameters = model.parameters.as_object().cloned().unwrap_or_default();
        parameters.extend(card.parameters);
        model.parameters = parameters.into();
    }
}

/// The one that is far larger than the rest; else the one in the format that loads safest; else the
/// first.
fn main_file<'a>(weights: &[&'a FileInfo]) -> &'a FileInfo {
    let n_files = u64::try_from(weights.len()).unwrap_or(u64::MAX);
    let average = weights.iter().map(|file| file.size).fold(0, u64::saturating_add) / n_files;
    let is_large = |file: &&&FileInfo| file.size > average.saturating_add(average / 2);
    let rank = |file: &&&FileInfo| match Weights::of(file).map(|weights| weights.format) {
        Some("safetensors") => 0,
        _ => 1,
    };
    // A folder from the hub holds the same model in several formats, all about as large.
    let same_stem = |file: &&&FileInfo| is_plain(stem(&file.path));
    let twins = weights.iter().filter(same_stem).count() == weights.len();
    let large = weights.iter().filter(is_large).max_by_key(|file| file.size).filter(|_| !twins);
    large
        .or_else(|| weights.iter().filter(same_stem).min_by_key(rank).filter(|_| twins))
        .unwrap_or(&weights[0])
}

/// Makes the figures of one shard those of the model: as many numbers as all shards hold together,
/// of all their types. Where a shard is missing, or does not say, nobody knows.
fn count_shards(main: &FileInfo, weights: &[&FileInfo], parameters: &mut Map<String, Value>) {
    let Some((model, n_shards)) = shard(&main.path) else { return };
    let of_model = |file: &&&FileInfo| shard(&file.path) == Some((model, n_shards));
    let headers: Vec<_> =
        weights.iter().filter(of_model).filter_map(|file| Weights::of(file)).collect();
    let counts: Vec<u64> =
        headers.iter().filter_map(|it| it.parameters.get("num_parameters")?.as_u64()).collect();
    if counts.len() != n_shards {
        parameters.remove("num_parameters");
        return;
    }
    let types: BTreeSet<&str> = headers
        .iter()
        .filter_map(|it| it.parameters.get("dtype")?.as_str())
        .flat_map(|types| types.split(", "))
        .collect();
    let total = counts.into_iter().fold(0, u64::saturating_add);
    parameters.insert("num_parameters".to_owned(), total.into());
    parameters.insert("dtype".to_owned(), Vec::from_iter(types).join(", ").into());
}

/// Of `dir/model-00001-of-00003.safetensors` the part before the number, and how many there are.
fn shard(path: &str) -> Option<(&str, usize)> {
    let (stem, _) = path.rsplit_once('.')?;
    let (first, n_shards) = stem.rsplit_once("-of-")?;
    let (model, number) = first.rsplit_once('-')?;
    number.parse::<usize>().ok()?;
    Some((model, n_shards.parse().ok()?))
}

fn model_name(name: &str, main: &FileInfo, n_weights: usize) -> String {
    let own = stem(&main.path);
    let is_numbered = n_weights > 1 && own.chars().last().is_some_and(|c| c.is_ascii_digit());
    if name.is_empty() || !(is_plain(own) || is_numbered) {
        own.to_owned()
    } else {
        name.to_owned()
    }
}

fn is_plain(stem: &str) -> bool {
    PLAIN_NAMES.iter().any(|name| name.eq_ignore_ascii_case(stem))
}

fn stem(path: &str) -> &str {
    let name = file_name(path);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

fn file_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// The `config.json` beside the weights.
fn config(main: &FileInfo, metadata: &[&FileInfo]) -> Option<Map<String, Value>> {
    let folder = main.path.strip_suffix(file_name(&main.path))?;
    let file =
        metadata.iter().find(|file| file.path.strip_prefix(folder) == Some("config.json"))?;
    serde_json::from_slice(&file.head).ok()
}

fn framework(config: Option<&Map<String, Value>>, metadata: &[&FileInfo]) -> &'static str {
    let has = |name: &str| metadata.iter().any(|file| file_name(&file.path) == name);
    if has("adapter_config.json") {
        "peft"
    } else if has("config_sentence_transformers.json") {
        "sentence-transformers"
    } else if config.is_some_and(|config| {
        config.contains_key("model_type") || config.contains_key("architectures")
    }) {
        "transformers"
    } else {
        ""
    }
}

/// The labels of a classifier, in their order.
fn labels(config: &Map<String, Value>) -> Option<Value> {
    let by_id = config.get("id2label")?.as_object()?;
    let labels: Option<Vec<Value>> =
        (0..by_id.len()).map(|id| by_id.get(&id.to_string()).cloned()).collect();
    labels.map(Value::from)
}

fn format_by_name(path: &str) -> &'static str {
    let suffix = path.rsplit_once('.').map_or("", |(_, suffix)| suffix).to_ascii_lowercase();
    match suffix.as_str() {
        "safetensors" => "safetensors",
        "gguf" => "gguf",
        "onnx" => "onnx",
        "bin" | "pt" | "pth" | "pt2" | "ptl" | "mar" | "ckpt" => "pytorch",
        "h5" => "h5",
        "keras" => "keras",
        "pb" => "tensorflow",
        "tflite" => "tflite",
        "pkl" => "pickle",
        "joblib" => "joblib",
        "npy" | "npz" => "numpy",
        "mpk" => "burn",
        "pmml" => "pmml",
        _ => "",
    }
}
