//! `--source bucket://…`: the rendered files in a bucket of a server that speaks S3.

use std::process::Command;

use anyhow::{Context as _, ensure};
use fs_err as fs;
use serde_json::Value;

use super::{PEER, Stage, is_ready};
use crate::kube::Daemon;
use crate::peers::Peers;
use crate::registries::free_address;
use crate::release::Release;
use crate::report::Report;

const SERVER: (&str, &str) = ("github.com/johannesboyne/gofakes3/cmd/gofakes3", "v1.2.0");
const API: &str = "source.toolkit.fluxcd.io/v1";
const APP: &str = "bucketed";
const SECRET: &str = "bucket-keys";

pub(super) fn run(
    stage: &Stage<'_>,
    peers: &Peers,
    first: &Release,
    report: &mut Report,
) -> anyhow::Result<()> {
    let peer = format!("gofakes3 1.2.0, source-controller 1.9.6, {PEER}");
    let program = match peers.go(SERVER.0, SERVER.1, "gofakes3") {
        Ok(program) => program,
        Err(error) => {
            report.skip(&peer, "--source bucket://…", &format!("{error:#}"));
            return Ok(());
        }
    };
    let address = free_address()?;
    let mut command = Command::new(program);
    command.args(["-backend", "memory", "-initialbucket", "files", "-host", &address]);
    let mut server = Daemon::start("gofakes3", &mut command, &stage.shop.dir)?;
    let bucket = Bucket { url: format!("http://{address}/files") };
    server.await_ready(|| ureq::get(&bucket.url).call().is_ok())?;
    let second = stage.release("bucket-2")?;
    let source = format!("--source bucket://{address}/files");
    report.claim(&peer, "--source bucket://…: the app is applied from the bucket", || {
        stage.render(APP, &first.image, &source)?;
        bucket.put(stage, APP)?;
        stage.commit()?;
        applied(stage, APP, first)
    });
    report.claim(&peer, "--source bucket://…: a bump is applied once the bucket has it", || {
        let work = stage.repository.work.display();
        stage.kit(&format!("gitops bump {} --app {APP} --dir {work}", second.image))?;
        bucket.put(stage, APP)?;
        stage.request(API, "buckets", &source_of(APP))?;
        applied(stage, APP, &second)
    });
    report.claim(&peer, "--source-secret: a bucket is read with the keys of that Secret", || {
        let app = "bucketed-keys";
        stage.render(app, &first.image, &format!("{source} --source-secret {SECRET}"))?;
        bucket.put(stage, app)?;
        stage.commit()?;
        stage.wait(&path_of(app), |it| {
            let conditions = it["status"]["conditions"].as_array().into_iter().flatten();
            let mut ready = conditions.filter(|it| it["type"] == "Ready" && it["status"] == "False");
            ready.any(|it| it["message"].as_str().is_some_and(|told| told.contains(SECRET)))
        })?;
        stage.kubectl(&format!(
            "create secret generic {SECRET} -n flux-system --from-literal=accesskey=reader --from-literal=secretkey=unused"
        ))?;
        stage.request(API, "buckets", &source_of(app))?;
        applied(stage, app, first)
    });
    Ok(())
}

struct Bucket {
    url: String,
}

impl Bucket {
    /// Brings the files of an app into it.
    fn put(&self, stage: &Stage<'_>, app: &str) -> anyhow::Result<()> {
        let work = &stage.repository.work;
        let folder = format!("apps/{app}");
        stage.repository.git(&["add", "--all"])?;
        let files = stage.repository.git(&["ls-files", &folder])?;
        ensure!(files.lines().count() > 1, "{folder} has no files");
        for file in files.lines() {
            let content = fs::read(work.join(file))?;
            ureq::put(format!("{}/{file}", self.url)).send(&content[..])?;
        }
        Ok(())
    }
}

fn source_of(app: &str) -> String {
    format!("{app}-app")
}

fn path_of(app: &str) -> String {
    format!("apis/{API}/namespaces/flux-system/buckets/{}", source_of(app))
}

/// Waits until an app runs a release, at the revision of its bucket.
fn applied(stage: &Stage<'_>, app: &str, release: &Release) -> anyhow::Result<()> {
    let path = format!("apis/apps/v1/namespaces/{app}/deployments/{app}");
    stage
        .wait(&path, |it| {
            let image = &it["spec"]["template"]["spec"]["containers"][0]["image"];
            image.as_str().is_some_and(|image| image.ends_with(&release.digest))
        })
        .with_context(|| {
            let source = stage.plane.api.find(&path_of(app)).ok().flatten().unwrap_or_default();
            format!("the bucket says {}", source["status"])
        })?;
    let source = stage.wait(&path_of(app), is_ready)?;
    let revision: &Value = &source["status"]["artifact"]["revision"];
    stage.await_ready(app, revision.as_str().context("the bucket has no artifact")?)
}
