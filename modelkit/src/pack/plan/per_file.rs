//! A ModelPack's layers are single files: every folder of the Kitfile becomes its files, in the
//! Kitfile too.
//!
//! So `kit` and other readers find exactly one layer for each entry.

use std::collections::HashSet;

use kitfile::{Code, ContextPath, Dataset, Doc, Kitfile, Model, ModelPart, Prompt, Section};

use super::LayerPlan;
use crate::archive::{Content, Entry};
use crate::error::Result;
use crate::media_type::{Compression, Family, Format, Kind, LayerType};

/// Suffixes of files that hold weights.
const WEIGHTS: [&str; 16] = [
    ".safetensors",
    ".gguf",
    ".onnx",
    ".bin",
    ".pt",
    ".pth",
    ".h5",
    ".keras",
    ".ckpt",
    ".pb",
    ".tflite",
    ".msgpack",
    ".mpk",
    ".npz",
    ".pkl",
    ".ggml",
];

/// An entry of the Kitfile with what the walk found for it.
type Item<'a> = (kitfile::Entry<'a>, ContextPath, Vec<Entry>);

/// The Kitfile of single files, and a layer for each.
pub(super) fn split(
    kitfile: &Kitfile,
    items: Vec<Item<'_>>,
    warnings: &mut Vec<String>,
) -> Result<(Kitfile, Vec<LayerPlan>)> {
    let mut split = Split { kitfile: emptied(kitfile), layers: Vec::new() };
    let empty = empty_folders(&items);
    if let [first, others @ ..] = empty.as_slice() {
        let others =
            if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
        warnings.push(format!(
            "a ModelPack of single files has no place for folders without files: {first}{others}"
        ));
    }
    for (entry, path, files) in items {
        let mut files: Vec<Entry> =
            files.into_iter().filter(|file| file.content != Content::Folder).collect();
        if files.is_empty() {
            warnings.push(format!("{}: `{path}` has no files, so it is left out", entry.place()));
        }
        if entry.section == Section::Model {
            let main = main_file(&files);
            files.sort_by_key(|file| Some(&file.path) != main.as_ref());
        }
        for (number, file) in files.into_iter().enumerate() {
            split.add(kitfile, &entry, number, file)?;
        }
    }
    Ok((split.kitfile, split.layers))
}

/// The folders in which nothing is packed.
fn empty_folders(items: &[Item<'_>]) -> Vec<String> {
    let entries = || items.iter().flat_map(|(_, _, files)| files);
    let around: HashSet<&str> = entries()
        .flat_map(|entry| entry.path.match_indices('/').map(|(at, _)| &entry.path[..at]))
        .collect();
    let is_empty =
        |entry: &&Entry| entry.content == Content::Folder && !around.contains(entry.path.as_str());
    entries().filter(is_empty).map(|entry| entry.path.clone()).collect()
}

/// The Kitfile without the entries that have layers.
fn emptied(kitfile: &Kitfile) -> Kitfile {
    let mut emptied = kitfile.clone();
    if let Some(model) = &mut emptied.model {
        model.parts.clear();
    }
    emptied.datasets.retain(|dataset| !dataset.remote_path.is_empty());
    emptied.code.clear();
    emptied.docs.clear();
    emptied.prompts.clear();
    emptied
}

/// The largest of the files with weights, else the largest of all.
fn main_file(files: &[Entry]) -> Option<String> {
    let rank = |file: &&Entry| {
        (is_weights(&file.path), file.content.size(), std::cmp::Reverse(file.path.clone()))
    };
    files.iter().max_by_key(rank).map(|file| file.path.clone())
}

fn is_weights(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    WEIGHTS.iter().any(|suffix| path.ends_with(suffix))
}

struct Split {
    kitfile: Kitfile,
    layers: Vec<LayerPlan>,
}

impl Split {
    fn add(
        &mut self,
        from: &Kitfile,
        entry: &kitfile::Entry<'_>,
        number: usize,
        file: Entry,
    ) -> Result<()> {
        // A path that was a file's already stays as it is written.
        let is_itself = entry.context_path().is_ok_and(|path| path.as_str() == file.path);
        let path = if is_itself { entry.path.to_owned() } else { file.path.clone() };
        let is_further_weights = entry.section == Section::Model && number > 0;
        let section = if is_further_weights { Section::ModelPart } else { entry.section };
        let index = entry.index;
        match entry.section {
            Section::Model if number == 0 => {
                let model = self.kitfile.model.get_or_insert_default();
                *model = Model { path, ..std::mem::take(model) };
            }
            Section::Model => self.model().parts.push(ModelPart { path, ..ModelPart::default() }),
            Section::ModelPart => {
                let part = from
                    .model
                    .as_ref()
                    .and_then(|model| model.parts.get(index))
                    .cloned()
                    .unwrap_or_default();
                self.model().parts.push(ModelPart { path, ..part });
            }
            Section::Code => self.kitfile.code.push(Code { path, ..from.code[index].clone() }),
            Section::Dataset => {
                self.kitfile.datasets.push(Dataset { path, ..from.datasets[index].clone() })
            }
            Section::Docs => self.kitfile.docs.push(Doc { path, ..from.docs[index].clone() }),
            Section::Prompt => {
                self.kitfile.prompts.push(Prompt { path, ..from.prompts[index].clone() })
            }
            Section::McpServer => {}
        }
        self.layers.push(layer(section, entry.name, file)?);
        Ok(())
    }

    fn model(&mut self) -> &mut Model {
        self.kitfile.model.get_or_insert_default()
    }
}

fn layer(section: Section, name: Option<&str>, file: Entry) -> Result<LayerPlan> {
    // Several files of weights are several layers of weights; configuration is a kind of its own.
    let kind = match Kind::of(section) {
        Kind::ModelPart if is_weights(&file.path) => Kind::Model,
        kind => kind,
    };
    let layer_type = LayerType {
        family: Family::ModelPack,
        kind,
        format: Format::Raw,
        compression: Compression::None,
    };
    let path: ContextPath = file.path.parse().map_err(|_| crate::Error::Name {
        path: file.path.clone(),
        problem: "has a name that no Kitfile can hold",
    })?;
    crate::archive::check_name(path.as_str())?;
    let bytes = file.content.size();
    let (name, media_type) = (name.map(str::to_owned), layer_type.to_string());
    Ok(LayerPlan {
        section,
        name,
        path,
        layer_type,
        media_type,
        files: vec![file],
        n_files: 1,
        bytes,
    })
}
