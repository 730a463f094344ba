//! The server before the real clients and peers: PyTorch, the FastAPI app, schemathesis, Triton's
//! client, Chromium; and under abuse.

mod abuse;
mod browser;
mod fastapi;
mod logits;
mod reload;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::ensure;

use crate::peers::{Peers, run_quietly};
use crate::report::Report;
use crate::serving;
use crate::serving::server::Server;

/// What every proof needs.
struct Stage<'a> {
    peers: &'a Peers,
    workspace: &'a Path,
    dir: &'a Path,
    kit_rs: PathBuf,
    python: anyhow::Result<PathBuf>,
}

pub(super) fn run(
    peers: &Peers,
    program: &Path,
    workspace: &Path,
    dir: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    let (kit_rs, python) = (program.to_owned(), serving::python(peers));
    let stage = Stage { peers, workspace, dir, kit_rs, python };
    logits::run(&stage, report);
    fastapi::run(&stage, report);
    report.claim("schemathesis", "finds no failure against /openapi.json", || schemathesis(&stage));
    report.claim("tritonclient", "classifies over the Open Inference Protocol", || triton(&stage));
    browser::run(&stage, report);
    abuse::run(&stage, report);
    reload::run(&stage, report);
    Ok(())
}

impl Stage<'_> {
    fn python(&self) -> anyhow::Result<&Path> {
        self.python.as_deref().map_err(|error| anyhow::anyhow!("{error:#}"))
    }

    /// A DistilBERT of a few kilobytes.
    fn tiny(&self) -> PathBuf {
        self.workspace.join("trainer/testdata/tiny-distilbert")
    }

    /// `kit-rs serve` of a folder or a reference.
    fn serve(&self, model: impl AsRef<std::ffi::OsStr>, more: &[&str]) -> anyhow::Result<Server> {
        let mut command = Command::new(&self.kit_rs);
        command.arg("serve").arg(model).args(["--port", "0"]).args(more);
        Server::that_says_where(command)
    }
}

fn schemathesis(stage: &Stage<'_>) -> anyhow::Result<()> {
    let python = stage.peers.python("schemathesis", &["schemathesis==4.32.5"])?;
    let server = stage.serve(stage.tiny(), &[])?;
    let program = python.with_file_name("schemathesis");
    // That a tensor has as many texts as its shape says is nothing that a schema can express, so
    // valid data may be refused there.
    let infer = ["--include-path-regex", "/infer$", "--exclude-checks", "positive_data_acceptance"];
    for part in [&["--exclude-path-regex", "/infer$"][..], &infer] {
        let mut command = Command::new(&program);
        command.args(["run", &format!("http://{}/openapi.json", server.address)]);
        command.args([
            "--checks",
            "all",
            "--phases",
            "examples,coverage,fuzzing",
            "--max-examples",
            "25",
            "--seed",
            "6",
            "--no-color",
        ]);
        command.args(part).current_dir(stage.workspace.join("target/peers"));
        run_quietly(&mut command)?;
    }
    Ok(())
}

fn triton(stage: &Stage<'_>) -> anyhow::Result<()> {
    let python = stage.peers.python("triton", &["tritonclient[http]==2.73.0"])?;
    let server = stage.serve(stage.tiny(), &["--model-name", "tiny"])?;
    let script = r#"
import sys, numpy
import tritonclient.http as http
client = http.InferenceServerClient(sys.argv[1])
assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("tiny")
meta = client.get_model_metadata("tiny")
assert client.is_model_ready("tiny", meta["versions"][0])
assert meta["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": [-1]}], meta
texts = numpy.array(["I love this movie, it is wonderful!", "The worst film I have ever seen."], dtype=object)
given = http.InferInput("text", [2], "BYTES")
given.set_data_from_numpy(texts, binary_data=False)
asked = [http.InferRequestedOutput(name, binary_data=False) for name in ["label", "scores"]]
answer = client.infer("tiny", [given], outputs=asked, request_id="seven")
labels, scores = answer.as_numpy("label"), answer.as_numpy("scores")
assert answer.get_response()["id"] == "seven" and len(labels) == 2 and scores.shape == (2, 2), answer.get_response()
assert abs(scores.sum(axis=1) - 1).max() < 1e-6
print("ok")
"#;
    let said = run_quietly(Command::new(python).args(["-c", script, &server.address.to_string()]))?;
    ensure!(said.trim() == "ok", "{said}");
    Ok(())
}
