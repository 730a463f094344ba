//! `kit-rs gitops bootstrap`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use fs_err as fs;
use gitops::{Bootstrap, Branch, FluxVersion, GitUrl, Live, Name, Object, SecretName, Tree};

use super::api::{Api, is_not_there};
use crate::failure::{WithHint as _, asked_wrongly, failure};
use crate::kind::Kind;
use crate::ui::Ui;

/// Write what Flux needs to follow this repository: clusters/ENV/flux-system
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The repository as the cluster reaches it: https, http or ssh [default: the URL of `origin`]
    #[arg(long)]
    url: Option<GitUrl>,
    /// The branch that is pushed to and watched [default: the one checked out]
    #[arg(long)]
    branch: Option<Branch>,
    /// The folder that Flux watches
    #[arg(long, default_value = "clusters/dev", value_name = "clusters/ENV")]
    path: String,
    /// The Secret with the key or token for the repository
    #[arg(long, value_name = "NAME")]
    secret_ref: Option<SecretName>,
    /// Show a token, by https: the Secret is flux-system where --secret-ref names no other
    #[arg(long)]
    token_auth: bool,
    /// What makes Flux of it: the files of `flux bootstrap`, or a FluxInstance for the Flux Operator
    #[arg(long, value_enum, default_value_t = Form::Gotk)]
    form: Form,
    /// The version of Flux that a FluxInstance asks for, or that --components-file has to be
    /// [default: what is there, else 2.10]
    #[arg(long, value_name = "VERSION")]
    flux_version: Option<FluxVersion>,
    /// Controllers that a FluxInstance has beside the usual ones (repeatable, or with commas)
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = EXTRA)]
    components_extra: Vec<String>,
    /// Flux's own components, as `flux install --export` writes them, to be carried by the
    /// repository
    #[arg(long, value_name = "FILE")]
    components_file: Option<PathBuf>,
    /// The repository's working tree
    #[arg(long, default_value = ".", value_name = "DIR")]
    dir: PathBuf,
    /// The Kubernetes API (plain HTTP), to see what it follows already [default: ask kubectl]
    #[arg(long, value_name = "URL", env = "KIT_RS_SERVER")]
    server: Option<String>,
    /// Do not look what a cluster follows already: this one is for another
    #[arg(long)]
    no_cluster: bool,
}

/// In which form the repository says it.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    Gotk,
    FluxInstance,
}

/// The controllers of Flux that are not usual.
const EXTRA: [&str; 3] =
    ["image-reflector-controller", "image-automation-controller", "source-watcher"];

pub(super) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    let path = args.path.trim_start_matches("./").trim_matches('/');
    let env: Name = path.strip_prefix("clusters/").unwrap_or(path).parse().map_err(|error| {
        asked_wrongly(format!("--path {} is not clusters/ENV: {error}", args.path))
    })?;
    let there = if args.dir.is_dir() { Tree::read(&args.dir)? } else { Tree::new() };
    // What is there goes before what is found out, and what is asked for before both.
    let sync = gitops::sync(&there, &env)?;
    let address = |text: &str| match args.token_auth {
        true => GitUrl::for_token(text),
        false => text.parse(),
    };
    let url = match (&args.url, &sync) {
        (Some(url), _) => address(url.as_str())?,
        (None, Some(sync)) => address(&sync.url)?,
        (None, None) => address(&git(&args.dir, &["remote", "get-url", "origin"])?)
            .context("`origin` is nothing that Flux can fetch from")
            .hint("name the repository as the cluster reaches it, with --url https://…")?,
    };
    let watched = sync.and_then(|sync| sync.branch);
    let branch = match (args.branch, watched) {
        (Some(branch), _) => branch,
        (None, Some(watched)) => watched.parse()?,
        (None, None) => git(&args.dir, &["symbolic-ref", "--short", "HEAD"])?.parse()?,
    };
    let components = args.components_file.as_deref().map(components).transpose()?;
    let form = match args.form {
        Form::Gotk => gitops::Form::Gotk,
        Form::FluxInstance => gitops::Form::FluxInstance,
    };
    if args.form == Form::Gotk && !args.components_extra.is_empty() {
        return Err(asked_wrongly("--components-extra is of a FluxInstance")).hint(
            "`flux install --export --components-extra=…` writes the file for --components-file",
        );
    }
    let of_token = args.token_auth.then(|| "flux-system".parse()).transpose()?;
    let asked = Bootstrap {
        branch,
        env,
        secret_ref: args.secret_ref.or(of_token),
        components,
        form,
        flux: args.flux_version,
        extra: args.components_extra,
        ..Bootstrap::new(url)
    };
    let tree = gitops::bootstrap(&asked, &there)?;
    is_version(&asked, &tree, ui)?;
    if let (Some(secret), true) = (&asked.secret_ref, args.token_auth) {
        ui.note(format_args!(
            "Flux reads the token of the Secret {secret} in flux-system: flux create secret git \
             {secret} --url={} --username=git --password=TOKEN",
            asked.url
        ));
    }
    if !args.no_cluster {
        let mut whole = there;
        whole.merge(tree.clone());
        look(&asked, &whole, args.server.as_deref(), ui)?;
    }
    super::written::write(&tree, &args.dir, ui)
}

/// Reads Flux' components. A folder that has none of them where Flux itself came from it before is
/// one by which Flux deletes itself.
fn components(file: &Path) -> anyhow::Result<String> {
    let text = fs::read_to_string(file)?;
    let shown = file.display();
    let objects =
        Object::parse_all(&text).with_context(|| format!("{shown} is none of Flux' components"))?;
    if objects.is_empty() {
        return Err(failure(Kind::Invalid, format!("{shown} has no objects in it")))
            .hint("flux install --export > FILE writes Flux' components");
    }
    Ok(text)
}

/// Refuses components of another version than the one that was asked for, and says what else there
/// is to do.
fn is_version(asked: &Bootstrap, tree: &Tree, ui: &Ui) -> anyhow::Result<()> {
    let written = gitops::installed(tree, &asked.env);
    if asked.components.is_some() && written.is_none() {
        ui.warn(
            "--components-file has no controllers of Flux: where Flux itself came from this folder, it \
             deletes itself",
        );
    }
    if let (Some(version), gitops::Form::Gotk) = (asked.flux, asked.form) {
        match written.as_ref().map(|it| it.version) {
            None => ui.note(format_args!(
                "what is written is the same for each Flux from {} to {}",
                FluxVersion::ALL[0],
                FluxVersion::NEWEST
            )),
            Some(Some(other)) if other != version => {
                return Err(asked_wrongly(format!(
                    "--flux-version {version}: --components-file is of Flux {other}"
                )));
            }
            Some(None) => ui.warn(
                "--components-file does not say of which Flux it is, so that was not looked at",
            ),
            Some(Some(_)) => {}
        }
    }
    if asked.form == gitops::Form::FluxInstance {
        ui.note(
            "the cluster needs the Flux Operator: helm install flux-operator \
             oci://ghcr.io/controlplaneio-fluxcd/charts/flux-operator --namespace flux-system \
             --create-namespace",
        );
    }
    ui.no_warnings()
}

/// Refuses what would make a cluster's Flux delete itself, where a cluster answers.
fn look(asked: &Bootstrap, whole: &Tree, server: Option<&str>, ui: &Ui) -> anyhow::Result<()> {
    let Some(live) = live(&Api::new(server)?, ui) else {
        ui.note("no cluster answers here, so none was asked what its Flux follows already");
        return Ok(());
    };
    gitops::conflict(asked, whole, &live).context("nothing was written").hint(
        "commit into the repository that the cluster follows; if it was to be this one, `git pull` \
         first, or give Flux itself with --components-file; for another cluster say --no-cluster",
    )
}

/// What the cluster's Flux goes by; none where no cluster answers.
fn live(api: &Api, ui: &Ui) -> Option<Live> {
    let of = |group: &str, plural: &str| {
        let path = format!("/apis/{group}/v1/namespaces/flux-system/{plural}/flux-system");
        match api.get(&path, ui) {
            Ok(found) => Ok(Some(found)),
            Err(error) if is_not_there(&error) => Ok(None),
            Err(error) => Err(error),
        }
    };
    let kustomization = of("kustomize.toolkit.fluxcd.io", "kustomizations").ok()?;
    let source = of("source.toolkit.fluxcd.io", "gitrepositories").ok()?;
    Some(Live { source, kustomization })
}

/// Asks Git.
fn git(dir: &Path, args: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(dir)
        .args(args)
        .output()
        .context("cannot run git")
        .hint("install git, or give --url and --branch")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(anyhow::anyhow!("git {}: {said}", args.join(" ")))
            .hint("give --url and --branch, or run this in a Git repository");
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
