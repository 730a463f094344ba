//! A place of its own for a node: namespaces for its network, its mounts and its processes, and a
//! group of cgroups. Whatever runs in there ends with it, however the run ends, and the machine
//! keeps its interfaces, its rules and its mounts.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use fs_err as fs;

use crate::peers::run_quietly;
use crate::scratch::Undo;

const CGROUPS: &str = "/sys/fs/cgroup";
/// The hierarchies that a kubelet asks for, where cgroups have several (version 1).
const CONTROLLERS: [&str; 6] = ["cpu", "cpuacct", "cpuset", "memory", "pids", "systemd"];

/// Runs a command of this program in namespaces of its own, with `cgroup` for what it starts, until
/// it ends.
pub(crate) fn run(mut inside: Command, cgroup: &str) -> anyhow::Result<ExitStatus> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "namespaces with mounts and a network, and cgroups, are made by root only"
    );
    let (program, args) = (inside.get_program().to_owned(), inside.get_args());
    let mut unshare = Command::new("unshare");
    unshare.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]);
    unshare.arg(program).args(args);
    std::mem::swap(&mut inside, &mut unshare);
    crate::process::die_with_us(&mut inside);
    let name = cgroup.to_owned();
    let _cgroup = Undo::with(move || remove_cgroup(&name));
    make_cgroup(cgroup)?;
    let child = inside.spawn().context("cannot run unshare (util-linux)")?;
    let child = Arc::new(Mutex::new(child));
    let ended = Arc::clone(&child);
    let _child = Undo::with(move || end(&mut ended.lock().unwrap_or_else(PoisonError::into_inner)));
    loop {
        if let Some(status) = child.lock().unwrap_or_else(PoisonError::into_inner).try_wait()? {
            return Ok(status);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn end(child: &mut Child) {
    if matches!(child.try_wait(), Ok(None)) {
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// What is to be done first in there: a loopback that is up, and folders that every program of a
/// node writes into, laid over the machine's by folders below `dir`.
pub(crate) fn furnish(dir: &Path) -> anyhow::Result<()> {
    run_quietly(Command::new("ip").args(["link", "set", "lo", "up"]))?;
    run_quietly(Command::new("mount").args(["-t", "tmpfs", "tmpfs", "/run"]))?;
    let (upper, work) = (dir.join("var"), dir.join("var.work"));
    fs::create_dir_all(&upper)?;
    fs::create_dir_all(&work)?;
    let layers = format!("lowerdir=/var,upperdir={},workdir={}", upper.display(), work.display());
    run_quietly(Command::new("mount").args(["-t", "overlay", "overlay", "-o", &layers, "/var"]))?;
    fs::create_dir_all("/run/lock")?;
    Ok(())
}

/// The folders of a cgroup: one, or one in each hierarchy.
fn folders(name: &str) -> Vec<PathBuf> {
    let root = Path::new(CGROUPS);
    match root.join("cgroup.controllers").exists() {
        true => vec![root.join(name)],
        false => {
            let there = CONTROLLERS.iter().map(|it| root.join(it)).filter(|it| it.is_dir());
            there.map(|it| it.join(name)).collect()
        }
    }
}

fn make_cgroup(name: &str) -> anyhow::Result<()> {
    remove_cgroup(name);
    for folder in folders(name) {
        fs::create_dir(&folder)?;
        // A group of version 1 has no processors and no memory before it is told which.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let parent = folder.parent().map(|it| it.join(file)).filter(|it| it.exists());
            if let Some(parent) = parent {
                fs::write(folder.join(file), fs::read_to_string(parent)?)?;
            }
        }
    }
    Ok(())
}

/// Removes a cgroup and those below it, as soon as the kernel has buried what ran in them; from
/// every hierarchy, as runc makes it in those, too, that nobody has asked it for.
fn remove_cgroup(name: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    let hierarchies = fs::read_dir(CGROUPS).into_iter().flatten().flatten();
    let all = hierarchies.map(|it| it.path().join(name)).chain(folders(name));
    for folder in all {
        while folder.exists() && Instant::now() < deadline {
            remove_below(&folder);
            if fs::remove_dir(&folder).is_err() {
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

fn remove_below(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            remove_below(&entry.path());
            let _ = fs::remove_dir(entry.path());
        }
    }
}
