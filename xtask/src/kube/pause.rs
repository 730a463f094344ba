//! The image whose one process holds a pod's namespaces: a static program that waits.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use fs_err as fs;
use serde_json::{Value, json};

use crate::peers::run_quietly;

const PROGRAM: &str = "fn main() { loop { std::thread::park(); } }\n";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Makes the image and pushes it into a registry; returns its name there.
pub(super) fn push(registry: &str, dir: &Path) -> anyhow::Result<String> {
    let folder = dir.join("pause");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("pause.rs"), PROGRAM)?;
    let mut rustc = Command::new("rustc");
    rustc.args(["-O", "-C", "target-feature=+crt-static", "-C", "strip=symbols", "-o", "pause"]);
    run_quietly(rustc.arg("pause.rs").current_dir(&folder))?;
    let mut tar = Command::new("tar");
    tar.args(["--create", "--file", "layer.tar", "--owner=0", "--group=0", "--mode=755", "pause"]);
    run_quietly(tar.current_dir(&folder))?;
    let layer = blob(registry, &folder.join("layer.tar"))?;
    let config = json!({
        "architecture": architecture(), "os": "linux",
        "config": {"Entrypoint": ["/pause"], "User": "65535:65535"},
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
    });
    fs::write(folder.join("config.json"), config.to_string())?;
    let described = |mut blob: Value, kind: &str| {
        blob["mediaType"] = format!("application/vnd.oci.image.{kind}").into();
        blob
    };
    let config = described(blob(registry, &folder.join("config.json"))?, "config.v1+json");
    let layer = described(layer, "layer.v1.tar");
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer],
    });
    ureq::put(format!("http://{registry}/v2/pause/manifests/3"))
        .content_type(MANIFEST)
        .send(manifest.to_string())?;
    Ok(format!("{registry}/pause:3"))
}

/// Uploads a file; returns its digest and size.
fn blob(registry: &str, file: &Path) -> anyhow::Result<Value> {
    let sum = run_quietly(Command::new("sha256sum").arg(file))?;
    let digest = format!("sha256:{}", sum.split(' ').next().unwrap_or_default());
    let begun = ureq::post(format!("http://{registry}/v2/pause/blobs/uploads/")).send_empty()?;
    let place = begun.headers().get("location").context("no place to upload to")?.to_str()?;
    let place = match place.starts_with('/') {
        true => format!("http://{registry}{place}"),
        false => place.to_owned(),
    };
    let sign = if place.contains('?') { '&' } else { '?' };
    let bytes = fs::read(file)?;
    let size = bytes.len();
    let put = ureq::put(format!("{place}{sign}digest={digest}"))
        .content_type("application/octet-stream")
        .send(bytes)?;
    ensure!(put.status() == 201, "{digest} was not taken: {}", put.status());
    Ok(json!({"digest": digest, "size": size}))
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
