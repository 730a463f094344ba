//! `kit-rs gitops check`.

use std::path::PathBuf;

use gitops::reconcile::Status;
use gitops::{Problem, Said, Severity};
use serde_json::{Value, json};

use crate::failure::failure;
use crate::kind::Kind;
use crate::output::{n_of, table};
use crate::ui::Ui;

/// Say what Flux would say of a repository, or with --pre whether a cluster is ready for it
///
/// Each Flux Kustomization of the repository is reconciled against a cluster on paper: its conditions
/// are those that Flux would show. Exits with 1 where one would not become ready.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The repository's working tree
    #[arg(default_value = ".", value_name = "DIR")]
    dir: PathBuf,
    /// The branch that is pushed to [default: any that the repository has]
    #[arg(long)]
    branch: Option<gitops::Branch>,
    /// Look at the cluster instead: does it answer, is it new enough, has it Flux
    #[arg(long, conflicts_with_all = ["dir", "branch"])]
    pre: bool,
    /// The Kubernetes API (plain HTTP), for --pre [default: ask kubectl]
    #[arg(long, value_name = "URL", env = "KIT_RS_SERVER")]
    server: Option<String>,
}

pub(super) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    if args.pre {
        return super::precheck::run(args.server.as_deref(), ui);
    }
    let read = super::tree::read(&args.dir)?;
    let branch = args.branch.map(|branch| branch.to_string());
    let branches = branch.clone().map(|branch| [branch].into()).or(read.branches);
    let said = gitops::rehearse(&read.tree, branch.as_deref().unwrap_or("HEAD"), branches.as_ref());
    let problems = match gitops::check(&read.tree, branch.as_deref()) {
        Ok(warnings) => warnings,
        Err(problems) => problems.0,
    };
    // What is no error of ours stands in Flux' own words already.
    for problem in problems.iter().filter(|it| it.severity == Severity::Warning) {
        ui.warn(problem);
    }
    for said in &said {
        if !said.beyond.is_empty() {
            let fields: Vec<String> =
                said.beyond.iter().map(|field| format!("spec.{field}")).collect();
            ui.warn(format_args!("{}: {} is not done here", said.object, fields.join(", ")));
        }
    }
    if said.is_empty() {
        ui.warn("there is no Flux Kustomization of this repository in it");
    }
    let not_ready = said.iter().filter(|it| it.ready.status != Status::True).count();
    let unsaid: Vec<&Problem> =
        problems.iter().filter(|it| it.severity == Severity::Error && not_ready == 0).collect();
    for problem in &unsaid {
        ui.warn(problem);
    }
    ui.answer(shown(&said), &document(&said, &problems))?;
    match (not_ready + unsaid.len()) as u64 {
        0 => Ok(()),
        n => Err(failure(Kind::Failed, format!("Flux would not get {} to work", n_of(n, "thing")))),
    }
}

fn shown(said: &[Said]) -> String {
    let rows: Vec<Vec<String>> = said
        .iter()
        .map(|it| {
            vec![
                it.root.clone(),
                format!("{}/{}", it.object.kind, it.object.name),
                it.ready.status.as_str().to_owned(),
                it.ready.reason.to_owned(),
                it.ready.message.trim_end().to_owned(),
            ]
        })
        .collect();
    table(&["FOLDER", "NAME", "READY", "REASON", "MESSAGE"], &rows)
}

fn document(said: &[Said], problems: &[Problem]) -> Value {
    let conditions = said.iter().map(|it| {
        json!({
            "folder": it.root,
            "object": super::diff::object(&it.object),
            "ready": it.ready.status.as_str(),
            "reason": it.ready.reason,
            "message": it.ready.message,
            "notDoneHere": it.beyond,
        })
    });
    let problems = problems.iter().map(|it| {
        let severity = if it.severity == Severity::Error { "error" } else { "warning" };
        json!({ "severity": severity, "path": it.path, "message": it.message })
    });
    json!({
        "conditions": conditions.collect::<Vec<_>>(),
        "problems": problems.collect::<Vec<_>>(),
    })
}
