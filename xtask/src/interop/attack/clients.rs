//! Hostile content before our clients and servers.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use fs_err as fs;
use serde_json::{Value, json};

use super::kit_rs;
use crate::registries::{Registry, digest_of};
use crate::report::Report;

/// No refusal takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a refused unpack may have written before it was refused, in bytes.
const WRITTEN: u64 = 600 << 20;

pub(super) fn run(
    limited: &Path,
    workspace: &Path,
    dir: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    let peer = "hostile content";
    for size in [1_u64 << 53, (1 << 63) - 1] {
        report.claim(peer, &format!("a layer that says it has {size} bytes is refused"), || {
            let registry = hostile_registry(size)?;
            let mut pull = kit_rs(limited, &dir.join("home-size"));
            refused(pull.args(["pull", &format!("{registry}/a/b:v1")]), "sha256:aaaa")
        });
    }
    report.claim(peer, "one small blob named as twelve layers of 250 MiB is refused early", || {
        twelve_layers(limited, &dir.join("bomb"))
    });
    report.claim(peer, "a model that says it has a thousand million layers is refused", || {
        let model = dir.join("layers");
        fs::create_dir_all(&model)?;
        let tiny = workspace.join("trainer/testdata/tiny-distilbert");
        for file in fs::read_dir(&tiny)? {
            let file = file?;
            if file.file_type()?.is_file() {
                fs::copy(file.path(), model.join(file.file_name()))?;
            }
        }
        let path = model.join("config.json");
        let mut config: Value = serde_json::from_str(&fs::read_to_string(&path)?)?;
        config["n_layers"] = json!(1_000_000_000);
        fs::write(path, config.to_string())?;
        let mut serve = kit_rs(limited, &dir.join("home-layers"));
        refused(serve.arg("serve").arg(&model).args(["--port", "0"]), "layers")
    });
    Ok(())
}

/// The command ends by itself, with exit code 1 and a sentence about what it was given.
fn refused(command: &mut Command, about: &str) -> anyhow::Result<()> {
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = child.spawn()?;
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait()?.is_none() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    let ended = child.try_wait()?.is_some();
    if !ended {
        child.kill()?;
    }
    let output = child.wait_with_output()?;
    let talk = String::from_utf8_lossy(&output.stderr);
    ensure!(ended, "it did not end: {talk}");
    ensure!(output.status.code() == Some(1), "it ended with {}: {talk}", output.status);
    let is_told = talk.lines().any(|line| line.starts_with("error: ")) && talk.contains(about);
    ensure!(is_told, "it says {talk:?}");
    Ok(())
}

/// A registry with one ModelKit, whose layer's size is a lie; returns its address.
fn hostile_registry(size: u64) -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream, size));
        }
    });
    Ok(address)
}

fn answer(mut stream: TcpStream, size: u64) -> std::io::Result<()> {
    const KITFILE: &str =
        r#"{"manifestVersion":"1.0.0","package":{"name":"a"},"datasets":[{"path":"a"}]}"#;
    let config = sha256(KITFILE.as_bytes());
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/vnd.kitops.modelkit.manifest.v1+json",
        "config": { "mediaType": "application/vnd.kitops.modelkit.config.v1+json",
            "digest": config, "size": KITFILE.len() },
        "layers": [{ "mediaType": "application/vnd.kitops.modelkit.dataset.v1.tar",
            "digest": format!("sha256:{}", "a".repeat(64)), "size": size }],
    })
    .to_string();
    let mut head = vec![0; 16 << 10];
    let n = stream.read(&mut head)?;
    let head = String::from_utf8_lossy(&head[..n]).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default();
    let (kind, length, body) = if path.contains("/manifests/") {
        ("application/vnd.oci.image.manifest.v1+json", manifest.len() as u64, manifest.as_str())
    } else if path.ends_with(config.as_str()) {
        ("application/octet-stream", KITFILE.len() as u64, KITFILE)
    } else if path.contains("/blobs/") {
        ("application/octet-stream", size, "not so many bytes")
    } else {
        ("application/json", 2, "{}")
    };
    let body = if head.starts_with("HEAD ") { "" } else { body };
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    )
}

fn sha256(content: &[u8]) -> String {
    super::registry::digest(content).expect("sha256sum runs")
}

/// Packs 250 MiB of zeros into a blob of some hundred kilobytes, and names it as twelve layers.
fn twelve_layers(limited: &Path, dir: &Path) -> anyhow::Result<()> {
    let project = dir.join("project");
    fs::create_dir_all(&project)?;
    fs::File::create(project.join("zeros"))?.set_len(250 << 20)?;
    fs::write(
        project.join("Kitfile"),
        "manifestVersion: 1.0.0\npackage:\n  name: a\ndatasets:\n  - path: zeros\n",
    )?;
    let registry = Registry::ours(limited, &dir.join("registry"), "127.0.0.1:0", &[])?;
    let home = dir.join("home");
    let run = |words: &[&str]| -> anyhow::Result<String> {
        crate::peers::run_quietly(kit_rs(limited, &home).current_dir(dir).args(words))
    };
    let tag = format!("{}/a/b:v1", registry.address);
    digest_of(&run(&["pack", "project", "-t", &tag, "--compression", "gzip"])?)?;
    run(&["push", &tag])?;
    let manifest: Value = serde_json::from_str(&run(&["inspect", &tag, "--format", "json"])?)?;
    let mut manifest = manifest["manifest"].clone();
    let agent = ureq::Agent::new_with_defaults();
    let paths: Vec<_> = (0..12).map(|_| json!({ "path": "zeros" })).collect();
    let config =
        json!({ "manifestVersion": "1.0.0", "package": { "name": "a" }, "datasets": paths })
            .to_string();
    let digest = sha256(config.as_bytes());
    agent
        .post(format!("http://{}/v2/a/b/blobs/uploads/?digest={digest}", registry.address))
        .header("content-type", "application/octet-stream")
        .send(&config)?;
    manifest["config"]["digest"] = json!(digest);
    manifest["config"]["size"] = json!(config.len());
    let layer = manifest["layers"][0].clone();
    ensure!(layer["size"].as_u64().is_some_and(|size| size < 1 << 20), "a layer is {layer}");
    manifest["layers"] = Value::from(vec![layer; 12]);
    agent
        .put(format!("http://{}/v2/a/b/manifests/v2", registry.address))
        .header("content-type", "application/vnd.oci.image.manifest.v1+json")
        .send(manifest.to_string())?;
    let (most, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    let out = dir.join("out");
    let result = std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                most.fetch_max(size(dir).saturating_sub(size(&project)), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let mut unpack = kit_rs(limited, &home);
        unpack.args(["unpack", &format!("{}/a/b:v2", registry.address), "-d"]).arg(&out);
        let result = refused(&mut unpack, "all layers together");
        is_over.store(true, Ordering::Relaxed);
        watch.join().map_err(|_| anyhow::anyhow!("the watch panicked"))?;
        result
    });
    result?;
    let most = most.load(Ordering::Relaxed);
    ensure!(most <= WRITTEN, "{} MiB were written before it was refused", most >> 20);
    ensure!(!out.exists(), "something of it was left");
    Ok(())
}

/// Bytes on the disk below a folder.
fn size(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size(&entry.path()),
            Ok(metadata) => metadata.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}
