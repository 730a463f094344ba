//! What both do when a repository changes: prune, drift, suspension, annotations on live objects, a
//! fix after a bad release.

use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::Value;

use super::cases::{Case, case, deployment, kustomization, map};
use super::world::{PATIENCE, World, path_of};
use super::{PEER, say};
use crate::report::Report;

fn config_map(name: &str) -> String {
    format!("api/v1/namespaces/default/configmaps/{name}")
}

const PRUNE: &str = "kustomize.toolkit.fluxcd.io/prune";

fn cases() -> Vec<Case> {
    let three = |more: &str| {
        format!(
            "{}---\n{}---\n{}",
            map("gone", "default", ""),
            map("kept", "default", more),
            map("stays", "default", "")
        )
    };
    vec![
        case(
            "prunes",
            "",
            "",
            &[("a.yaml", &three(&format!(", annotations: {{{PRUNE}: Disabled}}")))],
        ),
        case(
            "keeps-all",
            "",
            "prune: false",
            &[(
                "a.yaml",
                &format!(
                    "{}---\n{}",
                    map("unpruned", "default", ""),
                    map("unpruned-stays", "default", "")
                ),
            )],
        ),
        case("leaves", "", "", &[("a.yaml", &map("leaves", "default", ""))]),
        case("leaves-suspended", "", "", &[("a.yaml", &map("leaves-suspended", "default", ""))]),
        case("drifts", "", "interval: 2s", &[("a.yaml", &map("drifts", "default", ""))]),
        case("switches", "", "", &[("a.yaml", &map("switches", "default", ""))]),
        case("refused-later", "", "", &[("a.yaml", &map("refused-later", "default", ""))]),
        case("releases", "", "wait: true", &[("a.yaml", &map("releases", "default", ""))]),
    ]
}

fn write(world: &World, case: &Case) -> anyhow::Result<()> {
    world
        .repository
        .write(&format!("clusters/dev/case-{}.yaml", case.name), &kustomization(case))?;
    case.files.iter().try_for_each(|(path, text)| {
        world.repository.write(&format!("cases/{}/{path}", case.name), text)
    })
}

pub(super) fn run(world: &World, report: &mut Report) -> anyhow::Result<()> {
    let cases = cases();
    cases.iter().try_for_each(|case| write(world, case))?;
    let first = world.push()?;
    let settled = |revision: &str| -> anyhow::Result<()> {
        for api in world.both() {
            for case in &cases {
                api.wait(&path_of(case.name), PATIENCE, |it| {
                    it["status"]["lastAppliedRevision"] == revision
                })?;
            }
        }
        Ok(())
    };
    settled(&first)?;
    world.repository.write("cases/prunes/a.yaml", &map("stays", "default", ""))?;
    world.repository.write("cases/keeps-all/a.yaml", &map("unpruned-stays", "default", ""))?;
    world.repository.write("cases/leaves/note.md", "its Kustomization goes")?;
    world.repository.remove("clusters/dev/case-leaves.yaml")?;
    let suspended = kustomization(&cases[3]).replace("prune: true", "prune: true, suspend: true");
    world.repository.write("clusters/dev/case-leaves-suspended.yaml", &suspended)?;
    world.repository.write("cases/switches/a.yaml", &map("switched", "default", ""))?;
    world.repository.write(
        "cases/refused-later/a.yaml",
        &format!("{}---\n{}", map("refused-new", "default", ""), map("Bad_Name", "default", "")),
    )?;
    world.repository.write("cases/releases/a.yaml", &deployment("releases", "badimage", 4))?;
    let second = world.push()?;
    let deadline = Instant::now() + PATIENCE;
    let mut told =
        |claim: &str, show: &dyn Fn() -> anyhow::Result<()>| report.claim(PEER, claim, show);
    let agree = |name: &str, wanted: &str| -> anyhow::Result<()> {
        world.agree(&path_of(name), deadline, |it| {
            let at = &it["status"]["lastAttemptedRevision"];
            say::status(it).filter(|_| *at == wanted)
        })
    };
    told("what left Git goes, but for what says `prune: Disabled`", &|| {
        agree("prunes", &second)?;
        world.await_there(&config_map("gone"), false)?;
        world.await_there(&config_map("kept"), true)?;
        world.await_there(&config_map("stays"), true)
    });
    told("with `prune: false` it stays, and is listed no longer", &|| {
        agree("keeps-all", &second)?;
        world.await_there(&config_map("unpruned"), true)
    });
    told("a Kustomization that leaves Git takes its objects with it", &|| {
        world.await_there(&path_of("leaves"), false)?;
        world.await_there(&config_map("leaves"), false)
    });
    told("one name in the place of another", &|| {
        agree("switches", &second)?;
        world.await_there(&config_map("switched"), true)?;
        world.await_there(&config_map("switches"), false)
    });
    told(
        "of a commit that is refused nothing is applied or pruned, and the inventory stays",
        &|| {
            agree("refused-later", &second)?;
            world.await_there(&config_map("refused-later"), true)?;
            world.await_there(&config_map("refused-new"), false)
        },
    );
    told(
        "a release that does not become healthy says so, and the former revision stays the applied one",
        &|| agree("releases", &second),
    );
    told("a suspended Kustomization keeps its objects when it leaves Git", &|| {
        for api in world.both() {
            api.wait(&path_of("leaves-suspended"), PATIENCE, |it| it["spec"]["suspend"] == true)?;
        }
        world.repository.remove("clusters/dev/case-leaves-suspended.yaml")?;
        world.push()?;
        world.await_there(&path_of("leaves-suspended"), false)?;
        world.await_there(&config_map("leaves-suspended"), true)
    });
    told("what somebody annotates on live objects is heeded, and stays", &|| annotated(world));
    told("what somebody deletes is brought back", &|| {
        for api in world.both() {
            api.delete(&config_map("drifts"), false)?;
        }
        world.await_there(&config_map("drifts"), true)
    });
    told("a fix waits for the end of the health check of what was bad", &|| fix_waits(world));
    Ok(())
}

/// Annotations that Git does not have, set on what is live: whether Flux changes or prunes it then.
fn annotated(world: &World) -> anyhow::Result<()> {
    const SETTINGS: [(&str, &str, &str); 6] = [
        ("live-reconcile", "kustomize.toolkit.fluxcd.io/reconcile", "disabled"),
        ("live-ignore", "kustomize.toolkit.fluxcd.io/ssa", "Ignore"),
        ("live-absent", "kustomize.toolkit.fluxcd.io/ssa", "IfNotPresent"),
        ("live-merge", "kustomize.toolkit.fluxcd.io/ssa", "Merge"),
        ("live-prune", PRUNE, "disabled"),
        ("live-other", "example.com/seen", "yes"),
    ];
    let objects = |more: &str| -> String {
        let object = |(name, ..): &(&str, _, _)| map(name, "default", more) + "---\n";
        SETTINGS.iter().map(object).collect()
    };
    let all = case("annotated", "", "", &[("a.yaml", &objects(""))]);
    write(world, &all)?;
    let applied = |revision: String| -> anyhow::Result<()> {
        let is_applied = |it: &Value| it["status"]["lastAppliedRevision"] == revision.as_str();
        world
            .both()
            .iter()
            .try_for_each(|api| api.wait(&path_of("annotated"), PATIENCE, is_applied).map(drop))
    };
    applied(world.push()?)?;
    for api in world.both() {
        for (name, key, value) in SETTINGS {
            let patch = serde_json::json!({"metadata": {"annotations": {key: value}}});
            api.patch(&config_map(name), &patch)?;
        }
    }
    let agree = |name: &str| {
        let deadline = Instant::now() + PATIENCE;
        world.agree(&config_map(name), deadline, say::content)
    };
    world.repository.write("cases/annotated/a.yaml", &objects(", labels: {changed: 'yes'}"))?;
    applied(world.push()?)?;
    for (name, ..) in SETTINGS {
        agree(name)?;
    }
    let is_changed = |name: &str| -> anyhow::Result<bool> {
        let object = world.plane.api.find(&config_map(name))?.unwrap_or_default();
        Ok(object["metadata"]["labels"]["changed"] == "yes")
    };
    let changed: Vec<&str> = SETTINGS
        .iter()
        .map(|(name, ..)| *name)
        .filter(|name| is_changed(name).unwrap_or(false))
        .collect();
    let wanted = ["live-absent", "live-merge", "live-prune", "live-other"];
    ensure!(changed == wanted, "{changed:?} were changed");
    world.repository.write("cases/annotated/a.yaml", &map("left", "default", ""))?;
    applied(world.push()?)?;
    for (name, ..) in SETTINGS {
        let [real, ours] = world.there(&config_map(name))?;
        let stays = ["live-reconcile", "live-ignore", "live-prune"].contains(&name);
        ensure!([real, ours] == [stays; 2], "{name} is there (real, ours): {real}, {ours}");
    }
    Ok(())
}

/// A release that hangs, and its fix a moment later: neither controller looks at the fix before
/// the progress deadline of the first is over.
fn fix_waits(world: &World) -> anyhow::Result<()> {
    world.repository.write("cases/releases/a.yaml", &deployment("releases", "notready", 25))?;
    let bad = world.push()?;
    for api in world.both() {
        api.wait(&path_of("releases"), PATIENCE, |it| {
            it["status"]["lastAttemptedRevision"] == bad.as_str()
        })?;
    }
    world.repository.write("cases/releases/a.yaml", &map("releases", "default", ""))?;
    let begun = Instant::now();
    let good = world.push()?;
    let mut waited = Vec::new();
    for api in world.both() {
        let fixed = |it: &Value| it["status"]["lastAppliedRevision"] == good.as_str();
        api.wait(&path_of("releases"), PATIENCE, fixed)?;
        waited.push(begun.elapsed());
    }
    let least = Duration::from_secs(8);
    ensure!(
        waited[0] > least && waited[1] > least,
        "the fix was applied after {waited:?} (real, both)"
    );
    Ok(())
}
