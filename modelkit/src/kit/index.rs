//! Indexes: documents that list other manifests, such as the variants of a model.
//! Source: image-spec, `image-index.md`; and KitOps 1.17, whose entries have labels.

use std::collections::BTreeMap;

use registry::content::{self, Digest};
use serde::Deserialize;
use serde_json::Value;

use crate::media_type;

/// An artifact that an index lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexMember {
    /// The digest of its manifest, which names it.
    pub digest: Digest,
    /// The tag that it had when it was listed.
    pub tag: Option<String>,
    /// What tells it from the others; of an image its platform.
    pub labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    #[serde(default)]
    artifact_type: String,
    manifests: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    digest: String,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    model_metadata: BTreeMap<String, Value>,
    #[serde(default)]
    platform: BTreeMap<String, Value>,
}

/// The members of an index, and whether it is one of ModelKits; none where the document is none.
pub(super) fn members(document: &Value) -> Option<(bool, Vec<IndexMember>)> {
    let index = Index::deserialize(document).ok()?;
    let member = |entry: Entry| {
        let labels = entry.model_metadata.into_iter().chain(entry.platform);
        Some(IndexMember {
            digest: content::parse_digest(&entry.digest).ok()?,
            tag: entry.annotations.get(media_type::ORIGINAL_TAG).cloned(),
            labels: labels.map(|(key, value)| (key, shown(value))).collect(),
        })
    };
    let of_modelkits = index.artifact_type == media_type::INDEX;
    Some((of_modelkits, index.manifests.into_iter().filter_map(member).collect()))
}

/// A text as it is, anything else as JSON.
fn shown(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}
