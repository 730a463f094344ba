//! The file `kustomization.yaml`: its fields, read as Go reads them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::config::Specs;
use super::loader::Loader;
use super::{Overlay, decode, replacements, vars};
use crate::tree::{self, Found};
use crate::yaml::{self, Dialect};
use crate::{Error, Result};

/// The names that a kustomization's file may have.
pub(super) const FILE_NAMES: [&str; 3] =
    ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// Fields that kustomize knows and this build does not implement, since they run or fetch something.
const UNSUPPORTED: [&str; 2] = ["helmChartInflationGenerator", "helmCharts"];

/// What is about the former, and without them about nothing.
const OF_UNSUPPORTED: &str = "helmGlobals";

/// A kustomization's file.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Kustomization {
    api_version: String,
    kind: String,
    /// Allowed in the file, without meaning.
    #[serde(rename = "metadata")]
    _metadata: Option<Value>,
    pub(super) openapi: BTreeMap<String, String>,
    pub(super) resources: Vec<String>,
    bases: Vec<String>,
    pub(super) components: Vec<String>,
    pub(super) crds: Vec<String>,
    pub(super) configurations: Vec<String>,
    pub(super) generators: Vec<String>,
    pub(super) transformers: Vec<String>,
    pub(super) validators: Vec<String>,
    pub(super) build_metadata: Vec<String>,
    pub(super) namespace: String,
    pub(super) name_prefix: String,
    pub(super) name_suffix: String,
    pub(super) labels: Vec<Labels>,
    pub(super) common_labels: BTreeMap<String, String>,
    pub(super) common_annotations: BTreeMap<String, String>,
    pub(super) images: Vec<Image>,
    image_tags: Vec<Image>,
    pub(super) replicas: Vec<Replicas>,
    pub(super) config_map_generator: Vec<Generator>,
    pub(super) secret_generator: Vec<Generator>,
    pub(super) generator_options: GeneratorOptions,
    pub(super) patches: Vec<Patch>,
    pub(super) patches_strategic_merge: Vec<String>,
    #[serde(rename = "patchesJson6902")]
    pub(super) patches_json6902: Vec<Patch>,
    pub(super) replacements: Vec<replacements::Entry>,
    pub(super) vars: Vec<vars::Var>,
    pub(super) sort_options: Option<SortOptions>,
    /// The file's own name.
    #[serde(skip)]
    pub(super) name: String,
}

impl Kustomization {
    /// Finds and parses the file of a folder; none when there is none, an error when there are
    /// several.
    pub(super) fn find(loader: &Loader<'_>) -> Result<Option<Self>> {
        let mut names = Vec::new();
        for name in FILE_NAMES {
            if let Found::File(..) = loader.find(name)? {
                names.push(name);
            }
        }
        let path = |name: &str| tree::join(&loader.folder, name);
        match names.as_slice() {
            [] => Ok(None),
            [name] => {
                let mut file = Self::parse(&path(name), loader.text(name)?)?;
                (*name).clone_into(&mut file.name);
                Ok(Some(file))
            }
            several => Err(Error::Kustomize {
                field: "kustomization",
                message: format!("there are {} and {}", path(several[0]), path(several[1])),
            }),
        }
    }

    pub(super) fn parse(path: &str, text: &str) -> Result<Self> {
        Self::read(text).map_err(|error| error.in_file(path))
    }

    fn read(text: &str) -> Result<Self> {
        let mut documents = yaml::parse_as(text, Dialect::Json)?;
        let mut value = match (documents.pop(), documents.len()) {
            (Some(value), 0) => value,
            (None, _) => return Err(wrong("the file is empty".to_owned())),
            _ => return Err(wrong("the file has several documents".to_owned())),
        };
        let Some(map) = value.as_object_mut() else {
            return Err(wrong("the file is not a mapping".to_owned()));
        };
        map.retain(|_, value| !value.is_null());
        if map.keys().all(|key| ["apiVersion", "kind"].contains(&key.as_str())) {
            return Err(wrong("the file asks for nothing".to_owned()));
        }
        map.retain(|key, _| !key.eq_ignore_ascii_case(OF_UNSUPPORTED));
        for field in UNSUPPORTED {
            match map.keys().find(|key| key.eq_ignore_ascii_case(field)).cloned() {
                Some(key) if is_empty(&map[&key]) => drop(map.remove(&key)),
                Some(_) => return Err(Error::Unsupported { field: field.to_owned() }),
                None => {}
            }
        }
        let mut file: Self = decode::strictly(value).map_err(|error| wrong(error.to_string()))?;
        file.check_kind()?;
        file.resources.append(&mut file.bases);
        file.images.append(&mut file.image_tags);
        "kustomization.yaml".clone_into(&mut file.name);
        Ok(file)
    }

    pub(super) fn is_component(&self) -> bool {
        self.kind == "Component"
    }

    fn check_kind(&self) -> Result<()> {
        let version = match self.kind.as_str() {
            "" | "Kustomization" => "kustomize.config.k8s.io/v1beta1",
            "Component" => "kustomize.config.k8s.io/v1alpha1",
            kind => return Err(wrong(format!("{kind} is neither Kustomization nor Component"))),
        };
        match self.api_version.as_str() {
            "" => Ok(()),
            given if given == version => Ok(()),
            given => Err(wrong(format!("the apiVersion is {given:?} and not {version}"))),
        }
    }

    /// Lays the fields of a Flux Kustomization over this file.
    pub(super) fn lay_over(&mut self, overlay: &Overlay, loader: &Loader<'_>) -> Result<()> {
        for (field, over) in [
            (&mut self.namespace, &overlay.namespace),
            (&mut self.name_prefix, &overlay.name_prefix),
            (&mut self.name_suffix, &overlay.name_suffix),
        ] {
            if let Some(value) = over {
                field.clone_from(value);
            }
        }
        for image in &overlay.images {
            self.images.retain(|other| other.name != image.name);
            self.images.push(image.clone());
        }
        self.patches.extend(overlay.patches.iter().cloned());
        for component in &overlay.components {
            let is_local = loader.resolve(component).is_ok() && !component.contains("://");
            if !is_local {
                let message = format!("component path '{component}' must be local and relative");
                return Err(Error::Kustomize { field: "components", message });
            }
            let is_missing = || matches!(loader.find(component), Ok(Found::Nothing));
            let is_left_out = overlay.ignore_missing_components && is_missing();
            if !is_left_out && !self.components.contains(component) {
                self.components.push(component.clone());
            }
        }
        Ok(())
    }
}

fn wrong(message: String) -> Error {
    Error::Kustomize { field: "kustomization", message }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(elements) => elements.is_empty(),
        Value::Object(map) => map.is_empty(),
        other => other.is_null(),
    }
}

/// An entry of `labels`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Labels {
    pub(super) pairs: BTreeMap<String, String>,
    pub(super) include_selectors: bool,
    pub(super) include_templates: bool,
    pub(super) fields: Specs,
}

/// An entry of `images`: which image becomes which.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Image {
    /// The image's name, without tag; it is a regular expression, as in kustomize.
    pub name: String,
    /// Its new name.
    pub new_name: String,
    /// Its new tag; alone, it clears a digest.
    pub new_tag: String,
    /// Put behind the tag that is there.
    pub tag_suffix: String,
    /// Its new digest; alone, it clears a tag.
    pub digest: String,
}

/// An entry of `replicas`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Replicas {
    pub(super) name: String,
    pub(super) count: i64,
}

/// An entry of `configMapGenerator` or `secretGenerator`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Generator {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) behavior: Behavior,
    pub(super) literals: Vec<String>,
    pub(super) files: Vec<String>,
    pub(super) envs: Vec<String>,
    pub(super) env: Option<String>,
    pub(super) r#type: Option<String>,
    pub(super) options: GeneratorOptions,
}

/// What a generator does with an object that is there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub(super) enum Behavior {
    #[default]
    Create,
    Merge,
    Replace,
}

/// As in kustomize, a word that is none of them means `create`.
impl From<String> for Behavior {
    fn from(word: String) -> Self {
        match word.as_str() {
            "merge" => Self::Merge,
            "replace" => Self::Replace,
            _ => Self::Create,
        }
    }
}

/// `generatorOptions`, and a generator's own `options`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct GeneratorOptions {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) disable_name_suffix_hash: bool,
    pub(super) immutable: bool,
}

/// An entry of `patches`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Patch {
    /// The file with the patch; empty for none.
    pub path: String,
    /// The patch itself, where it is written inline.
    pub patch: String,
    /// What is patched; a strategic merge patch names its object itself.
    pub target: Option<Selector>,
    /// What the patch may do.
    pub options: PatchOptions,
}

/// Selects objects; every field that is not empty must match, names as anchored regular
/// expressions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Selector {
    /// The API group.
    pub group: String,
    /// The version.
    pub version: String,
    /// The kind.
    pub kind: String,
    /// The name.
    pub name: String,
    /// The namespace.
    pub namespace: String,
    /// A selector over labels, `a=b,!c`.
    pub label_selector: String,
    /// A selector over annotations.
    pub annotation_selector: String,
}

/// What a patch may do beyond the ordinary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PatchOptions {
    /// Whether it may rename the object.
    pub allow_name_change: bool,
    /// Whether it may make another kind of it.
    pub allow_kind_change: bool,
}

/// `sortOptions`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SortOptions {
    pub(super) order: Order,
    #[serde(default)]
    pub(super) legacy_sort_options: Option<LegacyOrder>,
}

/// The order of the objects that are built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Order {
    #[default]
    Legacy,
    Fifo,
}

/// Kinds that come first and last.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct LegacyOrder {
    #[serde(default)]
    pub(super) order_first: Vec<String>,
    #[serde(default)]
    pub(super) order_last: Vec<String>,
}
