//! Checkpoints and sentences that several tests use.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use fs_err as fs;
use kit_trainer::{
    Classifier, DeviceKind, Evaluation, Example, Scores, SingleLabel, Split, Target,
};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};

/// The checkpoint that `make.py` beside it made with PyTorch and transformers.
pub(crate) fn tiny() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/tiny-distilbert")
}

/// The BERT that `make.py` beside it made; it has a `vocab.txt` and no `tokenizer.json`.
pub(crate) fn tiny_bert() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/tiny-bert")
}

/// One of the others that are trained.
pub(crate) fn of_architecture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/architectures").join(name)
}

/// Those with figures of PyTorch's training.
pub(crate) fn with_training() -> [PathBuf; 4] {
    [tiny(), tiny_bert(), of_architecture("roberta"), of_architecture("electra")]
}

/// Another BERT, of `serve`; it has a `tokenizer.json`.
pub(crate) fn of_serve() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../serve/testdata/tiny-bert")
}

pub(crate) fn load(dir: &Path) -> Classifier {
    Classifier::load(dir, DeviceKind::Flex).expect("the checkpoint loads")
}

pub(crate) fn go_on<E>(_: E) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Name, type, shape and bytes of each tensor.
pub(crate) type Tensors = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

pub(crate) fn read_tensors(path: &Path) -> Tensors {
    let bytes = fs::read(path).expect("readable");
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    let stored =
        |tensor: TensorView<'_>| (tensor.dtype(), tensor.shape().to_vec(), tensor.data().to_vec());
    file.iter().map(|(name, tensor)| (name.to_owned(), stored(tensor))).collect()
}

pub(crate) fn write_tensors(path: &Path, tensors: &Tensors) {
    let view = |(dtype, shape, bytes): &(Dtype, Vec<usize>, Vec<u8>)| {
        let bytes: &'static [u8] = bytes.clone().leak();
        TensorView::new(*dtype, shape.clone(), bytes).expect("a tensor")
    };
    let views = tensors.iter().map(|(name, tensor)| (name, view(tensor)));
    safetensors::serialize_to_file(views, None, path).expect("written");
}

pub(crate) fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

/// A copy of the tiny checkpoint with other tensors and another `config.json`.
pub(crate) fn edited(edit: impl FnOnce(&mut Tensors, &mut Value)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut tensors = read_tensors(&tiny().join("model.safetensors"));
    let config = fs::read(tiny().join("config.json")).expect("readable");
    let mut config = serde_json::from_slice(&config).expect("JSON");
    edit(&mut tensors, &mut config);
    write_tensors(&folder.path().join("model.safetensors"), &tensors);
    fs::write(folder.path().join("config.json"), config.to_string()).expect("written");
    fs::copy(tiny().join("tokenizer.json"), folder.path().join("tokenizer.json")).expect("copied");
    folder
}

/// A base checkpoint of another size, with the tiny one's tokenizer and weights from a small
/// generator.
pub(crate) fn base(dim: usize, hidden_dim: usize) -> tempfile::TempDir {
    edited(|tensors, config| {
        config["dim"] = json!(dim);
        config["hidden_dim"] = json!(hidden_dim);
        let mut state = 7_u32;
        tensors.retain(|name, _| !name.contains("classifier"));
        for (name, (_, shape, bytes)) in tensors {
            let resized = |size: &usize| match *size {
                32 => dim,
                64 if !name.contains("position") => hidden_dim,
                other => other,
            };
            *shape = shape.iter().map(resized).collect();
            let mut draw = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / 16_777_216.0 - 0.5
            };
            let value = |drawn: f32| if name.ends_with("orm.weight") { 1.0 } else { drawn * 0.1 };
            let values = (0..shape.iter().product()).map(|_| value(draw()));
            *bytes = values.flat_map(f32::to_le_bytes).collect();
        }
    })
}

/// Sentences whose words say their label; some are longer than others.
pub(crate) fn sentences(n: usize) -> Vec<Example> {
    let nouns = ["film", "plot", "cast", "story", "ending", "music", "camera"];
    let good = ["wonderful", "brilliant", "charming", "great", "touching"];
    let bad = ["terrible", "dull", "boring", "awful", "lazy"];
    let ends = ["", " from the first scene to the last", " and i never want it to end"];
    let sentence = |n: usize| {
        let words = if n % 2 == 1 { good } else { bad };
        let (noun, end) = (nouns[n % 7], ends[n % 3]);
        format!(
            "the {noun} is {} and the {} is {}{end}",
            words[n % 5],
            nouns[(n / 7) % 7],
            words[(n / 5) % 5]
        )
    };
    (0..n).map(|n| Example::labelled(sentence(n), n % 2)).collect()
}

/// The same with the other label.
pub(crate) fn flipped(example: Example) -> Example {
    Example { target: Target::Label(1 - example.target.labels()[0]), ..example }
}

pub(crate) fn split(n: usize) -> Split {
    Split { train: sentences(n), validation: Vec::new() }
}

/// What is measured where one label is right.
pub(crate) fn single(evaluation: &Evaluation) -> &SingleLabel {
    let Scores::SingleLabel(single) = &evaluation.scores else { panic!("one label is right") };
    single
}
