//! What a pod may do on its node and in its cluster.

use serde_json::Value;

use super::super::pod::{Container, Pod};
use super::super::scope::Scope;
use super::{Issue, issue};
use crate::Object;

/// The lowest user id that is nobody's on the node.
const HIGH: i64 = 10_000;

/// The node's own folders.
const SENSITIVE: [&str; 8] = ["/", "/boot", "/dev", "/etc", "/lib", "/proc", "/sys", "/usr"];

/// What these begin is set for the whole node, or not safe in a namespace.
const UNSAFE_SYSCTLS: [&str; 5] = ["kernel.msg", "kernel.sem", "kernel.shm", "fs.mqueue.", "net."];

pub(super) fn run_as_non_root(pod: &Pod<'_>) -> Vec<Issue> {
    each(pod, |container| {
        let is_other =
            container.security(pod, "runAsUser").and_then(Value::as_i64).is_some_and(|id| id > 0);
        let says = container.security(pod, "runAsNonRoot") == Some(&Value::Bool(true));
        issue(
            !says && !is_other || container.security(pod, "runAsUser") == Some(&Value::from(0)),
            format!("{}/securityContext", container.at),
            "it may run as root: set runAsNonRoot to true",
        )
    })
}

pub(super) fn high_user(pod: &Pod<'_>) -> Vec<Issue> {
    if pod.get("/hostUsers") == Some(&Value::Bool(false)) {
        return Vec::new();
    }
    each(pod, |container| {
        let is_high = |field: &str| {
            container.security(pod, field).and_then(Value::as_i64).is_some_and(|id| id >= HIGH)
        };
        let low: Vec<&str> =
            ["runAsUser", "runAsGroup"].into_iter().filter(|field| !is_high(field)).collect();
        issue(
            !low.is_empty(),
            format!("{}/securityContext", container.at),
            format!("{} should be {HIGH} at least", low.join(" and ")),
        )
    })
}

pub(super) fn pod_context(pod: &Pod<'_>) -> Vec<Issue> {
    let is_empty = pod.get("/securityContext").is_none_or(is_nothing);
    issue(is_empty, format!("{}/securityContext", pod.at), "there is no securityContext")
}

pub(super) fn container_context(_: &Pod<'_>, container: &Container<'_>) -> Vec<Issue> {
    let is_empty = container.get("/securityContext").is_none_or(is_nothing);
    issue(is_empty, context(container, ""), "there is no securityContext")
}

pub(super) fn read_only(_: &Pod<'_>, container: &Container<'_>) -> Vec<Issue> {
    let is_set = is_true(container, "/securityContext/readOnlyRootFilesystem");
    issue(
        !is_set,
        context(container, "/readOnlyRootFilesystem"),
        "the root file system can be written to: set readOnlyRootFilesystem to true",
    )
}

pub(super) fn escalation(_: &Pod<'_>, container: &Container<'_>) -> Vec<Issue> {
    let field = container.get("/securityContext/allowPrivilegeEscalation");
    let is_wrong = field != Some(&Value::Bool(false));
    issue(
        is_wrong,
        context(container, "/allowPrivilegeEscalation"),
        "set allowPrivilegeEscalation to false",
    )
}

pub(super) fn privileged(_: &Pod<'_>, container: &Container<'_>) -> Vec<Issue> {
    let is_wrong = is_true(container, "/securityContext/privileged");
    issue(is_wrong, context(container, "/privileged"), "it is privileged")
}

pub(super) fn drop_all(_: &Pod<'_>, container: &Container<'_>) -> Vec<Issue> {
    let is_wrong = !drops(container, &["ALL"]);
    issue(is_wrong, context(container, "/capabilities/drop"), "it should drop ALL capabilities")
}

pub(super) fn drop_net_raw(_: &Pod<'_>, container: &Container<'_>) -> Vec<Issue> {
    let is_wrong = !drops(container, &["ALL", "NET_RAW"]);
    issue(is_wrong, context(container, "/capabilities/drop"), "it should drop NET_RAW, or ALL")
}

pub(super) fn added(_: &Pod<'_>, container: &Container<'_>) -> Vec<Issue> {
    let added = container.list("/securityContext/capabilities/add");
    issue(!added.is_empty(), context(container, "/capabilities/add"), "it has capabilities added")
}

pub(super) fn sys_admin(_: &Pod<'_>, container: &Container<'_>) -> Vec<Issue> {
    let has = |value: &Value| {
        value.as_str().is_some_and(|it| it.trim_start_matches("CAP_") == "SYS_ADMIN")
    };
    let is_wrong = container.list("/securityContext/capabilities/add").iter().any(has);
    issue(is_wrong, context(container, "/capabilities/add"), "it has SYS_ADMIN")
}

pub(super) fn seccomp(pod: &Pod<'_>) -> Vec<Issue> {
    each(pod, |container| {
        let profile = container.security(pod, "seccompProfile/type").and_then(Value::as_str);
        issue(
            profile != Some("RuntimeDefault"),
            format!("{}/securityContext/seccompProfile", container.at),
            "seccompProfile should be RuntimeDefault",
        )
    })
}

pub(super) fn host_network(pod: &Pod<'_>) -> Vec<Issue> {
    of_host(pod, "hostNetwork", "network")
}

pub(super) fn host_pid(pod: &Pod<'_>) -> Vec<Issue> {
    of_host(pod, "hostPID", "processes")
}

pub(super) fn host_ipc(pod: &Pod<'_>) -> Vec<Issue> {
    of_host(pod, "hostIPC", "IPC")
}

fn of_host(pod: &Pod<'_>, field: &str, what: &str) -> Vec<Issue> {
    let is_set = pod.get(&format!("/{field}")) == Some(&Value::Bool(true));
    issue(is_set, format!("{}/{field}", pod.at), format!("it shares the node's {what}"))
}

pub(super) fn host_port(_: &Pod<'_>, container: &Container<'_>) -> Vec<Issue> {
    ports(container, |port| port.get("hostPort").is_some(), "it takes a port of its node")
}

pub(super) fn ssh_port(_: &Pod<'_>, container: &Container<'_>) -> Vec<Issue> {
    let is_ssh = |port: &Value| {
        port["containerPort"] == 22 && port["protocol"].as_str().unwrap_or("TCP") == "TCP"
    };
    ports(container, is_ssh, "it opens the port of SSH")
}

pub(super) fn privileged_port(_: &Pod<'_>, container: &Container<'_>) -> Vec<Issue> {
    let is_low = |port: &Value| port["containerPort"].as_i64().is_some_and(|port| port < 1024);
    ports(container, is_low, "it opens a port below 1024")
}

fn ports(
    container: &Container<'_>,
    is_wrong: impl Fn(&Value) -> bool,
    message: &str,
) -> Vec<Issue> {
    let ports = container.list("/ports").iter().enumerate();
    ports
        .filter(|(_, port)| is_wrong(port))
        .map(|(n, _)| (format!("{}/ports/{n}", container.at), message.to_owned()))
        .collect()
}

pub(super) fn docker_socket(pod: &Pod<'_>) -> Vec<Issue> {
    volumes(pod, |path| path.ends_with("docker.sock"), "it mounts the runtime's socket")
}

pub(super) fn host_mounts(pod: &Pod<'_>) -> Vec<Issue> {
    volumes(pod, |path| SENSITIVE.contains(&path), "it mounts a folder of the node itself")
}

fn volumes(pod: &Pod<'_>, is_wrong: impl Fn(&str) -> bool, message: &str) -> Vec<Issue> {
    let volumes = pod.get("/volumes").and_then(Value::as_array).into_iter().flatten();
    let path = |volume: &Value| volume.pointer("/hostPath/path")?.as_str().map(str::to_owned);
    volumes
        .enumerate()
        .filter(|(_, volume)| path(volume).is_some_and(|path| is_wrong(&path)))
        .map(|(n, _)| (format!("{}/volumes/{n}/hostPath", pod.at), message.to_owned()))
        .collect()
}

pub(super) fn sysctls(pod: &Pod<'_>) -> Vec<Issue> {
    let sysctls =
        pod.get("/securityContext/sysctls").and_then(Value::as_array).into_iter().flatten();
    sysctls
        .enumerate()
        .filter_map(|(n, sysctl)| {
            let name = sysctl["name"].as_str()?;
            let is_unsafe = UNSAFE_SYSCTLS.iter().any(|begin| name.starts_with(begin));
            let at = format!("{}/securityContext/sysctls/{n}", pod.at);
            is_unsafe.then(|| (at, format!("{name} is not safe")))
        })
        .collect()
}

pub(super) fn proc_mount(_: &Pod<'_>, container: &Container<'_>) -> Vec<Issue> {
    let is_wrong = container.text("/securityContext/procMount") == "Unmasked";
    issue(is_wrong, context(container, "/procMount"), "it sees all of /proc")
}

pub(super) fn token(pod: &Pod<'_>) -> Vec<Issue> {
    let is_wrong = pod.get("/automountServiceAccountToken") != Some(&Value::Bool(false));
    issue(
        is_wrong,
        format!("{}/automountServiceAccountToken", pod.at),
        "set automountServiceAccountToken to false",
    )
}

pub(super) fn own_account(pod: &Pod<'_>) -> Vec<Issue> {
    let text = |field: &str| pod.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
    let account = text("/serviceAccountName").or_else(|| text("/serviceAccount"));
    let is_wrong = account.is_none_or(|name| name == "default");
    issue(is_wrong, format!("{}/serviceAccountName", pod.at), "it runs under the default account")
}

pub(super) fn deprecated_account(pod: &Pod<'_>) -> Vec<Issue> {
    let (old, new) = (pod.get("/serviceAccount"), pod.get("/serviceAccountName"));
    let is_wrong = old.is_some() && old != new;
    issue(is_wrong, format!("{}/serviceAccount", pod.at), "use serviceAccountName")
}

pub(super) fn secret_in_env(_: &Pod<'_>, container: &Container<'_>) -> Vec<Issue> {
    let of = |field: &str, secret: &str| {
        let values = container.list(&format!("/{field}")).iter().enumerate();
        values
            .filter(|(_, value)| value.pointer(secret).is_some())
            .map(|(n, _)| {
                (
                    format!("{}/{field}/{n}", container.at),
                    "it puts a secret into a variable".to_owned(),
                )
            })
            .collect::<Vec<_>>()
    };
    [of("env", "/valueFrom/secretKeyRef"), of("envFrom", "/secretRef")].concat()
}

pub(super) fn plain_secret(_: &Pod<'_>, container: &Container<'_>) -> Vec<Issue> {
    let is_secret = |variable: &Value| {
        let name = variable["name"].as_str().unwrap_or_default().to_ascii_lowercase();
        name.contains("secret") && variable["value"].as_str().is_some_and(|value| !value.is_empty())
    };
    let variables = container.list("/env").iter().enumerate();
    variables
        .filter(|(_, variable)| is_secret(variable))
        .map(|(n, _)| {
            (
                format!("{}/env/{n}/value", container.at),
                "a secret stands in the open here".to_owned(),
            )
        })
        .collect()
}

pub(super) fn wildcards(object: &Object, _: &Scope<'_>) -> Vec<Issue> {
    if !matches!(object.kind(), "Role" | "ClusterRole") {
        return Vec::new();
    }
    let rules = object.at("/rules").and_then(Value::as_array).into_iter().flatten().enumerate();
    let has = |rule: &Value, field: &str| {
        let list = rule.get(field).and_then(Value::as_array).into_iter().flatten();
        list.filter_map(Value::as_str).any(|text| text.contains('*'))
    };
    rules
        .flat_map(|(n, rule)| {
            let fields = ["apiGroups", "resources", "verbs"].into_iter().filter(|it| has(rule, it));
            fields
                .map(|field| (format!("/rules/{n}/{field}"), "it has a wildcard".to_owned()))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Asks something of each container.
fn each(pod: &Pod<'_>, check: impl Fn(&Container<'_>) -> Vec<Issue>) -> Vec<Issue> {
    pod.containers().iter().flat_map(check).collect()
}

fn context(container: &Container<'_>, below: &str) -> String {
    format!("{}/securityContext{below}", container.at)
}

fn is_true(container: &Container<'_>, pointer: &str) -> bool {
    container.get(pointer) == Some(&Value::Bool(true))
}

fn drops(container: &Container<'_>, any: &[&str]) -> bool {
    let dropped = container.list("/securityContext/capabilities/drop").iter();
    dropped
        .filter_map(Value::as_str)
        .any(|name| any.iter().any(|it| it.eq_ignore_ascii_case(name.trim_start_matches("CAP_"))))
}

fn is_nothing(value: &Value) -> bool {
    value.as_object().is_some_and(serde_json::Map::is_empty)
}
