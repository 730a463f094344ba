//! A repository on a hub: which one is meant, and who asks.

use registry::hub::{Hub, RepoId};
use registry::{ClientOptions, Proxy};

use super::token::{HUB, token};
use crate::env;
use crate::failure::asked_wrongly;
use crate::ui::Ui;

/// A repository on a hub, and the way there.
pub(crate) struct Remote {
    pub(crate) hub: Hub,
    pub(crate) id: RepoId,
    pub(crate) revision: String,
    /// The hub's address.
    pub(crate) endpoint: String,
}

impl Remote {
    /// What the user says goes before what the repository's address says, and `HF_ENDPOINT` before
    /// its host.
    pub(crate) fn new(
        repository: &str,
        revision: Option<&str>,
        token: Option<&str>,
        ui: &Ui,
    ) -> anyhow::Result<Self> {
        let id: RepoId = repository
            .parse()
            .map_err(|error: registry::Error| asked_wrongly(error.to_string()))?;
        let endpoint = env::hf_endpoint()
            .or_else(|| id.endpoint().map(str::to_owned))
            .unwrap_or_else(|| HUB.to_owned());
        let revision = revision.or(id.revision()).unwrap_or("main").to_owned();
        let options = ClientOptions {
            proxy: Proxy::System,
            on_wait: ui.on_wait(),
            ..ClientOptions::default()
        };
        let hub = Hub::new(&endpoint, self::token(&endpoint, token), &options)?;
        Ok(Self { hub, id, revision, endpoint })
    }
}
