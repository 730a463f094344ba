//! Signals to processes.

use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};

/// Asks a process to end.
pub(crate) fn terminate(pid: u32) -> anyhow::Result<()> {
    signal(pid, Signal::TERM)
}

/// Asks a child to end, and ends it when it has not after `patience`. One that has ended is left
/// alone: its id may be another's by now.
pub(crate) fn end(child: &mut Child, patience: Duration) {
    if matches!(child.try_wait(), Ok(Some(_))) {
        return;
    }
    let _ = terminate(child.id());
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        if matches!(child.try_wait(), Ok(Some(_)) | Err(_)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Ends a process at once.
pub(crate) fn kill(pid: u32) -> anyhow::Result<()> {
    signal(pid, Signal::KILL)
}

fn signal(pid: u32, signal: Signal) -> anyhow::Result<()> {
    let pid = Pid::from_raw(i32::try_from(pid)?).context("no process has the id 0")?;
    Ok(kill_process(pid, signal)?)
}

/// Lets a child end when we do, however we end.
pub(crate) fn end_with_us(command: &mut std::process::Command) {
    signalled_with_us(command, Signal::TERM);
}

/// Lets a child be killed when we end: one that would wait for others, which end as well.
pub(crate) fn die_with_us(command: &mut std::process::Command) {
    signalled_with_us(command, Signal::KILL);
}

#[expect(unsafe_code, reason = "only between fork and exec can a child be told so")]
fn signalled_with_us(command: &mut std::process::Command, signal: Signal) {
    use std::os::unix::process::CommandExt as _;
    let ask = move || Ok(rustix::process::set_parent_process_death_signal(Some(signal))?);
    // SAFETY: the closure only makes one system call, which is allowed between fork and exec.
    unsafe { command.pre_exec(ask) };
}

/// Waits for Ctrl-C.
pub(crate) fn wait_for_interrupt() -> anyhow::Result<()> {
    let (heard, hear) = std::sync::mpsc::channel();
    ctrlc::set_handler(move || {
        let _ = heard.send(());
    })?;
    hear.recv()?;
    Ok(())
}
