//! `cargo xtask e2e --cluster kube`, on the cluster of this run.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::ensure;

use super::PEER;
use super::world::{PATIENCE, World};
use crate::kube::Repository;
use crate::peers::run_quietly;
use crate::report::Report;

pub(super) fn run(world: &World, report: &mut Report) {
    report.claim(
        PEER,
        "`cargo xtask e2e --cluster kube` says what is missing: a free Flux",
        || {
            let refused = story(world)?.output()?;
            let said = String::from_utf8_lossy(&refused.stderr).into_owned();
            ensure!(!refused.status.success(), "it told the story where Flux follows another");
            ensure!(said.contains("a Flux that follows nothing yet"), "it says {said}");
            Ok(())
        },
    );
    report.claim(PEER, "a sync that is deleted takes all its apps with it", || leave(world));
    report.claim(PEER, "`cargo xtask e2e --cluster kube` tells the whole story", || {
        let told = run_quietly(&mut story(world)?)?;
        ensure!(told.contains("every claim held"), "{told}");
        Ok(())
    });
    report.claim(PEER, "the same with a registry and a repository that it is told", || {
        let repository = Repository::start(&world.dir.join("story"))?;
        let registry = format!("{}/story", world.open.address);
        let mut story = story(world)?;
        story.args(["--registry", &registry, "--git", &repository.url]);
        let told = run_quietly(&mut story)?;
        ensure!(told.contains("every claim held"), "{told}");
        Ok(())
    });
}

fn story(world: &World) -> anyhow::Result<Command> {
    let mut story = Command::new(std::env::current_exe()?);
    story.args(["e2e", "--cluster", "kube", "--program"]).arg(&world.program);
    world.plane.lend(&mut story)?;
    Ok(story)
}

/// Takes the sync away, and with it all apps.
pub(super) fn leave(world: &World) -> anyhow::Result<()> {
    let sync = "kustomization/flux-system gitrepository/flux-system";
    world.kubectl(&format!("delete -n flux-system {sync} --wait=false"))?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let apps = world
            .plane
            .api
            .list("apis/kustomize.toolkit.fluxcd.io/v1/namespaces/flux-system/kustomizations")?;
        let namespaces = world.plane.api.list("api/v1/namespaces")?;
        let mut names = namespaces.iter().filter_map(|it| it["metadata"]["name"].as_str());
        let own = ["shop", "mounted", "closed", "brought", "followed", "checked", "unpushed"];
        let left = names.find(|it| own.contains(it));
        if apps.is_empty() && left.is_none() {
            return Ok(());
        }
        let n = apps.len();
        ensure!(Instant::now() < deadline, "{n} Kustomizations are left, and {left:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}
