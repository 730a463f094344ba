//! The logs of pods: which container is meant, and where it writes to.

use std::path::PathBuf;

use crate::kubelet::Kubelet;
use crate::pod::{Pod, Role};

impl Kubelet {
    /// The file that a container of a pod writes to, perhaps not there yet. Without a name it is that
    /// of the only container that does not run first; the error is what an API server says to a bad
    /// request.
    /// Source: kubernetes, pkg/registry/core/pod/strategy.go, validateContainer.
    pub(crate) fn log_of(&self, pod: &Pod, container: Option<&str>) -> Result<PathBuf, String> {
        which(pod, container).map(|n| self.log_file(pod, n))
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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
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
}
