use modelkit::ModelKit;
use registry::{Layout, Reference};
use serde_json::json;

use crate::output::{human_size, table};
use crate::ui::Ui;

/// List the ModelKits of the local layout
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only those of this repository
    repository: Option<Reference>,
}

pub(crate) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    let layout = ui.layout()?;
    let found = kits(&layout)?;
    let wanted = |kit: &&Listed| args.repository.as_ref().is_none_or(|only| kit.repository == repository(only));
    let found: Vec<&Listed> = found.iter().filter(wanted).collect();
    let rows: Vec<Vec<String>> = found.iter().map(|kit| kit.row()).collect();
    let document: Vec<_> = found.iter().map(|kit| kit.document()).collect();
    ui.answer(table(&["REPOSITORY", "TAG", "MAINTAINER", "NAME", "SIZE", "DIGEST"], &rows), &document)
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

/// Every ModelKit, one line for each repository that it has a tag in; images and other artifacts are not listed.
fn kits(layout: &Layout) -> anyhow::Result<Vec<Listed>> {
    let tags = layout.tags()?;
    let mut found: Vec<Listed> = Vec::new();
    for descriptor in layout.manifests()? {
        let Ok(kit) = ModelKit::read(layout, &descriptor) else { continue };
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
            if !found.iter().any(|other| other.digest == listed.digest && other.repository == listed.repository) {
                found.push(listed);
            }
        }
    }
    found.sort_by(|a, b| (&a.repository, &a.tags).cmp(&(&b.repository, &b.tags)));
    Ok(found)
}

fn describe(kit: &ModelKit) -> Listed {
    let model_name = kit.kitfile.model.as_ref().map(|model| model.name.clone()).unwrap_or_default();
    let package = &kit.kitfile.package;
    Listed {
        repository: String::new(),
        tags: Vec::new(),
        author: package.authors.first().cloned().unwrap_or_default(),
        name: if package.name.is_empty() { model_name } else { package.name.clone() },
        bytes: kit.size(),
        digest: kit.descriptor.digest().to_string(),
    }
}

fn repository(reference: &Reference) -> String {
    if reference.is_local() {
        reference.repository().to_owned()
    } else {
        format!("{}/{}", reference.registry(), reference.repository())
    }
}
