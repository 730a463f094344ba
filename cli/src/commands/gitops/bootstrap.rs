//! `kit-rs gitops bootstrap`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use fs_err as fs;
use gitops::{Bootstrap, GitUrl, Name};

use crate::failure::{WithHint as _, asked_wrongly};
use crate::ui::Ui;

/// Write what Flux needs to follow this repository: clusters/ENV/flux-system
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The repository as the cluster reaches it: https, http or ssh [default: the URL of `origin`]
    #[arg(long)]
    url: Option<GitUrl>,
    /// The branch that is pushed to and watched [default: the one checked out]
    #[arg(long)]
    branch: Option<String>,
    /// The folder that Flux watches
    #[arg(long, default_value = "clusters/dev", value_name = "clusters/ENV")]
    path: String,
    /// The Secret with the key or token for the repository
    #[arg(long, value_name = "NAME")]
    secret_ref: Option<Name>,
    /// Flux's own components, as `flux install --export` writes them, to be carried by the
    /// repository
    #[arg(long, value_name = "FILE")]
    components: Option<PathBuf>,
    /// The repository's working tree
    #[arg(long, default_value = ".", value_name = "DIR")]
    dir: PathBuf,
}

pub(super) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    let url = match args.url {
        Some(url) => url,
        None => git(&args.dir, &["remote", "get-url", "origin"])?
            .parse()
            .context("`origin` is nothing that Flux can fetch from")
            .hint("name the repository as the cluster reaches it, with --url https://…")?,
    };
    let branch = match args.branch {
        Some(branch) => branch,
        None => git(&args.dir, &["symbolic-ref", "--short", "HEAD"])?,
    };
    let env = args.path.trim_matches('/').strip_prefix("clusters/").unwrap_or(&args.path);
    let env: Name = env.parse().map_err(|error| {
        asked_wrongly(format!("--path {} is not clusters/ENV: {error}", args.path))
    })?;
    let components = args.components.map(fs::read_to_string).transpose()?;
    let bootstrap =
        Bootstrap { branch, env, secret_ref: args.secret_ref, components, ..Bootstrap::new(url) };
    let mut tree = gitops::bootstrap(&bootstrap);
    keep_patches(&mut tree, &args.dir)?;
    super::written::write(&tree, &args.dir, ui)
}

/// A kustomization.yaml that is there may hold patches of its owner: Flux never overwrites it, and
/// neither do we.
fn keep_patches(tree: &mut gitops::Tree, dir: &Path) -> anyhow::Result<()> {
    let there: Vec<String> = tree
        .paths()
        .filter(|path| path.ends_with("kustomization.yaml"))
        .map(str::to_owned)
        .collect();
    for path in there {
        let file = dir.join(&path);
        if file.is_file() {
            tree.insert(&path, fs::read_to_string(file)?)?;
        }
    }
    Ok(())
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
