//! The checkpoint that a training begins with, and what is known of it.

use std::path::{Path, PathBuf};

use fs_err as fs;
use serde_json::{Value, json};
use trainer::{Classifier, DeviceKind};

use crate::network::Network;
use crate::steps::front_matter::FrontMatter;
use crate::steps::model::{self, ModelFolder};
use crate::steps::trusted::Trusted;
use crate::ui::Ui;

pub(super) struct Base {
    dir: PathBuf,
    /// Where it came with a Kitfile, or as one.
    kit: Option<ModelFolder>,
    /// What its card says.
    pub(super) card: FrontMatter,
    /// Where a ModelKit was made from, as its Kitfile tells it, and its digest.
    pub(super) source: Option<Value>,
}

impl Base {
    /// Finds it: a folder with a checkpoint in it is one, whatever its Kitfile calls the model, for
    /// that may be what was trained before.
    pub(super) fn find(name: &str, network: &Network, ui: &Ui) -> anyhow::Result<Self> {
        let itself = Path::new(name);
        let (dir, kit) = match itself.join("config.json").is_file() {
            true => (itself.to_owned(), None),
            false => {
                let kit = model::open(name, &Trusted::ambient(ui)?, network, ui)?;
                (kit.dir.clone(), Some(kit))
            }
        };
        let mut card = card(&dir)?;
        let kitfile = kit.as_ref().and_then(|kit| kit.kitfile.as_ref());
        let of_model = |pointer: &str| kitfile.and_then(|kitfile| kitfile.pointer(pointer));
        if card.license.is_none() {
            let license = of_model("/model/license").or_else(|| of_model("/package/license"));
            card.license = license.and_then(Value::as_str).map(str::to_owned);
        }
        let source = kit.as_ref().and_then(|kit| kit.digest.as_ref()).map(|digest| {
            let from = of_model("/model/parameters/source").and_then(Value::as_object).cloned();
            let mut source = Value::Object(from.unwrap_or_default());
            source["modelkit"] = json!(digest);
            source
        });
        Ok(Self { dir, kit, card, source })
    }

    /// Loads it.
    pub(super) fn load(&self, device: DeviceKind) -> anyhow::Result<Classifier> {
        Classifier::load(&self.dir, device).map_err(|error| match &self.kit {
            Some(kit) => kit.unusable(error),
            None => anyhow::Error::from(error)
                .context(format!("cannot load the model in {}", self.dir.display())),
        })
    }
}

/// What the checkpoint's own card says.
fn card(dir: &Path) -> anyhow::Result<FrontMatter> {
    match fs::read(dir.join("README.md")) {
        Ok(bytes) => Ok(FrontMatter::of(&String::from_utf8_lossy(&bytes))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(FrontMatter::default()),
        Err(error) => Err(error.into()),
    }
}
