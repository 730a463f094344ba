//! Collects the objects of a kustomization and of all that it refers to, and transforms them.

use super::file::{Kustomization, Labels};
use super::loader::Loader;
use super::patch::Patcher;
use super::resource::{Resource, equal};
use super::{generate, images, labels, names, replacements};
use crate::tree::Found;
use crate::{Error, Object, Result, Tree};

/// How deep kustomizations may refer to others.
const MAX_DEPTH: usize = 64;

/// Collects the objects of a kustomization and of all that it refers to.
pub(super) struct Accumulator<'a> {
    tree: &'a Tree,
    /// The folders that are being built, outermost first.
    open: Vec<String>,
}

impl<'a> Accumulator<'a> {
    pub(super) fn new(tree: &'a Tree) -> Self {
        Self { tree, open: Vec::new() }
    }

    /// Builds one kustomization: resources, generators, then transformers in kustomize's order
    /// (api/internal/target/kusttarget.go).
    pub(super) fn target(&mut self, folder: &str, file: Kustomization) -> Result<Vec<Resource>> {
        if self.open.iter().any(|open| open == folder) || self.open.len() >= MAX_DEPTH {
            return Err(Error::Kustomize {
                field: "resources",
                message: format!("{} refers to itself through {}", folder, self.open.join(", ")),
            });
        }
        self.open.push(folder.to_owned());
        let mut resources = Vec::new();
        for entry in &file.resources {
            for resource in self.resource(folder, entry)? {
                append(&mut resources, resource)?;
            }
        }
        generate::run(&self.loader(folder), &file, &mut resources)?;
        self.transform(folder, file, &mut resources)?;
        self.open.pop();
        Ok(resources)
    }

    /// One entry of `resources`: a file with objects, or a folder with a kustomization.
    fn resource(&mut self, folder: &str, entry: &str) -> Result<Vec<Resource>> {
        if is_remote(entry) {
            return Err(Error::Kustomize {
                field: "resources",
                message: format!("{entry} is remote; only what is in the tree is built"),
            });
        }
        let loader = self.loader(folder);
        let path = loader.resolve(entry)?;
        let folder = match loader.find(entry)? {
            Found::File(..) => {
                let objects = Object::parse_all(loader.text(entry)?);
                let objects = objects.map_err(|error| error.in_file(&path))?;
                return Ok(objects.into_iter().map(Resource::new).collect());
            }
            Found::Folder(folder) => folder,
            Found::Nothing => return Err(Error::Missing { path }),
        };
        let failed = |source| Error::Build { path: path.clone(), source: Box::new(source) };
        match Kustomization::find(&self.loader(&folder)).map_err(failed)? {
            Some(file) => self.target(&folder, file).map_err(failed),
            None => Err(failed(Error::Kustomize {
                field: "resources",
                message: "this folder has no kustomization.yaml".to_owned(),
            })),
        }
    }

    fn loader(&self, folder: &str) -> Loader<'a> {
        Loader { tree: self.tree, folder: folder.to_owned() }
    }

    fn transform(
        &self,
        folder: &str,
        file: Kustomization,
        resources: &mut Vec<Resource>,
    ) -> Result<()> {
        let patcher = Patcher { loader: self.loader(folder) };
        file.patches_strategic_merge
            .iter()
            .try_for_each(|patch| patcher.merge_text(resources, patch))?;
        file.patches.iter().try_for_each(|patch| patcher.apply(resources, patch))?;
        if let Some(namespace) = file.namespace.as_deref().filter(|namespace| !namespace.is_empty())
        {
            names::set_namespace(resources, namespace)?;
        }
        names::affix(
            resources,
            file.name_prefix.as_deref().unwrap_or_default(),
            file.name_suffix.as_deref().unwrap_or_default(),
        );
        file.labels.iter().for_each(|entry| labels::add(resources, entry));
        if !file.common_labels.is_empty() {
            labels::add(
                resources,
                &Labels { pairs: file.common_labels, include_selectors: true, ..Labels::default() },
            );
        }
        labels::annotate(resources, &file.common_annotations);
        file.patches_json6902.iter().try_for_each(|patch| patcher.apply(resources, patch))?;
        file.replicas.iter().try_for_each(|replicas| names::set_replicas(resources, replicas))?;
        file.images.iter().try_for_each(|image| images::set(resources, image))?;
        replacements::apply(&self.loader(folder), resources, &file.replacements)
    }
}

/// Adds an object; its identity must be new.
pub(super) fn append(resources: &mut Vec<Resource>, resource: Resource) -> Result<()> {
    let id = resource.id();
    if resources.iter().any(|other| equal(&other.id(), &id)) {
        return Err(Error::Kustomize {
            field: "resources",
            message: format!("{id} is there twice"),
        });
    }
    resources.push(resource);
    Ok(())
}

fn is_remote(entry: &str) -> bool {
    entry.contains("://")
        || entry.starts_with("git@")
        || entry.starts_with("git::")
        || entry.starts_with("github.com/")
        || entry.contains("?ref=")
}
