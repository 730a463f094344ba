//! A folder takes its place as a whole, whatever was there and whenever the process is killed.

use std::fs::TryLockError;
use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

/// How the folder begins that is beside the place while something is on its way; nobody packs what
/// is called so.
const BESIDE: &str = ".kit-rs-training-";

/// A folder beside the place that somebody is about to fill. Each place has one: who comes after a
/// kill finds what was left, and takes it back.
pub(crate) struct Place<'a> {
    target: &'a Path,
    beside: PathBuf,
    _lock: std::fs::File,
}

impl<'a> Place<'a> {
    /// Makes the folder, or takes over the one that a process left which is no more.
    ///
    /// # Errors
    /// `WouldBlock` while another process is at the same place.
    pub(crate) fn of(target: &'a Path) -> io::Result<Self> {
        let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        fs::create_dir_all(parent)?;
        let mut name = std::ffi::OsString::from(BESIDE);
        name.push(target.file_name().ok_or_else(|| io::Error::other("it has no name"))?);
        let beside = parent.join(name);
        match fs::create_dir(&beside) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        // A link could lead anywhere, and all that is in there goes.
        if !fs::symlink_metadata(&beside)?.is_dir() {
            return Err(io::Error::other(format!("{} is in the way", beside.display())));
        }
        let lock = std::fs::File::open(&beside)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
            // A file system without locks.
            Err(TryLockError::Error(_)) => {}
        }
        let place = Self { target, beside, _lock: lock };
        place.take_back()?;
        Ok(place)
    }

    /// What is filled.
    pub(crate) fn fresh(&self) -> PathBuf {
        self.beside.join("model")
    }

    fn replaced(&self) -> PathBuf {
        self.beside.join("replaced")
    }

    /// What was filled is in its place, and what was there is gone.
    pub(crate) fn take(self) -> io::Result<()> {
        let fresh = self.fresh();
        if !self.target.exists() {
            return fs::rename(fresh, self.target);
        }
        // What was there goes with the folder beside.
        match renameat_with(CWD, &fresh, CWD, self.target, RenameFlags::EXCHANGE) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => self.take_in_two(&fresh),
            exchanged => Ok(exchanged?),
        }
    }

    /// Where a file system cannot exchange two folders. After a kill between the two steps the next
    /// that comes here puts back what was there.
    fn take_in_two(&self, fresh: &Path) -> io::Result<()> {
        fs::rename(self.target, self.replaced())?;
        let moved = fs::rename(fresh, self.target);
        if moved.is_err() {
            fs::rename(self.replaced(), self.target)?;
        }
        moved
    }

    fn take_back(&self) -> io::Result<()> {
        if self.replaced().exists() && !self.target.exists() {
            fs::rename(self.replaced(), self.target)?;
        }
        for left in [self.fresh(), self.replaced()] {
            if left.exists() {
                fs::remove_dir_all(left)?;
            }
        }
        Ok(())
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        // What was there before is never thrown away while nothing has taken its place.
        if self.target.exists() || !self.replaced().exists() {
            let _ = fs::remove_dir_all(&self.beside);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, text: &str) {
        fs::create_dir_all(folder).expect("a folder");
        fs::write(folder.join("file"), text).expect("written");
    }

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).expect("it is there");
        names.map(|entry| entry.expect("read").file_name().into_string().expect("UTF-8")).collect()
    }

    #[test]
    fn it_takes_its_place_whole_in_either_way() {
        let dir = tempfile::tempdir().expect("a place for temporary files");
        let target = dir.path().join("model");
        for (n, in_two) in [false, false, true].into_iter().enumerate() {
            let place = Place::of(&target).expect("it is free");
            write(&place.fresh(), &n.to_string());
            match in_two {
                false => place.take().expect("it takes its place"),
                true => {
                    place.take_in_two(&place.fresh()).expect("it takes its place");
                    drop(place);
                }
            }
            assert_eq!(fs::read_to_string(target.join("file")).expect("read"), n.to_string());
            assert_eq!(names(dir.path()), ["model"]);
        }
    }

    #[test]
    fn what_a_killed_process_left_is_taken_back() {
        let dir = tempfile::tempdir().expect("a place for temporary files");
        let target = dir.path().join("model");
        let beside = dir.path().join(".kit-rs-training-model");
        write(&target, "before");
        // Killed while it filled its folder, and between the two steps.
        for moved in [false, true] {
            write(&beside.join("model"), "half");
            if moved {
                fs::rename(&target, beside.join("replaced")).expect("moved");
            }
            drop(Place::of(&target).expect("nobody is at it"));
            assert_eq!(fs::read_to_string(target.join("file")).expect("read"), "before");
            assert_eq!(names(dir.path()), ["model"]);
        }
    }

    #[test]
    fn a_second_waits_outside_and_a_link_leads_nowhere() {
        let dir = tempfile::tempdir().expect("a place for temporary files");
        let target = dir.path().join("model");
        let first = Place::of(&target).expect("it is free");
        let second = Place::of(&target).err().expect("it is taken");
        assert_eq!(second.kind(), io::ErrorKind::WouldBlock);
        drop(first);
        write(&dir.path().join("precious/model"), "kept");
        std::os::unix::fs::symlink("precious", dir.path().join(".kit-rs-training-model"))
            .expect("linked");
        assert!(Place::of(&target).is_err());
        assert!(dir.path().join("precious/model/file").exists());
    }
}
