//! What unpacking would write, file by file.

use kitfile::ContextPath;

use super::layer::blob;
use super::{ChosenLayer, Sources, UnpackOptions};
use crate::archive::{Budget, Rules, for_each_file};
use crate::error::Result;
use crate::event::{Listener, side_by_side};
use crate::media_type::Format;

/// What unpacking would write.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Preview {
    /// Whether it would write the Kitfile.
    pub kitfile: bool,
    /// The files of each layer, in the order of [`Sources::layers`].
    pub layers: Vec<Vec<PreviewFile>>,
    /// What belongs to the ModelKit and would not be in the folder.
    pub warnings: Vec<String>,
}

/// A file that unpacking would write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviewFile {
    /// Its path in the target.
    pub path: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Whether it could be executed.
    pub executable: bool,
}

/// Says what [`unpack`](super::unpack()) would write into an empty folder: for that every layer is
/// read, verified, and refused where it is malformed, too large or leaves its place. Two files of
/// one name are told twice, and refused by unpacking only.
pub fn preview(
    sources: &Sources<'_>,
    options: &UnpackOptions,
    on: Listener<'_>,
) -> Result<Preview> {
    let layers = sources.layers();
    let budget = Budget::of(&options.limits, layers.iter().map(|chosen| chosen.layer.descriptor));
    let sizes: Vec<u64> = layers.iter().map(|chosen| chosen.layer.descriptor.size()).collect();
    let files = side_by_side(&sizes, on, |index, reporter| {
        let chosen = &layers[index];
        reporter.started(chosen.layer.section, &chosen.path, sizes[index]);
        let found = files(chosen, &budget, &|bytes| reporter.progress(bytes))?;
        reporter.done(chosen.layer.descriptor);
        Ok(found)
    })?;
    Ok(Preview { kitfile: sources.has_kitfile(), layers: files, warnings: sources.warnings() })
}

fn files(
    chosen: &ChosenLayer<'_>,
    budget: &Budget,
    on: &dyn Fn(u64) -> std::ops::ControlFlow<()>,
) -> Result<Vec<PreviewFile>> {
    let layer = &chosen.layer;
    let within = layer.path_in_archive();
    let rules = Rules::new(budget, &within);
    let mut found = Vec::new();
    blob(chosen, budget).read(|stream| match layer.layer_type.format {
        Format::Tar => for_each_file(&rules, stream, &mut |path, executable, content| {
            let bytes = skip(content, on)?;
            let path = format!("{}/{}/{path}", chosen.beneath, layer.beneath);
            let path: ContextPath =
                path.parse().expect("a path inside of a folder inside is inside");
            found.push(PreviewFile { path: path.to_string(), bytes, executable });
            Ok(())
        }),
        Format::Raw => {
            let (path, executable) = (chosen.path.to_string(), layer.is_executable());
            found.push(PreviewFile { path, bytes: skip(stream, on)?, executable });
            Ok(())
        }
    })?;
    Ok(found)
}

/// Reads past a content; its size in bytes.
fn skip(
    content: &mut dyn std::io::BufRead,
    on: &dyn Fn(u64) -> std::ops::ControlFlow<()>,
) -> std::io::Result<u64> {
    super::layer::copy(content, &mut std::io::sink(), on)
}
