//! `kit-rs gitops trace`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use gitops::Name;
use gitops::promote::{Running, running};
use serde_json::{Value, json};

use super::api::Api;
use super::history::{Commit, History, title};
use crate::failure::{WithHint as _, failure};
use crate::kind::Kind;
use crate::network::Network;
use crate::ui::Ui;

/// The header by which an answer names the ModelKit that computed it.
const HEADER: &str = "x-modelkit-digest";

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Go from an answer to the commit that put its model there
///
/// The URL is asked, and the ModelKit's digest read from its answer's headers. What names that digest
/// in the repository is shown with the commit by which it came, and how Flux has applied it.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Anything that the server answers
    url: reqwest::Url,
    /// Do not ask a cluster how Flux has applied it
    #[arg(long)]
    no_cluster: bool,
    /// The Kubernetes API (plain HTTP), such as the local cluster's [default: ask kubectl]
    #[arg(long, value_name = "URL", env = "KIT_RS_SERVER")]
    server: Option<String>,
    /// The repository's working tree
    #[arg(long, default_value = ".", value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    network: Network,
}

pub(super) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    let digest = served(&args.url, ui)?;
    let history = History::of(&args.dir)?;
    let tree = super::bases::read(&args.dir, &args.network, ui)?;
    let Running { places, unknown } = running(&tree, &digest);
    for (app, env, error) in unknown {
        let title = title(&app, env.as_ref());
        ui.warn(format_args!(
            "{:#}",
            anyhow::Error::new(error).context(format!("cannot tell what {title} runs"))
        ));
    }
    let mut found = Vec::new();
    for (app, env) in places {
        let folder = gitops::edit::folder_of(&tree, &app, env.as_ref())?;
        let commit = history.introduced(&digest, &folder)?;
        found.push(Place { app, env, folder, commit });
    }
    if found.is_empty() {
        let message = format!("nothing in this repository runs {digest}");
        return Err(failure(Kind::NotFound, message)).hint(
            match history.introduced(&digest, "apps")? {
                Some(commit) => format!(
                    "the last commit that changed where it runs is {} ({}); has Flux applied it? kit-rs gitops get kustomizations",
                    &commit.id[..commit.id.len().min(12)],
                    commit.subject
                ),
                None => "name the repository that the cluster follows with --dir".to_owned(),
            },
        );
    }
    let applied = match args.no_cluster {
        true => Value::Null,
        false => Api::new(args.server.as_deref())?
            .get("/apis/kustomize.toolkit.fluxcd.io/v1/kustomizations", ui)
            .hint("--no-cluster asks none")?,
    };
    let told: Vec<(String, Value)> =
        found.iter().map(|place| place.told(&digest, &applied)).collect();
    let text: Vec<&str> = told.iter().map(|(text, _)| text.as_str()).collect();
    let documents: Vec<&Value> = told.iter().map(|(_, document)| document).collect();
    ui.answer(text.join("\n\n"), &json!({ "modelkitDigest": digest, "places": documents }))
}

/// The digest of the ModelKit that an answer comes from.
fn served(url: &reqwest::Url, ui: &Ui) -> anyhow::Result<String> {
    // reqwest wants to know who does its cryptography; a second time is no harm.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().timeout(PATIENCE).build()?;
    let answer = ui
        .block_on(async { Ok(http.get(url.clone()).send().await?) })
        .with_context(|| format!("{url} does not answer"))?;
    let header = answer.headers().get(HEADER).and_then(|value| value.to_str().ok());
    header.map(str::to_owned).ok_or_else(|| {
        failure(Kind::NotFound, format!("the answer of {url} has no header {HEADER}"))
    })
}

/// Where a repository names a ModelKit.
struct Place {
    app: Name,
    env: Option<Name>,
    folder: String,
    commit: Option<Commit>,
}

impl Place {
    /// As lines for people, in the manner of `flux trace`, and as a document.
    fn told(&self, digest: &str, applied: &Value) -> (String, Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut lines = vec![("ModelKit", digest.to_owned()), ("App", self.app.to_string())];
        lines.extend(self.env.as_ref().map(|env| ("Environment", env.to_string())));
        lines.push(("Path", self.folder.clone()));
        if let Some(Commit { id, author, date, subject }) = &self.commit {
            let of_commit =
                [("Commit", id), ("Author", author), ("Date", date), ("Subject", subject)];
            lines.extend(of_commit.map(|(key, value)| (key, value.clone())));
        }
        let kustomizations = applied["items"].as_array().into_iter().flatten();
        let path = |it: &Value| text(&it["spec"]["path"]);
        for it in kustomizations.filter(|it| path(it).trim_start_matches("./") == self.folder) {
            let conditions = it["status"]["conditions"].as_array();
            let ready = conditions.into_iter().flatten().find(|one| one["type"] == "Ready");
            let revision = &it["status"]["lastAppliedRevision"];
            lines.push(("Kustomization", text(&it["metadata"]["name"])));
            lines.push(("Namespace", text(&it["metadata"]["namespace"])));
            lines.push(("Revision", text(revision)));
            lines.extend(ready.map(|ready| ("Message", text(&ready["message"]))));
        }
        let document = lines.iter().map(|(key, value)| (key.to_lowercase(), value.clone().into()));
        let document = Value::Object(document.collect());
        let shown: Vec<String> =
            lines.iter().map(|(key, value)| format!("{:<15}{value}", format!("{key}:"))).collect();
        (shown.join("\n"), document)
    }
}
