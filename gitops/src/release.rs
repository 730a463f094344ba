//! What is to run: an image, its place and its size.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::{ImageRef, Name};

/// What is to run where: the facts from which [`crate::render`] makes objects.
///
/// [`Release::new`] fills in what suits a model server; all fields can be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// The application: the folder `apps/<app>` and the Flux Kustomization `<app>-app`.
    pub app: Name,
    /// The name of Deployment, Service and ServiceAccount.
    pub name: Name,
    /// The namespace, which is the application's own and rendered with it.
    pub namespace: Name,
    /// The environment whose folder `clusters/<env>` Flux watches.
    pub env: Name,
    /// The runtime image.
    pub image: ImageRef,
    /// The ModelKit within the image, for the reader: `registry/repository:tag`.
    pub modelkit: Option<String>,
    /// The ModelKit's manifest digest.
    pub modelkit_digest: Option<String>,
    /// How many bytes of weights are loaded; the memory request and limit follow from it.
    pub weight_bytes: u64,
    /// How many pods serve.
    pub replicas: u32,
    /// The port in the container and of the Service.
    pub port: u16,
    /// Further environment variables of the container.
    pub environment: BTreeMap<String, String>,
    /// The Secret of type `kubernetes.io/dockerconfigjson` for a private registry.
    pub pull_secret: Option<Name>,
    /// How long a pod may take to load the model.
    pub startup: Duration,
    /// How long a rollout may go without progress: image pull and startup together.
    pub progress_deadline: Duration,
    /// How often Flux compares the cluster with the repository.
    pub interval: Duration,
    /// How soon Flux tries again after a failure.
    pub retry_interval: Duration,
    /// How long Flux waits for health; longer than `progress_deadline`, so that Flux can tell why a
    /// rollout stopped.
    pub timeout: Duration,
}

impl Release {
    /// A release with one replica on port 8000 in a namespace named after the application.
    pub fn new(app: Name, image: ImageRef) -> Self {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        Self {
            name: app.clone(),
            namespace: app.clone(),
            app,
            env: "dev".parse().expect("dev is a name"),
            image,
            modelkit: None,
            modelkit_digest: None,
            weight_bytes: 0,
            replicas: 1,
            port: 8000,
            environment: BTreeMap::new(),
            pull_secret: None,
            startup: minutes(5),
            progress_deadline: minutes(10),
            interval: minutes(5),
            retry_interval: minutes(1),
            timeout: minutes(12),
        }
    }

    /// The memory that a pod asks for, in MiB: half as much again as the weights, and 256 for the
    /// rest of the process.
    pub fn memory_request(&self) -> u64 {
        mebibytes(self.weight_bytes.saturating_add(self.weight_bytes / 2)).saturating_add(256)
    }

    /// The memory at which a pod is killed, in MiB: half as much again as the request.
    pub fn memory_limit(&self) -> u64 {
        let request = self.memory_request();
        request.saturating_add(request / 2)
    }

    /// The folder of the application's objects.
    pub fn app_folder(&self) -> String {
        format!("apps/{}", self.app)
    }

    /// The file of the Flux Kustomization.
    pub fn app_file(&self) -> String {
        format!("clusters/{}/{}-app.yaml", self.env, self.app)
    }
}

/// Whole MiB, rounded up to a multiple of 32, so that a small change of the model changes no
/// resources.
fn mebibytes(bytes: u64) -> u64 {
    bytes.div_ceil(32 << 20) * 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_follows_from_the_weights() {
        let mut release = Release::new("a".parse().unwrap(), "i".parse().unwrap());
        assert_eq!((release.memory_request(), release.memory_limit()), (256, 384));
        // DistilBERT in f32: more than the gigabyte of a usual tutorial would be needed with
        // PyTorch; here it is less.
        release.weight_bytes = 267_832_560;
        assert_eq!((release.memory_request(), release.memory_limit()), (640, 960));
        release.weight_bytes = u64::MAX;
        assert!(release.memory_limit() > release.memory_request());
    }
}
