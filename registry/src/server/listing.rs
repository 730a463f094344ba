//! A part of a sorted list, however long the list is: items come in any order, and only those of
//! the part are kept.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use axum::response::{AppendHeaders, IntoResponse, Response};
use serde_json::Value;

use super::limits::{MAX_IN_MEMORY, MAX_LISTED};
use super::{Code, Failure, query_first};
use crate::content;

/// The first items after another one, by the bytes of their names.
pub(super) struct Listing<T> {
    last: Option<String>,
    most: usize,
    items: BTreeMap<String, T>,
    has_more: bool,
}

impl<T> Listing<T> {
    /// Begins after `last`, with at most `most` items.
    pub(super) fn new(last: Option<String>, most: usize) -> Self {
        Self { last, most: most.min(MAX_LISTED), items: BTreeMap::new(), has_more: false }
    }

    /// Begins where a request says by `n` and `last`.
    pub(super) fn asked(request: &axum::extract::Request) -> Result<Self, Failure> {
        let most = match query_first(request, "n").map(|n| n.parse::<usize>()) {
            None => usize::MAX,
            Some(Ok(n)) => n,
            Some(Err(_)) => return Err(Failure::new(Code::BadRequest, "`n` is not a number")),
        };
        Ok(Self::new(query_first(request, "last"), most))
    }

    /// Says whether an item would be of the part as it is now.
    pub(super) fn wants(&self, name: &str) -> bool {
        self.last.as_deref().is_none_or(|last| name > last)
            && !self.items.contains_key(name)
            && (self.items.len() < self.most
                || self.items.last_key_value().is_some_and(|(largest, _)| name < largest.as_str()))
    }

    /// Looks at an item.
    pub(super) fn add(&mut self, name: String, item: T) {
        if self.wants(&name) {
            self.items.insert(name, item);
            if self.items.len() > self.most {
                self.items.pop_last();
                self.has_more = true;
            }
        } else if self.last.as_ref().is_none_or(|last| name > *last)
            && !self.items.contains_key(&name)
        {
            self.has_more = true;
        }
    }

    /// The items that fit into an answer, by their sizes in bytes, and at least one; and whether a
    /// link to a next page is due. An empty page has none: nothing says where it would go on.
    pub(super) fn page(self, size: impl Fn(&str, &T) -> u64) -> (Vec<(String, T)>, bool) {
        let (mut total, n_items) = (0, self.items.len());
        let mut page = Vec::new();
        for (name, item) in self.items {
            total += size(&name, &item);
            if total > MAX_IN_MEMORY && !page.is_empty() {
                break;
            }
            page.push((name, item));
        }
        let has_more = !page.is_empty() && (self.has_more || page.len() < n_items);
        (page, has_more)
    }
}

impl Listing<()> {
    /// An answer of names, under a key of a document; the next page is at `path`.
    pub(super) fn answer(self, mut document: Value, key: &str, path: &str) -> Response {
        let most = self.most;
        // A name in quotes, and a comma.
        let (page, has_more) = self.page(|name, ()| name.len() as u64 + 3);
        let names: Vec<&str> = page.iter().map(|(name, ())| name.as_str()).collect();
        document[key] = names.as_slice().into();
        let link = names.last().filter(|_| has_more).map(|last| {
            let n = if most < MAX_LISTED { format!("n={most}&") } else { String::new() };
            [("link", format!("<{path}?{n}last={last}>; rel=\"next\""))]
        });
        let headers = [("content-type", "application/json")];
        (StatusCode::OK, headers, link.map(AppendHeaders), content::encode(&document))
            .into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(names: &[&str], last: Option<&str>, most: usize) -> (Vec<String>, bool) {
        let mut listing = Listing::new(last.map(str::to_owned), most);
        names.iter().for_each(|name| listing.add((*name).to_owned(), ()));
        let (page, has_more) = listing.page(|_, ()| 1);
        (page.into_iter().map(|(name, ())| name).collect(), has_more)
    }

    #[test]
    fn pages_go_on_where_the_last_one_ended() {
        for names in [["a", "b", "c", "b"], ["c", "b", "b", "a"], ["b", "c", "a", "a"]] {
            let of = |last, most| page(&names, last, most);
            let names = |names: &[&str]| -> Vec<String> {
                names.iter().map(|it| (*it).to_owned()).collect()
            };
            assert_eq!(of(None, 2), (names(&["a", "b"]), true));
            assert_eq!(of(Some("b"), 2), (names(&["c"]), false));
            assert_eq!(of(Some("aa"), 9), (names(&["b", "c"]), false));
            assert_eq!(of(None, 0), (names(&[]), false));
            assert_eq!(of(None, 3), (names(&["a", "b", "c"]), false));
            assert_eq!(of(Some("c"), 3), (names(&[]), false));
        }
    }

    #[test]
    fn a_page_is_as_large_as_an_answer_may_be_and_never_empty() {
        let mut listing = Listing::new(None, usize::MAX);
        for name in ["large", "small", "smaller", "largest"] {
            listing
                .add(name.to_owned(), if name.contains("large") { MAX_IN_MEMORY + 1 } else { 1 });
        }
        let (page, has_more) = listing.page(|_, size| *size);
        assert_eq!((page, has_more), (vec![("large".to_owned(), MAX_IN_MEMORY + 1)], true));
        let mut listing = Listing::new(Some("largest".to_owned()), usize::MAX);
        listing.add("small".to_owned(), MAX_IN_MEMORY - 1);
        listing.add("smaller".to_owned(), 1);
        listing.add("smallest".to_owned(), 1);
        let (page, has_more) = listing.page(|_, size| *size);
        assert_eq!((page.len(), has_more), (2, true));
    }
}
