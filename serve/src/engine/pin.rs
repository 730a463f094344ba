//! Threads that stay on one processor. Linux only; elsewhere nothing is pinned.
#![cfg_attr(
    target_os = "linux",
    expect(
        unsafe_code,
        reason = "sched_getaffinity(2) and sched_setaffinity(2) fill or read one value of ours"
    )
)]

/// The processors that this process may run on.
#[cfg(target_os = "linux")]
pub(super) fn processors() -> Vec<usize> {
    // SAFETY: a cpu_set_t is a plain bit set, for which all zeros is a value; the call fills it;
    // CPU_ISSET reads within it.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        if libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) != 0 {
            return Vec::new();
        }
        let n_bits = 8 * size_of::<libc::cpu_set_t>();
        (0..n_bits).filter(|processor| libc::CPU_ISSET(*processor, &set)).collect()
    }
}

/// Keeps the calling thread on a processor; says whether the system agreed.
#[cfg(target_os = "linux")]
pub(super) fn stay_on(processor: usize) -> bool {
    // SAFETY: as above; the processor was found in such a set, so that it lies within one.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(processor, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) == 0
    }
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
