//! The Deployment of a release: image, probes, sizes, and rights that it has not.

use super::{MODELKIT_ANNOTATION, MODELKIT_DIGEST_ANNOTATION, labels};
use crate::Release;
use crate::yaml::scalar;

/// How often the startup probe asks, in seconds.
const STARTUP_PERIOD: u64 = 2;

pub(super) fn deployment(release: &Release) -> String {
    let (name, namespace) = (scalar(release.name.as_str()), scalar(release.namespace.as_str()));
    let (labels, version) = (labels(release, 4), version(release, 4));
    let replicas = release.replicas;
    let deadline = release.progress_deadline.as_secs().max(1);
    let pod = pod(release);
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
  namespace: {namespace}
  labels:
{labels}{version}spec:
  replicas: {replicas}
  revisionHistoryLimit: 3
  # A rollout that makes no progress for so long has failed; the old pods keep serving.
  progressDeadlineSeconds: {deadline}
  strategy:
    type: RollingUpdate
    rollingUpdate:
      # The new pod is ready before an old one goes.
      maxSurge: 1
      maxUnavailable: 0
  selector:
    matchLabels:
      app.kubernetes.io/name: {name}
  template:
{pod}"
    )
}

fn pod(release: &Release) -> String {
    let labels = labels(release, 8);
    let (version, annotations) = (version(release, 8), annotations(release));
    let name = scalar(release.name.as_str());
    let container = container(release);
    format!(
        "    metadata:
      labels:
{labels}{version}{annotations}    spec:
      serviceAccountName: {name}
      automountServiceAccountToken: false
      enableServiceLinks: false
      # preStop and the requests that are still being answered have to fit into this.
      terminationGracePeriodSeconds: 45
      securityContext:
        runAsNonRoot: true
        runAsUser: 65532
        runAsGroup: 65532
        fsGroup: 65532
        seccompProfile:
          type: RuntimeDefault
      containers:
{container}      volumes:
        - name: tmp
          emptyDir:
            sizeLimit: 64Mi
"
    )
}

fn container(release: &Release) -> String {
    let image = scalar(&release.image.to_string());
    let (port, environment) = (release.port, environment(release));
    let (resources, probes) = (resources(release), probes(release));
    format!(
        "        - name: model-runtime
          image: {image}
          imagePullPolicy: IfNotPresent
          ports:
            - name: http
              containerPort: {port}
              protocol: TCP
{environment}{probes}          lifecycle:
            preStop:
              # The Service stops sending requests here before the server is told to stop.
              sleep:
                seconds: 5
{resources}          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities:
              drop:
                - ALL
          volumeMounts:
            - name: tmp
              mountPath: /tmp
"
    )
}

/// The variables that were asked for, and the port where it is not the image's own.
fn environment(release: &Release) -> String {
    let mut variables = release.environment.clone();
    if release.port != 8000 {
        variables.entry("KIT_RS_PORT".to_owned()).or_insert_with(|| release.port.to_string());
    }
    let lines: String = variables
        .iter()
        .map(|(name, value)| {
            format!(
                "            - name: {}\n              value: {}\n",
                scalar(name),
                quoted(value)
            )
        })
        .collect();
    match lines.as_str() {
        "" => lines,
        lines => format!("          env:\n{lines}"),
    }
}

fn probes(release: &Release) -> String {
    let failures = release.startup.as_secs().div_ceil(STARTUP_PERIOD).max(1);
    format!(
        "          # Loading the model may take {STARTUP_PERIOD} × {failures} seconds; the other probes start after it.
          startupProbe:
            httpGet:
              path: /startupz
              port: http
            periodSeconds: {STARTUP_PERIOD}
            failureThreshold: {failures}
          # Whether requests should come here now.
          readinessProbe:
            httpGet:
              path: /readyz
              port: http
            periodSeconds: 5
            timeoutSeconds: 2
            failureThreshold: 2
          # Whether only a restart would help.
          livenessProbe:
            httpGet:
              path: /livez
              port: http
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 3
"
    )
}

fn resources(release: &Release) -> String {
    let (request, limit) = (release.memory_request(), release.memory_limit());
    let weights = release.weight_bytes.div_ceil(1 << 20);
    format!(
        "          resources:
            requests:
              cpu: 250m
              memory: {request}Mi # 1.5 × {weights} MiB of weights + 256 MiB
              ephemeral-storage: 64Mi
            limits:
              cpu: \"2\" # the server computes with as many threads
              memory: {limit}Mi
              ephemeral-storage: 128Mi
"
    )
}

fn annotations(release: &Release) -> String {
    let pairs = [
        (MODELKIT_ANNOTATION, &release.modelkit),
        (MODELKIT_DIGEST_ANNOTATION, &release.modelkit_digest),
    ];
    let lines: String = pairs
        .iter()
        .filter_map(|(key, value)| {
            value.as_ref().map(|value| format!("        {key}: {}\n", scalar(value)))
        })
        .collect();
    match lines.as_str() {
        "" => lines,
        lines => format!(
            "      # Which model is inside; the image's digest decides, this is for the reader.\n      annotations:\n{lines}"
        ),
    }
}

/// The version label, where the image's tag can be one.
fn version(release: &Release, indent: usize) -> String {
    match release.image.tag.as_deref().filter(|tag| is_label_value(tag)) {
        Some(tag) => format!("{}app.kubernetes.io/version: {}\n", " ".repeat(indent), quoted(tag)),
        None => String::new(),
    }
}

/// Whether a text can be the value of a label: at most 63 characters, a letter or digit at both
/// ends.
pub(crate) fn is_label_value(text: &str) -> bool {
    let ends = |c: char| c.is_ascii_alphanumeric();
    text.len() <= 63
        && text.starts_with(ends)
        && text.ends_with(ends)
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// A text that is quoted even where it need not be: versions and values change, and the next one
/// may look like a number.
fn quoted(text: &str) -> String {
    match scalar(text) {
        plain if plain == text => format!("'{plain}'"),
        quoted => quoted,
    }
}
