//! Building the program whose commands the story types.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::e2e::say;

/// Builds `kit-rs`, with the tests beside it; returns where it lies.
///
/// Cargo chooses the features of shared dependencies by what is built together. Building what
/// `cargo test --workspace` builds keeps that choice the same, so that burn is compiled once and
/// not twice.
pub(crate) fn kit_rs(workspace: &Path) -> anyhow::Result<PathBuf> {
    say("$ cargo build --workspace --all-targets");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--workspace", "--all-targets"])
        .current_dir(workspace)
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "kit-rs does not build");
    let folder =
        std::env::current_exe()?.parent().context("a program lies in a folder")?.to_owned();
    Ok(folder.join("kit-rs"))
}

/// Builds `kit-rs` optimised, with everything but training, whose libraries take longer to compile
/// than all the others; what peers and benchmarks are run against.
pub(crate) fn optimised(workspace: &Path) -> anyhow::Result<PathBuf> {
    release(workspace, &["--no-default-features", "--features", "servers,serve,otel"])
}

/// The same with training; some eight minutes on two cores.
pub(crate) fn optimised_for_training(workspace: &Path) -> anyhow::Result<PathBuf> {
    release(workspace, &[])
}

fn release(workspace: &Path, features: &[&str]) -> anyhow::Result<PathBuf> {
    let arguments = [&["build", "--release", "--package", "kit-cli"], features].concat();
    say(&format!("$ cargo {}", arguments.join(" ")));
    let status = Command::new(env!("CARGO"))
        .args(arguments)
        .arg("--quiet")
        .current_dir(workspace)
        .status()?;
    ensure!(status.success(), "kit-rs does not build");
    Ok(workspace.join("target/release/kit-rs"))
}
