//! `kit-rs gitops lint`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use gitops::flux::FluxVersion;
use gitops::lint::{Finding, Options, Report, lint, policies};
use gitops::{Severity, Tree};
use serde_json::{Value, json};

use super::bases::with_bases;
use super::release::weights_here;
use crate::failure::{WithHint as _, asked_wrongly, failure};
use crate::kind::Kind;
use crate::network::Network;
use crate::output::{lines, n_of, table};
use crate::ui::Ui;

/// Hold any tree against the schemas of Kubernetes and Flux, and a list of named policies
///
/// Objects are judged as they are built; an object is not asked what its annotation
/// lint.kit-rs/ignore lists. Exits with 1 where there is a finding.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A repository's working tree, any other folder, or a file
    #[arg(default_value = ".")]
    path: PathBuf,
    /// Ask only these policies (repeatable, or with commas)
    #[arg(long, value_name = "POLICY", value_delimiter = ',')]
    only: Vec<String>,
    /// Ask these too, which are not asked by default
    #[arg(long, value_name = "POLICY", value_delimiter = ',', conflicts_with = "only")]
    enable: Vec<String>,
    /// Do not ask these
    #[arg(long, value_name = "POLICY", value_delimiter = ',')]
    skip: Vec<String>,
    /// The version of Flux that is to take it: what it does not have, or has no more, is told
    #[arg(long, default_value_t, value_name = "VERSION")]
    flux_version: FluxVersion,
    /// Show the policies instead
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    network: Network,
}

pub(super) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    let set = |ids: Vec<String>| ids.into_iter().collect::<BTreeSet<String>>();
    let mut options = Options {
        only: set(args.only),
        also: set(args.enable),
        skip: set(args.skip),
        flux: args.flux_version,
        ..Options::default()
    };
    if let Some(id) = options.unknown() {
        let unknown = asked_wrongly(format!("there is no policy `{id}`"));
        return Err(unknown).hint("kit-rs gitops lint --list shows all");
    }
    if args.list {
        return list(ui);
    }
    let read = super::tree::read(&args.path)?;
    options.branches = read.branches;
    let tree = with_bases(read.tree, &args.network, ui);
    let report = judged(&tree, options, ui);
    let shown = report.findings.iter().map(Finding::to_string);
    let text = match report.findings.is_empty() {
        true => format!("nothing is wrong with {}", n_of(report.n_objects as u64, "object")),
        false => lines(shown),
    };
    tell(&report, ui);
    ui.answer(text, &document(&report))?;
    match report.findings.len() as u64 {
        0 => Ok(()),
        n => Err(failure(Kind::Failed, n_of(n, "finding"))),
    }
}

/// Judges a tree, with what the local layout knows of its images.
fn judged(tree: &Tree, mut options: Options, ui: &Ui) -> Report {
    let report = lint(tree, &options);
    let known: BTreeMap<String, u64> = report
        .unweighed
        .iter()
        .filter_map(|image| Some((image.clone(), weights_here(image, ui)?)))
        .collect();
    if known.is_empty() {
        return report;
    }
    options.weights = known;
    lint(tree, &options)
}

/// Says what was not judged.
fn tell(report: &Report, ui: &Ui) {
    for ((api_version, kind), n) in &report.unknown {
        let objects = n_of(*n as u64, "object");
        ui.note(format_args!(
            "{objects} of {api_version} {kind}: no schema is known, so none was held against it"
        ));
    }
    for image in &report.unweighed {
        ui.note(format_args!(
            "{image} is not in the local layout, or has no model of its own: whether weights fit was not asked"
        ));
    }
}

fn word(severity: Severity) -> &'static str {
    if severity == Severity::Error { "error" } else { "warning" }
}

fn document(report: &Report) -> Value {
    let finding = |it: &Finding| {
        json!({
            "policy": it.policy,
            "severity": word(it.severity),
            "path": it.path,
            "line": it.line,
            "column": it.column,
            "object": it.object.as_ref().map(super::diff::object),
            "field": it.field,
            "message": it.message,
        })
    };
    let unknown = report.unknown.iter().map(
        |((api_version, kind), n)| json!({ "apiVersion": api_version, "kind": kind, "objects": n }),
    );
    json!({
        "files": report.n_files,
        "objects": report.n_objects,
        "findings": report.findings.iter().map(finding).collect::<Vec<_>>(),
        "unknownKinds": unknown.collect::<Vec<_>>(),
        "unknownWeights": report.unweighed,
    })
}

fn list(ui: &Ui) -> anyhow::Result<()> {
    let peers = |peers: &[(&str, &str)]| {
        let named: Vec<String> = peers.iter().map(|(tool, id)| format!("{tool} {id}")).collect();
        if named.is_empty() { "none".to_owned() } else { named.join(", ") }
    };
    let rows: Vec<Vec<String>> = policies()
        .iter()
        .map(|it| {
            let asked = if it.is_default { "always" } else { "--enable" };
            vec![
                it.id.into(),
                word(it.severity).into(),
                asked.into(),
                it.why.into(),
                peers(it.peers),
            ]
        })
        .collect();
    let documents = policies().iter().map(|it| {
        json!({
            "id": it.id,
            "severity": word(it.severity),
            "default": it.is_default,
            "why": it.why,
            "peers": it.peers.iter().map(|(tool, id)| json!({ "tool": tool, "id": id })).collect::<Vec<_>>(),
        })
    });
    let header = ["POLICY", "SEVERITY", "ASKED", "WHY", "IN OTHER TOOLS"];
    ui.answer(table(&header, &rows), &json!({ "policies": documents.collect::<Vec<_>>() }))
}
