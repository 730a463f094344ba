//! A real Kubernetes and a real Flux on this machine: their programs, built from their own modules,
//! as processes on loopback.

mod api;
mod flux;
mod git;
mod kubelet;
mod plane;
mod programs;

pub(crate) use api::Api;
pub(crate) use flux::Flux;
pub(crate) use git::GitServer;
pub(crate) use kubelet::{BEHAVIOUR, FakeKubelet};
pub(crate) use plane::ControlPlane;
pub(crate) use programs::Programs;
