//! The Kitfile of what was trained, so that `pack` follows at once.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use fs_err as fs;
use kitfile::{Kitfile, Model};
use modelkit::Existing;
use serde_json::{Value, json};
use trainer::{Measured, Report};

use super::args::Args;
use super::base::Base;
use crate::env;
use crate::failure::{WithHint as _, asked_wrongly};
use crate::steps::project::{kitfile_in, parent};
use crate::steps::training::Recipe;
use crate::ui::Ui;

/// Brings the model section of the Kitfile up to date and keeps every other byte, or writes one;
/// returns its path.
pub(super) fn write(args: &Args, base: &Base, report: &Report, ui: &Ui) -> anyhow::Result<PathBuf> {
    let path = place(args);
    let context = parent(&path);
    let model_path = model_path(context, &args.output)?;
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return fresh(&path, &model_path, args, base, report, ui);
        }
        Err(error) => return Err(error.into()),
    };
    let before =
        Kitfile::parse(&text).with_context(|| format!("{} is not valid", path.display()))?.kitfile;
    let checkpoint = within(context, Path::new(&args.model));
    let model =
        updated(before.model.unwrap_or_default(), &model_path, checkpoint.as_deref(), base, report);
    let after = kitfile::edit::set_model(&text, &model)
        .with_context(|| format!("cannot bring {} up to date", path.display()))?;
    modelkit::write_file(&path, after.as_bytes(), Existing::Replace)?;
    ui.note(format_args!("brought the model section of {} up to date", path.display()));
    Ok(path)
}

/// Where the Kitfile is, or will be.
fn place(args: &Args) -> PathBuf {
    let beside = parent(&args.output);
    let found = || kitfile_in(beside).unwrap_or_else(|| beside.join("Kitfile"));
    args.kitfile.clone().unwrap_or_else(found)
}

/// Says before the training what would be in the way after it.
pub(super) fn check(args: &Args) -> anyhow::Result<()> {
    if args.no_kitfile {
        return Ok(());
    }
    let path = place(args);
    model_path(parent(&path), &args.output)?;
    if path.is_file() {
        Kitfile::parse(&fs::read_to_string(&path)?)
            .with_context(|| format!("{} is not valid", path.display()))
            .hint("correct it, or leave it alone with --no-kitfile")?;
    }
    Ok(())
}

fn fresh(
    path: &Path,
    model_path: &str,
    args: &Args,
    base: &Base,
    report: &Report,
    ui: &Ui,
) -> anyhow::Result<PathBuf> {
    let context = parent(path);
    let mut kitfile = Kitfile { manifest_version: "1.0.0".to_owned(), ..Kitfile::default() };
    kitfile.package.name = env::folder_name(context).unwrap_or_else(|| model_path.to_owned());
    let name = model_path.rsplit('/').next().unwrap_or(model_path).to_owned();
    kitfile.model =
        Some(updated(Model { name, ..Model::default() }, model_path, None, base, report));
    for path in &args.dataset {
        let Some(dataset) = within(context, path).filter(|path| !path.is_empty()) else { continue };
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let description = match args.dataset.len() {
            1 => format!("{} examples to learn from", report.train.n_examples),
            n_files => format!(
                "one of {n_files} files with {} examples to learn from",
                report.train.n_examples
            ),
        };
        kitfile.datasets.push(kitfile::Dataset {
            name: name.unwrap_or_default(),
            path: dataset,
            description,
            ..kitfile::Dataset::default()
        });
    }
    kitfile.check().map_err(|problems| asked_wrongly(problems.to_string()))?;
    modelkit::write_file(path, kitfile.to_yaml().as_bytes(), Existing::Replace)?;
    ui.note(format_args!("wrote {}", path.display()));
    Ok(path.to_owned())
}

/// The section with what is known of the model now; everything that a person wrote stays.
fn updated(
    before: Model,
    path: &str,
    checkpoint: Option<&str>,
    base: &Base,
    report: &Report,
) -> Model {
    let before_path = Path::new(before.path.trim_start_matches("./"));
    let of_checkpoint = checkpoint.is_some_and(|checkpoint| before_path.starts_with(checkpoint));
    let is_same = before_path == Path::new(path);
    let or = |before: String, otherwise: &str| {
        if before.is_empty() { otherwise.to_owned() } else { before }
    };
    Model {
        // The parts belonged to the model that was named before.
        parts: if is_same { before.parts } else { Vec::new() },
        path: if is_same { before.path } else { path.to_owned() },
        framework: or(before.framework, "transformers"),
        format: "safetensors".to_owned(),
        license: or(before.license, base.card.license.as_deref().unwrap_or_default()),
        parameters: parameters(before.parameters, of_checkpoint, base, report),
        digest: None,
        diff_id: None,
        ..before
    }
}

/// Parameters that `init` and `import` find in a checkpoint's files, and that training changes.
const GUESSED: [&str; 3] = ["architectures", "dtype", "torch_dtype"];

/// What led to the model, and how good it is. It says no times, so that the same training gives the
/// same Kitfile.
fn parameters(before: Value, of_checkpoint: bool, base: &Base, report: &Report) -> Value {
    let mut parameters = match before {
        Value::Object(before) => before,
        _ => serde_json::Map::new(),
    };
    // What was found in the checkpoint is not of this model; where it came from is.
    let of_its_own = parameters.remove("source").filter(|_| of_checkpoint);
    let source = base.source.clone().or(of_its_own).or_else(|| {
        let base = parameters
            .get("base_model")
            .filter(|base| base["weights"] == report.base_weights.as_str());
        base.map(|base| base["source"].clone())
    });
    GUESSED.iter().for_each(|key| drop(parameters.remove(*key)));
    let mut base_model = json!({ "weights": report.base_weights });
    if let Some(source) = source.filter(|source| !source.is_null()) {
        base_model["source"] = source;
    }
    let best = report.best();
    let mut config = serde_json::to_value(&report.config).unwrap_or_default();
    if let Some(config) = config.as_object_mut() {
        // None of them changes the weights.
        for name in ["threads", "isa", "record_every"] {
            config.remove(name);
        }
        config.retain(|_, value| !value.is_null());
        config.values_mut().for_each(|value| *value = plain(value));
    }
    let rounded = |value: f64| plain(&json!((value * 1e6).round() / 1e6));
    let mut metrics = json!({ "loss": rounded(best.loss), "n_examples": best.n_examples });
    for (name, value) in best.metrics() {
        metrics[name] = rounded(value);
    }
    if report.measured_on == Measured::Validation {
        // Two models can be compared where they were measured on the same examples.
        metrics["data"] = report.validation.digest.as_str().into();
    }
    let ours = json!({
        "metrics": metrics,
        "training": config,
        "num_parameters": report.n_parameters,
        "base_model": base_model,
        "dataset": { "digest": report.train.digest, "n_examples": report.train.n_examples },
        "labels": report.labels,
        "task": report.task,
    });
    let Value::Object(ours) = ours else { unreachable!("an object was written above") };
    parameters.extend(ours);
    Value::Object(parameters)
}

/// A whole number without its point: in a Kitfile, as in kit's JSON, `1.0` is `1`.
fn plain(value: &Value) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
    match value.as_f64() {
        Some(number) if value.is_f64() && number.fract() == 0.0 && number.abs() < EXACT => {
            json!(number as i64)
        }
        _ => value.clone(),
    }
}

/// Where the model is, or will be, as its Kitfile says it.
fn model_path(context: &Path, output: &Path) -> anyhow::Result<String> {
    let name = output.file_name().unwrap_or_default();
    within(context, parent(output))
        .and_then(|parent| {
            Some(if parent.is_empty() {
                name.to_str()?.to_owned()
            } else {
                format!("{parent}/{}", name.to_str()?)
            })
        })
        .with_context(|| {
            format!(
                "{} is not beneath {}, where its Kitfile is",
                output.display(),
                context.display()
            )
        })
        .hint("--kitfile names another one, --no-kitfile leaves it alone")
}

/// Where all that went in is found again, as the Kitfile says it.
pub(super) fn recipe(args: &Args, base: &Base) -> anyhow::Result<Value> {
    let path = place(args);
    let context = parent(&path);
    let named = |path: &Path| match within(context, path) {
        Some(path) if path.is_empty() => ".".to_owned(),
        Some(path) => path,
        None => path.to_string_lossy().into_owned(),
    };
    let modelkit = base.source.as_ref().and_then(|source| source["modelkit"].as_str());
    let recipe = Recipe {
        base: match modelkit {
            Some(_) => args.model.clone(),
            None => named(Path::new(&args.model)),
        },
        base_modelkit: modelkit.map(str::to_owned),
        dataset: args.dataset.iter().map(|path| named(path)).collect(),
        validation: args.validation.iter().map(|path| named(path)).collect(),
        validation_fraction: args.options.validation_fraction,
        task: args.task.map(|task| task.name().to_owned()),
        reading: args.reading.clone(),
    };
    Ok(serde_json::to_value(&recipe)?)
}

/// The path beneath a folder, as a Kitfile has it.
fn within(context: &Path, path: &Path) -> Option<String> {
    let (context, path) = (fs::canonicalize(context).ok()?, fs::canonicalize(path).ok()?);
    let parts: Option<Vec<&str>> =
        path.strip_prefix(&context).ok()?.iter().map(|part| part.to_str()).collect();
    Some(parts?.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_a_kitfile_reads_them() {
        let model = Model {
            path: "m".to_owned(),
            parameters: json!({ "a": plain(&json!(1.0)), "b": plain(&json!(5e-5)) }),
            ..Model::default()
        };
        let text = "manifestVersion: 1.0.0\n# kept\npackage:\n  name: x\nmodel:\n  path: m\n";
        let once = kitfile::edit::set_model(text, &model).expect("written");
        let again = Model {
            parameters: json!({ "a": plain(&json!(2.0)), "b": plain(&json!(0.125)) }),
            ..model
        };
        let twice = kitfile::edit::set_model(&once, &again).expect("written again");
        assert!(twice.contains("# kept") && twice.contains("a: 2\n"), "{twice}");
    }
}
