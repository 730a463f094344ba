//! `cargo xtask dist`: the lean static program that goes into runtime images.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use fs_err as fs;

use crate::e2e::say;

/// Builds it; returns where it lies: `target/dist/kit-rs-runtime`.
///
/// `kit-rs` with `serve` alone: no training, fully static (`+crt-static`), names looked up in Rust,
/// because glibc's resolver would load shared libraries that an image without a distribution does
/// not have.
pub(crate) fn build(workspace: &Path) -> anyhow::Result<PathBuf> {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let folder = workspace.join("target/dist");
    say(
        "$ cargo build --profile dist --package kit-cli --no-default-features --features serve,hickory-dns   # +crt-static",
    );
    let status = Command::new(env!("CARGO"))
        .args([
            "build",
            "--profile",
            "dist",
            "--package",
            "kit-cli",
            "--no-default-features",
            "--features",
            "serve,hickory-dns",
        ])
        .args(["--target", &target, "--target-dir"])
        .arg(&folder)
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .current_dir(workspace)
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "the static runtime does not build");
    let runtime = folder.join("kit-rs-runtime");
    fs::copy(folder.join(&target).join("dist/kit-rs"), &runtime)?;
    Ok(runtime)
}
