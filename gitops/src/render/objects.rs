//! The objects of an application, but for its Deployment.

use super::{KEPT, delivery, head, labels};
use crate::yaml::scalar;
use crate::{Layout, NamespaceUse, Release};

/// The labels of a namespace whose API server refuses every pod that asks for more than it needs.
pub(super) const RESTRICTED: [(&str, &str); 2] = [
    ("pod-security.kubernetes.io/enforce", "restricted"),
    ("pod-security.kubernetes.io/warn", "restricted"),
];

pub(super) fn namespace(release: &Release) -> String {
    let name = scalar(release.namespace.as_str());
    let (kept, disabled) = KEPT;
    // A namespace that several applications share is no one's part; nor is one that the cluster's
    // folder has.
    let is_own = release.namespace_use != NamespaceUse::Shared && release.layout == Layout::Flat;
    let (annotations, labels) = match is_own {
        true => (String::new(), labels(release, 4)),
        false => (
            format!(
                "  annotations:
    # Others may live here: Flux never deletes it.
    {kept}: {disabled}
"
            ),
            String::new(),
        ),
    };
    let restricted: String =
        RESTRICTED.iter().map(|(key, value)| format!("    {key}: {value}\n")).collect();
    format!(
        "apiVersion: v1
kind: Namespace
metadata:
  name: {name}
{annotations}  labels:
{labels}    # The API server refuses every pod here that asks for more than it needs.
{restricted}"
    )
}

pub(super) fn service_account(release: &Release) -> String {
    let head = head(release);
    let secrets = release.pull_secret.as_ref().map_or(String::new(), |secret| {
        format!("imagePullSecrets:\n  - name: {}\n", scalar(secret.as_str()))
    });
    format!(
        "apiVersion: v1
kind: ServiceAccount
{head}# A model server has nothing to ask of the Kubernetes API.
automountServiceAccountToken: false
{secrets}"
    )
}

pub(super) fn service(release: &Release) -> String {
    let (head, name) = (head(release), scalar(release.name.as_str()));
    let port = release.port;
    format!(
        "apiVersion: v1
kind: Service
{head}spec:
  selector:
    app.kubernetes.io/name: {name}
  ports:
    - name: http
      port: {port}
      targetPort: http
      protocol: TCP
"
    )
}

pub(super) fn network_policy(release: &Release) -> String {
    let (head, name) = (head(release), scalar(release.name.as_str()));
    let port = release.port;
    // Variables of OpenTelemetry name where spans are sent.
    let egress = match release.environment.keys().any(|name| name.starts_with("OTEL_")) {
        true => {
            "  # Spans are sent to wherever OTEL_EXPORTER_OTLP_ENDPOINT says.\n  egress:\n    - {}\n"
                .to_owned()
        }
        false => delivery::egress(release),
    };
    format!(
        "apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
{head}spec:
  podSelector:
    matchLabels:
      app.kubernetes.io/name: {name}
  policyTypes:
    - Ingress
    - Egress
  # Whoever may reach the Service may ask; add `from` to say who that is.
  ingress:
    - ports:
        - port: {port}
          protocol: TCP
{egress}"
    )
}

/// `limit` says how many pods may go, or have to stay.
pub(super) fn disruption_budget(release: &Release, limit: &str) -> String {
    let (head, name) = (head(release), scalar(release.name.as_str()));
    format!(
        "apiVersion: policy/v1
kind: PodDisruptionBudget
{head}spec:
  # Nodes are drained one pod at a time.
  {limit}
  # A pod that never became ready holds up no drain.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      app.kubernetes.io/name: {name}
"
    )
}
