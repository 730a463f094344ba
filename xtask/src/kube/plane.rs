//! The control plane: etcd, the API server, the controllers, and a proxy that speaks plain HTTP.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use fs_err as fs;

use super::{Api, Programs};
use crate::peers::{Peers, run_quietly, search_path_with};
use crate::registries::free_address;

/// How long a program may take to be ready, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A user, whose token is its name: the cluster lives for one run, on loopback.
#[derive(Clone, Copy)]
pub(super) struct User {
    name: &'static str,
    group: &'static str,
}

/// May do everything.
const ADMIN: User = User { name: "admin", group: "system:masters" };
/// May do what a node does.
pub(super) const KUBELET: User = User { name: "system:node:node-1", group: "system:nodes" };
/// May do what kube-proxy does.
pub(super) const PROXY: User = User { name: "system:kube-proxy", group: "system:node-proxier" };

/// A control plane without a node. Ending it ends its programs, the last one first.
pub(crate) struct ControlPlane {
    // In the order of ending.
    daemons: Vec<Daemon>,
    /// The file with which programs reach it as administrators.
    pub(crate) kubeconfig: PathBuf,
    dir: PathBuf,
    address: String,
    kubectl: PathBuf,
    /// Its API.
    pub(crate) api: Api,
}

/// A program that runs until it is ended.
pub(crate) struct Daemon {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Daemon {
    pub(crate) fn start(
        name: &'static str,
        command: &mut Command,
        dir: &Path,
    ) -> anyhow::Result<Self> {
        let log = dir.join(format!("{name}.log"));
        let file = fs::File::create(&log)?.into_parts().0;
        crate::process::die_with_us(command);
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().with_context(|| format!("cannot run {command:?}"))?;
        Ok(Self { name, child, log })
    }

    /// Waits until `holds`, or until it ended.
    pub(crate) fn await_ready(&mut self, mut holds: impl FnMut() -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !holds() {
            let ended = self.child.try_wait()?;
            if ended.is_some() || Instant::now() > deadline {
                let log = fs::read_to_string(&self.log)?;
                let tail: Vec<_> = log.lines().rev().take(12).collect();
                let tail: Vec<_> = tail.into_iter().rev().collect();
                bail!("{} is not ready ({ended:?})\n{}", self.name, tail.join("\n"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        crate::process::end(&mut self.child, Duration::from_secs(20));
    }
}

impl ControlPlane {
    /// Starts one whose state lies in `dir`.
    pub(crate) fn start(programs: &Programs, peers: &Peers, dir: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(dir)?;
        let kubectl = programs.kubernetes("kubectl")?;
        let (client, peer) = (free_address()?, free_address()?);
        let etcd = etcd(&programs.etcd(peers)?, dir, &client, &peer)?;
        let address = free_address()?;
        let mut server =
            api_server(&programs.kubernetes("kube-apiserver")?, dir, &address, &client)?;
        let certificate = dir.join("certificates/apiserver.crt");
        server.await_ready(|| certificate.exists())?;
        let kubeconfig = kubeconfig(dir, &address, ADMIN)?;
        server.await_ready(|| {
            let mut ask = Command::new(&kubectl);
            ask.args(["get", "--raw", "/readyz"]).env("KUBECONFIG", &kubeconfig);
            run_quietly(&mut ask).is_ok()
        })?;
        let mut daemons = vec![proxy(&kubectl, &kubeconfig, dir)?];
        let api = Api::new(proxy_address(&dir.join("proxy.log"))?);
        let manager = programs.kubernetes("kube-controller-manager")?;
        daemons.push(controller_manager(&manager, dir, &kubeconfig)?);
        daemons.extend([server, etcd]);
        Ok(Self { daemons, kubeconfig, dir: dir.to_owned(), address, kubectl, api })
    }

    /// The file with which a program reaches it as a user.
    pub(super) fn kubeconfig_of(&self, user: User) -> anyhow::Result<PathBuf> {
        kubeconfig(&self.dir, &self.address, user)
    }

    /// Waits until every kind that was defined is served.
    pub(crate) fn await_definitions(&self) -> anyhow::Result<()> {
        let all = "apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        for definition in self.api.list(all)? {
            let name = definition["metadata"]["name"].as_str().context("it has a name")?;
            self.api.wait(&format!("{all}/{name}"), PATIENCE, |it| {
                let conditions = it["status"]["conditions"].as_array().into_iter().flatten();
                let mut served = conditions.filter(|it| it["type"] == "Established");
                served.any(|it| it["status"] == "True")
            })?;
        }
        Ok(())
    }

    /// A command of `kubectl` for this cluster, with the words of a line.
    pub(crate) fn kubectl(&self, line: &str) -> Command {
        let mut command = Command::new(&self.kubectl);
        command.args(line.split_whitespace()).env("KUBECONFIG", &self.kubeconfig);
        command
    }

    /// Lets a program find it as the current context of the `kubectl` on its search path.
    pub(crate) fn lend(&self, command: &mut Command) -> anyhow::Result<()> {
        let folder = self.dir.join("bin");
        fs::create_dir_all(&folder)?;
        let kubectl = folder.join("kubectl");
        if !kubectl.exists() {
            std::os::unix::fs::symlink(&self.kubectl, kubectl)?;
        }
        command.env("KUBECONFIG", &self.kubeconfig).env("PATH", search_path_with(&folder)?);
        Ok(())
    }

    /// Makes a program one that is ended before the control plane.
    pub(super) fn adopt(&mut self, daemon: Daemon) {
        self.daemons.insert(0, daemon);
    }
}

fn etcd(program: &Path, dir: &Path, client: &str, peer: &str) -> anyhow::Result<Daemon> {
    let (client, peer) = (format!("http://{client}"), format!("http://{peer}"));
    let mut command = Command::new(program);
    command.arg("--unsafe-no-fsync").arg("--data-dir").arg(dir.join("etcd"));
    command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
    command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
    command.args(["--initial-cluster", &format!("default={peer}")]);
    Daemon::start("etcd", &mut command, dir)
}

fn api_server(program: &Path, dir: &Path, address: &str, etcd: &str) -> anyhow::Result<Daemon> {
    let (host, port) = address.split_once(':').context("an address has a port")?;
    let key = dir.join("accounts.key");
    run_quietly(Command::new("openssl").args(["genrsa", "-out"]).arg(&key).arg("2048"))?;
    let tokens = dir.join("tokens.csv");
    let line = |User { name, group }: User| format!("{name},{name},{name},{group}\n");
    fs::write(&tokens, [ADMIN, KUBELET, PROXY].map(line).concat())?;
    let mut command = Command::new(program);
    for (flag, value) in [
        ("etcd-servers", format!("http://{etcd}")),
        ("bind-address", host.to_owned()),
        ("advertise-address", host.to_owned()),
        ("secure-port", port.to_owned()),
        ("cert-dir", dir.join("certificates").display().to_string()),
        ("token-auth-file", tokens.display().to_string()),
        ("authorization-mode", "Node,RBAC".to_owned()),
        ("service-account-key-file", key.display().to_string()),
        ("service-account-signing-key-file", key.display().to_string()),
        ("service-account-issuer", "https://kubernetes.default.svc".to_owned()),
        ("service-cluster-ip-range", "10.96.0.0/16".to_owned()),
        ("endpoint-reconciler-type", "none".to_owned()),
        ("kubelet-preferred-address-types", "InternalIP".to_owned()),
    ] {
        command.arg(format!("--{flag}={value}"));
    }
    Daemon::start("kube-apiserver", &mut command, dir)
}

fn controller_manager(program: &Path, dir: &Path, kubeconfig: &Path) -> anyhow::Result<Daemon> {
    let (_, port) = split(&free_address()?)?;
    let mut command = Command::new(program);
    command.arg("--kubeconfig").arg(kubeconfig);
    command.arg("--service-account-private-key-file").arg(dir.join("accounts.key"));
    command.arg("--root-ca-file").arg(dir.join("certificates/apiserver.crt"));
    command.args(["--bind-address=127.0.0.1", "--leader-elect=false"]);
    command.arg(format!("--secure-port={port}"));
    command.arg("--use-service-account-credentials=true");
    Daemon::start("kube-controller-manager", &mut command, dir)
}

fn proxy(kubectl: &Path, kubeconfig: &Path, dir: &Path) -> anyhow::Result<Daemon> {
    let mut command = Command::new(kubectl);
    command.args(["proxy", "--port=0", "--reject-paths=^$"]).env("KUBECONFIG", kubeconfig);
    let mut daemon = Daemon::start("proxy", &mut command, dir)?;
    let log = dir.join("proxy.log");
    daemon.await_ready(|| proxy_address(&log).is_ok())?;
    Ok(daemon)
}

/// The proxy says where it listens.
fn proxy_address(log: &Path) -> anyhow::Result<String> {
    let line = BufReader::new(fs::File::open(log)?).lines().next().context("it is silent")??;
    Ok(line.rsplit_once(' ').context("it says no address")?.1.to_owned())
}

fn split(address: &str) -> anyhow::Result<(String, String)> {
    let (host, port) = address.split_once(':').context("an address has a port")?;
    Ok((host.to_owned(), port.to_owned()))
}

fn kubeconfig(dir: &Path, address: &str, user: User) -> anyhow::Result<PathBuf> {
    let certificate = dir.join("certificates/apiserver.crt");
    let (certificate, User { name, .. }) = (certificate.display(), user);
    let text = format!(
        "apiVersion: v1
kind: Config
clusters: [{{name: local, cluster: {{server: 'https://{address}', certificate-authority: '{certificate}'}}}}]
users: [{{name: '{name}', user: {{token: '{name}'}}}}]
contexts: [{{name: local, context: {{cluster: local, user: '{name}'}}}}]
current-context: local
"
    );
    let file = dir.join(format!("{}.kubeconfig", name.replace(':', "-")));
    fs::write(&file, text)?;
    Ok(file)
}
