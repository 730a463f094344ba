//! `kit-rs unpack`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use fs_err as fs;
use modelkit::{Error, Existing, Filter, Preview, Selection, Sources, UnpackOptions};
use registry::Reference;
use serde_json::json;

use crate::failure::WithHint as _;
use crate::network::Network;
use crate::output::{human_size, n_of, table};
use crate::steps::bars::LayerBars;
use crate::steps::found::{
    Place, explained, find, find_trusted, is_damage, repair, tell_of_manifests, together,
};
use crate::steps::pickles;
use crate::steps::trusted::{TrustArgs, Trusted};
use crate::ui::Ui;

/// Write the files of a ModelKit into a folder
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The ModelKit; what is not in the local layout is streamed from its registry, only the layers
    /// that are wanted. It may begin with kit://, as KServe names it
    #[arg(value_parser = modelkit)]
    reference: Reference,
    /// The folder, as KServe says it to a storage container: the same as --dir
    #[arg(value_name = "INTO", conflicts_with = "dir")]
    into: Option<PathBuf>,
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
    /// Write the ModelKit's manifest beside the Kitfile, as modelkit.json: whoever serves the folder
    /// knows its digest by it
    #[arg(long, conflicts_with = "dry_run")]
    with_manifest: bool,
    /// Unpack datasets that are kept in other ModelKits, too
    #[arg(long)]
    include_remote: bool,
    /// Show every file that would be written, and write nothing; the layers are read for it, and
    /// verified
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    trust: TrustArgs,
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

/// Reads a reference, with or without the scheme of KServe's storage containers.
fn modelkit(text: &str) -> Result<Reference, registry::Error> {
    text.strip_prefix("kit://").unwrap_or(text).parse()
}

pub(crate) fn run(mut args: Args, ui: &Ui) -> anyhow::Result<()> {
    args.dir = args.into.take().unwrap_or(args.dir);
    args.filter.extend(args.only.filters());
    let reference = args.reference.clone().or_latest();
    let trusted = args.trust.read(ui)?;
    let itself = find_trusted(&reference, Place::Anywhere, &trusted, &args.network, ui)?;
    if let Some(remote) = itself.remote() {
        ui.note(format_args!("{remote} is not in the local layout: its layers are streamed"));
    }
    let is_here = itself.remote().is_none();
    let pinned = reference.with_digest(itself.kit.digest().clone());
    let sources = together(itself, selection(&args), &trusted, &args.network, ui)?;
    // Before anything is written, so that it can still be wrong.
    tell_of_manifests(sources.kit(), ui);
    for warning in sources.warnings() {
        ui.warn(warning);
    }
    ui.no_warnings()?;
    match attempt(&sources, &args, &trusted, ui) {
        // Nothing was written: the registry may have what the layout has lost.
        Err(error) if is_here && !reference.is_local() && is_damage(&error) => {
            ui.warn(format_args!("{}; its layers are streamed", repair(&reference)));
            ui.no_warnings()?;
            let itself =
                find(&pinned, Place::Remote, &args.network, ui).hint(repair(&reference))?;
            let sources = together(itself, selection(&args), &trusted, &args.network, ui)?;
            show(attempt(&sources, &args, &trusted, ui), &reference, &sources, &args, ui)
        }
        done => show(done, &reference, &sources, &args, ui),
    }
}

fn selection(args: &Args) -> Selection {
    Selection { filters: args.filter.clone(), remote_datasets: args.include_remote }
}

/// What was written, or would be.
enum Done {
    Unpacked(modelkit::Unpacked),
    Previewed(Preview),
}

fn attempt(
    sources: &Sources<'_>,
    args: &Args,
    trusted: &Trusted,
    ui: &Ui,
) -> modelkit::Result<Done> {
    let existing = match (args.overwrite, args.ignore_existing) {
        (true, _) => Existing::Replace,
        (_, true) => Existing::Keep,
        _ => Existing::Refuse,
    };
    let options =
        UnpackOptions { existing, manifest: args.with_manifest, ..UnpackOptions::default() };
    let bars = LayerBars::new(ui);
    let on = &|event| bars.show(event);
    match args.dry_run {
        true => modelkit::preview(sources, &options, on).map(Done::Previewed),
        false => {
            let look = |layer: &Path| {
                let found = pickles::found_beneath(layer).map_err(|error| format!("{error:#}"))?;
                pickles::judge(&found, trusted.pickles(), ui)?;
                // What is warned of can still be refused.
                ui.no_warnings().map_err(|error| format!("{error:#}"))
            };
            modelkit::unpack_after(sources, &args.dir, &options, &look, on).map(Done::Unpacked)
        }
    }
}

fn show(
    done: modelkit::Result<Done>,
    reference: &Reference,
    sources: &Sources<'_>,
    args: &Args,
    ui: &Ui,
) -> anyhow::Result<()> {
    if let Err(Error::NotTaken { .. }) = &done {
        // Whatever was warned of is what was not taken, where no warning is.
        ui.no_warnings()?;
    }
    let next = done.as_ref().err().and_then(next);
    let done = explained(done, reference);
    let done = match next {
        Some(next) => done.hint(next),
        None => done,
    };
    let what = if args.dry_run { "read" } else { "unpack" };
    let into = if args.dry_run { String::new() } else { format!(" into {}", args.dir.display()) };
    let unpacked = match done.with_context(|| format!("cannot {what} {reference}{into}"))? {
        Done::Previewed(preview) => return show_preview(sources, &preview, args, ui),
        Done::Unpacked(unpacked) => unpacked,
    };
    let document = json!({
        "digest": sources.kit().digest().to_string(),
        "dir": args.dir,
        "files": unpacked.files,
        "bytes": unpacked.bytes,
    });
    ui.note(format_args!("{}, {}", n_of(unpacked.files, "file"), human_size(unpacked.bytes)));
    ui.answer(args.dir.display(), &document)
}

/// What to try when something is in the way.
fn next(error: &Error) -> Option<&'static str> {
    match error {
        Error::Exists { .. } => {
            Some("-o replaces files that are there, -i keeps them, -d takes another folder")
        }
        Error::OtherKitfile { .. } => Some(
            "-i keeps no other Kitfile, which would say what is not so: -f '!kitfile' leaves the ModelKit's own out, -o replaces the one that is there",
        ),
        Error::Repository { .. } => Some("-d takes another folder, -o writes there all the same"),
        _ => None,
    }
}

fn show_preview(
    sources: &Sources<'_>,
    preview: &Preview,
    args: &Args,
    ui: &Ui,
) -> anyhow::Result<()> {
    let fate = |path: &str| {
        let is_there = fs::symlink_metadata(args.dir.join(path)).is_ok();
        is_there.then_some(match (args.overwrite, args.ignore_existing) {
            (true, _) => "replaced",
            (_, true) => "kept",
            _ => "must be the same",
        })
    };
    let chosen = sources.layers();
    let mut rows = Vec::new();
    let mut layers = Vec::new();
    if preview.kitfile {
        let mut row = vec!["kitfile".to_owned(), String::new(), "Kitfile".to_owned()];
        // -i keeps no other Kitfile.
        let fate =
            fate("Kitfile").map(|fate| if fate == "kept" { "must be the same" } else { fate });
        row.extend(fate.map(|fate| format!("is there: {fate}")));
        rows.push(row);
    }
    for (chosen, files) in chosen.iter().zip(&preview.layers) {
        let (layer, digest) = (&chosen.layer, chosen.layer.descriptor.digest().to_string());
        let size = layer.descriptor.size();
        rows.push(vec![
            layer.section.to_string(),
            layer.name.unwrap_or_default().to_owned(),
            chosen.path.to_string(),
            human_size(size),
            digest.clone(),
        ]);
        rows.extend(files.iter().map(|file| {
            let empty = String::new;
            let mut row =
                vec![empty(), empty(), format!("  {}", file.path), human_size(file.bytes)];
            row.extend(fate(&file.path).map(|fate| format!("is there: {fate}")));
            row
        }));
        let content = files.iter().map(|file| {
            json!({
                "path": file.path,
                "bytes": file.bytes,
                "executable": file.executable,
                "existing": fate(&file.path),
            })
        });
        layers.push(json!({
            "section": layer.section.to_string(),
            "name": layer.name,
            "path": chosen.path.to_string(),
            "bytes": size,
            "digest": digest,
            "content": content.collect::<Vec<_>>(),
        }));
    }
    let document = json!({ "kitfile": preview.kitfile, "layers": layers });
    ui.answer(table(&["SECTION", "NAME", "PATH", "SIZE", "DIGEST"], &rows), &document)
}
