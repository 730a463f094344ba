//! The list of repositories, as the official client asks for it (`list_models`, `list_datasets`).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Refusal;
use super::folder::Folder;
use super::query::Query;
use super::route::Repo;

/// What a list may be asked for without changing which repositories are in it, or their order:
/// there are no downloads and no likes.
const PASSED_OVER: [&str; 7] =
    ["cursor", "limit", "full", "config", "cardData", "expand", "direction"];
const SORTS: [&str; 3] = ["downloads", "likes", "trendingScore"];

/// Lists the repositories of an author, or all, by their names. What cannot be told of a folder is
/// refused: an answer without it would be another one.
pub(super) fn list(
    folder: &Folder,
    is_dataset: bool,
    query: &Query,
) -> Result<Vec<Value>, Refusal> {
    let mut repos: BTreeMap<String, Repo> =
        folder.repos(is_dataset)?.into_iter().map(|repo| (repo.name.clone(), repo)).collect();
    for (key, value) in query.pairs() {
        match key {
            "author" => repos.retain(|_, repo| repo.author() == Some(value)),
            "search" => repos
                .retain(|name, _| name.to_ascii_lowercase().contains(&value.to_ascii_lowercase())),
            // None is gated.
            "gated" if Query::is_true(value) => repos.clear(),
            "gated" => {}
            "sort" if SORTS.contains(&value) => {}
            key if PASSED_OVER.contains(&key.trim_end_matches("[]")) => {}
            key => {
                let why = format!(
                    "`{key}={value}` cannot be told of a folder: `author` and `search` can"
                );
                return Err(Refusal::Asked(why));
            }
        }
    }
    Ok(repos.into_values().map(|repo| shown(&repo)).collect())
}

fn shown(repo: &Repo) -> Value {
    let mut shown = about(repo);
    shown["_id"] = repo.name.as_str().into();
    shown
}

/// What is said of every repository.
pub(super) fn about(repo: &Repo) -> Value {
    json!({
        "id": repo.name, "modelId": repo.name, "author": repo.author(),
        "private": false, "gated": false, "disabled": false, "downloads": 0, "likes": 0, "tags": [],
    })
}
