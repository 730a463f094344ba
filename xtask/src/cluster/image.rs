//! Images: each is unpacked once, and its folder is shared by all pods that run it.

use std::{
    collections::{BTreeMap, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    path::{Component, Path, PathBuf},
    sync::{Arc, Mutex},
};

use anyhow::{Context as _, Result, bail};
use fs_err as fs;

use super::bell::locked;

/// Brings images to this machine: the container runtime's half that knows registries.
pub(crate) trait Images: Send + Sync {
    /// Fetches `image` (a reference as written in a Deployment), unpacks it into the empty folder
    /// `into`, and says how to run it.
    fn unpack(&self, image: &str, into: &Path) -> Result<RuntimeConfig>;
}

/// What an image's configuration says about running it.
#[derive(Clone, Debug, Default)]
pub(crate) struct RuntimeConfig {
    /// Program and arguments; the program is a path within the image.
    pub(crate) entrypoint: Vec<String>,
    /// Environment variables.
    pub(crate) env: Vec<(String, String)>,
    /// Working directory within the image; empty means its root.
    pub(crate) working_dir: String,
}

/// An image on disk.
#[derive(Debug)]
pub(super) struct Unpacked {
    pub(super) rootfs: PathBuf,
    pub(super) config: RuntimeConfig,
}

type Slot = Arc<Mutex<Option<Arc<Unpacked>>>>;

/// The images that this node has.
pub(super) struct ImageStore {
    dir: PathBuf,
    images: Arc<dyn Images>,
    slots: Mutex<BTreeMap<String, Slot>>,
}

impl ImageStore {
    /// Starts with an empty folder `dir`: what lies there from an earlier life may be half of an
    /// image.
    pub(super) fn new(dir: PathBuf, images: Arc<dyn Images>) -> Result<Self> {
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        fs::create_dir_all(&dir)?;
        Ok(Self { dir, images, slots: Mutex::default() })
    }

    /// The image, unpacked now if it is not there yet. Several callers of one image wait for the
    /// first.
    pub(super) fn pull(&self, image: &str) -> Result<Arc<Unpacked>> {
        // Those who name the same digest mean the same image, whatever tag stands before it.
        let identity = image.rsplit_once('@').map_or(image, |(_, digest)| digest);
        let slot = Arc::clone(locked(&self.slots).entry(identity.to_owned()).or_default());
        let mut slot = locked(&slot);
        if let Some(unpacked) = &*slot {
            return Ok(Arc::clone(unpacked));
        }
        let unpacked = Arc::new(self.unpack(image, &folder_name(identity))?);
        *slot = Some(Arc::clone(&unpacked));
        Ok(unpacked)
    }

    fn unpack(&self, image: &str, name: &str) -> Result<Unpacked> {
        let rootfs = self.dir.join(name);
        fs::create_dir_all(&rootfs)?;
        match self.images.unpack(image, &rootfs) {
            Ok(config) => Ok(Unpacked { rootfs, config }),
            Err(error) => {
                fs::remove_dir_all(&rootfs)?;
                Err(error)
            }
        }
    }
}

/// A folder name for an image: readable, and different for different images.
fn folder_name(identity: &str) -> String {
    let mut hasher = DefaultHasher::new();
    identity.hash(&mut hasher);
    let readable: String = identity
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(40)
        .collect();
    format!("{readable}-{:016x}", hasher.finish())
}

impl Unpacked {
    /// The place on this machine of a path within the image; never outside the image's folder.
    pub(super) fn beneath(&self, path: &str) -> Result<PathBuf> {
        let mut place = self.rootfs.clone();
        for component in Path::new(path).components() {
            match component {
                Component::Normal(name) => place.push(name),
                Component::RootDir | Component::CurDir => {}
                Component::ParentDir | Component::Prefix(_) => {
                    bail!("the path {path:?} leaves the image")
                }
            }
        }
        Ok(place)
    }

    /// The program that `argv[0]` means: a path within the image, or a name to be looked up along
    /// its `PATH`.
    pub(super) fn program(&self, argv0: &str, path: &str) -> Result<PathBuf> {
        if argv0.contains('/') {
            return self.beneath(argv0);
        }
        path.split(':')
            .filter_map(|dir| Some(self.beneath(dir).ok()?.join(argv0)))
            .find(|place| place.is_file())
            .with_context(|| format!("no program {argv0:?} in the image's PATH {path:?}"))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl Images for Counting {
        fn unpack(&self, image: &str, into: &Path) -> Result<RuntimeConfig> {
            self.0.fetch_add(1, Ordering::Relaxed);
            fs::write(into.join("tool"), image)?;
            if image.contains("broken") {
                bail!("layer missing");
            }
            Ok(RuntimeConfig::default())
        }
    }

    #[test]
    fn an_image_is_unpacked_once_and_a_failed_one_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let counting = Arc::new(Counting::default());
        let store =
            ImageStore::new(dir.path().join("images"), Arc::clone(&counting) as Arc<dyn Images>)
                .unwrap();
        let first = store.pull("reg/a:1@sha256:00").unwrap();
        let second = store.pull("reg/a@sha256:00").unwrap();
        assert_eq!(first.rootfs, second.rootfs);
        assert_eq!(counting.0.load(Ordering::Relaxed), 1);
        assert!(store.pull("broken").is_err());
        assert!(store.pull("broken").is_err());
        assert_eq!(counting.0.load(Ordering::Relaxed), 3);
        assert_eq!(fs::read_dir(dir.path().join("images")).unwrap().count(), 1);
    }

    #[test]
    fn programs_are_found_within_the_image_only() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("bin")).unwrap();
        fs::write(dir.path().join("bin/tool"), "").unwrap();
        let image = Unpacked { rootfs: dir.path().to_owned(), config: RuntimeConfig::default() };
        let tool = dir.path().join("bin/tool");
        assert_eq!(image.program("/bin/tool", "").unwrap(), tool);
        assert_eq!(image.program("tool", "/sbin:/bin").unwrap(), tool);
        assert!(image.program("tool", "/sbin").is_err());
        assert!(image.program("/../bin/sh", "").is_err());
    }
}
