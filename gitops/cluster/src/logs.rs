//! The logs of pods: which container is meant and which of its runs, and where it writes to.

use std::path::PathBuf;

use crate::kubelet::Kubelet;
use crate::pod::{ContainerState, Pod, Role, Run};

/// What one run of a container has written, and may yet write.
pub(crate) struct Log {
    /// All runs of a container write to the same file, one after the other.
    pub(crate) file: PathBuf,
    /// Its place in the pod.
    pub(crate) container: usize,
    /// The run, by its process.
    pub(crate) pid: u32,
    /// Where in the file it begins, and where it ends, if the run has ended.
    pub(crate) from: u64,
    pub(crate) to: Option<u64>,
}

impl Log {
    /// Where it ends, if the run has ended by now.
    pub(crate) fn ended(&self, pod: &Pod) -> Option<u64> {
        let told = |it: &ContainerState| {
            let mut runs = [it.last, it.former].into_iter().flatten();
            runs.find(|run| run.pid == self.pid).map(|run| run.log.1)
        };
        self.to.or_else(|| pod.look(|state| told(&state.containers[self.container])))
    }
}

impl Kubelet {
    /// What a container of a pod has written since it was started last, or in the run before. Without
    /// a name it is the only one that does not run first; the error is what an API server says to a
    /// bad request.
    /// Source: kubernetes, pkg/registry/core/pod/strategy.go, validateContainer.
    pub(crate) fn log_of(
        &self,
        pod: &Pod,
        container: Option<&str>,
        is_previous: bool,
    ) -> Result<Log, String> {
        let n = which(pod, container)?;
        let (pid, from, to) =
            pod.look(|state| run(&state.containers[n], &pod.metadata.name, is_previous))?;
        Ok(Log { file: self.log_file(pod, n), container: n, pid, from, to })
    }

    /// Where a container writes to: the log of the first that does not run before others has the
    /// pod's name alone.
    pub(crate) fn log_file(&self, pod: &Pod, n: usize) -> PathBuf {
        let first = pod.look(|state| state.containers.iter().position(|it| it.role == Role::Main));
        let name = match first == Some(n) {
            true => String::new(),
            false => format!("_{}", pod.containers[n].name),
        };
        self.log_dir.join(format!("{}_{}{name}.log", pod.metadata.namespace, pod.metadata.name))
    }
}

/// Which of the pod's containers is meant.
fn which(pod: &Pod, container: Option<&str>) -> Result<usize, String> {
    let state = pod.state();
    let name = &pod.metadata.name;
    if let Some(container) = container {
        let found = state.containers.iter().position(|it| it.name == container);
        return found.ok_or_else(|| format!("container {container} is not valid for pod {name}"));
    }
    let names = |is_main: bool| -> Vec<&str> {
        let some = state.containers.iter().filter(|it| (it.role == Role::Main) == is_main);
        some.map(|it| it.name.as_str()).collect()
    };
    let (main, init) = (names(true), names(false));
    if main.len() == 1 {
        return Ok(init.len());
    }
    let of_init = match init.is_empty() {
        true => String::new(),
        false => format!(" or one of the init containers: [{}]", init.join(" ")),
    };
    let choice = format!("choose one of: [{}]{of_init}", main.join(" "));
    Err(format!("a container name must be specified for pod {name}, {choice}"))
}

/// The run of a container that is asked for: its process, and its part of the log.
/// Source: kubernetes, pkg/kubelet/kubelet_pods.go, validateContainerLogStatus.
fn run(
    container: &ContainerState,
    pod: &str,
    is_previous: bool,
) -> Result<(u32, u64, Option<u64>), String> {
    let name = &container.name;
    let ended = |run: Run| (run.pid, run.log.0, Some(run.log.1));
    if is_previous {
        let none = || format!("previous terminated container {name:?} in pod {pod:?} not found");
        return container.before().map(ended).ok_or_else(none);
    }
    let running = container.pid.map(|pid| (pid, container.log_from, None));
    running.or(container.last.map(ended)).ok_or_else(|| {
        let why = match container.waiting {
            Some(("ErrImagePull", _)) => "image can't be pulled",
            Some((reason, _)) => reason,
            None => "ContainerCreating",
        };
        format!("container {name:?} in pod {pod:?} is waiting to start: {why}")
    })
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::clock::Moment;
    use crate::pod::Owner;
    use crate::spec::{self, Metadata};

    fn pod(spec: &Value) -> Pod {
        let metadata = Metadata { name: "web-1".to_owned(), ..Metadata::default() };
        let read = spec::read(spec).unwrap();
        let address = Ipv4Addr::LOCALHOST;
        Pod::new(metadata, Owner::default(), String::new(), (&read, spec), address, Arc::default())
    }

    #[test]
    fn a_container_is_named_unless_there_is_only_one() {
        let one = pod(&json!({"initContainers": [{"name": "i"}], "containers": [{"name": "a"}]}));
        assert_eq!(which(&one, None), Ok(1));
        assert_eq!((which(&one, Some("i")), which(&one, Some("a"))), (Ok(0), Ok(1)));
        let unknown = "container b is not valid for pod web-1".to_owned();
        assert_eq!(which(&one, Some("b")), Err(unknown));
        let two = pod(&json!({"containers": [{"name": "a"}, {"name": "b"}]}));
        let choice = "a container name must be specified for pod web-1, choose one of: [a b]";
        assert_eq!(which(&two, None), Err(choice.to_owned()));
        let three = pod(
            &json!({"initContainers": [{"name": "i"}], "containers": [{"name": "a"}, {"name": "b"}]}),
        );
        let choice = format!("{choice} or one of the init containers: [i]");
        assert_eq!(which(&three, None), Err(choice));
    }

    #[test]
    fn a_log_is_that_of_one_run() {
        let now = Moment::now();
        let mut it = ContainerState { name: "a".to_owned(), ..ContainerState::default() };
        it.waiting = Some(("ErrImagePull", "no such tag".to_owned()));
        let told = |it: &ContainerState, is_previous| run(it, "web-1", is_previous);
        let waiting = "container \"a\" in pod \"web-1\" is waiting to start: image can't be pulled";
        assert_eq!(told(&it, false), Err(waiting.to_owned()));
        let none = Err("previous terminated container \"a\" in pod \"web-1\" not found".to_owned());
        assert_eq!(told(&it, true), none);
        it.run(7, now, 0);
        assert_eq!((told(&it, false), told(&it, true)), (Ok((7, 0, None)), none.clone()));
        it.end(1, now, 20);
        let first = Ok((7, 0, Some(20)));
        assert_eq!((told(&it, false), told(&it, true)), (first.clone(), none));
        // A run that waits to be done again is the last one, and the one before.
        it.waiting = Some(("CrashLoopBackOff", "it ended".to_owned()));
        assert_eq!((told(&it, false), told(&it, true)), (first.clone(), first.clone()));
        it.run(8, now, 20);
        assert_eq!((told(&it, false), told(&it, true)), (Ok((8, 20, None)), first));
    }
}
