//! Threads that stay on one processor. Linux only; elsewhere nothing is pinned.

#[cfg(target_os = "linux")]
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The processors that this process may run on.
#[cfg(target_os = "linux")]
pub(super) fn processors() -> Vec<usize> {
    sched_getaffinity(None).map_or_else(
        |_| Vec::new(),
        |set| (0..CpuSet::MAX_CPU).filter(|processor| set.is_set(*processor)).collect(),
    )
}

/// Keeps the calling thread on a processor; says whether the system agreed.
#[cfg(target_os = "linux")]
pub(super) fn stay_on(processor: usize) -> bool {
    let mut set = CpuSet::new();
    set.set(processor);
    sched_setaffinity(None, &set).is_ok()
}

#[cfg(not(target_os = "linux"))]
pub(super) fn processors() -> Vec<usize> {
    Vec::new()
}

#[cfg(not(target_os = "linux"))]
pub(super) fn stay_on(_processor: usize) -> bool {
    false
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_stays_where_it_is_told_to() {
        let all = processors();
        assert!(!all.is_empty());
        let last = *all.last().expect("a process runs somewhere");
        let pinned = std::thread::spawn(move || (stay_on(last), processors()))
            .join()
            .expect("nothing in it panics");
        assert_eq!(pinned, (true, vec![last]));
        assert_eq!(processors(), all, "only the other thread is pinned");
    }
}
