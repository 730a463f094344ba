//! A model by folder or by reference: where a command finds the files, and what they
//! may call them.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use fs_err as fs;
use kitfile::{ContextPath, Kitfile};
use modelkit::{ModelKit, Selection, Sources, UnpackOptions};
use registry::{Layout, Reference};
use serde_json::Value;
use tempfile::TempDir;

use super::found::here_or_pulled;
use super::project::kitfile_in;
use super::trusted::Trusted;
use crate::env;
use crate::failure::{WithHint as _, asked_wrongly, failure};
use crate::kind::Kind;
use crate::network::Network;
use crate::ui::Ui;

/// The manifest of the ModelKit that a runtime image was made of, beside its Kitfile.
const MANIFEST: &str = "modelkit.json";

/// A folder with the hub's file names, and the documents that say which model it is.
#[cfg_attr(not(feature = "serve"), expect(dead_code, reason = "only a server tells them"))]
pub(crate) struct ModelFolder {
    /// The folder with config.json, model.safetensors and tokenizer.json.
    pub(crate) dir: PathBuf,
    /// Digest of the ModelKit's manifest.
    pub(crate) digest: Option<String>,
    /// The reference that the digest was resolved from.
    pub(crate) reference: Option<String>,
    /// The Kitfile as JSON.
    pub(crate) kitfile: Option<Value>,
    /// The manifest's bytes.
    pub(crate) manifest: Option<Vec<u8>>,
    /// Keeps what was unpacked for this process.
    _unpacked: Option<TempDir>,
}

/// Finds a model: a folder if there is one of that name, else a ModelKit, pulled when it is not
/// local; what was not here in files has to be signed as the policy says.
pub(crate) fn open(
    name: &str,
    trusted: &Trusted,
    network: &Network,
    ui: &Ui,
) -> anyhow::Result<ModelFolder> {
    let path = Path::new(name);
    if path.is_dir() {
        return of_folder(path);
    }
    let reference: Reference = name.parse().map_err(|error| {
        asked_wrongly(format!("`{name}` is neither a folder nor a reference: {error}"))
    })?;
    let is_of_a_hub = reference.is_local() && name.split('/').count() == 2 && !name.contains(':');
    let elsewhere = match is_of_a_hub {
        true => format!(", and kit-rs import {name} brings one from the hub"),
        false => String::new(),
    };
    from_modelkit(&reference.or_latest(), trusted, network, ui)
        .hint_if(
            &[Kind::NotFound],
            format!("`{name}` is no folder here, so it was taken for a ModelKit; kit-rs list shows the local ones{elsewhere}"),
        )
}

#[cfg(any(feature = "full", feature = "serve"))]
impl ModelFolder {
    /// Says why the model cannot be used, in the words of whoever named it: what was unpacked lies
    /// where nobody looks.
    pub(crate) fn unusable(&self, error: impl Into<anyhow::Error>) -> anyhow::Error {
        let error = error.into();
        let kind = crate::kind::of(&error);
        let Some(reference) = &self.reference else {
            return error.context(format!("cannot load the model in {}", self.dir.display()));
        };
        let dir = self.dir.display().to_string();
        let causes = error
            .chain()
            .map(|cause| cause.to_string().replace(&format!("{dir}/"), "").replace(&dir, reference))
            .collect::<Vec<_>>();
        let inner = causes.into_iter().rev().fold(None, |below: Option<anyhow::Error>, cause| {
            Some(match below {
                Some(below) => below.context(cause),
                None => failure(kind, cause),
            })
        });
        inner.unwrap_or(error).context(format!("cannot load the model of {reference}"))
    }
}

/// What the Kitfile of a folder calls its package, if there is one that can be read.
#[cfg(feature = "serve")]
pub(crate) fn package_name(dir: &Path) -> Option<String> {
    let path = kitfile_in(dir)?;
    let kitfile = Kitfile::parse(&fs::read_to_string(path).ok()?).ok()?.kitfile;
    Some(kitfile.package.name).filter(|name| !name.is_empty())
}

/// The checkpoint in a folder, whatever its Kitfile calls the model, for that may be what was trained
/// of it; else as [`of_folder`].
#[cfg(feature = "full")]
pub(crate) fn checkpoint_in(dir: &Path) -> anyhow::Result<ModelFolder> {
    match dir.join("config.json").is_file() {
        true => Ok(ModelFolder {
            dir: dir.to_owned(),
            digest: None,
            reference: None,
            kitfile: None,
            manifest: None,
            _unpacked: None,
        }),
        false => of_folder(dir),
    }
}

pub(crate) fn of_folder(dir: &Path) -> anyhow::Result<ModelFolder> {
    let parse = |path: PathBuf| {
        let parsed = Kitfile::parse(&fs::read_to_string(&path)?);
        anyhow::Ok(parsed.with_context(|| path.display().to_string())?.kitfile)
    };
    let kitfile = kitfile_in(dir).map(parse).transpose()?;
    let manifest = match fs::read(dir.join(MANIFEST)) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    Ok(ModelFolder {
        dir: model_folder(dir, kitfile.as_ref(), &dir.display().to_string())?,
        digest: manifest.as_deref().map(|bytes| registry::content::digest(bytes).to_string()),
        reference: None,
        kitfile: kitfile.map(|kitfile| serde_json::from_str(&kitfile.to_json())).transpose()?,
        manifest,
        _unpacked: None,
    })
}

fn from_modelkit(
    reference: &Reference,
    trusted: &Trusted,
    network: &Network,
    ui: &Ui,
) -> anyhow::Result<ModelFolder> {
    let layout = ui.layout()?;
    let descriptor = here_or_pulled(reference, &layout, trusted, network, ui)?;
    let kit = ModelKit::read(&layout, &descriptor)?;
    unpacked(kit, &layout, reference, &|| ui.interrupt().flow())
}

/// Unpacks the model of a ModelKit, verified, for as long as this process needs it.
pub(crate) fn unpacked(
    kit: ModelKit,
    layout: &Layout,
    reference: &Reference,
    flow: &dyn Fn() -> ControlFlow<()>,
) -> anyhow::Result<ModelFolder> {
    let folder = env::temporary_folder()?;
    let only_the_model = vec!["model".parse().expect("kit's own word")];
    let selection = Selection { filters: only_the_model, ..Selection::default() };
    let sources = Sources::local(kit, layout, selection)?;
    modelkit::unpack(&sources, folder.path(), &UnpackOptions::default(), &|_| flow())?;
    let kit = sources.kit();
    Ok(ModelFolder {
        dir: model_folder(folder.path(), Some(kit.kitfile()), &reference.to_string())?,
        digest: Some(kit.digest().to_string()),
        reference: Some(reference.to_string()),
        kitfile: Some(serde_json::from_str(&kit.kitfile().to_json())?),
        manifest: Some(kit.manifest_bytes().to_vec()),
        _unpacked: Some(folder),
    })
}

/// The folder of the model's files: the Kitfile's model path, or the folder that holds it when it
/// names a single file. `shown`: what the user calls the root.
fn model_folder(root: &Path, kitfile: Option<&Kitfile>, shown: &str) -> anyhow::Result<PathBuf> {
    let path = kitfile
        .and_then(|kitfile| kitfile.model.as_ref())
        .and_then(|model| model.path.parse().ok());
    let named = path.map(|path: ContextPath| root.join(path));
    let candidates = [
        named.clone(),
        named.and_then(|path| path.parent().map(Path::to_owned)),
        Some(root.to_owned()),
    ];
    let found = candidates.into_iter().flatten().find(|dir| dir.join("config.json").is_file());
    found.ok_or_else(|| {
        let lacks = "neither it nor its Kitfile's model path holds a config.json";
        failure(Kind::NotFound, format!("there is no model in {shown}: {lacks}"))
    })
}
