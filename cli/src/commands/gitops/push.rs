//! `kit-rs gitops push`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use clap::ValueEnum;
use gitops::OciSource;
use modelkit::ArtifactOptions;
use modelkit::archive::Content;
use registry::{Layout, MediaType, Reference, without_userinfo};
use serde_json::json;

use crate::env;
use crate::failure::{WithHint as _, failure};
use crate::kind::Kind;
use crate::network::Network;
use crate::output::{n_of, pinned};
use crate::steps::bars::BlobBars;
use crate::steps::manifests;
use crate::ui::Ui;

/// Push a tree as an artifact that Flux takes in the place of a Git repository
///
/// The same files at the same commit give the same digest. What `.sourceignore` files and Flux leave
/// out is not pushed; symbolic links are not, either.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder whose files are pushed
    dir: PathBuf,
    /// Where to: oci://HOST/REPO:TAG
    #[arg(value_name = "URL")]
    to: OciSource,
    /// The source that is named [default: the URL of `origin`, where there is one]
    #[arg(long, value_name = "URL")]
    source: Option<String>,
    /// The revision that is named; without it `BRANCH@sha1:COMMIT` of the Git repository
    #[arg(long, value_name = "REV")]
    revision: Option<String>,
    /// What the layer is called: Flux takes both, Argo CD and others that of OCI
    #[arg(long, value_enum, default_value_t = LayerType::Flux)]
    layer_type: LayerType,
    #[command(flatten)]
    network: Network,
}

#[derive(Clone, Copy, ValueEnum)]
enum LayerType {
    Flux,
    Oci,
}

impl LayerType {
    /// The media types of config and layer.
    fn media_types(self) -> (MediaType, MediaType) {
        match self {
            Self::Flux => (
                "application/vnd.cncf.flux.config.v1+json".into(),
                "application/vnd.cncf.flux.content.v1.tar+gzip".into(),
            ),
            Self::Oci => (MediaType::ImageConfig, MediaType::ImageLayerGzip),
        }
    }
}

pub(super) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    let target: Reference = args.to.artifact.to_string().parse()?;
    if target.digest().is_some() {
        let message = format!("{} names a digest, which follows from the files", args.to);
        return Err(failure(Kind::Usage, message)).hint("name a tag: oci://HOST/REPO:TAG");
    }
    let entries = manifests::entries(&args.dir)?;
    ui.no_warnings()?;
    let n_files = entries.iter().filter(|it| it.content != Content::Folder).count() as u64;
    let (config_type, layer_type) = args.layer_type.media_types();
    let facts = Facts::of(&args, ui)?;
    let annotations: HashMap<String, String> = facts.annotations();
    let options = ArtifactOptions { config_type, layer_type, created: facts.created, annotations };
    // What is pushed is made here; nothing of it is needed again.
    let scratch = env::temporary_folder().context("cannot make a temporary folder")?;
    let layout = Layout::init(scratch.path())?;
    let descriptor = modelkit::artifact(&entries, &layout, &options)
        .with_context(|| format!("cannot make an artifact of {}", args.dir.display()))?;
    let client = args.network.client(ui)?;
    let bars = BlobBars::new(ui);
    ui.block_on(async {
        let on = |event| bars.show(event);
        Ok(registry::push(&layout, &descriptor, &target, &client, &on).await?)
    })
    .with_context(|| format!("cannot push {} to {target}", args.dir.display()))?;
    let revision = facts.revision.as_deref().unwrap_or("no revision");
    ui.note(format_args!("{} at {revision}", n_of(n_files, "file")));
    let document = json!({
        "reference": target.to_string(),
        "digest": descriptor.digest().to_string(),
        "source": facts.source,
        "revision": facts.revision,
        "files": n_files,
    });
    ui.answer(pinned(&target, descriptor.digest()), &document)
}

/// Where the files come from.
struct Facts {
    source: Option<String>,
    revision: Option<String>,
    /// In seconds since 1970: when the commit was made, so that its files give the same bytes again.
    created: u64,
}

impl Facts {
    fn of(args: &Args, ui: &Ui) -> anyhow::Result<Self> {
        let ask = |words: &[&str]| git(&args.dir, words).ok().filter(|said| !said.is_empty());
        let head = ask(&["rev-parse", "HEAD"]);
        let branch = || ask(&["symbolic-ref", "--short", "HEAD"]);
        let named = head.as_ref().map(|commit| {
            branch().map_or(format!("sha1:{commit}"), |branch| format!("{branch}@sha1:{commit}"))
        });
        let is_changed = || ask(&["status", "--porcelain", "--", "."]).is_some();
        if args.revision.is_none() && named.is_some() && is_changed() {
            ui.warn(
                "the files are not those of the commit that is named: some are in no commit yet",
            );
            ui.no_warnings()?;
        }
        let origin = || ask(&["remote", "get-url", "origin"]).map(|url| without_userinfo(&url));
        let committed = || ask(&["log", "-1", "--format=%ct"])?.parse().ok();
        Ok(Self {
            source: args.source.clone().or_else(origin),
            revision: args.revision.clone().or(named),
            created: env::source_date_epoch()?.or_else(committed).unwrap_or_default(),
        })
    }

    fn annotations(&self) -> HashMap<String, String> {
        let pairs = [("source", &self.source), ("revision", &self.revision)];
        let named = pairs.into_iter().filter_map(|(key, value)| {
            Some((format!("org.opencontainers.image.{key}"), value.clone()?))
        });
        named.collect()
    }
}

fn git(dir: &Path, words: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new("git");
    command.arg("-C").arg(dir).args(words);
    // A hook that runs us has set these for a repository of its own.
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"] {
        command.env_remove(name);
    }
    let output = command.output().context("cannot run git").hint("install git")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(anyhow::anyhow!("git: {said}"));
    }
    let said = String::from_utf8(output.stdout).context("git names a file that is no text")?;
    Ok(said.trim_end_matches('\n').to_owned())
}
