//! `kit-rs list`.

use std::sync::Arc;

use anyhow::Context as _;
use modelkit::{Filter, ModelKit};
use registry::content::Descriptor;
use registry::{Client, Layout, Reference};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::failure::asked_wrongly;
use crate::network::Network;
use crate::output::{human_size, table};
use crate::steps::found::{is_damage, repair};
use crate::template::Template;
use crate::ui::Ui;

/// List the ModelKits of the local layout, or of a repository in a registry
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only those of this repository; where it has a registry and none of them is local, the
    /// registry is asked
    repository: Option<Reference>,
    /// Ask the registry, not the local layout
    #[arg(short, long, requires = "repository")]
    remote: bool,
    /// Only ModelKits with an entry that this filter means (repeatable: one of them is enough)
    #[arg(short, long, value_name = "FILTER")]
    filter: Vec<Filter>,
    #[command(flatten)]
    network: Network,
}

pub(crate) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    if let Some(local) = args.repository.as_ref().filter(|it| args.remote && it.is_local()) {
        return Err(asked_wrongly(format!(
            "`{local}` names no registry to ask: write HOST/{local}"
        )));
    }
    let mut found = if args.remote { Vec::new() } else { local(&args, ui)? };
    if let Some(repository) = args.repository.as_ref().filter(|repository| !repository.is_local())
        && found.is_empty()
        && (args.remote || !is_here(repository, ui)?)
    {
        found = ui
            .block_on(remote(
                args.network.client(ui)?,
                repository,
                args.network.concurrency(),
                &args.filter,
                ui,
            ))
            .with_context(|| format!("cannot list {}", self::repository(repository)))?;
    }
    let rows: Vec<Vec<String>> = found.iter().map(Listed::row).collect();
    let document: Vec<_> = found.iter().map(Listed::document).collect();
    if let Some(template) = ui.template() {
        let lines: Vec<_> = found.iter().map(|kit| kit.fill(template)).collect::<Result<_, _>>()?;
        return ui.answer(lines.join("\n"), &document);
    }
    ui.answer(
        table(&["REPOSITORY", "TAG", "MAINTAINER", "NAME", "SIZE", "DIGEST"], &rows),
        &document,
    )
}

/// Whether the layout has tags of a repository, whatever a filter leaves of them.
fn is_here(repository: &Reference, ui: &Ui) -> anyhow::Result<bool> {
    let Some(layout) = ui.layout_if_there()? else { return Ok(false) };
    let wanted = self::repository(repository);
    Ok(layout.tags()?.iter().any(|(name, _)| self::repository(name) == wanted))
}

fn local(args: &Args, ui: &Ui) -> anyhow::Result<Vec<Listed>> {
    let layout = ui.layout_if_there()?;
    let mut found = match layout {
        Some(layout) => kits(&layout, &args.filter, ui)?,
        None => Vec::new(),
    };
    if let Some(only) = &args.repository {
        found.retain(|kit| kit.repository == repository(only));
    }
    Ok(found)
}

/// The ModelKits behind a repository's tags; what is none is not listed, and what cannot be read is
/// told.
async fn remote(
    client: Client,
    repository: &Reference,
    concurrency: usize,
    filters: &[Filter],
    ui: &Ui,
) -> anyhow::Result<Vec<Listed>> {
    let mut tasks = JoinSet::new();
    let permits = Arc::new(Semaphore::new(concurrency));
    for tag in client.tags(repository).await? {
        let (client, permits, reference) =
            (client.clone(), Arc::clone(&permits), repository.with_tag(&tag)?);
        tasks.spawn(async move {
            let _permit = permits.acquire_owned().await?;
            let read = async {
                let (descriptor, manifest) = client.manifest(&reference).await?;
                let config = modelkit::config_descriptor(&manifest)?;
                let config = client.read_blob(&reference, &config).await?;
                anyhow::Ok(ModelKit::parse(descriptor, manifest, &config)?)
            };
            anyhow::Ok((tag, read.await))
        });
    }
    let (mut kits, mut failures) = (Vec::new(), Vec::new());
    while let Some(task) = tasks.join_next().await {
        match task?? {
            (tag, Ok(kit)) => kits.push((tag, kit)),
            (_, Err(error)) if error.downcast_ref().is_some_and(is_no_kit) => {}
            (tag, Err(error)) => failures.push((tag, error)),
        }
    }
    failures.sort_by(|(a, _), (b, _)| a.cmp(b));
    // Where nothing can be read, it is not the tags.
    if kits.is_empty() && !failures.is_empty() {
        return Err(failures.swap_remove(0).1);
    }
    for (tag, error) in &failures {
        ui.warn(format_args!("{}:{tag} cannot be read: {error:#}", self::repository(repository)));
    }
    kits.sort_by(|(a, _), (b, _)| a.cmp(b));
    let name = self::repository(repository);
    let mut found: Vec<Listed> = Vec::new();
    for (tag, kit) in kits.into_iter().filter(|(_, kit)| is_wanted(kit, filters)) {
        let listed = describe(&kit);
        match found.iter_mut().find(|other| other.digest == listed.digest) {
            Some(other) => other.tags.push(tag),
            None => found.push(Listed { repository: name.clone(), tags: vec![tag], ..listed }),
        }
    }
    Ok(found)
}

/// Whether it is not that a ModelKit is broken, but that there is none.
fn is_no_kit(error: &modelkit::Error) -> bool {
    use modelkit::Error;
    // A manifest that names no config is some other artifact's.
    let is_other = |what: &str| what == "manifest";
    match error {
        Error::NotAModelKit { problem, .. } => problem.starts_with("its config is of type"),
        Error::Index { .. } => true,
        Error::Document { what, .. } => is_other(what),
        _ => false,
    }
}

fn is_wanted(kit: &ModelKit, filters: &[Filter]) -> bool {
    let matches = |filter: &Filter| {
        let one = std::slice::from_ref(filter);
        let has_layer = kit
            .layers()
            .any(|layer| modelkit::any_matches(one, layer.section, layer.name, layer.written_path));
        has_layer || modelkit::any_matches_kitfile(one)
    };
    filters.is_empty() || filters.iter().any(matches)
}

struct Listed {
    repository: String,
    tags: Vec<String>,
    author: String,
    name: String,
    bytes: u64,
    digest: String,
}

impl Listed {
    fn row(&self) -> Vec<String> {
        let tags = if self.tags.is_empty() { "<none>".to_owned() } else { self.tags.join(",") };
        vec![
            self.repository.clone(),
            tags,
            self.author.clone(),
            self.name.clone(),
            human_size(self.bytes),
            self.digest.clone(),
        ]
    }

    /// A row by `kit`'s names of its fields.
    fn fill(&self, template: &Template) -> anyhow::Result<String> {
        let row = |field: &str| match field {
            "Repo" => json!(self.repository),
            "Tags" => json!(self.tags),
            "Digest" => json!(self.digest),
            "ModelName" => json!(self.name),
            "Author" => json!(self.author),
            "Bytes" => json!(self.bytes),
            _ => json!(human_size(self.bytes)),
        };
        let filled = template.fill(&row);
        let filled = filled.map_err(|error| asked_wrongly(format!("--format: {error}")))?;
        // A template that ends its lines itself gets no further end.
        Ok(filled.strip_suffix('\n').map_or(filled.clone(), str::to_owned))
    }

    fn document(&self) -> serde_json::Value {
        json!({
            "repo": self.repository,
            "tags": self.tags,
            "author": self.author,
            "modelName": self.name,
            "size": human_size(self.bytes),
            "bytes": self.bytes,
            "digest": self.digest,
        })
    }
}

/// Every ModelKit, one line for each repository that it has a tag in; images and other artifacts
/// are not listed.
fn kits(layout: &Layout, filters: &[Filter], ui: &Ui) -> anyhow::Result<Vec<Listed>> {
    let tags = layout.tags()?;
    let mut found: Vec<Listed> = Vec::new();
    for descriptor in layout.manifests()? {
        let kit = match ModelKit::read(layout, &descriptor) {
            Ok(kit) => kit,
            Err(error) if is_no_kit(&error) => continue,
            Err(error) => {
                warn_of_broken(&descriptor, &tags, error, ui);
                continue;
            }
        };
        if !is_wanted(&kit, filters) {
            continue;
        }
        let named = tags.iter().filter(|(_, tagged)| tagged.digest() == descriptor.digest());
        let mut repositories: Vec<(String, Vec<String>)> = Vec::new();
        for (reference, _) in named {
            let name = repository(reference);
            let tag = reference.tag().unwrap_or_default().to_owned();
            match repositories.iter_mut().find(|(known, _)| *known == name) {
                Some((_, tags)) => tags.push(tag),
                None => repositories.push((name, vec![tag])),
            }
        }
        if repositories.is_empty() {
            repositories.push(("<none>".to_owned(), Vec::new()));
        }
        for (repository, tags) in repositories {
            let listed = Listed { repository, tags, ..describe(&kit) };
            if !found
                .iter()
                .any(|other| other.digest == listed.digest && other.repository == listed.repository)
            {
                found.push(listed);
            }
        }
    }
    found.sort_by(|a, b| (&a.repository, &a.tags).cmp(&(&b.repository, &b.tags)));
    Ok(found)
}

fn warn_of_broken(
    descriptor: &Descriptor,
    tags: &[(Reference, Descriptor)],
    error: modelkit::Error,
    ui: &Ui,
) {
    let digest = descriptor.digest();
    let named = tags.iter().find(|(_, tagged)| tagged.digest() == digest);
    let next = match named {
        Some((reference, _)) if is_damage(&error) => format!("; {}", repair(reference)),
        None if is_damage(&error) => format!("; `kit-rs remove {digest}` takes it away"),
        _ => String::new(),
    };
    let name = named.map_or_else(|| digest.to_string(), |(reference, _)| reference.to_string());
    ui.warn(format_args!("{name} cannot be read: {:#}{next}", anyhow::Error::from(error)));
}

fn describe(kit: &ModelKit) -> Listed {
    let model_name =
        kit.kitfile().model.as_ref().map(|model| model.name.clone()).unwrap_or_default();
    let package = &kit.kitfile().package;
    Listed {
        repository: String::new(),
        tags: Vec::new(),
        author: package.authors.first().cloned().unwrap_or_default(),
        name: if package.name.is_empty() { model_name } else { package.name.clone() },
        bytes: kit.size(),
        digest: kit.digest().to_string(),
    }
}

fn repository(reference: &Reference) -> String {
    if reference.is_local() {
        reference.repository().to_owned()
    } else {
        format!("{}/{}", reference.registry(), reference.repository())
    }
}
