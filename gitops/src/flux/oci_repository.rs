//! Flux' OCIRepository: which artifact of which registry is fetched.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::kustomization::spec;
use super::parse_duration;
use crate::{Error, ImageRef, Object, Result};

/// An `OCIRepository` of `source.toolkit.fluxcd.io/v1`: where Flux fetches from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OciRepository {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// `oci://HOST/REPOSITORY`, as written.
    pub url: String,
    /// The artifact, by its digest or the tag that is followed.
    pub artifact: ImageRef,
    /// How often Flux looks for another one.
    pub interval: Duration,
    /// Whether Flux was told not to look.
    pub suspend: bool,
    /// What of the artifact is left out, as `.gitignore` writes it, after what its `.sourceignore`
    /// files say.
    pub ignore: Option<String>,
}

impl OciRepository {
    /// Reads the object as an OCIRepository, if it is one.
    pub fn read(object: &Object) -> Result<Option<Self>> {
        let id = object.id();
        if (id.group.as_str(), id.kind.as_str()) != ("source.toolkit.fluxcd.io", "OCIRepository") {
            return Ok(None);
        }
        let spec: Spec = spec(object)?;
        if let Some(field) = spec.unsupported() {
            return Err(Error::FluxField { id: Box::new(id), field });
        }
        let refuse = |message: String| Error::Flux { id: Box::new(object.id()), message };
        let name = spec.url.strip_prefix("oci://");
        let name = name.ok_or_else(|| refuse("spec.url begins with oci://".to_owned()))?;
        let mut artifact: ImageRef = name.parse()?;
        if artifact.tag.is_some() || artifact.digest.is_some() {
            return Err(refuse("spec.url names no tag and no digest".to_owned()));
        }
        match (spec.r#ref.digest, spec.r#ref.tag) {
            (Some(digest), _) => artifact.digest = Some(digest),
            (None, tag) => artifact.tag = Some(tag.unwrap_or_else(|| "latest".to_owned())),
        }
        Ok(Some(Self {
            name: id.name,
            namespace: id.namespace,
            artifact: artifact.to_string().parse()?,
            interval: parse_duration(&spec.interval)?,
            url: spec.url,
            suspend: spec.suspend,
            ignore: spec.ignore,
        }))
    }

    /// What Flux calls the revision of a manifest.
    pub fn revision(&self, digest: &str) -> String {
        match (&self.artifact.digest, &self.artifact.tag) {
            (None, Some(tag)) => format!("{tag}@{digest}"),
            _ => digest.to_owned(),
        }
    }
}

/// What is read of the spec; fields that only the real source-controller heeds are left to the
/// schema.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    url: String,
    interval: String,
    #[serde(default)]
    r#ref: Ref,
    #[serde(default)]
    suspend: bool,
    ignore: Option<String>,
    layer_selector: Option<Value>,
    verify: Option<Value>,
}

impl Spec {
    /// A field that changes what is fetched, in a way that nobody here follows.
    fn unsupported(&self) -> Option<&'static str> {
        // Of several it is the digest that Flux goes by, then the range of versions.
        let ranges = self.r#ref.digest.is_none() && self.r#ref.semver.is_some();
        let fields = [
            (ranges, "ref.semver"),
            (self.layer_selector.is_some(), "layerSelector"),
            (self.verify.is_some(), "verify"),
        ];
        fields.into_iter().find(|(set, _)| *set).map(|(_, field)| field)
    }
}

#[derive(Default, Deserialize)]
struct Ref {
    tag: Option<String>,
    digest: Option<String>,
    semver: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(spec: &str) -> Result<OciRepository> {
        let text = format!(
            "apiVersion: source.toolkit.fluxcd.io/v1\nkind: OCIRepository\nmetadata: {{name: a, namespace: flux-system}}\nspec: {{interval: 1m, {spec}}}\n"
        );
        OciRepository::read(&text.parse().unwrap()).map(|read| read.expect("is one"))
    }

    #[test]
    fn a_digest_goes_before_a_tag_and_a_tag_before_none() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let of = |reference: &str| {
            let read = read(&format!("url: 'oci://h:1/a', ref: {{{reference}}}")).unwrap();
            (read.artifact.to_string(), read.revision(&digest))
        };
        assert_eq!(of(""), ("h:1/a:latest".to_owned(), format!("latest@{digest}")));
        assert_eq!(of("tag: dev"), ("h:1/a:dev".to_owned(), format!("dev@{digest}")));
        let pinned = (format!("h:1/a@{digest}"), digest.clone());
        assert_eq!(of(&format!("tag: dev, semver: '*', digest: '{digest}'")), pinned);
    }

    #[test]
    fn what_is_not_followed_is_refused_by_its_field() {
        for (spec, field) in [
            ("url: 'oci://h/a', ref: {semver: '1.x'}", "spec.ref.semver is not supported"),
            ("url: 'oci://h/a', verify: {provider: cosign}", "spec.verify is not supported"),
            ("url: 'oci://h/a', layerSelector: {}", "spec.layerSelector is not supported"),
            ("url: 'https://h/a'", "spec.url begins with oci://"),
            ("url: 'oci://h/a:1'", "spec.url names no tag and no digest"),
        ] {
            let error = read(spec).unwrap_err().to_string();
            assert!(error.ends_with(field), "{spec}: {error}");
        }
    }
}
