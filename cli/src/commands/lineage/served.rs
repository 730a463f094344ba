//! What a server says of the model that answers.

use std::time::Duration;

use anyhow::Context as _;
use registry::Reference;
use registry::content::digest;
use serde_json::Value;
use serde_json::value::RawValue;

use super::Way;
use super::fact::{Fact, Standing};
use crate::failure::{WithHint as _, failure};
use crate::kind::Kind;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How large it may be, in bytes: a manifest and a Kitfile.
const MAX_ANSWER: usize = 16 << 20;

/// What `GET /v1/provenance` answers; the manifest with its bytes as they are.
#[derive(serde::Deserialize)]
struct Provenance {
    digest: Option<String>,
    reference: Option<String>,
    manifest: Option<Box<RawValue>>,
}

impl Way<'_> {
    /// A server, and the ModelKit whose digest it names.
    pub(super) fn served(&self, url: &reqwest::Url) -> anyhow::Result<Fact> {
        let said = self.provenance(url)?;
        let named = said.digest.filter(|digest| !digest.is_empty()).ok_or_else(|| {
            failure(Kind::NotFound, format!("{url} serves a folder that no ModelKit brought"))
        });
        let named = named.hint("it is served by `kit-rs serve REF`, or from an image of one")?;
        let bytes = said.manifest.as_ref().map(|manifest| manifest.get().as_bytes());
        let standing = match bytes {
            Some(bytes) if digest(bytes).to_string() == named => {
                (Standing::Declared, "it names the ModelKit, and shows the manifest of that digest")
            }
            Some(_) => {
                return Err(failure(
                    Kind::Damaged,
                    format!("{url} shows a manifest that is not the {named} that it names"),
                ));
            }
            None => (Standing::Declared, "it names the ModelKit"),
        };
        let served = Fact::new("server", url.as_str(), standing);
        let named_here = said.reference.and_then(|text| text.parse::<Reference>().ok());
        let reference = match named_here {
            None => self.known_here(&named)?,
            found => found,
        };
        let Some(reference) = reference else {
            let kit = Fact::new(
                "ModelKit",
                &named,
                (Standing::Declared, "neither the server nor the local layout says where it lies"),
            );
            return Ok(served.from([kit]).from(self.deployed(&named)?));
        };
        let pinned = reference.with_digest(named.parse()?);
        Ok(served.from([self.named(&pinned)?]))
    }

    /// What the local layout calls a digest: by the name of a registry, if it has one.
    fn known_here(&self, digest: &str) -> anyhow::Result<Option<Reference>> {
        let Some(layout) = self.ui.layout_if_there()? else { return Ok(None) };
        let tags = layout.tags()?.into_iter();
        let mut names: Vec<Reference> = tags
            .filter(|(_, descriptor)| descriptor.digest().to_string() == digest)
            .map(|(name, _)| name)
            .collect();
        names.sort_by_key(|name| (name.is_local(), name.to_string()));
        Ok(names.into_iter().next())
    }

    fn provenance(&self, url: &reqwest::Url) -> anyhow::Result<Provenance> {
        // reqwest wants to know who does its cryptography; a second time is no harm.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().timeout(PATIENCE).build()?;
        // The URL of a proxy has a path of its own.
        let url = format!("{}/v1/provenance", url.as_str().trim_end_matches('/'));
        let body = self.ui.block_on(async {
            let mut answer = http.get(&url).send().await?.error_for_status()?;
            let mut body = Vec::new();
            while let Some(part) = answer.chunk().await? {
                body.extend_from_slice(&part);
                if body.len() > MAX_ANSWER {
                    return Err(failure(Kind::Remote, format!("{url} answers without an end")));
                }
            }
            Ok(body)
        });
        let body = body.with_context(|| format!("{url} does not say which model answers"))?;
        serde_json::from_slice(&body)
            .with_context(|| format!("{url} answers otherwise than kit-rs serve does"))
    }
}

/// A text of a document, where there is one.
pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}
