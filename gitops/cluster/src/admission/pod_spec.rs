//! What an API server refuses of a pod's spec, and what this stand-in cannot run of it.

use std::collections::BTreeSet;

use super::metadata::{invalid, label_problems};
use crate::spec::{Container, PodSpec, Probe};

const PATH: &str = "spec.template.spec";

/// Everything that is wrong with the spec of a Deployment's pods.
pub(super) fn problems(pod: &PodSpec) -> Vec<String> {
    let mut problems = Vec::new();
    if let Some(policy) = pod.restart_policy.as_deref().filter(|it| *it != "Always") {
        let why = format!("Unsupported value: \"{policy}\": supported values: \"Always\"");
        problems.push(format!("{PATH}.restartPolicy: {why}"));
    }
    for (n, volume) in pod.volumes.iter().enumerate() {
        let field = format!("{PATH}.volumes[{n}].name");
        let names = label_problems(&volume.name);
        problems.extend(names.iter().map(|why| invalid(&field, &volume.name, why)));
    }
    let init = pod.init_containers.iter().enumerate().map(|(n, it)| ("initContainers", n, it));
    let main = pod.containers.iter().enumerate().map(|(n, it)| ("containers", n, it));
    let mut names = BTreeSet::new();
    for (list, n, it) in init.chain(main) {
        let field = format!("{PATH}.{list}[{n}]");
        problems.extend(
            label_problems(&it.name)
                .iter()
                .map(|why| invalid(&format!("{field}.name"), &it.name, why)),
        );
        if !names.insert(&it.name) {
            problems.push(format!("{field}.name: Duplicate value: \"{}\"", it.name));
        }
        if it.image.is_empty() {
            problems.push(format!("{field}.image: Required value"));
        }
        for (m, mount) in it.volume_mounts.iter().enumerate() {
            if pod.volumes.iter().all(|volume| volume.name != mount.name) {
                let name = &mount.name;
                problems.push(format!("{field}.volumeMounts[{m}].name: Not found: \"{name}\""));
            }
            if !mount.sub_path.is_empty() || !mount.sub_path_expr.is_empty() {
                let why = "this stand-in knows no subPath";
                problems.push(format!("{field}.volumeMounts[{m}]: {why}"));
            }
        }
        problems.extend(policy(list, it).map(|why| format!("{field}.{why}")));
        problems.extend(probes(it).map(|why| format!("{field}.{why}")));
    }
    problems
}

/// What is wrong with when a container is started again, and with what needs it to run on.
fn policy<'a>(list: &str, container: &'a Container) -> impl Iterator<Item = String> + use<'a> {
    let is_init = list == "initContainers";
    let unknown = match container.restart_policy.as_deref() {
        None => None,
        Some("Always") if is_init => None,
        Some(_) => Some("restartPolicy: this stand-in knows Always, of initContainers".to_owned()),
    };
    let runs_once = is_init && container.restart_policy.is_none();
    let lifecycle = &container.lifecycle;
    let set = [
        ("lifecycle", lifecycle.pre_stop.is_some() || lifecycle.post_start.is_some()),
        ("livenessProbe", container.liveness_probe.is_some()),
        ("readinessProbe", container.readiness_probe.is_some()),
        ("startupProbe", container.startup_probe.is_some()),
    ];
    let forbidden = set.into_iter().filter(move |(_, is_set)| runs_once && *is_set);
    let why = "may not be set for init containers without restartPolicy=Always";
    unknown.into_iter().chain(forbidden.map(move |(name, _)| format!("{name}: Forbidden: {why}")))
}

/// Probes that are not known here.
fn probes(container: &Container) -> impl Iterator<Item = String> {
    let probes = [
        ("startupProbe", &container.startup_probe),
        ("readinessProbe", &container.readiness_probe),
        ("livenessProbe", &container.liveness_probe),
    ];
    let unknown = probes
        .into_iter()
        .filter(|(_, probe)| probe.as_ref().is_some_and(|probe| !is_known(probe)));
    unknown.map(|(name, _)| {
        format!("{name}: this stand-in knows tcpSocket, and httpGet of the pod itself")
    })
}

fn is_known(probe: &Probe) -> bool {
    match (&probe.http_get, &probe.tcp_socket) {
        (Some(http), None) => http.host.is_empty() && matches!(http.scheme.as_str(), "" | "HTTP"),
        (None, Some(_)) => true,
        _ => false,
    }
}
