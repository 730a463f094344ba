//! The file `kustomization.yaml`: the fields that are known, read strictly.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::loader::Loader;
use super::{Overlay, replacements};
use crate::tree::{self, Found};
use crate::{Error, Result, yaml};

/// The names that a kustomization's file may have.
pub(super) const FILE_NAMES: [&str; 3] =
    ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// Fields that kustomize knows and this build does not implement.
const UNSUPPORTED: [&str; 13] = [
    "buildMetadata",
    "components",
    "configurations",
    "crds",
    "generators",
    "helmChartInflationGenerator",
    "helmCharts",
    "helmGlobals",
    "imageTags",
    "openapi",
    "transformers",
    "validators",
    "vars",
];

/// A kustomization's file.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Kustomization {
    api_version: Option<String>,
    kind: Option<String>,
    /// Allowed in the file, without meaning.
    #[serde(rename = "metadata")]
    _metadata: Option<Value>,
    pub(super) resources: Vec<String>,
    bases: Vec<String>,
    pub(super) namespace: Option<String>,
    pub(super) name_prefix: Option<String>,
    pub(super) name_suffix: Option<String>,
    pub(super) labels: Vec<Labels>,
    pub(super) common_labels: BTreeMap<String, String>,
    pub(super) common_annotations: BTreeMap<String, String>,
    pub(super) images: Vec<Image>,
    pub(super) replicas: Vec<Replicas>,
    pub(super) config_map_generator: Vec<Generator>,
    pub(super) secret_generator: Vec<Generator>,
    pub(super) generator_options: GeneratorOptions,
    pub(super) patches: Vec<Patch>,
    pub(super) patches_strategic_merge: Vec<String>,
    #[serde(rename = "patchesJson6902")]
    pub(super) patches_json6902: Vec<Patch>,
    pub(super) replacements: Vec<replacements::Entry>,
    pub(super) sort_options: Option<SortOptions>,
}

impl Kustomization {
    /// Finds and parses the file of a folder; none when there is none, an error when there are
    /// several.
    pub(super) fn find(loader: &Loader<'_>) -> Result<Option<Self>> {
        let mut paths = Vec::new();
        for name in FILE_NAMES {
            if let Found::File(..) = loader.find(name)? {
                paths.push(tree::join(&loader.folder, name));
            }
        }
        match paths.as_slice() {
            [] => Ok(None),
            [path] => {
                let name = path.rsplit('/').next().unwrap_or(path);
                Self::parse(path, loader.text(name)?).map(Some)
            }
            several => Err(Error::Kustomize {
                field: "kustomization",
                message: format!("there are {} and {}", several[0], several[1]),
            }),
        }
    }

    pub(super) fn parse(path: &str, text: &str) -> Result<Self> {
        Self::read(text).map_err(|error| error.in_file(path))
    }

    fn read(text: &str) -> Result<Self> {
        let wrong = |message: String| Error::Kustomize { field: "kustomization", message };
        let mut documents = yaml::parse_all(text)?;
        let mut value = match (documents.pop(), documents.len()) {
            (Some(value), 0) => value,
            (None, _) => return Err(wrong("the file is empty".to_owned())),
            _ => return Err(wrong("the file has several documents".to_owned())),
        };
        let Some(map) = value.as_object_mut() else {
            return Err(wrong("the file is not a mapping".to_owned()));
        };
        map.retain(|_, value| !value.is_null());
        if map.keys().all(|key| ["apiVersion", "kind", "metadata"].contains(&key.as_str()))
            && map.get("kind") != Some(&"Component".into())
        {
            return Err(wrong("the file asks for nothing".to_owned()));
        }
        if let Some(field) = UNSUPPORTED.iter().find(|field| map.contains_key(**field)) {
            return Err(Error::Unsupported { field: (*field).to_owned() });
        }
        let mut file: Self =
            serde_json::from_value(value).map_err(|error| wrong(error.to_string()))?;
        file.check_kind()?;
        file.resources.append(&mut file.bases);
        Ok(file)
    }

    fn check_kind(&self) -> Result<()> {
        match (self.kind.as_deref(), self.api_version.as_deref()) {
            (Some("Component"), _) => {
                Err(Error::Unsupported { field: "kind: Component".to_owned() })
            }
            (
                None | Some("Kustomization"),
                None | Some("kustomize.config.k8s.io/v1beta1" | "kustomize.config.k8s.io/v1"),
            ) => Ok(()),
            (kind, api_version) => {
                let message = format!(
                    "kind {:?} of {:?} is no kustomization",
                    kind.unwrap_or_default(),
                    api_version.unwrap_or_default()
                );
                Err(Error::Kustomize { field: "kustomization", message })
            }
        }
    }

    /// Lays the fields of a Flux Kustomization over this file.
    pub(super) fn lay_over(&mut self, overlay: &Overlay) {
        for (field, over) in [
            (&mut self.namespace, &overlay.namespace),
            (&mut self.name_prefix, &overlay.name_prefix),
            (&mut self.name_suffix, &overlay.name_suffix),
        ] {
            if let Some(value) = over {
                *field = Some(value.clone());
            }
        }
        for image in &overlay.images {
            self.images.retain(|other| other.name != image.name);
            self.images.push(image.clone());
        }
        self.patches.extend(overlay.patches.iter().cloned());
    }
}

/// An entry of `labels`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Labels {
    pub(super) pairs: BTreeMap<String, String>,
    pub(super) include_selectors: bool,
    pub(super) include_templates: bool,
    pub(super) fields: Vec<FieldSpec>,
}

/// Where else labels go.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct FieldSpec {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
    pub(super) path: String,
    pub(super) create: bool,
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
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Replicas {
    pub(super) name: String,
    pub(super) count: u64,
}

/// An entry of `configMapGenerator` or `secretGenerator`.
#[derive(Debug, Default, Deserialize)]
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
#[serde(rename_all = "lowercase")]
pub(super) enum Behavior {
    #[default]
    #[serde(alias = "unspecified", alias = "")]
    Create,
    Merge,
    Replace,
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
    /// The file with the patch.
    pub path: Option<String>,
    /// The patch itself, where it is written inline.
    pub patch: Option<String>,
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
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct SortOptions {
    pub(super) order: Order,
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
