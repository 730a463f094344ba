//! Collects the objects of a kustomization and of all that it refers to, and transforms them
//! (api/internal/target/kusttarget.go).

use std::sync::{Arc, OnceLock};

use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};

use super::built_in::transformers as fields_of;
use super::config::Config;
use super::file::{Generator, Kustomization};
use super::generate::{self, Kind};
use super::loader::Loader;
use super::origin::{self, Origin};
use super::resource::Resource;
use super::resources::Resources;
use super::schema::Schema;
use super::transformer::Transformer;
use super::vars::{self, Var};
use super::{load, plugin};
use crate::base::is_oci;
use crate::tree::Found;
use crate::{Error, OciArtifact, Result, Tree};

/// How deep kustomizations may refer to others.
const MAX_DEPTH: usize = 64;

/// What kustomizations have given so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Accumulated {
    pub(super) resources: Resources,
    pub(super) config: Arc<Config>,
    pub(super) vars: Vec<Var>,
}

/// One build: what all its kustomizations share.
pub(super) struct Build<'a> {
    /// The outermost tree, which knows who fetches others.
    tree: &'a Tree,
    /// A schema that a kustomization brings along; the first one counts.
    schema: OnceLock<Option<Schema>>,
    /// Whether an object was of a kind that Kubernetes does not have, before there was a schema: then
    /// kustomize has its own schema besides.
    is_foreign: bool,
    /// Whether it is noted where objects come from.
    tracks: bool,
    /// The folders that are being built, outermost first.
    open: Vec<(Option<OciArtifact>, String)>,
}

/// A kustomization with its place.
struct Target<'a> {
    loader: Loader<'a>,
    file: Kustomization,
    /// Its path as it was referred to, from the folder that is built.
    shown: String,
}

impl Target<'_> {
    /// Where a file counts as coming from.
    fn origin_of(&self, path: &str) -> Origin {
        let path = clean(&format!("{}/{path}", self.shown));
        Origin::of_file(path, self.loader.artifact.clone())
    }
}

impl<'a> Build<'a> {
    pub(super) fn new(tree: &'a Tree, tracks: bool) -> Self {
        Self { tree, schema: OnceLock::new(), is_foreign: false, tracks, open: Vec::new() }
    }

    /// Builds the kustomization of the outermost folder.
    pub(super) fn root(&mut self, loader: Loader<'a>, file: Kustomization) -> Result<Accumulated> {
        let target = Target { loader, file, shown: String::new() };
        self.target(target, Accumulated::default())
    }

    pub(super) fn schema(&self) -> &Schema {
        self.schema.get().and_then(Option::as_ref).unwrap_or_else(|| Schema::kubernetes())
    }

    /// Builds one kustomization: resources, generators, components, then transformers in
    /// kustomize's order, and validators.
    fn target(&mut self, target: Target<'a>, start: Accumulated) -> Result<Accumulated> {
        let Target { loader, file, .. } = &target;
        self.enter(loader)?;
        self.take_schema(loader, file)?;
        let mut so_far = self.resources(&target, &file.resources, start)?;
        let config = Config::load(loader, &file.configurations)?;
        so_far.config = Config::merge(&so_far.config, &config)?;
        let of_crds = Config::of_crds(loader, &file.crds)?;
        so_far.config = Config::merge(&so_far.config, &of_crds)?;
        self.generate(&target, &mut so_far)?;
        for entry in &file.components {
            so_far = self.component(&target, entry, so_far)?;
        }
        self.transform(&target, &mut so_far)?;
        self.validate(&target, &mut so_far)?;
        vars::mark(&mut so_far.resources, &file.vars)?;
        vars::merge(&mut so_far.vars, &file.vars)?;
        self.open.pop();
        Ok(so_far)
    }

    /// Opens a folder; one that is open, or above one that is, would go round in a circle.
    fn enter(&mut self, loader: &Loader<'_>) -> Result<()> {
        let folder = &loader.folder;
        let is_above = |(artifact, open): &(Option<OciArtifact>, String)| {
            let rest = open.strip_prefix(folder.as_str());
            *artifact == loader.artifact
                && (folder.is_empty()
                    || rest.is_some_and(|it| it.is_empty() || it.starts_with('/')))
        };
        if self.open.iter().any(is_above) || self.open.len() >= MAX_DEPTH {
            let through: Vec<&str> = self.open.iter().map(|(_, open)| &**open).collect();
            let message = format!("{folder} refers to itself through {}", through.join(", "));
            return Err(Error::Kustomize { field: "resources", message });
        }
        self.open.push((loader.artifact.clone(), folder.clone()));
        Ok(())
    }

    /// `openapi`: the outermost schema counts for all.
    fn take_schema(&self, loader: &Loader<'_>, file: &Kustomization) -> Result<()> {
        let wrong = |message: String| Error::Kustomize { field: "openapi", message };
        if self.schema.get().is_some() {
            return Ok(());
        }
        let schema = match (file.openapi.get("path"), file.openapi.get("version")) {
            (Some(_), Some(_)) => {
                return Err(wrong("there is both a path and a version".to_owned()));
            }
            (Some(path), None) => {
                let read = Schema::of_openapi(loader.text(path)?, self.is_foreign);
                Some(read.map_err(|error| error.in_file(path))?)
            }
            (None, Some(version)) if version == "v1.21.2" => None,
            (None, Some(version)) => {
                return Err(wrong(format!("the version {version} is not built in, v1.21.2 is")));
            }
            (None, None) => return Ok(()),
        };
        let _ = self.schema.set(schema);
        Ok(())
    }

    fn resources(
        &mut self,
        target: &Target<'a>,
        entries: &[String],
        mut so_far: Accumulated,
    ) -> Result<Accumulated> {
        // Most of a build's time is spent in parsing, so all cores take part.
        let build = &*self;
        let find = |entry: &String| build.find(target, entry, "resources");
        let found: Vec<_> = entries.par_iter().map(find).collect();
        for (entry, found) in entries.iter().zip(found) {
            match found? {
                Entry::Objects(mut objects, origin) => {
                    self.is_foreign |= objects.iter().any(|it| {
                        let (version, kind) = (it.object.api_version(), it.object.kind());
                        Schema::kubernetes().of_kind(version, kind).is_none()
                    });
                    self.trace(&mut objects, &origin);
                    so_far.resources.append_all(objects)?;
                }
                Entry::Folder(loader) => {
                    let failed = in_folder(loader.place());
                    let other = self.other(target, entry, loader, false, None).map_err(failed)?;
                    so_far = merged(so_far, other)?;
                }
            }
        }
        Ok(so_far)
    }

    /// Notes of objects from which file they come.
    fn trace(&self, objects: &mut [Resource], origin: &Origin) {
        if self.tracks {
            let origin = origin.text();
            for resource in objects {
                resource.object.set_annotation(origin::ANNOTATION, &origin);
            }
        }
    }

    fn component(
        &mut self,
        target: &Target<'a>,
        entry: &str,
        so_far: Accumulated,
    ) -> Result<Accumulated> {
        match self.find(target, entry, "components")? {
            Entry::Folder(loader) => {
                let failed = in_folder(loader.place());
                let with = self.other(target, entry, loader, true, Some(so_far));
                let mut with = with.map_err(failed)?;
                with.resources.check()?;
                Ok(with)
            }
            Entry::Objects(..) => Err(Error::Kustomize {
                field: "components",
                message: format!("{entry} is a file, and a component is a folder"),
            }),
        }
    }

    /// Builds a kustomization that another one refers to; a component goes on with what that one
    /// has.
    fn other(
        &mut self,
        target: &Target<'a>,
        entry: &str,
        loader: Loader<'a>,
        is_component: bool,
        start: Option<Accumulated>,
    ) -> Result<Accumulated> {
        let wrong = |message: &str| Error::Kustomize {
            field: if is_component { "components" } else { "resources" },
            message: message.to_owned(),
        };
        let file = Kustomization::find(&loader)?
            .ok_or_else(|| wrong("this folder has no kustomization.yaml"))?;
        match (is_component, file.is_component()) {
            (true, false) => return Err(wrong("this is no Component")),
            (false, true) => return Err(wrong("this is a Component, which is for components")),
            _ => {}
        }
        let shown = match is_oci(entry) {
            true => loader.folder.clone(),
            false => clean(&format!("{}/{entry}", target.shown)),
        };
        self.target(Target { loader, file, shown }, start.unwrap_or_default())
    }

    /// What an entry stands for: a file with objects, or a folder with a kustomization.
    fn find(&self, target: &Target<'a>, entry: &str, field: &'static str) -> Result<Entry<'a>> {
        if is_oci(entry) {
            let (artifact, path) = OciArtifact::parse(entry)?;
            let tree = self.tree.base(&artifact)?;
            let root = Loader { tree, folder: String::new(), artifact: Some(artifact.clone()) };
            return found(&root, &path, Origin::of_file(path.clone(), Some(artifact)));
        }
        if is_remote(entry) {
            let message = format!(
                "{entry} is remote; only what is in the tree is built, and OCI artifacts by digest (oci://HOST/REPOSITORY@sha256:DIGEST//PATH)"
            );
            return Err(Error::Kustomize { field, message });
        }
        found(&target.loader, entry, target.origin_of(entry))
    }

    fn generate(&mut self, target: &Target<'a>, so_far: &mut Accumulated) -> Result<()> {
        let Target { loader, file, .. } = target;
        let of_field = |kind: Kind, generators: &[Generator]| -> Result<Vec<_>> {
            let made = |generator: &Generator| {
                let made = generate::object(loader, kind, generator, &file.generator_options)?;
                Ok((made, generator.behavior, self.of_field(target, kind.plugin())))
            };
            generators.iter().map(made).collect()
        };
        let mut all = of_field(Kind::ConfigMap, &file.config_map_generator)?;
        all.extend(of_field(Kind::Secret, &file.secret_generator)?);
        for plugin in self.plugins(target, &file.generators, "generators")? {
            let (made, behavior) = plugin::generate(loader, &plugin)?;
            all.push((made, behavior, self.of_plugin(&plugin)));
        }
        for (mut made, behavior, origin) in all {
            let has_none = made.object.annotation(origin::ANNOTATION).is_none();
            if let Some(origin) = origin.filter(|_| self.tracks && has_none) {
                made.object.set_annotation(origin::ANNOTATION, &origin.text());
            }
            generate::absorb(&mut so_far.resources, made, behavior)?;
        }
        Ok(())
    }

    /// Where a field of a kustomization counts as coming from.
    fn of_field(&self, target: &Target<'_>, plugin: &str) -> Option<Origin> {
        let file = format!("{}/{}", target.shown, target.file.name);
        let artifact = &target.loader.artifact;
        self.tracks.then(|| Origin::of_field(clean(&file), artifact.clone(), plugin))
    }

    fn of_plugin(&self, plugin: &Resource) -> Option<Origin> {
        let origin = plugin.object.annotation(origin::ANNOTATION)?;
        let path = origin.strip_prefix("path: ")?.trim_end().trim_matches(['"', '\'']).to_owned();
        let object = &plugin.object;
        let by = [object.api_version(), object.kind(), object.name(), object.namespace()];
        Some(Origin::of_plugin(path, by))
    }

    /// The configurations of plugins: inline, in files, or made by kustomizations.
    fn plugins(
        &mut self,
        target: &Target<'a>,
        entries: &[String],
        field: &'static str,
    ) -> Result<Vec<Resource>> {
        let mut found = Accumulated::default();
        let mut paths = Vec::new();
        for entry in entries {
            match load::objects(entry) {
                Ok(mut inline) => {
                    self.trace(&mut inline, &target.origin_of(&target.file.name));
                    found.resources.append_all(inline)?;
                }
                Err(_) if !entry.contains('\n') => paths.push(entry.clone()),
                Err(error) => return Err(error.in_file(field)),
            }
        }
        let found = self.resources(target, &paths, found)?;
        Ok(found.resources.into_vec())
    }

    fn transform(&mut self, target: &Target<'a>, so_far: &mut Accumulated) -> Result<()> {
        let mut all: Vec<(Vec<Transformer>, Option<Origin>)> = Vec::new();
        for (plugin, transformer) in fields_of(&target.loader, &target.file, &so_far.config)? {
            all.push((vec![transformer], self.of_field(target, plugin)));
        }
        for plugin in self.plugins(target, &target.file.transformers, "transformers")? {
            let transformers = plugin::transformers(&target.loader, &plugin)?;
            all.push((transformers, self.of_plugin(&plugin)));
        }
        for (transformers, origin) in all {
            for transformer in transformers {
                transformer.apply(&mut so_far.resources, self.schema())?;
            }
            if let Some(origin) = origin {
                origin::note(&mut so_far.resources, &origin);
            }
            so_far.resources.drop_gone();
        }
        Ok(())
    }

    /// A validator is a transformer that must not change anything but the label that says so.
    fn validate(&mut self, target: &Target<'a>, so_far: &mut Accumulated) -> Result<()> {
        for plugin in self.plugins(target, &target.file.validators, "validators")? {
            let before: Vec<_> = so_far.resources.iter().map(|it| it.value().clone()).collect();
            for transformer in plugin::transformers(&target.loader, &plugin)? {
                transformer.apply(&mut so_far.resources, self.schema())?;
            }
            let after = so_far.resources.iter().map(|it| {
                let mut value = it.value().clone();
                if let Some(labels) = value.pointer_mut("/metadata/labels") {
                    labels.as_object_mut().map(|labels| labels.remove("validated-by"));
                }
                value
            });
            if !before.into_iter().eq(after) {
                return Err(Error::Kustomize {
                    field: "validators",
                    message: format!("{} changes objects", plugin.shown()),
                });
            }
        }
        Ok(())
    }
}

/// What an entry of `resources` stands for.
enum Entry<'a> {
    Objects(Vec<Resource>, Origin),
    Folder(Loader<'a>),
}

/// What a path stands for.
fn found<'a>(loader: &Loader<'a>, entry: &str, origin: Origin) -> Result<Entry<'a>> {
    let path = loader.resolve(entry)?;
    match loader.find(entry)? {
        Found::File(_) => {
            let objects = load::objects(loader.text(entry)?);
            let in_file = |error: Error| error.in_file(&loader.at(path.clone()).place());
            Ok(Entry::Objects(objects.map_err(in_file)?, origin))
        }
        Found::Folder(folder) => Ok(Entry::Folder(loader.at(folder))),
        Found::Nothing => Err(Error::Missing { path: loader.at(path).place() }),
    }
}

fn in_folder(path: String) -> impl Fn(Error) -> Error {
    move |source| Error::Build { path: path.clone(), source: Box::new(source) }
}

fn merged(mut so_far: Accumulated, other: Accumulated) -> Result<Accumulated> {
    so_far.resources.append_all(other.resources.into_vec())?;
    so_far.config = Config::merge(&so_far.config, &other.config)?;
    vars::merge(&mut so_far.vars, &other.vars)?;
    Ok(so_far)
}

/// A path as Go cleans it: `./a/../b` is `b`, and what climbs out stays so.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn is_remote(entry: &str) -> bool {
    entry.contains("://")
        || entry.starts_with("git@")
        || entry.starts_with("git::")
        || entry.starts_with("github.com/")
        || entry.contains("?ref=")
}
