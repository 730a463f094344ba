//! An OCI image layout on disk (image-spec, "Image Layout"): content by digest, and an index of the
//! manifests with their tags.
//!
//! ```text
//! <root>/oci-layout             {"imageLayoutVersion":"1.0.0"}
//!        index.json             one entry for each tag, and one for each manifest without a tag
//!        blobs/<alg>/<hex>      content; it appears by rename, after it was hashed
//!        ingest/                content on its way in; what is named by a digest is taken up again by the next pull
//!        .content.lock          shared by those who add content, held alone by garbage collection
//!        .index.lock            held alone while index.json is replaced
//! ```
//!
//! The first three are the specification's, so `skopeo`, `oras` and `crane` read the folder. An
//! entry's tag is its annotation `org.opencontainers.image.ref.name`: a whole
//! [`Reference`](crate::Reference), as it is displayed. Several processes can share one layout, and
//! one that is killed leaves it readable. The index is on the disk before it counts; blobs are not
//! waited for, so that after a power failure one may be short: then its size tells, or its digest.

mod collect;
mod graph;
mod index;
mod lock;
#[cfg(feature = "client")]
mod partial;
mod pieces;
mod scan;
mod verify;
mod writer;

use std::io::Write;
use std::path::{Path, PathBuf};

pub use collect::Collected;
use fs_err as fs;
#[cfg(any(feature = "client", feature = "server"))]
pub(crate) use graph::is_elsewhere;
pub use lock::Hold;
#[cfg(feature = "client")]
pub(crate) use partial::Partial;
pub use pieces::PieceWriter;
use serde_json::{Value, json};
pub use verify::Verified;
pub use writer::BlobWriter;
#[cfg(feature = "server")]
pub(crate) use writer::hash_file;

use crate::content::{self, Descriptor, Digest, Document, Hasher, MediaType};
use crate::{ContentError, LayoutError, Result};

/// A folder of content that is named by its digests, and an index of manifests.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Opens the layout in a folder; makes it where there is none.
    pub fn init(root: &Path) -> Result<Self> {
        let layout = Self { root: root.into() };
        for dir in ["blobs/sha256", "ingest"] {
            fs::create_dir_all(root.join(dir))?;
        }
        layout.init_version()?;
        layout.init_index()?;
        Ok(layout)
    }

    /// Opens the layout in a folder, which is left as it is; none where there is none.
    pub fn find(root: &Path) -> Result<Option<Self>> {
        match root.join("oci-layout").try_exists()? {
            true => {
                let layout = Self { root: root.into() };
                layout.check_version()?;
                Ok(Some(layout))
            }
            false => Ok(None),
        }
    }

    fn init_version(&self) -> Result<()> {
        let path = self.root.join("oci-layout");
        if !path.exists() {
            return self
                .replace(&path, &content::encode(&json!({ "imageLayoutVersion": "1.0.0" })));
        }
        self.check_version()
    }

    fn check_version(&self) -> Result<()> {
        let path = self.root.join("oci-layout");
        let version: Value = serde_json::from_slice(&fs::read(&path)?).map_err(|source| {
            ContentError::InvalidDocument { what: path.display().to_string(), source }
        })?;
        match version["imageLayoutVersion"].as_str() {
            Some("1.0.0") => Ok(()),
            found => Err(LayoutError::Version {
                root: self.root.clone(),
                found: found.unwrap_or("?").into(),
            }
            .into()),
        }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where a blob lies, or would lie. Only SHA-256 and SHA-512 digests have a place.
    pub fn blob_path(&self, digest: &Digest) -> Result<PathBuf> {
        content::check_algorithm(digest)?;
        Ok(self.root.join("blobs").join(digest.algorithm().as_ref()).join(digest.digest()))
    }

    /// Says whether a blob is here.
    pub fn contains(&self, digest: &Digest) -> bool {
        self.size(digest).is_some()
    }

    /// The size in bytes of a blob that is here.
    pub fn size(&self, digest: &Digest) -> Option<u64> {
        let metadata = fs::metadata(self.blob_path(digest).ok()?).ok()?;
        metadata.is_file().then_some(metadata.len())
    }

    /// Opens a blob of the size that its descriptor says. Its digest is for the reader to verify.
    pub fn open(&self, descriptor: &Descriptor) -> Result<fs::File> {
        let path = self.check_size(descriptor)?;
        Ok(fs::File::open(path)?)
    }

    /// Reads a document and verifies it: first its size, then its digest.
    pub fn read(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        content::check_document_size(descriptor)?;
        let path = self.check_size(descriptor)?;
        let bytes = fs::read(&path)?;
        let mut hasher = Hasher::new(descriptor.digest().algorithm())?;
        hasher.update(&bytes);
        check_digest(descriptor.digest(), hasher.finish(), &path)?;
        Ok(bytes)
    }

    /// Reads a manifest or an index, and parses what it links to.
    pub fn document(&self, descriptor: &Descriptor) -> Result<Document> {
        Document::parse(descriptor.media_type(), &self.read(descriptor)?)
    }

    /// Starts a new blob.
    pub fn writer(&self) -> Result<BlobWriter> {
        BlobWriter::new(self)
    }

    /// Adds a blob.
    pub fn put(&self, media_type: impl Into<MediaType>, bytes: &[u8]) -> Result<Descriptor> {
        let descriptor = content::descriptor(media_type, bytes);
        self.put_as(&descriptor, bytes)?;
        Ok(descriptor)
    }

    /// Adds a manifest or an index, with exactly these bytes; refuses one that names content which
    /// is not here.
    ///
    /// It gets a place in the index by [`tag`](Self::tag) or [`add`](Self::add); until then
    /// [`hold`](Self::hold) the layout.
    pub fn put_manifest(
        &self,
        media_type: impl Into<MediaType>,
        bytes: &[u8],
    ) -> Result<Descriptor> {
        let descriptor = content::descriptor(media_type, bytes);
        self.put_manifest_as(&descriptor, bytes)?;
        Ok(descriptor)
    }

    /// Adds a manifest under the digest of its descriptor, which may be a SHA-512.
    pub fn put_manifest_as(&self, descriptor: &Descriptor, bytes: &[u8]) -> Result<()> {
        let _hold = self.hold()?;
        let document = Document::parse(descriptor.media_type(), bytes)?;
        self.check_children(&document)?;
        self.put_as(descriptor, bytes)
    }

    fn put_as(&self, descriptor: &Descriptor, bytes: &[u8]) -> Result<()> {
        let mut writer = self.writer()?;
        writer.write_all(bytes)?;
        writer.commit(Some(descriptor))?;
        Ok(())
    }

    /// Finds a blob and checks that it has the size of its descriptor.
    fn check_size(&self, descriptor: &Descriptor) -> Result<PathBuf> {
        let path = self.blob_path(descriptor.digest())?;
        let Some(found) = self.size(descriptor.digest()) else {
            return Err(
                LayoutError::MissingBlob { digest: descriptor.digest().clone(), path }.into()
            );
        };
        if found != descriptor.size() {
            let what = path.display().to_string();
            return Err(ContentError::WrongSize { what, expected: descriptor.size(), found }.into());
        }
        Ok(path)
    }

    /// Makes a blob of a file that was hashed, on the same file system.
    #[cfg(feature = "server")]
    pub(crate) fn take_in(&self, file: &Path, digest: &Digest) -> Result<()> {
        let path = self.blob_path(digest)?;
        fs::create_dir_all(path.parent().expect("a blob has a folder"))?;
        fs::File::open(file)?.sync_data()?;
        Ok(fs::rename(file, path)?)
    }

    /// Replaces a file in one step: its readers see the old content or the new, never less.
    pub(crate) fn replace(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let mut temporary = writer::temporary_file(&self.root.join("ingest"))?;
        temporary.write_all(bytes)?;
        writer::publish(temporary, path, writer::Durable::Yes)
    }
}

fn check_digest(expected: &Digest, found: Digest, path: &Path) -> Result<()> {
    match *expected == found {
        true => Ok(()),
        false => Err(ContentError::WrongDigest {
            what: path.display().to_string(),
            expected: expected.clone(),
            found,
        }
        .into()),
    }
}
