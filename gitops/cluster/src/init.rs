//! What runs before a pod's container: one after the other, each until it succeeds.

use std::time::Duration;

use rustix::process::Signal;

use crate::Result;
use crate::error::chain;
use crate::kubelet::{Kubelet, TICK, await_end};
use crate::pod::Pod;
use crate::process::{Launch, Process, exit_code, tail};
use crate::spec::Container;

impl Kubelet {
    /// Runs them; says whether all have succeeded, as they have not in a pod that is told to go.
    pub(crate) fn initialize(&self, pod: &Pod) -> bool {
        for (n, container) in pod.init.iter().enumerate() {
            let mut pause = Duration::ZERO;
            loop {
                if pod.state().stop.is_some() {
                    return false;
                }
                let (reason, message) = match self.attempt(pod, container) {
                    Ok(0) => break,
                    Ok(code) => {
                        let said = tail(&self.log_file(&pod.metadata, Some(&container.name)), 3);
                        let ended = format!("{} ended with exit code {code}", container.name);
                        ("Init:CrashLoopBackOff", format!("{ended}: {said}"))
                    }
                    Err((reason, message)) => (reason, format!("{}: {message}", container.name)),
                };
                self.wait(pod, reason, message, &mut pause);
                pod.update(|state| state.init_restarts[n] += 1);
            }
            pod.update(|state| state.n_initialized += 1);
            self.events.tell(pod.subject(), format!("{} is done", container.name));
        }
        true
    }

    /// Runs one of them once; its exit code.
    fn attempt(&self, pod: &Pod, container: &Container) -> Result<i32, (&'static str, String)> {
        let pulled = self.images.pull(&container.image);
        let image = pulled.map_err(|error| ("Init:ErrImagePull", chain(&error)))?;
        let launch = self
            .launch(pod, container, &image)
            .map_err(|why| ("Init:CreateContainerConfigError", why))?;
        pod.update(|state| state.waiting = Some(("PodInitializing", String::new())));
        run(pod, &launch).map_err(|error| ("Init:RunContainerError", chain(&error)))
    }
}

/// Runs a process until it ends, by itself or because its pod goes.
fn run(pod: &Pod, launch: &Launch) -> Result<i32> {
    let mut process = Process::start(launch)?;
    loop {
        if let Some(status) = process.ended()? {
            return Ok(exit_code(status));
        }
        if pod.wait(TICK, |state| state.stop.is_some()) {
            process.signal(Signal::TERM);
            // What has not ended by then is killed when it is dropped.
            return Ok(await_end(pod, &mut process, pod.grace)?.unwrap_or(137));
        }
    }
}
