//! The repositories, and the tags of one.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use axum::response::Response;

use super::html::Html;
use super::kind::{self, Kind};
use super::page::page;
use super::{path_of, path_of_manifest};
use crate::content::Descriptor;
use crate::server::limits::{MAX_IN_MEMORY, MAX_ROWS};
use crate::server::listing::Listing;
use crate::server::{Code, Failure, Registry, catalog};

/// The repositories that have a manifest, with the number of their tags.
pub(super) fn repositories(registry: &Registry, last: Option<String>) -> Result<Response, Failure> {
    let mut names = Listing::new(last, MAX_ROWS);
    catalog::look(registry, &mut names)?;
    let (names, has_more) = names.page(|_, ()| 0);
    let last = names.last().map(|(name, ())| name.clone()).filter(|_| has_more);
    let mut n_tags: BTreeMap<String, usize> =
        names.into_iter().map(|(name, ())| (name, 0)).collect();
    registry.layout.each_entry(|reference, _| {
        let tagged = reference.filter(|it| it.is_local() && it.tag().is_some());
        if let Some(count) = tagged.and_then(|it| n_tags.get_mut(it.repository())) {
            *count += 1;
        }
    })?;
    let mut body = Html::default();
    if n_tags.is_empty() {
        body.markup("<p>There is no repository here.</p>");
    } else {
        let row = |(name, count): (&String, &usize)| {
            [Html::link_to(&path_of(name), name), Html::of(count)]
        };
        body.table(["Repository", "Tags"], n_tags.iter().map(row));
    }
    body.more("/ui", last.as_deref());
    Ok(page(StatusCode::OK, "Repositories", &[], &body))
}

/// The tags of a repository, each with what it names.
pub(super) fn tags(
    registry: &Registry,
    name: &str,
    last: Option<String>,
) -> Result<Response, Failure> {
    let repository = registry.repository(name)?;
    let mut is_known = repository.is_begun();
    let mut tags = Listing::new(last, MAX_ROWS);
    repository.each_tag(|tag, descriptor| {
        is_known = true;
        tags.add(tag.to_owned(), descriptor.clone());
    })?;
    if !is_known {
        return Err(Failure::new(Code::NameUnknown, format!("there is no repository {name}")));
    }
    let (tags, has_more) = tags.page(|_, _| 0);
    let last = tags.last().map(|(tag, _)| tag.clone()).filter(|_| has_more);
    let mut body = Html::default();
    if tags.is_empty() {
        body.markup("<p>It has no tags; its manifests are found by their digests.</p>");
    } else {
        let rows = tags.iter().map(|(tag, descriptor)| {
            let [kind, size, created] = summary(registry, descriptor);
            let digest = Html::code(descriptor.digest());
            [Html::link_to(&path_of_manifest(name, tag), tag), kind, size, created, digest]
        });
        body.table(["Tag", "Kind", "Size", "Created", "Digest"], rows);
    }
    body.more(&path_of(name), last.as_deref());
    Ok(page(StatusCode::OK, name, &[], &body))
}

/// What a manifest is, how large it is with its content, and when it was made. A large one is not
/// read for a row of a list, and one that is damaged does not keep the others from being listed.
fn summary(registry: &Registry, descriptor: &Descriptor) -> [Html; 3] {
    if descriptor.size() > MAX_IN_MEMORY {
        return [Html::of("Large manifest"), Html::default(), Html::default()];
    }
    let document = match registry.layout.document(descriptor) {
        Ok(document) => document,
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a tagged manifest is unreadable"
            );
            return [Html::of("Cannot be read"), Html::default(), Html::default()];
        }
    };
    let size = Html::of(kind::human_size(kind::whole_size(descriptor, &document)));
    let created = Html::of(kind::created(&document).unwrap_or_default());
    [Html::of(Kind::of(&document).name(&document)), size, created]
}
