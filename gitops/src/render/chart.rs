//! An application that is an instance of a chart of the user's: where the chart is, and the
//! HelmRelease with what follows from the model in the values that the charts of `helm create` read.

use super::delivery::Part;
use super::{MODELKIT_ANNOTATION, MODELKIT_DIGEST_ANNOTATION};
use crate::flux::format_duration;
use crate::yaml::scalar;
use crate::{Chart, Release, Violation, times};

/// The files of the application's folder, or of its base.
pub(super) fn files(release: &Release, chart: &Chart) -> Vec<(&'static str, String)> {
    vec![("chart.yaml", source(release, chart)), ("helmrelease.yaml", instance(release, chart))]
}

/// What a chart's values cannot say.
pub(crate) fn violations(release: &Release) -> Vec<Violation> {
    let Some(chart) = &release.chart else { return Vec::new() };
    let asked = [
        (release.is_tenant, "which objects its account may make is known of no chart"),
        (
            !release.components.is_empty(),
            "what an environment adds to it are values of the chart: it takes no components",
        ),
        (!release.environment.is_empty(), "its containers get no further variables by it"),
        (release.spread != crate::Spread::Nodes, "what keeps its pods apart is the chart's to say"),
        (
            release.beside.image_policy.is_some(),
            "Flux cannot move its image with the digest, which stands in the tag: it needs no --image-policy",
        ),
    ];
    let refuse = |reason: &str| Violation {
        field: "chart",
        value: chart.to_string(),
        reason: reason.to_owned(),
    };
    asked.into_iter().filter(|(is_asked, _)| *is_asked).map(|(_, reason)| refuse(reason)).collect()
}

/// The metadata of its objects, which are called as the application is.
fn head(release: &Release) -> String {
    super::head_as(release, &release.app)
}

/// Where Flux fetches the chart from.
fn source(release: &Release, chart: &Chart) -> String {
    let head = head(release);
    let secret = match (&release.pull_secret, chart.is_oci()) {
        (Some(secret), true) => format!("  secretRef:\n    name: {}\n", scalar(secret.as_str())),
        _ => String::new(),
    };
    if !chart.is_oci() {
        let url = scalar(&chart.repository);
        return format!(
            "apiVersion: source.toolkit.fluxcd.io/v1
kind: HelmRepository
{head}spec:
  interval: 1h0m0s
  url: {url}
"
        );
    }
    let url = scalar(&format!("{}/{}", chart.repository, chart.name));
    let range = scalar(&chart.version.to_string());
    let insecure = match chart.insecure {
        true => "  # The registry speaks plain HTTP.\n  insecure: true\n",
        false => "",
    };
    format!(
        "apiVersion: source.toolkit.fluxcd.io/v1
kind: OCIRepository
{head}spec:
  interval: 1h0m0s
  url: {url}
  ref:
    semver: {range}
  # The chart, as Helm takes it.
  layerSelector:
    mediaType: application/vnd.cncf.helm.chart.content.v1.tar+gzip
    operation: copy
{insecure}{secret}"
    )
}

/// The HelmRelease, whole or without what each environment has for itself.
fn instance(release: &Release, chart: &Chart) -> String {
    let (head, name) = (head(release), scalar(release.name.as_str()));
    let app = scalar(release.app.as_str());
    let reference = match chart.is_oci() {
        true => format!("  chartRef:\n    kind: OCIRepository\n    name: {app}\n"),
        false => {
            let (chart, version) = (scalar(&chart.name), scalar(&chart.version.to_string()));
            format!(
                "  chart:
    spec:
      chart: {chart}
      version: {version}
      sourceRef:
        kind: HelmRepository
        name: {app}
"
            )
        }
    };
    let interval = format_duration(release.interval);
    let part = Part::of_deployment(release);
    let timeout = if part.has_model() { timeout(release) } else { String::new() };
    let values = values(release, part);
    format!(
        "apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
{head}spec:
  interval: {interval}
{timeout}  releaseName: {name}
{reference}  # What fails is taken back, so that the former release serves.
  upgrade:
    remediation:
      retries: 1
      remediateLastFailure: true
  values:
{values}"
    )
}

/// The patch of the HelmRelease by which an environment says what it runs.
pub(super) fn patch(release: &Release) -> String {
    let (env, app) = (&release.env, scalar(release.app.as_str()));
    let (timeout, values) = (timeout(release), values(release, Part::Overlay));
    format!(
        "# What {env} runs. `gitops bump`, `promote` and `rollback` change this file, and no other.
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata:
  name: {app}
spec:
{timeout}  values:
{values}"
    )
}

fn timeout(release: &Release) -> String {
    let timeout = format_duration(release.helm_timeout());
    format!(
        "  # Image pull and startup of all pods fit into this; a quarter of them comes at a time.
  timeout: {timeout}
"
    )
}

/// The values: what the model decides, and what stays the same.
fn values(release: &Release, part: Part) -> String {
    let of_model = |text: String| if part.has_model() { text } else { String::new() };
    let rest = |text: String| if part.has_rest() { text } else { String::new() };
    let (name, repository) = (scalar(release.name.as_str()), scalar(&release.image.name));
    // Charts put a colon between the two, so the digest goes with the tag.
    let tag = scalar(&tag(&release.image));
    let (replicas, port, memory) = (release.replicas, release.port, release.memory());
    let named = rest(format!("    fullnameOverride: {name}\n"));
    let replicas = of_model(format!("    replicaCount: {replicas}\n"));
    let image = of_model(format!("      repository: {repository}\n      tag: {tag}\n"));
    let pulled = rest("      pullPolicy: IfNotPresent\n".to_owned());
    let secrets = release.pull_secret.as_ref().map_or(String::new(), |secret| {
        format!("    imagePullSecrets:\n      - name: {}\n", scalar(secret.as_str()))
    });
    let (secrets, annotations) = (rest(secrets), of_model(annotations(release)));
    let rights = rest(format!("{RIGHTS}    service:\n      type: ClusterIP\n      port: {port}\n"));
    let cpu = rest("        cpu: 250m\n".to_owned());
    let memory = of_model(format!("        memory: {memory}Mi\n"));
    let limits = of_model(format!("      limits:\n{memory}"));
    let probes = probes(release, part);
    let (request, drain) =
        (release.request_timeout.as_secs(), times::drain(release.request_timeout).as_secs());
    let grace = times::grace(release.request_timeout).as_secs();
    let env = rest(format!(
        "    terminationGracePeriodSeconds: {grace}
    env:
      - name: KIT_RS_DRAIN_TIMEOUT
        value: '{drain}'
      - name: KIT_RS_PORT
        value: '{port}'
      - name: KIT_RS_REQUEST_TIMEOUT
        value: '{request}'
"
    ));
    format!(
        "{named}{replicas}    image:
{image}{pulled}{secrets}{annotations}{rights}    resources:
      requests:
{cpu}{memory}{limits}{probes}{env}"
    )
}

/// Which ModelKit it serves, where the chart puts it on the pods.
fn annotations(release: &Release) -> String {
    let annotations: String = [
        (MODELKIT_ANNOTATION, &release.modelkit),
        (MODELKIT_DIGEST_ANNOTATION, &release.modelkit_digest),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some(format!("      {key}: {}\n", scalar(value.as_ref()?))))
    .collect();
    match annotations.as_str() {
        "" => annotations,
        lines => format!("    podAnnotations:\n{lines}"),
    }
}

/// What the containers have not.
const RIGHTS: &str = "    serviceAccount:
      create: true
      automount: false
    podSecurityContext:
      runAsNonRoot: true
      runAsUser: 65532
      runAsGroup: 65532
      seccompProfile:
        type: RuntimeDefault
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities:
        drop:
          - ALL
";

/// How long loading takes is the model's; what is asked stays the same.
fn probes(release: &Release, part: Part) -> String {
    let startup = release.startup().as_secs();
    let delay = "      # A chart without a startupProbe asks once the model is loaded.\n";
    let more = "    # What follows is for charts that know more than those of `helm create`.\n";
    if part == Part::Overlay {
        return format!(
            "    livenessProbe:
{delay}      initialDelaySeconds: {startup}
{more}    startupProbe:
      failureThreshold: {startup}
"
        );
    }
    let delay = match part.has_model() {
        true => format!("{delay}      initialDelaySeconds: {startup}\n"),
        false => String::new(),
    };
    let failures = match part.has_model() {
        true => format!("      failureThreshold: {startup}\n"),
        false => String::new(),
    };
    let (ready, live, period) = (times::READINESS, times::LIVENESS, times::STARTUP_PERIOD);
    format!(
        "    readinessProbe:
      httpGet:
        path: /readyz
        port: http
      periodSeconds: {}
      timeoutSeconds: {}
      failureThreshold: {}
    livenessProbe:
      httpGet:
        path: /livez
        port: http
{delay}      periodSeconds: {}
      timeoutSeconds: {}
      failureThreshold: {}
{more}    startupProbe:
      httpGet:
        path: /startupz
        port: http
      periodSeconds: {period}
{failures}",
        ready.period, ready.timeout, ready.failures, live.period, live.timeout, live.failures,
    )
}

/// The tag of an image with its digest, as a chart's value.
pub(crate) fn tag(image: &crate::ImageRef) -> String {
    let tag = image.tag.as_deref().unwrap_or("latest");
    match &image.digest {
        Some(digest) => format!("{tag}@{digest}"),
        None => tag.to_owned(),
    }
}
