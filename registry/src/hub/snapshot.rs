//! What a repository holds at one revision.

use std::fmt;
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Response;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use serde::Deserialize;
use url::Url;

use super::refusal::{Wanted, refusal};
use super::{RepoId, RepoKind};
use crate::client::ClientOptions;
use crate::client::http::envelope::printable;
use crate::client::http::{Call, Http, is_loopback, link, location};
use crate::{Error, HttpError, HubError, Result};

/// The largest document that is read, in bytes.
const MAX_DOCUMENT: u64 = 16 * 1024 * 1024;
/// The largest number of pages that a listing is followed for.
const MAX_PAGES: usize = 10_000;

/// A hub, as its client.
#[derive(Clone)]
pub struct Hub {
    pub(super) http: Arc<Http>,
    endpoint: Url,
    token: Option<HeaderValue>,
}

/// Never shows the token.
impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("endpoint", &self.endpoint.as_str()).finish_non_exhaustive()
    }
}

/// The files of a repository at one commit.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The repository.
    pub repo: RepoId,
    /// The commit that the revision stands for, in hex.
    pub sha: String,
    /// The files, in the hub's order. Their paths are relative and stay inside.
    pub files: Vec<HubFile>,
}

impl Snapshot {
    /// Refuses a file whose path could lead out of a folder.
    pub(super) fn check_path(&self, file: &HubFile) -> Result<()> {
        if is_inside(&file.path) {
            return Ok(());
        }
        let (repo, path) = (self.repo.to_string(), printable(&file.path));
        Err(HubError::UnsafePath { repo, path }.into())
    }
}

/// A file of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubFile {
    /// The path, with `/` between its parts.
    pub path: String,
    /// The size in bytes.
    pub size: u64,
    /// The name that the hub has for the content.
    pub oid: String,
    /// The SHA-256 of the content in hex; only large files have one.
    pub sha256: Option<String>,
}

#[derive(Deserialize)]
struct Revision {
    sha: String,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    oid: String,
    #[serde(default)]
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    oid: String,
    size: u64,
}

impl Hub {
    /// Makes a client of the hub at an address. What `options` say of registries does not count
    /// here.
    ///
    /// ```no_run
    /// use kit_registry::{ClientOptions, hub::Hub};
    ///
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let hub = Hub::new("https://huggingface.co", None, &ClientOptions::default())?;
    /// let snapshot = hub.files(&"distilbert/distilbert-base-uncased".parse()?, "main").await?;
    /// for file in &snapshot.files {
    ///     hub.download(&snapshot, file, "model".as_ref(), &|_| ()).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(endpoint: &str, token: Option<String>, options: &ClientOptions) -> Result<Self> {
        let invalid = || Error::from(HttpError::InvalidAddress { text: endpoint.to_owned() });
        let endpoint =
            Url::parse(&format!("{}/", endpoint.trim_end_matches('/'))).map_err(|_| invalid())?;
        if !matches!(endpoint.scheme(), "http" | "https")
            || !endpoint.username().is_empty()
            || endpoint.query().is_some()
        {
            return Err(invalid());
        }
        if token.is_some()
            && endpoint.scheme() == "http"
            && !is_loopback(&endpoint)
            && !options.plain_http
        {
            return Err(HubError::PlainToken { endpoint: location::shown(&endpoint) }.into());
        }
        let header = |token: String| -> Result<HeaderValue> {
            let mut header = HeaderValue::from_str(&format!("Bearer {token}"))
                .map_err(|_| HubError::InvalidToken)?;
            header.set_sensitive(true);
            Ok(header)
        };
        Ok(Self {
            http: Arc::new(Http::new(options)?),
            endpoint,
            token: token.map(header).transpose()?,
        })
    }

    /// Lists the files of a repository at a revision: a branch, a tag or a commit.
    pub async fn files(&self, repo: &RepoId, revision: &str) -> Result<Snapshot> {
        let url = self.url(&format!("{}/revision/{}", repo.api_path(), encoded(revision)))?;
        let Revision { sha } =
            self.http.json(self.ask(repo, revision, &url).await?, MAX_DOCUMENT).await?;
        if !is_commit(&sha) {
            return Err(HttpError::protocol(
                location::shown(&url),
                "a commit is not 40 digits of hex",
            )
            .into());
        }
        let mut files = Vec::new();
        let mut page =
            Some(self.url(&format!("{}/tree/{sha}?recursive=true&expand=false", repo.api_path()))?);
        for _ in 0..MAX_PAGES {
            let Some(url) = page else { return Ok(Snapshot { repo: repo.clone(), sha, files }) };
            let response = self.ask(repo, revision, &url).await?;
            page = link::next_page(&response, &url)?;
            let entries: Vec<Entry> = self.http.json(response, MAX_DOCUMENT).await?;
            for entry in entries.into_iter().filter(|entry| entry.kind == "file") {
                files.push(file(repo, entry)?);
            }
        }
        Err(HttpError::protocol(repo.to_string(), "the list of files has no end").into())
    }

    /// The address of a file.
    pub(super) fn file_url(&self, snapshot: &Snapshot, path: &str) -> Result<Url> {
        let prefix = match snapshot.repo.kind() {
            RepoKind::Model => "",
            RepoKind::Dataset => "datasets/",
        };
        let path: Vec<String> = path.split('/').map(encoded).collect();
        self.url(&format!(
            "{prefix}{}/resolve/{}/{}",
            snapshot.repo.name(),
            snapshot.sha,
            path.join("/")
        ))
    }

    /// Asks for something of the hub itself, with the token; it stays behind when the answer leads
    /// elsewhere.
    pub(super) async fn get(&self, mut call: Call) -> Result<Response> {
        if let Some(token) =
            self.token.as_ref().filter(|_| location::is_same_origin(&call.url, &self.endpoint))
        {
            call.headers.insert(AUTHORIZATION, token.clone());
        }
        self.http.follow(call).await
    }

    async fn ask(&self, repo: &RepoId, revision: &str, url: &Url) -> Result<Response> {
        let response = self.get(Call::get(url.clone())).await?;
        match response.status().as_u16() {
            200 => Ok(response),
            _ => Err(refusal(&self.http, response, repo, Wanted::Revision(revision)).await),
        }
    }

    fn url(&self, path: &str) -> Result<Url> {
        self.endpoint
            .join(path)
            .map_err(|_| HttpError::InvalidAddress { text: path.to_owned() }.into())
    }
}

/// Escapes a text as one part of a path.
fn encoded(text: &str) -> String {
    const ESCAPED: &AsciiSet =
        &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    utf8_percent_encode(text, ESCAPED).to_string()
}

fn is_commit(sha: &str) -> bool {
    sha.len() == 40 && is_hex(sha)
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Takes a file over from the listing, if its path and its digest are harmless.
fn file(repo: &RepoId, entry: Entry) -> Result<HubFile> {
    let Entry { path, size, oid, lfs, .. } = entry;
    let is_digest = |sha256: &str| sha256.len() == 64 && is_hex(sha256);
    let is_safe = is_inside(&path) && lfs.as_ref().is_none_or(|lfs| is_digest(&lfs.oid));
    if !is_safe {
        return Err(HubError::UnsafePath { repo: repo.to_string(), path: printable(&path) }.into());
    }
    let size = lfs.as_ref().map_or(size, |lfs| lfs.size);
    Ok(HubFile { path, size, oid, sha256: lfs.map(|lfs| lfs.oid) })
}

/// Says whether a path stays inside of the folder that it is put into, on every system.
fn is_inside(path: &str) -> bool {
    let is_part = |part: &str| !matches!(part, "" | "." | "..");
    let has_bad = path.contains(|c: char| c == '\\' || c == ':' || c.is_control());
    !has_bad && path.len() <= 4096 && path.split('/').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_a_listing_cannot_climb_out() {
        for path in ["model.safetensors", "a/b.c/d e", "ünicode", "..a/b.."] {
            assert!(is_inside(path), "{path}");
        }
        for path in
            ["", "/etc/passwd", "../up", "a/../b", "a//b", "./a", "a\\b", "C:x", "a\0b", "a/"]
        {
            assert!(!is_inside(path), "{path}");
        }
    }

    #[test]
    fn parts_of_addresses_are_escaped() {
        assert_eq!(encoded("refs/pr/1"), "refs%2Fpr%2F1");
        assert_eq!(encoded("a b?#%é.json"), "a%20b%3F%23%25%C3%A9.json");
    }
}
