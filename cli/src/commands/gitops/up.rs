//! `kit-rs gitops up`: a cluster on this machine, which follows Git repositories.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{self, Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use cluster::{Artifacts, BoxError, Cluster, Images, Options, RuntimeConfig};
use fs_err as fs;
use registry::{Client, Layout, Reference};
use serde_json::json;
use tokio::sync::mpsc;

use crate::env;
use crate::failure::WithHint as _;
use crate::interrupt::Interrupt;
use crate::network::{Network, credentials};
use crate::steps::trusted::Trusted;
use crate::ui::Ui;

/// Run what Git says on this machine, in a stand-in for a cluster with Flux, until Ctrl-C
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The repository's URL as the cluster knows it, and the folder of the Git repository that
    /// stands for it here (repeatable)
    #[arg(long, required = true, value_name = "URL=DIR", value_parser = source)]
    source: Vec<(String, PathBuf)>,
    /// The folder that Flux watches, as `gitops bootstrap` wrote it
    #[arg(long, default_value = "clusters/dev", value_name = "clusters/ENV")]
    path: String,
    /// HOST:PORT of the API, which asks nobody who they are; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8001", value_name = "HOST:PORT")]
    addr: SocketAddr,
    /// Folder for images, checkouts and the logs of pods, which stays [default: one that goes at
    /// the end]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    network: Network,
}

/// Reads `URL=DIR`; a URL may have a `=` itself.
fn source(text: &str) -> Result<(String, PathBuf), String> {
    let named = text.rsplit_once('=').filter(|(url, dir)| !url.is_empty() && !dir.is_empty());
    let (url, dir) = named.ok_or_else(|| "it is not URL=DIR".to_owned())?;
    Ok((url.to_owned(), PathBuf::from(dir)))
}

pub(super) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    let temporary = args.dir.is_none().then(env::temporary_folder).transpose()?;
    let dir = args.dir.or_else(|| temporary.as_ref().map(|dir| dir.path().to_owned()));
    let dir = dir.expect("one of the two is there");
    let (tell, mut told) = mpsc::unbounded_channel();
    let node = Arc::new(Node::new(&dir, &args.network, ui)?);
    let images: Arc<dyn Images> = node.clone();
    let mut options = Options::new(&dir, images);
    options.artifacts = Some(node);
    options.sources = args.source.into_iter().map(|(url, dir)| (url, git_dir(dir))).collect();
    options.root = args.path.trim_matches('/').to_owned();
    options.api = args.addr;
    options.on_event = Some(Arc::new(move |event| drop(tell.send(event))));
    let cluster = match Cluster::start(options) {
        Err(error @ cluster::Error::Listen { .. }) => {
            Err(error).hint("choose another address with --addr; port 0 takes a free one")?
        }
        started => started?,
    };
    let url = cluster.api_url();
    let kubeconfig = path::absolute(&dir)?.join("kubeconfig");
    fs::write(&kubeconfig, kubeconfig_of(&url))?;
    ui.answer(&url, &json!({ "url": url, "kubeconfig": kubeconfig }))?;
    ui.note(format_args!(
        "look: kit-rs gitops get kustomizations --server {url} (or deployments, pods)\n\
         kubectl and flux: export KUBECONFIG={}\nend: Ctrl-C",
        kubeconfig.display()
    ));
    let interrupt = ui.interrupt().clone();
    ui.serve(async {
        loop {
            tokio::select! {
                () = interrupt.wait() => return Ok(()),
                Some(event) = told.recv() => ui.note(event),
            }
        }
    })?;
    ui.note("ending: each pod has its grace period");
    cluster.stop();
    while let Ok(event) = told.try_recv() {
        ui.note(event);
    }
    Ok(())
}

/// What tells kubectl and flux where the API is, which asks nobody who they are.
fn kubeconfig_of(url: &str) -> String {
    format!(
        "apiVersion: v1
kind: Config
clusters: [{{name: kit-rs, cluster: {{server: '{url}'}}}}]
users: [{{name: kit-rs, user: {{}}}}]
contexts: [{{name: kit-rs, context: {{cluster: kit-rs, user: kit-rs}}}}]
current-context: kit-rs
"
    )
}

/// The repository itself, where a working tree was named.
fn git_dir(dir: PathBuf) -> PathBuf {
    let inner = dir.join(".git");
    if inner.is_dir() { inner } else { dir }
}

/// Pulls images, always from their registry, into a layout of the cluster's own, as a node does.
struct Node {
    client: Client,
    layout: Layout,
    trusted: Trusted,
    runtime: tokio::runtime::Handle,
    interrupt: Interrupt,
}

impl Node {
    fn new(dir: &Path, network: &Network, ui: &Ui) -> anyhow::Result<Self> {
        let root = dir.join("layout");
        Ok(Self {
            // Containers are made by this process, which may not hide itself for that.
            client: network.client_with(Arc::new(credentials(ui)), ui)?,
            trusted: Trusted::ambient(ui)?,
            layout: Layout::init(&root)
                .with_context(|| format!("cannot keep images in {}", root.display()))?,
            runtime: ui.handle(),
            interrupt: ui.interrupt().clone(),
        })
    }
}

impl Images for Node {
    fn unpack(&self, image: &str, into: &Path) -> Result<RuntimeConfig, BoxError> {
        let reference = image.parse::<Reference>()?.or_latest();
        let pull = async {
            let digest = self.client.resolve(&reference).await?.digest().clone();
            for warning in self.trusted.check(&self.client, &reference, &digest).await? {
                tracing::warn!("{image} is taken although {warning}");
            }
            let pinned = reference.with_digest(digest);
            Ok(registry::pull(&self.client, &pinned, &self.layout, &|_| ()).await?)
        };
        let pulled = self.runtime.block_on(self.interrupt.or(pull))?;
        let config = modelkit::image::unpack(&self.layout, &pulled.descriptor, into)?;
        Ok(RuntimeConfig {
            entrypoint: config.entrypoint,
            command: config.command,
            env: config.env,
            working_dir: config.working_dir,
            user: config.user,
        })
    }
}

impl Artifacts for Node {
    fn resolve(&self, artifact: &str) -> Result<String, BoxError> {
        let reference = artifact.parse::<Reference>()?;
        let resolve = async {
            let digest = self.client.resolve(&reference).await?.digest().clone();
            for warning in self.trusted.check(&self.client, &reference, &digest).await? {
                tracing::warn!("{artifact} is taken although {warning}");
            }
            Ok(digest.to_string())
        };
        Ok(self.runtime.block_on(self.interrupt.or(resolve))?)
    }

    fn tags(&self, repository: &str) -> Result<Vec<String>, BoxError> {
        let repository = repository.parse::<Reference>()?;
        let list = async { Ok(self.client.tags(&repository).await?) };
        Ok(self.runtime.block_on(self.interrupt.or(list))?)
    }

    fn unpack(
        &self,
        artifact: &str,
        digest: &str,
        media_type: Option<&str>,
        into: &Path,
    ) -> Result<BTreeMap<String, String>, BoxError> {
        let pinned = artifact.parse::<Reference>()?.with_digest(digest.parse()?);
        let read = async { Ok(self.client.manifest(&pinned).await?) };
        let (_, manifest) = self.runtime.block_on(self.interrupt.or(read))?;
        let blobs = self.client.blobs(&pinned, self.runtime.clone());
        Ok(modelkit::unpack_artifact(&blobs, &manifest, media_type, into)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_url_and_a_folder() {
        let expected = ("https://git.example.com/a?b=c".to_owned(), PathBuf::from("infra.git"));
        assert_eq!(source("https://git.example.com/a?b=c=infra.git"), Ok(expected));
        for bad in ["", "https://git.example.com/a", "=infra.git", "https://git.example.com="] {
            assert!(source(bad).is_err(), "{bad}");
        }
    }
}
