//! What a runtime must know to start an image.

use std::collections::BTreeMap;

use registry::content::ImageConfiguration;

/// The part of an image's config that says what to run, and how.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageConfig {
    /// The program and its first arguments.
    pub entrypoint: Vec<String>,
    /// Further arguments, unless others are given.
    pub command: Vec<String>,
    /// The environment, in its order.
    pub env: Vec<(String, String)>,
    /// The folder to start in.
    pub working_dir: String,
    /// What the image says of itself.
    pub labels: BTreeMap<String, String>,
    /// The user to run as, `uid:gid`.
    pub user: String,
    /// The ports it listens on, such as `8000/tcp`, sorted.
    pub exposed_ports: Vec<String>,
    /// The processor it is made for, by OCI's name.
    pub architecture: String,
}

impl From<&ImageConfiguration> for ImageConfig {
    fn from(configuration: &ImageConfiguration) -> Self {
        let config = configuration.config().clone().unwrap_or_default();
        let env = config.env().iter().flatten().map(|line| {
            let (name, value) = line.split_once('=').unwrap_or((line, ""));
            (name.to_owned(), value.to_owned())
        });
        let mut exposed_ports = config.exposed_ports().clone().unwrap_or_default();
        exposed_ports.sort();
        Self {
            entrypoint: config.entrypoint().clone().unwrap_or_default(),
            command: config.cmd().clone().unwrap_or_default(),
            env: env.collect(),
            working_dir: config.working_dir().clone().unwrap_or_default(),
            labels: config.labels().clone().unwrap_or_default().into_iter().collect(),
            user: config.user().clone().unwrap_or_default(),
            exposed_ports,
            architecture: configuration.architecture().to_string(),
        }
    }
}
