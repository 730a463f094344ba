//! `kit-rs gitops tree`.

use gitops::Name;
use serde_json::json;

use super::api::Api;
use crate::failure::{WithHint as _, failure};
use crate::kind::Kind;
use crate::ui::Ui;

/// Show what a Flux Kustomization has applied, and what those in it have, as `flux tree` does
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The Kustomization
    #[arg(default_value = "flux-system")]
    name: Name,
    /// Its namespace
    #[arg(short, long, default_value = "flux-system")]
    namespace: Name,
    /// The Kubernetes API (plain HTTP), such as the local cluster's [default: ask kubectl]
    #[arg(long, value_name = "URL", env = "KIT_RS_SERVER")]
    server: Option<String>,
}

pub(super) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    let (name, namespace) = (args.name.as_str(), args.namespace.as_str());
    let api = Api::new(args.server.as_deref())?;
    let list = api.get("/apis/kustomize.toolkit.fluxcd.io/v1/kustomizations", ui)?;
    let tree = gitops::get::tree(&list, namespace, name).ok_or_else(|| {
        failure(Kind::NotFound, format!("there is no Kustomization {namespace}/{name}"))
    });
    let tree = tree.hint("kit-rs gitops get kustomizations shows all")?;
    let lines: Vec<&str> = tree.lines().collect();
    ui.answer(&tree, &json!({ "tree": lines }))
}
