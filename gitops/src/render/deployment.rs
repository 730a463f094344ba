//! The Deployment of a release: image, probes, sizes, and rights that it has not.
//!
//! What the model decides (image, annotations, version, memory, times) stands in the Deployment
//! itself, or in a patch of it for each environment.

use super::beside::marker;
use super::delivery::{self, Part};
use super::spread::apart;
use super::version::version;
use super::{DELIVERY_ANNOTATION, MODELKIT_ANNOTATION, MODELKIT_DIGEST_ANNOTATION, head, labels};
use crate::yaml::scalar;
use crate::{Delivery, Layout, Release, times};

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
    let image = image(release);
    let failures = release.startup().as_secs();
    let (memory, why) = (release.memory(), why_memory(release));
    let part = Part::Overlay;
    let (init, volumes) = (delivery::init(release, part), delivery::volumes(release, part));
    let variables = match delivery::variables(release, part) {
        nothing if nothing.is_empty() => nothing,
        variables => format!("          env:\n{variables}"),
    };
    let (disk_request, disk_limit) = match release.delivery.disk(release.weight_bytes) {
        0 => Default::default(),
        _ => delivery::disk(release, part),
    };
    format!(
        "# What {env} runs. `gitops bump`, `promote` and `rollback` change this file, and no other.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
{labels}spec:
{deadline}  template:
{pod_metadata}    spec:
{init}      containers:
        - name: {CONTAINER}
          image: {image}
{variables}          # Loading the model may take {failures} seconds; the other probes start after it.
          startupProbe:
            failureThreshold: {failures}
          resources:
            requests:
              {why}
              memory: {memory}Mi
{disk_request}            limits:
              memory: {memory}Mi
{disk_limit}{volumes}"
    )
}

/// A patch of the Deployment that gives its pods' specification this.
pub(super) fn pod_patch(release: &Release, spec: &str) -> String {
    let name = scalar(release.name.as_str());
    // A patch finds its object by the namespace, where that has one.
    let namespace =
        of_flat(release, || format!("  namespace: {}\n", scalar(release.namespace.as_str())));
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
{namespace}spec:
  template:
    spec:
{spec}"
    )
}

/// The image, and by whom it is moved.
fn image(release: &Release) -> String {
    scalar(&release.image.to_string()) + &marker(release, "")
}

/// The name of the container.
pub(crate) const CONTAINER: &str = "model-runtime";

/// KServe looks for a name of its own.
pub(crate) fn container_name(delivery: &Delivery) -> &'static str {
    if matches!(delivery, Delivery::KServe { .. }) { "kserve-container" } else { CONTAINER }
}

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
    let spec = pod_spec(release);
    format!(
        "    metadata:
      labels:
{labels}{version}{annotations}    spec:
{spec}"
    )
}

/// What a pod is made of, whatever makes pods of it.
pub(super) fn pod_spec(release: &Release) -> String {
    let name = scalar(release.name.as_str());
    let container = container(release);
    let affinity = match release.layout == Layout::Flat && release.replicas > 1 {
        true => apart(release),
        false => String::new(),
    };
    let (stop, drain) =
        (times::PRE_STOP.as_secs(), times::drain(release.request_timeout).as_secs());
    let grace = times::grace(release.request_timeout).as_secs();
    let part = Part::of_deployment(release);
    let (init, volumes) = (delivery::init(release, part), delivery::volumes(release, part));
    format!(
        "      serviceAccountName: {name}
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
{affinity}{init}      containers:
{container}{volumes}"
    )
}

fn container(release: &Release) -> String {
    let image = of_flat(release, || format!("          image: {}\n", image(release)));
    let (port, environment) = (release.port, environment(release));
    let (resources, probes) = (resources(release), probes(release));
    let stop = times::PRE_STOP.as_secs();
    let (args, mounts, secured) = (delivery::args(release), delivery::mounts(release), secured());
    let name = container_name(&release.delivery);
    format!(
        "        - name: {name}
{image}          imagePullPolicy: IfNotPresent
{args}          # Why a start has failed stands in the pod's status, not only in the log.
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
{resources}{mounts}{secured}"
    )
}

/// What no container of ours may do.
pub(super) fn secured() -> &'static str {
    "          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities:
              drop:
                - ALL
"
}

/// What the delivery says of the model; then the times that fit this pod's, the port where it is not
/// the image's own, and the variables that were asked for, which come before ours.
fn environment(release: &Release) -> String {
    let mut variables = release.environment.clone();
    let seconds = |time: std::time::Duration| time.as_secs().to_string();
    let times = [
        ("KIT_RS_REQUEST_TIMEOUT", seconds(release.request_timeout)),
        ("KIT_RS_DRAIN_TIMEOUT", seconds(times::drain(release.request_timeout))),
    ];
    let port = (release.port != 8000).then(|| ("KIT_RS_PORT", release.port.to_string()));
    let fixed = delivery::fixed_variables(release);
    for (name, value) in times.into_iter().chain(port).chain(fixed) {
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
    let of_model = delivery::variables(release, Part::of_deployment(release));
    format!("          env:\n{of_model}{lines}")
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
    let (disk_request, disk_limit) = delivery::disk(release, Part::of_deployment(release));
    format!(
        "          resources:
            requests:
              cpu: 250m
{why}{memory}{disk_request}            limits:
              cpu: \"2\" # the server computes with as many threads
{memory}{disk_limit}"
    )
}

fn why_memory(release: &Release) -> String {
    let weights = release.weight_bytes.div_ceil(1 << 20);
    let beside = crate::release::MEMORY_BESIDE_WEIGHTS;
    let twice = match release.delivery.n_loaded() {
        1 => "",
        _ => ", twice while another model takes its place",
    };
    format!("# {weights} MiB of weights{twice}, and {beside} MiB for whatever clients make it hold")
}

pub(super) fn annotations(release: &Release) -> String {
    // Where Flux moves the image, the ModelKit that is named beside it would stay the former one.
    if release.beside.image_policy.is_some() {
        return String::new();
    }
    let (delivery, digest, why) = match release.delivery {
        Delivery::Baked => (
            None,
            release.modelkit_digest.clone(),
            "Which model is inside; the image's digest decides, this is for the reader.",
        ),
        // Which digest its tag names is known to the pods only.
        Delivery::Runtime { .. } => (
            Some("runtime"),
            None,
            "Which tag is followed; the pods tell the digest that they serve.",
        ),
        _ => (
            Some(release.delivery.name()),
            release.modelkit_digest.clone(),
            "Which model is served, and how it comes here.",
        ),
    };
    let pairs = [
        (DELIVERY_ANNOTATION, &delivery.map(str::to_owned)),
        (MODELKIT_ANNOTATION, &release.modelkit),
        (MODELKIT_DIGEST_ANNOTATION, &digest),
    ];
    let lines: String = pairs
        .iter()
        .filter_map(|(key, value)| {
            value.as_ref().map(|value| format!("        {key}: {}\n", scalar(value)))
        })
        .collect();
    match lines.as_str() {
        "" => lines,
        lines => format!("      # {why}\n      annotations:\n{lines}"),
    }
}

/// A text that is quoted even where it need not be: versions and values change, and the next one
/// may look like a number.
pub(super) fn quoted(text: &str) -> String {
    match scalar(text) {
        plain if plain == text => format!("'{plain}'"),
        quoted => quoted,
    }
}
