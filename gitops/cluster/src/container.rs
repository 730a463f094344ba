//! What a container has and a plain process has not: a root of its own that nobody can write to, a
//! user without rights on the machine, and only the devices that every program needs.
//!
//! User and mount namespaces make it, which Linux gives to any user where its administrator allows
//! it. Not made are namespaces for processes and for the network: pods see the machine's.

use std::io;
use std::path::Path;

use fs_err as fs;

/// How far pods are kept apart from the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Isolation {
    /// A root of the image's files and the pod's volumes that cannot be written to, no privileges,
    /// and the image's user, who is ours outside.
    Namespaces,
    /// Nothing but a clean environment: a pod sees the machine's files with our rights.
    None,
}

impl Isolation {
    /// Finds out what this machine allows, by doing it in a folder of ours; with the reason when it
    /// does not.
    pub(crate) fn find(dir: &Path) -> io::Result<(Self, Option<io::Error>)> {
        let root = dir.join("probe");
        fs::create_dir_all(&root)?;
        let found = try_in(&root);
        fs::remove_dir_all(&root)?;
        Ok(match found {
            Ok(()) => (Self::Namespaces, None),
            Err(why) => (Self::None, Some(why)),
        })
    }
}

#[cfg(not(target_os = "linux"))]
fn try_in(_root: &Path) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "only Linux has them"))
}

#[cfg(target_os = "linux")]
pub(crate) use linux::Container;
#[cfg(target_os = "linux")]
use linux::try_in;

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::CString;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::process::CommandExt as _;
    use std::process::Command;

    use rustix::fs::{Mode, OFlags, open};
    use rustix::io::{Errno, write};
    use rustix::mount::{
        MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive,
        mount_change, mount_remount, unmount,
    };
    use rustix::process::{chdir, getegid, geteuid, pivot_root};
    use rustix::thread::{
        CapabilitiesSecureBits, UnshareFlags, set_capabilities_secure_bits, set_no_new_privs,
        unshare_unsafe,
    };

    use super::*;
    use crate::process::Launch;
    use crate::volume::Mount;

    /// The devices that every program may count on (runtime-spec, "Default Devices").
    const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];

    /// All that is needed between fork and exec, where nothing can be allocated.
    pub(crate) struct Container {
        root: CString,
        working_dir: CString,
        uid_map: String,
        gid_map: String,
        proc: CString,
        dev: CString,
        /// What is bound onto what.
        devices: Vec<(CString, CString)>,
        /// The same of volumes, and whether nobody may write to them.
        volumes: Vec<(CString, CString, bool)>,
    }

    impl Container {
        /// Prepares the image's folder: what is mounted needs something to be mounted on.
        pub(crate) fn new(launch: &Launch) -> io::Result<Self> {
            let place = |inside: &str| mount_point(&launch.rootfs, Path::new(inside));
            let (proc, dev) = (place("proc")?, place("dev")?);
            let device = |name: &&str| {
                let onto = launch.rootfs.join("dev").join(name);
                Ok((text(Path::new(&format!("/dev/{name}")))?, text(&onto)?))
            };
            let volume = |mount: &Mount| {
                let onto = mount_point(&launch.rootfs, &mount.inside)?;
                Ok((text(&mount.from)?, onto, mount.read_only))
            };
            let (uid, gid) = launch.user;
            Ok(Self {
                root: text(&launch.rootfs)?,
                working_dir: text(&launch.working_dir)?,
                uid_map: format!("{uid} {} 1\n", geteuid().as_raw()),
                gid_map: format!("{gid} {} 1\n", getegid().as_raw()),
                proc,
                dev,
                devices: DEVICES.iter().map(device).collect::<io::Result<_>>()?,
                volumes: launch.volumes.iter().map(volume).collect::<io::Result<_>>()?,
            })
        }

        /// Goes into the container: system calls only, for a process that has one thread.
        #[expect(unsafe_code, reason = "unshare(2) is unsafe where it touches file descriptors")]
        pub(crate) fn enter(&self) -> Result<(), Errno> {
            let hidden = MountFlags::NOSUID | MountFlags::NODEV;
            // SAFETY: CLONE_FILES is not among the flags.
            unsafe { unshare_unsafe(UnshareFlags::NEWUSER | UnshareFlags::NEWNS) }?;
            set("/proc/self/setgroups", "deny")?;
            set("/proc/self/uid_map", &self.uid_map)?;
            set("/proc/self/gid_map", &self.gid_map)?;
            mount_change(c"/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
            mount_bind_recursive(&*self.root, &*self.root)?;
            mount_bind_recursive(c"/proc", &*self.proc)?;
            read_only(&self.proc, hidden | MountFlags::NOEXEC)?;
            let quiet = MountFlags::NOSUID | MountFlags::NOEXEC;
            mount(c"tmpfs", &*self.dev, c"tmpfs", quiet, c"mode=755,size=64k")?;
            for (device, onto) in &self.devices {
                open(&**onto, OFlags::CREATE | OFlags::CLOEXEC, Mode::from_raw_mode(0o644))?;
                mount_bind(&**device, &**onto)?;
            }
            read_only(&self.dev, quiet)?;
            for (volume, onto, is_read_only) in &self.volumes {
                mount_bind(&**volume, &**onto)?;
                let flags = if *is_read_only { hidden | MountFlags::RDONLY } else { hidden };
                mount_remount(&**onto, MountFlags::BIND | flags, c"")?;
            }
            read_only(&self.root, hidden)?;
            // The old root is stacked onto the new one, and taken off (pivot_root(2), NOTES).
            chdir(&*self.root)?;
            pivot_root(c".", c".")?;
            unmount(c".", UnmountFlags::DETACH)?;
            chdir(&*self.working_dir)?;
            // A container's root has no rights either.
            let bits = CapabilitiesSecureBits::NO_ROOT | CapabilitiesSecureBits::NO_ROOT_LOCKED;
            set_capabilities_secure_bits(bits)?;
            set_no_new_privs(true)
        }
    }

    fn read_only(mounted: &CString, flags: MountFlags) -> Result<(), Errno> {
        mount_remount(&**mounted, MountFlags::BIND | MountFlags::RDONLY | flags, c"")
    }

    /// Writes a file of `/proc`, which takes it in one piece.
    fn set(path: &str, value: &str) -> Result<(), Errno> {
        let file = open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        write(&file, value.as_bytes()).map(drop)
    }

    /// A folder of the image to mount something on, made where it is not there. A symbolic link in
    /// its path could lead anywhere on the machine.
    fn mount_point(rootfs: &Path, inside: &Path) -> io::Result<CString> {
        let mut place = rootfs.to_owned();
        for part in inside.components().filter(|part| part.as_os_str() != "/") {
            place.push(part);
            match fs::symlink_metadata(&place) {
                Ok(metadata) if metadata.is_dir() => {}
                Ok(_) => {
                    let problem = format!("{} of the image is no folder", inside.display());
                    return Err(io::Error::other(problem));
                }
                Err(_) => match fs::create_dir(&place) {
                    // Another pod of the image begins at the same time.
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                        return Err(error);
                    }
                    _ => {}
                },
            }
        }
        text(&place)
    }

    fn text(path: &Path) -> io::Result<CString> {
        Ok(CString::new(path.as_os_str().as_bytes())?)
    }

    /// Goes into an empty container and gives up there, so that nothing is run.
    #[expect(unsafe_code, reason = "only between fork and exec is there a process of one thread")]
    pub(super) fn try_in(root: &Path) -> io::Result<()> {
        let container = Container::new(&Launch::nothing(root))?;
        let mut command = Command::new("/");
        // SAFETY: the closure allocates nothing, takes no lock and makes system calls only.
        unsafe {
            command.pre_exec(move || Err(container.enter().err().unwrap_or(Errno::CANCELED).into()))
        };
        match command.spawn() {
            Ok(_) => unreachable!("a folder is no program"),
            Err(error) if error.raw_os_error() == Some(Errno::CANCELED.raw_os_error()) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
