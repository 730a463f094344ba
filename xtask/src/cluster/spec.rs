//! The parts of Deployments, pods and Services that the stand-in acts on, with Kubernetes' own
//! defaults.

use std::collections::BTreeMap;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

pub(super) type Labels = BTreeMap<String, String>;

/// Reads `object` as `T`; the error is what an API server would say of an invalid one.
pub(super) fn read<T: DeserializeOwned>(object: &Value) -> Result<T, String> {
    T::deserialize(object).map_err(|error| error.to_string())
}

/// `metadata` of any object.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Metadata {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) uid: String,
    pub(super) generation: u64,
    pub(super) labels: Labels,
    pub(super) annotations: Labels,
}

/// A Deployment (`apps/v1`).
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Deployment {
    pub(super) metadata: Metadata,
    pub(super) spec: DeploymentSpec,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeploymentSpec {
    #[serde(default = "one")]
    pub(super) replicas: usize,
    pub(super) selector: Selector,
    #[serde(default)]
    pub(super) strategy: Strategy,
    #[serde(default)]
    pub(super) min_ready_seconds: u64,
    #[serde(default = "ten_minutes")]
    pub(super) progress_deadline_seconds: u64,
    #[serde(default)]
    pub(super) paused: bool,
    pub(super) template: Template,
}

fn one() -> usize {
    1
}

fn ten_minutes() -> u64 {
    600
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Selector {
    pub(super) match_labels: Labels,
    pub(super) match_expressions: Vec<Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Strategy {
    /// `RollingUpdate` (also when empty) or `Recreate`.
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) rolling_update: RollingUpdate,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RollingUpdate {
    pub(super) max_surge: Option<Amount>,
    pub(super) max_unavailable: Option<Amount>,
}

/// A number of pods, or a share of them such as `25%`; also a port by number or by name.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(untagged)]
pub(super) enum Amount {
    Number(u16),
    Text(String),
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Template {
    pub(super) metadata: Metadata,
    pub(super) spec: PodSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PodSpec {
    pub(super) containers: Vec<Container>,
    pub(super) init_containers: Vec<Value>,
    pub(super) termination_grace_period_seconds: Option<u64>,
    pub(super) security_context: Option<Value>,
    pub(super) volumes: Vec<Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) image: String,
    pub(super) command: Vec<String>,
    pub(super) args: Vec<String>,
    pub(super) working_dir: Option<String>,
    pub(super) env: Vec<EnvVar>,
    pub(super) env_from: Vec<EnvFrom>,
    pub(super) ports: Vec<ContainerPort>,
    pub(super) startup_probe: Option<Probe>,
    pub(super) readiness_probe: Option<Probe>,
    pub(super) liveness_probe: Option<Probe>,
    pub(super) lifecycle: Lifecycle,
    pub(super) resources: Option<Value>,
    pub(super) security_context: Option<Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct EnvVar {
    pub(super) name: String,
    pub(super) value: Option<String>,
    pub(super) value_from: Option<ValueFrom>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ValueFrom {
    pub(super) field_ref: Option<FieldRef>,
    pub(super) config_map_key_ref: Option<KeyRef>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct FieldRef {
    pub(super) field_path: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct KeyRef {
    pub(super) name: String,
    pub(super) key: String,
    pub(super) optional: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct EnvFrom {
    pub(super) prefix: String,
    pub(super) config_map_ref: Option<KeyRef>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ContainerPort {
    pub(super) name: String,
    pub(super) container_port: u16,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Lifecycle {
    pub(super) pre_stop: Option<Hook>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Hook {
    pub(super) sleep: Option<Sleep>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Sleep {
    pub(super) seconds: u64,
}

/// A startup, readiness or liveness probe.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Probe {
    pub(super) http_get: Option<HttpGet>,
    pub(super) tcp_socket: Option<TcpSocket>,
    pub(super) initial_delay_seconds: u64,
    pub(super) period_seconds: Option<u64>,
    pub(super) timeout_seconds: Option<u64>,
    pub(super) success_threshold: Option<u32>,
    pub(super) failure_threshold: Option<u32>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HttpGet {
    #[serde(default)]
    pub(super) path: String,
    pub(super) port: Amount,
    #[serde(default)]
    pub(super) host: String,
    #[serde(default)]
    pub(super) scheme: String,
    #[serde(default)]
    pub(super) http_headers: Vec<Header>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Header {
    pub(super) name: String,
    pub(super) value: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct TcpSocket {
    pub(super) port: Amount,
}

/// A Service (`v1`).
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Service {
    pub(super) metadata: Metadata,
    pub(super) spec: ServiceSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ServiceSpec {
    pub(super) selector: Labels,
    pub(super) ports: Vec<ServicePort>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ServicePort {
    pub(super) port: u16,
    pub(super) target_port: Option<Amount>,
    /// `TCP`, also when empty.
    pub(super) protocol: String,
}

impl Amount {
    /// The number of pods that this is of `total`: shares are rounded up, or down.
    pub(super) fn of(&self, total: usize, round_up: bool) -> Option<usize> {
        let percent: usize = match self {
            Self::Number(number) => return Some(usize::from(*number)),
            Self::Text(text) => text.strip_suffix('%')?.parse().ok()?,
        };
        let hundredths = percent.checked_mul(total)?;
        Some(if round_up { hundredths.div_ceil(100) } else { hundredths / 100 })
    }

    /// The port that this means in `container`.
    pub(super) fn port(&self, container: &Container) -> Option<u16> {
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
pub(super) fn selects(selector: &Labels, labels: &Labels) -> bool {
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
