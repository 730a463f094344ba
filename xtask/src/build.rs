//! Building the program whose commands the story types.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::e2e::say;

/// Builds `kit-rs` as `cargo test --workspace` needs it, but static; returns where it lies.
///
/// One program for all of the story: what types its commands is what its images hold. Only the last
/// step, linking, is another than that of a usual build, so that every library is compiled once, for
/// the story and for the tests. It looks up names by glibc, which in an image finds numbers only;
/// the program of [`crate::dist`] finds all.
pub(crate) fn kit_rs(workspace: &Path) -> anyhow::Result<PathBuf> {
    cargo(
        workspace,
        "rustc --package kit-cli --bin kit-rs -- -C target-feature=+crt-static -C strip=debuginfo",
    )?;
    let folder =
        std::env::current_exe()?.parent().context("a program lies in a folder")?.to_owned();
    Ok(folder.join("kit-rs"))
}

/// Builds `kit-rs` optimised, with everything but training, whose libraries take longer to compile
/// than all the others; what peers and benchmarks are run against.
pub(crate) fn optimised(workspace: &Path) -> anyhow::Result<PathBuf> {
    release(workspace, " --no-default-features --features servers,serve,otel")
}

/// The same with training; some eight minutes on two cores.
pub(crate) fn optimised_for_training(workspace: &Path) -> anyhow::Result<PathBuf> {
    release(workspace, "")
}

fn release(workspace: &Path, features: &str) -> anyhow::Result<PathBuf> {
    cargo(workspace, &format!("build --release --package kit-cli{features}"))?;
    Ok(workspace.join("target/release/kit-rs"))
}

/// Runs cargo, which shows its own progress.
fn cargo(workspace: &Path, words: &str) -> anyhow::Result<()> {
    say(&format!("$ cargo {words}"));
    let status = Command::new(env!("CARGO"))
        .args(words.split(' '))
        .current_dir(workspace)
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "kit-rs does not build");
    Ok(())
}
