//! The files of a repository: from the hub's listing; from the mirror of one that has no listing,
//! from what it says of the repository as a whole.

use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, RANGE};
use reqwest::{Method, Response};
use serde::Deserialize;
use serde_json::Value;

use super::refusal::{Wanted, refusal};
use super::snapshot::{encoded, is_hex, is_inside};
use super::{Hub, HubFile, RepoId, Snapshot};
use crate::client::http::envelope::printable;
use crate::client::http::{Call, is_page, link, location};
use crate::{HttpError, HubError, Result};

/// The largest document that is read, in bytes.
const MAX_DOCUMENT: u64 = 16 * 1024 * 1024;
/// The largest number of pages that a listing is followed for.
const MAX_PAGES: usize = 10_000;
/// How many files are asked for their size at once.
const AT_ONCE: usize = 8;

/// What a hub says of a repository at a revision.
#[derive(Deserialize)]
struct Info {
    sha: String,
    /// Read only where there is no listing: who has one need not write them well.
    siblings: Option<Value>,
}

/// A file, as the information about its repository has it; its size and the names of its content
/// come only when they are asked for, and from few mirrors even then.
#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    #[serde(default, rename = "blobId")]
    blob_id: Option<String>,
    lfs: Option<SiblingLfs>,
}

#[derive(Deserialize)]
struct SiblingLfs {
    sha256: Option<String>,
    size: Option<u64>,
}

/// An entry of a listing.
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    size: Option<u64>,
    oid: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    oid: Option<String>,
    size: Option<u64>,
}

/// A file of which the size may not be known yet.
struct Listed {
    path: String,
    size: Option<u64>,
    oid: String,
    sha256: Option<String>,
}

impl Hub {
    /// Lists the files of a repository at a revision: a branch, a tag or a commit.
    pub async fn files(&self, repo: &RepoId, revision: &str) -> Result<Snapshot> {
        let info = self.info(repo, revision).await?;
        let sha = info.sha.clone();
        let mut snapshot =
            Snapshot { repo: repo.clone(), sha, files: Vec::new(), unwritable: Vec::new() };
        let listed = match self.tree(&mut snapshot, revision).await? {
            Some(listed) => listed,
            None => self.siblings(&mut snapshot, info).await?,
        };
        let sizing = stream::iter(listed).map(|file| self.sized(&snapshot, file));
        snapshot.files = sizing.buffered(AT_ONCE).try_collect().await?;
        Ok(snapshot)
    }

    /// Asks what the repository is at a revision. A mirror may know only how it is now.
    async fn info(&self, repo: &RepoId, revision: &str) -> Result<Info> {
        let url = self.url(&format!("{}/revision/{}", repo.api_path(), encoded(revision)))?;
        let mut response = self.get(Call::get(url.clone())).await?;
        if lacks(&response) && revision == "main" {
            let now = self.get(Call::get(self.url(&repo.api_path())?)).await?;
            if now.status() == 200 && !is_page(&now) {
                response = now;
            }
        }
        if response.status() != 200 {
            return Err(refusal(&self.http, response, repo, Wanted::Revision(revision)).await);
        }
        let info: Info = self.http.json(response, MAX_DOCUMENT).await?;
        match info.sha.len() == 40 && is_hex(&info.sha) {
            true => Ok(info),
            false => {
                Err(HttpError::protocol(location::shown(&url), "a commit is not 40 digits of hex")
                    .into())
            }
        }
    }

    /// Reads the listing, page by page; `None` where there is none.
    async fn tree(&self, snapshot: &mut Snapshot, revision: &str) -> Result<Option<Vec<Listed>>> {
        let (api, sha) = (snapshot.repo.api_path(), snapshot.sha.clone());
        let mut page = Some(self.url(&format!("{api}/tree/{sha}?recursive=true&expand=false"))?);
        let (mut listed, mut left) = (Vec::new(), link::MAX_LIST);
        for n_pages in 0..MAX_PAGES {
            let Some(url) = page else { return Ok(Some(listed)) };
            let response = self.get(Call::get(url.clone())).await?;
            if n_pages == 0 && (lacks(&response) || is_page(&response)) {
                return Ok(None);
            }
            if response.status() != 200 {
                let wanted = Wanted::Revision(revision);
                return Err(refusal(&self.http, response, &snapshot.repo, wanted).await);
            }
            page = link::next_page(&response, &url)?;
            let entries: Vec<Entry> = self.http.page(response, MAX_DOCUMENT, &mut left).await?;
            let (files, others): (Vec<_>, Vec<_>) =
                entries.into_iter().partition(|entry| entry.kind == "file");
            listed.extend(files.into_iter().filter_map(|file| snapshot.listed(file.into())));
            let strange = others.into_iter().filter(|entry| entry.kind != "directory");
            snapshot.unwritable.extend(strange.map(|entry| printable(&entry.path)));
        }
        let reason = "the list of files has no end";
        Err(HttpError::protocol(snapshot.repo.to_string(), reason).into())
    }

    /// Takes the files from the information about the repository.
    async fn siblings(&self, snapshot: &mut Snapshot, info: Info) -> Result<Vec<Listed>> {
        let (api, sha) = (snapshot.repo.api_path(), &snapshot.sha);
        let url = self.url(&format!("{api}/revision/{sha}?blobs=true"))?;
        let response = self.get(Call::get(url)).await?;
        let with_blobs = match response.status() == 200 && !is_page(&response) {
            true => self.http.json::<Info>(response, MAX_DOCUMENT).await.ok(),
            false => None,
        };
        let siblings =
            |info: Info| -> Option<Vec<Sibling>> { serde_json::from_value(info.siblings?).ok() };
        let siblings = with_blobs.and_then(siblings).or_else(|| siblings(info));
        let Some(siblings) = siblings else {
            let what = "it has neither a listing (`/tree`) nor the files (`siblings`) in what it \
                        says of the repository";
            return Err(self.says_too_little(snapshot, what));
        };
        Ok(siblings.into_iter().filter_map(|file| snapshot.listed(file.into())).collect())
    }

    /// Finds the size of a file, where the hub did not list it.
    async fn sized(&self, snapshot: &Snapshot, file: Listed) -> Result<HubFile> {
        let Listed { path, size, oid, sha256 } = file;
        if let Some(size) = size {
            return Ok(HubFile { path, size, oid, sha256 });
        }
        let (size, linked) = self.look(snapshot, &path).await?;
        let Some(size) = size else {
            let what = format!("it does not say how large `{}` is", printable(&path));
            return Err(self.says_too_little(snapshot, &what));
        };
        Ok(HubFile { path, size, oid, sha256: sha256.or(linked) })
    }

    /// Asks for a file's size, and for its SHA-256, which hubs say of large ones.
    async fn look(&self, snapshot: &Snapshot, path: &str) -> Result<(Option<u64>, Option<String>)> {
        let url = self.file_url(snapshot, path)?;
        let number = |response: &Response, name: &str| {
            response.headers().get(name)?.to_str().ok()?.trim().parse::<u64>().ok()
        };
        // The hub itself says both before it sends its client elsewhere.
        let first = self.get_here(Call::new(Method::HEAD, url.clone())).await?;
        let etag = first.headers().get("x-linked-etag").and_then(|etag| etag.to_str().ok());
        let sha256 = etag.map(|etag| etag.trim_matches('"')).filter(|it| is_sha256(it));
        let linked = number(&first, "x-linked-size");
        if linked.is_some() {
            return Ok((linked, sha256.map(str::to_owned)));
        }
        let head = match first.status().is_redirection() {
            true => self.get(Call::new(Method::HEAD, url.clone())).await?,
            false => first,
        };
        if head.status() == 200
            && let Some(size) = number(&head, CONTENT_LENGTH.as_str()).filter(|size| *size > 0)
        {
            return Ok((Some(size), None));
        }
        // No HEAD here, or none that says anything: one byte tells as much.
        let part = self.get(Call::get(url).with(RANGE, "bytes=0-0")).await?;
        let size = match part.status().as_u16() {
            200 => part.content_length(),
            206 | 416 => {
                let range = part.headers().get(CONTENT_RANGE);
                range.and_then(|range| location::total(range.to_str().ok()?))
            }
            _ => {
                let wanted = Wanted::File(path);
                return Err(refusal(&self.http, part, &snapshot.repo, wanted).await);
            }
        };
        Ok((size, None))
    }

    fn says_too_little(&self, snapshot: &Snapshot, what: &str) -> crate::Error {
        let (endpoint, repo) = (location::shown(&self.endpoint), snapshot.repo.to_string());
        HubError::SaysTooLittle { endpoint, repo, what: what.to_owned() }.into()
    }
}

impl Snapshot {
    /// Takes a file over, if its path is harmless.
    fn listed(&mut self, file: Listed) -> Option<Listed> {
        if is_inside(&file.path) {
            return Some(file);
        }
        self.unwritable.push(printable(&file.path));
        None
    }
}

impl From<Entry> for Listed {
    fn from(entry: Entry) -> Self {
        let Entry { path, size, oid, lfs, .. } = entry;
        let size = lfs.as_ref().map_or(size, |lfs| lfs.size.or(size));
        Self::new(path, size, oid, lfs.map(|lfs| lfs.oid))
    }
}

impl From<Sibling> for Listed {
    fn from(file: Sibling) -> Self {
        let Sibling { rfilename, size, blob_id, lfs } = file;
        let size = lfs.as_ref().map_or(size, |lfs| lfs.size.or(size));
        Self::new(rfilename, size, blob_id, lfs.map(|lfs| lfs.sha256))
    }
}

impl Listed {
    /// A file in Git LFS has an SHA-256, if it is a plausible one; the other name is its pointer's.
    fn new(
        path: String,
        size: Option<u64>,
        oid: Option<String>,
        lfs: Option<Option<String>>,
    ) -> Self {
        let oid = oid.filter(|_| lfs.is_none()).unwrap_or_default();
        let sha256 = lfs.flatten().map(|it| it.trim_start_matches("sha256:").to_owned());
        Self { path, size, oid, sha256: sha256.filter(|it| is_sha256(it)) }
    }
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && is_hex(text)
}

/// Says whether a hub has nothing at an address, and does not say more of it.
fn lacks(response: &Response) -> bool {
    let is_unknown = matches!(response.status().as_u16(), 400 | 404 | 405 | 501);
    is_unknown && !response.headers().contains_key("x-error-code")
}
