//! Steps in between: a ModelKit is signed and taken by its signature only; the way from an answer
//! back to the data is shown, and the training proven.

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::cluster::Cluster;
use super::deploy::service;
use super::package::{self, Artifact, Registry};
use super::stage::{Stage, say};

/// The team's key, in the story's folder.
const KEY: &str = "team";

/// Before it is signed nobody takes it; after that its digest is taken, by its key only.
pub(crate) fn sign(stage: &mut Stage, registry: &Registry, digest: &str) -> anyhow::Result<()> {
    stage.step("sign: without the team's signature nothing is taken");
    let kit = package::reference(registry, "1.0.0");
    let root = stage.root.clone();
    for name in [KEY, "other"] {
        let key = root.join(name);
        stage.run(&format!("kit-rs keygen --no-password --output {}", key.display()))?;
    }
    let home = root.join("guarded");
    let pull = |name: &str| {
        let key = root.join(format!("{name}.pub"));
        format!("kit-rs pull {kit} --require-key {} --config {}", key.display(), home.display())
    };
    let said = stage.must_fail(&pull(KEY))?;
    ensure!(said.contains(digest), "the refusal does not name {digest}:\n{said}");
    stage.run(&format!("kit-rs sign {kit} --key {}.key", root.join(KEY).display()))?;
    stage.must_fail(&pull("other"))?;
    let layer = home.join("storage/blobs").join(digest.replace(':', "/"));
    ensure!(!layer.exists(), "what was refused is in the local layout");
    let pulled = stage.json(&pull(KEY))?;
    ensure!(pulled["digest"] == digest, "{digest} came as {}", pulled["digest"]);
    Ok(())
}

/// From the Service's answer to the examples, and the training derived again.
pub(crate) fn lineage(
    stage: &mut Stage,
    registry: &Registry,
    cluster: &Cluster,
    (digest, image): (&str, &Artifact),
) -> anyhow::Result<()> {
    stage.step("lineage: from an answer back to the data, and the training proven");
    let (root, url) = (stage.root.clone(), service(cluster)?);
    let line = format!(
        "kit-rs lineage {url} --key {}.pub --repo {} --html {}",
        root.join(KEY).display(),
        stage.cwd.display(),
        root.join("lineage.html").display()
    );
    let found = stage.json(&line)?;
    stage.run(&line)?;
    let expected = [
        ("ModelKit", "proven"),
        ("weights", "proven"),
        ("signature of", "signed"),
        ("commit", "declared"),
    ];
    for (what, standing) in expected {
        let fact = fact(&found, what).with_context(|| format!("the way has no {what}"))?;
        ensure!(fact["standing"] == standing, "{what} is {}", fact["standing"]);
    }
    let kit = fact(&found, "ModelKit").context("the way has a ModelKit")?;
    let name = kit["name"].as_str().unwrap_or_default();
    ensure!(name.ends_with(digest), "{name} is not {digest}");
    let of_image = stage.json(&format!("kit-rs lineage {}", image.reference))?;
    ensure!(of_image["what"] == "image" && of_image["standing"] == "proven", "{of_image}");
    // The checkpoint lies where it was unpacked; all else comes out of the ModelKit.
    let base = root.join("my-ml-project");
    let kit = package::reference(registry, "1.0.0");
    let proof = stage.json(&format!("kit-rs verify {kit} --retrain --base {}", base.display()))?;
    ensure!(proof["digest"] == digest, "{} was derived again", proof["digest"]);
    say(&format!("  {} steps, and the same weights", proof["training"]["steps"]));
    Ok(())
}

/// The first fact of a kind, wherever it stands.
fn fact<'a>(beneath: &'a Value, what: &str) -> Option<&'a Value> {
    if beneath["what"] == what {
        return Some(beneath);
    }
    beneath["from"].as_array()?.iter().find_map(|it| fact(it, what))
}
