//! A blob on its way into a layout, in `ingest/<alg>-<hex>.part`; which of its blocks are there,
//! `….map` says.

use fs_err as fs;

use super::{Hold, Layout, check_digest};
use crate::Result;
use crate::blocks::Blocks;
use crate::content::{self, Descriptor, Digest};

/// A blob of which some blocks are here.
#[derive(Debug)]
pub(crate) struct Partial {
    layout: Layout,
    digest: Digest,
    pub(crate) blocks: Blocks,
    _hold: Hold,
}

impl Partial {
    /// Takes up what is here of a blob, or begins it; `None` while somebody else is at it.
    pub(crate) fn open(layout: &Layout, descriptor: &Descriptor) -> Result<Option<Self>> {
        let digest = descriptor.digest();
        content::check_algorithm(digest)?;
        let hold = layout.hold()?;
        let ingest = layout.root.join("ingest");
        let beside = |suffix: &str| {
            ingest.join(format!("{}-{}.{suffix}", digest.algorithm(), digest.digest()))
        };
        let blocks = Blocks::open(beside("part"), beside("map"), descriptor.size())?;
        Ok(blocks.map(|blocks| Self {
            layout: layout.clone(),
            digest: digest.clone(),
            blocks,
            _hold: hold,
        }))
    }

    /// Makes the blob visible, if its content was found to have its digest; else nothing of it
    /// stays.
    pub(crate) fn commit(self, found: Digest) -> Result<()> {
        let path = self.layout.blob_path(&self.digest)?;
        if let Err(error) = check_digest(&self.digest, found, &path) {
            self.blocks.discard()?;
            return Err(error);
        }
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        self.blocks.publish(&path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture() -> (tempfile::TempDir, Layout, Descriptor) {
        let dir = tempfile::tempdir().expect("there is a place for temporary files");
        let layout = Layout::init(dir.path()).expect("a layout");
        (dir, layout, content::descriptor("text/plain", b"content"))
    }

    fn written(layout: &Layout, descriptor: &Descriptor) -> Partial {
        let mut partial =
            Partial::open(layout, descriptor).expect("it opens").expect("nobody else is at it");
        partial.blocks.write_at(b"content", 0).expect("it writes");
        partial
    }

    fn n_on_their_way(layout: &Layout) -> usize {
        fs::read_dir(layout.root.join("ingest")).expect("a folder").count()
    }

    #[test]
    fn right_content_becomes_a_blob() {
        let (_dir, layout, descriptor) = fixture();
        written(&layout, &descriptor).commit(descriptor.digest().clone()).expect("it is whole");
        assert_eq!(layout.read(&descriptor).expect("a blob"), b"content");
        assert_eq!(n_on_their_way(&layout), 0);
    }

    #[test]
    fn wrong_content_leaves_nothing() {
        let (_dir, layout, descriptor) = fixture();
        written(&layout, &descriptor)
            .commit(content::digest(b"other"))
            .expect_err("it is something else");
        assert!(!layout.contains(descriptor.digest()));
        assert_eq!(n_on_their_way(&layout), 0);
    }
}
