//! The node's image store: `kit-rs` itself, with a local layout of its own, so that images really
//! come from the registry.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use serde::Deserialize;

use crate::cluster::{Images, RuntimeConfig};

/// Pulls and unpacks images for the cluster's pods.
pub(crate) struct Node {
    kit_rs: PathBuf,
    home: PathBuf,
}

/// What `kit-rs image unpack --format json` answers.
#[derive(Deserialize)]
struct Unpacked {
    entrypoint: Vec<String>,
    env: Vec<(String, String)>,
    working_dir: String,
}

impl Node {
    /// A store in `home` that is filled by the program `kit_rs`.
    pub(crate) fn new(kit_rs: &Path, home: &Path) -> Arc<Self> {
        Arc::new(Self { kit_rs: kit_rs.to_owned(), home: home.to_owned() })
    }
}

impl Images for Node {
    fn unpack(&self, image: &str, into: &Path) -> anyhow::Result<RuntimeConfig> {
        let mut command = Command::new(&self.kit_rs);
        crate::process::end_with_us(&mut command);
        let output = command
            .args(["image", "unpack", image, "--format", "json", "--dir"])
            .arg(into)
            .env("KIT_RS_HOME", &self.home)
            .stdin(Stdio::null())
            .output()
            .context("cannot run kit-rs")?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let unpacked: Unpacked =
            serde_json::from_slice(&output.stdout).context("kit-rs answered in another form")?;
        Ok(RuntimeConfig {
            entrypoint: unpacked.entrypoint,
            env: unpacked.env,
            working_dir: unpacked.working_dir,
        })
    }
}
