//! The programs of Kubernetes and Flux, by version, in a folder that outlives `target/`: building
//! them all takes half an hour.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use fs_err as fs;

use crate::e2e::say;
use crate::peers::{Peers, on_search_path, run_quietly};

const KUBERNETES: &str = "v1.36.4";
const CONTROLLERS: &str = "v1.9.6";

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
    pub(crate) fn all(peers: &Peers) -> anyhow::Result<Self> {
        let programs = Self::new()?;
        programs.etcd(peers)?;
        for name in ["kube-apiserver", "kube-controller-manager", "kubectl"] {
            programs.kubernetes(name)?;
        }
        for name in ["source-controller", "kustomize-controller"] {
            programs.controller(name)?;
        }
        Ok(programs)
    }

    /// `kube-apiserver`, `kube-controller-manager`, `kubectl`, …
    pub(crate) fn kubernetes(&self, name: &str) -> anyhow::Result<PathBuf> {
        self.build(name, KUBERNETES, &format!("k8s.io/kubernetes/cmd/{name}"))
    }

    /// `source-controller` or `kustomize-controller`.
    pub(crate) fn controller(&self, name: &str) -> anyhow::Result<PathBuf> {
        self.build(name, CONTROLLERS, &format!("github.com/fluxcd/{name}"))
    }

    /// The definitions that a controller's module carries.
    pub(crate) fn definitions(&self, name: &str) -> anyhow::Result<PathBuf> {
        let module = format!("github.com/fluxcd/{name}");
        let mut list = self.go();
        list.args(["list", "-m", "-f", "{{.Dir}}", &module]);
        let folder = run_quietly(&mut list)?;
        Ok(Path::new(folder.trim()).join("config/crd/bases"))
    }

    /// etcd, which Debian has.
    pub(crate) fn etcd(&self, peers: &Peers) -> anyhow::Result<PathBuf> {
        match on_search_path("etcd") {
            Some(etcd) => Ok(etcd),
            None => peers.debian("etcd-server", "etcd"),
        }
    }

    fn build(&self, name: &str, version: &str, package: &str) -> anyhow::Result<PathBuf> {
        let path = self.root.join(format!("bin/{name}-{version}"));
        if path.exists() {
            return Ok(path);
        }
        say(&format!("$ go build {package} ({version}; minutes, once for this machine)"));
        let unfinished = self.root.join(format!("bin/.{name}-{version}"));
        let mut go = self.go();
        go.args(["build", "-ldflags", &flags()]).arg("-o").arg(&unfinished).arg(package);
        run_quietly(&mut go)?;
        fs::rename(&unfinished, &path)?;
        Ok(path)
    }

    fn go(&self) -> Command {
        let mut go = Command::new("go");
        go.current_dir(self.root.join("src/kubernetes"))
            .env("CGO_ENABLED", "0")
            .env("GOTOOLCHAIN", "local")
            .env("GOFLAGS", "-mod=mod -p=2 -buildvcs=false");
        go
    }
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
