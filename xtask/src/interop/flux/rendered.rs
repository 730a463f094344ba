//! Apps that `gitops render` wrote, with an image that runs: what each cluster makes of them.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use fs_err as fs;
use serde_json::Value;

use super::world::{PATIENCE, World, path_of};
use super::{PEER, differences, say};
use crate::peers::run_quietly;
use crate::registries::Registry;
use crate::release::{Release, model, release};
use crate::report::Report;

pub(super) fn run(
    world: &World,
    program: &Path,
    workspace: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    let registry = Registry::ours(program, &world.shop.dir.join("registry"), "127.0.0.1:0", &[])?;
    let make = |version: &str| -> anyhow::Result<Release> {
        let folder = world.shop.dir.join("models").join(version);
        model(workspace, &folder, version)?;
        release(&world.shop, &registry.address, &folder, version, program)
    };
    let (first, second) = (make("one")?, make("two")?);
    let work = world.repository.work.display();
    let render = |app: &str, namespace: &str| {
        let image = &first.image;
        let line = format!(
            "gitops render {image} --app {app} --namespace {namespace} --dir {work} --progress-deadline 60"
        );
        world.shop.kit("home", &line)
    };
    // The second app of a namespace comes when the first one has made it.
    for apps in [&[("shop", "shop"), ("left", "both")][..], &[("right", "both")]] {
        for (app, namespace) in apps {
            let claim =
                format!("{app}: each rendered object passes a strict dry run of the server");
            report.claim(PEER, &claim, || {
                render(app, namespace)?;
                let line = format!("gitops build apps/{app} --dir {work}");
                strictly(world, app, namespace, &world.shop.kit("home", &line)?)
            });
        }
        let revision = world.push()?;
        for (app, _) in apps {
            settled(world, report, app, "an app that was rendered", &revision);
        }
    }
    report.claim(
        PEER,
        "of each rendered object our cluster holds nothing that the real one does not",
        || {
            for path in objects("shop", "shop").into_iter().chain(objects("both", "left")) {
                let [real, ours] = world.both().map(|api| api.find(&path));
                let real = real?.with_context(|| format!("the real one has no {path}"))?;
                let ours = ours?.with_context(|| format!("ours has no {path}"))?;
                for field in ["spec", "metadata"] {
                    contained(&ours[field], &real[field], &format!("{path} {field}"))?;
                }
            }
            Ok(())
        },
    );
    report.claim(PEER, "a bump is another generation of the Deployment alone", || {
        world.shop.kit("home", &format!("gitops bump {} --app shop --dir {work}", second.image))?;
        let revision = world.push()?;
        for api in world.both() {
            api.wait(&path_of("shop-app"), PATIENCE, |it| {
                it["status"]["lastAppliedRevision"] == revision.as_str()
            })?;
            let deployment = api.find("apis/apps/v1/namespaces/shop/deployments/shop")?;
            let deployment = deployment.context("the Deployment is there")?;
            let image = &deployment["spec"]["template"]["spec"]["containers"][0]["image"];
            let is_new = image.as_str().is_some_and(|it| it.ends_with(&second.digest));
            ensure!(is_new, "the image is {image}");
            let service = api.find("api/v1/namespaces/shop/services/shop")?;
            let generation = &service.context("the Service is there")?["metadata"]["generation"];
            ensure!(generation.is_null() || *generation == 1, "the Service changed");
        }
        Ok(())
    });
    report.claim(PEER, "of two apps in one namespace one can leave, and the other stays", || {
        world.repository.remove("clusters/dev/left-app.yaml")?;
        world.repository.remove("apps/left")?;
        world.push()?;
        world.await_there("apis/apps/v1/namespaces/both/deployments/left", false)?;
        world.await_there("apis/apps/v1/namespaces/both/deployments/right", true)?;
        world.await_there("api/v1/namespaces/both", true)
    });
    report.claim(PEER, "an app that leaves takes its own namespace with it", || {
        for app in ["shop", "right"] {
            world.repository.remove(&format!("clusters/dev/{app}-app.yaml"))?;
            world.repository.remove(&format!("apps/{app}"))?;
        }
        world.push()?;
        world.await_there("api/v1/namespaces/shop", false)?;
        world.await_there("api/v1/namespaces/both", true)
    });
    Ok(())
}

fn settled(world: &World, report: &mut Report, app: &str, claim: &str, revision: &str) {
    let name = format!("{app}-app");
    let but = differences::why(&name).map_or_else(String::new, |why| format!(" (but: {why})"));
    report.claim(PEER, &format!("{name}: {claim}{but}"), || {
        world.agree(&path_of(&name), Instant::now() + PATIENCE, |it| {
            let at = &it["status"]["lastAttemptedRevision"];
            let said = say::status(it).filter(|it| *at == revision && it.contains("Ready True"));
            said.map(|said| differences::compared(&name, &said))
        })
    });
}

fn strictly(world: &World, app: &str, namespace: &str, built: &str) -> anyhow::Result<()> {
    let file = world.shop.dir.join(format!("{app}.yaml"));
    fs::write(&file, built)?;
    // Objects of a namespace are not taken before it is there, not even by a dry run.
    let there = world.plane.api.find(&format!("api/v1/namespaces/{namespace}"))?.is_some();
    if !there {
        run_quietly(&mut world.plane.kubectl(&format!("create namespace {namespace}")))?;
    }
    for mode in ["--server-side --force-conflicts", ""] {
        let line =
            format!("apply --dry-run=server --validate=strict --warnings-as-errors {mode} -f");
        run_quietly(world.plane.kubectl(&line).arg(&file))?;
    }
    Ok(())
}

/// The paths of what is rendered for an app.
fn objects(namespace: &str, name: &str) -> Vec<String> {
    vec![
        format!("api/v1/namespaces/{namespace}"),
        format!("api/v1/namespaces/{namespace}/services/{name}"),
        format!("api/v1/namespaces/{namespace}/serviceaccounts/{name}"),
        format!("apis/apps/v1/namespaces/{namespace}/deployments/{name}"),
    ]
}

/// Whether all of `part` stands in `whole`, which the server has filled with defaults. What each
/// server gives by itself is left out.
fn contained(part: &Value, whole: &Value, place: &str) -> anyhow::Result<()> {
    const OWN: [&str; 6] =
        ["uid", "resourceVersion", "creationTimestamp", "generation", "clusterIP", "finalizers"];
    match (part, whole) {
        (Value::Null, _) => Ok(()),
        (Value::Object(part), Value::Object(whole)) => part
            .iter()
            .filter(|(key, _)| !OWN.contains(&key.as_str()))
            .try_for_each(|(key, value)| {
                let other = whole.get(key).unwrap_or(&Value::Null);
                contained(value, other, &format!("{place}.{key}"))
            }),
        (Value::Array(part), Value::Array(whole)) => {
            ensure!(part.len() == whole.len(), "{place}: {part:?} is not {whole:?}");
            part.iter().zip(whole).try_for_each(|(a, b)| contained(a, b, place))
        }
        _ => {
            ensure!(part == whole, "{place}: {part} is not {whole}");
            Ok(())
        }
    }
}
