//! The ModelKits that are unpacked together, and what of them is meant.

use kitfile::{ContextPath, Dataset, Section};
use registry::{Blobs, Reference};

use crate::error::{Error, Result};
use crate::filter::{Filter, any_matches};
use crate::kit::{Layer, ModelKit};
use crate::parents::{dataset_reference, is_of_model};

/// A ModelKit that something is unpacked from.
pub struct Source<'a> {
    /// The ModelKit.
    pub kit: &'a ModelKit,
    /// Where its blobs lie.
    pub blobs: &'a dyn Blobs,
    /// Why it is unpacked.
    pub role: Role,
}

/// Why a ModelKit is unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// It was asked for.
    Itself,
    /// The model comes from it: its model and parts belong to the whole.
    Parent,
    /// A dataset comes from it: its datasets belong beneath this path.
    Dataset(ContextPath),
}

/// A layer that will be unpacked.
pub struct Chosen<'a> {
    /// The layer.
    pub layer: Layer<'a>,
    /// Where its files will lie in the target.
    pub path: ContextPath,
    /// The folder of the target that its path begins at.
    pub(super) beneath: ContextPath,
    pub(super) blobs: &'a dyn Blobs,
}

/// The layers that the filters mean: those of the model first, where it comes from elsewhere.
pub fn chosen<'a>(sources: &'a [Source<'a>], filters: &[Filter]) -> Vec<Chosen<'a>> {
    let is_wanted =
        |layer: &Layer<'_>| any_matches(filters, layer.section, layer.name, layer.written_path);
    let mut all = Vec::new();
    for source in sources {
        let (beneath, belongs): (_, fn(&Layer<'_>) -> bool) = match &source.role {
            Role::Itself => (ContextPath::root(), |_| true),
            Role::Parent => (ContextPath::root(), is_of_model),
            // Whether the dataset is wanted was decided by its entry in the other Kitfile.
            Role::Dataset(path) => (path.clone(), |layer| layer.section == Section::Dataset),
        };
        let is_dataset = matches!(source.role, Role::Dataset(_));
        let layers =
            source.kit.layers().filter(|layer| belongs(layer) && (is_dataset || is_wanted(layer)));
        all.extend(layers.map(|layer| {
            let path = joined(&beneath, &layer.path);
            Chosen { layer, path, beneath: beneath.clone(), blobs: source.blobs }
        }));
    }
    all
}

fn joined(folder: &ContextPath, path: &ContextPath) -> ContextPath {
    format!("{folder}/{path}").parse().expect("a path inside of a folder inside is inside")
}

/// The ModelKits that the wanted datasets come from, and where their files belong. One that is kept
/// anywhere else is an error.
pub fn remote_datasets(
    kit: &ModelKit,
    filters: &[Filter],
) -> Result<Vec<(ContextPath, Reference)>> {
    let mut found = Vec::new();
    for dataset in wanted(kit, filters) {
        let elsewhere = |problem: &str| Error::RemoteDataset {
            path: dataset.path.clone(),
            remote: dataset.remote_path.clone(),
            problem: problem.to_owned(),
        };
        let reference = dataset_reference(dataset)?.ok_or_else(|| {
            elsewhere(
                "only datasets of other ModelKits can be fetched; bring this one there yourself",
            )
        })?;
        let path =
            dataset.path.parse().map_err(|error: kitfile::Error| elsewhere(&error.to_string()))?;
        found.push((path, reference));
    }
    Ok(found)
}

/// Says which wanted datasets are kept elsewhere and are not among the sources.
pub(super) fn left_out(sources: &[Source<'_>], filters: &[Filter]) -> Vec<String> {
    let Some(first) = sources.first() else { return Vec::new() };
    let is_source = |dataset: &&Dataset| {
        let path = dataset.path.parse::<ContextPath>().ok();
        path.is_some_and(|path| {
            sources.iter().any(|source| source.role == Role::Dataset(path.clone()))
        })
    };
    let left_out = wanted(first.kit, filters).filter(|dataset| !is_source(dataset));
    let say = |dataset: &Dataset| {
        format!("dataset `{}` is kept at {} and is not unpacked", dataset.path, dataset.remote_path)
    };
    left_out.map(say).collect()
}

fn wanted<'a>(kit: &'a ModelKit, filters: &'a [Filter]) -> impl Iterator<Item = &'a Dataset> {
    kit.kitfile.datasets.iter().filter(|dataset| {
        let name = Some(dataset.name.as_str()).filter(|name| !name.is_empty());
        !dataset.remote_path.is_empty()
            && any_matches(filters, Section::Dataset, name, &dataset.path)
    })
}
