//! Step 11: what is broken is refused, what is lost is repaired, what left Git is gone.

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use anyhow::{Context as _, ensure};
use fs_err as fs;

use super::cluster::Cluster;
use super::deploy::{APP, SERVICE, commit, push, revert, service};
use super::package::{self, Registry};
use super::stage::{Stage, say};
use crate::client::ask;

/// One byte is flipped in the registry's storage: the receiver refuses, and says which blob.
pub(crate) fn receiver(
    stage: &mut Stage,
    registry: &Registry,
    modelkit: &str,
) -> anyhow::Result<()> {
    stage.step("trust: a byte flipped in the registry is refused");
    if registry.own.is_none() {
        say("  not shown: the bytes of another registry are out of reach");
        return Ok(());
    }
    let kit = package::reference(registry, "1.0.1");
    let document = stage.json(&format!("kit-rs inspect {kit} --remote"))?;
    ensure!(document["digest"] == modelkit, "{kit} is {}, not {modelkit}", document["digest"]);
    let layer = document["manifest"]["layers"][0]["digest"]
        .as_str()
        .context("the ModelKit has a layer")?
        .to_owned();
    let blob = stage.root.join("registry/blobs").join(layer.replace(':', "/"));

    flip(&blob)?;
    say(&format!("  flipped a byte of {layer}"));
    let said = stage.must_fail(&format!(
        "kit-rs pull {kit} --config {}",
        stage.root.join("victim").display()
    ))?;
    flip(&blob)?;
    ensure!(said.contains(&layer), "the refusal does not name the blob {layer}:\n{said}");
    let left = stage.root.join("victim/storage/blobs").join(layer.replace(':', "/"));
    ensure!(!left.exists(), "the refused blob was left in the local layout");
    Ok(())
}

/// Flips a bit in the middle of a file; twice restores it.
fn flip(path: &Path) -> anyhow::Result<()> {
    let mut file = fs::OpenOptions::new().read(true).write(true).open(path)?;
    let middle = file.metadata()?.len() / 2;
    let mut byte = [0];
    file.seek(SeekFrom::Start(middle))?;
    file.read_exact(&mut byte)?;
    file.seek(SeekFrom::Start(middle))?;
    file.write_all(&[byte[0] ^ 1])?;
    Ok(())
}

/// A model that cannot become ready: the rollout stops with the reason, and the old pod keeps
/// answering.
pub(crate) fn rollout(
    stage: &mut Stage,
    registry: &Registry,
    cluster: &Cluster,
    first: &str,
    runtime: &Path,
) -> anyhow::Result<()> {
    stage.step("trust: a model that cannot become ready does not replace the one that answers");
    stage.cd(&stage.root.join("my-ml-project"))?;
    let weights = stage.cwd.join("fine_tuned_model/model.safetensors");
    let whole = fs::read(&weights)?;
    fs::write(&weights, &whole[..whole.len() / 2])?;
    say("  cut fine_tuned_model/model.safetensors in half");
    let broken = package::pack_as(stage, "1.0.2");
    fs::write(&weights, &whole)?;
    let broken = broken?;
    package::push(stage, "distilbert-sentiment:1.0.2", &package::reference(registry, "1.0.2"))?;
    let (image, _) = package::build_image(stage, registry, "1.0.2", &broken, runtime)?;
    let revision =
        super::deploy::bump(stage, &image, "Update the model to 1.0.2, which is broken")?;

    let gave_up = |cluster: &Cluster| {
        cluster.kustomization(APP).is_some_and(|info| info.attempted == revision && info.failed)
    };
    ensure!(
        cluster.wait_until(cluster.patience(), gave_up),
        "the rollout of a broken model was not given up"
    );
    let info = cluster.kustomization(APP).context("the Kustomization is there")?;
    ensure!(!info.ready, "a broken model was reported as ready");
    say(&format!("  {APP}: {}", info.why));
    stage.run(&format!("kit-rs gitops get kustomizations --server {}", cluster.api_url()))?;
    stage.run(&format!("kit-rs gitops get pods --server {}", cluster.api_url()))?;
    let answer = ask(&service(cluster)?, "I love it")?;
    ensure!(answer.digest == first, "{} answers, not the old {first}", answer.digest);
    say(&format!("  the old pod keeps answering: {}", answer.digest));
    revert(stage, cluster, first)
}

/// A killed server comes back; a deleted object comes back.
pub(crate) fn drift(stage: &mut Stage, cluster: &Cluster, first: &str) -> anyhow::Result<()> {
    stage.step("trust: drift is repaired");
    let pod =
        cluster.pods("distilbert").into_iter().find(|pod| pod.ready).context("a pod is ready")?;
    let (name, pid) = (pod.name, pod.pid);
    match pid {
        Some(pid) => {
            say(&format!("$ kill -9 {pid}   # {name}"));
            crate::process::kill(pid)?;
        }
        // Its process is another machine's, or another namespace's.
        None => {
            say(&format!("$ kubectl delete pod --namespace distilbert {name}"));
            cluster.delete(&format!("api/v1/namespaces/distilbert/pods/{name}"))?;
        }
    }
    let alive = |cluster: &Cluster| {
        cluster.pods("distilbert").iter().any(|pod| {
            let is_another = pod.name != name || pid.is_some() && pod.pid != pid;
            pod.ready && is_another
        })
    };
    ensure!(cluster.wait_until(cluster.patience(), alive), "the killed server did not come back");
    // A real cluster's proxies hear of it a moment later.
    let answers = |cluster: &Cluster| {
        service(cluster)
            .and_then(|url| ask(&url, "I love it"))
            .is_ok_and(|answer| answer.digest == first)
    };
    ensure!(
        cluster.wait_until(cluster.patience(), answers),
        "the restarted server does not answer"
    );

    let (namespace, name, _) = SERVICE;
    for kind in ["api/v1/namespaces/NS/services", "apis/apps/v1/namespaces/NS/deployments"] {
        let path = format!("{}/{name}", kind.replace("NS", namespace));
        say(&format!("$ curl -X DELETE {}/{path}   # behind Git's back", cluster.api_url()));
        cluster.delete(&path)?;
    }
    cluster.look(APP)?;
    ensure!(
        cluster.wait_until(cluster.patience(), answers),
        "the deleted objects did not come back"
    );
    Ok(())
}

/// What is added to Git appears; what leaves Git disappears.
pub(crate) fn prune(stage: &mut Stage, cluster: &Cluster) -> anyhow::Result<()> {
    stage.step("trust: what left Git is pruned");
    let note = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: note\n  namespace: distilbert\ndata:\n  text: hello\n";
    let app = stage.cwd.join("apps/distilbert");
    let list = app.join("kustomization.yaml");
    let before = fs::read_to_string(&list)?;
    fs::write(app.join("note.yaml"), note)?;
    fs::write(&list, before.replacen("resources:\n", "resources:\n  - note.yaml\n", 1))?;
    let revision = commit(stage, "Add a note")?;
    cluster.wait_ready(APP, &revision)?;
    let path = "api/v1/namespaces/distilbert/configmaps/note";
    ensure!(cluster.has(path), "the note did not appear");
    stage.run("git revert --no-edit HEAD")?;
    let revision = push(stage)?;
    cluster.wait_ready(APP, &revision)?;
    ensure!(!cluster.has(path), "the note left Git but not the cluster");
    say("  ConfigMap/distilbert/note came and went with its commit");
    Ok(())
}
