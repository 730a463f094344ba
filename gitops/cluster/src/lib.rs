#![doc = include_str!("../README.md")]

mod running;

mod attempt;
mod flux;
mod reconcile;
mod registries;
mod source;

mod admission;
mod built_in;
mod condition;
mod foreign;
mod store;

mod deployment;
mod hash;
mod quantity;
mod replica_set;
mod rollout;
mod spec;

mod address;
mod backoff;
mod container;
mod ending;
mod env;
mod image;
mod kubelet;
mod logs;
mod pod;
mod probe;
mod process;
mod supervise;
mod volume;

mod service;

mod api;
mod discovery;
mod http;
mod node;

mod changes;
mod clock;
mod error;
mod event;
mod notice;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use gitops::BoxError;

pub use self::container::Isolation;
pub use self::error::{Error, Result};
pub use self::event::{Event, Listener};
pub use self::flux::KustomizationInfo;
pub use self::image::{Images, RuntimeConfig};
pub use self::pod::PodInfo;
pub use self::registries::Artifacts;
pub use self::running::Cluster;

/// The name of the one node.
const NODE: &str = "this-machine";
/// The longest time between two looks of somebody who waits.
const TICK: Duration = Duration::from_millis(100);
/// How often Git is asked.
const POLL: Duration = Duration::from_millis(200);

/// What a cluster is made of.
#[non_exhaustive]
pub struct Options {
    /// Where images, volumes, checkouts and logs go; `pods/` below it holds one log for each container.
    pub state_dir: PathBuf,
    /// The Git repository on this disk that stands for the URL of a GitRepository; that of the
    /// first one that has the root folder is what Flux is bootstrapped with.
    pub sources: BTreeMap<String, PathBuf>,
    /// The folder that Flux is bootstrapped with.
    pub root: String,
    /// Brings images.
    pub images: Arc<dyn Images>,
    /// Brings the artifacts of OCIRepositories; none: nobody follows them.
    pub artifacts: Option<Arc<dyn Artifacts>>,
    /// Where the API listens; port 0 takes a free one.
    pub api: SocketAddr,
    /// Hears what happens.
    pub on_event: Option<Listener>,
}

impl Options {
    /// A cluster that follows nothing yet, with `clusters/dev` as its root and its API at a free
    /// port of this machine.
    pub fn new(state_dir: impl Into<PathBuf>, images: Arc<dyn Images>) -> Self {
        Self {
            state_dir: state_dir.into(),
            sources: BTreeMap::new(),
            root: "clusters/dev".to_owned(),
            images,
            artifacts: None,
            api: (Ipv4Addr::LOCALHOST, 0).into(),
            on_event: None,
        }
    }
}
