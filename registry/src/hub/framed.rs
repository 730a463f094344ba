//! A large file that becomes a blob while it arrives, with what its layer has around it: no second
//! copy is ever made.

use std::path::PathBuf;

use fs_err as fs;

use super::content_name::Content;
use super::download::busy;
use super::segments::{self, overlap};
use super::{Hub, HubFile, Snapshot};
use crate::blocks::Blocks;
use crate::client::blocking::blocking;
use crate::content::{self, Hasher, parse_digest};
use crate::{Descriptor, Digest, Hold, Layout, Listener, MediaType, Result};

/// What the file that names a whole blob is called by.
const DIGEST: &str = "digest";

/// The bytes of a blob around those of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What comes before the file.
    pub before: Vec<u8>,
    /// What comes after it.
    pub after: Vec<u8>,
}

impl Hub {
    /// Brings a file into a layout as a framed blob, in several ranges at once; returns the blob's
    /// digest and size, or `None` where the host knows no ranges.
    ///
    /// What is there survives the process, until the layout's next garbage collection; a blob that
    /// is whole is not fetched again. The file is verified by what the hub calls its content.
    /// `on` is told [`Event::FileProgress`](crate::Event::FileProgress). Whoever goes on with the blob holds the
    /// layout from before this.
    pub async fn download_framed(
        &self,
        snapshot: &Snapshot,
        file: &HubFile,
        frame: &Frame,
        layout: &Layout,
        on: Listener<'_>,
    ) -> Result<Option<(Digest, u64)>> {
        let framed = Framed { layout: layout.clone(), frame: frame.clone(), file: file.clone() };
        let (framed, found) = blocking(move || framed.find().map(|found| (framed, found))).await?;
        let (blocks, hold) = match found {
            Found::Blob(digest) => {
                on(file.progress(file.size));
                return Ok(Some((digest, framed.size())));
            }
            Found::Parts(blocks, hold) => (blocks, hold),
            Found::Busy => return Err(busy(snapshot, file)),
        };
        let offset = frame.before.len() as u64;
        let Some(blocks) = segments::fill(self, snapshot, file, (blocks, offset), on).await? else {
            return Ok(None);
        };
        let snapshot = snapshot.clone();
        blocking(move || framed.finish(blocks, hold, &snapshot)).await.map(Some)
    }
}

/// What is here of a framed blob.
enum Found {
    /// All of it.
    Blob(Digest),
    /// Some of it, or nothing yet.
    Parts(Blocks, Hold),
    /// Somebody else is at it.
    Busy,
}

struct Framed {
    layout: Layout,
    frame: Frame,
    file: HubFile,
}

impl Framed {
    fn size(&self) -> u64 {
        // A size that overflows has no place on any disk: opening the blocks says so.
        ((self.frame.before.len() + self.frame.after.len()) as u64).saturating_add(self.file.size)
    }

    /// A place for what belongs to this content with this around it, and to nothing else.
    fn beside(&self, suffix: &str) -> PathBuf {
        let Self { frame: Frame { before, after }, file, .. } = self;
        let oid = file.name().unwrap_or_default();
        let name = content::digest(&[oid.as_bytes(), b"\n", before, b"\n", after].concat());
        self.layout.root().join("ingest").join(format!("framed-{}.{suffix}", name.digest()))
    }

    /// The blob that an earlier download came to.
    fn whole(&self) -> Option<Digest> {
        let digest = parse_digest(&fs::read_to_string(self.beside(DIGEST)).ok()?).ok()?;
        let blob = Descriptor::new(MediaType::Other(String::new()), self.size(), digest.clone());
        self.layout.check_content(&blob).is_ok().then_some(digest)
    }

    /// Takes up what is here, and writes the frame where it is missing.
    fn find(&self) -> Result<Found> {
        let hold = self.layout.hold()?;
        if let Some(digest) = self.whole() {
            return Ok(Found::Blob(digest));
        }
        let Self { frame: Frame { before, after }, file, .. } = self;
        let Some(mut blocks) = Blocks::open(self.beside("part"), self.beside("map"), self.size())?
        else {
            return Ok(Found::Busy);
        };
        for (start, bytes) in [(0, before), (before.len() as u64 + file.size, after)] {
            let place = start..start + bytes.len() as u64;
            for span in blocks.missing().iter().filter_map(|span| overlap(span, &place)) {
                blocks.write_at(
                    &bytes[(span.start - start) as usize..(span.end - start) as usize],
                    span.start,
                )?;
            }
        }
        Ok(Found::Parts(blocks, hold))
    }

    /// Verifies the file, and gives the blob its name.
    fn finish(&self, blocks: Blocks, hold: Hold, snapshot: &Snapshot) -> Result<(Digest, u64)> {
        let start = self.frame.before.len() as u64;
        let mut bare = Content::of(&self.file);
        bare.read(blocks.path(), start..start + self.file.size)?;
        if let Some(error) = bare.verify(snapshot) {
            return blocks.discard().and(Err(error));
        }
        let digest = blocks.hash(Hasher::default())?.finish();
        let path = self.layout.blob_path(&digest)?;
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        // Before the blob has its name: whoever is killed in between finds the parts, and nobody
        // fetches them again.
        fs::write(self.beside(DIGEST), digest.to_string())?;
        blocks.publish(&path)?;
        drop(hold);
        Ok((digest, self.size()))
    }
}
