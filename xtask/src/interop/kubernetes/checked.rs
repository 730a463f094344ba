//! `--check-model`: the server itself looks at what it is to serve, before it does.

use anyhow::ensure;

use super::PEER;
use super::world::World;
use crate::release::Release;
use crate::report::Report;

const APP: &str = "checked";

pub(super) fn run(world: &World, report: &mut Report) -> anyhow::Result<()> {
    for name in ["team", "other"] {
        world.kit(&format!("keygen --no-password --output {name}"))?;
    }
    let (first, foreign) = (signed(world, "ours", "team")?, signed(world, "theirs", "other")?);
    report.claim(PEER, "--check-model: a model whose files our key has signed is served", || {
        world.render(APP, &first.image, "--require-key team.pub --check-model")?;
        world.await_ready(APP, &world.commit()?)?;
        answers(world, &first)
    });
    report.claim(
        PEER,
        "--check-model: one that another key has signed is not, and the pod says why; ours answers on",
        || {
            world.bump(APP, &format!("{} --require-key team.pub", foreign.image))?;
            let revision = world.commit()?;
            let why = world.await_given_up(APP, &revision)?;
            ensure!(why.contains("HealthCheckFailed"), "Flux says {why}");
            let told = world.kubectl(&format!("describe pods -n {APP}"))?;
            ensure!(told.contains("signed by nobody whom the policy names"), "the pods say {told}");
            answers(world, &first)?;
            world.await_healed(APP, &world.revert()?)?;
            world.await_alone(APP).map(drop)
        },
    );
    Ok(())
}

/// A release whose files a key has signed; its image is signed by ours in any case.
fn signed(world: &World, version: &str, key: &str) -> anyhow::Result<Release> {
    let release = world.release(&world.open, version, |model| {
        world.kit(&format!("sign {} --key {key}.key", model.display())).map(drop)
    })?;
    world.kit(&format!("sign {} --key team.key", release.image))?;
    Ok(release)
}

fn answers(world: &World, release: &Release) -> anyhow::Result<()> {
    let answer = world.ask(APP)?;
    ensure!(answer.digest == release.modelkit, "{} answers", answer.digest);
    Ok(())
}
