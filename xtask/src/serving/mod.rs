//! Servers to be measured and shown beside each other, and a load on them.

pub(crate) mod load;
pub(crate) mod server;
pub(crate) mod texts;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use fs_err as fs;

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

/// A model folder in distilbert-base's shape, made once.
pub(crate) fn model(python: &Path, workspace: &Path) -> anyhow::Result<PathBuf> {
    let folder = workspace.join("target/bench/distilbert-base");
    if !folder.join("model.onnx").exists() {
        say("making a model in distilbert-base's shape");
        run_quietly(script(python, workspace, "model.py").arg(&folder))?;
    }
    Ok(folder)
}

/// `kit-rs` without burn, as the runtime image has it, optimised.
pub(crate) fn kit_rs(workspace: &Path) -> anyhow::Result<PathBuf> {
    say("$ cargo build --release -p kit-cli --no-default-features --features serve,otel");
    let args = ["build", "--quiet", "--release", "-p", "kit-cli", "--no-default-features", "--features", "serve,otel"];
    let status = Command::new(env!("CARGO")).args(args).current_dir(workspace).status().context("cannot run cargo")?;
    ensure!(status.success(), "kit-rs does not build");
    Ok(fs::canonicalize(workspace.join("target/release/kit-rs"))?)
}
