//! A real Kubernetes and a real Flux on this machine: their programs, built from their own modules,
//! as processes on loopback.

mod api;
mod flux;
mod git;
mod kubelet;
pub(crate) mod namespaces;
mod node;
mod pause;
mod plane;
mod programs;
mod repository;

pub(crate) use api::Api;
pub(crate) use flux::Flux;
pub(crate) use git::GitServer;
pub(crate) use kubelet::{BEHAVIOUR, FakeKubelet};
pub(crate) use node::Node;
pub(crate) use plane::{ControlPlane, Daemon};
pub(crate) use programs::Programs;
pub(crate) use repository::Repository;
