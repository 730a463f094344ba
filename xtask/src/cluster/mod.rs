//! A stand-in for a Kubernetes cluster with Flux, on one machine, made of plain processes.
//!
//! A real Git repository goes in; running, probed, load-balanced server processes come out. The
//! objects, the order of things, the conditions with their reasons and messages, the arithmetic of
//! rolling updates, the rules of probes, and the shutdown of a pod are those of Flux and
//! Kubernetes, so that what the demo shows is what a cluster would do with the same repository.
//!
//! What it is not: an API server (its door, [`api`], is read-only and knows no watch), a container
//! runtime, or a network. A pod is one process on this machine's own file system and kernel, under
//! our user; its image is a folder, and its address is one of 127.0.0.0/8, told to it by the
//! variable `KIT_RS_HOST`. Memory and cpu limits, `securityContext`, volumes, network policies,
//! autoscalers, disruption budgets and DNS names are not enforced or provided: the log says so,
//! once for each object that asks for them. Pods have one container, without init containers;
//! probes are `httpGet` and `tcpSocket`; what else is asked for is refused by name. Git is polled
//! five times a second, drift is repaired within a second or two, and restarts back off from one
//! second instead of ten, because nobody wants to watch a demo wait.
//!
//! In reading order: [`running`] starts and ends it all, [`source`], [`flux`] and [`reconcile`]
//! turn commits into objects, [`admission`] and [`store`] keep them, [`deployment`] and [`rollout`]
//! turn Deployments into pods, [`kubelet`] lives the life of a [`pod`] with its [`image`],
//! [`mod@env`], [`process`] and [`probe`]s, [`service`] connects clients with pods, [`api`] lets
//! others look.

mod running;

mod flux;
mod reconcile;
mod source;

mod admission;
mod condition;
mod store;

mod deployment;
mod rollout;
mod spec;

mod address;
mod env;
mod image;
mod kubelet;
mod pod;
mod probe;
mod process;

mod service;

mod api;
mod discovery;
mod http;

mod bell;
mod clock;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

pub(crate) use self::{
    flux::KustomizationInfo,
    image::{Images, RuntimeConfig},
    pod::PodInfo,
    running::Cluster,
};

/// The name of the one node.
const NODE: &str = "this-machine";
/// The longest time between two looks at everything.
const TICK: Duration = Duration::from_millis(100);
/// How often Git is asked.
const POLL: Duration = Duration::from_millis(200);

/// Takes one line of what happens.
pub(crate) type Log = Arc<dyn Fn(&str) + Send + Sync>;

/// What a cluster is made of.
pub(crate) struct Options {
    /// Where images, checkouts and logs go; `pods/` below it holds one log for each pod.
    pub(crate) state_dir: PathBuf,
    /// The bare repository on this disk that stands for the URL of a GitRepository.
    pub(crate) sources: BTreeMap<String, PathBuf>,
    /// The folder that Flux is bootstrapped with, `clusters/dev`.
    pub(crate) root: String,
    /// Brings images.
    pub(crate) images: Arc<dyn Images>,
    /// Hears what happens.
    pub(crate) log: Log,
}
