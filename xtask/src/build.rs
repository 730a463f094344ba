//! Building the program whose commands the story types.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::e2e::say;

/// Builds `kit-rs`, with the tests beside it; returns where it lies.
///
/// Cargo chooses the features of shared dependencies by what is built together. Building what `cargo test --workspace` builds
/// keeps that choice the same, so that burn is compiled once and not twice.
pub(crate) fn kit_rs(workspace: &Path) -> anyhow::Result<PathBuf> {
    say("$ cargo build --workspace --all-targets");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--workspace", "--all-targets"])
        .current_dir(workspace)
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "kit-rs does not build");
    let folder = std::env::current_exe()?.parent().context("a program lies in a folder")?.to_owned();
    Ok(folder.join("kit-rs"))
}

/// Builds `kit-rs` with the commands that move and serve content, without training: quickly, with or without optimisation.
pub(crate) fn lean_kit_rs(workspace: &Path, is_release: bool) -> anyhow::Result<PathBuf> {
    let profile = if is_release { &["--release"][..] } else { &[] };
    say(&format!("$ cargo build --package kit-cli --no-default-features --features servers {}", profile.concat()));
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "kit-cli", "--no-default-features", "--features", "servers"])
        .args(profile)
        .current_dir(workspace)
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "kit-rs does not build");
    let folder = if is_release { "release" } else { "debug" };
    Ok(workspace.join("target").join(folder).join("kit-rs"))
}
