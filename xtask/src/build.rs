//! Building the programs: the one whose commands the story types, and those for peers, benchmarks and
//! images.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use fs_err as fs;

use crate::e2e::say;

/// Builds `kit-rs` as `cargo test --workspace` needs it, but static; returns where it lies.
///
/// One program for all of the story: what types its commands is what its images hold. Only the last
/// step, linking, is another than that of a usual build, so that every library is compiled once, for
/// the story and for the tests. It looks up names by glibc, which in an image finds numbers only;
/// that of [`dist`] finds all.
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

/// Builds the lean static program that goes into runtime images; returns where it lies:
/// `target/dist/kit-rs-runtime`.
///
/// `kit-rs` with `serve` alone: no training, fully static (`+crt-static`), names looked up in Rust,
/// because glibc's resolver would load shared libraries that an image without a distribution does
/// not have.
pub(crate) fn dist(workspace: &Path) -> anyhow::Result<PathBuf> {
    cargo(
        workspace,
        "rustc --profile dist --package kit-cli --bin kit-rs --no-default-features \
         --features serve,hickory-dns --target-dir target/dist -- -C target-feature=+crt-static",
    )?;
    let folder = workspace.join("target/dist");
    let runtime = folder.join("kit-rs-runtime");
    fs::copy(folder.join("dist/kit-rs"), &runtime)?;
    Ok(runtime)
}

/// Builds a program among a crate's examples; returns where it lies.
pub(crate) fn example(workspace: &Path, package: &str, name: &str) -> anyhow::Result<PathBuf> {
    cargo(workspace, &format!("build --package {package} --example {name}"))?;
    Ok(workspace.join("target/debug/examples").join(name))
}

/// Runs cargo, which shows its own progress.
///
/// What the cargo that runs this program says of it is not for the other one: build scripts that
/// look at it (`ring`'s) would compile their library anew each time.
fn cargo(workspace: &Path, words: &str) -> anyhow::Result<()> {
    say(&format!("$ cargo {words}"));
    let mut cargo = Command::new("cargo");
    for (name, _) in std::env::vars_os() {
        let told = ["CARGO_PKG_", "CARGO_MANIFEST_"];
        if name.to_str().is_some_and(|name| told.iter().any(|it| name.starts_with(it))) {
            cargo.env_remove(name);
        }
    }
    let status =
        cargo.args(words.split(' ')).current_dir(workspace).status().context("cannot run cargo")?;
    ensure!(status.success(), "kit-rs does not build");
    Ok(())
}
