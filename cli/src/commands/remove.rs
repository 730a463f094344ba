//! `kit-rs remove`.

use anyhow::Context as _;
use modelkit::ModelKit;
use registry::content::Digest;
use registry::{Layout, Reference};
use serde_json::json;

use crate::failure::asked_wrongly;
use crate::kind::{self, Kind};
use crate::network::Network;
use crate::output::{human_size, n_of};
use crate::steps::found;
use crate::ui::Ui;

/// Remove a ModelKit, by tag or digest
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A tag removes the name, and the ModelKit with its last name; a digest removes the ModelKit
    /// with all its names
    #[arg(value_name = "REFERENCE[,TAG…]", value_parser = names, required_unless_present = "all", conflicts_with = "all")]
    references: Option<Names>,
    /// Remove all that have no name; with --force, everything
    #[arg(short, long, conflicts_with = "remote")]
    all: bool,
    /// With a tag: remove the ModelKit even if it has other names
    #[arg(short, long)]
    force: bool,
    /// Remove from the registry, not from the local layout
    #[arg(short, long)]
    remote: bool,
    #[command(flatten)]
    network: Network,
}

pub(crate) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    match args.references {
        Some(Names(references)) if args.remote => remote(&references, &args.network, ui),
        Some(Names(references)) => local(&references, args.force, ui),
        None => all(args.force, ui),
    }
}

/// Several names of one repository; never none.
#[derive(Clone)]
struct Names(Vec<Reference>);

fn names(text: &str) -> Result<Names, String> {
    let references = Reference::parse_list(text).map_err(|error| error.to_string())?;
    let mut names: Vec<Reference> = Vec::new();
    for reference in references.into_iter().map(Reference::or_latest) {
        // A name that stands there twice is one: with it gone, the next would be the last.
        if !names.contains(&reference) {
            names.push(reference);
        }
    }
    Ok(Names(names))
}

fn local(references: &[Reference], force: bool, ui: &Ui) -> anyhow::Result<()> {
    let layout = found::existing_layout(&references[0], ui)?;
    // All are there, or none is removed.
    let found: Vec<_> = references
        .iter()
        .map(|reference| Ok((reference, layout.resolve(reference)?)))
        .collect::<anyhow::Result<_>>()?;
    let mut gone: Vec<&Digest> = Vec::new();
    for (reference, digest) in found.iter().map(|(reference, found)| (reference, found.digest())) {
        let names = layout.tags()?.iter().filter(|(_, tagged)| tagged.digest() == digest).count();
        if gone.contains(&digest) {
            continue;
        }
        if reference.digest().is_none() && names > 1 && !force {
            layout.untag(reference)?;
        } else {
            layout.remove(digest)?;
            gone.push(digest);
        }
    }
    for digest in gone {
        warn_of_orphans(digest, &layout, ui)?;
    }
    finish(references.iter().map(ToString::to_string).collect(), &layout, ui)
}

/// Says which ModelKits that stay build on one that is gone.
fn warn_of_orphans(gone: &Digest, layout: &Layout, ui: &Ui) -> anyhow::Result<()> {
    for descriptor in layout.manifests()? {
        let Ok(kit) = ModelKit::read(layout, &descriptor) else { continue };
        if modelkit::builds_on(kit.kitfile(), gone) {
            let names = layout.tags()?;
            let name = names.iter().find(|(_, tagged)| tagged.digest() == kit.digest());
            let name = name.map_or_else(|| kit.digest().to_string(), |(name, _)| name.to_string());
            ui.warn(format_args!("{name} builds on {gone}, which is gone: it cannot be unpacked before that is pulled or packed again"));
        }
    }
    Ok(())
}

fn all(force: bool, ui: &Ui) -> anyhow::Result<()> {
    let Some(layout) = ui.layout_if_there()? else {
        return ui.answer("", &json!({ "removed": [], "freed_bytes": 0 }));
    };
    let tags = layout.tags()?;
    let mut removed = Vec::new();
    for descriptor in layout.manifests()? {
        let digest = descriptor.digest();
        let named = tags.iter().any(|(_, tagged)| tagged.digest() == digest);
        if (force || !named) && !removed.contains(&digest.to_string()) {
            layout.remove(digest)?;
            removed.push(digest.to_string());
        }
    }
    for digest in &removed {
        warn_of_orphans(&registry::content::parse_digest(digest)?, &layout, ui)?;
    }
    finish(removed, &layout, ui)
}

fn finish(removed: Vec<String>, layout: &Layout, ui: &Ui) -> anyhow::Result<()> {
    let collected = layout.collect_garbage([])?;
    let blobs = n_of(collected.blobs as u64, "blob");
    ui.note(format_args!("freed {} in {blobs}", human_size(collected.bytes)));
    ui.answer(removed.join("\n"), &json!({ "removed": removed, "freed_bytes": collected.bytes }))
}

fn remote(references: &[Reference], network: &Network, ui: &Ui) -> anyhow::Result<()> {
    if let Some(local) = references.iter().find(|reference| reference.is_local()) {
        return Err(asked_wrongly(format!("`{local}` names no registry")));
    }
    let client = network.client(ui)?;
    // All are there, or none is removed.
    let digests = ui.block_on(async {
        let mut digests = Vec::new();
        for reference in references {
            let found = client.resolve(reference).await;
            let found = found.with_context(|| format!("cannot remove {reference}"))?;
            digests.push(found.digest().clone());
        }
        Ok(digests)
    })?;
    let mut removed = Vec::new();
    for (reference, digest) in references.iter().zip(&digests) {
        let deleted = ui.block_on(async { Ok(client.delete(reference).await?) });
        // Where only digests are deleted, one tag takes the others of its manifest with it.
        let went_before = digests[..removed.len()].contains(digest);
        match deleted {
            Err(error) if went_before && kind::of(&error) == Kind::NotFound => (),
            deleted => {
                deleted.with_context(|| format!("cannot remove {reference} from its registry"))?
            }
        }
        removed.push(reference.to_string());
    }
    ui.answer(removed.join("\n"), &json!({ "removed": removed }))
}
