//! How a model reaches its pods where it is not in their image: mounted by the node, brought by an
//! init container, or by the server itself, which follows a tag.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, ensure};

use super::PEER;
use super::serving::{is_restricted, under_load};
use super::world::{PATIENCE, World, container};
use crate::registries::digest_of;
use crate::release::model;
use crate::report::Report;

/// What Git says the digest of: the app, how its model comes.
const PINNED: [(&str, &str); 2] = [("mounted", "image-volume"), ("brought", "init")];
/// What follows a tag.
const FOLLOWED: (&str, &str) = ("followed", "runtime");

pub(super) fn run(world: &World, server: &str, report: &mut Report) -> anyhow::Result<()> {
    let (first, second) = (Kit::publish(world, "one")?, Kit::publish(world, "two")?);
    let followed = first.named(world, "live")?;
    for (app, delivery) in PINNED {
        let flags = format!("--delivery {delivery} --modelkit {} --plain-http", first.reference);
        world.render(app, server, &flags)?;
    }
    let flags = format!("--delivery runtime --watch 1 --modelkit {followed} --plain-http");
    world.render(FOLLOWED.0, server, &flags)?;
    let begun = Instant::now();
    let revision = world.commit()?;
    for (app, delivery) in PINNED.into_iter().chain([FOLLOWED]) {
        let ready = world.await_ready(app, &revision);
        let took = begun.elapsed().as_secs_f32();
        let claim = format!(
            "--delivery {delivery}: Ready under Pod Security restricted {took:.0} s after the commit of all, and its ModelKit answers"
        );
        report.claim(PEER, &claim, || {
            ready?;
            is_restricted(world, app)?;
            first.answers(world, app)
        });
    }
    report.claim(PEER, "--delivery image-volume: what kubelet mounts is our mount face", || {
        let pod = world.await_alone("mounted")?;
        let mounted = &pod["spec"]["volumes"][0]["image"]["reference"];
        let is_face = mounted.as_str().is_some_and(|it| it.ends_with(&first.face));
        ensure!(is_face, "{mounted} is mounted, not {}", first.face);
        Ok(())
    });
    report.claim(PEER, "--delivery init: its container ends before the server starts", || {
        let pod = world.await_alone("brought")?;
        let brought = &pod["status"]["initContainerStatuses"][0];
        let ended = &brought["state"]["terminated"];
        ensure!(ended["exitCode"] == 0 && brought["restartCount"] == 0, "it is {brought}");
        Ok(())
    });
    for (app, delivery) in PINNED {
        let what = format!("--delivery {delivery}: `gitops bump` to another ModelKit");
        under_load(report, &what, world, app, |asking| {
            let work = world.repository.work.display();
            let kit = &second.reference;
            world.kit(&format!("gitops bump {kit} --app {app} --dir {work} --plain-http"))?;
            world.await_ready(app, &world.commit()?)?;
            asking.until_digest(&second.digest, PATIENCE)?;
            world.await_alone(app)?;
            second.answers(world, app)?;
            Ok(vec![first.digest.clone(), second.digest.clone()])
        });
    }
    follow(world, report, &first, &second);
    Ok(())
}

/// What becomes of a pod that follows a tag.
fn follow(world: &World, report: &mut Report, first: &Kit, second: &Kit) {
    let (app, delivery) = FOLLOWED;
    let what = format!("--delivery {delivery}: a tag that moves, without a commit and a restart");
    under_load(report, &what, world, app, |asking| {
        let before = world.await_alone(app)?;
        second.named(world, "live")?;
        asking.until_digest(&second.digest, PATIENCE)?;
        second.answers(world, app)?;
        let after = world.await_alone(app)?;
        ensure!(before["metadata"]["uid"] == after["metadata"]["uid"], "it is another pod");
        ensure!(container(&after)["restartCount"] == 0, "it was restarted");
        Ok(vec![first.digest.clone(), second.digest.clone()])
    });
    let claim = format!("--delivery {delivery}: a pod that is deleted comes back with the tag's");
    report.claim(PEER, &claim, || {
        let before = world.await_alone(app)?;
        let name = before["metadata"]["name"].as_str().context("a pod has a name")?;
        world.kubectl(&format!("delete pod -n {app} {name}"))?;
        world.await_alone(app)?;
        second.answers(world, app)
    });
}

/// Pushes the image of the server alone; returns its name.
pub(super) fn server(world: &World) -> anyhow::Result<String> {
    let server = format!("{}/demo/server:1", world.open.address);
    let program = world.program.display();
    world.kit(&format!("image server -t {server} --runtime {program}"))?;
    world.kit(&format!("push {server}"))?;
    Ok(server)
}

/// A ModelKit with its mount face, in the registry that pods reach.
pub(super) struct Kit {
    pub(super) reference: String,
    pub(super) digest: String,
    /// The digest of its mount face.
    face: String,
    /// Its label, whatever it is asked.
    version: &'static str,
}

impl Kit {
    pub(super) fn publish(world: &World, version: &'static str) -> anyhow::Result<Self> {
        Self::publish_after(world, version, |_| Ok(()))
    }

    /// The same after `change` had its way with the model.
    pub(super) fn publish_after(
        world: &World,
        version: &'static str,
        change: impl FnOnce(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let folder = world.dir.join("kits").join(version);
        model(&world.workspace, &folder, version)?;
        change(&folder.join("model"))?;
        let reference = format!("{}/demo/kit:{version}", world.near.address);
        world.kit(&format!("pack {} -t {reference}", folder.display()))?;
        let digest = digest_of(&world.kit(&format!("push {reference} --plain-http"))?)?;
        let line = format!("image mount-face {reference} --push --plain-http");
        let face = digest_of(&world.kit(&line)?)?;
        Ok(Self { reference, digest, face, version })
    }

    /// Gives it a tag more, which may have been another's.
    fn named(&self, world: &World, tag: &str) -> anyhow::Result<String> {
        let name = format!("{}/demo/kit:{tag}", world.near.address);
        world.kit(&format!("tag {} {name}", self.reference))?;
        world.kit(&format!("push {name} --plain-http"))?;
        Ok(name)
    }

    /// Whether an app answers with it.
    fn answers(&self, world: &World, app: &str) -> anyhow::Result<()> {
        let answer = world.ask(app)?;
        ensure!(answer.digest == self.digest, "{} answers", answer.digest);
        ensure!(answer.label == self.version, "it says {}", answer.label);
        Ok(())
    }
}
