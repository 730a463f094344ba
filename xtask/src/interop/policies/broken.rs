//! Trees that each break one policy: the tree that we render, and an edit.

use std::path::Path;

use anyhow::{Context as _, ensure};
use fs_err as fs;

use super::copy;

/// A tree that breaks a policy.
pub(super) struct Broken {
    pub(super) policy: &'static str,
    edits: &'static [Edit],
}

/// An edit of a file of the app.
enum Edit {
    /// A text in the place of another.
    Text(&'static str, &'static str, &'static str),
    /// A line and what is below it, by its key; what stands in its place.
    Block(&'static str, &'static str, &'static str),
    /// A file that goes, and its entry in the list.
    Gone(&'static str),
    /// A file that comes, and its entry in the list.
    New(&'static str, &'static str),
}

use Edit::{Block, Gone, New, Text};

const D: &str = "deployment.yaml";
const S: &str = "service.yaml";
const N: &str = "networkpolicy.yaml";
const B: &str = "poddisruptionbudget.yaml";

/// The field before which a pod gets others.
const POD: &str = "      enableServiceLinks: false\n";
/// The same of a container's rights.
const RIGHTS: &str = "            readOnlyRootFilesystem: true\n";
/// The same of its variables.
const ENV: &str = "          env:\n";

macro_rules! broken {
    ($($policy:literal [$($edit:expr),*];)*) => {
        &[$(Broken { policy: $policy, edits: &[$($edit),*] }),*]
    };
}

/// One for each policy with a counterpart.
pub(super) const BROKEN: &[Broken] = broken! {
    "run-as-non-root" [Text(D, "        runAsNonRoot: true\n        runAsUser: 65532\n", "")];
    "high-user-id" [Text(D, "runAsUser: 65532", "runAsUser: 1000")];
    "pod-security-context" [Block(D, "      securityContext:", "")];
    "container-security-context" [Block(D, "          securityContext:", "")];
    "read-only-root-fs" [Text(D, "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false")];
    "no-privilege-escalation" [Text(D, "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true")];
    "no-privileged" [Text(D, RIGHTS, "            readOnlyRootFilesystem: true\n            privileged: true\n")];
    "drop-all-capabilities" [Text(D, "- ALL", "- NET_RAW")];
    "drop-net-raw" [Text(D, "- ALL", "- CHOWN")];
    "no-added-capabilities" [Text(D, "              drop:", "              add: [NET_ADMIN]\n              drop:")];
    "no-sys-admin" [Text(D, "              drop:", "              add: [SYS_ADMIN]\n              drop:")];
    "seccomp-profile" [Text(D, "        seccompProfile:\n          type: RuntimeDefault\n", "")];
    "no-host-network" [Text(D, POD, "      hostNetwork: true\n")];
    "no-host-pid" [Text(D, POD, "      hostPID: true\n")];
    "no-host-ipc" [Text(D, POD, "      hostIPC: true\n")];
    "no-host-port" [Text(D, "              protocol: TCP\n", "              protocol: TCP\n              hostPort: 8000\n")];
    "no-docker-socket" [
        Text(D, POD, "      volumes: [{name: s, hostPath: {path: /var/run/docker.sock}}]\n"),
        Text(D, ENV, "          volumeMounts: [{name: s, mountPath: /var/run/docker.sock}]\n          env:\n")
    ];
    "no-sensitive-host-mounts" [
        Text(D, POD, "      volumes: [{name: s, hostPath: {path: /etc}}]\n"),
        Text(D, ENV, "          volumeMounts: [{name: s, mountPath: /host}]\n          env:\n")
    ];
    "no-unsafe-sysctls" [Text(D, "        runAsNonRoot: true\n", "        runAsNonRoot: true\n        sysctls: [{name: kernel.msgmax, value: '1'}]\n")];
    "no-unmasked-proc" [Text(D, RIGHTS, "            readOnlyRootFilesystem: true\n            procMount: Unmasked\n")];
    "no-service-account-token" [Text(D, "      automountServiceAccountToken: false\n", "")];
    "own-service-account" [Block(D, "      serviceAccountName:", "")];
    "service-account-field" [Block(D, "      serviceAccountName:", "      serviceAccount: sentiment\n")];
    "service-account-exists" [Block(D, "      serviceAccountName:", "      serviceAccountName: nobody\n")];
    "no-secret-in-env" [Text(D, ENV, "          env:\n            - name: X\n              valueFrom: {secretKeyRef: {name: s, key: k}}\n")];
    "no-plain-secret" [Text(D, ENV, "          env:\n            - name: MY_SECRET\n              value: plain\n")];
    "no-ssh-port" [Text(D, "containerPort: 8000", "containerPort: 22")];
    "no-privileged-port" [Text(D, "containerPort: 8000", "containerPort: 80")];
    "no-default-namespace" [Text(D, "  namespace: sentiment\n", "  namespace: default\n")];
    "network-policy" [Gone(N)];
    "network-policy-selects" [Text(N, "    matchLabels:\n      app.kubernetes.io/name: sentiment\n", "    matchLabels:\n      app.kubernetes.io/name: nobody\n")];
    "no-wildcard-rules" [New("role.yaml", "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: all, namespace: sentiment}\nrules: [{apiGroups: ['*'], resources: ['*'], verbs: ['*']}]\n")];
    "cpu-request" [Text(D, "              cpu: 250m\n", "")];
    "cpu-limit" [Block(D, "              cpu: \"2\"", "")];
    "memory-request" [Block(D, "              memory:", "")];
    "memory-limit" [Text(D, "            limits:\n", "            limits: {cpu: '2', ephemeral-storage: 128Mi}\n            none:\n"), Block(D, "            none:", "")];
    "ephemeral-storage" [Text(D, "              ephemeral-storage: 64Mi\n", ""), Text(D, "              ephemeral-storage: 128Mi\n", "")];
    "memory-is-guaranteed" [Block(D, "              memory:", "              memory: 32Mi\n")];
    "readiness-probe" [Block(D, "          readinessProbe:", "")];
    "liveness-probe" [Block(D, "          livenessProbe:", "")];
    "probes-differ" [Text(D, "path: /livez", "path: /readyz")];
    "probe-ports" [Text(D, "path: /startupz\n              port: http", "path: /startupz\n              port: 9"), Text(D, "path: /readyz\n              port: http", "path: /readyz\n              port: 9"), Text(D, "path: /livez\n              port: http", "path: /livez\n              port: 9")];
    "rolling-update" [Block(D, "  strategy:", "  strategy: {type: Recreate}\n")];
    "replicas" [Text(D, "replicas: 3", "replicas: 1")];
    "anti-affinity" [Block(D, "      affinity:", "")];
    "disruption-budget" [
        Gone(B),
        New("statefulset.yaml", "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: s, namespace: sentiment}\nspec:\n  replicas: 3\n  serviceName: s\n  selector: {matchLabels: {app: s}}\n  template: {metadata: {labels: {app: s}}, spec: {containers: [{name: c, image: x:1}]}}\n")
    ];
    "disruption-budget-says" [Text(B, "  maxUnavailable: 1\n", "")];
    "disruption-budget-allows" [Text(B, "maxUnavailable: 1", "maxUnavailable: 0")];
    "disruption-budget-unhealthy" [Text(B, "  unhealthyPodEvictionPolicy: AlwaysAllow\n", "")];
    "autoscaled-replicas" [New("hpa.yaml", "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: sentiment, namespace: sentiment}\nspec: {minReplicas: 2, maxReplicas: 9, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: sentiment}}\n")];
    "image-tag" [Block(D, "          image:", "          image: registry.example/demo/runtime:latest\n")];
    "image-digest" [Block(D, "          image:", "          image: registry.example/demo/runtime:1.0.0\n")];
    "image-pull-policy" [Block(D, "          image:", "          image: registry.example/demo/runtime:1.0.0\n")];
    "duplicate-env" [Text(D, ENV, "          env:\n            - {name: KIT_RS_DRAIN_TIMEOUT, value: '1'}\n")];
    "selector" [Text(D, "  selector:\n    matchLabels:\n      app.kubernetes.io/name: sentiment\n", "  selector:\n    matchLabels:\n      app.kubernetes.io/name: nobody\n")];
    "service-selects" [Text(S, "  selector:\n    app.kubernetes.io/name: sentiment\n", "  selector:\n    app.kubernetes.io/name: nobody\n")];
    "ingress-selects" [New("ingress.yaml", "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: i, namespace: sentiment}\nspec: {rules: [{http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: nobody, port: {number: 80}}}}]}}]}\n")];
    "autoscaler-target" [New("hpa.yaml", "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: h, namespace: sentiment}\nspec: {minReplicas: 2, maxReplicas: 9, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: nobody}}\n")];
    "port-names" [Text(D, "- name: http\n", "- name: Http_Port\n")];
    "label-values" [Text(D, "  labels:\n", "  labels:\n    x: 'not a value'\n")];
    "service-type" [Text(S, "spec:\n", "spec:\n  type: NodePort\n")];
    "api-version" [Text(D, "apiVersion: apps/v1", "apiVersion: extensions/v1beta1")];
};

/// Trees that the schemas refuse, by what is wrong with each.
pub(super) const FAULTS: &[Broken] = broken! {
    "an unknown field" [Text(D, "  replicas: 3\n", "  replicas: 3\n  replica: 3\n")];
    "a text for a number" [Text(D, "replicas: 3", "replicas: three")];
    "a number for a text" [Text(S, "  selector:\n    app.kubernetes.io/name: sentiment\n", "  selector:\n    app.kubernetes.io/name: 1\n")];
    "a list for a mapping" [Block(D, "      securityContext:", "      securityContext: []\n")];
    "a mapping for a list" [Block(S, "  ports:", "  ports: {}\n")];
    "a text for a boolean" [Text(D, "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: 'true'")];
    "no selector" [Block(D, "  selector:", "")];
    "a container without a name" [Text(D, "- name: model-runtime\n          image:", "- image:")];
    "a port without a number" [Text(S, "      port: 8000\n", "")];
    "a rule of a policy that is misspelt" [Text(N, "  ingress:", "  ingres:")];
};

impl Broken {
    /// Writes the broken tree.
    pub(super) fn write(&self, whole: &Path, to: &Path) -> anyhow::Result<()> {
        copy(whole, to)?;
        let app = to.join("apps/sentiment");
        let list = app.join("kustomization.yaml");
        for edit in self.edits {
            edit.apply(&app, &list).with_context(|| format!("breaking {}", self.policy))?;
        }
        Ok(())
    }
}

impl Edit {
    fn apply(&self, app: &Path, list: &Path) -> anyhow::Result<()> {
        match self {
            Text(file, from, to) => {
                let path = app.join(file);
                let text = fs::read_to_string(&path)?;
                ensure!(text.contains(from), "{file} has no {from:?}");
                fs::write(path, text.replacen(from, to, 1))?;
            }
            Block(file, key, instead) => {
                let path = app.join(file);
                let text = fs::read_to_string(&path)?;
                fs::write(path, without_block(&text, key, instead)?)?;
            }
            Gone(file) => {
                fs::remove_file(app.join(file))?;
                let text = fs::read_to_string(list)?;
                fs::write(list, text.replace(&format!("  - {file}\n"), ""))?;
            }
            New(file, text) => {
                fs::write(app.join(file), text)?;
                let text = fs::read_to_string(list)?;
                fs::write(list, format!("{text}  - {file}\n"))?;
            }
        }
        Ok(())
    }
}

/// A text without the first line that begins so and those that are further in.
fn without_block(text: &str, key: &str, instead: &str) -> anyhow::Result<String> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let first =
        lines.iter().position(|line| line.starts_with(key)).context("the block is there")?;
    let depth = indent(key);
    let rest = lines[first + 1..].iter().take_while(|line| indent(line) > depth).count();
    let after = &lines[first + 1 + rest..];
    Ok(format!("{}{instead}{}", lines[..first].concat(), after.concat()))
}
