//! Servers to be measured and shown beside each other, and a load on them.

pub(crate) mod load;
pub(crate) mod server;
pub(crate) mod texts;

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::e2e::say;
use crate::peers::{Peers, run_quietly};

/// What the Python side needs, as it is known to work together.
const PACKAGES: [&str; 8] = [
    "torch==2.15.0",
    "transformers==5.24.0",
    "fastapi==0.165.0",
    "uvicorn==0.54.0",
    "onnxruntime==1.32.0",
    "onnx==1.23.2",
    "onnxscript==0.7.2",
    "httpx==0.28.1",
];

/// Python with PyTorch, transformers, FastAPI and ONNX Runtime.
pub(crate) fn python(peers: &Peers) -> anyhow::Result<PathBuf> {
    peers.python("serve", &PACKAGES)
}

/// A script of `python/`, to be run by an interpreter.
pub(crate) fn script(python: &Path, workspace: &Path, name: &str) -> Command {
    let mut command = Command::new(python);
    command.arg(workspace.join("xtask/src/serving/python").join(name));
    command.env("TOKENIZERS_PARALLELISM", "false").env("HF_HUB_OFFLINE", "1");
    command
}

/// Makes a model folder in distilbert-base's shape, with the same in ONNX's format, in `dir`.
pub(crate) fn model(python: &Path, workspace: &Path, dir: &Path) -> anyhow::Result<PathBuf> {
    model_of("distilbert", python, workspace, dir)
}

/// The same in the shape of another architecture's base model; ONNX' format is left out where
/// PyTorch cannot write it, and `no-onnx.txt` says why.
pub(crate) fn model_of(
    architecture: &str,
    python: &Path,
    workspace: &Path,
    dir: &Path,
) -> anyhow::Result<PathBuf> {
    let folder = dir.join(format!("{architecture}-base"));
    say(&format!("making a model in {architecture}-base's shape"));
    run_quietly(script(python, workspace, "model.py").arg(&folder).arg(architecture))?;
    Ok(folder)
}
