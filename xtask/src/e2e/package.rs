//! Steps 4 to 6: the project becomes a ModelKit, goes to a registry and back, and becomes a runtime
//! image.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use fs_err as fs;

use super::server::{Server, Talk};
use super::stage::{Stage, say};

/// An artifact, by the name it was pushed under and by its digest.
pub(crate) struct Artifact {
    /// `HOST:PORT/repository:tag`.
    pub(crate) reference: String,
    /// `sha256:…`.
    pub(crate) digest: String,
}

/// Where artifacts go.
pub(crate) struct Registry {
    /// `HOST:PORT/path`, in front of each repository.
    prefix: String,
    /// The story's own, unless it was told another.
    pub(crate) own: Option<Server>,
}

/// The Kitfile in the tutorial's shape, its old version and its plain-string author included.
fn kitfile(version: &str) -> String {
    format!(
        "manifestVersion: v1.0.0
package:
  name: distilbert-sentiment
  version: {version}
  description: DistilBERT model for binary sentiment classification
  authors: The kit-rs demo
model:
  name: distilbert-base-uncased
  framework: transformers
  version: {version}
  path: ./fine_tuned_model
  description: Fine-tuned DistilBERT model
code:
  - path: ./code
    description: Training and serving commands
datasets:
  - path: ./datasets/sample_data.json
    name: sample-data
    description: Sample sentiment dataset
docs:
  - path: ./README.md
    description: Project documentation
"
    )
}

/// Packs the project twice: the same digest.
pub(crate) fn pack(stage: &mut Stage, version: &str) -> anyhow::Result<String> {
    stage.step(&format!("pack: the project becomes ModelKit {version}, twice the same"));
    pack_as(stage, version)
}

/// Writes the Kitfile of a version and packs it; returns the digest.
pub(crate) fn pack_as(stage: &Stage, version: &str) -> anyhow::Result<String> {
    fs::write(stage.cwd.join("Kitfile"), kitfile(version))?;
    let digest = |answer: serde_json::Value| {
        answer["digest"].as_str().map(str::to_owned).context("pack answers with a digest")
    };
    let once = digest(stage.json(&format!("kit-rs pack . -t distilbert-sentiment:{version}"))?)?;
    let twice = digest(stage.json(&format!("kit-rs pack . -t distilbert-sentiment:{version}"))?)?;
    ensure!(once == twice, "the same project was packed as {once} and as {twice}");
    Ok(once)
}

/// Pushes, wipes the local layout, pulls and unpacks: the same digest, the same bytes.
pub(crate) fn registry(
    stage: &mut Stage,
    digest: &str,
    other: Option<&str>,
) -> anyhow::Result<Registry> {
    stage.step("registry: push, wipe, pull, unpack: the same bytes");
    let registry = match other {
        Some(prefix) => Registry { prefix: prefix.trim_end_matches('/').to_owned(), own: None },
        None => {
            let root = stage.root.join("registry");
            let line =
                format!("kit-rs registry serve --addr 127.0.0.1:0 --root {}", root.display());
            let server = Server::start(stage, "registry", &line, Talk::Kept)?;
            Registry { prefix: format!("{}/demo", server.address()), own: Some(server) }
        }
    };
    let pushed = push(stage, "distilbert-sentiment:1.0.0", &reference(&registry, "1.0.0"))?;
    ensure!(pushed.digest == digest, "{digest} was pushed as {}", pushed.digest);

    say("$ rm -r $KIT_RS_HOME/storage");
    fs::remove_dir_all(stage.root.join("home/storage"))?;
    let pulled = stage.json(&format!("kit-rs pull {}", pushed.reference))?;
    ensure!(pulled["digest"] == digest, "{digest} came back as {}", pulled["digest"]);
    let unpacked = stage.root.join("unpacked");
    stage.run(&format!("kit-rs unpack {} -d {}", pushed.reference, unpacked.display()))?;
    compare(&stage.cwd, &unpacked)?;
    Ok(registry)
}

/// What the ModelKit of a version is called in the registry.
pub(crate) fn reference(registry: &Registry, version: &str) -> String {
    format!("{}/distilbert-sentiment:{version}", registry.prefix)
}

/// Pushes, and returns what it is called there.
pub(crate) fn push(stage: &Stage, source: &str, target: &str) -> anyhow::Result<Artifact> {
    let answer = stage.json(&format!("kit-rs push {source} {target}"))?;
    let digest = answer["digest"].as_str().context("push answers with a digest")?.to_owned();
    Ok(Artifact { reference: target.to_owned(), digest })
}

/// Every file that was unpacked is, byte for byte, the project's.
fn compare(project: &Path, unpacked: &Path) -> anyhow::Result<()> {
    let unpacked_files = files(unpacked)?;
    for (path, bytes) in &unpacked_files {
        if path == Path::new("Kitfile") {
            continue; // kit writes the Kitfile anew from the config, so do we
        }
        ensure!(
            fs::read(project.join(path))? == *bytes,
            "{} is not what was packed",
            path.display()
        );
    }
    for path in [
        "fine_tuned_model/model.safetensors",
        "code/train.sh",
        "datasets/sample_data.json",
        "README.md",
    ] {
        ensure!(unpacked_files.contains_key(Path::new(path)), "{path} was not unpacked");
    }
    say(&format!("  {} files, byte for byte the project's", unpacked_files.len()));
    Ok(())
}

fn files(root: &Path) -> anyhow::Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(root)?.to_owned(), fs::read(&path)?);
            }
        }
    }
    Ok(found)
}

/// Makes the runtime image and pushes it, without uploading the model again.
pub(crate) fn image(
    stage: &mut Stage,
    registry: &Registry,
    modelkit: &str,
    runtime: &Path,
) -> anyhow::Result<Artifact> {
    stage.step("image: a static server and the ModelKit's own layers, without Docker");
    let (image, uploaded) = build_image(stage, registry, "1.0.0", modelkit, runtime)?;
    let program = fs::metadata(runtime)?.len();
    ensure!(
        uploaded < program + 64 * 1024,
        "{uploaded} bytes were uploaded, more than the program's {program} and a few documents"
    );
    Ok(image)
}

/// Builds and pushes the image of a version; returns it, and how many bytes the registry was sent,
/// by its own counter where it has one.
///
/// The model's weights must not be among them.
pub(crate) fn build_image(
    stage: &Stage,
    registry: &Registry,
    version: &str,
    modelkit: &str,
    runtime: &Path,
) -> anyhow::Result<(Artifact, u64)> {
    let source = reference(registry, version);
    let target = format!("{}/distilbert-runtime:{version}", registry.prefix);
    let built = stage.json(&format!(
        "kit-rs image build {source} -t {target} --runtime {}",
        runtime.display()
    ))?;
    ensure!(
        built["modelkit"] == modelkit,
        "the image was made of {}, not of {modelkit}",
        built["modelkit"]
    );
    let before = registry.own.as_ref().map(uploaded_bytes).transpose()?;
    let answer = stage.json(&format!("kit-rs push {target}"))?;
    // The client counts the manifest too, which is no blob.
    let sent = answer["uploaded_bytes"].as_u64().context("push answers with what it sent")?;
    let uploaded = match (&registry.own, before) {
        (Some(server), Some(before)) => uploaded_bytes(server)? - before,
        _ => sent,
    };
    let mounted = answer["mounted_blobs"].as_u64().unwrap_or(0);
    ensure!(
        mounted >= 1,
        "the model's layer should have been mounted from the ModelKit's repository"
    );
    ensure!(
        (uploaded..uploaded + 4096).contains(&sent),
        "the client sent {sent} bytes, the registry received {uploaded}"
    );
    say(&format!(
        "  the registry received {uploaded} bytes; {mounted} layers of the model were there and only mounted"
    ));
    let digest = answer["digest"].as_str().context("push answers with a digest")?.to_owned();
    Ok((Artifact { reference: target, digest }, uploaded))
}

/// The registry's own counter of blob bytes received.
fn uploaded_bytes(registry: &Server) -> anyhow::Result<u64> {
    let metrics =
        ureq::get(format!("{}/metrics", registry.url)).call()?.body_mut().read_to_string()?;
    let line =
        metrics.lines().find(|line| line.starts_with("kit_rs_registry_uploaded_bytes_total"));
    let value = line
        .and_then(|line| line.rsplit(' ').next())
        .context("the registry counts no uploaded bytes")?;
    Ok(value.parse()?)
}
