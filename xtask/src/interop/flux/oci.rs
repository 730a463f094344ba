//! A source without Git: what `flux push artifact` has put into our registry.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::ensure;
use fs_err as fs;

use super::cases::map;
use super::world::{PATIENCE, World, path_of};
use super::{PEER, say};
use crate::kube::Programs;
use crate::peers::run_quietly;
use crate::registries::Registry;
use crate::report::Report;

pub(super) fn run(
    world: &World,
    programs: &Programs,
    program: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    let dir = world.shop.dir.join("oci");
    fs::create_dir_all(dir.join("app"))?;
    let registry = Registry::ours(program, &dir.join("registry"), "127.0.0.1:0", &[])?;
    report.claim(
        PEER,
        "an OCIRepository of our registry: pushed by `flux`, applied, and followed",
        || {
            let flux = programs.flux()?;
            let push = |data: &str, revision: &str| {
                fs::write(dir.join("app/a.yaml"), map(data, "default", ""))?;
                let mut push = Command::new(&flux);
                push.args(["push", "artifact", "--insecure-registry", "--source=test"]);
                push.arg(format!("--revision={revision}")).arg("--path").arg(dir.join("app"));
                push.arg(format!("oci://{}/demo/infra:latest", registry.address));
                run_quietly(push.env("HOME", &dir)).map(drop)
            };
            let there = |name: &str, wanted: bool| {
                let path = format!("api/v1/namespaces/default/configmaps/{name}");
                world.await_in(&world.plane.api, &path, wanted)
            };
            push("from-oci", "v1@sha1:1")?;
            let file = dir.join("sync.yaml");
            fs::write(&file, sync(&registry.address, "demo/infra", "ref: {tag: latest}"))?;
            run_quietly(world.plane.kubectl("apply --server-side -f").arg(&file))?;
            there("from-oci", true)?;
            push("from-oci-two", "v2@sha1:2")?;
            world.request("source.toolkit.fluxcd.io/v1", "ocirepositories", "oci")?;
            there("from-oci-two", true)?;
            there("from-oci", false)?;
            let done =
                world.plane.api.wait(&path_of("oci"), PATIENCE, |it| say::status(it).is_some())?;
            let said = say::status(&done).unwrap_or_default();
            ensure!(said.contains("Applied revision: latest@sha256:"), "{said}");
            run_quietly(world.plane.kubectl("delete --wait=false -f").arg(&file)).map(drop)
        },
    );
    report.claim(
        PEER,
        "what `kit-rs gitops push` brings there: applied by both with the same words, and followed",
        || {
            let push = |data: &str| {
                fs::write(dir.join("app/a.yaml"), map(data, "default", ""))?;
                let mut push = Command::new(program);
                push.args(["gitops", "push", "--source=test", "--revision=v1@sha1:1"]);
                push.arg(dir.join("app"));
                push.arg(format!("oci://{}/demo/infra:latest", registry.address));
                run_quietly(push.env("HOME", &dir)).map(drop)
            };
            let maps = |name: &str| format!("api/v1/namespaces/default/configmaps/{name}");
            push("from-ours")?;
            let sync = sync(&registry.address, "demo/infra", "ref: {tag: latest}");
            let sync = sync.replacen("interval: 10m", "interval: 1s", 1);
            world.repository.write("clusters/dev/oci.yaml", &sync)?;
            world.push()?;
            world.await_there(&maps("from-ours"), true)?;
            let source =
                "apis/source.toolkit.fluxcd.io/v1/namespaces/flux-system/ocirepositories/oci";
            world.agree(source, Instant::now() + PATIENCE, say::status)?;
            world.agree(&path_of("oci"), Instant::now() + PATIENCE, say::status)?;
            push("from-ours-two")?;
            world.await_there(&maps("from-ours-two"), true)?;
            world.await_there(&maps("from-ours"), false)?;
            world.repository.remove("clusters/dev/oci.yaml")?;
            world.push().map(drop)
        },
    );
    report.claim(
        PEER,
        "a ModelKit that carries its manifests: both take that layer of the newest version, and nothing else",
        || {
            let kit = dir.join("kit");
            fs::create_dir_all(&kit)?;
            fs::write(kit.join("weights"), "none of Flux' business")?;
            let kitfile = "manifestVersion: 1.0.0\nmodel:\n  path: weights\n";
            fs::write(kit.join("Kitfile"), kitfile)?;
            let ours = |words: &[&str]| {
                let mut command = Command::new(program);
                run_quietly(command.args(words).env("HOME", &dir)).map(drop)
            };
            let (kit, app) = (kit.display().to_string(), dir.join("app").display().to_string());
            let release = |version: &str, data: &str| {
                fs::write(dir.join("app/a.yaml"), map(data, "default", ""))?;
                let name = format!("{}/demo/kit:{version}", registry.address);
                ours(&["pack", &kit, "-t", &name, "--with-manifests", &app])?;
                ours(&["push", &name])
            };
            let maps = |name: &str| format!("api/v1/namespaces/default/configmaps/{name}");
            release("1.0.0", "from-kit")?;
            release("2.0.0", "from-other-kit")?;
            let selected = "ref: {semver: 1.x}, layerSelector: {mediaType: application/vnd.cncf.flux.content.v1.tar+gzip}";
            let sync = sync(&registry.address, "demo/kit", selected);
            let sync = sync.replacen("interval: 10m", "interval: 1s", 1);
            world.repository.write("clusters/dev/oci.yaml", &sync)?;
            world.push()?;
            world.await_there(&maps("from-kit"), true)?;
            let source =
                "apis/source.toolkit.fluxcd.io/v1/namespaces/flux-system/ocirepositories/oci";
            world.agree(source, Instant::now() + PATIENCE, say::status)?;
            release("1.1.0", "from-kit-two")?;
            world.await_there(&maps("from-kit-two"), true)?;
            world.await_there(&maps("from-kit"), false)?;
            world.repository.remove("clusters/dev/oci.yaml")?;
            world.push().map(drop)
        },
    );
    Ok(())
}

fn sync(registry: &str, repository: &str, artifact: &str) -> String {
    format!(
        "apiVersion: source.toolkit.fluxcd.io/v1
kind: OCIRepository
metadata: {{name: oci, namespace: flux-system}}
spec: {{interval: 10m, insecure: true, url: 'oci://{registry}/{repository}', {artifact}}}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {{name: oci, namespace: flux-system}}
spec: {{interval: 10m, prune: true, path: ./, sourceRef: {{kind: OCIRepository, name: oci}}}}
"
    )
}
