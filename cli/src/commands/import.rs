use anyhow::Context as _;
use kitfile::Kitfile;
use modelkit::PackOptions;
use registry::Reference;
use registry::hub::{Hub, RepoId};
use serde_json::json;

use crate::env;
use crate::failure::{WithHint as _, asked_wrongly};
use crate::output::pinned;
use crate::ui::Ui;

/// Hugging Face's own hub.
const HUB: &str = "https://huggingface.co";

/// Import a model from Hugging Face's hub as a ModelKit
#[derive(clap::Args)]
pub(crate) struct Args {
    /// ORG/NAME, or its URL; HF_ENDPOINT overrides the host
    repository: String,
    /// Branch, tag or commit [default: the URL's, else main]
    #[arg(long = "ref", value_name = "REVISION")]
    revision: Option<String>,
    /// Access token [default: $HF_TOKEN]
    #[arg(long)]
    token: Option<String>,
    /// Name of the ModelKit [default: org/name:latest, in lower case]
    #[arg(short, long, value_name = "REFERENCE")]
    tag: Option<Reference>,
}

pub(crate) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    let repository: RepoId =
        args.repository.parse().map_err(|error| asked_wrongly(format!("{}: {error}", args.repository)))?;
    let target = match args.tag {
        Some(tag) => tag.or_latest(),
        None => repository.name().to_lowercase().parse::<Reference>()?.or_latest(),
    };
    let endpoint =
        env::hf_endpoint().or_else(|| repository.endpoint().map(str::to_owned)).unwrap_or_else(|| HUB.to_owned());
    let revision = args.revision.as_deref().or(repository.revision()).unwrap_or("main");
    let hub = Hub::new(&endpoint, args.token.or_else(env::hf_token))?;
    let folder = env::temporary_folder()?;
    let sha = ui
        .block_on(download(&hub, &repository, revision, folder.path(), ui))
        .with_context(|| format!("cannot import {} from {endpoint}", repository.name()))
        .hint("HF_ENDPOINT names another hub, HF_TOKEN (or --token) opens private and gated models")?;
    ui.note(format_args!("{} at {sha}", repository.name()));
    let kitfile = kitfile_of(folder.path(), &repository)?;
    let layout = ui.layout()?;
    let hold = layout.hold()?;
    let options = PackOptions { created: env::source_date_epoch()?, ..PackOptions::default() };
    let packed = modelkit::pack(&kitfile, folder.path(), &layout, &options, &mut |_| ui.interrupt().flow())?;
    drop(hold);
    layout.tag(&packed.descriptor, &target)?;
    let digest = packed.descriptor.digest();
    let document = json!({ "reference": target.to_string(), "digest": digest.to_string(), "commit": sha });
    ui.answer(pinned(&target, digest), &document)
}

/// Brings every file of a repository into a folder; returns the commit.
async fn download(
    hub: &Hub,
    repository: &RepoId,
    revision: &str,
    into: &std::path::Path,
    ui: &Ui,
) -> anyhow::Result<String> {
    let snapshot = hub.files(repository, revision).await?;
    for file in &snapshot.files {
        if file.path == ".gitattributes" {
            continue; // Git's own, of no use outside it
        }
        let bar = ui.bytes_bar(&file.path, file.size);
        hub.download(&snapshot, file, into, &|bytes| bar.set_position(bytes)).await?;
        bar.finish_and_clear();
    }
    Ok(snapshot.sha)
}

/// The repository's own Kitfile, or one guessed from its files.
fn kitfile_of(dir: &std::path::Path, repository: &RepoId) -> anyhow::Result<Kitfile> {
    if let Ok(path) = super::pack::find_kitfile(dir) {
        let text = fs_err::read_to_string(&path)?;
        return Ok(Kitfile::parse(&text)
            .with_context(|| format!("the repository's {} is not valid", path.display()))?
            .kitfile);
    }
    Ok(kitfile::init(repository.name(), &super::init::survey(dir)?))
}
