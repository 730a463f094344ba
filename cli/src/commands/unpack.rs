//! `kit-rs unpack`.

use std::path::PathBuf;

use anyhow::Context as _;
use modelkit::{Existing, Filter, Selection, Sources, UnpackOptions};
use registry::Reference;
use serde_json::json;

use crate::network::Network;
use crate::output::{human_size, table};
use crate::steps::bars::LayerBars;
use crate::steps::found::{Place, find, together};
use crate::ui::Ui;

/// Write the files of a ModelKit into a folder
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The ModelKit; what is not in the local layout is streamed from its registry, only the layers
    /// that are wanted
    reference: Reference,
    /// The folder; made when it is not there
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Replace files that are there
    #[arg(short, long)]
    overwrite: bool,
    /// Keep files that are there
    #[arg(short, long, conflicts_with = "overwrite")]
    ignore_existing: bool,
    /// Only these parts, as TYPE[,TYPE…][:NAME[,NAME…]] (repeatable); names may be patterns
    /// (`datasets:train*`), `!` leaves out
    #[arg(short, long, value_name = "FILTER")]
    filter: Vec<Filter>,
    #[command(flatten)]
    only: Only,
    /// Unpack datasets that are kept in other ModelKits, too
    #[arg(long)]
    include_remote: bool,
    /// Show what would be unpacked, and write nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    network: Network,
}

/// `kit`'s older flags for the same.
#[derive(clap::Args)]
struct Only {
    /// As --filter kitfile
    #[arg(long, conflicts_with = "filter")]
    kitfile: bool,
    /// As --filter model
    #[arg(long, conflicts_with = "filter")]
    model: bool,
    /// As --filter code
    #[arg(long, conflicts_with = "filter")]
    code: bool,
    /// As --filter datasets
    #[arg(long, conflicts_with = "filter")]
    datasets: bool,
    /// As --filter docs
    #[arg(long, conflicts_with = "filter")]
    docs: bool,
}

impl Only {
    fn filters(&self) -> impl Iterator<Item = Filter> {
        let Self { kitfile, model, code, datasets, docs } = *self;
        let flags = [
            (kitfile, "kitfile"),
            (model, "model"),
            (code, "code"),
            (datasets, "datasets"),
            (docs, "docs"),
        ];
        flags
            .into_iter()
            .filter(|(is_set, _)| *is_set)
            .map(|(_, word)| word.parse().expect("kit's own word"))
    }
}

pub(crate) fn run(mut args: Args, ui: &Ui) -> anyhow::Result<()> {
    args.filter.extend(args.only.filters());
    let reference = args.reference.or_latest();
    let itself = find(&reference, Place::Anywhere, &args.network, ui)?;
    if let Some(remote) = itself.remote() {
        ui.note(format_args!("{remote} is not in the local layout: its layers are streamed"));
    }
    let selection =
        Selection { filters: args.filter.clone(), remote_datasets: args.include_remote };
    let sources = together(itself, selection, &args.network, ui)?;
    if args.dry_run {
        return dry_run(&sources, &args.filter, ui);
    }
    let existing = match (args.overwrite, args.ignore_existing) {
        (true, _) => Existing::Replace,
        (_, true) => Existing::Keep,
        _ => Existing::Refuse,
    };
    let options = UnpackOptions { existing, ..UnpackOptions::default() };
    let bars = LayerBars::new(ui);
    let unpacked = modelkit::unpack(&sources, &args.dir, &options, &|event| bars.show(event))
        .with_context(|| format!("cannot unpack {reference} into {}", args.dir.display()))?;
    for warning in &unpacked.warnings {
        ui.warn(warning);
    }
    let document = json!({
        "digest": sources.kit().digest().to_string(),
        "dir": args.dir,
        "files": unpacked.files,
        "bytes": unpacked.bytes,
    });
    ui.note(format_args!("{} files, {}", unpacked.files, human_size(unpacked.bytes)));
    ui.answer(args.dir.display(), &document)
}

fn dry_run(sources: &Sources<'_>, filters: &[Filter], ui: &Ui) -> anyhow::Result<()> {
    let chosen = sources.layers();
    let rows: Vec<Vec<String>> = chosen
        .iter()
        .map(|chosen| {
            let layer = &chosen.layer;
            let (name, size) =
                (layer.name.unwrap_or_default().to_owned(), human_size(layer.descriptor.size()));
            vec![
                layer.section.to_string(),
                name,
                chosen.path.to_string(),
                size,
                layer.descriptor.digest().to_string(),
            ]
        })
        .collect();
    let layers: Vec<_> = chosen
        .iter()
        .map(|chosen| {
            json!({
                "section": chosen.layer.section.to_string(),
                "name": chosen.layer.name,
                "path": chosen.path.to_string(),
                "bytes": chosen.layer.descriptor.size(),
                "digest": chosen.layer.descriptor.digest().to_string(),
            })
        })
        .collect();
    let document = json!({ "kitfile": modelkit::any_matches_kitfile(filters), "layers": layers });
    ui.answer(table(&["SECTION", "NAME", "PATH", "SIZE", "DIGEST"], &rows), &document)
}
