//! Signals to processes.

use std::process::Child;
use std::time::{Duration, Instant};

/// Asks a process to end.
pub(crate) fn terminate(pid: u32) -> anyhow::Result<()> {
    signal(pid, libc::SIGTERM)
}

/// Asks a child to end, and ends it when it has not after `patience`.
pub(crate) fn end(child: &mut Child, patience: Duration) {
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
    signal(pid, libc::SIGKILL)
}

#[expect(unsafe_code, reason = "kill(2) takes two numbers and touches no memory of ours")]
fn signal(pid: u32, number: i32) -> anyhow::Result<()> {
    let pid = i32::try_from(pid)?;
    // SAFETY: no pointers are involved.
    let result = unsafe { libc::kill(pid, number) };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error().into()) }
}

/// Lets a child end when we do, however we end.
#[expect(unsafe_code, reason = "prctl(2) takes numbers, and is safe between fork and exec")]
pub(crate) fn end_with_us(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt as _;
    // SAFETY: the closure only makes one system call, which is allowed between fork and exec.
    unsafe {
        command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
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
