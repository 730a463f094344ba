//! One process: started so that it cannot outlive us, ended as a container runtime ends it.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use fs_err as fs;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
#[cfg(target_os = "linux")]
use rustix::process::{getpid, getppid, set_parent_process_death_signal};

#[cfg(target_os = "linux")]
use crate::container::Container;
use crate::volume::Mount;
use crate::{Error, Isolation, Result};

/// What is to be run.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) isolation: Isolation,
    /// The image's folder.
    pub(crate) rootfs: PathBuf,
    /// Within the image, as is the working directory.
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) working_dir: PathBuf,
    /// User and group within the container.
    pub(crate) user: (u32, u32),
    /// Folders of this machine, and where the container has them.
    pub(crate) volumes: Vec<Mount>,
    /// Where its stdout and stderr go, appended.
    pub(crate) log: PathBuf,
}

impl Launch {
    /// Nothing at all, in an empty root.
    pub(crate) fn nothing(root: &Path) -> Self {
        Self {
            isolation: Isolation::Namespaces,
            rootfs: root.to_owned(),
            program: "/".into(),
            args: Vec::new(),
            env: BTreeMap::new(),
            working_dir: "/".into(),
            user: (0, 0),
            volumes: Vec::new(),
            log: root.join("log"),
        }
    }

    /// A path of the image as the starting process has to name it.
    fn place(&self, inside: &Path) -> PathBuf {
        match self.isolation {
            Isolation::Namespaces => inside.to_owned(),
            Isolation::None => self.rootfs.join(inside.strip_prefix("/").unwrap_or(inside)),
        }
    }
}

/// A running process with a process group of its own. Dropping it kills the group.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    reaped: bool,
}

impl Process {
    /// Starts it. The calling thread must stay until the process has ended: Linux kills the process
    /// when that thread goes.
    pub(crate) fn start(launch: &Launch) -> Result<Self> {
        let log =
            fs::OpenOptions::new().create(true).append(true).open(&launch.log)?.into_parts().0;
        let mut command = Command::new(launch.place(&launch.program));
        command
            .args(&launch.args)
            .env_clear()
            .envs(&launch.env)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0);
        if launch.isolation == Isolation::None {
            command.current_dir(launch.place(&launch.working_dir));
        }
        let failed = |source| Error::Start { program: launch.program.clone(), source };
        before_exec(&mut command, launch).map_err(failed)?;
        Ok(Self { child: command.spawn().map_err(failed)?, reaped: false })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What another thread can wait for its end by.
    pub(crate) fn watch(&self) -> Watch {
        Watch(self.group())
    }

    /// Waits for its end; how it ended.
    pub(crate) fn exit(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait()?;
        self.reaped = true;
        Ok(status)
    }

    /// Its id, which is that of its group.
    fn group(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }

    /// Sends a signal to the whole group; to nobody once the process has been reaped, since its id
    /// may be another's by then.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(group) = self.group().filter(|_| !self.reaped) {
            let _ = kill_process_group(group, signal);
        }
    }

    /// Kills the group, and waits until the process has ended.
    pub(crate) fn kill(&mut self) {
        if !self.reaped {
            self.signal(Signal::KILL);
            self.reaped = self.child.wait().is_ok();
        }
    }
}

/// A process to be watched, by its id: nobody else gets that before the process has been reaped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch(Option<Pid>);

impl Watch {
    /// Sleeps until the process has ended, and leaves it to be reaped.
    pub(crate) fn await_end(self) {
        let Some(pid) = self.0 else { return };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        // Anything but an interruption says that there is nothing left to wait for.
        while waitid(WaitId::Pid(pid), options).err() == Some(Errno::INTR) {}
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The exit code as the API shows it: 128 + the signal for a process that a signal ended.
pub(crate) fn exit_code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}

/// The last lines of what stands in a log from an offset on, for messages.
pub(crate) fn tail(log: &Path, from: u64, n_lines: usize) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let from = usize::try_from(from).map_or(bytes.len(), |from| from.min(bytes.len()));
    let text = String::from_utf8_lossy(&bytes[from.max(bytes.len().saturating_sub(4096))..]);
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(n_lines)..].join(" | ")
}

/// Has the process that is to come enter its container, where there is one, and die with us.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "only between fork and exec can a process be told where it lives")]
fn before_exec(command: &mut Command, launch: &Launch) -> io::Result<()> {
    let container = match launch.isolation {
        Isolation::Namespaces => Some(Container::new(launch)?),
        Isolation::None => None,
    };
    let parent = Some(getpid());
    let enter = move || {
        if let Some(container) = &container {
            container.enter()?;
        }
        // After the change of user, which clears it.
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // A parent that died before the call above sends no signal any more.
        if getppid() == parent { Ok(()) } else { Err(Errno::SRCH.into()) }
    };
    // SAFETY: the closure allocates nothing, takes no lock and makes system calls only.
    unsafe { command.pre_exec(enter) };
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn before_exec(_command: &mut Command, _launch: &Launch) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    /// A script of the shell of this machine, whose root is its image.
    fn launch(dir: &Path, script: &str) -> Launch {
        Launch {
            isolation: Isolation::None,
            program: "/bin/sh".into(),
            args: vec!["-c".to_owned(), script.to_owned()],
            env: BTreeMap::from([("WORD".to_owned(), "hello".to_owned())]),
            working_dir: dir.to_owned(),
            log: dir.join("log"),
            ..Launch::nothing(Path::new("/"))
        }
    }

    /// Looks until there is something to see.
    fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(seen) = look() {
                return seen;
            }
            assert!(Instant::now() < deadline, "{what} does not come true");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn wait(process: &mut Process) -> ExitStatus {
        process.watch().await_end();
        process.exit().unwrap()
    }

    /// The last line of the log, once there is one.
    fn last_line(dir: &Path) -> String {
        until("a line in the log", || {
            Some(tail(&dir.join("log"), 0, 1)).filter(|line| !line.is_empty())
        })
    }

    fn await_death(pid: &str) {
        until("the death of the process", || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            (stat.is_empty() || stat.contains(") Z ")).then_some(())
        });
    }

    #[test]
    fn a_process_has_its_environment_folder_and_log() {
        let dir = tempfile::tempdir().unwrap();
        let mut process = Process::start(&launch(dir.path(), "echo $WORD; pwd; exit 3")).unwrap();
        assert_eq!(exit_code(wait(&mut process)), 3);
        let place = dir.path().canonicalize().unwrap();
        let expected = format!("hello | {}", place.display());
        assert_eq!(tail(&dir.path().join("log"), 0, 2), expected);
        assert_eq!(tail(&dir.path().join("log"), 6, 2), place.display().to_string());
    }

    #[test]
    fn a_signal_reaches_the_whole_group() {
        let dir = tempfile::tempdir().unwrap();
        let mut process = Process::start(&launch(dir.path(), "sleep 60 & echo $!; wait")).unwrap();
        let grandchild = last_line(dir.path());
        process.signal(Signal::TERM);
        assert_eq!(exit_code(wait(&mut process)), 128 + Signal::TERM.as_raw());
        await_death(&grandchild);
    }

    /// The variable that makes a parent of the test below: its folder.
    const PARENT: &str = "PARENT_OF_A_PROCESS";

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "the test below tells it by its environment what to be"
    )]
    fn is_a_parent_when_told() {
        if let Ok(dir) = std::env::var(PARENT) {
            wait(&mut Process::start(&launch(Path::new(&dir), "echo $$; exec sleep 60")).unwrap());
        }
    }

    #[test]
    fn a_process_dies_with_its_parent() {
        let dir = tempfile::tempdir().unwrap();
        let test = format!("{}::is_a_parent_when_told", module_path!().split_once("::").unwrap().1);
        let mut parent = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &test])
            .env(PARENT, dir.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let child = last_line(dir.path());
        parent.kill().unwrap();
        parent.wait().unwrap();
        await_death(&child);
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let mut missing = launch(dir.path(), "");
        missing.program = "/no/such/program".into();
        let error = Process::start(&missing).unwrap_err();
        assert_eq!(error.to_string(), "cannot start /no/such/program");
    }
}
