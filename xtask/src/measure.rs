//! What a process cost, and how sides compare: medians of alternating runs.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

/// What one run cost.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    /// Time on the wall.
    pub(crate) wall: Duration,
    /// Time on all cores together, in user space and in the kernel.
    pub(crate) cpu: Duration,
    /// Largest resident set, in bytes; 0 where it was not measured.
    pub(crate) peak: u64,
}

/// Runs a process to its end; it must succeed.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<Cost> {
    let shown = format!("{command:?}");
    let began = Instant::now();
    let child = command.spawn().with_context(|| format!("cannot run {shown}"))?;
    let (status, usage) = wait(child.id())?;
    ensure!(status == 0, "{shown} failed (wait status {status})");
    let time = |time: libc::timeval| {
        Duration::new(
            u64::try_from(time.tv_sec).unwrap_or(0),
            u32::try_from(time.tv_usec * 1000).unwrap_or(0),
        )
    };
    Ok(Cost {
        wall: began.elapsed(),
        cpu: time(usage.ru_utime) + time(usage.ru_stime),
        peak: u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024,
    })
}

/// Waits for a child and takes its resource usage, which `std::process` does not give.
#[expect(
    unsafe_code,
    reason = "wait4(2) fills two values of ours and nothing else; rustix has no resource usage"
)]
fn wait(pid: u32) -> anyhow::Result<(i32, libc::rusage)> {
    let mut status = 0;
    // SAFETY: rusage is a plain C struct for which all zeros is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live values of the types that wait4 asks for.
    let waited = unsafe { libc::wait4(i32::try_from(pid)?, &raw mut status, 0, &raw mut usage) };
    ensure!(waited > 0, "cannot wait for process {pid}: {}", std::io::Error::last_os_error());
    Ok((status, usage))
}

/// One side of a comparison.
pub(crate) struct Side<'a> {
    /// What is shown in the table.
    pub(crate) name: &'a str,
    /// One run.
    pub(crate) run: Box<dyn FnMut() -> anyhow::Result<Cost> + 'a>,
}

/// Runs the sides by turns, `n_rounds` times each, so that a noisy neighbour meets them all;
/// returns each side's median cost.
pub(crate) fn alternate(n_rounds: usize, sides: &mut [Side<'_>]) -> anyhow::Result<Vec<Cost>> {
    let mut costs = vec![Vec::new(); sides.len()];
    for _ in 0..n_rounds {
        for (side, costs) in sides.iter_mut().zip(&mut costs) {
            costs.push((side.run)().with_context(|| side.name.to_owned())?);
        }
    }
    Ok(costs.into_iter().map(median).collect())
}

/// The median of each quantity by itself.
pub(crate) fn median(costs: Vec<Cost>) -> Cost {
    fn middle<T: Ord + Copy>(mut values: Vec<T>) -> T {
        values.sort_unstable();
        values[values.len() / 2]
    }
    let of = |cost: fn(&Cost) -> Duration| middle(costs.iter().map(cost).collect());
    Cost {
        wall: of(|cost| cost.wall),
        cpu: of(|cost| cost.cpu),
        peak: middle(costs.iter().map(|cost| cost.peak).collect()),
    }
}

/// The machine in one line: processor, cores, memory; for the head of each table of figures.
pub(crate) fn machine() -> String {
    let read = |path: &str| fs_err::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).map(str::to_owned);
        line.and_then(|line| Some(line.split_once(':')?.1.trim().to_owned()))
            .unwrap_or_else(|| "unknown".to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "{}, {cores} cores, {} memory, Linux {}",
        field(&read("/proc/cpuinfo"), "model name"),
        field(&read("/proc/meminfo"), "MemTotal"),
        read("/proc/sys/kernel/osrelease").trim()
    )
}
