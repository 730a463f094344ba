//! `kit-rs gitops diff`.

use std::path::PathBuf;
use std::sync::Arc;

use gitops::ObjectId;
use gitops::diff::{Action, Diff, Side};
use serde_json::{Value, json};

use super::bases::of_registries;
use super::revision::{Repository, Revision};
use crate::failure::failure;
use crate::kind::Kind;
use crate::network::Network;
use crate::output::n_of;
use crate::ui::Ui;

/// Show what commits change in the objects that the repository builds
///
/// Every Flux Kustomization and kustomize folder is built at both revisions; nothing is checked out,
/// and no cluster is asked. Exits with 0 where all objects are the same, with 1 where they differ or
/// do not build, and with 2 where a revision is not there.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A..B, A...B (from where both parted), or A: from there to the working tree
    #[arg(default_value = "HEAD", value_name = "REV..REV")]
    revisions: String,
    /// The Git repository
    #[arg(long, default_value = ".", value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    network: Network,
}

pub(super) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    let repository = Repository::of(&args.dir)?;
    let (from, to) = repository.range(&args.revisions)?;
    let bases = of_registries(&args.network, ui);
    let trees = repository.trees([&from, &to])?;
    let trees = trees.map(|tree| tree.with_bases(Arc::clone(&bases)));
    let diff = gitops::diff::diff(&trees[0], &trees[1]);
    tell(&diff, ui);
    let text = match (diff.is_empty(), diff.changes.is_empty()) {
        (true, _) => format!("nothing changes in {}", n_of(diff.n_builds as u64, "build")),
        (_, true) => "nothing is known to change".to_owned(),
        _ => diff.to_string().trim_end().to_owned(),
    };
    ui.answer(text, &document(&diff, &from, &to))?;
    end(&diff)
}

/// Says what is not in the answer, or less than it seems.
fn tell(diff: &Diff, ui: &Ui) {
    for failed in &diff.failures {
        let side = if failed.side == Side::Old { "before" } else { "after" };
        ui.warn(format_args!("{} does not build {side}: {}", failed.build, failed.message));
    }
    for (build, field) in &diff.unheeded {
        ui.warn(format_args!("{build}: spec.{field} is not all known here, and may change more"));
    }
    for (object, source) in &diff.elsewhere {
        ui.note(format_args!("{object} is not built: its files come from {source}"));
    }
    if diff.n_builds == 0 {
        ui.warn("there is no Flux Kustomization of this repository and no kustomize folder in it");
    }
}

fn document(diff: &Diff, from: &Revision, to: &Revision) -> Value {
    let commit = |revision: &Revision| match revision {
        Revision::Commit(id) => Some(id.clone()),
        Revision::WorkTree => None,
    };
    let changes = diff.changes.iter().map(|change| {
        json!({
            "change": change.action.word(),
            "build": change.build.to_string(),
            "folder": change.folder,
            "object": object(&change.object),
            "diff": change.diff,
        })
    });
    let failures = diff.failures.iter().map(|failed| {
        json!({
            "build": failed.build.to_string(),
            "revision": if failed.side == Side::Old { commit(from) } else { commit(to) },
            "message": failed.message,
        })
    });
    json!({
        "from": commit(from),
        "to": commit(to),
        "equal": diff.is_empty(),
        "builds": diff.n_builds,
        "changes": changes.collect::<Vec<_>>(),
        "failures": failures.collect::<Vec<_>>(),
    })
}

pub(super) fn object(id: &ObjectId) -> Value {
    json!({
        "apiVersion": id.api_version(),
        "kind": id.kind,
        "namespace": id.namespace,
        "name": id.name,
    })
}

fn end(diff: &Diff) -> anyhow::Result<()> {
    if diff.is_empty() {
        return Ok(());
    }
    let counts: Vec<String> = [Action::Added, Action::Changed, Action::Removed]
        .into_iter()
        .filter(|action| diff.count(*action) > 0)
        .map(|action| format!("{} {}", diff.count(action), action.word()))
        .collect();
    match diff.failures.len() as u64 {
        0 => Err(failure(Kind::Failed, format!("the objects differ: {}", counts.join(", ")))),
        n => Err(failure(
            Kind::Invalid,
            format!("{} did not work, and cannot be compared", n_of(n, "build")),
        )),
    }
}
