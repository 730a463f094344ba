//! A ModelKit of a tiny classifier, and the image that serves it, in a registry.

use std::path::Path;

use fs_err as fs;
use serde_json::{Value, json};

use crate::registries::{Shop, digest_of};

/// What was pushed.
#[derive(Clone)]
pub(crate) struct Release {
    /// `HOST:PORT/demo/kit:VERSION`.
    pub(crate) kit: String,
    /// The ModelKit's digest.
    pub(crate) modelkit: String,
    /// `HOST:PORT/demo/runtime:VERSION`.
    pub(crate) image: String,
    /// The image's digest.
    pub(crate) digest: String,
}

/// The classifier of a version: it answers with the version as its label.
pub(crate) fn model(workspace: &Path, folder: &Path, version: &str) -> anyhow::Result<()> {
    let tiny = workspace.join("trainer/testdata/tiny-distilbert");
    fs::create_dir_all(folder.join("model"))?;
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        fs::copy(tiny.join(name), folder.join("model").join(name))?;
    }
    let path = folder.join("model/config.json");
    let mut config: Value = serde_json::from_str(&fs::read_to_string(&path)?)?;
    config["id2label"] = json!({ "0": version, "1": version });
    fs::write(path, config.to_string())?;
    let kitfile = format!(
        "manifestVersion: 1.0.0\npackage:\n  name: tiny\n  version: {version}\nmodel:\n  name: tiny\n  path: model\n"
    );
    Ok(fs::write(folder.join("Kitfile"), kitfile)?)
}

/// Packs and pushes the folder of a version, makes its image with the program `runtime`, and pushes
/// that.
pub(crate) fn release(
    shop: &Shop,
    registry: &str,
    folder: &Path,
    version: &str,
    runtime: &Path,
) -> anyhow::Result<Release> {
    let (kit, image) =
        (format!("{registry}/demo/kit:{version}"), format!("{registry}/demo/runtime:{version}"));
    let modelkit = digest_of(&shop.kit("home", &format!("pack {} -t {kit}", folder.display()))?)?;
    shop.kit("home", &format!("push {kit}"))?;
    let runtime = runtime.display();
    shop.kit("home", &format!("image build {kit} -t {image} --runtime {runtime}"))?;
    let digest = digest_of(&shop.kit("home", &format!("push {image}"))?)?;
    Ok(Release { kit, modelkit, image, digest })
}
