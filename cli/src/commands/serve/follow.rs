//! Changing the served model: by a tag that moves, or by order.

use std::sync::Arc;
use std::time::Duration;

use registry::Reference;
use serve::{Handle, ModelIdentity};
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::loader::Loader;

/// Changes the models of one server, one change at a time.
pub(super) struct Follower {
    pub(super) handle: Handle,
    loader: Loader,
    changing: Mutex<()>,
}

impl Follower {
    pub(super) fn new(handle: Handle, loader: Loader) -> Arc<Self> {
        Arc::new(Self { handle, loader, changing: Mutex::default() })
    }

    /// Serves another ModelKit from now on; on an error the old one keeps serving. Returns who is
    /// served then.
    pub(super) async fn reload(&self, reference: &Reference) -> anyhow::Result<ModelIdentity> {
        let _turn = self.changing.lock().await;
        let (model, identity) = self.loader.bring(reference).await?;
        self.handle.swap(model, identity.clone()).await?;
        tracing::info!(%reference, digest = identity.digest, "another model is served");
        Ok(identity)
    }

    /// Lets another ModelKit answer a share of the requests, from 0 to 1.
    pub(super) async fn canary(
        &self,
        reference: &Reference,
        share: f64,
    ) -> anyhow::Result<ModelIdentity> {
        let _turn = self.changing.lock().await;
        let (model, identity) = self.loader.bring(reference).await?;
        self.handle.canary(model, identity.clone(), share).await?;
        Ok(identity)
    }

    /// Asks another ModelKit for second opinions.
    pub(super) async fn shadow(&self, reference: &Reference) -> anyhow::Result<ModelIdentity> {
        let _turn = self.changing.lock().await;
        let (model, identity) = self.loader.bring(reference).await?;
        self.handle.shadow(model, identity.clone()).await?;
        Ok(identity)
    }

    /// Takes what is not served out of the layout, while nothing is brought; says what it kept.
    async fn tidy(&self) -> anyhow::Result<Option<String>> {
        let _turn = self.changing.lock().await;
        // Asked now: while it waited for its turn another model may have come.
        let Some(served) = self.handle.identity().digest else { return Ok(None) };
        // Their content is needed, too.
        if self.handle.canary_identity().is_some() || self.handle.shadow_identity().is_some() {
            return Ok(None);
        }
        self.loader.tidy(served.parse()?).await?;
        Ok(Some(served))
    }

    /// Looks again and again what a tag names, and serves that. What was refused once is not tried
    /// again until the tag moves. `tidy`: the layout keeps what is served, and no more.
    pub(super) async fn watch(self: Arc<Self>, tag: Reference, interval: Duration, tidy: bool) {
        let mut refused: Option<String> = None;
        let mut tidied: Option<String> = None;
        loop {
            let served = self.handle.identity().digest.clone();
            if tidy && served.is_some() && tidied != served {
                match self.tidy().await {
                    Ok(kept) => tidied = kept,
                    // Somebody else uses it now.
                    Err(error) => tracing::warn!("the layout was not tidied: {error:#}"),
                }
            }
            sleep(interval).await;
            let digest = match self.loader.resolve(&tag).await {
                Ok(descriptor) => descriptor.digest().to_string(),
                Err(error) => {
                    tracing::warn!("cannot look what {tag} names: {error:#}");
                    continue;
                }
            };
            if self.handle.identity().digest.as_ref() == Some(&digest)
                || refused.as_ref() == Some(&digest)
            {
                continue;
            }
            if let Err(error) = self.reload(&tag).await {
                tracing::error!(
                    digest,
                    "{tag} was refused, the old model keeps serving: {error:#}"
                );
                refused = Some(digest);
            }
        }
    }
}
