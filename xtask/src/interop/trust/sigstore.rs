//! The crate sigstore-verify reads our bundles, and takes their signatures. It is no part of the
//! workspace: it brings a cryptographic library of its own, in C.
//!
//! As a whole it takes no bundle without a time from a service, and there is no service here.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use fs_err as fs;
use serde_json::Value;

use super::pushed;
use crate::peers::Peers;
use crate::registries::{Registry, Shop, digest_of};
use crate::report::Report;

/// The crate and its version.
const CRATE: (&str, &str) = ("sigstore-verify", "0.15.1");

/// Runs the claim in a registry of its own.
pub(super) fn run(peers: &Peers, shop: &Shop, report: &mut Report) -> anyhow::Result<()> {
    const CLAIM: &str = "reads our bundle and takes its signature by our key, by no other, and for no other digest; a time from a service is all that it misses";
    let peer = match peers.rust("sigstore-peer", CRATE, include_str!("sigstore.rs.txt")) {
        Ok(peer) => peer,
        Err(error) => {
            report.skip("sigstore-verify", CLAIM, &format!("{error:#}"));
            return Ok(());
        }
    };
    let root = shop.dir.join("sigstore-registry");
    let registry = Registry::ours(&shop.kit, &root, "127.0.0.1:0", &[])?;
    let reference = pushed(shop, &registry, "for-sigstore")?;
    report.claim("sigstore-verify", CLAIM, || {
        shop.kit("home", &format!("sign {reference} --key ours.key --form bundle"))?;
        let bundle = bundle_in(&root)?;
        let digest = digest_of(&shop.kit("home", &format!("pull {reference}"))?)?;
        let hex = digest.strip_prefix("sha256:").context("it is of SHA-256")?;
        let verify = |key: &str, hex: &str| {
            shop.run(&peer, &format!("{} {key} {hex}", bundle.display())).map(drop)
        };
        verify("ours.pub", hex)?;
        ensure!(verify("other.pub", hex).is_err(), "another key is taken for ours");
        ensure!(verify("ours.pub", &"0".repeat(64)).is_err(), "another digest is taken");
        Ok(())
    });
    Ok(())
}

/// The one bundle that a registry has.
fn bundle_in(root: &Path) -> anyhow::Result<PathBuf> {
    for entry in fs::read_dir(root.join("blobs/sha256"))? {
        let path = entry?.path();
        let document: Option<Value> =
            fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let is_bundle = document.is_some_and(|it| {
            let of = it["mediaType"].as_str().unwrap_or_default();
            of.starts_with("application/vnd.dev.sigstore.bundle")
                && it.get("dsseEnvelope").is_some()
        });
        if is_bundle {
            return Ok(path);
        }
    }
    anyhow::bail!("no bundle is in {}", root.display())
}
