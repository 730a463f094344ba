//! The Deployment of a release: image, probes, sizes, and rights that it has not.
//!
//! What the model decides (image, annotations, version, memory, times) stands in the Deployment
//! itself, or in a patch of it for each environment.

use super::{MODELKIT_ANNOTATION, MODELKIT_DIGEST_ANNOTATION, head, labels};
use crate::yaml::scalar;
use crate::{ImageRef, Layout, Release, Spread, rules, times};

/// The Deployment, whole or without what each environment has for itself.
pub(super) fn deployment(release: &Release) -> String {
    let (head, pod) = (head(release), pod(release));
    let name = scalar(release.name.as_str());
    let replicas = of_flat(release, || format!("  replicas: {}\n", release.replicas));
    let version = of_flat(release, || version(release, 4));
    let deadline = of_flat(release, || deadline(release));
    format!(
        "apiVersion: apps/v1
kind: Deployment
{head}{version}spec:
{replicas}  revisionHistoryLimit: 3
{deadline}  strategy:
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

/// The patch of the Deployment by which an environment says what it runs.
pub(super) fn patch(release: &Release) -> String {
    let (env, name) = (&release.env, scalar(release.name.as_str()));
    let labels = |indent: usize| match version(release, indent + 2) {
        version if version.is_empty() => version,
        version => format!("{}labels:\n{version}", " ".repeat(indent)),
    };
    let (labels, pod_labels) = (labels(2), labels(6));
    let (deadline, annotations) = (deadline(release), annotations(release));
    let pod_metadata = match format!("{pod_labels}{annotations}") {
        nothing if nothing.is_empty() => nothing,
        something => format!("    metadata:\n{something}"),
    };
    let image = scalar(&release.image.to_string());
    let failures = release.startup().as_secs();
    let (memory, why) = (release.memory(), why_memory(release));
    format!(
        "# What {env} runs. `gitops bump`, `promote` and `rollback` change this file, and no other.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
{labels}spec:
{deadline}  template:
{pod_metadata}    spec:
      containers:
        - name: {CONTAINER}
          image: {image}
          # Loading the model may take {failures} seconds; the other probes start after it.
          startupProbe:
            failureThreshold: {failures}
          resources:
            requests:
              {why}
              memory: {memory}Mi
            limits:
              memory: {memory}Mi
"
    )
}

/// The patch of the Deployment that keeps its pods apart.
pub(super) fn spread(release: &Release) -> String {
    let (name, apart) = (scalar(release.name.as_str()), apart(release));
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
spec:
  template:
    spec:
{apart}"
    )
}

/// The name of the container.
pub(crate) const CONTAINER: &str = "model-runtime";

/// What stands in the Deployment only where no environment has it for itself.
fn of_flat(release: &Release, text: impl FnOnce() -> String) -> String {
    if release.layout == Layout::Flat { text() } else { String::new() }
}

fn deadline(release: &Release) -> String {
    let deadline = release.progress_deadline().as_secs();
    format!(
        "  # A rollout that makes no progress for so long has failed; the old pods keep serving. Flux waits
  # for it before it applies the commit that repairs it.
  progressDeadlineSeconds: {deadline}
"
    )
}

fn pod(release: &Release) -> String {
    let labels = labels(release, 8);
    let version = of_flat(release, || version(release, 8));
    let annotations = of_flat(release, || annotations(release));
    let name = scalar(release.name.as_str());
    let container = container(release);
    let affinity = match release.layout == Layout::Flat && release.replicas > 1 {
        true => apart(release),
        false => String::new(),
    };
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
fn apart(release: &Release) -> String {
    let name = scalar(release.name.as_str());
    if release.spread == Spread::Zones {
        let of = |key: &str| {
            format!(
                "        - topologyKey: {key}
          maxSkew: 1
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels:
              app.kubernetes.io/name: {name}
          matchLabelKeys:
            - pod-template-hash
"
            )
        };
        let (zones, nodes) = (of("topology.kubernetes.io/zone"), of("kubernetes.io/hostname"));
        return format!(
            "      # A zone or a node that goes takes its share of the pods with it, not all. The pods of each
      # rollout are counted by themselves.
      topologySpreadConstraints:
{zones}{nodes}"
        );
    }
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
    let image =
        of_flat(release, || format!("          image: {}\n", scalar(&release.image.to_string())));
    let (port, environment) = (release.port, environment(release));
    let (resources, probes) = (resources(release), probes(release));
    let stop = times::PRE_STOP.as_secs();
    format!(
        "        - name: {CONTAINER}
{image}          imagePullPolicy: IfNotPresent
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
    let loading = of_flat(release, || {
        format!(
            "          # Loading the model may take {failures} seconds; the other probes start after it.\n"
        )
    });
    let failures = of_flat(release, || format!("            failureThreshold: {failures}\n"));
    format!(
        "{loading}          startupProbe:
            httpGet:
              path: /startupz
              port: http
            periodSeconds: {period}
{failures}          # Whether requests should come here now.
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
    let memory = of_flat(release, || format!("              memory: {}Mi\n", release.memory()));
    let why = of_flat(release, || format!("              {}\n", why_memory(release)));
    format!(
        "          resources:
            requests:
              cpu: 250m
{why}{memory}              ephemeral-storage: 64Mi
            limits:
              cpu: \"2\" # the server computes with as many threads
{memory}              ephemeral-storage: 128Mi
"
    )
}

fn why_memory(release: &Release) -> String {
    let weights = release.weight_bytes.div_ceil(1 << 20);
    let beside = crate::release::MEMORY_BESIDE_WEIGHTS;
    format!("# {weights} MiB of weights, and {beside} MiB for whatever clients make it hold")
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
