//! The Deployment of a release: image, probes, sizes, and rights that it has not.

use super::{MODELKIT_ANNOTATION, MODELKIT_DIGEST_ANNOTATION, labels};
use crate::yaml::scalar;
use crate::{ImageRef, Release, rules, times};

pub(super) fn deployment(release: &Release) -> String {
    let (name, namespace) = (scalar(release.name.as_str()), scalar(release.namespace.as_str()));
    let (labels, version) = (labels(release, 4), version(release, 4));
    let replicas = release.replicas;
    let deadline = release.progress_deadline().as_secs();
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
  # A rollout that makes no progress for so long has failed; the old pods keep serving. Flux waits
  # for it before it applies the commit that repairs it.
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
    let (container, affinity) = (container(release), affinity(release));
    let (stop, drain) =
        (times::PRE_STOP.as_secs(), times::drain(release.request_timeout).as_secs());
    let grace = times::grace(release.request_timeout).as_secs();
    format!(
        "    metadata:
      labels:
{labels}{version}{annotations}    spec:
      serviceAccountName: {name}
      automountServiceAccountToken: false
      enableServiceLinks: false
      # preStop ({stop} s) and the requests that have begun ({drain} s) fit into this.
      terminationGracePeriodSeconds: {grace}
      securityContext:
        runAsNonRoot: true
        runAsUser: 65532
        runAsGroup: 65532
        seccompProfile:
          type: RuntimeDefault
{affinity}      containers:
{container}"
    )
}

/// Where there are several pods, they go to different nodes if there are some.
fn affinity(release: &Release) -> String {
    if release.replicas < 2 {
        return String::new();
    }
    let name = scalar(release.name.as_str());
    format!(
        "      affinity:
        podAntiAffinity:
          # A node that goes takes one of the pods with it, not all.
          preferredDuringSchedulingIgnoredDuringExecution:
            - weight: 100
              podAffinityTerm:
                topologyKey: kubernetes.io/hostname
                labelSelector:
                  matchLabels:
                    app.kubernetes.io/name: {name}
"
    )
}

fn container(release: &Release) -> String {
    let image = scalar(&release.image.to_string());
    let (port, environment) = (release.port, environment(release));
    let (resources, probes) = (resources(release), probes(release));
    let stop = times::PRE_STOP.as_secs();
    format!(
        "        - name: model-runtime
          image: {image}
          imagePullPolicy: IfNotPresent
          # Why a start has failed stands in the pod's status, not only in the log.
          terminationMessagePolicy: FallbackToLogsOnError
          ports:
            - name: http
              containerPort: {port}
              protocol: TCP
{environment}{probes}          lifecycle:
            preStop:
              # The Service stops sending requests here before the server is told to stop.
              sleep:
                seconds: {stop}
{resources}          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities:
              drop:
                - ALL
"
    )
}

/// The times that fit this pod's, the port where it is not the image's own, and the variables that
/// were asked for, which come before ours.
fn environment(release: &Release) -> String {
    let mut variables = release.environment.clone();
    let seconds = |time: std::time::Duration| time.as_secs().to_string();
    let times = [
        ("KIT_RS_REQUEST_TIMEOUT", seconds(release.request_timeout)),
        ("KIT_RS_DRAIN_TIMEOUT", seconds(times::drain(release.request_timeout))),
    ];
    let port = (release.port != 8000).then(|| ("KIT_RS_PORT", release.port.to_string()));
    for (name, value) in times.into_iter().chain(port) {
        variables.entry(name.to_owned()).or_insert(value);
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
    format!("          env:\n{lines}")
}

fn probes(release: &Release) -> String {
    let (period, failures) = (times::STARTUP_PERIOD, release.startup().as_secs());
    let times::Probe { period: ready, timeout: ready_within, failures: not_ready } =
        times::READINESS;
    let times::Probe { period: live, timeout: live_within, failures: dead } = times::LIVENESS;
    let grace = times::MARGIN.as_secs();
    format!(
        "          # Loading the model may take {failures} seconds; the other probes start after it.
          startupProbe:
            httpGet:
              path: /startupz
              port: http
            periodSeconds: {period}
            failureThreshold: {failures}
          # Whether requests should come here now.
          readinessProbe:
            httpGet:
              path: /readyz
              port: http
            periodSeconds: {ready}
            timeoutSeconds: {ready_within}
            failureThreshold: {not_ready}
          # Whether only a restart would help; what hangs gets no time to say goodbye.
          livenessProbe:
            httpGet:
              path: /livez
              port: http
            periodSeconds: {live}
            timeoutSeconds: {live_within}
            failureThreshold: {dead}
            terminationGracePeriodSeconds: {grace}
"
    )
}

fn resources(release: &Release) -> String {
    let memory = release.memory();
    let weights = release.weight_bytes.div_ceil(1 << 20);
    let beside = crate::release::MEMORY_BESIDE_WEIGHTS;
    format!(
        "          resources:
            requests:
              cpu: 250m
              # {weights} MiB of weights, and {beside} MiB for whatever clients make it hold
              memory: {memory}Mi
              ephemeral-storage: 64Mi
            limits:
              cpu: \"2\" # the server computes with as many threads
              memory: {memory}Mi
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

/// The version label.
fn version(release: &Release, indent: usize) -> String {
    match version_of(&release.image) {
        Some(version) => {
            let pad = " ".repeat(indent);
            format!("{pad}app.kubernetes.io/version: {}\n", quoted(&version))
        }
        None => String::new(),
    }
}

/// What the version label says of an image: its tag where that can be a label's value, else the
/// beginning of its digest.
pub(crate) fn version_of(image: &ImageRef) -> Option<String> {
    let tag = image.tag.clone().filter(|tag| rules::label_value(tag).is_ok());
    let digest = image.digest.as_deref().and_then(|digest| digest.split_once(':'));
    tag.or_else(|| digest.map(|(_, hex)| hex.chars().take(12).collect()))
}

/// A text that is quoted even where it need not be: versions and values change, and the next one
/// may look like a number.
fn quoted(text: &str) -> String {
    match scalar(text) {
        plain if plain == text => format!("'{plain}'"),
        quoted => quoted,
    }
}
