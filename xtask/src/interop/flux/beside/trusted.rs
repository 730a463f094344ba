//! What a rendered app asks of its cluster: signatures of its source, and digests of its images.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use fs_err as fs;
use serde_json::Value;

use super::{PATIENCE, PEER, Stage, is_ready};
use crate::release::Release;
use crate::report::Report;

pub(super) fn run(stage: &Stage<'_>, first: &Release, report: &mut Report) {
    let peer = format!("source-controller 1.9.6, {PEER}");
    report.claim(
        &peer,
        "--source with --require-key: an artifact is taken once the key has signed it, and not before",
        || signed(stage, first),
    );
    report.claim(
        &peer,
        "--source with --require-key: what another key has signed is refused, and what was taken stays",
        || signed_by_another(stage),
    );
    report.claim(PEER, "--admission digests: the API server refuses images without one", || {
        guarded(stage, first)
    });
}

const SOURCE: &str =
    "apis/source.toolkit.fluxcd.io/v1/namespaces/flux-system/ocirepositories/signed-app";

fn signed(stage: &Stage<'_>, first: &Release) -> anyhow::Result<()> {
    for name in ["team", "other"] {
        stage.kit(&format!("keygen --no-password --output {name}"))?;
    }
    stage.kit(&format!("sign {} --key team.key", first.image))?;
    let artifact = artifact(stage);
    stage.render(
        "signed",
        &first.image,
        &format!("--source oci://{artifact} --require-key team.pub"),
    )?;
    push(stage)?;
    stage.commit()?;
    refused(stage)?;
    let taken = stage.plane.api.find("apis/apps/v1/namespaces/signed/deployments/signed")?;
    ensure!(taken.is_none(), "it was applied without a signature");
    stage.kit(&format!("sign {artifact} --key team.key"))?;
    stage.request("source.toolkit.fluxcd.io/v1", "ocirepositories", "signed-app")?;
    let source = stage.wait(SOURCE, is_ready)?;
    let revision = source["status"]["artifact"]["revision"].as_str().context("it has none")?;
    stage.await_ready("signed", revision)
}

fn signed_by_another(stage: &Stage<'_>) -> anyhow::Result<()> {
    let before = stage.wait(SOURCE, is_ready)?["status"]["artifact"]["revision"].clone();
    let path = "apps/signed/deployment.yaml";
    let text = stage.repository.read(path)?;
    stage.repository.write(path, &format!("{text}# Another file.\n"))?;
    push(stage)?;
    stage.kit(&format!("sign {} --key other.key", artifact(stage)))?;
    stage.request("source.toolkit.fluxcd.io/v1", "ocirepositories", "signed-app")?;
    let after = refused(stage)?["status"]["artifact"]["revision"].clone();
    ensure!(before == after, "{after} was taken in the place of {before}");
    Ok(())
}

fn artifact(stage: &Stage<'_>) -> String {
    format!("{}/demo/files:dev", stage.registry.address)
}

fn push(stage: &Stage<'_>) -> anyhow::Result<()> {
    let (work, artifact) = (stage.repository.work.display(), artifact(stage));
    let line = format!("gitops push {work} oci://{artifact} --source test --revision main");
    stage.kit(&line).map(drop)
}

/// Waits until Flux says that the source has not the signature that is asked for.
fn refused(stage: &Stage<'_>) -> anyhow::Result<Value> {
    stage.wait(SOURCE, |it| {
        let conditions = it["status"]["conditions"].as_array().into_iter().flatten();
        let mut verified = conditions.filter(|it| it["type"] == "SourceVerified");
        verified.any(|it| it["status"] == "False" && it["reason"] == "VerificationError")
    })
}

fn guarded(stage: &Stage<'_>, first: &Release) -> anyhow::Result<()> {
    let app = "guarded";
    stage.render(app, &first.image, "--admission digests")?;
    let revision = stage.commit()?;
    stage.await_ready(app, &revision)?;
    let (tag, pinned) = (&first.image, format!("{}@{}", first.image, first.digest));
    let deployment = |image: &str, init: &str, volume: &str| {
        serde_json::json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "loose", "namespace": app},
            "spec": {
                "selector": {"matchLabels": {"a": "b"}},
                "template": {
                    "metadata": {"labels": {"a": "b"}},
                    "spec": {
                        "containers": [{"name": "c", "image": image}],
                        "initContainers": [{"name": "i", "image": init}],
                        "volumes": [{"name": "v", "image": {"reference": volume}}],
                    },
                },
            },
        })
    };
    let file = stage.shop.dir.join("loose.json");
    let take = |object: Value| -> anyhow::Result<()> {
        fs::write(&file, object.to_string())?;
        stage.kubectl(&format!("apply --dry-run=server -f {}", file.display())).map(drop)
    };
    // The API server begins to heed a policy a moment after it has it.
    let deadline = Instant::now() + PATIENCE;
    while take(deployment(tag, &pinned, &pinned)).is_ok() {
        ensure!(Instant::now() < deadline, "an image without a digest is let in");
        std::thread::sleep(Duration::from_millis(300));
    }
    take(deployment(&pinned, &pinned, &pinned)).context("what has digests is refused")?;
    for loose in [
        deployment(tag, &pinned, &pinned),
        deployment(&pinned, tag, &pinned),
        deployment(&pinned, &pinned, tag),
    ] {
        let told = take(loose).err().map(|it| format!("{it:#}")).unwrap_or_default();
        let why = format!("these images have no digest: {tag}");
        ensure!(told.contains(&why), "{why} is not what it said: {told:?}");
    }
    Ok(())
}
