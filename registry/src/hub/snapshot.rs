//! What a repository holds at one revision.

use std::fmt;
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Response;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use url::Url;

use super::{RepoId, RepoKind};
use crate::client::ClientOptions;
use crate::client::http::envelope::printable;
use crate::client::http::{Call, Http, is_loopback, location};
use crate::{Error, HttpError, HubError, Result, without_userinfo};

/// A hub, as its client.
#[derive(Clone)]
pub struct Hub {
    pub(super) http: Arc<Http>,
    pub(super) endpoint: Url,
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
    /// What is listed besides, and cannot be a file here: paths that lead out of a folder, hold
    /// characters that no path may have, or are of no file. As they may be shown.
    pub unwritable: Vec<String>,
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
    /// What Git calls the content, in hex; empty where that is not said, and of files that lie
    /// outside of Git.
    pub oid: String,
    /// The SHA-256 of the content in hex; only files that lie outside of Git have one.
    pub sha256: Option<String>,
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
        let invalid =
            || Error::from(HttpError::InvalidAddress { text: without_userinfo(endpoint) });
        let endpoint =
            Url::parse(&format!("{}/", endpoint.trim_end_matches('/'))).map_err(|_| invalid())?;
        if !matches!(endpoint.scheme(), "http" | "https")
            || !endpoint.username().is_empty()
            || endpoint.password().is_some()
            || endpoint.query().is_some()
        {
            return Err(invalid());
        }
        if token.is_some()
            && endpoint.scheme() == "http"
            && !is_loopback(&endpoint)
            && options.plain_http != Some(true)
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
    pub(super) async fn get(&self, call: Call) -> Result<Response> {
        self.http.follow(self.with_token(call)).await
    }

    /// Asks the hub itself, wherever its answer would lead.
    pub(super) async fn get_here(&self, call: Call) -> Result<Response> {
        self.http.send(&self.with_token(call)).await
    }

    fn with_token(&self, mut call: Call) -> Call {
        if let Some(token) =
            self.token.as_ref().filter(|_| location::is_same_origin(&call.url, &self.endpoint))
        {
            call.headers.insert(AUTHORIZATION, token.clone());
        }
        call
    }

    pub(super) fn url(&self, path: &str) -> Result<Url> {
        self.endpoint
            .join(path)
            .map_err(|_| HttpError::InvalidAddress { text: path.to_owned() }.into())
    }
}

/// Escapes a text as one part of a path.
pub(super) fn encoded(text: &str) -> String {
    const ESCAPED: &AsciiSet =
        &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    utf8_percent_encode(text, ESCAPED).to_string()
}

pub(super) fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Says whether a path stays inside of the folder that it is put into. `\` parts paths on other
/// systems, so that no archive of ours has it; `:` means something on Windows only.
pub(super) fn is_inside(path: &str) -> bool {
    let is_part = |part: &str| !matches!(part, "" | "." | "..");
    let is_bad = |c: char| c == '\\' || (cfg!(windows) && c == ':') || c.is_control();
    !path.contains(is_bad) && path.len() <= 4096 && path.split('/').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_a_listing_cannot_climb_out() {
        for path in ["model.safetensors", "a/b.c/d e", "ünicode", "..a/b..", "12:30.json"] {
            assert!(is_inside(path), "{path}");
        }
        for path in ["", "/etc/passwd", "../up", "a/../b", "a//b", "./a", "a\\b", "a\0b", "a/"] {
            assert!(!is_inside(path), "{path}");
        }
    }

    #[test]
    fn parts_of_addresses_are_escaped() {
        assert_eq!(encoded("refs/pr/1"), "refs%2Fpr%2F1");
        assert_eq!(encoded("a b?#%é.json"), "a%20b%3F%23%25%C3%A9.json");
    }
}
