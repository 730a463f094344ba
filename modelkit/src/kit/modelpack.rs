//! The Kitfile of a CNCF ModelPack that came without one, from its layers and its config.
//! Source: model-spec, `docs/config.md` and `docs/annotations.md`.

use kitfile::{Code, Dataset, Doc, Kitfile, Model, ModelPart, Package, Prompt};
use registry::content::{Descriptor, ImageManifest};
use serde::Deserialize;

use super::links::{annotation, filepath};
use crate::error::{Error, Result};
use crate::media_type::{Kind, LAYER_SUBTYPE, LayerType, SUBTYPE_PROMPT};

/// What of the config a Kitfile has a place for.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Config {
    descriptor: About,
    config: Shape,
    modelfs: Files,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct About {
    name: String,
    version: String,
    description: String,
    authors: Vec<String>,
    licenses: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Shape {
    format: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Files {
    diff_ids: Vec<String>,
}

/// The first weights are the model, all further ones and their configuration its parts; without
/// weights the first part is the model.
pub(super) fn kitfile(
    descriptor: &Descriptor,
    manifest: &ImageManifest,
    config: &[u8],
) -> Result<Kitfile> {
    let config: Config = serde_json::from_slice(config).map_err(|source| {
        let digest = manifest.config().digest().clone();
        Error::Document { what: "ModelPack config", digest, source }
    })?;
    let diff_ids = &config.modelfs.diff_ids;
    let has_diff_ids = diff_ids.len() == manifest.layers().len();
    let mut kitfile = about(&config);
    for (index, layer) in manifest.layers().iter().enumerate() {
        let diff_id = has_diff_ids.then(|| diff_ids[index].clone());
        add(&mut kitfile, layer, diff_id, &config.config.format).map_err(|problem| {
            let problem = format!("its layer {} {problem}", layer.digest());
            Error::NotAModelKit { digest: descriptor.digest().clone(), problem }
        })?;
    }
    if let Some(model) = kitfile.model.as_mut().filter(|model| model.digest.is_none()) {
        let ModelPart { path, digest, diff_id, .. } = model.parts.remove(0);
        *model = Model { path, digest, diff_id, ..std::mem::take(model) };
    }
    Ok(kitfile)
}

fn about(config: &Config) -> Kitfile {
    let About { name, version, description, authors, licenses } = &config.descriptor;
    let package = Package {
        name: name.clone(),
        version: version.clone(),
        description: description.clone(),
        license: licenses.first().cloned().unwrap_or_default(),
        authors: authors.clone(),
    };
    Kitfile { manifest_version: "1.0.0".into(), package, ..Default::default() }
}

fn add(
    kitfile: &mut Kitfile,
    layer: &Descriptor,
    diff_id: Option<String>,
    format: &str,
) -> Result<(), String> {
    let title = || annotation(layer, crate::media_type::TITLE);
    let path = filepath(layer).or_else(title).ok_or("has no path")?.to_owned();
    let layer_type: LayerType = layer
        .media_type()
        .to_string()
        .parse()
        .map_err(|error: Error| format!("is wrong: {error}"))?;
    let is_prompt = annotation(layer, LAYER_SUBTYPE) == Some(SUBTYPE_PROMPT);
    let digest = Some(layer.digest().to_string());
    match layer_type.kind {
        Kind::Model if kitfile.model.as_ref().is_none_or(|model| model.digest.is_none()) => {
            let model = kitfile.model.get_or_insert_default();
            *model =
                Model { path, digest, diff_id, format: format.to_owned(), ..std::mem::take(model) };
        }
        Kind::Model | Kind::ModelPart => {
            let part = ModelPart { path, digest, diff_id, ..Default::default() };
            kitfile.model.get_or_insert_default().parts.push(part);
        }
        Kind::Dataset => {
            kitfile.datasets.push(Dataset { path, digest, diff_id, ..Default::default() })
        }
        Kind::Code if is_prompt => {
            kitfile.prompts.push(Prompt { path, digest, diff_id, ..Default::default() })
        }
        Kind::Code => kitfile.code.push(Code { path, digest, diff_id, ..Default::default() }),
        Kind::Docs => kitfile.docs.push(Doc { path, digest, diff_id, ..Default::default() }),
        Kind::Mcpb => return Err("is an MCP bundle, which ModelPack does not have".into()),
    }
    Ok(())
}
