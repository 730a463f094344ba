//! A folder and its values.

use std::path::Path;

use fs_err as fs;
use safetensors::View;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::names::Head;
use crate::tensors::Tensors;
use crate::tokenizer::TokenizerFiles;

/// Classes of models that have a classifier of something else than one text.
const OF_OTHER_TASKS: [&str; 4] = [
    "ForTokenClassification",
    "ForMultipleChoice",
    "ForQuestionAnswering",
    "ForNextSentencePrediction",
];

/// A checkpoint: what `config.json` says and the tensors, which fit it.
#[derive(Debug)]
pub struct Checkpoint {
    /// With a label for each row of the classifier, `LABEL_0` where it has no name; with none where
    /// there is no classifier.
    pub config: Config,
    /// All that the network needs, and no others.
    pub tensors: Tensors,
}

impl Checkpoint {
    /// Reads a folder's `config.json` and the tables of contents of its weights, which stay on disk
    /// until they are asked for. They must not be changed in place meanwhile.
    /// A tensor that is missing, unknown or misshapen is an error that names it.
    pub fn open(dir: &Path) -> Result<Self> {
        let mut config = Config::read(dir)?;
        let tensors = Tensors::open(dir, config.architecture)?;
        let unsupported =
            |problem| Error::Unsupported { path: dir.join("config.json"), problems: vec![problem] };
        // Nothing is made for a layer that cannot be there.
        let n_layers = config.network.n_layers;
        if config.network.n_groups.unwrap_or(n_layers) > tensors.len() {
            let problem =
                format!("{n_layers} layers, and the weights are {} tensors", tensors.len());
            return Err(unsupported(problem));
        }
        let head = head(&mut config, &tensors).map_err(unsupported)?;
        let problems = tensors.problems(&config.network, head);
        if !problems.is_empty() {
            return Err(Error::Tensors { dir: dir.to_owned(), problems });
        }
        Ok(Self { config, tensors })
    }
}

/// Writes the same kind of folder; `transformers` opens it. The same values give the same bytes.
/// The tensors go by DistilBERT's names; files of that name that are there are replaced.
pub fn write<V: View>(
    dir: &Path,
    config: &Config,
    tokenizer: &TokenizerFiles,
    tensors: impl IntoIterator<Item = (String, V)>,
) -> Result<()> {
    let unwritten = |source| Error::Saved { dir: dir.to_owned(), source };
    fs::create_dir_all(dir).map_err(unwritten)?;
    for (name, bytes) in tokenizer.iter() {
        fs::write(dir.join(name), bytes).map_err(unwritten)?;
    }
    fs::write(dir.join("config.json"), config.to_json()).map_err(unwritten)?;
    let path = dir.join("model.safetensors");
    let named =
        tensors.into_iter().map(|(name, tensor)| (config.architecture.tensor_name(&name), tensor));
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    safetensors::serialize_to_file(named, Some(metadata), &path)
        .map_err(|source| Error::SavedWeights { path: path.clone(), source })?;
    // Written for its owner only: it gets what the umask gave the others.
    let permissions = fs::metadata(dir.join("config.json")).map_err(unwritten)?.permissions();
    fs::set_permissions(path, permissions).map_err(unwritten)
}

/// What of a head the tensors have; the labels become those of the classifier.
fn head(config: &mut Config, tensors: &Tensors) -> Result<Head, String> {
    let Some(classifier) = tensors.get("classifier.weight") else {
        config.labels.clear();
        config.thresholds = None;
        let has_pre_classifier = tensors.get("pre_classifier.weight").is_some();
        return Ok(Head { has_pre_classifier, n_labels: None });
    };
    let is_of_another = |name: &&str| OF_OTHER_TASKS.iter().any(|task| name.ends_with(task));
    if let Some(name) = config.architectures().find(is_of_another) {
        return Err(format!("it is a {name}, and only classifiers of texts are supported"));
    }
    // A row has at least one number, so that there are no more rows than the file has bytes.
    if let [n_labels, dim] = *classifier.shape()
        && dim == config.network.dim
    {
        if let Some(named) = config.n_labels().filter(|named| *named != n_labels as u64) {
            return Err(format!("num_labels is {named}, but the classifier has {n_labels} labels"));
        }
        match config.labels.len() {
            0 => config.labels = (0..n_labels).map(|n| format!("LABEL_{n}")).collect(),
            named if named != n_labels => {
                return Err(format!(
                    "id2label has {named} labels, but the classifier has {n_labels}"
                ));
            }
            _ => (),
        }
    }
    let n_thresholds = config.thresholds.as_ref().map_or(config.labels.len(), Vec::len);
    if n_thresholds != config.labels.len() {
        let n_labels = config.labels.len();
        return Err(format!("label_thresholds has {n_thresholds} numbers for {n_labels} labels"));
    }
    let n_labels = Some(config.labels.len()).filter(|n_labels| *n_labels > 0);
    Ok(Head { has_pre_classifier: true, n_labels })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use expect_test::{Expect, expect};
    use serde_json::{Value, json};

    use super::*;
    use crate::golden;

    fn tiny() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/tiny-distilbert")
    }

    /// What is wrong with the tiny checkpoint after a change of its configuration and its files.
    fn problem(edit: impl FnOnce(&mut Value, &Path)) -> String {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = fs::read(tiny().join("config.json")).expect("readable");
        let mut config = serde_json::from_slice(&config).expect("JSON");
        let weights = "model.safetensors";
        fs::copy(tiny().join(weights), folder.path().join(weights)).expect("copied");
        edit(&mut config, folder.path());
        fs::write(folder.path().join("config.json"), config.to_string()).expect("written");
        let error = Checkpoint::open(folder.path()).expect_err("it is refused");
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        let shown = format!("{error}{}", cause.unwrap_or_default());
        shown.replace(&*folder.path().to_string_lossy(), "DIR")
    }

    fn check(edit: impl FnOnce(&mut Value, &Path), expect: Expect) {
        expect.assert_eq(&problem(edit));
    }

    #[test]
    fn sizes_that_are_not_to_be_believed_size_nothing() {
        check(
            |config, _| config["n_layers"] = json!(1_000_000_000),
            expect![
                "cannot use DIR/config.json: 1000000000 layers, and the weights are 40 tensors"
            ],
        );
        let huge = u64::MAX;
        let problem = problem(|config, _| {
            for key in ["dim", "hidden_dim", "max_position_embeddings", "vocab_size"] {
                config[key] = json!(huge);
            }
            config["n_heads"] = json!(1);
            config["n_layers"] = json!(1);
        });
        let shape = format!("classifier.weight has shape [2, 32] instead of [2, {huge}]; ");
        assert!(problem.contains(&shape) && problem.ends_with("; and 19 more"), "{problem}");
    }

    #[test]
    fn weights_that_are_none_are_told_so() {
        check(
            |_, dir| {
                let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
                fs::write(dir.join("model.safetensors"), pointer).expect("written");
            },
            expect![
                "cannot use DIR/model.safetensors: it is a pointer of Git LFS and not the file itself: `git lfs pull` fetches it"
            ],
        );
        check(
            |_, dir| {
                fs::rename(dir.join("model.safetensors"), dir.join("pytorch_model.bin"))
                    .expect("renamed");
            },
            expect!["cannot use DIR/pytorch_model.bin: it is no file of torch.save"],
        );
        check(
            |_, dir| {
                fs::rename(dir.join("model.safetensors"), dir.join("model.onnx")).expect("renamed");
            },
            expect![
                "cannot use DIR/model.onnx: it is an ONNX graph, which is not supported: take the checkpoint that it was exported from, with model.safetensors or pytorch_model.bin"
            ],
        );
        check(
            |_, dir| {
                fs::remove_file(dir.join("model.safetensors")).expect("removed");
                let index = json!({"weight_map": {"classifier.bias": "../model.safetensors"}});
                fs::write(dir.join("model.safetensors.index.json"), index.to_string())
                    .expect("written");
            },
            expect![[
                r#"cannot use DIR/model.safetensors.index.json: "../model.safetensors" is no name of a file beside it"#
            ]],
        );
        check(
            |_, dir| {
                for name in ["tf_model.h5", "training_args.bin", "rust_model.ot"] {
                    fs::write(dir.join(name), "").expect("written");
                }
                fs::remove_file(dir.join("model.safetensors")).expect("removed");
            },
            expect![
                "cannot use DIR/tf_model.h5: it is TensorFlow's: load it with from_tf=True in transformers 4 and save it with save_pretrained"
            ],
        );
        check(
            |_, dir| {
                fs::remove_file(dir.join("model.safetensors")).expect("removed");
                let index = json!({"weight_map": {"classifier.bias": null}});
                fs::write(dir.join("model.safetensors.index.json"), index.to_string())
                    .expect("written");
            },
            expect![
                "cannot use DIR/model.safetensors.index.json: weight_map has null for classifier.bias"
            ],
        );
        check(
            |_, dir| fs::write(dir.join("model.safetensors"), "").expect("written"),
            expect!["cannot parse the weights DIR/model.safetensors: header too small"],
        );
    }

    #[test]
    fn a_classifier_of_something_else_is_refused() {
        check(
            |config, _| config["architectures"] = json!(["DistilBertForTokenClassification"]),
            expect![
                "cannot use DIR/config.json: it is a DistilBertForTokenClassification, and only classifiers of texts are supported"
            ],
        );
        check(
            |config, _| config["id2label"] = json!(["one"]),
            expect!["cannot use DIR/config.json: id2label has 1 labels, but the classifier has 2"],
        );
        check(
            |config, _| config["num_labels"] = json!(3),
            expect!["cannot use DIR/config.json: num_labels is 3, but the classifier has 2 labels"],
        );
    }

    #[test]
    fn golden_values_are_as_many_as_texts() {
        assert!(!golden(&tiny()).expect("readable").is_empty());
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert!(golden(folder.path()).expect("there is none").is_empty());
        let broken = r#"{"texts": ["a"], "logits": []}"#;
        fs::write(folder.path().join("golden.json"), broken).expect("written");
        let error = golden(folder.path()).expect_err("it is refused").to_string();
        assert!(error.ends_with("it has not as many rows of logits as texts"), "{error}");
    }
}
