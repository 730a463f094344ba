//! Steps 7 to 10: a Git repository becomes running servers, follows an update, and goes back.

use std::path::{Path, PathBuf};

use anyhow::ensure;
use fs_err as fs;

use super::cluster::Cluster;
use super::lesson::Lesson;
use super::package::{self, Registry};
use super::place::Place;
use super::stage::{Stage, say};
use crate::client::{Answer, Asking, ask};
use crate::kube::GitServer;

/// The Git repository's real URL, which Flux would fetch; the local cluster is told which folder
/// stands for it.
const URL: &str = "https://git.example.com/demo/ml-infra.git";
/// The Flux Kustomization of the app.
pub(crate) const APP: &str = "flux-system/distilbert-app";
/// The namespace of the app, the name of its Deployment and Service, and the Service's port.
pub(crate) const SERVICE: (&str, &str, u16) =
    ("distilbert", "distilbert-sentiment-classifier", 8000);

/// The Git repository that says what runs.
pub(crate) struct Infra {
    /// The bare repository, where it is the story's own.
    bare: PathBuf,
    /// Serves it to a cluster that fetches.
    _server: Option<GitServer>,
}

/// A bare repository and its working tree, with what bootstrap and render write.
pub(crate) fn infra(
    stage: &mut Stage,
    image: &package::Artifact,
    place: &Place,
) -> anyhow::Result<Infra> {
    stage.step("ml-infra: a Git repository that says what runs");
    let root = stage.root.clone();
    stage.cd(&root)?;
    let mut server = None;
    let url = match place {
        Place::Kube { git: Some(url), .. } => {
            stage.run(&format!("git clone --quiet {url} ml-infra"))?;
            url.clone()
        }
        _ => {
            stage.run("git init --quiet --bare --initial-branch=main ml-infra.git")?;
            stage.run("git clone --quiet ml-infra.git ml-infra")?;
            if let Place::Kube { .. } = place {
                server = Some(GitServer::start(&root)?);
            }
            server.as_ref().map_or_else(|| URL.to_owned(), |it| it.url("ml-infra.git"))
        }
    };
    stage.cd(&root.join("ml-infra"))?;
    for (name, value) in [
        ("user.name", "kit-rs demo"),
        ("user.email", "demo@example.com"),
        ("commit.gpgsign", "false"),
    ] {
        stage.run(&format!("git config {name} '{value}'"))?;
    }
    stage.run("git symbolic-ref HEAD refs/heads/main")?;
    let asks = match place {
        Place::Here => "--no-cluster",
        Place::Kube { .. } => "", // kubectl
    };
    stage.run(&format!(
        "kit-rs gitops bootstrap --url {url} --branch main --path clusters/dev {asks}"
    ))?;
    stage.run(&format!(
        "kit-rs gitops render {} --app distilbert --name distilbert-sentiment-classifier --progress-deadline {}",
        image.reference,
        place.progress_deadline()
    ))?;
    for file in [
        "apps/distilbert/deployment.yaml",
        "apps/distilbert/kustomization.yaml",
        "clusters/dev/distilbert-app.yaml",
    ] {
        ensure!(stage.cwd.join(file).is_file(), "render wrote no {file}");
    }
    let built = stage.run("kit-rs gitops build apps/distilbert")?;
    ensure!(built.contains(&image.digest), "the Deployment does not pin {}", image.digest);
    commit(stage, "Add the distilbert deployment")?;
    Ok(Infra { bare: root.join("ml-infra.git"), _server: server })
}

/// Commits all and pushes; returns the revision as Flux writes it.
pub(crate) fn commit(stage: &Stage, message: &str) -> anyhow::Result<String> {
    stage.run("git add --all")?;
    stage.run(&format!("git commit --quiet -m \"{message}\""))?;
    push(stage)
}

/// Pushes; returns the revision as Flux writes it.
pub(crate) fn push(stage: &Stage) -> anyhow::Result<String> {
    stage.run("git push --quiet origin main")?;
    Ok(format!("main@sha1:{}", stage.run("git rev-parse HEAD")?))
}

/// The cluster sees the commit and runs what it says; the model answers rightly.
pub(crate) fn deploy(
    stage: &mut Stage,
    infra: &Infra,
    lesson: &Lesson,
    place: &Place,
) -> anyhow::Result<Cluster> {
    stage.step("deploy: the cluster follows the repository, the model answers");
    let cluster = match place {
        Place::Kube { .. } => Cluster::of_kubectl(stage)?,
        Place::Here => {
            let (bare, dir) = (infra.bare.display(), stage.root.join("cluster"));
            let line = format!(
                "kit-rs gitops up --source {URL}={bare} --addr 127.0.0.1:0 --dir {}",
                dir.display()
            );
            Cluster::start(stage, &line)?
        }
    };
    let revision = format!("main@sha1:{}", stage.run("git rev-parse HEAD")?);
    cluster.wait_ready(APP, &revision)?;
    show(stage, &cluster)?;
    let url = service(&cluster)?;
    let health = ureq::get(format!("{url}/")).call()?.body_mut().read_to_string()?;
    ensure!(health == r#"{"status":"ok"}"#, "GET / answered {health}");
    say(&format!("  GET {url} → {health}"));
    quiz(&url, lesson)?;
    Ok(cluster)
}

/// `kit-rs gitops get`, as a user would watch it.
fn show(stage: &Stage, cluster: &Cluster) -> anyhow::Result<()> {
    for what in ["kustomizations", "pods"] {
        stage.run(&format!("kit-rs gitops get {what} --server {}", cluster.api_url()))?;
    }
    Ok(())
}

/// The address of the app's Service.
pub(crate) fn service(cluster: &Cluster) -> anyhow::Result<String> {
    cluster.service_url(SERVICE.0, SERVICE.1, SERVICE.2)
}

/// Asks the deployed model, and counts the right answers.
fn quiz(url: &str, lesson: &Lesson) -> anyhow::Result<()> {
    let mut right = 0;
    for (text, label) in &lesson.asked {
        let Answer { label: answered, score, .. } = ask(url, text)?;
        if lesson.asked.len() <= 10 {
            say(&format!("  POST /predict {text:?} → {answered} {score:.3}"));
        }
        right += usize::from(answered == format!("LABEL_{label}"));
    }
    let accuracy = right as f64 / lesson.asked.len() as f64;
    say(&format!(
        "  {right} of {} answers are right ({:.1} %)",
        lesson.asked.len(),
        100.0 * accuracy
    ));
    ensure!(
        accuracy >= lesson.least_accuracy,
        "at least {:.0} % should be right",
        100.0 * lesson.least_accuracy
    );
    Ok(())
}

/// Retrains on more data and rolls out; a client that keeps asking sees no failed request.
pub(crate) fn update(
    stage: &mut Stage,
    registry: &Registry,
    cluster: &Cluster,
    lesson: &Lesson,
    runtime: &Path,
) -> anyhow::Result<String> {
    stage.step("update: retrain, push, bump, commit: no request fails");
    stage.cd(&stage.root.join("my-ml-project"))?;
    fs::write(stage.cwd.join("datasets/sample_data.json"), &lesson.more)?;
    super::model::retrain(stage)?;
    let second = package::pack_as(stage, "1.0.1")?;
    package::push(stage, "distilbert-sentiment:1.0.1", &package::reference(registry, "1.0.1"))?;
    let (image, uploaded) = package::build_image(stage, registry, "1.0.1", &second, runtime)?;
    ensure!(
        uploaded < 64 * 1024,
        "{uploaded} bytes were uploaded for an image whose program did not change"
    );

    let url = service(cluster)?;
    let asking = Asking::begin(&url, &lesson.asked)?;
    let revision = bump(stage, &image, "Update the model to 1.0.1")?;
    cluster.wait_ready(APP, &revision)?;
    asking.until_digest(&second, cluster.patience())?;
    settled(cluster)?;
    let seen = asking.end()?;
    say(&format!(
        "  {} requests while it rolled out, {} failed; digests seen, in order: {}",
        seen.n_requests,
        seen.failures.len(),
        seen.digests.join(", ")
    ));
    ensure!(seen.failures.is_empty(), "requests failed during the update: {:?}", seen.failures);
    ensure!(
        seen.digests.last() == Some(&second) && seen.digests.len() == 2,
        "the answers should carry the old digest, then {second}"
    );
    show(stage, cluster)?;
    quiz(&url, lesson)?;
    Ok(second)
}

/// Waits until only one pod of the app is left, and ready: the old one has ended.
fn settled(cluster: &Cluster) -> anyhow::Result<()> {
    let alone =
        |cluster: &Cluster| matches!(cluster.pods(SERVICE.0).as_slice(), [pod] if pod.ready);
    ensure!(cluster.wait_until(cluster.patience(), alone), "the old pod does not end");
    Ok(())
}

/// Writes another image into the Deployment, commits and pushes; returns the revision.
pub(crate) fn bump(
    stage: &mut Stage,
    image: &package::Artifact,
    message: &str,
) -> anyhow::Result<String> {
    stage.cd(&stage.root.join("ml-infra"))?;
    stage.run(&format!("kit-rs gitops bump {} --app distilbert", image.reference))?;
    stage.run("git diff --stat")?;
    commit(stage, message)
}

/// `git revert`: the old digest serves again.
pub(crate) fn rollback(stage: &mut Stage, cluster: &Cluster, first: &str) -> anyhow::Result<()> {
    stage.step("rollback: git revert, and the old digest serves again");
    revert(stage, cluster, first)
}

/// Reverts the newest commit and waits until the digest given answers.
pub(crate) fn revert(stage: &Stage, cluster: &Cluster, digest: &str) -> anyhow::Result<()> {
    stage.run("git revert --no-edit HEAD")?;
    let revision = push(stage)?;
    cluster.wait_ready(APP, &revision)?;
    let answer = ask(&service(cluster)?, "I love it")?;
    say(&format!("  answers carry {}", answer.digest));
    ensure!(answer.digest == digest, "{} answers, not {digest}", answer.digest);
    Ok(())
}

/// Leaves the cluster running until Ctrl-C.
pub(crate) fn keep(cluster: &Cluster) -> anyhow::Result<()> {
    let (api, url) = (cluster.api_url(), service(cluster)?);
    say("\nThe cluster keeps running until Ctrl-C. Try, in another terminal:");
    say(&format!("  kit-rs gitops get kustomizations -w --server {api}"));
    say(&format!("  kit-rs gitops get pods -w --server {api}"));
    say(&format!(
        "  curl {url}/predict -H 'content-type: application/json' -d '{{\"text\": \"I love it\"}}'"
    ));
    say("  and commit to target/e2e/ml-infra, then git push.");
    crate::process::wait_for_interrupt()
}
