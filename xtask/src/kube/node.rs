//! A node: containerd with runc and the plugins of CNI, kubelet, kube-proxy, and the scheduler that
//! gives it pods. It runs in namespaces of its own ([`super::namespaces`]), so its bridge and its
//! rules are nobody else's.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use fs_err as fs;

use super::kubelet::NODE;
use super::plane::{Daemon, KUBELET, PROXY};
use super::programs::PLUGINS;
use super::{ControlPlane, Programs, pause};
use crate::peers::{on_search_path, run_quietly, search_path_with};
use crate::registries::free_address;

/// The network of pods, with the address of the node in it, and that of Services.
const BRIDGE: &str = "pods0";
const ADDRESS: &str = "10.244.0.1";
const PODS: &str = "10.244.0.0/24";
const SERVICES: &str = "10.96.0.0/16";

/// How long a node may take to be Ready.
const PATIENCE: Duration = Duration::from_secs(120);

/// The node of a control plane, whose programs end with it.
pub(crate) struct Node;

impl Node {
    /// Makes the network of its pods; returns the address by which they and the node reach it.
    pub(crate) fn network() -> anyhow::Result<&'static str> {
        network()?;
        Ok(ADDRESS)
    }

    /// Starts one, whose network is there, that pulls from `registries` (`HOST:PORT`) over plain HTTP, the first of which
    /// takes what it needs itself. `cgroup` is for its pods.
    pub(crate) fn start(
        plane: &mut ControlPlane,
        programs: &Programs,
        dir: &Path,
        registries: &[&str],
        cgroup: &str,
    ) -> anyhow::Result<Self> {
        fs::create_dir_all(dir)?;
        let pause = pause::push(registries[0], dir)?;
        let mut scheduler = Command::new(programs.kubernetes("kube-scheduler")?);
        scheduler.arg("--kubeconfig").arg(&plane.kubeconfig).arg("--leader-elect=false");
        scheduler.args(["--bind-address=127.0.0.1", &format!("--secure-port={}", port()?)]);
        let scheduler = Daemon::start("kube-scheduler", &mut scheduler, dir)?;
        plane.adopt(scheduler);
        let socket = containerd(plane, programs, dir, registries, &pause)?;
        kubelet(plane, programs, dir, &socket, cgroup)?;
        kube_proxy(plane, programs, dir)?;
        plane.api.wait(&format!("api/v1/nodes/{NODE}"), PATIENCE, |node| {
            let conditions = node["status"]["conditions"].as_array().into_iter().flatten();
            conditions.into_iter().any(|it| it["type"] == "Ready" && it["status"] == "True")
        })?;
        Ok(Self)
    }
}

/// A bridge for the pods, and a way to Services by it.
fn network() -> anyhow::Result<()> {
    for line in [
        format!("link add {BRIDGE} type bridge"),
        format!("addr add {ADDRESS}/24 dev {BRIDGE}"),
        format!("link set {BRIDGE} up"),
        format!("route add {SERVICES} dev {BRIDGE} src {ADDRESS}"),
    ] {
        run_quietly(Command::new("ip").args(line.split(' ')))?;
    }
    Ok(fs::write("/proc/sys/net/ipv4/ip_forward", "1")?)
}

fn containerd(
    plane: &mut ControlPlane,
    programs: &Programs,
    dir: &Path,
    registries: &[&str],
    pause: &str,
) -> anyhow::Result<String> {
    let hosts = dir.join("hosts");
    for registry in registries {
        fs::create_dir_all(hosts.join(registry))?;
        fs::write(
            hosts.join(registry).join("hosts.toml"),
            format!(
                "server = \"http://{registry}\"\n[host.\"http://{registry}\"]\n  capabilities = [\"pull\", \"resolve\"]\n"
            ),
        )?;
    }
    let plugins = dir.join("plugins");
    fs::create_dir_all(&plugins)?;
    fs::write(plugins.join("10-pods.conflist"), plugins_of(&dir.join("leases")))?;
    // The shim is looked for beside its program, by its name without a version.
    let programs_dir = dir.join("bin");
    fs::create_dir_all(&programs_dir)?;
    let shim = programs.containerd("containerd-shim-runc-v2")?;
    std::os::unix::fs::symlink(shim, programs_dir.join("containerd-shim-runc-v2"))?;
    let file = dir.join("containerd.toml");
    fs::write(&file, containerd_config(dir, &hosts, &plugins, pause))?;
    let mut command = Command::new(programs.containerd("containerd")?);
    command.arg("--config").arg(&file).env("PATH", search_path_with(&programs_dir)?);
    let mut daemon = Daemon::start("containerd", &mut command, dir)?;
    let socket = dir.join("containerd.sock");
    daemon.await_ready(|| std::os::unix::net::UnixStream::connect(&socket).is_ok())?;
    plane.adopt(daemon);
    Ok(format!("unix://{}", socket.display()))
}

fn plugins_of(leases: &Path) -> String {
    serde_json::json!({
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {
                "type": "bridge", "bridge": BRIDGE, "isGateway": true, "isDefaultGateway": true,
                "ipMasq": false, "hairpinMode": true, "promiscMode": false,
                "ipam": {
                    "type": "host-local", "dataDir": leases,
                    "ranges": [[{"subnet": PODS, "rangeStart": "10.244.0.10", "gateway": ADDRESS}]],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    })
    .to_string()
}

fn containerd_config(dir: &Path, hosts: &Path, plugins: &Path, pause: &str) -> String {
    let runc = on_search_path("runc").unwrap_or_else(|| "runc".into());
    let (dir, hosts, plugins, runc) =
        (dir.display(), hosts.display(), plugins.display(), runc.display());
    // What this machine need not have: AppArmor, SELinux, systemd, NRI, and a negative score for
    // the kernel's choice of what to kill.
    format!(
        "version = 3
root = '{dir}/containerd'
state = '{dir}/containerd.state'
oom_score = 0
disabled_plugins = ['io.containerd.internal.v1.opt', 'io.containerd.nri.v1.nri']
[grpc]
  address = '{dir}/containerd.sock'
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = '{pause}'
[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = '{hosts}'
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  disable_apparmor = true
  enable_selinux = false
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ['{PLUGINS}']
  conf_dir = '{plugins}'
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = 'io.containerd.runc.v2'
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  BinaryName = '{runc}'
  SystemdCgroup = false
"
    )
}

fn kubelet(
    plane: &mut ControlPlane,
    programs: &Programs,
    dir: &Path,
    socket: &str,
    cgroup: &str,
) -> anyhow::Result<()> {
    let file = dir.join("kubelet.yaml");
    let (state, logs) = (dir.join("kubelet"), dir.join("pod-logs"));
    let health = port()?;
    let logs = logs.display();
    // Whoever reaches its port is the API server: nobody else is in this network.
    fs::write(
        &file,
        format!(
            "apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: {ADDRESS}
port: {port}
readOnlyPort: 0
healthzBindAddress: 127.0.0.1
healthzPort: {health}
authentication: {{anonymous: {{enabled: true}}, webhook: {{enabled: false}}}}
authorization: {{mode: AlwaysAllow}}
cgroupDriver: cgroupfs
cgroupRoot: /{cgroup}
cgroupsPerQOS: true
failCgroupV1: false
enforceNodeAllocatable: []
oomScoreAdj: 0
failSwapOn: false
containerRuntimeEndpoint: {socket}
imageServiceEndpoint: {socket}
resolvConf: ''
podLogsDir: {logs}
evictionHard: {{memory.available: 100Mi, nodefs.available: 50Mi, imagefs.available: 50Mi}}
imageGCHighThresholdPercent: 99
imageGCLowThresholdPercent: 98
staticPodPath: ''
nodeStatusUpdateFrequency: 5s
",
            port = port()?,
        ),
    )?;
    let mut command = Command::new(programs.kubernetes("kubelet")?);
    command.arg("--config").arg(&file).arg("--kubeconfig").arg(plane.kubeconfig_of(KUBELET)?);
    command.arg("--root-dir").arg(&state).arg("--cert-dir").arg(dir.join("kubelet-certificates"));
    command.arg(format!("--hostname-override={NODE}")).arg(format!("--node-ip={ADDRESS}"));
    let mut daemon = Daemon::start("kubelet", &mut command, dir)?;
    let url = format!("http://127.0.0.1:{health}/healthz");
    daemon.await_ready(|| ureq::get(&url).call().is_ok())?;
    plane.adopt(daemon);
    Ok(())
}

fn kube_proxy(plane: &mut ControlPlane, programs: &Programs, dir: &Path) -> anyhow::Result<()> {
    let file = dir.join("kube-proxy.yaml");
    let (health, metrics) = (free_address()?, free_address()?);
    let kubeconfig = plane.kubeconfig_of(PROXY)?;
    // The sizes of the kernel's table of connections are the machine's, not a network's.
    fs::write(
        &file,
        format!(
            "apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
hostnameOverride: {NODE}
clusterCIDR: {PODS}
bindAddress: 127.0.0.1
healthzBindAddress: {health}
metricsBindAddress: {metrics}
clientConnection: {{kubeconfig: {kubeconfig}}}
conntrack: {{maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}}
iptables: {{localhostNodePorts: false}}
",
            kubeconfig = kubeconfig.display()
        ),
    )?;
    let mut command = Command::new(programs.kubernetes("kube-proxy")?);
    command.arg("--config").arg(&file);
    let mut daemon = Daemon::start("kube-proxy", &mut command, dir)?;
    let url = format!("http://{health}/healthz");
    daemon.await_ready(|| ureq::get(&url).call().is_ok())?;
    plane.adopt(daemon);
    Ok(())
}

fn port() -> anyhow::Result<u16> {
    Ok(free_address()?.parse::<std::net::SocketAddr>()?.port())
}
