//! The node: which pods there are, and the order in which their containers live.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle, Scope};
use std::time::Duration;

use fs_err as fs;

use crate::backoff::Backoff;
use crate::changes::locked;
use crate::event::Events;
use crate::image::ImageStore;
use crate::pod::{Pod, Role, Stop};
use crate::spec::{Labels, selects};
use crate::store::Store;
use crate::{Isolation, Result};

/// Each pod and the thread that it lives in, by namespace and name.
type Pods = BTreeMap<(String, String), (Arc<Pod>, JoinHandle<()>)>;

/// All pods of the one node.
pub(crate) struct Kubelet {
    pub(crate) images: ImageStore,
    pub(crate) store: Arc<Store>,
    pub(crate) log_dir: PathBuf,
    /// A folder for each volume of each pod, as long as the pod lives.
    pub(crate) volumes_dir: PathBuf,
    pub(crate) isolation: Isolation,
    pub(crate) events: Events,
    pods: Mutex<Pods>,
}

impl Kubelet {
    pub(crate) fn new(
        images: ImageStore,
        store: Arc<Store>,
        state_dir: &Path,
        isolation: Isolation,
        events: Events,
    ) -> Result<Self> {
        let (log_dir, volumes_dir) = (state_dir.join("pods"), state_dir.join("volumes"));
        fs::create_dir_all(&log_dir)?;
        let pods = Mutex::default();
        Ok(Self { images, store, log_dir, volumes_dir, isolation, events, pods })
    }

    /// Brings a pod to life, in a thread of its own.
    pub(crate) fn start(self: &Arc<Self>, pod: Pod) -> Result<()> {
        let pod = Arc::new(pod);
        let key = (pod.metadata.namespace.clone(), pod.metadata.name.clone());
        let (kubelet, living) = (Arc::clone(self), Arc::clone(&pod));
        let thread = thread::Builder::new().name(pod.metadata.name.clone()).spawn(move || {
            kubelet.live(&living);
            let _ = fs::remove_dir_all(kubelet.volumes_dir.join(&living.metadata.uid));
            living.update(|state| state.finished = true);
        })?;
        locked(&self.pods).insert(key, (Arc::clone(&pod), thread));
        pod.wake();
        Ok(())
    }

    /// Every pod that is there, also those that are on their way out.
    pub(crate) fn pods(&self) -> Vec<Arc<Pod>> {
        locked(&self.pods).values().map(|(pod, _)| Arc::clone(pod)).collect()
    }

    pub(crate) fn find(&self, namespace: &str, name: &str) -> Option<Arc<Pod>> {
        let key = (namespace.to_owned(), name.to_owned());
        locked(&self.pods).get(&key).map(|(pod, _)| Arc::clone(pod))
    }

    /// The ready pods that a Service with `selector` stands for.
    pub(crate) fn endpoints(&self, namespace: &str, selector: &Labels) -> Vec<Arc<Pod>> {
        if selector.is_empty() {
            return Vec::new();
        }
        let mut pods = self.pods();
        pods.retain(|pod| {
            let metadata = &pod.metadata;
            metadata.namespace == namespace
                && selects(selector, &metadata.labels)
                && pod.look(|state| state.is_ready())
        });
        pods
    }

    /// Forgets the pods that have ended.
    pub(crate) fn reap(&self) {
        let ended: Vec<_> = {
            let mut pods = locked(&self.pods);
            let (ended, living) = std::mem::take(&mut *pods)
                .into_iter()
                .partition(|(_, (pod, _))| pod.look(|state| state.finished));
            *pods = living;
            BTreeMap::into_values(ended).collect()
        };
        for (pod, thread) in ended {
            let _ = thread.join();
            self.events.tell(pod.subject(), "gone");
            pod.wake();
        }
    }

    /// Ends all pods and waits for them.
    pub(crate) fn stop_all(&self, how: Stop) {
        let pods = std::mem::take(&mut *locked(&self.pods));
        for (pod, _) in pods.values() {
            pod.stop(how);
        }
        for (_, thread) in pods.into_values() {
            let _ = thread.join();
        }
    }

    /// Starts the containers of a pod in their order: what runs first one after the other, each
    /// until it succeeds or, a sidecar, has started; then the others at once. Ends when all have.
    fn live(&self, pod: &Pod) {
        let roles: Vec<_> = pod.look(|state| state.containers.iter().map(|it| it.role).collect());
        thread::scope(|scope| {
            for (n, role) in roles.into_iter().enumerate() {
                if role == Role::Init {
                    self.keep(pod, n);
                } else {
                    self.keep_aside(scope, pod, n);
                }
                if role == Role::Sidecar {
                    pod.wait(None, |state| state.stop.is_some() || state.containers[n].started);
                }
                if pod.is_told_to_go() {
                    return;
                }
            }
        });
    }

    /// Keeps a container alive in a thread of its own, as soon as the machine gives us one.
    fn keep_aside<'a>(&'a self, scope: &'a Scope<'a, '_>, pod: &'a Pod, n: usize) {
        let mut backoff = Backoff::default();
        while !pod.is_told_to_go() {
            let thread = thread::Builder::new().name(pod.containers[n].name.clone());
            match thread.spawn_scoped(scope, move || self.keep(pod, n)) {
                Ok(_) => return,
                Err(error) => {
                    let why = ("RunContainerError", error.to_string());
                    self.wait(pod, n, why, backoff.after(Duration::ZERO));
                }
            }
        }
    }
}
