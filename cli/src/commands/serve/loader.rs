//! From a reference to a model in memory, also while another one is being served.

use std::ops::ControlFlow;

use anyhow::{Context as _, ensure};
use modelkit::ModelKit;
use registry::{Client, Descriptor, Digest, Layout, Reference};
use serve::engine::{Engine, EngineOptions};
use serve::{BoxError, ModelIdentity, Predictor, Prepared, Task};

use crate::network::Network;
use crate::steps::model::{self, ModelFolder};
use crate::steps::trusted::Trusted;
use crate::ui::Ui;

/// An engine, with the folder that its words are read from.
pub(super) struct Loaded {
    engine: Engine,
    _folder: ModelFolder,
}

impl Predictor for Loaded {
    type Input = <Engine as Predictor>::Input;

    fn labels(&self) -> &[String] {
        self.engine.labels()
    }

    fn task(&self) -> Task {
        self.engine.task()
    }

    fn thresholds(&self) -> Option<&[f64]> {
        self.engine.thresholds()
    }

    fn prepare(&self, text: &str) -> Result<Prepared<Self::Input>, BoxError> {
        self.engine.prepare(text)
    }

    fn takes_pairs(&self) -> bool {
        self.engine.takes_pairs()
    }

    fn prepare_pair(&self, text: &str, pair: &str) -> Result<Prepared<Self::Input>, BoxError> {
        self.engine.prepare_pair(text, pair)
    }

    fn predict(&self, inputs: &[Self::Input]) -> Result<Vec<Vec<f32>>, BoxError> {
        self.engine.predict(inputs)
    }

    fn golden(&self) -> Vec<(String, Vec<f32>)> {
        self.engine.golden()
    }

    fn max_tokens(&self) -> Option<usize> {
        self.engine.max_tokens()
    }

    fn cuts_beginning(&self) -> bool {
        self.engine.cuts_beginning()
    }
}

/// Loads the model of a folder. `known_by` is the reference where the folder does not tell it.
pub(super) fn load(
    folder: ModelFolder,
    known_by: Option<String>,
    options: &EngineOptions,
) -> anyhow::Result<(Loaded, ModelIdentity)> {
    let engine = Engine::load(&folder.dir, options).map_err(|error| folder.unusable(error))?;
    let identity = ModelIdentity {
        digest: folder.digest.clone(),
        reference: folder.reference.clone().or(known_by),
        kitfile: folder.kitfile.clone(),
        manifest: folder.manifest.clone(),
    };
    Ok((Loaded { engine, _folder: folder }, identity))
}

/// Brings models from the local layout and from registries.
#[derive(Clone)]
pub(super) struct Loader {
    layout: Layout,
    client: Client,
    trusted: Trusted,
    options: EngineOptions,
}

impl Loader {
    pub(super) fn new(
        network: &Network,
        trusted: Trusted,
        options: EngineOptions,
        ui: &Ui,
    ) -> anyhow::Result<Self> {
        Ok(Self { layout: ui.layout()?, client: network.client(ui)?, trusted, options })
    }

    /// What a reference names now: asked of its registry, or of the layout where it names none.
    pub(super) async fn resolve(&self, reference: &Reference) -> anyhow::Result<Descriptor> {
        if reference.is_local() {
            return Ok(self.layout.resolve(reference)?);
        }
        Ok(self.client.resolve(reference).await?)
    }

    /// Takes out of the layout whatever is not needed for this ModelKit.
    pub(super) async fn tidy(&self, served: Digest) -> anyhow::Result<()> {
        let layout = self.layout.clone();
        let work = move || {
            let manifests = layout.manifests()?;
            let is_here = manifests.iter().any(|it| *it.digest() == served);
            ensure!(is_here, "what is served is not in the layout");
            let mut kept = vec![served];
            for descriptor in &manifests {
                if kept.contains(descriptor.digest()) {
                    let kit = ModelKit::read(&layout, descriptor)?;
                    let parents = modelkit::parents(kit.kitfile(), modelkit::in_layout(&layout))?;
                    kept.extend(parents.iter().map(|parent: &ModelKit| parent.digest().clone()));
                    break;
                }
            }
            for descriptor in manifests.iter().filter(|it| !kept.contains(it.digest())) {
                layout.remove(descriptor.digest())?;
            }
            layout.collect_garbage([])?;
            anyhow::Ok(())
        };
        tokio::task::spawn_blocking(work).await.context("tidying broke off")?
    }

    /// Pulls what is not there yet, if it is signed as it has to be, verifies, unpacks and loads, on a
    /// thread of its own.
    pub(super) async fn bring(
        &self,
        reference: &Reference,
    ) -> anyhow::Result<(Loaded, ModelIdentity)> {
        let Self { layout, client, trusted, options } = self.clone();
        let (reference, runtime) = (reference.clone(), tokio::runtime::Handle::current());
        let work = move || {
            // Resolved once: what is checked is what is brought.
            let local = reference.is_local().then(|| layout.resolve(&reference)).transpose()?;
            let descriptor = runtime.block_on(async {
                let found = match local {
                    Some(found) => found,
                    None => client.resolve(&reference).await?,
                };
                for warning in trusted.check(&client, &reference, found.digest()).await? {
                    tracing::warn!("{reference} is taken although {warning}");
                }
                if reference.is_local() {
                    return anyhow::Ok(found);
                }
                let pinned = reference.with_digest(found.digest().clone());
                Ok(registry::pull(&client, &pinned, &layout, &|_| ()).await?.descriptor)
            })?;
            let kit = ModelKit::read(&layout, &descriptor)?;
            load(
                model::unpacked(kit, &layout, &reference, &|| ControlFlow::Continue(()))?,
                None,
                &options,
            )
        };
        tokio::task::spawn_blocking(work).await.context("loading broke off")?
    }
}
