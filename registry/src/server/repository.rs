//! A repository on disk: which of the layout's content it was given.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use fs_err as fs;

use super::failure::{Code, Failure};
use super::referrer::{Referrer, referrer};
use crate::content::{self, Descriptor, Digest, Document, is_manifest};
use crate::reference::is_repository;
use crate::{ContentError, Error, Layout, LayoutError, Reference, Result};

/// A repository, by a name that was checked.
#[derive(Clone, Debug)]
pub(super) struct Repository {
    layout: Layout,
    name: String,
    dir: PathBuf,
}

impl Repository {
    pub(super) fn new(layout: &Layout, name: &str) -> Result<Self, Failure> {
        if !is_repository(name) {
            return Err(Failure::new(Code::NameInvalid, "this is not the name of a repository"));
        }
        let dir = layout.root().join("repositories").join(name);
        Ok(Self { layout: layout.clone(), name: name.into(), dir })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Says whether anything was ever pushed to it.
    pub(super) fn is_begun(&self) -> bool {
        ["_blobs", "_manifests", "_uploads"].iter().any(|dir| self.dir.join(dir).exists())
    }

    /// Says whether it has a manifest.
    pub(super) fn has_manifests(&self) -> Result<bool> {
        for algorithm in files_in(&self.dir.join("_manifests"))? {
            if !is_empty(&algorithm)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    // Blobs.

    /// Says whether the blob is here, and belongs to this repository.
    pub(super) fn has_blob(&self, digest: &Digest) -> bool {
        self.blob_link(digest).exists() && self.layout.contains(digest)
    }

    /// Says the same to somebody who may name the blob in a manifest soon: it is kept for that.
    pub(super) fn has_blob_for_now(&self, digest: &Digest) -> bool {
        let has_it = self.has_blob(digest);
        let link = self.blob_link(digest);
        if has_it && age(&link) > Duration::from_secs(1) {
            // On a disk that cannot be written there is no garbage collection either.
            let touched = fs::OpenOptions::new()
                .append(true)
                .open(link)
                .and_then(|it| it.set_modified(SystemTime::now()));
            if let Err(error) = touched {
                tracing::debug!(error = &error as &dyn std::error::Error, "a link was not touched");
            }
        }
        has_it
    }

    /// The blobs that it was given, with their links.
    pub(super) fn blob_links(&self) -> Result<Vec<(Digest, PathBuf)>> {
        digests_in(&self.dir.join("_blobs"))
    }

    /// What its manifests name.
    pub(super) fn needed(&self) -> Result<HashSet<Digest>> {
        let mut needed = HashSet::new();
        for (_, link) in digests_in(&self.dir.join("_manifests"))? {
            let Some(descriptor) = read_descriptor(&link)? else { continue };
            if self.layout.contains(descriptor.digest()) {
                needed.extend(
                    self.layout
                        .document(&descriptor)?
                        .children()
                        .map(|child| child.digest().clone()),
                );
            }
        }
        Ok(needed)
    }

    pub(super) fn link_blob(&self, digest: &Digest) -> Result<()> {
        let link = self.blob_link(digest);
        fs::create_dir_all(link.parent().expect("a link has a folder"))?;
        Ok(fs::write(link, "")?)
    }

    /// Takes a blob away from the repository. Says whether it had it.
    pub(super) fn unlink_blob(&self, digest: &Digest) -> Result<bool> {
        let was_here = self.has_blob(digest);
        remove_if_there(&self.blob_link(digest))?;
        Ok(was_here)
    }

    // Manifests.

    /// The descriptor of a manifest of this repository.
    pub(super) fn manifest(&self, digest: &Digest) -> Result<Option<Descriptor>> {
        match self.layout.contains(digest) {
            true => read_descriptor(&self.manifest_link(digest)),
            false => Ok(None),
        }
    }

    /// Gives the repository a manifest, and its subject a referrer (distribution-spec, "Pushing
    /// Manifests with Subject").
    pub(super) fn link_manifest(&self, descriptor: &Descriptor, document: &Document) -> Result<()> {
        let _hold = self.layout.hold()?;
        let mut typed = descriptor.clone();
        typed.set_artifact_type(document.artifact_type.clone());
        self.layout.replace(&self.manifest_link(descriptor.digest()), &content::encode(&typed))?;
        let Some(subject) = &document.subject else { return Ok(()) };
        let Some(referrer) = referrer(descriptor, document) else { return Ok(()) };
        content::check_algorithm(subject.digest())?;
        let link = self.referrer_link(subject.digest(), descriptor.digest());
        self.layout.replace(&link, &content::encode(&referrer))
    }

    pub(super) fn unlink_manifest(&self, descriptor: &Descriptor) -> Result<()> {
        if let Some(subject) =
            self.layout.document(descriptor).ok().and_then(|document| document.subject)
        {
            remove_if_there(&self.referrer_link(subject.digest(), descriptor.digest()))?;
        }
        remove_if_there(&self.manifest_link(descriptor.digest()))
    }

    /// Looks at every manifest that has this subject, in any order.
    pub(super) fn each_referrer(
        &self,
        subject: &Digest,
        mut look: impl FnMut(Referrer) -> Result<()>,
    ) -> Result<()> {
        let dir = digest_path(&self.dir.join("_referrers"), subject);
        let entries = match fs::read_dir(&dir) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().replacen('-', ":", 1);
            let Ok(digest) = content::parse_digest(&name) else { continue };
            let size = match entry.metadata() {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                metadata => metadata?.len(),
            };
            let link = self.manifest_link(&digest);
            look(Referrer { digest, path: entry.path(), size, link })?;
        }
        Ok(())
    }

    // Tags.

    pub(super) fn reference(&self, tag: &str) -> Result<Reference> {
        Reference::local(&self.name, tag)
    }

    /// The manifest that a tag names. One that another tool wrote into the layout is given to the
    /// repository, with its content.
    pub(super) fn resolve(&self, tag: &str) -> Result<Option<Descriptor>> {
        let descriptor = match self.layout.resolve(&self.reference(tag)?) {
            Err(Error::Layout(LayoutError::UnknownReference { .. })) => return Ok(None),
            descriptor => descriptor?,
        };
        if self.manifest(descriptor.digest())?.is_none() {
            self.adopt(&descriptor)?;
        }
        Ok(Some(descriptor))
    }

    /// Gives it a manifest of the layout, with all that this reaches.
    pub(super) fn adopt(&self, descriptor: &Descriptor) -> Result<()> {
        for found in self.layout.graph(descriptor)? {
            match is_manifest(found.media_type()) {
                true => self.link_manifest(&found, &self.layout.document(&found)?)?,
                false => self.link_blob(found.digest())?,
            }
        }
        Ok(())
    }

    /// Looks at every tag, in any order.
    pub(super) fn each_tag(&self, mut look: impl FnMut(&str, &Descriptor)) -> Result<()> {
        self.layout.each_entry(|reference, descriptor| {
            let mine = reference.filter(|it| it.is_local() && it.repository() == self.name);
            if let Some(tag) = mine.as_ref().and_then(Reference::tag) {
                look(tag, &descriptor);
            }
        })
    }

    /// The files of its uploads.
    pub(super) fn uploads(&self) -> Result<Vec<PathBuf>> {
        files_in(&self.uploads_dir())
    }

    // Places.

    pub(super) fn upload_path(&self, id: &str) -> PathBuf {
        self.uploads_dir().join(id)
    }

    pub(super) fn uploads_dir(&self) -> PathBuf {
        self.dir.join("_uploads")
    }

    fn blob_link(&self, digest: &Digest) -> PathBuf {
        digest_path(&self.dir.join("_blobs"), digest)
    }

    fn manifest_link(&self, digest: &Digest) -> PathBuf {
        digest_path(&self.dir.join("_manifests"), digest)
    }

    fn referrer_link(&self, subject: &Digest, digest: &Digest) -> PathBuf {
        let name = format!("{}-{}", digest.algorithm(), digest.digest());
        digest_path(&self.dir.join("_referrers"), subject).join(name)
    }
}

/// Every repository of a layout.
pub(super) fn repositories(layout: &Layout) -> Result<Vec<Repository>> {
    let root = layout.root().join("repositories");
    let mut found = Vec::new();
    let mut waiting = vec![root.clone()];
    while let Some(dir) = waiting.pop() {
        let inside = files_in(&dir)?;
        if let Some(name) =
            dir.strip_prefix(&root).ok().and_then(Path::to_str).filter(|name| !name.is_empty())
        {
            found.extend(Repository::new(layout, name));
        }
        let is_link = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('_'))
        };
        waiting.extend(inside.into_iter().filter(|path| !is_link(path) && path.is_dir()));
    }
    Ok(found)
}

/// `<dir>/<alg>/<hex>`. Routes and manifests were checked: the digest is a SHA-256 or a SHA-512.
pub(super) fn digest_path(dir: &Path, digest: &Digest) -> PathBuf {
    dir.join(digest.algorithm().as_ref()).join(digest.digest())
}

/// The digests that files `<dir>/<alg>/<hex>` are named by.
pub(super) fn digests_in(dir: &Path) -> Result<Vec<(Digest, PathBuf)>> {
    let mut found = Vec::new();
    for algorithm in files_in(dir)? {
        for file in files_in(&algorithm)? {
            let name = |path: &Path| Some(path.file_name()?.to_str()?.to_owned());
            let digest = name(&algorithm)
                .zip(name(&file))
                .map(|(algorithm, hex)| format!("{algorithm}:{hex}"));
            found.extend(
                digest
                    .and_then(|digest| content::parse_digest(&digest).ok())
                    .map(|digest| (digest, file)),
            );
        }
    }
    Ok(found)
}

/// How long ago a file was touched.
pub(super) fn age(path: &Path) -> Duration {
    let touched = fs::metadata(path).and_then(|metadata| metadata.modified());
    touched
        .ok()
        .and_then(|touched| SystemTime::now().duration_since(touched).ok())
        .unwrap_or_default()
}

fn is_empty(dir: &Path) -> Result<bool> {
    Ok(fs::read_dir(dir)?.next().transpose()?.is_none())
}

fn files_in(dir: &Path) -> Result<Vec<PathBuf>> {
    match fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => Ok(entries?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?),
    }
}

pub(super) fn read_descriptor(path: &Path) -> Result<Option<Descriptor>> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes?,
    };
    let what = path.display().to_string();
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|source| ContentError::InvalidDocument { what, source }.into())
}

fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => Ok(removed?),
    }
}
