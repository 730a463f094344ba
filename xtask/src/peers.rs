//! The real programs on the other side, brought by their own package managers into `target/peers`.
//!
//! Nothing here is needed by the default tests: a peer that cannot be had is named in the report,
//! and what it would have shown is said to be skipped.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};
use fs_err as fs;

use crate::e2e::say;

/// The release of KitOps' `kit` that everything is shown with.
pub(crate) const KIT: &str = "v1.15.0";

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

    /// Where a program lies that is built in another way than those below.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join("bin").join(name)
    }

    /// A program of a Go module, as `go install MODULE@VERSION` builds it; `program` is the name it
    /// gets.
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
        if let Err(error) = run_quietly(&mut command) {
            return self
                .go_by_requirement(module, version, &path)
                .with_context(|| format!("{error:#}"));
        }
        let built = fs::read_dir(&gobin)?.next().context("go install made no program")??.path();
        fs::rename(built, &path)?;
        fs::remove_dir_all(&gobin)?;
        Ok(path)
    }

    /// The same for a module whose list of versions cannot be had, which `go install` asks for: a
    /// module of our own requires it.
    fn go_by_requirement(
        &self,
        module: &str,
        version: &str,
        path: &Path,
    ) -> anyhow::Result<PathBuf> {
        let folder = self.go_module(&[(module, version)])?;
        say(&format!("$ go build {module} (required at {version})"));
        let mut command = Command::new("go");
        command.args(["build", "-mod=mod", "-o"]).arg(path).arg(module).current_dir(&folder);
        run_quietly(&mut command)?;
        Ok(path.to_owned())
    }

    /// A folder with a Go module that requires others, for a program of our own against their
    /// packages.
    pub(crate) fn go_module(&self, requirements: &[(&str, &str)]) -> anyhow::Result<PathBuf> {
        let names: Vec<_> =
            requirements.iter().map(|(module, version)| format!("{module}-{version}")).collect();
        let folder = self.root.join(format!("module-{}", names.join("-").replace('/', "-")));
        fs::create_dir_all(&folder)?;
        let lines: Vec<_> = requirements
            .iter()
            .map(|(module, version)| format!("require {module} {version}\n"))
            .collect();
        let text = format!("module made\n\ngo 1.25\n\n{}", lines.concat());
        if !folder.join("go.mod").exists() {
            fs::write(folder.join("go.mod"), text)?;
        }
        Ok(folder)
    }

    /// A program of ours, of one file, against a crate of others.
    pub(crate) fn rust(
        &self,
        program: &str,
        (name, version): (&str, &str),
        source: &str,
    ) -> anyhow::Result<PathBuf> {
        let folder = self.root.join(format!("crate-{program}-{version}"));
        let built = folder.join("target/debug").join(program);
        let main = folder.join("src/main.rs");
        if built.exists() && fs::read_to_string(&main).is_ok_and(|text| text == source) {
            return Ok(built);
        }
        fs::create_dir_all(folder.join("src"))?;
        let manifest = format!(
            "[package]\nname = \"{program}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[dependencies]\n{name} = \"={version}\"\n\n[workspace]\n"
        );
        fs::write(folder.join("Cargo.toml"), manifest)?;
        fs::write(&main, source)?;
        say(&format!("$ cargo build {program} ({name} {version})"));
        let mut command = Command::new("cargo");
        command.args(["build", "--quiet", "--target-dir", "target"]).current_dir(&folder);
        run_quietly(&mut command)?;
        Ok(built)
    }

    /// KitOps' own `kit`.
    pub(crate) fn kit(&self) -> anyhow::Result<PathBuf> {
        self.go("github.com/kitops-ml/kitops", KIT, "kit")
    }

    /// A program of a Debian package; installed when it is not on the search path.
    pub(crate) fn debian(&self, package: &str, program: &str) -> anyhow::Result<PathBuf> {
        if let Some(found) = on_search_path(program) {
            return Ok(found);
        }
        self.install(package)?;
        on_search_path(program).with_context(|| format!("{package} brought no {program}"))
    }

    /// Installs a Debian package.
    pub(crate) fn install(&self, package: &str) -> anyhow::Result<()> {
        say(&format!("$ apt-get install {package}"));
        run_quietly(Command::new("apt-get").arg("update"))?;
        let install = ["install", "--yes", "--no-install-recommends", package];
        run_quietly(Command::new("apt-get").args(install).env("DEBIAN_FRONTEND", "noninteractive"))
            .map(drop)
    }

    /// A Python with these packages (`name==version`), in an environment of its own; returns the
    /// interpreter.
    pub(crate) fn python(&self, environment: &str, packages: &[&str]) -> anyhow::Result<PathBuf> {
        let folder = self.root.join(environment);
        let (python, stamp) = (folder.join("bin/python"), folder.join("packages.txt"));
        let wanted = packages.join("\n");
        if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
            return Ok(python);
        }
        run_quietly(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        say(&format!("$ pip install {}", packages.join(" ")));
        run_quietly(
            Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(packages),
        )?;
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

/// The search path with a folder in front of it.
pub(crate) fn search_path_with(folder: &Path) -> anyhow::Result<std::ffi::OsString> {
    #[expect(clippy::disallowed_methods, reason = "peers find programs as their user would")]
    let others = std::env::var_os("PATH").unwrap_or_default();
    let all = std::iter::once(folder.to_owned()).chain(std::env::split_paths(&others));
    Ok(std::env::join_paths(all)?)
}

/// Runs a command; its output is shown only when it fails.
pub(crate) fn run_quietly(command: &mut Command) -> anyhow::Result<String> {
    let shown = format!("{command:?}");
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {shown}"))?;
    if !output.status.success() {
        let talk = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{shown} failed ({})\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            talk
        );
    }
    ensure!(output.stdout.len() < 64 << 20, "{shown} printed too much");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
