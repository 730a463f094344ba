use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::ValueEnum;
use fs_err as fs;
use kitfile::Kitfile;
use modelkit::{Compression, Family, Format, PackOptions};
use registry::{Layout, Reference};
use serde_json::json;

use crate::env;
use crate::failure::{WithHint as _, asked_wrongly};
use crate::network::Network;
use crate::output::{human_size, pinned, table};
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
    #[arg(long)]
    check: bool,
    /// Read every file, also in layers that have not changed since they were packed last
    #[arg(long)]
    no_index: bool,
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
    let packed = {
        let bars = super::unpack::LayerBars::new(ui);
        modelkit::pack(&kitfile, &args.context, &layout, &options, &|event| bars.show(event))
    }
    .with_context(|| format!("cannot pack {}", args.context.display()))?;
    for reference in &references {
        layout.tag(&packed.descriptor, reference)?;
    }
    drop(hold);
    for warning in &packed.warnings {
        ui.warn(warning);
    }
    if args.check {
        super::verify::check(&kitfile, &args.context, &layout, &options, &packed, ui)?;
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
        ready: Vec::new(),
    })
}

/// Brings the ModelKits that the model comes from into the layout.
fn pull_parents(
    kitfile: &Kitfile,
    layout: &Layout,
    network: &Network,
    ui: &Ui,
) -> anyhow::Result<()> {
    modelkit::parents(kitfile, |reference| {
        super::unpack::local_or_pulled(reference, layout, network, ui)
    })?;
    Ok(())
}

/// `repo:a,b` names the ModelKit twice.
fn references(tag: Option<&str>) -> anyhow::Result<Vec<Reference>> {
    let Some(text) = tag else { return Ok(Vec::new()) };
    let named = Reference::parse_list(text)
        .map_err(|error| asked_wrongly(format!("--tag {text}: {error}")))?;
    Ok(named.into_iter().map(Reference::or_latest).collect())
}

/// Reads, checks and warns.
pub(super) fn read_kitfile(
    context: &Path,
    file: Option<&Path>,
    ui: &Ui,
) -> anyhow::Result<Kitfile> {
    let (name, text) = match file {
        Some(path) if path == Path::new("-") => ("stdin".to_owned(), from_stdin()?),
        Some(path) => (path.display().to_string(), fs::read_to_string(path)?),
        None => {
            let path = find_kitfile(context)?;
            (path.display().to_string(), fs::read_to_string(path)?)
        }
    };
    let parsed = Kitfile::parse(&text).with_context(|| format!("{name} is not a valid Kitfile"))?;
    for warning in &parsed.warnings {
        ui.warn(format_args!("{name}:{warning}"));
    }
    Ok(parsed.kitfile)
}

/// The Kitfile of a folder, by the first of its accepted names.
pub(super) fn find_kitfile(dir: &Path) -> anyhow::Result<PathBuf> {
    if !dir.is_dir() {
        return Err(asked_wrongly(format!("{} is not a folder", dir.display())));
    }
    let found = kitfile::FILE_NAMES.iter().map(|name| dir.join(name)).find(|path| path.is_file());
    found
        .with_context(|| format!("there is no Kitfile in {}", dir.display()))
        .hint(format!("kit-rs init {}", dir.display()))
}

fn from_stdin() -> anyhow::Result<String> {
    if env::stdin_is_terminal() {
        return Err(asked_wrongly("--file - reads the Kitfile from stdin, which is a terminal"));
    }
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .read_to_string(&mut text)
        .context("cannot read the Kitfile from stdin")?;
    Ok(text)
}

fn dry_run(
    kitfile: &Kitfile,
    context: &Path,
    layout: &Layout,
    options: &PackOptions,
    ui: &Ui,
) -> anyhow::Result<()> {
    let plan = modelkit::plan(kitfile, context, layout, options)?;
    for warning in &plan.warnings {
        ui.warn(warning);
    }
    let rows: Vec<Vec<String>> = plan
        .layers
        .iter()
        .map(|layer| {
            vec![
                layer.section.to_string(),
                layer.path.to_string(),
                layer.n_files.to_string(),
                human_size(layer.bytes),
            ]
        })
        .collect();
    let document: Vec<_> = plan
        .layers
        .iter()
        .map(|layer| {
            json!({
                "section": layer.section.to_string(),
                "path": layer.path.to_string(),
                "mediaType": layer.media_type,
                "files": layer.n_files,
                "bytes": layer.bytes,
            })
        })
        .collect();
    ui.answer(table(&["SECTION", "PATH", "FILES", "SIZE"], &rows), &document)
}
