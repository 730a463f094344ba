//! Which files of a context go into which layer.

mod per_file;
mod walk;

use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use fs_err as fs;
use kitfile::{ContextPath, Kitfile, Section};
use registry::Layout;

use super::options::PackOptions;
use crate::archive::{Content, Entry};
use crate::error::{Error, Result};
use crate::ignore::Ignore;
use crate::media_type::{Compression, Family, Format, Kind, LayerType};
use crate::parents::{in_layout, inherited_paths, parents};
use crate::same_place;

/// What packing a context will do.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The Kitfile that will go in. It has an entry for each layer, so for a ModelPack of single
    /// files it has one for each file.
    pub kitfile: Kitfile,
    /// The layers, in the Kitfile's order.
    pub layers: Vec<LayerPlan>,
    /// What is left out without the Kitfile or the ignore file saying so.
    pub warnings: Vec<String>,
}

/// What goes into one layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerPlan {
    /// The section of the Kitfile that it belongs to.
    pub section: Section,
    /// Its name in the Kitfile, if it has one.
    pub name: Option<String>,
    /// Its path in the context.
    pub path: ContextPath,
    /// Its media type, taken apart.
    pub layer_type: LayerType,
    /// The media type that its descriptor will have.
    pub media_type: String,
    /// Its files and folders, in the order of the archive.
    pub files: Vec<Entry>,
    /// Number of files, without the folders.
    pub n_files: usize,
    /// Size of the files in bytes.
    pub bytes: u64,
}

/// Says which files go into which layer: every file into the layer with the most specific path,
/// none that is ignored.
///
/// The context is walked once, in the order of `kit pack`: the names of a folder sorted by their
/// bytes, a folder before what is in it. Each layer begins with the folders that lead to its path.
/// Symbolic links are left out, with a warning, unless they are followed; special files always. An
/// entry for which there is not a single file is an error, unless what is there is ignored or
/// belongs to other entries.
///
/// Where the model comes from another ModelKit, that one must be in the layout: what it holds is
/// not packed again.
pub fn plan(
    kitfile: &Kitfile,
    context: &Path,
    layout: &Layout,
    options: &PackOptions,
) -> Result<Plan> {
    let parents = parents(kitfile, in_layout(layout))?;
    plan_without(kitfile, context, options, &inherited_paths(&parents))
}

/// Plans, where some paths belong to a ModelKit that this one builds on.
pub(crate) fn plan_without(
    kitfile: &Kitfile,
    context: &Path,
    options: &PackOptions,
    elsewhere: &[ContextPath],
) -> Result<Plan> {
    kitfile.check().map_err(Error::Kitfile)?;
    let items: Vec<_> =
        kitfile.entries().map(|entry| Ok((entry, context_path(&entry)?))).collect::<Result<_>>()?;
    let own: Vec<_> = items.iter().map(|(_, path)| path.clone()).collect();
    let remote = kitfile.datasets.iter().filter(|dataset| !dataset.remote_path.is_empty());
    let remote = remote.filter_map(|dataset| dataset.path.parse().ok());
    let others = remote.chain(elsewhere.iter().cloned()).filter(|path| !own.contains(path));
    let paths: Vec<_> = own.iter().cloned().chain(others).collect();
    let ignore = Ignore::read(context)?;
    let walked = walk::walk(context, &paths, &ignore, options.follow.as_deref())?;
    let is_empty = |files: &[Entry]| !files.iter().any(|file| file.content != Content::Folder);
    let is_claimed = |path: &ContextPath| {
        let others = paths.iter().zip(&walked.files).filter(|(other, _)| *other != path);
        others.into_iter().any(|(other, files)| other.is_within(path) && !is_empty(files))
    };
    let mut warnings = walked.warnings;
    for (index, (entry, path)) in items.iter().enumerate() {
        if !walked.found[index] {
            warnings.push(missing(entry, path, context, &ignore)?);
        } else if is_empty(&walked.files[index]) {
            if !walked.ignored[index] && !is_claimed(path) {
                return Err(Error::EmptyEntry {
                    kitfile_path: format!("{}.path", entry.place()),
                    path: entry.path.to_owned(),
                    passed: walked.passed[index].clone(),
                });
            }
            warnings.push(format!("{}: there are no files in `{}`", entry.place(), entry.path));
        }
    }
    let layers = items.into_iter().zip(walked.files);
    let layers: Vec<_> = layers.map(|((entry, path), files)| (entry, path, files)).collect();
    check_family(kitfile, options)?;
    if options.family == Family::ModelPack && options.format == Format::Raw {
        let (kitfile, layers) = per_file::split(kitfile, layers, &mut warnings)?;
        check_places(&layers)?;
        return Ok(Plan { kitfile, layers, warnings });
    }
    let layers = layers.into_iter().map(|(entry, path, files)| layer(&entry, path, files, options));
    let layers: Vec<_> = layers.collect::<Result<_>>()?;
    check_places(&layers)?;
    Ok(Plan { kitfile: kitfile.clone(), layers, warnings })
}

/// Layers whose paths are told apart here and not everywhere: such a ModelKit is refused when it is
/// read, so it is not made either.
fn check_places(layers: &[LayerPlan]) -> Result<()> {
    match same_place::find(layers.iter().map(|layer| layer.path.as_str())) {
        Some((a, b)) => Err(Error::SamePlace { paths: [a.to_owned(), b.to_owned()] }),
        None => Ok(()),
    }
}

/// What a ModelPack has no place for, the same as in `kit`.
fn check_family(kitfile: &Kitfile, options: &PackOptions) -> Result<()> {
    if options.family != Family::ModelPack {
        return Ok(());
    }
    if let Some(server) = kitfile.mcp_servers.first() {
        let problem = "is an MCP bundle, which has no place in a ModelPack".to_owned();
        return Err(Error::LayerPath {
            kitfile_path: "mcpServers[0].path".to_owned(),
            path: server.path.clone(),
            problem,
        });
    }
    if options.format == Format::Raw && options.compression != Compression::None {
        return Err(Error::RawCompression);
    }
    Ok(())
}

fn context_path(entry: &kitfile::Entry<'_>) -> Result<ContextPath> {
    let path = entry.context_path().map_err(|error| layer_path(entry, error.to_string()))?;
    match crate::archive::check_name(path.as_str()) {
        Err(Error::Name { problem, .. }) if !path.is_root() => {
            Err(layer_path(entry, problem.to_owned()))
        }
        _ => Ok(path),
    }
}

fn layer_path(entry: &kitfile::Entry<'_>, problem: String) -> Error {
    Error::LayerPath {
        kitfile_path: format!("{}.path", entry.place()),
        path: entry.path.to_owned(),
        problem,
    }
}

/// Why the walk did not come past a layer's path: a warning where it is ignored, else an error.
fn missing(
    entry: &kitfile::Entry<'_>,
    path: &ContextPath,
    context: &Path,
    ignore: &Ignore,
) -> Result<String> {
    let mut here = context.to_path_buf();
    for part in path.parts() {
        here.push(part);
        let Ok(metadata) = fs::symlink_metadata(&here) else {
            let kitfile_path = format!("{}.path", entry.place());
            return Err(Error::MissingPath {
                kitfile_path,
                path: entry.path.to_owned(),
                context: context.to_owned(),
            });
        };
        if metadata.is_symlink() {
            return Err(layer_path(
                entry,
                format!("leads through the symbolic link {}", here.display()),
            ));
        }
        if is_special(metadata.file_type()) {
            return Err(layer_path(entry, "is neither a file nor a folder".into()));
        }
    }
    debug_assert!(ignore.matches(path.as_str()), "what is there, plain and not ignored is found");
    Ok(format!("{}: `{}` is ignored by {}", entry.place(), entry.path, crate::ignore::FILE_NAME))
}

fn is_special(file_type: std::fs::FileType) -> bool {
    file_type.is_fifo()
        || file_type.is_socket()
        || file_type.is_block_device()
        || file_type.is_char_device()
}

fn layer(
    entry: &kitfile::Entry<'_>,
    path: ContextPath,
    files: Vec<Entry>,
    options: &PackOptions,
) -> Result<LayerPlan> {
    let kind = Kind::of(entry.section);
    let (format, compression) = match kind {
        // A bundle stays as it is, so that its own signature does.
        Kind::Mcpb => (Format::Raw, Compression::None),
        _ => (options.format, options.compression),
    };
    let n_files = files.iter().filter(|file| file.content != Content::Folder).count();
    if format == Format::Raw
        && !files.iter().any(|file| file.path == path.as_str() && file.content != Content::Folder)
    {
        return Err(layer_path(entry, "is not a file, as a raw layer must be".into()));
    }
    let layer_type = LayerType { family: options.family, kind, format, compression };
    let bytes = files.iter().map(|file| file.content.size()).fold(0, u64::saturating_add);
    let (section, name) = (entry.section, entry.name.map(str::to_owned));
    Ok(LayerPlan {
        section,
        name,
        path,
        layer_type,
        media_type: layer_type.to_string(),
        files,
        n_files,
        bytes,
    })
}
