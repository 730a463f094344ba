//! Images: each is unpacked once, and its folder is shared by all pods that run it.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex};

use fs_err as fs;
use gitops::BoxError;

use crate::changes::locked;
use crate::{Error, Result};

/// Brings images to this machine: the container runtime's half that knows registries.
pub trait Images: Send + Sync {
    /// Fetches `image` (a reference as written in a Deployment), unpacks it into the empty folder
    /// `into`, and says how to run it.
    fn unpack(&self, image: &str, into: &Path) -> Result<RuntimeConfig, BoxError>;
}

/// What an image's configuration says about running it.
#[derive(Clone, Debug, Default)]
pub struct RuntimeConfig {
    /// Program and first arguments; the program is a path within the image, or a name in its PATH.
    pub entrypoint: Vec<String>,
    /// Further arguments, unless the Deployment gives others.
    pub command: Vec<String>,
    /// Environment variables.
    pub env: Vec<(String, String)>,
    /// Working directory within the image; empty means its root.
    pub working_dir: String,
    /// `user`, or `user:group`; numbers, or a name of the image's `/etc/passwd`. Empty means root.
    pub user: String,
}

/// Who a process is within its container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) home: String,
}

/// An image on disk.
#[derive(Debug)]
pub(crate) struct Unpacked {
    pub(crate) rootfs: PathBuf,
    pub(crate) config: RuntimeConfig,
}

type Slot = Arc<Mutex<Option<Arc<Unpacked>>>>;

/// The images that this node has.
pub(crate) struct ImageStore {
    dir: PathBuf,
    images: Arc<dyn Images>,
    slots: Mutex<BTreeMap<String, Slot>>,
}

impl ImageStore {
    /// Starts with an empty folder `dir`: what lies there from an earlier life may be half of an
    /// image.
    pub(crate) fn new(dir: PathBuf, images: Arc<dyn Images>) -> Result<Self> {
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        fs::create_dir_all(&dir)?;
        Ok(Self { dir, images, slots: Mutex::default() })
    }

    /// The image, unpacked now if it is not there yet. Several callers of one image wait for the
    /// first.
    pub(crate) fn pull(&self, image: &str) -> Result<Arc<Unpacked>> {
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
                Err(Error::Image(error))
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
    /// A path within the image as an absolute one; never one that leaves it.
    pub(crate) fn within(&self, path: &str) -> Result<PathBuf> {
        let mut place = PathBuf::from("/");
        for component in Path::new(path).components() {
            match component {
                Component::Normal(name) => place.push(name),
                Component::RootDir | Component::CurDir => {}
                Component::ParentDir | Component::Prefix(_) => {
                    return Err(Error::OutsideImage { path: path.to_owned() });
                }
            }
        }
        Ok(place)
    }

    /// The program that `argv[0]` means: a path within the image, or a name to be looked up along
    /// its `PATH`.
    pub(crate) fn program(&self, argv0: &str, path: &str) -> Result<PathBuf> {
        if argv0.contains('/') {
            return self.within(argv0);
        }
        path.split(':')
            .filter_map(|dir| Some(self.within(dir).ok()?.join(argv0)))
            .find(|place| self.on_disk(place).is_file())
            .ok_or_else(|| Error::NoProgram { program: argv0.to_owned(), path: path.to_owned() })
    }

    /// Who the image's user is. A number needs no entry in the image's `/etc/passwd`, and lives in
    /// the root folder without one.
    pub(crate) fn account(&self, user: &str) -> Result<Account> {
        let (name, group) = user.split_once(':').unwrap_or((user, ""));
        let name = if name.is_empty() { "0" } else { name };
        let passwd = fs::read_to_string(self.on_disk(Path::new("/etc/passwd"))).unwrap_or_default();
        let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
        let known = passwd.lines().map(fields).find(|fields| match &fields[..] {
            [login, _, uid, _, _, _, _] => login == name || uid == name,
            _ => false,
        });
        let number = |text: &str| text.parse().ok();
        let of_entry = |n: usize| known.as_ref().map(|fields| fields[n].clone());
        let uid = number(name).or_else(|| number(&of_entry(2)?));
        Ok(Account {
            uid: uid.ok_or_else(|| Error::NoUser { user: user.to_owned() })?,
            gid: number(group).or_else(|| number(&of_entry(3)?)).unwrap_or(0),
            home: of_entry(5).unwrap_or_else(|| "/".to_owned()),
        })
    }

    fn on_disk(&self, within: &Path) -> PathBuf {
        self.rootfs.join(within.strip_prefix("/").unwrap_or(within))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl Images for Counting {
        fn unpack(&self, image: &str, into: &Path) -> Result<RuntimeConfig, BoxError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            fs::write(into.join("tool"), image)?;
            if image.contains("broken") {
                return Err("layer missing".into());
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
        let tool = Path::new("/bin/tool");
        assert_eq!(image.program("/bin/tool", "").unwrap(), tool);
        assert_eq!(image.program("tool", "/sbin:/bin").unwrap(), tool);
        assert!(image.program("tool", "/sbin").is_err());
        assert!(image.program("/../bin/sh", "").is_err());
    }

    #[test]
    fn a_user_is_a_number_or_a_name_that_the_image_knows() {
        let dir = tempfile::tempdir().unwrap();
        let image = Unpacked { rootfs: dir.path().to_owned(), config: RuntimeConfig::default() };
        let check = |user: &str, uid, gid, home: &str| {
            let expected = Account { uid, gid, home: home.to_owned() };
            assert_eq!(image.account(user).unwrap(), expected, "{user}");
        };
        check("", 0, 0, "/");
        check("65532:65532", 65532, 65532, "/");
        fs::create_dir(dir.path().join("etc")).unwrap();
        fs::write(dir.path().join("etc/passwd"), "web:x:101:102::/srv:/bin/false\n").unwrap();
        check("web", 101, 102, "/srv");
        check("101:7", 101, 7, "/srv");
        check("65532", 65532, 0, "/");
        assert!(image.account("nobody").is_err());
    }
}
