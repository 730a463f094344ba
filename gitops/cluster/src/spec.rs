//! The parts of Deployments, pods and Services that the stand-in acts on, with Kubernetes' own
//! defaults.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub(crate) type Labels = BTreeMap<String, String>;

/// Reads `object` as `T`; the error is what an API server would say of an invalid one.
pub(crate) fn read<T: DeserializeOwned>(object: &Value) -> Result<T, String> {
    T::deserialize(object).map_err(|error| error.to_string())
}

/// `metadata` of any object.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Metadata {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) uid: String,
    pub(crate) generation: u64,
    pub(crate) labels: Labels,
    pub(crate) annotations: Labels,
}

/// A Deployment (`apps/v1`).
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Deployment {
    pub(crate) metadata: Metadata,
    pub(crate) spec: DeploymentSpec,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeploymentSpec {
    #[serde(default = "one")]
    pub(crate) replicas: usize,
    pub(crate) selector: Selector,
    #[serde(default)]
    pub(crate) strategy: Strategy,
    #[serde(default)]
    pub(crate) min_ready_seconds: u64,
    #[serde(default = "ten_minutes")]
    pub(crate) progress_deadline_seconds: u64,
    #[serde(default)]
    pub(crate) paused: bool,
    pub(crate) template: Template,
}

fn one() -> usize {
    1
}

fn ten_minutes() -> u64 {
    600
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Selector {
    pub(crate) match_labels: Labels,
    pub(crate) match_expressions: Vec<Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Strategy {
    /// `RollingUpdate` (also when empty) or `Recreate`.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) rolling_update: RollingUpdate,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct RollingUpdate {
    pub(crate) max_surge: Option<Amount>,
    pub(crate) max_unavailable: Option<Amount>,
}

/// A number of pods, or a share of them such as `25%`; also a port by number or by name.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(untagged)]
pub(crate) enum Amount {
    Number(u16),
    Text(String),
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Template {
    pub(crate) metadata: Metadata,
    pub(crate) spec: PodSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct PodSpec {
    pub(crate) containers: Vec<Container>,
    /// What runs before, one after the other.
    pub(crate) init_containers: Vec<Container>,
    pub(crate) termination_grace_period_seconds: Option<u64>,
    /// `Always`, also when it is not said.
    pub(crate) restart_policy: Option<String>,
    pub(crate) security_context: Option<SecurityContext>,
    pub(crate) volumes: Vec<Volume>,
}

/// As whom a pod or its container runs.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct SecurityContext {
    pub(crate) run_as_user: Option<u32>,
    pub(crate) run_as_group: Option<u32>,
    pub(crate) run_as_non_root: Option<bool>,
    pub(crate) seccomp_profile: Option<Value>,
}

impl PodSpec {
    /// All containers, those that run first among them.
    pub(crate) fn all_containers(&self) -> impl Iterator<Item = &Container> {
        self.init_containers.iter().chain(&self.containers)
    }
}

impl SecurityContext {
    /// What holds for a container: its own context, else the pod's.
    pub(crate) fn of(of_pod: Option<&Self>, container: &Container) -> Self {
        let of_pod = of_pod.cloned().unwrap_or_default();
        let own = container.security_context.clone().unwrap_or_default();
        Self {
            run_as_user: own.run_as_user.or(of_pod.run_as_user),
            run_as_group: own.run_as_group.or(of_pod.run_as_group),
            run_as_non_root: own.run_as_non_root.or(of_pod.run_as_non_root),
            seccomp_profile: own.seccomp_profile.or(of_pod.seccomp_profile),
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Volume {
    pub(crate) name: String,
    pub(crate) empty_dir: Option<Value>,
    pub(crate) image: Option<ImageVolume>,
    pub(crate) config_map: Option<FileSource>,
    pub(crate) secret: Option<FileSource>,
}

/// An image that is mounted.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ImageVolume {
    pub(crate) reference: String,
}

/// A ConfigMap or a Secret as files.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct FileSource {
    /// Of a ConfigMap.
    name: String,
    /// Of a Secret.
    secret_name: String,
    pub(crate) items: Option<Vec<KeyToPath>>,
    pub(crate) optional: bool,
}

impl FileSource {
    pub(crate) fn name(&self) -> &str {
        if self.name.is_empty() { &self.secret_name } else { &self.name }
    }
}

/// A key, and the file that it becomes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct KeyToPath {
    pub(crate) key: String,
    pub(crate) path: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct VolumeMount {
    pub(crate) name: String,
    pub(crate) mount_path: String,
    pub(crate) read_only: bool,
    pub(crate) sub_path: String,
    pub(crate) sub_path_expr: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Container {
    pub(crate) name: String,
    pub(crate) image: String,
    pub(crate) command: Vec<String>,
    pub(crate) args: Vec<String>,
    pub(crate) working_dir: Option<String>,
    pub(crate) env: Vec<EnvVar>,
    pub(crate) env_from: Vec<EnvFrom>,
    pub(crate) ports: Vec<ContainerPort>,
    pub(crate) startup_probe: Option<Probe>,
    pub(crate) readiness_probe: Option<Probe>,
    pub(crate) liveness_probe: Option<Probe>,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) resources: Option<Value>,
    /// `Always` makes what runs first run on beside the others.
    pub(crate) restart_policy: Option<String>,
    pub(crate) security_context: Option<SecurityContext>,
    pub(crate) volume_mounts: Vec<VolumeMount>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct EnvVar {
    pub(crate) name: String,
    pub(crate) value: Option<String>,
    pub(crate) value_from: Option<ValueFrom>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ValueFrom {
    pub(crate) field_ref: Option<FieldRef>,
    pub(crate) resource_field_ref: Option<ResourceRef>,
    pub(crate) config_map_key_ref: Option<KeyRef>,
    pub(crate) secret_key_ref: Option<KeyRef>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct FieldRef {
    pub(crate) field_path: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ResourceRef {
    pub(crate) container_name: String,
    pub(crate) resource: String,
    pub(crate) divisor: Value,
}

/// A key of a ConfigMap or a Secret, or all of them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct KeyRef {
    pub(crate) name: String,
    pub(crate) key: String,
    pub(crate) optional: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct EnvFrom {
    pub(crate) prefix: String,
    pub(crate) config_map_ref: Option<KeyRef>,
    pub(crate) secret_ref: Option<KeyRef>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ContainerPort {
    pub(crate) name: String,
    pub(crate) container_port: u16,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Lifecycle {
    pub(crate) post_start: Option<Value>,
    pub(crate) pre_stop: Option<Hook>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Hook {
    pub(crate) sleep: Option<Sleep>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Sleep {
    pub(crate) seconds: u64,
}

/// A startup, readiness or liveness probe.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Probe {
    pub(crate) http_get: Option<HttpGet>,
    pub(crate) tcp_socket: Option<TcpSocket>,
    pub(crate) initial_delay_seconds: u64,
    pub(crate) period_seconds: Option<u64>,
    pub(crate) timeout_seconds: Option<u64>,
    pub(crate) success_threshold: Option<u32>,
    pub(crate) failure_threshold: Option<u32>,
    pub(crate) termination_grace_period_seconds: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HttpGet {
    #[serde(default)]
    pub(crate) path: String,
    pub(crate) port: Amount,
    #[serde(default)]
    pub(crate) host: String,
    #[serde(default)]
    pub(crate) scheme: String,
    #[serde(default)]
    pub(crate) http_headers: Vec<Header>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Header {
    pub(crate) name: String,
    pub(crate) value: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct TcpSocket {
    pub(crate) port: Amount,
}

/// A Service (`v1`).
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Service {
    pub(crate) metadata: Metadata,
    pub(crate) spec: ServiceSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ServiceSpec {
    pub(crate) selector: Labels,
    pub(crate) ports: Vec<ServicePort>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ServicePort {
    pub(crate) port: u16,
    pub(crate) target_port: Option<Amount>,
    /// `TCP`, also when empty.
    pub(crate) protocol: String,
}

impl Amount {
    /// The number of pods that this is of `total`: shares are rounded up, or down.
    pub(crate) fn of(&self, total: usize, round_up: bool) -> Option<usize> {
        let percent: usize = match self {
            Self::Number(number) => return Some(usize::from(*number)),
            Self::Text(text) => text.strip_suffix('%')?.parse().ok()?,
        };
        let hundredths = percent.checked_mul(total)?;
        Some(if round_up { hundredths.div_ceil(100) } else { hundredths / 100 })
    }

    /// The port that this means in `container`.
    pub(crate) fn port(&self, container: &Container) -> Option<u16> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(name) => {
                let named = container.ports.iter().find(|port| port.name == *name);
                named.map(|port| port.container_port).or_else(|| name.parse().ok())
            }
        }
    }
}

/// Whether `labels` carry everything that `selector` asks for.
pub(crate) fn selects(selector: &Labels, labels: &Labels) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_rounded_as_kubernetes_rounds_them() {
        let share = Amount::Text("25%".to_owned());
        assert_eq!((share.of(1, true), share.of(1, false)), (Some(1), Some(0)));
        assert_eq!((share.of(8, true), share.of(8, false)), (Some(2), Some(2)));
        assert_eq!(Amount::Text("many".to_owned()).of(1, true), None);
    }
}
