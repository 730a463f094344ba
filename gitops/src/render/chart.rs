//! An application that is an instance of a chart of the user's: where the chart is, and the
//! HelmRelease with what follows from the model in the values that the charts of `helm create` read.

use super::{MODELKIT_ANNOTATION, MODELKIT_DIGEST_ANNOTATION};
use crate::flux::format_duration;
use crate::yaml::scalar;
use crate::{Chart, Release, Violation, times};

/// The files of the application's folder.
pub(super) fn files(release: &Release, chart: &Chart) -> Vec<(&'static str, String)> {
    vec![("chart.yaml", source(release, chart)), ("helmrelease.yaml", instance(release, chart))]
}

/// What a chart's values cannot say.
pub(crate) fn violations(release: &Release) -> Vec<Violation> {
    let Some(chart) = &release.chart else { return Vec::new() };
    let asked = [
        (
            release.layout != crate::Layout::Flat,
            "the layout is that of the chart: it needs the layout flat",
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

fn head(release: &Release) -> String {
    let (name, namespace) = (scalar(release.app.as_str()), scalar(release.namespace.as_str()));
    let labels = super::labels(release, 4);
    format!("metadata:\n  name: {name}\n  namespace: {namespace}\n  labels:\n{labels}")
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
    let timeout = format_duration(release.progress_deadline());
    let values = values(release);
    format!(
        "apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
{head}spec:
  interval: {interval}
  # Image pull and startup of a pod fit into this.
  timeout: {timeout}
  releaseName: {name}
{reference}  # What fails is taken back, so that the former release serves.
  upgrade:
    remediation:
      retries: 1
      remediateLastFailure: true
  values:
{values}"
    )
}

fn values(release: &Release) -> String {
    let (name, repository) = (scalar(release.name.as_str()), scalar(&release.image.name));
    // Charts put a colon between the two, so the digest goes with the tag.
    let tag = scalar(&tag(&release.image));
    let (replicas, port, memory) = (release.replicas, release.port, release.memory());
    let secrets = release.pull_secret.as_ref().map_or(String::new(), |secret| {
        format!("    imagePullSecrets:\n      - name: {}\n", scalar(secret.as_str()))
    });
    let annotations: String = [
        (MODELKIT_ANNOTATION, &release.modelkit),
        (MODELKIT_DIGEST_ANNOTATION, &release.modelkit_digest),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some(format!("      {key}: {}\n", scalar(value.as_ref()?))))
    .collect();
    let annotations = match annotations.as_str() {
        "" => annotations,
        lines => format!("    podAnnotations:\n{lines}"),
    };
    let (startup, grace) =
        (release.startup().as_secs(), times::grace(release.request_timeout).as_secs());
    let (ready, live) = (times::READINESS, times::LIVENESS);
    let (request, drain) =
        (release.request_timeout.as_secs(), times::drain(release.request_timeout).as_secs());
    format!(
        "    fullnameOverride: {name}
    replicaCount: {replicas}
    image:
      repository: {repository}
      tag: {tag}
      pullPolicy: IfNotPresent
{secrets}{annotations}    serviceAccount:
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
    service:
      type: ClusterIP
      port: {port}
    resources:
      requests:
        cpu: 250m
        memory: {memory}Mi
      limits:
        memory: {memory}Mi
    readinessProbe:
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
      # A chart without a startupProbe asks once the model is loaded.
      initialDelaySeconds: {startup}
      periodSeconds: {}
      timeoutSeconds: {}
      failureThreshold: {}
    # What follows is for charts that know more than those of `helm create`.
    startupProbe:
      httpGet:
        path: /startupz
        port: http
      periodSeconds: {}
      failureThreshold: {startup}
    terminationGracePeriodSeconds: {grace}
    env:
      - name: KIT_RS_DRAIN_TIMEOUT
        value: '{drain}'
      - name: KIT_RS_PORT
        value: '{port}'
      - name: KIT_RS_REQUEST_TIMEOUT
        value: '{request}'
",
        ready.period,
        ready.timeout,
        ready.failures,
        live.period,
        live.timeout,
        live.failures,
        times::STARTUP_PERIOD,
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
