//! Which files of a repository on a hub are taken.

use std::collections::{HashMap, HashSet};

use registry::hub::{HubFile, Snapshot};

use super::args::Args;
use crate::failure::{WithHint as _, asked_wrongly};
use crate::output::{n_of, some_of};

/// Formats that weights are published in besides safetensors.
const OTHER_FORMATS: [&str; 10] =
    ["bin", "h5", "msgpack", "ot", "onnx", "ckpt", "pt", "pth", "tflite", "mlmodel"];

/// What frameworks put into the names of their weights: `tf_model.h5` is `model.safetensors` again.
const FRAMEWORKS: [&str; 4] = ["pytorch_", "tf_", "flax_", "rust_"];

/// Folders of one model in other forms, beside its weights.
const OTHER_FORMS: [&str; 3] = ["onnx", "openvino", "coreml"];

/// What Llama and Mistral call the weights as they were before transformers split them anew; Llama
/// puts them into a folder `original`.
const CONSOLIDATED: &str = "consolidated";

/// Keeps what the user wants of a repository; returns what repeats the model in another form and is
/// left out for that.
///
/// Only what is kept must be writable: one strange name spoils no repository.
pub(super) fn choose(snapshot: &mut Snapshot, args: &Args) -> anyhow::Result<Vec<HubFile>> {
    let all: Vec<String> = snapshot.files.iter().map(|file| file.path.clone()).collect();
    snapshot.files.retain(|file| args.wants(&file.path));
    let refused: Vec<&str> =
        snapshot.unwritable.iter().map(String::as_str).filter(|path| args.wants(path)).collect();
    if !refused.is_empty() {
        return Err(asked_wrongly(format!(
            "{} of the repository cannot be called so here: {}; --exclude leaves them out",
            n_of(refused.len() as u64, "file"),
            some_of(refused.into_iter())
        )));
    }
    if snapshot.files.is_empty() {
        let nothing = Err(asked_wrongly(match all.is_empty() {
            true => "the repository has no files",
            false => "--include and --exclude leave no file of the repository",
        }));
        return match all.is_empty() {
            true => nothing,
            false => nothing.hint(format!("it has {}", some_of(all.iter().map(String::as_str)))),
        };
    }
    // Who names what is wanted has chosen.
    let left_out = match args.include.is_empty() {
        true => other_forms(&snapshot.files),
        false => HashSet::new(),
    };
    let (left_out, kept): (Vec<_>, Vec<_>) =
        std::mem::take(&mut snapshot.files).into_iter().partition(|it| left_out.contains(&it.path));
    snapshot.files = kept;
    check_twins(&snapshot.files)?;
    Ok(left_out)
}

/// Refuses names that differ only in their case: elsewhere they are one file.
fn check_twins(files: &[HubFile]) -> anyhow::Result<()> {
    let mut seen: HashMap<String, &str> = HashMap::new();
    for file in files {
        if let Some(twin) = seen.insert(file.path.to_lowercase(), &file.path) {
            return Err(asked_wrongly(format!(
                "`{twin}` and `{}` are one file where case does not count: --exclude one of them",
                file.path
            )));
        }
    }
    Ok(())
}

/// The paths of files that repeat in another form what lies in safetensors beside them, and of what
/// was saved on the way there.
fn other_forms(files: &[HubFile]) -> HashSet<String> {
    let models: HashSet<(&str, String)> = files
        .iter()
        .filter_map(|file| {
            let (folder, name) = split(&file.path);
            Some((folder, model_of(name.strip_suffix(".safetensors")?)))
        })
        .collect();
    let has_weights = |folder: &str| models.iter().any(|(of, _)| *of == folder);
    let is_consolidated = |name: &str| {
        name.strip_prefix(CONSOLIDATED).is_some_and(|rest| rest.starts_with(['.', '-']))
    };
    let has_consolidated = |folder: &str| {
        files
            .iter()
            .map(|file| split(&file.path))
            .any(|(of, it)| of == folder && is_consolidated(it))
    };
    let is_other = |path: &str| {
        let (folder, name) = split(path);
        let weights = name.strip_suffix(".index.json").unwrap_or(name);
        let repeats = weights.rsplit_once('.').is_some_and(|(stem, format)| {
            OTHER_FORMATS.contains(&format) && models.contains(&(folder, model_of(stem)))
        });
        let is_as_before = is_consolidated(name) && models.contains(&(folder, "model".to_owned()));
        let is_beneath = path.match_indices('/').any(|(at, _)| {
            let (parent, name) = split(&path[..at]);
            let is_form = is_form(name) || name == "original" && has_consolidated(&path[..at]);
            is_form && has_weights(parent)
        });
        repeats || is_as_before || is_beneath
    };
    files.iter().map(|file| file.path.clone()).filter(|path| is_other(path)).collect()
}

/// The folder, and the name in it.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// Whether a folder's name says that it holds the model in another form, or as it was during
/// training.
fn is_form(name: &str) -> bool {
    let step = name.strip_prefix("checkpoint-");
    OTHER_FORMS.contains(&name)
        || step.is_some_and(|step| !step.is_empty() && step.bytes().all(|it| it.is_ascii_digit()))
}

/// What a file of weights is called apart from its framework, and from its number where it is one
/// of several: `pytorch_model-00001-of-00002` is `model`.
fn model_of(stem: &str) -> String {
    let numbered = stem.rsplit_once("-of-").and_then(|(first, n)| {
        let (name, number) = first.rsplit_once('-')?;
        let are_numbers = [number, n].iter().all(|it| it.bytes().all(|it| it.is_ascii_digit()));
        are_numbers.then_some(name)
    });
    let name = numbered.unwrap_or(stem).to_lowercase();
    FRAMEWORKS.iter().fold(name, |name, framework| name.replace(framework, ""))
}

#[cfg(test)]
mod tests {
    use registry::hub::RepoId;

    use super::super::args::tests::args;
    use super::*;

    fn file(path: &str) -> HubFile {
        HubFile { path: path.to_owned(), size: 1, oid: String::new(), sha256: None }
    }

    fn snapshot(paths: &[&str]) -> Snapshot {
        let repo: RepoId = "org/name".parse().expect("a name");
        let files = paths.iter().map(|path| file(path)).collect();
        Snapshot { repo, sha: "0".repeat(40), files, unwritable: Vec::new() }
    }

    /// Chooses among these; returns what stays, or what is wrong.
    fn chosen(mut snapshot: Snapshot, args: &Args) -> Result<(Vec<String>, Vec<String>), String> {
        let paths = |files: Vec<HubFile>| files.into_iter().map(|file| file.path).collect();
        let left_out = choose(&mut snapshot, args).map_err(|error| {
            error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ")
        })?;
        Ok((paths(snapshot.files), paths(left_out)))
    }

    fn check(paths: &[&str], left_out: &[&str]) {
        let (kept, found) = chosen(snapshot(paths), &args("org/name")).expect("some are chosen");
        assert_eq!(found, left_out);
        assert_eq!(kept.len(), paths.len() - left_out.len());
    }

    #[test]
    fn the_same_model_in_other_forms_is_left_out() {
        check(
            &[
                "config.json",
                "model.safetensors",
                "pytorch_model.bin",
                "tf_model.h5",
                "flax_model.msgpack",
                "rust_model.ot",
                "onnx/model.onnx",
                "onnx/config.json",
                "checkpoint-500/model.safetensors",
                "checkpoint-500/optimizer.pt",
                "training_args.bin",
            ],
            &[
                "pytorch_model.bin",
                "tf_model.h5",
                "flax_model.msgpack",
                "rust_model.ot",
                "onnx/model.onnx",
                "onnx/config.json",
                "checkpoint-500/model.safetensors",
                "checkpoint-500/optimizer.pt",
            ],
        );
        check(
            &[
                "model-00001-of-00002.safetensors",
                "model-00002-of-00002.safetensors",
                "model.safetensors.index.json",
                "pytorch_model-00001-of-00003.bin",
                "pytorch_model.bin.index.json",
            ],
            &["pytorch_model-00001-of-00003.bin", "pytorch_model.bin.index.json"],
        );
        check(
            &[
                "model-00001-of-00002.safetensors",
                "consolidated.safetensors",
                "original/consolidated.00.pth",
                "original/params.json",
            ],
            &["consolidated.safetensors", "original/consolidated.00.pth", "original/params.json"],
        );
        check(
            &["unet/diffusion_pytorch_model.safetensors", "unet/diffusion_pytorch_model.bin"],
            &["unet/diffusion_pytorch_model.bin"],
        );
    }

    #[test]
    fn the_only_form_and_other_models_stay() {
        check(&["pytorch_model.bin", "onnx/model.onnx", "checkpoint-500/pytorch_model.bin"], &[]);
        // Sentence transformers have layers of their own in folders.
        check(&["model.safetensors", "2_Dense/pytorch_model.bin"], &[]);
        check(&["model.safetensors", "adapter_model.bin", "vocab.bin"], &[]);
        check(&["model.safetensors", "checkpoint-best/notes.txt", "my-onnx/x"], &[]);
        check(&["consolidated.safetensors", "params.json", "original/notes.txt"], &[]);
        check(&["model.safetensors", "original/notes.txt"], &[]);
    }

    #[test]
    fn who_names_files_has_chosen() {
        let mut args = args("org/name");
        args.include = vec!["*".parse().expect("a pattern")];
        let paths = ["model.safetensors", "pytorch_model.bin"];
        let (kept, left_out) = chosen(snapshot(&paths), &args).expect("some are chosen");
        assert_eq!((kept.len(), left_out.len()), (2, 0));
    }

    #[test]
    fn an_empty_selection_says_what_there_was() {
        let mut args = args("org/name");
        args.include = vec!["*.bin".parse().expect("a pattern")];
        let refused = chosen(snapshot(&["a.json", "b.json"]), &args).expect_err("nothing is left");
        assert_eq!(
            refused,
            "it has `a.json`, `b.json`: --include and --exclude leave no file of the repository"
        );
        assert!(chosen(snapshot(&[]), &args).is_err());
    }

    #[test]
    fn names_that_cannot_be_here_can_be_left_out() {
        let mut found = snapshot(&["config.json", "README.md", "readme.md"]);
        found.unwritable = vec!["a\\b".to_owned()];
        let mut args = args("org/name");
        let refused = chosen(found.clone(), &args).expect_err("it cannot be called so");
        assert!(refused.contains("`a\\b`") && refused.contains("--exclude"), "{refused}");
        args.exclude = vec!["a*".parse().expect("a pattern")];
        let refused = chosen(found.clone(), &args).expect_err("they are one file elsewhere");
        assert!(refused.contains("--exclude") && refused.contains("`readme.md`"), "{refused}");
        args.exclude.push("readme.md".parse().expect("a pattern"));
        assert_eq!(chosen(found, &args).expect("two are chosen").0, ["config.json", "README.md"]);
    }
}
