//! `kit-rs gitops check --pre`: the cluster's side.

use std::process::Command;

use gitops::preflight::{Facts, Looked, preflight};
use serde_json::{Value, json};

use super::api::{Api, is_not_there};
use crate::failure::{WithHint as _, failure};
use crate::kind::Kind;
use crate::output::{lines, n_of};
use crate::ui::Ui;

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/flux-system/deployments";
const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// Looks whether a cluster answers, is new enough, and has Flux.
pub(super) fn run(server: Option<&str>, ui: &Ui) -> anyhow::Result<()> {
    let api = Api::new(server)?;
    let place = place(server);
    let version = api
        .get("/version", ui)
        .map_err(|error| error.context(format!("no cluster answers at {place}")))
        .hint("`kubectl config get-contexts` shows the contexts; --server URL names another API")?;
    // One that has nothing of the kind has no Flux.
    let get = |path: &str| match api.get(path, ui) {
        Err(error) if is_not_there(&error) => Ok(Value::Null),
        found => found,
    };
    let facts = Facts { version, deployments: get(DEPLOYMENTS)?, definitions: get(DEFINITIONS)? };
    let looked = preflight(&facts);
    let mark = |it: &Looked| format!("{} {}", if it.is_right { "✔" } else { "✗" }, it.what);
    let text = std::iter::once(format!("► {place}")).chain(looked.iter().map(mark));
    let n_wrong = looked.iter().filter(|it| !it.is_right).count() as u64;
    let checks = looked.iter().map(|it| json!({ "ok": it.is_right, "what": it.what }));
    let document = json!({
        "cluster": place,
        "ok": n_wrong == 0,
        "checks": checks.collect::<Vec<_>>(),
    });
    ui.answer(lines(text), &document)?;
    match n_wrong {
        0 => Ok(()),
        n => Err(failure(Kind::NotFound, format!("the cluster lacks {}", n_of(n, "thing")))).hint(
            "Flux comes by `flux install`, or by kubectl apply -f https://github.com/fluxcd/flux2/releases/latest/download/install.yaml",
        ),
    }
}

/// The cluster, as its user calls it.
fn place(server: Option<&str>) -> String {
    let context = || {
        let output = Command::new("kubectl").args(["config", "current-context"]).output().ok()?;
        let said = String::from_utf8(output.stdout).ok()?;
        let name = said.trim().to_owned();
        (output.status.success() && !name.is_empty()).then(|| format!("the context {name}"))
    };
    server.map(str::to_owned).or_else(context).unwrap_or_else(|| "kubectl's default".to_owned())
}
