//! The ModelKits that are unpacked together, and what of them is meant.

use kitfile::{ContextPath, Dataset, Section};
use registry::{Blobs, Layout, Reference};

use crate::error::{Error, Result};
use crate::filter::{self, Filter, Part, any_concerns, any_matches, any_matches_kitfile};
use crate::kit::{Layer, ModelKit};
use crate::parents::{dataset_reference, in_layout, is_of_model, parents};
use crate::source::Source;

/// What of a ModelKit is meant; by default all that it holds itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// The parts that are meant; all, without filters.
    pub filters: Vec<Filter>,
    /// Datasets that are kept in other ModelKits are meant, too.
    pub remote_datasets: bool,
}

/// A ModelKit, all others that are needed for what is meant of it, and what that is.
pub struct Sources<'a> {
    itself: Source<'a>,
    /// Those that the model comes from: its model and parts belong to the whole.
    parents: Vec<Source<'a>>,
    /// Those that datasets come from: their datasets belong beneath these paths.
    datasets: Vec<(ContextPath, Source<'a>)>,
    selection: Selection,
}

/// A layer that will be unpacked.
pub struct ChosenLayer<'a> {
    /// The layer.
    pub layer: Layer<'a>,
    /// Where its files will lie in the target.
    pub path: ContextPath,
    /// The folder of the target that its path begins at.
    pub(super) beneath: ContextPath,
    pub(super) blobs: &'a dyn Blobs,
}

impl<'a> Sources<'a> {
    /// Finds the ModelKits that the selection needs besides this one, each as `find` does. A
    /// selected dataset that is kept anywhere else than in a ModelKit is an error.
    pub fn find<E: From<Error>>(
        itself: Source<'a>,
        selection: Selection,
        mut find: impl FnMut(&Reference) -> Result<Source<'a>, E>,
    ) -> Result<Self, E> {
        let mut sources = Self { itself, parents: Vec::new(), datasets: Vec::new(), selection };
        if any_concerns(&sources.selection.filters, Part::Model) {
            sources.parents = parents(sources.kit().kitfile(), &mut find)?;
        }
        if sources.selection.remote_datasets {
            let datasets = sources.wanted_datasets().map(|dataset| {
                let (path, reference) = remote(dataset)?;
                Ok((path, find(&reference)?))
            });
            sources.datasets = datasets.collect::<Result<_, E>>()?;
        }
        Ok(sources)
    }

    /// Finds them in the layout that holds the ModelKit.
    pub fn local(kit: ModelKit, layout: &Layout, selection: Selection) -> Result<Self> {
        let open = |kit| Source { kit, blobs: Box::new(layout.clone()) };
        Self::find(open(kit), selection, |reference| in_layout(layout)(reference).map(open))
    }

    /// The ModelKit that was asked for.
    pub fn kit(&self) -> &ModelKit {
        &self.itself.kit
    }

    /// Whether the Kitfile is meant, and came with the ModelKit.
    pub fn has_kitfile(&self) -> bool {
        any_matches_kitfile(&self.selection.filters) && self.kit().has_kitfile()
    }

    /// The layers that are meant: the ModelKit's own, then those of its model and its datasets that
    /// come from elsewhere.
    pub fn layers(&self) -> Vec<ChosenLayer<'_>> {
        let is_wanted = |layer: &Layer<'_>| {
            any_matches(&self.selection.filters, layer.section, layer.name, layer.written_path)
        };
        let root = ContextPath::root();
        let mut chosen: Vec<_> =
            choose(&self.itself, &root).filter(|chosen| is_wanted(&chosen.layer)).collect();
        for parent in &self.parents {
            let layers = choose(parent, &root);
            chosen.extend(
                layers.filter(|chosen| is_of_model(&chosen.layer) && is_wanted(&chosen.layer)),
            );
        }
        // Whether the dataset is wanted was decided by its entry in the other Kitfile.
        for (path, source) in &self.datasets {
            let layers = choose(source, path);
            chosen.extend(layers.filter(|chosen| chosen.layer.section == Section::Dataset));
        }
        chosen
    }

    /// Says what of the ModelKits is not unpacked without anybody having asked for that, and what was
    /// asked for and is not there.
    pub fn warnings(&self) -> Vec<String> {
        let parents = || self.parents.iter().map(|parent| &parent.kit);
        let others = self.datasets.iter().map(|(_, source)| &source.kit);
        let kits = std::iter::once(self.kit()).chain(parents()).chain(others);
        let unknown = kits.flat_map(ModelKit::left_out);
        let idle = filter::idle(&self.selection.filters, self.kit(), parents());
        unknown.chain(idle).chain(self.elsewhere()).collect()
    }

    /// Says which datasets are meant, kept elsewhere, and not among the sources.
    fn elsewhere(&self) -> Vec<String> {
        let say = |dataset: &Dataset| {
            let (path, remote) = (&dataset.path, &dataset.remote_path);
            format!("dataset `{path}` is kept at {remote} and is not unpacked")
        };
        let is_left_out = |_: &&Dataset| !self.selection.remote_datasets;
        self.wanted_datasets().filter(is_left_out).map(say).collect()
    }

    /// The datasets that are meant and kept elsewhere.
    fn wanted_datasets(&self) -> impl Iterator<Item = &Dataset> {
        self.kit().kitfile().datasets.iter().filter(|dataset| {
            let name = Some(dataset.name.as_str()).filter(|name| !name.is_empty());
            !dataset.remote_path.is_empty()
                && any_matches(&self.selection.filters, Section::Dataset, name, &dataset.path)
        })
    }
}

/// All layers of a ModelKit, beneath a folder of the target.
fn choose<'a>(
    source: &'a Source<'_>,
    beneath: &ContextPath,
) -> impl Iterator<Item = ChosenLayer<'a>> {
    source.kit.layers().map(move |layer| {
        let path = format!("{beneath}/{}", layer.path);
        let path = path.parse().expect("a path inside of a folder inside is inside");
        ChosenLayer { layer, path, beneath: beneath.clone(), blobs: &*source.blobs }
    })
}

/// Where a dataset's files belong, and the ModelKit that it comes from.
fn remote(dataset: &Dataset) -> Result<(ContextPath, Reference)> {
    let elsewhere = |problem: &str| Error::RemoteDataset {
        path: dataset.path.clone(),
        remote: dataset.remote_path.clone(),
        problem: problem.to_owned(),
    };
    let reference = dataset_reference(dataset)?.ok_or_else(|| {
        elsewhere("only datasets of other ModelKits can be fetched; bring this one there yourself")
    })?;
    let path = dataset.path.parse();
    let path = path.map_err(|error: kitfile::Error| elsewhere(&error.to_string()))?;
    Ok((path, reference))
}
