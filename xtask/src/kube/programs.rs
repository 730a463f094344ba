//! The programs of Kubernetes and Flux, by version, in a folder that outlives `target/`: building
//! them all takes half an hour.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use fs_err as fs;

use crate::e2e::say;
use crate::peers::{Peers, on_search_path, run_quietly};

const KUBERNETES: &str = "v1.36.4";
/// Those of Flux' controllers that bring what is in Git into the cluster.
pub(super) const SYNCING: [&str; 2] = ["source-controller", "kustomize-controller"];
/// Those that do something beside it.
pub(super) const BESIDE: [&str; 4] = [
    "helm-controller",
    "image-automation-controller",
    "image-reflector-controller",
    "notification-controller",
];
const FLUX: &str = "v2.9.5";
const HELM: &str = "v4.2.4";
const KSERVE: &str = "v0.20.0";
const ARGO_CD: &str = "v3.1.16";
const KYVERNO: (&str, &str) = ("github.com/kyverno/kyverno", "v1.19.1");
const PROMETHEUS_OPERATOR: (&str, &str) =
    ("github.com/prometheus-operator/prometheus-operator", "v0.85.0");
/// The newest that the Go of the others builds.
const FLUX_OPERATOR: &str = "v0.58.1";
const CONTAINERD: &str = "v2.2.3";
/// Where Debian puts the plugins of CNI.
pub(super) const PLUGINS: &str = "/usr/lib/cni";

/// What the module that builds them requires and replaces.
const MODULE: &str = include_str!("../../peers/kubernetes/go.mod");

/// The programs, built when they are first asked for.
pub(crate) struct Programs {
    root: PathBuf,
}

impl Programs {
    /// `kit-rs/peers` in the user's folder for what can be had again.
    #[expect(clippy::disallowed_methods, reason = "where a user keeps what can be had again")]
    pub(crate) fn new() -> anyhow::Result<Self> {
        let cache = match std::env::var_os("XDG_CACHE_HOME") {
            Some(cache) => PathBuf::from(cache),
            None => PathBuf::from(std::env::var_os("HOME").context("no HOME")?).join(".cache"),
        };
        let root = cache.join("kit-rs/peers");
        fs::create_dir_all(root.join("bin"))?;
        fs::create_dir_all(root.join("src/kubernetes"))?;
        let module = root.join("src/kubernetes/go.mod");
        // Go adds to the file what it finds out; it begins anew when ours is another one.
        let ours = root.join("src/kubernetes/go.mod.ours");
        if !module.exists() || fs::read_to_string(&ours).ok().as_deref() != Some(MODULE) {
            fs::write(&module, MODULE)?;
            fs::write(&ours, MODULE)?;
        }
        Ok(Self { root })
    }

    /// All that Flux and a control plane need, built where they are not there.
    pub(crate) fn of_control_plane(peers: &Peers) -> anyhow::Result<Self> {
        let programs = Self::new()?;
        programs.etcd(peers)?;
        for name in ["kube-apiserver", "kube-controller-manager", "kubectl"] {
            programs.kubernetes(name)?;
        }
        for name in SYNCING {
            programs.controller(name)?;
        }
        Ok(programs)
    }

    /// All that all of Flux needs, and Helm, which makes charts for it.
    pub(crate) fn of_all_flux(peers: &Peers) -> anyhow::Result<Self> {
        let programs = Self::of_control_plane(peers)?;
        for name in BESIDE {
            programs.controller(name)?;
        }
        programs.helm()?;
        Ok(programs)
    }

    /// All that a node needs besides.
    pub(crate) fn of_node(peers: &Peers) -> anyhow::Result<Self> {
        let programs = Self::of_control_plane(peers)?;
        for name in ["kube-scheduler", "kubelet", "kube-proxy"] {
            programs.kubernetes(name)?;
        }
        for name in ["containerd", "containerd-shim-runc-v2"] {
            programs.containerd(name)?;
        }
        for (package, program) in
            [("runc", "runc"), ("iptables", "iptables"), ("conntrack", "conntrack")]
        {
            peers.debian(package, program)?;
        }
        if !Path::new(PLUGINS).join("bridge").exists() {
            peers.install("containernetworking-plugins")?;
        }
        Ok(programs)
    }

    /// `kube-apiserver`, `kube-controller-manager`, `kubectl`, …
    pub(crate) fn kubernetes(&self, name: &str) -> anyhow::Result<PathBuf> {
        self.build(name, KUBERNETES, &format!("k8s.io/kubernetes/cmd/{name}"))
    }

    /// One of Flux' controllers.
    pub(crate) fn controller(&self, name: &str) -> anyhow::Result<PathBuf> {
        let module = format!("github.com/fluxcd/{name}");
        self.build(name, required(&module)?, &module)
    }

    /// Helm's own program.
    pub(crate) fn helm(&self) -> anyhow::Result<PathBuf> {
        self.build("helm", HELM, "helm.sh/helm/v4/cmd/helm")
    }

    /// The definitions that a controller's module carries.
    pub(crate) fn definitions(&self, name: &str) -> anyhow::Result<PathBuf> {
        Ok(self.controller_module(name)?.join("config/crd/bases"))
    }

    /// The folder of a controller's module.
    fn controller_module(&self, name: &str) -> anyhow::Result<PathBuf> {
        let module = format!("github.com/fluxcd/{name}");
        let mut list = go(&self.root.join("src/kubernetes"));
        list.args(["list", "-m", "-f", "{{.Dir}}", &module]);
        Ok(PathBuf::from(run_quietly(&mut list)?.trim()))
    }

    /// `containerd` or its shim, without the snapshotters that need C libraries.
    pub(crate) fn containerd(&self, name: &str) -> anyhow::Result<PathBuf> {
        let module = "github.com/containerd/containerd/v2";
        let flags = [
            "-tags=no_btrfs no_devmapper no_zfs urfave_cli_no_docs".to_owned(),
            format!("-ldflags=-s -w -X {module}/version.Version={CONTAINERD}"),
        ];
        let package = format!("./cmd/{name}");
        self.build_in_copy(name, &package, module, CONTAINERD, &flags, |_| Ok(()))
    }

    /// KServe's controller, and the folder of its module.
    pub(crate) fn kserve(&self) -> anyhow::Result<(PathBuf, PathBuf)> {
        self.with_module("manager", "./cmd/manager", "github.com/kserve/kserve", KSERVE)
    }

    /// All of Argo CD's programs in one, which goes by its name, and the folder of its module.
    pub(crate) fn argocd(&self) -> anyhow::Result<(PathBuf, PathBuf)> {
        self.with_module("argocd", "./cmd", "github.com/argoproj/argo-cd/v3", ARGO_CD)
    }

    /// The Flux Operator, and the folder of its module.
    pub(crate) fn flux_operator(&self) -> anyhow::Result<(PathBuf, PathBuf)> {
        let module = "github.com/controlplaneio-fluxcd/flux-operator";
        let flags = ["-ldflags=-s -w".to_owned()];
        let prepare = |copy: &Path| {
            // The module that it requires is one that cannot be had.
            let keys = "github.com/google/go-containerregistry/pkg/authn/kubernetes";
            let had = "v0.0.0-20260224031529-85f2bf5f7303";
            let file = copy.join("go.mod");
            let text = fs::read_to_string(&file)?;
            fs::write(&file, format!("{text}\nreplace {keys} => {keys} {had}\n"))?;
            // Its pages, which a release builds with Node.
            fs::create_dir_all(copy.join("web/dist"))?;
            Ok(fs::write(copy.join("web/dist/index.html"), "")?)
        };
        let program = self.build_in_copy(
            "flux-operator",
            "./cmd/operator",
            module,
            FLUX_OPERATOR,
            &flags,
            prepare,
        )?;
        Ok((program, self.copy_of(module, FLUX_OPERATOR)))
    }

    fn with_module(
        &self,
        name: &str,
        package: &str,
        module: &str,
        version: &str,
    ) -> anyhow::Result<(PathBuf, PathBuf)> {
        let flags = ["-ldflags=-s -w".to_owned()];
        let program = self.build_in_copy(name, package, module, version, &flags, |_| Ok(()))?;
        Ok((program, self.copy_of(module, version)))
    }

    /// `flux`, with the manifests of the controllers that run here.
    pub(crate) fn flux(&self) -> anyhow::Result<PathBuf> {
        let version = FLUX.trim_start_matches('v');
        let flags = [format!("-ldflags=-s -w -X main.VERSION={version}")];
        let module = "github.com/fluxcd/flux2/v2";
        self.build_in_copy("flux", "./cmd/flux", module, FLUX, &flags, |copy| {
            self.embed_manifests(copy)
        })
    }

    /// Makes what `flux` embeds, as its own `manifests/scripts/bundle.sh` does, but of the
    /// controllers' modules in the place of their releases.
    fn embed_manifests(&self, copy: &Path) -> anyhow::Result<()> {
        let kubectl = self.kubernetes("kubectl")?;
        let build = |folder: &Path, into: &Path| {
            let built = run_quietly(Command::new(&kubectl).arg("kustomize").arg(folder))?;
            Ok::<_, anyhow::Error>(fs::write(into, built)?)
        };
        let embedded = copy.join("cmd/flux/manifests");
        fs::create_dir_all(&embedded)?;
        for name in SYNCING {
            let (module, base) =
                (self.controller_module(name)?, copy.join("manifests/bases").join(name));
            build(&module.join("config/crd"), &base.join("crds.yaml"))?;
            build(&module.join("config/manager"), &base.join("deployment.yaml"))?;
            let file = base.join("kustomization.yaml");
            let local = |line: &str| match line.strip_prefix("- https://") {
                Some(url) if url.ends_with("crds.yaml") => "- crds.yaml\n".to_owned(),
                Some(_) => "- deployment.yaml\n".to_owned(),
                None => format!("{line}\n"),
            };
            let text: String = fs::read_to_string(&file)?.lines().map(local).collect();
            fs::write(&file, text)?;
            build(&base, &embedded.join(format!("{name}.yaml")))?;
        }
        for name in ["rbac", "policies"] {
            build(&copy.join("manifests").join(name), &embedded.join(format!("{name}.yaml")))?;
        }
        Ok(())
    }

    /// Kyverno's program for command lines, which judges as its controller does.
    pub(crate) fn kyverno(&self) -> anyhow::Result<PathBuf> {
        let package = "./cmd/cli/kubectl-kyverno";
        Ok(self.with_module("kubectl-kyverno", package, KYVERNO.0, KYVERNO.1)?.0)
    }

    /// Its admission controller, and the folder of its module.
    pub(crate) fn kyverno_controller(&self) -> anyhow::Result<(PathBuf, PathBuf)> {
        self.with_module("kyverno", "./cmd/kyverno", KYVERNO.0, KYVERNO.1)
    }

    /// The Prometheus operator, and the folder of its module.
    pub(crate) fn prometheus_operator(&self) -> anyhow::Result<(PathBuf, PathBuf)> {
        let (module, version) = PROMETHEUS_OPERATOR;
        let flags = ["-ldflags=-s -w".to_owned()];
        let program = self.build_in_copy(
            "prometheus-operator",
            "./cmd/operator",
            module,
            version,
            &flags,
            |copy| {
                // Its own parts are modules of the same version, which no module brings along.
                let file = copy.join("go.mod");
                let text = fs::read_to_string(&file)?;
                let required = text.split("\nreplace (").next().unwrap_or_default();
                Ok(fs::write(&file, format!("{required}\n"))?)
            },
        )?;
        Ok((program, self.copy_of(module, version)))
    }

    /// etcd, which Debian has.
    pub(crate) fn etcd(&self, peers: &Peers) -> anyhow::Result<PathBuf> {
        match on_search_path("etcd") {
            Some(etcd) => Ok(etcd),
            None => peers.debian("etcd-server", "etcd"),
        }
    }

    /// A program of the one module of ours.
    fn build(&self, name: &str, version: &str, package: &str) -> anyhow::Result<PathBuf> {
        let flags = ["-ldflags".to_owned(), flags()];
        self.once(
            name,
            version,
            || Ok((self.root.join("src/kubernetes"), package.to_owned())),
            &flags,
        )
    }

    /// A program of a module that is built as its makers do: in its folder, with the versions that
    /// its own `go.mod` names. `prepare` makes what a release adds to the sources.
    fn build_in_copy(
        &self,
        name: &str,
        package: &str,
        module: &str,
        version: &str,
        flags: &[String],
        prepare: impl Fn(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<PathBuf> {
        let copy = || {
            let copy = self.copy_of(module, version);
            if !copy.join(".prepared").exists() {
                self.copy_module(module, version, &copy)?;
                prepare(&copy)?;
                fs::write(copy.join(".prepared"), "")?;
            }
            Ok((copy, package.to_owned()))
        };
        self.once(name, version, copy, flags)
    }

    /// Where the copy of a module lies, whose path may end with its major version.
    fn copy_of(&self, module: &str, version: &str) -> PathBuf {
        let is_major =
            |part: &str| part.strip_prefix('v').is_some_and(|it| it.parse::<u32>().is_ok());
        let last = module.rsplit('/').find(|part| !is_major(part)).unwrap_or(module);
        self.root.join(format!("src/{last}-{version}"))
    }

    /// The folder of a module that nothing is built of here.
    pub(crate) fn module(&self, module: &str, version: &str) -> anyhow::Result<PathBuf> {
        let mut download = go(&self.root.join("src/kubernetes"));
        download.args(["mod", "download", "-json", &format!("{module}@{version}")]);
        let told: serde_json::Value = serde_json::from_str(&run_quietly(&mut download)?)?;
        let folder = told["Dir"].as_str().with_context(|| format!("{module} has no folder"))?;
        Ok(PathBuf::from(folder))
    }

    fn copy_module(&self, module: &str, version: &str, copy: &Path) -> anyhow::Result<()> {
        let folder = self.module(module, version)?;
        if copy.exists() {
            fs::remove_dir_all(copy)?;
        }
        // Go keeps modules read-only.
        let copied =
            Command::new("cp").args(["-r", "--no-preserve=mode"]).arg(folder).arg(copy).output()?;
        anyhow::ensure!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        Ok(())
    }

    /// A program under its version, built where it is not there.
    fn once(
        &self,
        name: &str,
        version: &str,
        source: impl Fn() -> anyhow::Result<(PathBuf, String)>,
        flags: &[String],
    ) -> anyhow::Result<PathBuf> {
        let path = self.root.join(format!("bin/{name}-{version}"));
        if path.exists() {
            return Ok(path);
        }
        let (folder, package) = source()?;
        say(&format!("$ go build {package} ({version}; minutes, once for this machine)"));
        let unfinished = self.root.join(format!("bin/.{name}-{version}"));
        let mut build = go(&folder);
        build.arg("build").args(flags).arg("-o").arg(&unfinished).arg(&package);
        run_quietly(&mut build)?;
        fs::rename(&unfinished, &path)?;
        Ok(path)
    }
}

/// The version that our module requires of another.
fn required(module: &str) -> anyhow::Result<&'static str> {
    let mut lines = MODULE.lines().map(str::trim);
    let version = lines.find_map(|line| line.strip_prefix(module)?.strip_prefix(' '));
    version.with_context(|| format!("go.mod does not require {module}"))
}

/// Go in the folder of a module.
fn go(folder: &Path) -> Command {
    let mut go = Command::new("go");
    go.current_dir(folder)
        .env("CGO_ENABLED", "0")
        .env("GOTOOLCHAIN", "local")
        .env("GOFLAGS", "-mod=mod -p=2 -buildvcs=false");
    go
}

/// Kubernetes' programs say the version that they are built with.
fn flags() -> String {
    let (major, minor) = KUBERNETES[1..]
        .split_once('.')
        .and_then(|(a, b)| Some((a, b.split('.').next()?)))
        .unwrap_or_default();
    let set = |name: &str, value: &str| format!("-X k8s.io/component-base/version.{name}={value}");
    let version = [set("gitVersion", KUBERNETES), set("gitMajor", major), set("gitMinor", minor)];
    format!("-s -w {}", version.join(" "))
}
