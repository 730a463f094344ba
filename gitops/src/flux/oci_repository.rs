//! Flux' OCIRepository: which artifact of which registry is fetched.

use std::time::Duration;

use regex::Regex;
use serde::Deserialize;
use serde_json::Value;

use super::kustomization::{read_spec, refuse_fields};
use super::source::GROUP;
use super::{SemverRange, parse_duration};
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
    /// The artifact, by its digest or the tag that is followed; by neither where it is the newest
    /// version of [`Self::versions`].
    pub artifact: ImageRef,
    /// Which tags are followed, where neither a digest nor a single tag is.
    pub versions: Option<Versions>,
    /// The media type of the layer that is taken; none: the first one.
    pub layer: Option<String>,
    /// How often Flux looks for another one.
    pub interval: Duration,
    /// Whether Flux was told not to look.
    pub suspend: bool,
    /// What of the artifact is left out, as `.gitignore` writes it, after what its `.sourceignore`
    /// files say.
    pub ignore: Option<String>,
}

/// Tags of which the newest version is followed.
#[derive(Clone, Debug)]
pub struct Versions {
    /// The range that it is in.
    pub range: SemverRange,
    /// What the tags match, in the words of a regular expression.
    filter: Option<Regex>,
}

/// The patterns of regular expressions are what they are compared by.
impl PartialEq for Versions {
    fn eq(&self, other: &Self) -> bool {
        let pattern = |it: &Self| it.filter.as_ref().map(|it| it.as_str().to_owned());
        self.range == other.range && pattern(self) == pattern(other)
    }
}

impl Eq for Versions {}

impl Versions {
    /// The tag with the newest version.
    pub fn newest<'a>(&self, tags: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
        let is_meant = |tag: &&str| self.filter.as_ref().is_none_or(|it| it.is_match(tag));
        self.range.newest(tags.into_iter().filter(is_meant))
    }
}

impl OciRepository {
    /// Reads the object as an OCIRepository, if it is one.
    pub fn read(object: &Object) -> Result<Option<Self>> {
        let read = read_spec::<Spec>(object, GROUP, "OCIRepository")?;
        let Some((id, spec)) = read else { return Ok(None) };
        let selector = spec.layer_selector.unwrap_or_default();
        let is_copy = selector.operation.is_some_and(|operation| operation != "extract");
        // They change what is fetched, in a way that nobody here follows.
        let beyond = [(is_copy, "layerSelector.operation"), (spec.verify.is_some(), "verify")];
        refuse_fields(&id, &beyond)?;
        let refuse = |message: String| Error::Flux { id: Box::new(object.id()), message };
        let name = spec.url.strip_prefix("oci://");
        let name = name.ok_or_else(|| refuse("spec.url begins with oci://".to_owned()))?;
        let mut artifact: ImageRef = name.parse()?;
        if artifact.tag.is_some() || artifact.digest.is_some() {
            return Err(refuse("spec.url names no tag and no digest".to_owned()));
        }
        let set = |text: Option<String>| text.filter(|text| !text.is_empty());
        let Ref { tag, digest, semver, semver_filter } = spec.r#ref;
        let mut versions = None;
        match (set(digest), set(semver)) {
            (Some(digest), _) => artifact.digest = Some(digest),
            (None, Some(range)) => {
                let filter = set(semver_filter).map(|pattern| Regex::new(&pattern)).transpose();
                let filter =
                    filter.map_err(|error| refuse(format!("spec.ref.semverFilter: {error}")))?;
                let range = range
                    .parse()
                    .map_err(|error: Error| refuse(format!("spec.ref.semver: {error}")))?;
                versions = Some(Versions { range, filter });
            }
            (None, None) => {
                artifact.tag = Some(set(tag).unwrap_or_else(|| "latest".to_owned()));
            }
        }
        Ok(Some(Self {
            name: id.name,
            namespace: id.namespace,
            artifact: artifact.to_string().parse()?,
            versions,
            layer: set(selector.media_type),
            interval: parse_duration(&spec.interval)?,
            url: spec.url,
            suspend: spec.suspend,
            ignore: spec.ignore,
        }))
    }

    /// What Flux calls the revision of a manifest, of an artifact that this one has led to.
    pub fn revision(artifact: &ImageRef, digest: &str) -> String {
        match (&artifact.digest, &artifact.tag) {
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
    layer_selector: Option<LayerSelector>,
    verify: Option<Value>,
}

/// Of several it is the digest that Flux goes by, then the range of versions.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ref {
    tag: Option<String>,
    digest: Option<String>,
    semver: Option<String>,
    semver_filter: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LayerSelector {
    media_type: Option<String>,
    operation: Option<String>,
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
            (read.artifact.to_string(), OciRepository::revision(&read.artifact, &digest))
        };
        assert_eq!(of(""), ("h:1/a:latest".to_owned(), format!("latest@{digest}")));
        assert_eq!(of("tag: dev"), ("h:1/a:dev".to_owned(), format!("dev@{digest}")));
        let pinned = (format!("h:1/a@{digest}"), digest.clone());
        assert_eq!(of(&format!("tag: dev, semver: '*', digest: '{digest}'")), pinned);
    }

    #[test]
    fn the_newest_of_a_range_is_followed_before_a_tag() {
        let tags = ["latest", "1.0.0", "1.2.0", "1.3.0-rc.1", "2.0.0", "1.4.0-cpu"];
        let newest = |reference: &str| {
            let read = read(&format!("url: 'oci://h:1/a', ref: {{{reference}}}")).unwrap();
            assert_eq!(read.artifact.to_string(), "h:1/a");
            read.versions.unwrap().newest(tags).map(str::to_owned)
        };
        assert_eq!(newest("tag: dev, semver: '1.x'").as_deref(), Some("1.2.0"));
        assert_eq!(
            newest("semver: '>=1.0.0-0', semverFilter: '-cpu$'").as_deref(),
            Some("1.4.0-cpu")
        );
        assert_eq!(newest("semver: '>=3'"), None);
    }

    #[test]
    fn a_layer_is_picked_by_its_media_type() {
        let layer = |spec: &str| read(&format!("url: 'oci://h:1/a', {spec}")).unwrap().layer;
        assert_eq!(
            layer("layerSelector: {mediaType: a/b, operation: extract}").as_deref(),
            Some("a/b")
        );
        assert_eq!(layer("layerSelector: {}"), None);
    }

    #[test]
    fn what_is_not_followed_is_refused_by_its_field() {
        for (spec, field) in [
            ("url: 'oci://h/a', verify: {provider: cosign}", "spec.verify is not supported"),
            (
                "url: 'oci://h/a', layerSelector: {mediaType: a/b, operation: copy}",
                "spec.layerSelector.operation is not supported",
            ),
            (
                "url: 'oci://h/a', ref: {semver: one}",
                "spec.ref.semver: \"one\" is not a range of versions: write 1.x, ~1.2, ^1.2.3, >=1.0.0 <2.0.0, or several with || between them",
            ),
            ("url: 'https://h/a'", "spec.url begins with oci://"),
            ("url: 'oci://h/a:1'", "spec.url names no tag and no digest"),
        ] {
            let error = read(spec).unwrap_err().to_string();
            assert!(error.ends_with(field), "{spec}: {error}");
        }
    }
}
