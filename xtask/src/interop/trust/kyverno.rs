//! The ClusterPolicy of `gitops render --admission kyverno`, before Kyverno's own program: what our key
//! has signed comes in, and nothing else does.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use fs_err as fs;
use serde_json::json;

use super::delivered::Delivered;
use crate::kube::Programs;
use crate::peers::run_quietly;
use crate::registries::Shop;
use crate::report::Report;

const PEER: &str = "Kyverno 1.19.1";
/// The name of the app, and of its namespace, which the policy is for.
const APP: &str = "vouched";

/// Runs every claim.
pub(super) fn run(
    shop: &Shop,
    delivered: &Delivered<'_>,
    report: &mut Report,
) -> anyhow::Result<()> {
    const CLAIM: &str = "lets in the app that we rendered: our key has signed its image (bundle)";
    let program = match Programs::new().and_then(|programs| programs.kyverno()) {
        Ok(program) => program,
        Err(error) => {
            report.skip(PEER, CLAIM, &format!("{error:#}"));
            return Ok(());
        }
    };
    let image = &delivered.release.image;
    // `gitops render` checks what it writes, so it is signed before.
    shop.kit("home", &format!("sign {image} --key ours.key --form bundle"))?;
    let flags = "--require-key ours.pub --admission kyverno";
    delivered.render(image, APP, flags)?;
    let policy = delivered.build(APP, &format!("policies/{APP}/dev"))?;
    let judge = Judge { shop, program, policy };
    let app = delivered.build(APP, &format!("apps/{APP}"))?;
    let pinned = delivered.pinned_image();
    report.claim(PEER, CLAIM, || {
        judge.admits(&app)?;
        judge.admits(&judge.pod("signed", APP, &pinned)?)
    });
    report.claim(PEER, "refuses an image by its tag, although it is signed", || {
        let words = format!("missing digest for {image}");
        judge.refuses(&judge.pod("loose", APP, image)?, &words)
    });
    let unsigned = &delivered.pinned_server;
    let words = "sigstore bundle verification failed: no matching signatures found";
    report.claim(PEER, "refuses an image that nobody has signed", || {
        judge.refuses(&judge.pod("unsigned", APP, unsigned)?, words)
    });
    report.claim(PEER, "refuses an image that another key has signed", || {
        shop.kit("home", &format!("sign {unsigned} --key other.key --form bundle"))?;
        judge.refuses(&judge.pod("other", APP, unsigned)?, words)
    });
    report.claim(PEER, "refuses an image of which our key says something else", || {
        let attest = "--key ours.key --type slsaprovenance1 --predicate said.json";
        shop.kit("home", &format!("attest {unsigned} {attest}"))?;
        judge.refuses(&judge.pod("said", APP, unsigned)?, words)
    });
    report.claim(PEER, "passes over what volumes bring, for which the server looks itself", || {
        judge.admits(&judge.pod_with("mounting", APP, &pinned, Some(unsigned))?)
    });
    report.claim(PEER, "lets other namespaces be", || {
        let said = judge.apply(&judge.pod("beside", "beside", unsigned)?)?;
        ensure!(said.contains("pass: 0, fail: 0"), "it judges them: {said}");
        Ok(())
    });
    Ok(())
}

struct Judge<'a> {
    shop: &'a Shop,
    program: PathBuf,
    policy: PathBuf,
}

impl Judge<'_> {
    /// A file with a pod of one image.
    fn pod(&self, name: &str, namespace: &str, image: &str) -> anyhow::Result<PathBuf> {
        self.pod_with(name, namespace, image, None)
    }

    /// The same with another image mounted.
    fn pod_with(
        &self,
        name: &str,
        namespace: &str,
        image: &str,
        mounted: Option<&str>,
    ) -> anyhow::Result<PathBuf> {
        let volumes = mounted.map(|it| json!({ "name": "b", "image": { "reference": it } }));
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": { "name": name, "namespace": namespace },
            "spec": { "containers": [{ "name": "a", "image": image }], "volumes": Vec::from_iter(volumes) },
        });
        let file = self.shop.dir.join(format!("pod-{name}.yaml"));
        // JSON is YAML, too.
        fs::write(&file, pod.to_string())?;
        Ok(file)
    }

    /// Asks the registry, too; its images on loopback go by plain HTTP.
    fn apply(&self, resource: &Path) -> anyhow::Result<String> {
        let mut command = self.shop.command(&self.program, "apply --registry --remove-color");
        command.arg(&self.policy).arg("--resource").arg(resource).env("HOME", &self.shop.dir);
        run_quietly(&mut command)
    }

    fn admits(&self, resource: &Path) -> anyhow::Result<()> {
        let said = self.apply(resource)?;
        ensure!(!said.contains("pass: 0"), "it does not judge it: {said}");
        ensure!(said.contains("fail: 0") && said.contains("error: 0"), "{said}");
        Ok(())
    }

    fn refuses(&self, resource: &Path, words: &str) -> anyhow::Result<()> {
        let said = format!("{:#}", self.apply(resource).err().context("it is let in")?);
        let is_refusal = said.contains("error: 0") && !said.contains("fail: 0");
        ensure!(is_refusal, "it is no refusal: {said}");
        ensure!(said.contains(words), "in other words: {said}");
        Ok(())
    }
}
