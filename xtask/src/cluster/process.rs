//! One process: started so that it cannot outlive us, ended as a container runtime ends it.

use std::{
    collections::BTreeMap,
    io,
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use anyhow::{Context as _, Result};
use fs_err as fs;

/// What is to be run.
#[derive(Debug)]
pub(super) struct Launch {
    pub(super) program: PathBuf,
    pub(super) args: Vec<String>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) working_dir: PathBuf,
    /// Where its stdout and stderr go, appended.
    pub(super) log: PathBuf,
}

/// A running process with a process group of its own. Dropping it kills the group.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    reaped: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Signal {
    Terminate,
    Kill,
}

impl Process {
    /// Starts it. The calling thread must stay until the process has ended: Linux kills the process
    /// when that thread goes.
    pub(super) fn start(launch: &Launch) -> Result<Self> {
        let log =
            fs::OpenOptions::new().create(true).append(true).open(&launch.log)?.into_parts().0;
        let mut command = Command::new(&launch.program);
        command
            .args(&launch.args)
            .env_clear()
            .envs(&launch.env)
            .current_dir(&launch.working_dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0);
        die_with_parent(&mut command);
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", launch.program.display()))?;
        Ok(Self { child, reaped: false })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, once it has.
    pub(super) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        let status = self.child.try_wait()?;
        self.reaped |= status.is_some();
        Ok(status)
    }

    /// Sends a signal to the whole group; to nobody once the process has been reaped, since its id
    /// may be another's by then.
    pub(super) fn signal(&self, signal: Signal) {
        if !self.reaped {
            signal_group(self.child.id(), signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.reaped {
            self.signal(Signal::Kill);
            let _ = self.child.wait();
        }
    }
}

/// The exit code as the API shows it: 128 + the signal for a process that a signal ended.
pub(super) fn exit_code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}

/// The last lines of a log, for messages.
pub(super) fn tail(log: &Path, n_lines: usize) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(4096)..]).into_owned();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(n_lines)..].join(" | ")
}

#[expect(
    unsafe_code,
    reason = "the standard library has no door to prctl; libc calls between fork and exec need one"
)]
fn die_with_parent(command: &mut Command) {
    let parent = std::process::id();
    let ask = move || {
        // SAFETY: both are plain system calls on integers, and allowed between fork and exec.
        let (asked, now) = unsafe {
            let asked = libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            (asked, libc::getppid())
        };
        // A parent that died before the call above sends no signal any more.
        match (asked, u32::try_from(now) == Ok(parent)) {
            (0, true) => Ok(()),
            (0, false) => Err(io::Error::from_raw_os_error(libc::ESRCH)),
            _ => Err(io::Error::last_os_error()),
        }
    };
    // SAFETY: the closure allocates nothing, takes no lock and calls only async-signal-safe
    // functions.
    unsafe { command.pre_exec(ask) };
}

#[expect(
    unsafe_code,
    reason = "the standard library sends no signal but SIGKILL, and none to a group"
)]
fn signal_group(pid: u32, signal: Signal) {
    let Ok(group) = libc::pid_t::try_from(pid) else {
        return;
    };
    let number = match signal {
        Signal::Terminate => libc::SIGTERM,
        Signal::Kill => libc::SIGKILL,
    };
    // SAFETY: a plain system call on integers; the group is a child that has not been reaped, so
    // the id is still its own.
    unsafe { libc::kill(-group, number) };
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn launch(dir: &Path, script: &str) -> Launch {
        Launch {
            program: "/bin/sh".into(),
            args: vec!["-c".to_owned(), script.to_owned()],
            env: BTreeMap::from([("WORD".to_owned(), "hello".to_owned())]),
            working_dir: dir.to_owned(),
            log: dir.join("log"),
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
        until("the end", || process.ended().unwrap())
    }

    /// The last line of the log, once there is one.
    fn last_line(dir: &Path) -> String {
        until("a line in the log", || {
            Some(tail(&dir.join("log"), 1)).filter(|line| !line.is_empty())
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
        assert_eq!(tail(&dir.path().join("log"), 2), expected);
    }

    #[test]
    fn a_signal_reaches_the_whole_group() {
        let dir = tempfile::tempdir().unwrap();
        let mut process = Process::start(&launch(dir.path(), "sleep 60 & echo $!; wait")).unwrap();
        let grandchild = last_line(dir.path());
        process.signal(Signal::Terminate);
        assert_eq!(exit_code(wait(&mut process)), 128 + libc::SIGTERM);
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
