//! ModelKits that a Kitfile's model comes from: `model.path` may be a reference to another
//! ModelKit.

use std::borrow::Borrow;

use kitfile::{ContextPath, Dataset, Kitfile, Section};
use registry::content::Digest;
use registry::{Layout, Reference};

use crate::error::{Error, Result};
use crate::kit::{Layer, ModelKit};

/// So many ModelKits may build on one another.
const MAX_CHAIN: usize = 10;

/// The ModelKits that a model comes from, the nearest first; none where the model has files of its
/// own. `find` finds each of them: [`in_layout`], or wherever the caller looks.
pub fn parents<K: Borrow<ModelKit>, E: From<Error>>(
    kitfile: &Kitfile,
    mut find: impl FnMut(&Reference) -> Result<K, E>,
) -> Result<Vec<K>, E> {
    let mut chain: Vec<K> = Vec::new();
    let mut named = Vec::new();
    let mut next = reference(kitfile)?;
    while let Some(reference) = next {
        let problem = |problem: &str| {
            let problem = format!("{problem}: {} => {reference}", named.join(" => "));
            E::from(Error::Reference { reference: reference.to_string(), problem })
        };
        if chain.len() == MAX_CHAIN {
            return Err(problem("too many ModelKits build on one another"));
        }
        let found = find(&reference)?;
        let kit = found.borrow();
        if chain.iter().any(|other| other.borrow().digest() == kit.digest()) {
            return Err(problem("it leads around in a circle"));
        }
        named.push(reference.to_string());
        next = self::reference(kit.kitfile())?;
        chain.push(found);
    }
    Ok(chain)
}

/// Finds ModelKits in a layout only: [`Error::MissingParent`] names what would have to be pulled.
pub fn in_layout(layout: &Layout) -> impl Fn(&Reference) -> Result<ModelKit> {
    move |reference: &Reference| match layout.resolve(reference) {
        Ok(descriptor) => ModelKit::read(layout, &descriptor),
        Err(registry::Error::Layout(registry::LayoutError::UnknownReference { .. })) => {
            Err(Error::MissingParent { reference: Box::new(reference.clone()) })
        }
        Err(error) => Err(error.into()),
    }
}

/// The other ModelKits that a Kitfile names and that are in no registry: what builds on them is of
/// use on this machine only.
pub fn local_references(kitfile: &Kitfile) -> Vec<Reference> {
    let datasets = kitfile.datasets.iter().map(dataset_reference);
    let all = std::iter::once(reference(kitfile)).chain(datasets);
    all.filter_map(Result::ok).flatten().filter(Reference::is_local).collect()
}

/// Whether a Kitfile names this ModelKit as one that its own builds on.
pub fn builds_on(kitfile: &Kitfile, digest: &Digest) -> bool {
    let datasets = kitfile.datasets.iter().map(dataset_reference);
    let mut all = std::iter::once(reference(kitfile)).chain(datasets).filter_map(Result::ok);
    all.any(|named| named.is_some_and(|named| named.digest() == Some(digest)))
}

/// The reference that the model's path is, if it is one.
fn reference(kitfile: &Kitfile) -> Result<Option<Reference>> {
    kitfile.model.as_ref().and_then(|model| model.parent()).map(parse).transpose()
}

/// The reference to the ModelKit that a dataset comes from, if it comes from one.
pub(crate) fn dataset_reference(dataset: &Dataset) -> Result<Option<Reference>> {
    let is_one = kitfile::is_modelkit_reference(&dataset.remote_path);
    is_one.then(|| parse(&dataset.remote_path)).transpose()
}

fn parse(text: &str) -> Result<Reference> {
    text.parse::<Reference>().map(Reference::or_latest).map_err(|error| Error::Reference {
        reference: text.to_owned(),
        problem: error.to_string(),
    })
}

/// The layers that a ModelKit takes from its parents: those of the model and its parts.
pub(crate) fn inherited(parents: &[ModelKit]) -> impl Iterator<Item = Layer<'_>> {
    parents.iter().flat_map(ModelKit::layers).filter(is_of_model)
}

pub(crate) fn is_of_model(layer: &Layer<'_>) -> bool {
    matches!(layer.section, Section::Model | Section::ModelPart)
}

/// Paths that no layer of the ModelKit itself holds: those of its parents' models.
pub(crate) fn inherited_paths(parents: &[ModelKit]) -> Vec<ContextPath> {
    inherited(parents).map(|layer| layer.path).collect()
}

/// Names a model's parent by its digest, and those ModelKits with datasets that are in the layout,
/// so that the ModelKit says for good what it builds on.
pub(crate) fn pin(kitfile: &mut Kitfile, parents: &[ModelKit], layout: &Layout) -> Result<()> {
    if let (Some(reference), Some(parent), Some(model)) =
        (reference(kitfile)?, parents.first(), &mut kitfile.model)
    {
        model.path = reference.with_digest(parent.digest().clone()).to_string();
    }
    for dataset in &mut kitfile.datasets {
        if let Some(reference) = dataset_reference(dataset)?
            && let Ok(descriptor) = layout.resolve(&reference)
        {
            dataset.remote_path = reference.with_digest(descriptor.digest().clone()).to_string();
        }
    }
    Ok(())
}
