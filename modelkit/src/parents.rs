//! ModelKits that a Kitfile's model comes from: `model.path` may be a reference to another ModelKit.

use kitfile::{ContextPath, Kitfile, Section};
use registry::content::Digest;
use registry::{Layout, Reference};

use crate::error::{Error, Result};
use crate::kit::{Layer, ModelKit};

/// So many ModelKits may build on one another.
const MAX_CHAIN: usize = 10;

/// The ModelKits that a model comes from, the nearest first; none where the model has files of its own.
///
/// Only the layout is asked: [`Error::MissingParent`] names what would have to be pulled.
pub fn parents(kitfile: &Kitfile, layout: &Layout) -> Result<Vec<ModelKit>> {
    let mut chain: Vec<ModelKit> = Vec::new();
    let mut named = Vec::new();
    let mut next = reference(kitfile)?;
    while let Some(reference) = next {
        let problem = |problem: &str| {
            let problem = format!("{problem}: {} => {reference}", named.join(" => "));
            Err(Error::Reference { reference: reference.to_string(), problem })
        };
        let descriptor = match layout.resolve(&reference) {
            Ok(descriptor) => descriptor,
            Err(registry::Error::UnknownReference { .. }) => {
                return Err(Error::MissingParent { reference: Box::new(reference) });
            }
            Err(error) => return Err(error.into()),
        };
        if chain.iter().any(|kit| kit.descriptor.digest() == descriptor.digest()) {
            return problem("it leads around in a circle");
        }
        if chain.len() == MAX_CHAIN {
            return problem("too many ModelKits build on one another");
        }
        let kit = ModelKit::read(layout, &descriptor)?;
        named.push(reference.to_string());
        next = self::reference(&kit.kitfile)?;
        chain.push(kit);
    }
    Ok(chain)
}

/// The reference that the model's path is, if it is one.
fn reference(kitfile: &Kitfile) -> Result<Option<Reference>> {
    let parent = kitfile.model.as_ref().and_then(|model| model.parent());
    let parse = |text: &str| {
        text.parse::<Reference>()
            .map(Reference::or_latest)
            .map_err(|error| Error::Reference { reference: text.to_owned(), problem: error.to_string() })
    };
    parent.map(parse).transpose()
}

/// The layers that a ModelKit takes from its parents: those of the model and its parts.
pub(crate) fn inherited(parents: &[ModelKit]) -> impl Iterator<Item = Layer<'_>> {
    let is_of_model = |layer: &Layer<'_>| matches!(layer.section, Section::Model | Section::ModelPart);
    parents.iter().flat_map(ModelKit::layers).filter(is_of_model)
}

/// Paths that no layer of the ModelKit itself holds: those of its parents' models.
pub(crate) fn inherited_paths(parents: &[ModelKit]) -> Vec<ContextPath> {
    inherited(parents).map(|layer| layer.path).collect()
}

/// Names a model's parent by its digest, so that the ModelKit says for good what it builds on.
pub(crate) fn pin(kitfile: &mut Kitfile, parents: &[ModelKit]) -> Result<()> {
    if let (Some(reference), Some(parent), Some(model)) = (reference(kitfile)?, parents.first(), &mut kitfile.model) {
        let digest: Digest = parent.descriptor.digest().clone();
        model.path = reference.with_digest(digest).to_string();
    }
    Ok(())
}
