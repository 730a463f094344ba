//! What the layout remembers of packed layers, so that files which have not changed are not read
//! again.
//!
//! A layer is known by a hash over its media type and, of every file, its path, size, times, inode
//! and x bit. The time at which a file's metadata last changed is part of it: no program can set
//! that one back. A file that was changed just before it was packed could change again without a
//! clock showing it, so such layers are not remembered (Git calls them "racy").
//!
//! Nor is the layout's own blob trusted because it is there: by its size and times it is the one
//! that was hashed, or it is hashed again. So one that was damaged is packed anew, and mended.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use fs_err as fs;
use registry::Layout;
use registry::content::{self, Descriptor, Digest, Hasher};
use serde::{Deserialize, Serialize};

use super::plan::LayerPlan;
use crate::archive::{Content, Stamp};
use crate::compress::WrittenBlob;
use crate::error::Result;

/// The file in the layout's folder.
const FILE: &str = "pack-index.json";
/// What a blob is that is only to be hashed.
const BLOB: &str = "application/octet-stream";
/// So many layers are remembered.
const MAX_LAYERS: usize = 10_000;
/// How far apart two changes must be for a file's time to differ, with room to spare …
const TICK: Duration = Duration::from_millis(50);
/// … and on file systems that count whole seconds, or two.
const COARSE_TICK: Duration = Duration::from_secs(3);
/// About so many bytes are hashed in a tick.
const HASHED_IN_A_TICK: u64 = 64 << 20;

/// The layers that a layout remembers, and those to be added.
pub(crate) struct PackIndex<'a> {
    layout: &'a Layout,
    /// When packing began: what changed since then is not known well enough.
    began: SystemTime,
    known: BTreeMap<String, Known>,
    new: Mutex<BTreeMap<String, Known>>,
}

#[derive(Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
struct Known {
    digest: String,
    size: u64,
    diff_id: String,
    /// The blob's file as it was when it was written or hashed, unless it was too new to be known by
    /// its times.
    blob: Option<Stamp>,
}

impl<'a> PackIndex<'a> {
    /// Reads what is remembered; what cannot be read is forgotten.
    pub(crate) fn read(layout: &'a Layout) -> Self {
        let bytes = fs::read(path(layout.root())).unwrap_or_default();
        let known = serde_json::from_slice(&bytes).unwrap_or_default();
        Self { layout, began: SystemTime::now(), known, new: Mutex::default() }
    }

    /// The blob of a layer whose files have not changed, if the layout has it.
    pub(crate) fn find(&self, plan: &LayerPlan) -> Option<WrittenBlob> {
        let known = self.known.get(&key(plan))?;
        let digest = content::parse_digest(&known.digest).ok()?;
        let diff_id = content::parse_digest(&known.diff_id).ok()?;
        let size = known.size;
        let stamp = self.stamp(&digest).filter(|stamp| stamp.size == size)?;
        if known.blob != Some(stamp) {
            let found = self.layout.verify(&Descriptor::new(BLOB.into(), size, digest.clone()));
            found.ok().filter(|found| found.problems.is_empty())?;
            let known = Known { blob: Some(stamp), ..known.clone() };
            self.new.lock().expect("no holder panics").insert(key(plan), known);
        }
        Some(WrittenBlob { digest, size, diff_id })
    }

    /// What tells the file of a blob from what may come to be there.
    fn stamp(&self, digest: &Digest) -> Option<Stamp> {
        let metadata = fs::metadata(self.layout.blob_path(digest).ok()?).ok()?;
        metadata.is_file().then(|| Stamp::of(&metadata))
    }

    /// Remembers a layer, unless one of its files is too new.
    pub(crate) fn note(&self, plan: &LayerPlan, blob: &WrittenBlob) {
        if self.is_settled(plan) {
            let (digest, diff_id) = (blob.digest.to_string(), blob.diff_id.to_string());
            let known = Known { digest, size: blob.size, diff_id, blob: self.stamp(&blob.digest) };
            self.new.lock().expect("no holder panics").insert(key(plan), known);
        }
    }

    fn is_settled(&self, plan: &LayerPlan) -> bool {
        let times = || stamps(plan).flat_map(|stamp| [stamp.modified, stamp.changed]);
        are_older(times, self.began)
    }

    /// Blobs are known by their times once these lie so far back that a change would show; where
    /// that takes less time than hashing them again, it is waited for.
    fn settled(&self, mut new: BTreeMap<String, Known>) -> BTreeMap<String, Known> {
        let now = SystemTime::now();
        let young = new.values().filter(|known| known.blob.is_some_and(|it| !is_older(&it, now)));
        if young.map(|known| known.size).fold(0, u64::saturating_add) > HASHED_IN_A_TICK {
            // With room to spare, because it has to be more than a tick.
            std::thread::sleep(TICK + TICK / 10);
        }
        let now = SystemTime::now();
        for known in new.values_mut() {
            let digest = content::parse_digest(&known.digest).ok();
            let still = digest.and_then(|digest| self.stamp(&digest));
            known.blob = known.blob.filter(|it| is_older(it, now) && still == Some(*it));
        }
        new
    }

    /// Writes down what is remembered now, in one step. Of two processes at once, one may forget
    /// what the other noted.
    pub(crate) fn write(self) -> Result<()> {
        let new = std::mem::take(&mut *self.new.lock().expect("no holder panics"));
        let new = self.settled(new);
        let is_known = |(key, value): (&String, &Known)| self.known.get(key) == Some(value);
        if new.iter().all(is_known) {
            return Ok(());
        }
        let mut all = self.known;
        all.extend(new.clone());
        if all.len() > MAX_LAYERS {
            all = new;
        }
        let mut file = tempfile::NamedTempFile::new_in(self.layout.root())?;
        std::io::Write::write_all(&mut file, &content::encode(&all))?;
        file.persist(path(self.layout.root())).map_err(|error| error.error)?;
        Ok(())
    }
}

fn is_older(stamp: &Stamp, than: SystemTime) -> bool {
    are_older(|| [stamp.modified, stamp.changed].into_iter(), than)
}

/// Whether all these times lie so far back that a change since then shows.
fn are_older<I: Iterator<Item = i64>>(times: impl Fn() -> I, than: SystemTime) -> bool {
    let Ok(than) = than.duration_since(SystemTime::UNIX_EPOCH) else { return false };
    let is_fine = times().any(|time| time % 1_000_000_000 != 0);
    let tick = if is_fine { TICK } else { COARSE_TICK };
    let Ok(limit) = i64::try_from(than.saturating_sub(tick).as_nanos()) else { return false };
    times().all(|time| time < limit)
}

fn path(root: &Path) -> PathBuf {
    root.join(FILE)
}

fn stamps(plan: &LayerPlan) -> impl Iterator<Item = &Stamp> {
    plan.files.iter().filter_map(|file| match &file.content {
        Content::File(file) => Some(&file.stamp),
        _ => None,
    })
}

fn key(plan: &LayerPlan) -> String {
    let mut hasher = Hasher::default();
    let mut add = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    add(env!("CARGO_PKG_VERSION").as_bytes());
    add(plan.media_type.as_bytes());
    add(format!("{:?}", plan.layer_type.compression).as_bytes());
    for file in &plan.files {
        add(file.path.as_bytes());
        add(&[u8::from(file.content.is_executable())]);
        if let Content::File(file) = &file.content {
            let Stamp { size, modified, changed, inode } = file.stamp;
            add(&[
                size.to_le_bytes(),
                modified.to_le_bytes(),
                changed.to_le_bytes(),
                inode.to_le_bytes(),
            ]
            .concat());
        }
    }
    Digest::digest(&hasher.finish()).to_owned()
}
