//! `kit-rs gitops get`.

use std::time::{Duration, SystemTime};

use clap::ValueEnum;
use gitops::Name;
use gitops::get::Table;
use serde_json::Value;

use super::api::Api;
use crate::failure::WithHint as _;
use crate::kind;
use crate::ui::Ui;

/// How often `--watch` looks.
const PERIOD: Duration = Duration::from_millis(500);

/// Show what runs: Flux Kustomizations, Deployments or pods
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which objects
    #[arg(value_enum)]
    kind: Kind,
    /// The Kubernetes API (plain HTTP), such as the local cluster's [default: ask kubectl]
    #[arg(long, value_name = "URL", env = "KIT_RS_SERVER")]
    server: Option<String>,
    /// Only this namespace
    #[arg(short, long)]
    namespace: Option<Name>,
    /// Keep looking, and show what changes, until Ctrl-C
    #[arg(short, long)]
    watch: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    #[value(aliases = ["kustomization", "ks"])]
    Kustomizations,
    #[value(aliases = ["deployment", "deploy"])]
    Deployments,
    #[value(aliases = ["pod", "po"])]
    Pods,
}

impl Kind {
    fn path(self) -> &'static str {
        match self {
            Self::Kustomizations => "/apis/kustomize.toolkit.fluxcd.io/v1/kustomizations",
            Self::Deployments => "/apis/apps/v1/deployments",
            Self::Pods => "/api/v1/pods",
        }
    }

    fn table(self, list: &Value, now: SystemTime) -> Table {
        match self {
            Self::Kustomizations => gitops::get::kustomizations(list),
            Self::Deployments => gitops::get::deployments(list, now),
            Self::Pods => gitops::get::pods(list, now),
        }
    }
}

pub(super) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    let api = Api::new(args.server.as_deref())?;
    let list = fetch(&args, &api, ui)?;
    let mut shown = args.kind.table(&list, SystemTime::now());
    ui.show(shown.to_string().trim_end(), &list)?;
    if !args.watch {
        return Ok(());
    }
    while ui.is_heard() {
        let pause = ui.block_on(async {
            tokio::time::sleep(PERIOD).await;
            Ok(())
        });
        if pause.is_err() {
            return Ok(()); // Ctrl-C is how watching ends
        }
        let list = fetch(&args, &api, ui)?;
        let table = args.kind.table(&list, SystemTime::now());
        for line in changes(&shown, &table) {
            ui.show(line, &list)?;
        }
        shown = table;
    }
    Ok(())
}

/// The lines of the rows that are new or other than before; that time goes by is no change.
fn changes(before: &Table, now: &Table) -> Vec<String> {
    let fact = |row: &[String]| {
        let has_age = now.header.last() == Some(&"AGE");
        row[..row.len() - usize::from(has_age)].to_vec()
    };
    let known: Vec<_> = before.rows.iter().map(|row| fact(row)).collect();
    let text = now.to_string();
    let lines = text.lines().skip(1).zip(&now.rows);
    lines.filter(|(_, row)| !known.contains(&fact(row))).map(|(line, _)| line.to_owned()).collect()
}

fn fetch(args: &Args, api: &Api, ui: &Ui) -> anyhow::Result<Value> {
    let path = match &args.namespace {
        Some(namespace) => {
            let (group, plural) = args.kind.path().rsplit_once('/').expect("paths have slashes");
            format!("{group}/namespaces/{namespace}/{plural}")
        }
        None => args.kind.path().to_owned(),
    };
    let found = api.get(&path, ui);
    match args.kind {
        Kind::Kustomizations => found.hint_if(&[kind::Kind::NotFound], NO_FLUX),
        Kind::Deployments | Kind::Pods => found,
    }
}

/// What a cluster without Flux needs.
const NO_FLUX: &str = "this cluster does not know Flux' kinds, so it has no Flux: `flux install` brings it, and so does\n\
     kubectl apply -f https://github.com/fluxcd/flux2/releases/latest/download/install.yaml";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growing_older_is_no_change() {
        let row = |name: &str, age: &str| vec![name.to_owned(), age.to_owned()];
        let table = |rows: Vec<Vec<String>>| Table { header: vec!["NAME", "AGE"], rows };
        let before = table(vec![row("a", "1s")]);
        let now = table(vec![row("a", "2s"), row("b", "0s")]);
        assert_eq!(changes(&before, &now), ["b      0s"]);
    }
}
