//! PyTorch and transformers: the same tokens, logits, losses and weights, and each opens what the
//! other saved.

mod architectures;
mod tasks;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use fs_err as fs;
use serde_json::Value;

use crate::e2e::say;
use crate::peers::{Peers, run_quietly};
use crate::report::Report;

/// What the scripts import.
pub(crate) const PACKAGES: [&str; 6] = [
    "torch==2.15.0",
    "transformers==5.24.0",
    "safetensors==0.8.0",
    "huggingface_hub==2.4.0",
    "sentencepiece==0.2.3",
    "protobuf==7.36.2",
];

/// A sentence of the batch that both sides take ten steps on.
const BATCH: [(&str, u8); 8] = [
    ("a wonderful film", 1),
    ("boring and slow, a waste of time", 0),
    ("the cast is brilliant", 1),
    ("i hated every scene", 0),
    ("charming, warm and funny from the first scene to the last", 1),
    ("terrible", 0),
    ("a true gem with heart", 1),
    ("the script is a mess and the ending is stupid", 0),
];

/// One side's programs, and where they work.
struct Bench {
    python: PathBuf,
    kit_rs: PathBuf,
    script: PathBuf,
    dir: PathBuf,
}

/// Runs every claim.
pub(super) fn run(
    peers: &Peers,
    kit_rs: &Path,
    workspace: &Path,
    dir: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    let testdata = workspace.join("trainer/testdata");
    let python = match peers.python("transformers", &PACKAGES) {
        Ok(python) => python,
        Err(error) => {
            report.skip("transformers", "every claim about transformers", &format!("{error:#}"));
            return Ok(());
        }
    };
    let bench = Bench {
        python,
        kit_rs: kit_rs.to_owned(),
        script: testdata.join("peer.py"),
        dir: dir.to_owned(),
    };
    let texts = bench.dir.join("awkward.json");
    bench.peer(&["texts", shown(&texts)?, "5000"])?;
    for (name, folder) in [("DistilBERT", "tiny-distilbert"), ("BERT", "tiny-bert")] {
        report.claim(
            "transformers",
            &format!("{name}: 5,000 awkward texts give the same tokens, logits within 2e-6"),
            || bench.same_predictions(&testdata.join(folder), &texts, "2e-6"),
        );
    }
    for shape in ["full", "sharded", "bert"] {
        let model = bench.dir.join(shape);
        bench.peer(&["make", shape, shown(&model)?])?;
        let few = bench.dir.join("few.json");
        bench.peer(&["texts", shown(&few)?, "64"])?;
        report.claim(
            "transformers",
            &format!("a checkpoint of shape {shape}: logits within 2e-5"),
            || bench.same_predictions(&model, &few, "2e-5"),
        );
    }
    architectures::run(&bench, report);
    tasks::run(&bench, report)?;
    // With these rates the last step is the best, whose weights are kept.
    for (shape, device, rate) in [
        ("full", "flex", "2e-5"),
        ("bert", "flex", "1e-4"),
        ("bert", "ndarray", "1e-4"),
        ("roberta", "flex", "1e-4"),
        ("camembert", "flex", "5e-5"),
        ("electra", "flex", "1e-4"),
        ("mpnet", "flex", "1e-4"),
        ("albert", "flex", "1e-4"),
        ("deberta-v2", "flex", "1e-4"),
        ("deberta-v2", "ndarray", "1e-4"),
        ("modernbert", "flex", "1e-4"),
        ("modernbert", "ndarray", "1e-4"),
    ] {
        report.claim(
            "transformers",
            &format!(
                "ten steps of AdamW on shape {shape} with {device}: losses and weights within 1e-4"
            ),
            || bench.same_steps(shape, device, rate),
        );
        report.claim(
            "transformers",
            &format!("what {device} trained on shape {shape} opens and gives the same logits"),
            || {
                bench.same_predictions(
                    &bench.trained(shape, device),
                    &bench.dir.join("few.json"),
                    "2e-5",
                )
            },
        );
    }
    Ok(())
}

impl Bench {
    fn peer(&self, arguments: &[&str]) -> anyhow::Result<String> {
        run_quietly(Command::new(&self.python).arg(&self.script).args(arguments))
    }

    fn kit_rs(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(&self.kit_rs);
        run_quietly(
            command
                .current_dir(&self.dir)
                .env("KIT_RS_HOME", self.dir.join("home"))
                .args(arguments),
        )
    }

    fn trained(&self, shape: &str, device: &str) -> PathBuf {
        self.dir.join(format!("{shape}-{device}"))
    }

    fn same_predictions(&self, model: &Path, texts: &Path, bound: &str) -> anyhow::Result<()> {
        let predictions = self.dir.join("predictions.jsonl");
        // Labels of the texts are numbers from 0 to 1, and the models have at least two.
        self.kit_rs(&[
            "evaluate",
            shown(model)?,
            shown(texts)?,
            "--predictions",
            shown(&predictions)?,
        ])?;
        let found = self.peer(&["predictions", shown(model)?, shown(&predictions)?, bound])?;
        say(&format!("          {}", found.trim()));
        Ok(())
    }

    fn same_steps(&self, shape: &str, device: &str, rate: &str) -> anyhow::Result<()> {
        let (dataset, output) = (self.dir.join("batch.json"), self.trained(shape, device));
        let rows: Vec<Value> = BATCH
            .iter()
            .map(|(text, label)| serde_json::json!({ "text": text, "label": label }))
            .collect();
        fs::write(&dataset, serde_json::json!({ "samples": rows }).to_string())?;
        let model = self.dir.join(shape);
        let told = self.kit_rs(&[
            "train",
            "--model",
            shown(&model)?,
            "--dataset",
            shown(&dataset)?,
            "--output",
            shown(&output)?,
            "--epochs",
            "10",
            "--batch-size",
            "8",
            "--dropout",
            "0",
            "--validation-fraction",
            "0",
            "--warmup",
            "0.2",
            "--learning-rate",
            rate,
            "--device",
            device,
            "--no-kitfile",
            "--format",
            "json",
        ])?;
        let told: Value = serde_json::from_str(&told).context("train answers with JSON")?;
        ensure!(
            told["report"]["best_epoch"] == 10,
            "ten epochs, a step each, and the last is kept"
        );
        let report = self.dir.join("report.json");
        fs::write(&report, told["report"].to_string())?;
        let found = self.peer(&[
            "steps",
            shown(&model)?,
            shown(&dataset)?,
            shown(&output)?,
            shown(&report)?,
        ])?;
        say(&format!("          {}", found.trim()));
        Ok(())
    }
}

fn shown(path: &Path) -> anyhow::Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}
