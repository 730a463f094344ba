//! The volumes of a pod, as folders of this machine.
//!
//! An `emptyDir` is a folder that lives as long as its pod; an image is unpacked once, for all pods
//! that mount it; ConfigMaps and Secrets become files. Others are not there, which an event says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::error::chain;
use crate::image::{ImageStore, Unpacked};
use crate::pod::Pod;
use crate::spec::{Container, FileSource, KeyToPath, Volume};
use crate::store::Store;

/// A folder of this machine, and where a container has it.
#[derive(Clone, Debug)]
pub(crate) struct Mount {
    pub(crate) from: PathBuf,
    /// Within the image.
    pub(crate) inside: PathBuf,
    pub(crate) read_only: bool,
}

/// Where volumes come from.
pub(crate) struct Volumes<'a> {
    pub(crate) images: &'a ImageStore,
    pub(crate) store: &'a Store,
    /// A folder for each pod.
    pub(crate) dir: &'a Path,
}

impl Volumes<'_> {
    /// The volumes that a container mounts; the error is what the pod waits for.
    pub(crate) fn of(
        &self,
        pod: &Pod,
        container: &Container,
        image: &Unpacked,
    ) -> Result<Vec<Mount>, String> {
        let mut mounts = Vec::new();
        for mount in &container.volume_mounts {
            let Some(volume) = pod.volumes.iter().find(|volume| volume.name == mount.name) else {
                continue;
            };
            let Some((from, is_given)) = self.folder(pod, volume)? else { continue };
            let inside = image.within(&mount.mount_path).map_err(|error| chain(&error))?;
            mounts.push(Mount { from, inside, read_only: is_given || mount.read_only });
        }
        Ok(mounts)
    }

    /// The folder of a volume, and whether nobody writes to it.
    fn folder(&self, pod: &Pod, volume: &Volume) -> Result<Option<(PathBuf, bool)>, String> {
        let folder = self.dir.join(&pod.metadata.uid).join(&volume.name);
        let failed = |error: std::io::Error| error.to_string();
        if let Some(image) = &volume.image {
            let image = self.images.pull(&image.reference).map_err(|error| chain(&error))?;
            return Ok(Some((image.rootfs.clone(), true)));
        }
        if volume.empty_dir.is_some() {
            fs::create_dir_all(&folder).map_err(failed)?;
            return Ok(Some((folder, false)));
        }
        let sources = [("ConfigMap", &volume.config_map), ("Secret", &volume.secret)];
        for (kind, source) in sources {
            let Some(source) = source else { continue };
            let files = self.files(&pod.metadata.namespace, kind, source)?;
            fs::create_dir_all(&folder).map_err(failed)?;
            for (path, bytes) in files {
                let path = folder.join(path);
                let parent = path.parent().expect("it lies in the folder");
                fs::create_dir_all(parent).map_err(failed)?;
                fs::write(path, bytes).map_err(failed)?;
            }
            return Ok(Some((folder, true)));
        }
        Ok(None)
    }

    /// The files that a ConfigMap or a Secret becomes.
    fn files(
        &self,
        namespace: &str,
        kind: &str,
        source: &FileSource,
    ) -> Result<BTreeMap<String, Vec<u8>>, String> {
        let (name, kind_) = (source.name(), kind.to_ascii_lowercase());
        let Some(data) = self.store.data(kind, namespace, name) else {
            return match source.optional {
                true => Ok(BTreeMap::new()),
                false => Err(format!("{kind_} \"{name}\" not found")),
            };
        };
        let Some(items) = &source.items else {
            // A key is a name, as an API server has seen to.
            return Ok(data.into_iter().filter(|(key, _)| is_inside(key)).collect());
        };
        let mut files = BTreeMap::new();
        for KeyToPath { key, path } in items {
            match data.get(key) {
                Some(bytes) if is_inside(path) => drop(files.insert(path.clone(), bytes.clone())),
                Some(_) => return Err(format!("{path} leads out of the volume")),
                None if source.optional => {}
                None => return Err(format!("{kind_} \"{name}\" has no key {key}")),
            }
        }
        Ok(files)
    }
}

/// Whether a path of an item stays in its volume, as an API server asks.
fn is_inside(path: &str) -> bool {
    !path.is_empty() && !path.starts_with('/') && path.split('/').all(|part| part != "..")
}

/// The bytes behind base64, of which an API server has seen that it is some.
pub(crate) fn from_base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.bytes().filter_map(|byte| ALPHABET.iter().position(|it| *it == byte));
    let (mut bytes, mut bits, mut n_bits) = (Vec::new(), 0usize, 0);
    for digit in digits {
        bits = (bits << 6 | digit) & 0xfff;
        n_bits += 6;
        if n_bits >= 8 {
            n_bits -= 8;
            bytes.push((bits >> n_bits & 0xff) as u8);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("YQ==", b"a"),
            ("YWI=", b"ab"),
            ("YWJj", b"abc"),
            ("/+7d\nzA==", &[0xff, 0xee, 0xdd, 0xcc]),
        ] {
            assert_eq!(from_base64(text), bytes, "{text}");
        }
    }

    #[test]
    fn an_item_stays_in_its_volume() {
        assert!(is_inside("config.json") && is_inside("a/..b"));
        for bad in ["", "/etc/passwd", "../a", "a/../../b"] {
            assert!(!is_inside(bad), "{bad}");
        }
    }
}
