//! The items of a Kitfile that become layers, whatever section they stand in.

use std::fmt;

use crate::{
    Code, ContextPath, Dataset, Doc, Kitfile, McpServer, Model, ModelPart, Prompt, Result,
};

/// The kinds of layers, in kit's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// `model`.
    Model,
    /// `model.parts`.
    ModelPart,
    /// `code`.
    Code,
    /// `datasets`.
    Dataset,
    /// `docs`.
    Docs,
    /// `prompts`.
    Prompt,
    /// `mcpServers`.
    McpServer,
}

impl Section {
    /// The key of the section in a Kitfile.
    pub fn key(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::ModelPart => "model.parts",
            Self::Code => "code",
            Self::Dataset => "datasets",
            Self::Docs => "docs",
            Self::Prompt => "prompts",
            Self::McpServer => "mcpServers",
        }
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

/// One item of a Kitfile that becomes a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Where it stands.
    pub section: Section,
    /// Its number in the section, from 0.
    pub index: usize,
    /// Its name, where it has one.
    pub name: Option<&'a str>,
    /// Its path as written.
    pub path: &'a str,
    /// Digest of its layer.
    pub digest: Option<&'a str>,
    /// Digest of its layer before compression.
    pub diff_id: Option<&'a str>,
}

impl Entry<'_> {
    /// Its path, cleaned; empty means the context folder.
    pub fn context_path(&self) -> Result<ContextPath> {
        self.path.parse()
    }

    /// Where it stands, such as `datasets[1]`.
    pub fn place(&self) -> String {
        match self.section {
            Section::Model => "model".to_owned(),
            section => format!("{section}[{}]", self.index),
        }
    }
}

/// The digests of one item of a Kitfile, to be filled in.
#[derive(Debug)]
pub struct EntryMut<'a> {
    /// Where it stands.
    pub section: Section,
    /// Its path as written.
    pub path: &'a str,
    /// Digest of its layer.
    pub digest: &'a mut Option<String>,
    /// Digest of its layer before compression.
    pub diff_id: &'a mut Option<String>,
}

impl Kitfile {
    /// All items that become layers, in kit's order.
    ///
    /// A model that comes from another ModelKit has no layer here, nor has a dataset with a
    /// `remotePath`.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let mut entries = Vec::new();
        let mut add = |section, index, name, path, digest, diff_id| {
            entries.push(Entry { section, index, name: some(name), path, digest, diff_id });
        };
        if let Some(model) = &self.model {
            if model.parent().is_none() {
                add(
                    Section::Model,
                    0,
                    &*model.name,
                    &*model.path,
                    model.digest.as_deref(),
                    model.diff_id.as_deref(),
                );
            }
            for (i, part) in model.parts.iter().enumerate() {
                add(
                    Section::ModelPart,
                    i,
                    &part.name,
                    &part.path,
                    part.digest.as_deref(),
                    part.diff_id.as_deref(),
                );
            }
        }
        for (i, code) in self.code.iter().enumerate() {
            add(Section::Code, i, "", &code.path, code.digest.as_deref(), code.diff_id.as_deref());
        }
        for (i, data) in
            self.datasets.iter().enumerate().filter(|(_, dataset)| dataset.remote_path.is_empty())
        {
            add(
                Section::Dataset,
                i,
                &data.name,
                &data.path,
                data.digest.as_deref(),
                data.diff_id.as_deref(),
            );
        }
        for (i, doc) in self.docs.iter().enumerate() {
            add(Section::Docs, i, "", &doc.path, doc.digest.as_deref(), doc.diff_id.as_deref());
        }
        for (i, prompt) in self.prompts.iter().enumerate() {
            add(
                Section::Prompt,
                i,
                &prompt.name,
                &prompt.path,
                prompt.digest.as_deref(),
                prompt.diff_id.as_deref(),
            );
        }
        for (i, mcp) in self.mcp_servers.iter().enumerate() {
            add(
                Section::McpServer,
                i,
                &mcp.name,
                &mcp.path,
                mcp.digest.as_deref(),
                mcp.diff_id.as_deref(),
            );
        }
        entries.into_iter()
    }

    /// The digests of the items that become layers, in the order of [`entries`](Self::entries), to
    /// be filled in.
    pub fn entries_mut(&mut self) -> impl Iterator<Item = EntryMut<'_>> {
        self.items_mut().into_iter().filter_map(|(has_layer, entry)| has_layer.then_some(entry))
    }

    /// Forgets all layers' digests.
    pub(crate) fn clear_layers(&mut self) {
        for (_, entry) in self.items_mut() {
            (*entry.digest, *entry.diff_id) = (None, None);
        }
    }

    /// Every item, and whether it has a layer.
    fn items_mut(&mut self) -> Vec<(bool, EntryMut<'_>)> {
        let mut items = Vec::new();
        // The items' types differ; these three fields they share.
        macro_rules! add {
            ($section:ident, $items:expr, $has_layer:expr) => {
                for item in $items {
                    let has_layer = $has_layer(&*item);
                    let (digest, diff_id) = (&mut item.digest, &mut item.diff_id);
                    items.push((
                        has_layer,
                        EntryMut { section: Section::$section, path: &item.path, digest, diff_id },
                    ));
                }
            };
        }
        if let Some(model) = &mut self.model {
            let has_layer = model.parent().is_none();
            let Model { path, parts, digest, diff_id, .. } = model;
            items.push((has_layer, EntryMut { section: Section::Model, path, digest, diff_id }));
            add!(ModelPart, parts, |_: &ModelPart| true);
        }
        add!(Code, &mut self.code, |_: &Code| true);
        add!(Dataset, &mut self.datasets, |dataset: &Dataset| dataset.remote_path.is_empty());
        add!(Docs, &mut self.docs, |_: &Doc| true);
        add!(Prompt, &mut self.prompts, |_: &Prompt| true);
        add!(McpServer, &mut self.mcp_servers, |_: &McpServer| true);
        items
    }
}

fn some(name: &str) -> Option<&str> {
    (!name.is_empty()).then_some(name)
}
