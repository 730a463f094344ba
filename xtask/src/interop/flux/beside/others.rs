//! What is rendered for others than Flux, held against their own definitions by the API server.

use std::path::Path;

use anyhow::ensure;
use fs_err as fs;

use super::Stage;
use crate::kube::Programs;
use crate::peers::run_quietly;
use crate::release::Release;
use crate::report::Report;

const ARGO_CD: (&str, &str) = ("github.com/argoproj/argo-cd/v3", "v3.5.7");
const KSERVE: (&str, &str) = ("github.com/kserve/kserve", "v0.20.0");

pub(super) fn run(stage: &Stage<'_>, programs: &Programs, first: &Release, report: &mut Report) {
    let argo_cd = "Argo CD 3.5.7's definitions in Kubernetes 1.36.4";
    match programs.module(ARGO_CD.0, ARGO_CD.1) {
        Err(error) => report.skip(argo_cd, "--argocd", &format!("{error:#}")),
        Ok(module) => {
            report.claim(argo_cd, "--argocd: a strict dry run takes both layouts", || {
                define(stage, &module.join("manifests/crds/application-crd.yaml"))?;
                stage.kubectl("create namespace argocd")?;
                for (app, layout) in [("argued", "flat"), ("argued-envs", "envs")] {
                    let url = &stage.repository.url;
                    let flags = format!("--layout {layout} --argocd {url}");
                    stage.render(app, &first.image, &flags)?;
                    let file = format!("argocd/dev/{app}.yaml");
                    strictly(stage, &stage.repository.read(&file)?)?;
                }
                Ok(())
            })
        }
    }
    let kserve = "KServe 0.20's definitions in Kubernetes 1.36.4";
    match programs.module(KSERVE.0, KSERVE.1) {
        Err(error) => report.skip(kserve, "--delivery kserve", &format!("{error:#}")),
        Ok(module) => {
            let claim = "--delivery kserve: a strict dry run takes the InferenceService";
            report.claim(kserve, claim, || served(stage, &module, first));
        }
    }
}

fn served(stage: &Stage<'_>, module: &Path, first: &Release) -> anyhow::Result<()> {
    define(stage, &module.join("config/crd/full/serving.kserve.io_inferenceservices.yaml"))?;
    let server = format!("{}/demo/server:1", stage.registry.address);
    stage.kit(&format!("image server -t {server} --runtime {}", stage.program.display()))?;
    stage.kit(&format!("push {server}"))?;
    stage.kit(&format!("image mount-face {} --push", first.kit))?;
    for (app, layout) in [("kserved", "flat"), ("kserved-envs", "envs")] {
        let flags = format!("--layout {layout} --delivery kserve --modelkit {}", first.kit);
        stage.render(app, &server, &flags)?;
        let folder = match layout {
            "flat" => format!("apps/{app}"),
            _ => format!("apps/{app}/overlays/dev"),
        };
        let work = stage.repository.work.display();
        let built = stage.kit(&format!("gitops build {folder} --dir {work}"))?;
        ensure!(built.contains("kind: InferenceService"), "there is none:\n{built}");
        stage.kubectl(&format!("create namespace {app}"))?;
        strictly(stage, &built)?;
    }
    Ok(())
}

/// Has the API server know the kinds of a file, or of those of a folder.
pub(super) fn define(stage: &Stage<'_>, file: &Path) -> anyhow::Result<()> {
    run_quietly(stage.plane.kubectl("apply --server-side -f").arg(file))?;
    stage.plane.await_definitions()
}

/// Whether the API server would take objects as they are written, without a word.
fn strictly(stage: &Stage<'_>, objects: &str) -> anyhow::Result<()> {
    dry_run(stage, "--validate=strict --warnings-as-errors", objects)
}

pub(super) fn dry_run(stage: &Stage<'_>, flags: &str, objects: &str) -> anyhow::Result<()> {
    let file = stage.shop.dir.join("strictly.yaml");
    fs::write(&file, objects)?;
    let line = format!("apply --server-side --force-conflicts --dry-run=server {flags} -f");
    run_quietly(stage.plane.kubectl(&line).arg(&file)).map(drop)
}
