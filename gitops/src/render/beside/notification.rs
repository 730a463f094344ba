//! Flux' notifications, in both directions: who tells it that there is something new, and whom it
//! tells what it did.

use super::{api_version, head};
use crate::yaml::scalar;
use crate::{Alert, Release, Source, render};

const GROUP: &str = "notification.toolkit.fluxcd.io";

/// Types of Receivers of forges, with the events that they are to look at.
const FORGES: [(&str, &[&str]); 3] = [
    ("github", &["ping", "push"]),
    ("gitlab", &["Push Hook", "Tag Push Hook"]),
    ("bitbucket", &["repo:refs_changed"]),
];

/// Types of Receivers of registries.
const REGISTRIES: [&str; 6] = ["dockerhub", "quay", "gcr", "acr", "harbor", "nexus"];

/// Types of Providers that need no more than an address.
const OPEN: [&str; 10] = [
    "alertmanager",
    "discord",
    "generic",
    "googlechat",
    "lark",
    "msteams",
    "otel",
    "pagerduty",
    "rocket",
    "slack",
];

/// What a Receiver of this type makes Flux look at.
pub(super) fn resources(release: &Release, kind: &str) -> Vec<(&'static str, String)> {
    let name = render::flux::name(release);
    let of_git = ("GitRepository", "flux-system".to_owned());
    let of_source = release.source.as_ref().map(|source| (source.kind(), name));
    let of_image =
        release.beside.image_policy.as_ref().map(|_| ("ImageRepository", release.app.to_string()));
    if FORGES.iter().any(|(forge, _)| *forge == kind) {
        return vec![of_git];
    }
    if REGISTRIES.contains(&kind) {
        let is_oci = matches!(release.source, Some(Source::Oci(_)));
        return of_source.filter(|_| is_oci).into_iter().chain(of_image).collect();
    }
    [of_source.unwrap_or(of_git)].into_iter().chain(of_image).collect()
}

pub(super) fn receiver(release: &Release, kind: &str) -> String {
    let name = format!("{}-receiver", release.app);
    let (head, secret) = (head(release, release.app.as_str()), scalar(&name));
    let events = FORGES.iter().find(|(forge, _)| *forge == kind).map_or(&[][..], |(_, it)| it);
    let events = match events {
        [] => String::new(),
        events => {
            let lines: String =
                events.iter().map(|event| format!("    - {}\n", scalar(event))).collect();
            format!("  events:\n{lines}")
        }
    };
    let resources: String = resources(release, kind)
        .into_iter()
        .map(|(kind, name)| format!("    - kind: {kind}\n      name: {}\n", scalar(&name)))
        .collect();
    let (api, kind) = (api_version(GROUP, "Receiver", release.flux), scalar(kind));
    format!(
        "# Whoever calls the path in its status makes Flux look at once, not at its next interval.
apiVersion: {api}
kind: Receiver
{head}spec:
  type: {kind}
{events}  # What has the token in it that callers have to know.
  secretRef:
    name: {secret}
  resources:
{resources}"
    )
}

/// Whether a Provider needs a Secret.
pub(super) fn needs_secret(alert: &Alert) -> bool {
    alert.address.is_none() || !OPEN.contains(&alert.provider.as_str())
}

pub(super) fn alert(release: &Release, alert: &Alert) -> String {
    let (head, name) = (head(release, release.app.as_str()), scalar(release.app.as_str()));
    let address = alert
        .address
        .as_ref()
        .map_or(String::new(), |address| format!("  address: {}\n", scalar(address)));
    let secret = match needs_secret(alert) {
        true => {
            let secret = scalar(&format!("{}-alert", release.app));
            format!(
                "  # What has the address or the token in it.\n  secretRef:\n    name: {secret}\n"
            )
        }
        false => String::new(),
    };
    let of_app = ("Kustomization", render::flux::name(release));
    let of_source =
        release.source.as_ref().map(|source| (source.kind(), render::flux::name(release)));
    let of_image = release
        .beside
        .image_policy
        .as_ref()
        .map(|_| ("ImageUpdateAutomation", release.app.to_string()));
    let sources: String = [Some(of_app), of_source, of_image]
        .into_iter()
        .flatten()
        .map(|(kind, name)| format!("    - kind: {kind}\n      name: {}\n", scalar(&name)))
        .collect();
    let provider = scalar(&alert.provider);
    let api = |kind| api_version(GROUP, kind, release.flux);
    let (of_provider, of_alert) = (api("Provider"), api("Alert"));
    format!(
        "# Who is told what Flux did with this app.
apiVersion: {of_provider}
kind: Provider
{head}spec:
  type: {provider}
{address}{secret}---
apiVersion: {of_alert}
kind: Alert
{head}spec:
  providerRef:
    name: {name}
  eventSeverity: info
  eventSources:
{sources}"
    )
}
