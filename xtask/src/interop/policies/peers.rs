//! The tools on the other side: what they accept, and which of their checks refuse what.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use fs_err as fs;
use serde_json::Value;

use super::broken::Broken;
use crate::peers::{Peers, run_quietly};
use crate::registries::Shop;
use crate::report::Report;

const CHECKOV: &str = "checkov==3.3.30";
const VALIDATE: &str = "kubernetes-validate==1.37.0";
const KUBE_SCORE: (&str, &str) = ("github.com/zegl/kube-score/cmd/kube-score", "v1.20.0");
const KUBE_LINTER: (&str, &str) = ("golang.stackrox.io/kube-linter/cmd/kube-linter", "v0.8.1");
/// The version of Kubernetes whose schemas are asked.
const KUBERNETES: &str = "1.36.0";

/// kube-score asks for `imagePullPolicy: Always` even where the image is named by digest: then the
/// node's image is the one that is meant, and a registry that is down would stop every restart.
/// One replica is what was asked for.
const OTHERWISE: &str = "container-image-pull-policy,deployment-replicas";

/// The tools that could be had.
pub(super) struct Judges {
    checkov: Option<PathBuf>,
    validate: Option<PathBuf>,
    score: Option<PathBuf>,
    linter: Option<PathBuf>,
}

/// Which check of which tool refuses which tree.
#[derive(Default)]
pub(super) struct Refused(BTreeSet<(String, String, String)>);

impl Refused {
    pub(super) fn contains(&self, tool: &str, id: &str, tree: &str) -> bool {
        self.0.contains(&(tool.to_owned(), id.to_owned(), tree.to_owned()))
    }

    fn add(&mut self, tool: &str, id: &str, tree: &str) {
        self.0.insert((tool.to_owned(), id.to_owned(), tree.to_owned()));
    }
}

impl Judges {
    /// Brings the tools; one that cannot be had is skipped by name.
    pub(super) fn new(peers: &Peers, report: &mut Report) -> Self {
        let mut had = |name: &str, found: anyhow::Result<PathBuf>| match found {
            Ok(path) => Some(path),
            Err(error) => {
                report.skip(name, "every claim about it", &format!("{error:#}"));
                None
            }
        };
        let script = |environment: &str, package: &str, name: &str| {
            let python = peers.python(environment, &[package])?;
            Ok(python.with_file_name(name))
        };
        Self {
            checkov: had("checkov", script("checkov", CHECKOV, "checkov")),
            validate: had(
                "kubernetes-validate",
                script("kubernetes-validate", VALIDATE, "kubernetes-validate"),
            ),
            score: had("kube-score", peers.go(KUBE_SCORE.0, KUBE_SCORE.1, "kube-score")),
            linter: had("kube-linter", peers.go(KUBE_LINTER.0, KUBE_LINTER.1, "kube-linter")),
        }
    }

    pub(super) fn has(&self, tool: &str) -> bool {
        match tool {
            "checkov" => self.checkov.is_some(),
            "kube-score" => self.score.is_some(),
            _ => self.linter.is_some(),
        }
    }

    /// Claims that each accepts a repository.
    pub(super) fn accept(
        &self,
        shop: &Shop,
        name: &str,
        repository: &Path,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let files = objects(&repository.join("apps"))?;
        if let Some(checkov) = &self.checkov {
            report.claim("checkov", &format!("{name}: 0 failed"), || {
                let found = run_checkov(checkov, repository, &[])?;
                let summary = &found["summary"];
                ensure!(summary["failed"] == 0, "{:#}", found["results"]["failed_checks"]);
                ensure!(summary["passed"].as_u64() > Some(50), "it looked at nothing: {summary}");
                Ok(())
            });
        }
        if let Some(score) = &self.score {
            report.claim("kube-score", &format!("{name}: no warning but {OTHERWISE}"), || {
                let mut command = Command::new(score);
                command.args(["score", "--exit-one-on-warning", "--ignore-test", OTHERWISE]);
                run_quietly(command.args(&files)).map(drop)
            });
        }
        if let Some(linter) = &self.linter {
            report.claim("kube-linter", &format!("{name}: nothing"), || {
                run_quietly(Command::new(linter).arg("lint").arg(repository)).map(drop)
            });
        }
        if let Some(validate) = &self.validate {
            report.claim("kubernetes-validate", &format!("{name}: --strict, {KUBERNETES}"), || {
                let mut command = Command::new(validate);
                command.args(["--strict", "--kubernetes-version", KUBERNETES]);
                run_quietly(command.args(&files).current_dir(&shop.dir)).map(drop)
            });
        }
        Ok(())
    }

    /// Claims that Kubernetes' schemas refuse a tree, and we do.
    pub(super) fn refuse(
        &self,
        tree: &Path,
        fault: &str,
        report: &mut Report,
        ours: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let files = objects(&tree.join("apps"))?;
        if let Some(validate) = &self.validate {
            report.claim("kubernetes-validate", &format!("{fault}: both refuse it"), || {
                let mut command = Command::new(validate);
                command.args(["--strict", "--kubernetes-version", KUBERNETES]).args(&files);
                ensure!(run_quietly(&mut command).is_err(), "kubernetes-validate accepts it");
                ours()
            });
        }
        Ok(())
    }

    /// Which of their checks refuse the whole tree (`whole`) and the broken ones (by policy).
    pub(super) fn refused(
        &self,
        shop: &Shop,
        whole: &Path,
        trees: &[(&Broken, PathBuf)],
    ) -> anyhow::Result<Refused> {
        let mut refused = Refused::default();
        let mut named: Vec<(&str, &Path)> = vec![("whole", whole)];
        named.extend(trees.iter().map(|(broken, tree)| (broken.policy, tree.as_path())));
        for (name, tree) in &named {
            let files = objects(&tree.join("apps"))?;
            if let Some(score) = &self.score {
                by_score(score, name, &files, &mut refused)?;
            }
            if let Some(linter) = &self.linter {
                by_linter(linter, name, tree, &mut refused)?;
            }
        }
        if let Some(checkov) = &self.checkov {
            by_checkov(checkov, shop, &named, &mut refused)?;
        }
        Ok(refused)
    }
}

/// One run over all trees, which are told apart by their paths; what belongs together across files
/// is seen in a tree by itself only.
fn by_checkov(
    checkov: &Path,
    shop: &Shop,
    named: &[(&str, &Path)],
    refused: &mut Refused,
) -> anyhow::Result<()> {
    const TOGETHER: &str = "CKV2_K8S_6";
    let all = shop.dir.join("all");
    for (name, tree) in named {
        super::copy(&tree.join("apps"), &all.join(name))?;
    }
    let found = run_checkov(checkov, &all, &["--skip-check", TOGETHER])?;
    let failed = found["results"]["failed_checks"].as_array().context("it lists what failed")?;
    for check in failed {
        let (id, path) = (text(&check["check_id"]), text(&check["file_path"]));
        let name = path.trim_start_matches('/').split('/').next().unwrap_or_default();
        refused.add("checkov", id, name);
    }
    for (name, tree) in named.iter().filter(|(name, _)| matches!(*name, "whole" | "network-policy"))
    {
        let found = run_checkov(checkov, tree, &["--check", TOGETHER])?;
        if found["summary"]["failed"].as_u64() > Some(0) {
            refused.add("checkov", TOGETHER, name);
        }
    }
    Ok(())
}

fn run_checkov(checkov: &Path, tree: &Path, more: &[&str]) -> anyhow::Result<Value> {
    let mut command = Command::new(checkov);
    command.args(["--framework", "kubernetes", "--output", "json", "--directory"]).arg(tree);
    // Findings are its answer, without what passed; it asks nobody for guidelines.
    command.args(["--skip-download", "--soft-fail", "--quiet", "--compact"]);
    command.args(more).stdin(Stdio::null());
    let said = run_quietly(&mut command)?;
    serde_json::from_str(&said).with_context(|| format!("checkov says {said}"))
}

fn by_score(
    score: &Path,
    name: &str,
    files: &[PathBuf],
    refused: &mut Refused,
) -> anyhow::Result<()> {
    let mut command = Command::new(score);
    command.args(["score", "--output-format", "json"]);
    for optional in ["container-seccomp-profile", "container-memory-requests-equal-limits"] {
        command.args(["--enable-optional-test", optional]);
    }
    let output =
        command.args(files).stdin(Stdio::null()).output().context("cannot run kube-score")?;
    let objects: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    for object in objects.as_array().into_iter().flatten() {
        for check in object["checks"].as_array().into_iter().flatten() {
            // 10 is "all OK".
            if check["skipped"] != true && check["grade"].as_u64() < Some(10) {
                refused.add("kube-score", text(&check["check"]["id"]), name);
            }
        }
    }
    Ok(())
}

fn by_linter(linter: &Path, name: &str, tree: &Path, refused: &mut Refused) -> anyhow::Result<()> {
    let mut command = Command::new(linter);
    command.args(["lint", "--add-all-built-in", "--format", "json"]).arg(tree).stdin(Stdio::null());
    let output = command.output().context("cannot run kube-linter")?;
    let said: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    for found in said["Reports"].as_array().into_iter().flatten() {
        refused.add("kube-linter", text(&found["Check"]), name);
    }
    Ok(())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The files of objects below a folder; lists of kustomize are none, nor is the record of a
/// rendering.
fn objects(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yaml")
                && path.file_name().is_some_and(|name| name != "kustomization.yaml")
            {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}
