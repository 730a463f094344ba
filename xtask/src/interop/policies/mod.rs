//! Policies: what we render, held against checkov, kube-linter, kube-score and the schemas of
//! Kubernetes; and each policy of ours against its counterparts, on trees that break it.

mod broken;
mod forms;
mod peers;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use fs_err as fs;
use serde_json::Value;

use self::broken::{BROKEN, Broken, FAULTS};
use self::forms::Form;
use self::peers::Judges;
use crate::peers::Peers;
use crate::registries::Shop;
use crate::report::Report;

/// Runs every claim.
pub(super) fn run(
    peers: &Peers,
    program: &Path,
    dir: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    let shop = Shop::open(dir.to_owned(), program.to_owned())?;
    let judges = Judges::new(peers, report);
    let repositories = forms::render(&shop)?;
    for Form { name, repository, objects } in &repositories {
        report.claim("kit-rs", &format!("{name}: gitops lint finds nothing"), || {
            shop.kit("home", &format!("gitops lint {}", repository.display())).map(drop)
        });
        report.claim("kit-rs", &format!("{name}: gitops check: Flux would apply it"), || {
            shop.kit("home", &format!("gitops check {}", repository.display())).map(drop)
        });
        judges.accept(&shop, name, objects, report)?;
    }
    let whole = repositories.iter().find(|form| form.name == forms::MANY).context("it is made")?;
    let whole = &whole.repository;
    for fault in FAULTS {
        let tree = shop.dir.join("faults").join(fault.policy.replace(' ', "-"));
        fault.write(whole, &tree)?;
        judges.refuse(&tree, fault.policy, report, || {
            let lint = format!("gitops lint {} --only schema", tree.display());
            ensure!(shop.kit("home", &lint).is_err(), "we accept it");
            Ok(())
        })?;
    }
    same(&shop, &judges, whole, report)
}

/// What a counterpart refuses we refuse, and what it accepts we accept.
fn same(shop: &Shop, judges: &Judges, whole: &Path, report: &mut Report) -> anyhow::Result<()> {
    let peers = counterparts(shop)?;
    let folder = shop.dir.join("broken");
    let mut trees: Vec<(&Broken, PathBuf)> = Vec::new();
    for broken in BROKEN {
        let tree = folder.join(broken.policy);
        broken.write(whole, &tree)?;
        trees.push((broken, tree));
    }
    let refused = judges.refused(shop, whole, &trees)?;
    for (policy, ids) in &peers {
        let is_tried = trees.iter().any(|(broken, _)| broken.policy == policy);
        for (tool, id) in ids {
            if !judges.has(tool) {
                continue;
            }
            let claim =
                format!("{policy} is {id}: both refuse the tree that breaks it, and take ours");
            if !is_tried {
                report.skip(tool, &claim, "no tree here breaks it");
                continue;
            }
            report.claim(tool, &claim, || {
                ensure!(!refused.contains(tool, id, "whole"), "{tool} refuses ours");
                ensure!(refused.contains(tool, id, policy), "{tool} accepts the broken tree");
                let only = |tree: &Path| {
                    shop.kit("home", &format!("gitops lint {} --only {policy}", tree.display()))
                };
                only(whole).context("we refuse ours")?;
                let of = trees.iter().find(|(broken, _)| broken.policy == policy);
                let (_, tree) = of.context("it is tried")?;
                ensure!(only(tree).is_err(), "we accept the broken tree");
                Ok(())
            });
        }
    }
    Ok(())
}

/// The policies that other tools have, too, as the program lists them.
fn counterparts(shop: &Shop) -> anyhow::Result<BTreeMap<String, Vec<(String, String)>>> {
    let list: Value = serde_json::from_str(&shop.kit("home", "gitops lint --list --format json")?)?;
    let policies = list["policies"].as_array().context("it lists policies")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let peers = |policy: &Value| {
        let peers = policy["peers"].as_array().into_iter().flatten();
        peers.map(|peer| (text(&peer["tool"]), text(&peer["id"]))).collect::<Vec<_>>()
    };
    Ok(policies
        .iter()
        .map(|policy| (text(&policy["id"]), peers(policy)))
        .filter(|(_, peers)| !peers.is_empty())
        .collect())
}

/// Copies a tree of files.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true if entry.file_name() == ".git" => {}
            true => copy(&entry.path(), &target)?,
            false => drop(fs::copy(entry.path(), target)?),
        }
    }
    Ok(())
}
