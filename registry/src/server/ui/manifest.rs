//! The page of a manifest: what it is, what to type to have it, its Kitfile if it has one, its
//! layers, and what others say of it.

use axum::http::StatusCode;
use axum::response::Response;

use super::html::Html;
use super::kind::{self, Kind};
use super::page::page;
use super::{card, path_of, path_of_manifest, referrers};
use crate::content::{Descriptor, Document, is_manifest};
use crate::server::limits::{MAX_IN_MEMORY, MAX_ROWS};
use crate::server::repository::Repository;
use crate::server::route::Version;
use crate::server::{Failure, Registry, manifests};

/// Makes the page; `last` says where its list of referrers goes on.
pub(super) fn show(
    registry: &Registry,
    name: &str,
    version: &Version,
    last: Option<String>,
    host: &str,
) -> Result<Response, Failure> {
    let repository = registry.repository(name)?;
    let descriptor = manifests::find(&repository, version)?;
    // A large one takes many times its size in memory: as few are read as are taken in at once.
    let _one_of_few = match descriptor.size() > MAX_IN_MEMORY {
        true => Some(registry.large_manifests.try_acquire().map_err(|_| {
            Failure::too_many("other large manifests are being read: come again in a moment")
        })?),
        false => None,
    };
    let document = registry.layout.document(&descriptor)?;
    let kind = Kind::of(&document);
    let mut body = Html::default();
    properties(&mut body, name, &descriptor, &document);
    let has_images = registry.options.images.is_some() && !registry.options.read_only;
    let lines = kind.lines(host, name, version, has_images);
    if !lines.is_empty() {
        body.markup("<h2>What to type</h2>").document(&lines.join("\n")).markup(
            "<p class=\"soft\">Plain HTTP to another machine needs <code>--plain-http</code>.</p>",
        );
    }
    if kind.is_model() {
        kitfile(&mut body, &repository, &document, registry);
        if let Some(text) = card::card(&registry.layout, &repository, &document) {
            body.markup("<h2>Card</h2>").document(&text);
        }
    }
    content(&mut body, &repository, &document);
    annotations(&mut body, &document);
    let path = path_of_manifest(name, version);
    referrers::list(&mut body, &repository, descriptor.digest(), last, &path)?;
    let separator = if matches!(version, Version::Tag(_)) { ':' } else { '@' };
    let title = format!("{name}{separator}{version}");
    Ok(page(StatusCode::OK, &title, &[(path_of(name), name.to_owned())], &body))
}

fn properties(body: &mut Html, name: &str, descriptor: &Descriptor, document: &Document) {
    let digest = descriptor.digest();
    body.markup("<dl>")
        .pair("Kind", &Html::of(Kind::of(document).name(document)))
        .pair("Digest", &Html::code(digest))
        .pair("Size", &Html::of(kind::human_size(kind::whole_size(descriptor, document))));
    if let Some(created) = kind::created(document) {
        body.pair("Created", &Html::of(created));
    }
    if let Some(subject) = &document.subject {
        let link = Html::link_to(&path_of_manifest(name, subject.digest()), subject.digest());
        body.pair("Said of", &link);
    }
    let link = Html::link_to(&format!("/v2/{name}/manifests/{digest}"), &document.media_type);
    body.pair("Manifest", &link).markup("</dl>");
}

/// Adds the Kitfile, which a ModelKit's config is as JSON; JSON is YAML, too.
fn kitfile(body: &mut Html, repository: &Repository, document: &Document, registry: &Registry) {
    let Some(config) = &document.config else { return };
    let kept = document.annotations.as_ref().and_then(|it| it.get(kind::KITFILE));
    let (title, text) = match kept {
        Some(text) => ("Kitfile", Some(text.clone())),
        None => {
            let is_kitfile = Kind::of(document) == Kind::ModelKit;
            let text = (config.size() <= MAX_IN_MEMORY && repository.has_blob(config.digest()))
                .then(|| registry.layout.read(config).ok())
                .flatten()
                .and_then(|bytes| String::from_utf8(bytes).ok());
            (if is_kitfile { "Kitfile" } else { "Configuration" }, text)
        }
    };
    body.markup("<h2>").text(title).markup("</h2>");
    match text {
        Some(text) => body.document(&pretty(&text)),
        None => body.markup("<p>It is not here, damaged, or too large to be shown.</p>"),
    };
}

/// JSON in lines for reading; whatever is none, or would be too long, as it is.
fn pretty(text: &str) -> String {
    if text.len() as u64 > MAX_IN_MEMORY {
        return text.into();
    }
    let mut lines = Bounded(Vec::new());
    let value = serde_json::from_str::<serde_json::Value>(text);
    let written = value.and_then(|value| serde_json::to_writer_pretty(&mut lines, &value));
    let lines = written.ok().and_then(|()| String::from_utf8(lines.0).ok());
    lines.unwrap_or_else(|| text.into())
}

/// Takes no more than is shown: a few bytes of JSON can be many of indentation.
struct Bounded(Vec<u8>);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if (self.0.len() + bytes.len()) as u64 > MAX_IN_MEMORY {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn content(body: &mut Html, repository: &Repository, document: &Document) {
    let name = repository.name();
    if !document.manifests.is_empty() {
        let row = |it: &Descriptor| {
            let link = Html::link_to(&path_of_manifest(name, it.digest()), it.digest());
            [link, Html::code(it.media_type()), Html::of(kind::human_size(it.size()))]
        };
        body.markup("<h2>Manifests</h2>").table(
            ["Digest", "Media type", "Size"],
            document.manifests.iter().take(MAX_ROWS).map(row),
        );
        rest(body, document.manifests.len());
    }
    if !document.layers.is_empty() {
        let row = |it: &Descriptor| {
            let what = match (kind::section(it), kind::path(it)) {
                ("", path) => Html::of(path.unwrap_or("layer")),
                (section, None) => Html::of(section),
                (section, Some(path)) => Html::of(format_args!("{section}: {path}")),
            };
            [
                what,
                Html::code(it.media_type()),
                Html::of(kind::human_size(it.size())),
                blob(repository, it),
            ]
        };
        body.markup("<h2>Layers</h2>").table(
            ["Layer", "Media type", "Size", "Digest"],
            document.layers.iter().take(MAX_ROWS).map(row),
        );
        rest(body, document.layers.len());
    }
}

/// The digest of a layer, with a link to its content where the repository has it.
fn blob(repository: &Repository, layer: &Descriptor) -> Html {
    let (name, digest) = (repository.name(), layer.digest());
    if is_manifest(layer.media_type()) || !repository.has_blob(digest) {
        return Html::code(digest);
    }
    Html::link_to(&format!("/v2/{name}/blobs/{digest}"), digest)
}

fn annotations(body: &mut Html, document: &Document) {
    let mut found: Vec<_> = document.annotations.iter().flatten().collect();
    // The Kitfile is shown by itself.
    found.retain(|(name, _)| *name != kind::KITFILE);
    if found.is_empty() {
        return;
    }
    found.sort();
    body.markup("<h2>Annotations</h2><dl>");
    for (name, value) in found.iter().take(MAX_ROWS) {
        body.pair(name, &Html::of(value));
    }
    body.markup("</dl>");
    rest(body, found.len());
}

/// Says how many are not shown.
fn rest(body: &mut Html, n_all: usize) {
    if let Some(n_more) = n_all.checked_sub(MAX_ROWS).filter(|n| *n > 0) {
        body.markup("<p class=\"soft\">And ")
            .text(n_more)
            .markup(" more, which the manifest names.</p>");
    }
}
