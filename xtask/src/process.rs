//! Signals to processes, and what they took.

/// Asks a process to end.
pub(crate) fn terminate(pid: u32) -> anyhow::Result<()> {
    signal(pid, libc::SIGTERM)
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

/// The largest resident memory, in MiB: of any ended child, and of this process.
pub(crate) fn peak_memory() -> anyhow::Result<(u64, u64)> {
    Ok((peak_of(libc::RUSAGE_CHILDREN)?, peak_of(libc::RUSAGE_SELF)?))
}

#[expect(unsafe_code, reason = "getrusage(2) fills a structure of plain numbers")]
fn peak_of(who: i32) -> anyhow::Result<u64> {
    // SAFETY: all zeroes is a valid rusage, and getrusage only writes into it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        if libc::getrusage(who, &raw mut usage) != 0 {
            return Err(std::io::Error::last_os_error().into());
        }
        usage
    };
    Ok(u64::try_from(usage.ru_maxrss)? / 1024)
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
