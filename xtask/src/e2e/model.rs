//! Steps 1 to 3: a checkpoint becomes a fine-tuned classifier.

use std::path::Path;

use anyhow::ensure;
use fs_err as fs;

use super::lesson::{Lesson, Origin};
use super::server::{Server, Talk};
use super::stage::{Stage, say};
use super::{checkpoint, sentences};
use crate::client::ask;

/// The tutorial's model, which the small checkpoint stands for.
const NAME: &str = "distilbert/distilbert-base-uncased";

/// A checkpoint of a Hugging Face endpoint becomes a ModelKit, and a project folder.
pub(crate) fn import(stage: &mut Stage, lesson: &Lesson) -> anyhow::Result<()> {
    stage.step("import: a Hugging Face checkpoint becomes a ModelKit");
    let name = match &lesson.origin {
        Origin::Hub(name) => {
            stage
                .run(&format!("kit-rs import https://huggingface.co/{name} --tag {NAME}:latest"))?;
            name
        }
        Origin::Small | Origin::Folder(_) => {
            offer(stage, lesson)?;
            let hub = Server::start(
                stage,
                "hub",
                "kit-rs hub serve --root hub --addr 127.0.0.1:0",
                Talk::Kept,
            )?;
            stage.set_env("HF_ENDPOINT", &hub.url);
            say(&format!("$ export HF_ENDPOINT={}", hub.url));
            stage.run(&format!("kit-rs import https://huggingface.co/{NAME}"))?;
            NAME
        }
    };
    stage.run(&format!("kit-rs unpack {NAME}:latest -d my-ml-project"))?;
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        ensure!(
            stage.root.join("my-ml-project").join(file).is_file(),
            "{name} came without its {file}"
        );
    }
    Ok(())
}

/// Puts the checkpoint where `kit-rs hub serve` finds it.
fn offer(stage: &Stage, lesson: &Lesson) -> anyhow::Result<()> {
    let offered = stage.root.join("hub").join(NAME);
    match &lesson.origin {
        Origin::Folder(folder) => copy(folder, &offered),
        _ => {
            let words = sentences::more();
            let asked = lesson.asked.iter().map(|(text, _)| text.as_str());
            let texts: Vec<&str> =
                words.iter().map(|(text, _)| text.as_str()).chain(asked).collect();
            checkpoint::write(&offered, &texts)
        }
    }
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// Code, data and documentation join the checkpoint.
pub(crate) fn project(stage: &mut Stage, lesson: &Lesson) -> anyhow::Result<()> {
    stage.step("project: code, data and documentation join it");
    stage.cd(&stage.root.join("my-ml-project"))?;
    write(stage, "datasets/sample_data.json", &lesson.first)?;
    let train = format!(
        "kit-rs train --model . --dataset datasets/sample_data.json --output fine_tuned_model {}",
        lesson.settings
    );
    write(
        stage,
        "code/train.sh",
        &script("Fine-tunes the checkpoint on datasets/sample_data.json.", &train),
    )?;
    write(
        stage,
        "code/serve.sh",
        &script("Serves the fine-tuned model on port 8000.", "kit-rs serve fine_tuned_model"),
    )?;
    write(stage, "README.md", README)
}

const README: &str = "# Sentiment of short texts\n\nDistilBERT, fine-tuned with `sh code/train.sh`, served with `sh code/serve.sh`.\n";

fn script(what: &str, command: &str) -> String {
    format!("#!/bin/sh\n# {what}\nset -e\ncd \"$(dirname \"$0\")/..\"\nexec {command} \"$@\"\n")
}

fn write(stage: &Stage, path: &str, text: &str) -> anyhow::Result<()> {
    let path = stage.cwd.join(path);
    fs::create_dir_all(path.parent().unwrap_or(&stage.cwd))?;
    fs::write(&path, text)?;
    say(&format!("  wrote {}", path.strip_prefix(&stage.root).unwrap_or(&path).display()));
    Ok(())
}

/// Fine-tuning, by the project's own script; then its other script serves what came of it.
pub(crate) fn train(stage: &mut Stage) -> anyhow::Result<()> {
    stage.step("train: fine-tune for two labels");
    retrain(stage)?;
    let server = Server::start(stage, "serve", "sh code/serve.sh --port 0", Talk::Kept)?;
    let answer = ask(&server.url, "I love it")?;
    say(&format!("  POST /predict \"I love it\" → {} {:.3}", answer.label, answer.score));
    Ok(())
}

/// Runs the project's training script.
pub(crate) fn retrain(stage: &Stage) -> anyhow::Result<()> {
    let report = stage.run("sh code/train.sh --format json")?;
    let report: serde_json::Value = serde_json::from_str(&report)?;
    ensure!(report["report"].is_object(), "training gave no report");
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        ensure!(stage.cwd.join("fine_tuned_model").join(file).is_file(), "training left no {file}");
    }
    ensure!(stage.cwd.join("fine_tuned_model-report.json").is_file(), "training left no report");
    stage.run("kit-rs evaluate fine_tuned_model datasets/sample_data.json")?;
    Ok(())
}
