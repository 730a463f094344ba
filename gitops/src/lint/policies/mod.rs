//! The named policies, in one table: what each asks for, why, and whose it is too.

mod availability;
mod flux;
mod images;
mod model;
mod resources;
mod security;
mod wiring;

pub(super) use flux::{branches, builds, timeouts};

use super::Options;
use super::pod::{Container, Pod};
use super::scope::Scope;
use crate::{Object, Severity};

/// A policy with a name.
#[derive(Clone, Copy)]
pub struct Policy {
    /// What it is called, in options, annotations and answers.
    pub id: &'static str,
    /// Why it is asked, in a sentence.
    pub why: &'static str,
    /// How bad it is not to follow it.
    pub severity: Severity,
    /// Whether it is asked where nobody says which ones are.
    pub is_default: bool,
    /// The same in other tools: the tool, and its name for it.
    pub peers: &'static [(&'static str, &'static str)],
    pub(super) check: Check,
}

/// What a policy looks at.
#[derive(Clone, Copy)]
pub(super) enum Check {
    Pod(fn(&Pod<'_>) -> Vec<Issue>),
    Container(fn(&Pod<'_>, &Container<'_>) -> Vec<Issue>),
    Object(fn(&Object, &Scope<'_>) -> Vec<Issue>),
    /// An object of which the weights are known, in bytes.
    Model(fn(&Object, &Pod<'_>, &Container<'_>, u64) -> Vec<Issue>),
    /// Files, builds or the tree as a whole; it has its own place.
    Tree,
}

/// What is wrong, and where: a JSON pointer.
pub(super) type Issue = (String, String);

/// One issue, if something is wrong.
fn issue(is_wrong: bool, at: impl Into<String>, message: impl Into<String>) -> Vec<Issue> {
    if is_wrong { vec![(at.into(), message.into())] } else { Vec::new() }
}

/// All policies.
pub fn policies() -> &'static [Policy] {
    &POLICIES
}

const E: Severity = Severity::Error;
const W: Severity = Severity::Warning;

macro_rules! policies {
    ($($id:literal $severity:ident $is_default:literal $check:expr, $why:literal, [$($tool:ident $name:literal)*];)*) => {
        [$(Policy {
            id: $id,
            why: $why,
            severity: $severity,
            is_default: $is_default,
            peers: &[$((tool(stringify!($tool)), $name)),*],
            check: $check,
        }),*]
    };
}

/// The tools by their own names.
const fn tool(short: &'static str) -> &'static str {
    match short.as_bytes() {
        b"checkov" => "checkov",
        b"score" => "kube-score",
        _ => "kube-linter",
    }
}

use Check::{Container as C, Model as M, Object as O, Pod as P, Tree as T};

/// Sources of the names: checkov 3.3.30 (`checkov -l`), kube-score 1.20.0 (`kube-score list`),
/// kube-linter (docs/generated/checks.md).
static POLICIES: [Policy; 71] = policies! {
    "yaml" E true T, "A file that cannot be read stops the build of its whole folder.", [];
    "schema" E true T, "The API server refuses what its schema does not have, and Flux then applies nothing of that folder.", [];
    "api-version" E true T, "What an API server does not serve any more it refuses.", [score "stable-version" linter "no-extensions-v1beta"];
    "build" E true T, "What does not build is never applied.", [];

    "run-as-non-root" E true P(security::run_as_non_root), "A process that leaves its container as root is root on the node.", [checkov "CKV_K8S_23" linter "run-as-non-root"];
    "high-user-id" E true P(security::high_user), "A user id of 10000 and above is nobody's on the node.", [checkov "CKV_K8S_40" score "container-security-context-user-group-id"];
    "pod-security-context" E true P(security::pod_context), "What a pod may do is said, not left to defaults.", [checkov "CKV_K8S_29"];
    "container-security-context" E true C(security::container_context), "What a container may do is said, not left to defaults.", [checkov "CKV_K8S_30"];
    "read-only-root-fs" E true C(security::read_only), "Whoever breaks in finds nothing to write to.", [checkov "CKV_K8S_22" score "container-security-context-readonlyrootfilesystem" linter "no-read-only-root-fs"];
    "no-privilege-escalation" E true C(security::escalation), "No program in the container gets more rights than it was started with.", [checkov "CKV_K8S_20" linter "privilege-escalation-container"];
    "no-privileged" E true C(security::privileged), "A privileged container is the node.", [checkov "CKV_K8S_16" score "container-security-context-privileged" linter "privileged-container"];
    "drop-all-capabilities" E true C(security::drop_all), "A server needs no capability, and each is one more way out.", [checkov "CKV_K8S_37"];
    "drop-net-raw" E true C(security::drop_net_raw), "With NET_RAW a container can pose as others in its network.", [checkov "CKV_K8S_28" linter "drop-net-raw-capability"];
    "no-added-capabilities" E true C(security::added), "What is added is what an attacker has.", [checkov "CKV_K8S_25"];
    "no-sys-admin" E true C(security::sys_admin), "CAP_SYS_ADMIN is nearly all of root.", [checkov "CKV_K8S_39"];
    "seccomp-profile" E true P(security::seccomp), "System calls that a server never makes are shut.", [checkov "CKV_K8S_31" score "container-seccomp-profile"];
    "no-host-network" E true P(security::host_network), "In the node's network, network policies do not hold.", [checkov "CKV_K8S_19" linter "host-network"];
    "no-host-pid" E true P(security::host_pid), "Among the node's processes a container sees their secrets.", [checkov "CKV_K8S_17" linter "host-pid"];
    "no-host-ipc" E true P(security::host_ipc), "In the node's IPC a container reads others' shared memory.", [checkov "CKV_K8S_18" linter "host-ipc"];
    "no-host-port" W true C(security::host_port), "A port of the node is one pod's only, and goes around network policies.", [checkov "CKV_K8S_26"];
    "no-docker-socket" E true P(security::docker_socket), "Who speaks to the runtime owns the node.", [checkov "CKV_K8S_27" linter "docker-sock"];
    "no-sensitive-host-mounts" E true P(security::host_mounts), "The node's own folders hold its keys.", [linter "sensitive-host-mounts"];
    "no-unsafe-sysctls" E true P(security::sysctls), "They change the node for all of its pods.", [linter "unsafe-sysctls"];
    "no-unmasked-proc" E true C(security::proc_mount), "What the runtime hides of /proc it hides for a reason.", [linter "unsafe-proc-mount"];
    "no-service-account-token" E true P(security::token), "A model server has nothing to ask of the API, and whoever breaks in would.", [checkov "CKV_K8S_38"];
    "own-service-account" W true P(security::own_account), "Rights given to the default account are given to every pod of the namespace.", [linter "default-service-account"];
    "service-account-field" W true P(security::deprecated_account), "serviceAccount is the old name of serviceAccountName.", [linter "deprecated-service-account-field"];
    "service-account-exists" E true O(wiring::account_exists), "A pod whose account is not there is never made.", [linter "non-existent-service-account"];
    "no-secret-in-env" W true C(security::secret_in_env), "Variables end up in logs and crash reports; files do not.", [checkov "CKV_K8S_35" linter "read-secret-from-env-var"];
    "no-plain-secret" E true C(security::plain_secret), "A secret that stands in Git is none.", [linter "env-var-secret"];
    "no-ssh-port" W true C(security::ssh_port), "What listens on 22 is a way in that nobody watches.", [linter "ssh-port"];
    "no-privileged-port" W false C(security::privileged_port), "A port below 1024 needs a right that no server needs.", [linter "privileged-ports"];
    "no-default-namespace" W true O(wiring::namespace), "In the namespace default nothing keeps apps apart.", [checkov "CKV_K8S_21" linter "use-namespace"];
    "network-policy" E true O(wiring::network_policy), "Without one, every pod of the cluster may speak to this one.", [checkov "CKV2_K8S_6" score "pod-networkpolicy" linter "non-isolated-pod"];
    "network-policy-selects" W true O(wiring::policy_selects), "A policy that selects nothing protects nothing.", [score "networkpolicy-targets-pod" linter "dangling-networkpolicy"];
    "no-wildcard-rules" E true O(security::wildcards), "A wildcard also allows what comes into the API later.", [checkov "CKV_K8S_49" linter "wildcard-in-rules"];

    "cpu-request" E true C(resources::cpu_request), "Without one the scheduler puts pods where they starve.", [checkov "CKV_K8S_10" score "container-resources" linter "unset-cpu-requirements"];
    "cpu-limit" E true C(resources::cpu_limit), "One pod must not take the node's processors from all others.", [checkov "CKV_K8S_11" score "container-resources"];
    "memory-request" E true C(resources::memory_request), "Without one a node is given more than it holds, and kills.", [checkov "CKV_K8S_12" score "container-resources"];
    "memory-limit" E true C(resources::memory_limit), "A leak ends its own pod, not its neighbours.", [checkov "CKV_K8S_13" score "container-resources" linter "unset-memory-requirements"];
    "ephemeral-storage" W true C(resources::storage), "Logs that fill the node's disk evict every pod on it.", [score "container-ephemeral-storage-request-and-limit"];
    "memory-is-guaranteed" W false C(resources::memory_equal), "Memory above the request is the first to be taken away.", [score "container-memory-requests-equal-limits"];

    "readiness-probe" E true C(availability::readiness), "Without one a rollout succeeds before the model is loaded.", [checkov "CKV_K8S_9" score "pod-probes" linter "no-readiness-probe"];
    "liveness-probe" W true C(availability::liveness), "A server that hangs is not restarted by itself.", [checkov "CKV_K8S_8" linter "no-liveness-probe"];
    "probes-differ" E true C(availability::probes_differ), "One probe for both restarts a server that is only busy.", [score "pod-probes-identical"];
    "probe-ports" E true C(availability::probe_ports), "A probe of a port that nobody opens never succeeds.", [linter "liveness-port" linter "readiness-port" linter "startup-port"];
    "rolling-update" W true O(availability::rolling), "Another strategy ends all pods before new ones serve.", [score "deployment-strategy" linter "no-rolling-update-strategy"];
    "replicas" W false O(availability::replicas), "One pod is none while its node restarts.", [score "deployment-replicas"];
    "anti-affinity" W true O(availability::anti_affinity), "Pods that share a node go down with it together.", [score "deployment-has-host-podantiaffinity" linter "no-anti-affinity"];
    "disruption-budget" W true O(availability::budget), "Draining nodes may otherwise end all pods at once.", [score "deployment-has-poddisruptionbudget" score "statefulset-has-poddisruptionbudget"];
    "disruption-budget-says" E true O(availability::budget_says), "A budget without a number allows everything or nothing.", [score "poddisruptionbudget-has-policy"];
    "disruption-budget-allows" E true O(availability::budget_allows), "A budget that never allows one pod to go blocks every drain.", [linter "pdb-max-unavailable" linter "pdb-min-available"];
    "disruption-budget-unhealthy" W true O(availability::budget_unhealthy), "By default a pod that never becomes ready blocks the drain of its node.", [linter "pdb-unhealthy-pod-eviction-policy"];
    "autoscaled-replicas" W true O(availability::autoscaled), "Each commit would undo what the autoscaler did.", [score "deployment-targeted-by-hpa-does-not-have-replicas-configured"];

    "image-tag" E true C(images::tag), "latest, and no tag, is another image tomorrow.", [checkov "CKV_K8S_14" score "container-image-tag" linter "latest-tag"];
    "image-digest" E true P(images::digest), "Only a digest names bytes: what runs changes by commits alone.", [checkov "CKV_K8S_43"];
    "image-pull-policy" W true C(images::pull_policy), "A tag that moved is not seen by a node that has the old image.", [checkov "CKV_K8S_15"];
    "duplicate-env" W true C(images::duplicate_env), "Of two variables with one name, the last one wins and the other misleads.", [score "environment-variable-key-duplication" linter "duplicate-env-var"];

    "selector" E true O(wiring::selector), "The API server refuses a workload that does not select its own pods.", [score "deployment-pod-selector-labels-match-template-metadata-labels" linter "mismatching-selector"];
    "service-selects" E true O(wiring::service_selects), "A Service that selects no pods answers nothing.", [score "service-targets-pod" linter "dangling-service"];
    "service-port" E true O(wiring::service_port), "A name of a port that no container has is never served.", [];
    "ingress-selects" E true O(wiring::ingress), "An Ingress of a Service that is not there answers 503.", [score "ingress-targets-service" linter "dangling-ingress"];
    "autoscaler-target" E true O(wiring::autoscaler), "An autoscaler of what is not there does nothing.", [score "horizontalpodautoscaler-has-target" linter "dangling-horizontalpodautoscaler"];
    "port-names" E true O(wiring::port_names), "The API server refuses names of ports that are no service names (RFC 6335).", [linter "invalid-target-ports"];
    "label-values" E true O(wiring::label_values), "The API server refuses other values of labels, and Flux then applies nothing of that folder.", [score "label-values"];
    "service-type" W true O(wiring::service_type), "A NodePort is open on every node, past every ingress.", [score "service-type" linter "exposed-services"];

    "model-memory" E true M(model::memory), "Weights and what clients make a server hold, as measured, are what it is killed for not having.", [];
    "model-startup" E true M(model::startup), "A probe that gives up before the weights are loaded restarts the server for ever.", [];
    "flux-path" E true T, "Flux applies nothing where the folder that it is to build is not there.", [];
    "flux-branch" E true T, "Flux never sees what is pushed to another branch.", [];
    "flux-timeout" W true T, "A Flux that stops waiting first cannot say why a rollout stopped.", [];
};

impl Policy {
    pub(super) fn of(id: &str) -> &'static Self {
        POLICIES.iter().find(|policy| policy.id == id).expect("the table has it")
    }

    /// Asks it of an object.
    pub(super) fn ask(
        &self,
        object: &Object,
        pod: Option<&Pod<'_>>,
        scope: &Scope<'_>,
        options: &Options,
    ) -> Vec<Issue> {
        let containers = || {
            pod.into_iter()
                .flat_map(|pod| pod.containers().into_iter().map(move |container| (pod, container)))
        };
        match self.check {
            Check::Pod(check) => pod.map(check).unwrap_or_default(),
            Check::Container(check) => {
                containers().flat_map(|(pod, container)| check(pod, &container)).collect()
            }
            Check::Object(check) => check(object, scope),
            Check::Model(check) => containers()
                .filter_map(|(pod, container)| {
                    let weights = options.weights.get(container.text("/image"))?;
                    Some(check(object, pod, &container, *weights))
                })
                .flatten()
                .collect(),
            Check::Tree => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_policy_has_its_own_name_and_a_sentence() {
        let ids: BTreeSet<&str> = policies().iter().map(|policy| policy.id).collect();
        assert_eq!(ids.len(), policies().len());
        for policy in policies() {
            assert!(policy.why.ends_with('.') && policy.why.len() > 20, "{}", policy.id);
        }
    }
}
