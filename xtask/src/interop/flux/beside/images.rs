//! `--image-policy`: the image controllers see a new tag, and commit it.

use std::time::{Duration, Instant};

use anyhow::ensure;

use super::{PATIENCE, PEER, Stage, is_ready};
use crate::release::Release;
use crate::report::Report;

const APP: &str = "moved";
const API: &str = "image.toolkit.fluxcd.io/v1";
const FILE: &str = "apps/moved/deployment.yaml";

pub(super) fn run(stage: &Stage<'_>, first: &Release, report: &mut Report) -> anyhow::Result<()> {
    let peer =
        format!("image-reflector-controller 1.2.4, image-automation-controller 1.2.4, {PEER}");
    let of = |plural: &str| format!("apis/{API}/namespaces/flux-system/{plural}/{APP}");
    report.claim(&peer, "--image-policy: repository, policy and automation are Ready", || {
        stage.render(APP, &first.image, "--image-policy 1.x")?;
        let revision = stage.commit()?;
        stage.await_ready(APP, &revision)?;
        stage.wait(&of("imagerepositories"), is_ready)?;
        let policy = stage.wait(&of("imagepolicies"), is_ready)?;
        let latest = &policy["status"]["latestRef"];
        ensure!(latest["tag"] == "1.0.0" && latest["digest"] == *first.digest, "it is {latest}");
        stage.wait(&of("imageupdateautomations"), is_ready).map(drop)
    });
    let (second, _) = (stage.release("1.1.0")?, stage.release("2.0.0")?);
    report.claim(
        &peer,
        "--image-policy: a new tag in the range is committed with its digest, in marked lines alone",
        || {
            let before = stage.repository.git(&["rev-parse", "HEAD"])?;
            stage.request(API, "imagerepositories", APP)?;
            let deadline = Instant::now() + PATIENCE;
            while stage.repository.pull()? == before.trim() {
                ensure!(Instant::now() < deadline, "nothing was committed");
                std::thread::sleep(Duration::from_millis(300));
            }
            let text = stage.repository.read(FILE)?;
            let image = format!("image: {}@{} # ", second.image, second.digest);
            ensure!(text.contains(&image), "{image} is not in\n{text}");
            let changed = stage.repository.git(&["diff", "--unified=0", before.trim(), "HEAD"])?;
            let lines = changed.lines().filter(|line| {
                line.starts_with(['+', '-']) && !line.starts_with("+++") && !line.starts_with("---")
            });
            for line in lines {
                ensure!(line.contains("$imagepolicy"), "it changed {line}");
            }
            let told = stage.repository.git(&["log", "-1", "--format=%an: %s"])?;
            ensure!(told.starts_with("fluxcdbot: moved: "), "the commit is {told}");
            Ok(())
        },
    );
    report.claim(&peer, "--image-policy: Flux applies what it has committed", || {
        let head = stage.repository.git(&["rev-parse", "HEAD"])?;
        stage.request("source.toolkit.fluxcd.io/v1", "gitrepositories", "flux-system")?;
        stage.await_ready(APP, &format!("main@sha1:{}", head.trim()))?;
        let deployment = stage.deployment(APP)?;
        let image = &deployment["spec"]["template"]["spec"]["containers"][0]["image"];
        ensure!(image.as_str().is_some_and(|it| it.ends_with(&second.digest)), "it runs {image}");
        Ok(())
    });
    Ok(())
}
