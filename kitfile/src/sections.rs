//! The Kitfile and its sections, as values.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::json;

/// A Kitfile: what a ModelKit is made of.
///
/// An empty text means "not given", in every field: so kit has it.
/// `digest` and `diff_id` are the layer's own, known once a ModelKit is packed; they stand in the
/// JSON form only.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Kitfile {
    /// The version of the format: `1.0.0`.
    #[serde(deserialize_with = "text")]
    pub manifest_version: String,
    /// Who made it, and what it is called.
    pub package: Package,
    /// The model, or the ModelKit that it comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Model>,
    /// Source code.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "list")]
    pub code: Vec<Code>,
    /// Data the model was, or will be, trained and checked with.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "list")]
    pub datasets: Vec<Dataset>,
    /// Documentation.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "list")]
    pub docs: Vec<Doc>,
    /// Prompts, and skills: folders with a SKILL.md.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "list")]
    pub prompts: Vec<Prompt>,
    /// MCP servers, each one an `.mcpb` bundle.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "list")]
    pub mcp_servers: Vec<McpServer>,
}

/// The `package` section.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Package {
    /// Its name.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "text")]
    pub name: String,
    /// Its version.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "text")]
    pub version: String,
    /// What it is for.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "text")]
    pub description: String,
    /// An SPDX identifier.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "text")]
    pub license: String,
    /// Who made it.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "list")]
    pub authors: Vec<String>,
}

/// The `model` section.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Model {
    /// Its name.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "text")]
    pub name: String,
    /// A file or folder in the context, or a reference to another ModelKit ([`Model::parent`]).
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "text")]
    pub path: String,
    /// An SPDX identifier.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "text")]
    pub license: String,
    /// What loads it, such as `transformers`.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "text")]
    pub framework: String,
    /// The format of its weights, such as `safetensors`.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "text")]
    pub format: String,
    /// Its version.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "text")]
    pub version: String,
    /// What it is for.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "text")]
    pub description: String,
    /// Further files that belong to it: a tokenizer, a configuration, an adapter.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "list")]
    pub parts: Vec<ModelPart>,
    /// Anything else to say of it; null when there is nothing.
    #[serde(skip_serializing_if = "Value::is_null", serialize_with = "json::sorted")]
    pub parameters: Value,
    /// Digest of its layer.
    #[serde(skip_serializing_if = "absent")]
    pub digest: Option<String>,
    /// Digest of its layer before compression.
    #[serde(skip_serializing_if = "absent")]
    pub diff_id: Option<String>,
}

/// One of the model's parts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ModelPart {
    /// Its name.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "text")]
    pub name: String,
    /// A file or folder in the context.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "text")]
    pub path: String,
    /// An SPDX identifier.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "text")]
    pub license: String,
    /// What kind of part it is, such as `lora-adapter`.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty", deserialize_with = "text")]
    pub kind: String,
    /// Digest of its layer.
    #[serde(skip_serializing_if = "absent")]
    pub digest: Option<String>,
    /// Digest of its layer before compression.
    #[serde(skip_serializing_if = "absent")]
    pub diff_id: Option<String>,
}

/// One item of `code`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Code {
    /// A file or folder in the context.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "text")]
    pub path: String,
    /// What it does.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "text")]
    pub description: String,
    /// An SPDX identifier.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "text")]
    pub license: String,
    /// Digest of its layer.
    #[serde(skip_serializing_if = "absent")]
    pub digest: Option<String>,
    /// Digest of its layer before compression.
    #[serde(skip_serializing_if = "absent")]
    pub diff_id: Option<String>,
}

/// One item of `datasets`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Dataset {
    /// Its name.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "text")]
    pub name: String,
    /// A file or folder in the context; for a remote one, where it is to be unpacked.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "text")]
    pub path: String,
    /// An `s3://` address or a ModelKit reference: such a dataset has no layer of its own.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "text")]
    pub remote_path: String,
    /// The ETag of the object at an `s3://` address.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "text")]
    pub remote_hash: String,
    /// What is in it.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "text")]
    pub description: String,
    /// An SPDX identifier.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "text")]
    pub license: String,
    /// Anything else to say of it; null when there is nothing.
    #[serde(skip_serializing_if = "Value::is_null", serialize_with = "json::sorted")]
    pub parameters: Value,
    /// Digest of its layer.
    #[serde(skip_serializing_if = "absent")]
    pub digest: Option<String>,
    /// Digest of its layer before compression.
    #[serde(skip_serializing_if = "absent")]
    pub diff_id: Option<String>,
}

/// One item of `docs`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Doc {
    /// A file or folder in the context.
    #[serde(deserialize_with = "text")]
    pub path: String,
    /// What it tells.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "text")]
    pub description: String,
    /// Digest of its layer.
    #[serde(skip_serializing_if = "absent")]
    pub digest: Option<String>,
    /// Digest of its layer before compression.
    #[serde(skip_serializing_if = "absent")]
    pub diff_id: Option<String>,
}

/// One item of `prompts`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Prompt {
    /// Its name.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "text")]
    pub name: String,
    /// A file or folder in the context.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "text")]
    pub path: String,
    /// What it is for.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "text")]
    pub description: String,
    /// Digest of its layer.
    #[serde(skip_serializing_if = "absent")]
    pub digest: Option<String>,
    /// Digest of its layer before compression.
    #[serde(skip_serializing_if = "absent")]
    pub diff_id: Option<String>,
}

/// One item of `mcpServers`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct McpServer {
    /// Its name, unlike any other server's.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "text")]
    pub name: String,
    /// An `.mcpb` file in the context.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "text")]
    pub path: String,
    /// What it offers.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "text")]
    pub description: String,
    /// Digest of its layer.
    #[serde(skip_serializing_if = "absent")]
    pub digest: Option<String>,
    /// Digest of its layer before compression.
    #[serde(skip_serializing_if = "absent")]
    pub diff_id: Option<String>,
}

impl Model {
    /// The ModelKit that the model comes from, when `path` is a reference to one.
    pub fn parent(&self) -> Option<&str> {
        crate::is_modelkit_reference(&self.path).then_some(self.path.as_str())
    }
}

fn absent(text: &Option<String>) -> bool {
    text.as_deref().unwrap_or_default().is_empty()
}

/// Null is the empty text, as Go decodes it.
fn text<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Null is the empty list, and null items are none: so Go has it.
fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    let items: Option<Vec<Option<T>>> = Option::deserialize(from)?;
    Ok(items.unwrap_or_default().into_iter().flatten().collect())
}
