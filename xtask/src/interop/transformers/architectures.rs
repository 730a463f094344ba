//! Each architecture through the server: random checkpoints, 300 awkward texts, alone and together.

use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::{Bench, shown};
use crate::e2e::say;
use crate::report::Report;
use crate::serving::load::{Client, request};
use crate::serving::server::Server;

/// What `model_type` says.
const ARCHITECTURES: [&str; 9] = [
    "roberta",
    "xlm-roberta",
    "camembert",
    "data2vec-text",
    "electra",
    "mpnet",
    "albert",
    "deberta-v2",
    "modernbert",
];

/// The most that a logit may be off.
const TOLERANCE: f64 = 1e-5;

/// Texts of the dataset that are compared, and of one request.
const N_TEXTS: usize = 300;
const TOGETHER: usize = 50;

/// Runs a claim for each.
pub(super) fn run(bench: &Bench, report: &mut Report) {
    for name in ARCHITECTURES {
        report.claim(
            "transformers",
            &format!("{name}: logits of {N_TEXTS} awkward texts within 1e-5, alone and together"),
            || same_logits(bench, name),
        );
    }
}

fn same_logits(bench: &Bench, name: &str) -> anyhow::Result<()> {
    let (model, texts) = (bench.dir.join(name), bench.dir.join("awkward.json"));
    bench.peer(&["make", name, shown(&model)?])?;
    let theirs = bench.peer(&["logits", shown(&model)?, shown(&texts)?, &N_TEXTS.to_string()])?;
    let theirs: Vec<Vec<f64>> = serde_json::from_str(theirs.trim()).context("rows of logits")?;
    let samples: Value = serde_json::from_slice(&fs_err::read(&texts)?)?;
    let texts: Vec<&str> = samples["samples"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|sample| sample["text"].as_str())
        .take(N_TEXTS)
        .collect();
    let mut command = Command::new(&bench.kit_rs);
    command.args(["serve", shown(&model)?, "--port", "0", "--model-name", "model"]);
    let server = Server::that_says_where(command)?;
    let mut client = Client::connect(server.address)?;
    let mut ask = |texts: &[&str]| {
        let input =
            json!({ "name": "text", "datatype": "BYTES", "shape": [texts.len()], "data": texts });
        let body = json!({ "inputs": [input], "outputs": [{ "name": "logits" }] }).to_string();
        let answer = client.ask(&request("POST", "/v2/models/model/infer", &body))?;
        let document: Value = serde_json::from_slice(&answer.body)?;
        let logits: Vec<f64> = serde_json::from_value(document["outputs"][0]["data"].clone())
            .with_context(|| format!("{}: {document}", answer.status))?;
        anyhow::Ok(logits)
    };
    let (mut together, mut alone) = (Vec::new(), Vec::new());
    for texts in texts.chunks(TOGETHER) {
        together.extend(ask(texts)?);
    }
    for text in &texts {
        alone.extend(ask(std::slice::from_ref(text))?);
    }
    ensure!(together == alone, "a text has other logits in a batch");
    let theirs = theirs.concat();
    ensure!(theirs.len() == alone.len(), "{} logits, not {}", alone.len(), theirs.len());
    let worst = alone.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    say(&format!("          greatest difference of {} logits: {worst:.1e}", theirs.len()));
    ensure!(worst <= TOLERANCE, "a logit is off by {worst}");
    Ok(())
}
