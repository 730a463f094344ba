//! One app in two environments: its release goes from one to the other, and then the cluster is the
//! other one.

use anyhow::{Context as _, ensure};
use fs_err as fs;

use super::PEER;
use super::story::leave;
use super::world::{World, container};
use crate::peers::run_quietly;
use crate::release::Release;
use crate::report::Report;

const APP: &str = "staged";
const FOLDER: &str = "apps/staged/overlays";

pub(super) fn run(world: &World, report: &mut Report) -> anyhow::Result<()> {
    let (first, second) = (evaluated(world, "three", 0.90)?, evaluated(world, "four", 0.92)?);
    world.render(APP, &first.image, "--layout envs --env dev")?;
    let prod = "--layout envs --env prod --replicas 2 --spread zones --tenant";
    world.render(APP, &first.image, prod)?;
    let revision = world.commit()?;
    report.claim(PEER, "--layout envs: what dev builds is Ready, and answers", || {
        world.await_ready(APP, &revision)?;
        answers(world, &first)
    });
    let (work, server) = (world.repository.work.display(), world.plane.api.url());
    let promote =
        format!("gitops promote {APP} --from dev --to prod --server {server} --dir {work}");
    report.claim(PEER, "promote refuses what Git says of dev, and dev does not run yet", || {
        let image = &second.image;
        world.kit(&format!("gitops bump {image} --app {APP} --env dev --dir {work}"))?;
        let refused = world.kit(&promote).err().map(|it| format!("{it:#}")).unwrap_or_default();
        ensure!(refused.contains("is not promoted"), "it said {refused:?}");
        Ok(())
    });
    report.claim(
        PEER,
        "promote takes it to prod once dev's cluster runs it at that digest",
        || {
            world.await_ready(APP, &world.commit()?)?;
            world.await_alone(APP)?;
            answers(world, &second)?;
            world.kit(&promote)?;
            let release = world.repository.read(&format!("{FOLDER}/prod/release.yaml"))?;
            ensure!(release.contains(&second.digest), "prod has another image:\n{release}");
            world.commit().map(drop)
        },
    );
    report.claim(PEER, "the cluster becomes prod: both pods are of what was promoted", || {
        leave(world)?;
        let (url, place) = (&world.repository.url, "clusters/prod/flux-system/gotk-sync.yaml");
        world.kit(&format!(
            "gitops bootstrap --path clusters/prod --url {url} --branch main --dir {work} --no-cluster"
        ))?;
        let revision = world.repository.push()?;
        let sync = world.repository.work.join(place);
        run_quietly(world.plane.kubectl("apply --server-side -f").arg(sync))?;
        world.await_ready(APP, &revision)?;
        let pods = world.pods(APP)?;
        let ready = pods.iter().filter(|pod| container(pod)["ready"] == true).count();
        ensure!(ready == 2, "{ready} of {} pods are ready", pods.len());
        answers(world, &second)
    });
    report.claim(PEER, "--tenant: Flux applied it as an account that may do nothing else", || {
        let path = super::world::app_path(APP);
        let applied = world.plane.api.find(&path)?.context("the Kustomization is there")?;
        let account = &applied["spec"]["serviceAccountName"];
        ensure!(*account == format!("{APP}-app"), "Flux applies it as {account}");
        let account = format!("system:serviceaccount:flux-system:{APP}-app");
        let may = |what: &str| {
            let asked = world.plane.kubectl(&format!("auth can-i {what} --as {account}")).output();
            anyhow::Ok(asked?.status.success())
        };
        ensure!(may(&format!("patch deployments -n {APP}"))?, "it may not do its work");
        for other in [&format!("create clusterroles -n {APP}"), "patch deployments -n default"] {
            ensure!(!may(other)?, "it may {other}");
        }
        Ok(())
    });
    Ok(())
}

/// A release whose ModelKit says how good it is.
fn evaluated(world: &World, version: &str, accuracy: f32) -> anyhow::Result<Release> {
    world.release(&world.open, version, |model| {
        let kitfile = model.with_file_name("Kitfile");
        let metrics =
            format!("  parameters: {{metrics: {{accuracy: {accuracy}, data: reviews}}}}\n");
        let text = fs::read_to_string(&kitfile)?;
        Ok(fs::write(kitfile, text + &metrics)?)
    })
}

fn answers(world: &World, release: &Release) -> anyhow::Result<()> {
    let answer = world.ask(APP)?;
    ensure!(answer.digest == release.modelkit, "{} answers", answer.digest);
    Ok(())
}
