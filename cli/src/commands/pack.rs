//! `kit-rs pack`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use kitfile::Kitfile;
use modelkit::archive::Content;
use modelkit::{Compression, Family, Format, ModelKit, PackOptions};
use registry::{Layout, Reference};
use serde_json::json;

use crate::env;
use crate::failure::{WithHint as _, asked_wrongly};
use crate::network::Network;
use crate::output::{human_size, pinned, table};
use crate::steps::bars::LayerBars;
use crate::steps::found::{explained, here_or_pulled};
#[cfg(feature = "full")]
use crate::steps::manifests;
use crate::steps::pickles;
use crate::steps::project::read_kitfile;
use crate::steps::trusted::Trusted;
use crate::ui::Ui;

/// Pack a folder with a Kitfile into a ModelKit in the local layout
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder that the Kitfile's paths are relative to
    #[arg(value_name = "DIR")]
    context: PathBuf,
    /// The Kitfile, if it is not in DIR (`-`: from stdin)
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Name of the ModelKit: [REGISTRY/]REPOSITORY[:TAG[,TAG…]]
    #[arg(short, long, value_name = "REFERENCE")]
    tag: Option<String>,
    /// Compression of the layers; without any, a layer's digest equals kit's
    #[arg(long, value_enum, default_value_t)]
    compression: Choice,
    /// How a layer's files lie in its blob: as an archive, or bare, where each layer is one file
    /// [default: tar; of a ModelPack raw]
    #[arg(long, value_enum, value_name = "FORMAT")]
    layer_format: Option<FormatChoice>,
    /// Make a CNCF ModelPack: a layer for each file, for modctl, RamaLama, Docker Model Runner and
    /// CRI-O
    #[arg(long)]
    use_model_pack: bool,
    /// Pack a second time, without the index and without writing, and fail if the digest is another
    #[arg(long, conflicts_with = "dry_run")]
    check: bool,
    /// Read every file, also in layers that have not changed since they were packed last
    #[arg(long)]
    no_index: bool,
    /// Pack symbolic links that end below this folder as what they lead to; without it links are
    /// left out
    #[arg(long, value_name = "ROOT")]
    follow_links: Option<PathBuf>,
    /// Carry the files of this folder, by which the ModelKit is deployed, as a layer of its own, which
    /// Flux picks by the layerSelector of an OCIRepository
    #[cfg(feature = "full")]
    #[arg(long, value_name = "DIR")]
    with_manifests: Option<PathBuf>,
    /// Show the layers and their files, and write nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    network: Network,
}

/// kit's names of the layer formats.
#[derive(Clone, Copy, ValueEnum)]
enum FormatChoice {
    Tar,
    Raw,
}

/// kit's names of the compressions.
#[derive(Clone, Copy, Default, ValueEnum)]
enum Choice {
    #[default]
    None,
    Gzip,
    GzipFastest,
    Zstd,
}

pub(crate) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    let references = references(args.tag.as_deref())?;
    let kitfile = read_kitfile(&args.context, args.file.as_deref(), ui)?;
    let options = options(&args)?;
    let layout = ui.layout()?;
    pull_parents(&kitfile, &layout, &args.network, ui)?;
    if args.dry_run {
        return dry_run(&kitfile, &args.context, &layout, &options, ui);
    }
    let hold = layout.hold()?;
    let plan = modelkit::plan(&kitfile, &args.context, &layout, &options);
    let plan = hinted(plan).with_context(|| format!("cannot pack {}", args.context.display()))?;
    let files = plan.layers.iter().flat_map(|layer| &layer.files).map(|file| &file.path);
    let found = pickles::found(&args.context, files)?;
    pickles::require(&found, Trusted::ambient(ui)?.pickles(), ui)?;
    let packed = {
        let bars = LayerBars::new(ui);
        let packed =
            modelkit::pack_plan(plan, &kitfile, &layout, &options, &|event| bars.show(event));
        hinted(packed)
    }
    .with_context(|| format!("cannot pack {}", args.context.display()))?;
    for warning in &packed.warnings {
        ui.warn(warning);
    }
    ui.no_warnings()?;
    for reference in &references {
        layout.tag(&packed.descriptor, reference)?;
    }
    drop(hold);
    if args.check {
        check(&kitfile, &args.context, &layout, &options, &packed, ui)?;
    }
    let digest = packed.descriptor.digest();
    let name = references
        .first()
        .map_or_else(|| digest.to_string(), |reference| pinned(reference, digest));
    let document = json!({
        "reference": references.first().map(ToString::to_string),
        "digest": digest.to_string(),
        "layers": packed.layers.iter().map(|layer| layer.descriptor.digest().to_string()).collect::<Vec<_>>(),
        "reused": packed.layers.iter().filter(|layer| layer.is_reused).count(),
    });
    ui.answer(name, &document)
}

/// Says what to try next where files are not what they should be.
fn hinted<T>(done: modelkit::Result<T>) -> anyhow::Result<T> {
    use modelkit::Error;
    let next = match done.as_ref().err() {
        Some(Error::EmptyEntry { passed, .. }) if !passed.is_empty() => {
            "--follow-links ROOT takes links that end below ROOT for what they lead to"
        }
        Some(Error::HalfPlaced { .. }) => {
            "unpack the same again: that takes back what was begun, and then does it"
        }
        _ => return Ok(done?),
    };
    done.hint(next)
}

/// Packs again without writing, and compares.
fn check(
    kitfile: &Kitfile,
    context: &Path,
    layout: &Layout,
    options: &PackOptions,
    packed: &modelkit::Packed,
    ui: &Ui,
) -> anyhow::Result<()> {
    let again = modelkit::digest(kitfile, context, layout, options, &|_| ui.interrupt().flow())?;
    if again.descriptor == packed.descriptor {
        ui.note(format_args!("packed twice: the same digest"));
        return Ok(());
    }
    for (first, second) in
        packed.layers.iter().zip(&again.layers).filter(|(a, b)| a.descriptor != b.descriptor)
    {
        ui.warn(format_args!(
            "{} was {} and is {}",
            first.section,
            first.descriptor.digest(),
            second.descriptor.digest()
        ));
    }
    bail!(
        "packed twice, it came to {} and {}",
        packed.descriptor.digest(),
        again.descriptor.digest()
    )
}

fn options(args: &Args) -> anyhow::Result<PackOptions> {
    let compression = match args.compression {
        Choice::None => Compression::None,
        Choice::Gzip => Compression::Gzip,
        Choice::GzipFastest => Compression::GzipFastest,
        Choice::Zstd => Compression::Zstd,
    };
    let family = if args.use_model_pack { Family::ModelPack } else { Family::KitOps };
    let format = match (args.layer_format, family, compression) {
        (Some(FormatChoice::Raw), ..) | (None, Family::ModelPack, Compression::None) => Format::Raw,
        _ => Format::Tar,
    };
    Ok(PackOptions {
        compression,
        format,
        family,
        created: env::source_date_epoch()?,
        index: !args.no_index,
        follow: args.follow_links.clone(),
        ready: Vec::new(),
        #[cfg(feature = "full")]
        manifests: args.with_manifests.as_deref().map_or(Ok(Vec::new()), manifests::of_flux)?,
        #[cfg(not(feature = "full"))]
        manifests: Vec::new(),
    })
}

/// Brings the ModelKits that the model comes from into the layout.
fn pull_parents(
    kitfile: &Kitfile,
    layout: &Layout,
    network: &Network,
    ui: &Ui,
) -> anyhow::Result<()> {
    let trusted = Trusted::ambient(ui)?;
    modelkit::parents(kitfile, |reference| {
        let descriptor = here_or_pulled(reference, layout, &trusted, network, ui)?;
        let kit = ModelKit::read(layout, &descriptor);
        explained(kit, reference)
    })?;
    for local in modelkit::local_references(kitfile) {
        ui.warn(format_args!(
            "{local}, which this ModelKit builds on, is only in the local layout: nobody else can unpack what is packed; push it, and name it with its registry"
        ));
    }
    Ok(())
}

/// `repo:a,b` names the ModelKit twice.
fn references(tag: Option<&str>) -> anyhow::Result<Vec<Reference>> {
    let Some(text) = tag else { return Ok(Vec::new()) };
    let named = Reference::parse_list(text)
        .map_err(|error| asked_wrongly(format!("--tag {text}: {error}")))?;
    Ok(named.into_iter().map(Reference::or_latest).collect())
}

fn dry_run(
    kitfile: &Kitfile,
    context: &Path,
    layout: &Layout,
    options: &PackOptions,
    ui: &Ui,
) -> anyhow::Result<()> {
    let plan = hinted(modelkit::plan(kitfile, context, layout, options))?;
    for warning in &plan.warnings {
        ui.warn(warning);
    }
    let (mut rows, mut document) = (Vec::new(), Vec::new());
    for layer in &plan.layers {
        rows.push(vec![
            layer.section.to_string(),
            layer.path.to_string(),
            layer.n_files.to_string(),
            human_size(layer.bytes),
        ]);
        let files = || layer.files.iter().filter(|file| file.content != Content::Folder);
        rows.extend(files().map(|file| {
            let size = human_size(file.content.size());
            vec![String::new(), format!("  {}", file.path), String::new(), size]
        }));
        let content = files().map(|file| {
            let (bytes, executable) = (file.content.size(), file.content.is_executable());
            json!({ "path": file.path, "bytes": bytes, "executable": executable })
        });
        document.push(json!({
            "section": layer.section.to_string(),
            "path": layer.path.to_string(),
            "mediaType": layer.media_type,
            "files": layer.n_files,
            "bytes": layer.bytes,
            "content": content.collect::<Vec<_>>(),
        }));
    }
    if !options.manifests.is_empty() {
        let files = || options.manifests.iter().filter(|file| file.content != Content::Folder);
        let (n_files, bytes) = (files().count(), files().map(|file| file.content.size()).sum());
        rows.push(vec![
            "manifests".to_owned(),
            String::new(),
            n_files.to_string(),
            human_size(bytes),
        ]);
        document.push(json!({
            "section": "manifests",
            "path": "",
            "mediaType": modelkit::media_type::FLUX_CONTENT,
            "files": n_files,
            "bytes": bytes,
        }));
    }
    ui.answer(table(&["SECTION", "PATH", "FILES", "SIZE"], &rows), &document)
}
