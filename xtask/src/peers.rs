//! The real programs on the other side, brought by their own package managers into `target/peers`.
//!
//! Nothing here is needed by the default tests: a peer that cannot be had is named in the report, and what it would have shown is
//! said to be skipped.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};
use fs_err as fs;

use crate::e2e::say;

/// Where peers are kept between runs.
pub(crate) struct Peers {
    root: PathBuf,
}

impl Peers {
    /// `target/peers` of this workspace.
    pub(crate) fn new(workspace: &Path) -> anyhow::Result<Self> {
        let root = workspace.join("target/peers");
        fs::create_dir_all(root.join("bin"))?;
        Ok(Self { root: fs::canonicalize(root)? })
    }

    /// A program of a Go module, as `go install MODULE@VERSION` builds it; `program` is the name it gets.
    pub(crate) fn go(&self, module: &str, version: &str, program: &str) -> anyhow::Result<PathBuf> {
        let path = self.root.join(format!("bin/{program}-{version}"));
        if path.exists() {
            return Ok(path);
        }
        let gobin = self.root.join(format!("go-{program}-{version}"));
        let package = format!("{module}@{version}");
        say(&format!("$ go install {package}"));
        let mut command = Command::new("go");
        command.args(["install", &package]).env("GOBIN", &gobin).env("GOFLAGS", "-mod=mod");
        run_quietly(&mut command)?;
        let built = fs::read_dir(&gobin)?.next().context("go install made no program")??.path();
        fs::rename(built, &path)?;
        fs::remove_dir_all(&gobin)?;
        Ok(path)
    }

    /// A program of a Debian package; installed when it is not on the search path.
    pub(crate) fn debian(&self, package: &str, program: &str) -> anyhow::Result<PathBuf> {
        if let Some(found) = on_search_path(program) {
            return Ok(found);
        }
        say(&format!("$ apt-get install {package}"));
        run_quietly(Command::new("apt-get").arg("update"))?;
        let install = ["install", "--yes", "--no-install-recommends", package];
        run_quietly(Command::new("apt-get").args(install).env("DEBIAN_FRONTEND", "noninteractive"))?;
        on_search_path(program).with_context(|| format!("{package} brought no {program}"))
    }

    /// A Python with these packages (`name==version`), in an environment of its own; returns the interpreter.
    pub(crate) fn python(&self, environment: &str, packages: &[&str]) -> anyhow::Result<PathBuf> {
        let folder = self.root.join(environment);
        let (python, stamp) = (folder.join("bin/python"), folder.join("packages.txt"));
        let wanted = packages.join("\n");
        if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
            return Ok(python);
        }
        run_quietly(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        say(&format!("$ pip install {}", packages.join(" ")));
        run_quietly(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(packages))?;
        fs::write(stamp, wanted)?;
        Ok(python)
    }
}

/// Where a program lies on the search path.
pub(crate) fn on_search_path(program: &str) -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "peers are found as their user would find them")]
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// Runs a command; its output is shown only when it fails.
pub(crate) fn run_quietly(command: &mut Command) -> anyhow::Result<String> {
    let shown = format!("{command:?}");
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {shown}"))?;
    if !output.status.success() {
        let talk = String::from_utf8_lossy(&output.stderr);
        bail!("{shown} failed ({})\n{}{}", output.status, String::from_utf8_lossy(&output.stdout), talk);
    }
    ensure!(output.stdout.len() < 64 << 20, "{shown} printed too much");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
