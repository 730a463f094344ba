//! `kustomize build`, natively: a tree of text in, objects out.
//!
//! The result is what `kubectl kustomize` of kustomize 5.8 prints, in its order. Two things are as
//! Flux has them: a folder without a kustomization gets one with every YAML file below it, and
//! files may be taken from anywhere within the tree, never from outside. Nothing is run.
//!
//! Bases of registries are taken by digest, `oci://HOST/REPOSITORY@sha256:DIGEST//PATH`, where the tree
//! has somebody who fetches them ([`Tree::with_bases`]).
//!
//! Not supported, and refused by name: Helm charts, other remote bases, and plugins that are programs or
//! containers. What else differs on purpose stands in the guide, `docs/guide/gitops.md`.
//!
//! A build goes through the modules so: `file` and `decode` read a kustomization, `target` collects
//! objects (`load`, `generate`, `plugin`) and applies `transformer`s to them, which find their fields
//! in the tables of `config`; then hashes, `references`, `vars`, `sort`.

mod built_in;
mod config;
mod decode;
mod fields;
mod file;
mod generate;
mod hash;
mod images;
mod labels;
mod load;
mod loader;
mod names;
mod origin;
mod patch;
mod plugin;
mod references;
mod replacements;
mod resource;
mod resources;
mod scan;
mod schema;
mod scope;
mod sort;
mod target;
mod transformer;
mod vars;

pub use file::{Image, Patch, PatchOptions, Selector};
use loader::Loader;
use resource::Resource;
use target::{Accumulated, Build};

use crate::tree::Found;
use crate::{Error, Object, Result, Tree, tree};

/// What is laid over the kustomization at the root of a build, as a Flux Kustomization does with
/// its own fields.
#[derive(Clone, Debug, Default)]
pub struct Overlay {
    /// The namespace of all objects that have one.
    pub namespace: Option<String>,
    /// Put before each name.
    pub name_prefix: Option<String>,
    /// Put behind each name.
    pub name_suffix: Option<String>,
    /// Further images; one with the same name replaces the file's.
    pub images: Vec<Image>,
    /// Further patches, after the file's.
    pub patches: Vec<Patch>,
    /// Further components, after the file's.
    pub components: Vec<String>,
    /// Whether a further component that is not there is left out.
    pub ignore_missing_components: bool,
    /// Whether objects stay in the order in which they came, unless the file says otherwise: Flux
    /// has an order of its own.
    pub as_they_came: bool,
}

/// Builds the kustomization in a folder of the tree, with an overlay, which may be empty.
pub fn build(tree: &Tree, path: &str, overlay: &Overlay) -> Result<Vec<Object>> {
    let failed = |source| Error::Build { path: path.to_owned(), source: Box::new(source) };
    let folder = tree::normalize(path).map_err(failed)?;
    run(tree, &folder, overlay).map_err(failed)
}

/// Writes the kustomization that Flux would generate for a folder that has none: every YAML file
/// below it that holds objects, and every folder that has a kustomization of its own.
pub fn generate(tree: &Tree, path: &str) -> Result<String> {
    scan::kustomization(tree, &tree::normalize(path)?)
}

/// The label of `buildMetadata: [managedByLabel]`, and the version of kustomize that it names: the one
/// whose builds these are.
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
const VERSION: &str = "v5.8.1";

fn run(tree: &Tree, folder: &str, overlay: &Overlay) -> Result<Vec<Object>> {
    let folder = match tree.find(folder)? {
        Found::Folder(folder) if tree.has_folder(&folder) => folder,
        _ => return Err(Error::Missing { path: folder.to_owned() }),
    };
    let loader = Loader::new(tree, folder);
    let mut file = match file::Kustomization::find(&loader)? {
        Some(file) => file,
        None => {
            let text = scan::kustomization(tree, &loader.folder)?;
            file::Kustomization::parse("kustomization.yaml", &text)?
        }
    };
    let sort = match file.sort_options.take() {
        Some(sort) => sort,
        None if overlay.as_they_came => {
            file::SortOptions { order: file::Order::Fifo, ..Default::default() }
        }
        None => file::SortOptions::default(),
    };
    file.lay_over(overlay, &loader)?;
    let asked = file.build_metadata.clone();
    let mut build = Build::new(tree, !asked.is_empty());
    let Accumulated { mut resources, config, vars } = build.root(loader, file)?;
    hash::add_to_names(&mut resources);
    references::fix(&mut resources, &config)?;
    vars::resolve(&mut resources, &vars, &config.var_reference)?;
    if let Some(nameless) = resources.iter().find(|resource| {
        resource.object.name().is_empty() && !resource.object.kind().ends_with("List")
    }) {
        let message = format!("a {} has lost its name", nameless.object.kind());
        return Err(Error::Kustomize { field: "resources", message });
    }
    resources.as_mut().retain(|resource| !resource.is_local());
    sort::sort(&mut resources, &sort)?;
    if asked.iter().any(|word| word == "managedByLabel") {
        let label = [(MANAGED_BY.to_owned(), format!("kustomize-{VERSION}"))].into();
        labels::add(&mut resources, &label, &labels::metadata("metadata/labels"))
            .map_err(|message| Error::Kustomize { field: "buildMetadata", message })?;
    }
    origin::finish(&mut resources, &asked);
    Ok(resources.into_vec().into_iter().map(Resource::finish).collect())
}
