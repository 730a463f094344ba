//! Registries that run beside a task, ours and others', and what a task does with the programs that
//! talk to them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use fs_err as fs;

/// How long a registry may take to listen.
const PATIENCE: Duration = Duration::from_secs(30);

/// A registry in a process of its own.
pub(crate) struct Registry {
    child: Child,
    /// `HOST:PORT`.
    pub(crate) address: String,
}

impl Registry {
    /// Starts `kit-rs registry serve`; `log` gets what it says.
    pub(crate) fn ours(
        kit: &Path,
        root: &Path,
        address: &str,
        flags: &[&str],
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(kit);
        command.args(["registry", "serve", "--addr", address, "--root"]).arg(root).args(flags);
        Self::serving(command, root)
    }

    /// Starts `kit-rs hub serve` over a folder of models: it is as good as a registry to start and
    /// end.
    pub(crate) fn hub(kit: &Path, root: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(kit);
        command.args(["hub", "serve", "--addr", "127.0.0.1:0", "--root"]).arg(root);
        Self::serving(command, root)
    }

    /// Starts `kit-rs gitops up`, whose address is that of its API; `source` is `URL=DIR`.
    pub(crate) fn up(kit: &Path, root: &Path, source: &str) -> anyhow::Result<Self> {
        let state = root.join("up");
        fs::create_dir_all(&state)?;
        let mut command = Command::new(kit);
        command.args(["gitops", "up", "--addr", "127.0.0.1:0", "--source", source]);
        command.arg("--dir").arg(&state).env("KIT_RS_HOME", root.join("home"));
        Self::serving(command, &state)
    }

    /// Starts a program that says its address when it listens.
    fn serving(mut command: Command, root: &Path) -> anyhow::Result<Self> {
        let mut child = spawn(command.stdout(Stdio::piped()), &root.with_extension("log"))?;
        let stdout = child.stdout.take().context("stdout is a pipe")?;
        let mut url = String::new();
        BufReader::new(stdout).read_line(&mut url)?;
        let Some((_, address)) = url.trim().split_once("://") else {
            let _ = child.wait();
            bail!("it does not start: {}", fs::read_to_string(root.with_extension("log"))?);
        };
        Ok(Self { address: address.to_owned(), child })
    }

    /// Starts a program of the distribution project with the configuration that its address gives.
    pub(crate) fn distribution(
        program: &Path,
        dir: &Path,
        config: impl FnOnce(&str, &Path) -> String,
    ) -> anyhow::Result<Self> {
        fs::create_dir_all(dir)?;
        let address = free_address()?;
        let file = dir.join("config.yml");
        fs::write(&file, config(&address, dir))?;
        // It says each request on standard output, and traces to a collector that is not here.
        let mut command = Command::new(program);
        command.arg("serve").arg(&file).stdout(Stdio::null()).env("OTEL_TRACES_EXPORTER", "none");
        let child = spawn(&mut command, &dir.join("log"))?;
        let mut registry = Self { child, address };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(&registry.address).is_err() {
            ensure!(
                registry.child.try_wait()?.is_none(),
                "it ended: {}",
                fs::read_to_string(dir.join("log"))?
            );
            ensure!(Instant::now() < deadline, "it does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(registry)
    }

    /// The largest resident set that it has had, in bytes.
    pub(crate) fn peak(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line =
            status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it at once, as a failing machine would.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        let _ = crate::process::kill(self.child.id());
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        crate::process::end(&mut self.child, Duration::from_secs(15));
    }
}

fn spawn(command: &mut Command, log: &Path) -> anyhow::Result<Child> {
    let log = fs::File::create(log)?;
    crate::process::end_with_us(command);
    command.stdin(Stdio::null()).stderr(log.into_parts().0);
    command.spawn().with_context(|| format!("cannot run {command:?}"))
}

/// An address on loopback that was free a moment ago.
pub(crate) fn free_address() -> anyhow::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// The configuration of a registry of the distribution project: its storage, and where it listens.
pub(crate) fn distribution_config(address: &str, dir: &Path) -> String {
    format!(
        "version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem: {{rootdirectory: {}/data}}\n  delete: {{enabled: true}}\n\
         http:\n  addr: '{address}'\n",
        dir.display()
    )
}

/// Runs programs in a folder, each with the credentials and certificates of that folder and of
/// nobody else.
pub(crate) struct Shop {
    pub(crate) dir: PathBuf,
    pub(crate) kit: PathBuf,
    /// Where the hub is, if there is one.
    pub(crate) hub: Option<String>,
}

impl Shop {
    /// A folder, made where it is not there.
    pub(crate) fn open(dir: PathBuf, kit: PathBuf) -> anyhow::Result<Self> {
        fs::create_dir_all(&dir)?;
        Ok(Self { dir: fs::canonicalize(dir)?, kit, hub: None })
    }

    /// Runs `kit-rs` with a home folder of this shop; returns what it answers.
    pub(crate) fn kit(&self, home: &str, line: &str) -> anyhow::Result<String> {
        run(self.kit_command(home, line), "")
    }

    /// The same, with something on standard input.
    pub(crate) fn kit_with(&self, home: &str, line: &str, input: &str) -> anyhow::Result<String> {
        run(self.kit_command(home, line), input)
    }

    /// `kit-rs` as a command.
    pub(crate) fn kit_command(&self, home: &str, line: &str) -> Command {
        let mut command = Command::new(&self.kit);
        command
            .args(line.split_whitespace())
            .current_dir(&self.dir)
            .env("KIT_RS_HOME", self.dir.join(home));
        command
            .env("DOCKER_CONFIG", self.dir.join("none"))
            .env("REGISTRY_AUTH_FILE", self.dir.join("none.json"))
            .envs(self.hub.iter().map(|hub| ("HF_ENDPOINT", hub)));
        command
    }

    /// Runs another program.
    pub(crate) fn run(&self, program: &Path, line: &str) -> anyhow::Result<String> {
        self.run_with(program, line, "")
    }

    /// The same, with something on standard input.
    pub(crate) fn run_with(
        &self,
        program: &Path,
        line: &str,
        input: &str,
    ) -> anyhow::Result<String> {
        run(self.command(program, line), input)
    }

    /// Another program as a command.
    pub(crate) fn command(&self, program: &Path, line: &str) -> Command {
        let mut command = Command::new(program);
        command.args(line.split_whitespace()).current_dir(&self.dir);
        command
            .env("DOCKER_CONFIG", self.dir.join("docker"))
            .env("REGISTRY_AUTH_FILE", self.dir.join("auth.json"));
        // Go's programs take this instead of the system's roots.
        command.env("SSL_CERT_FILE", self.dir.join("ca.pem"));
        command
    }

    /// Makes a root certificate, and with it one for a server on loopback: `ca.pem`, `server.pem`,
    /// `server.key`.
    pub(crate) fn make_certificates(&self) -> anyhow::Result<()> {
        let openssl = Path::new("openssl");
        self.run(openssl, "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -days 30 -subj /CN=root -addext basicConstraints=critical,CA:TRUE -out ca.pem")?;
        self.run(openssl, "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -subj /CN=localhost -out server.csr")?;
        fs::write(
            self.dir.join("names"),
            "subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth\n",
        )?;
        self.run(openssl, "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -days 30 -extfile names -out server.pem")?;
        Ok(())
    }

    /// Packs a small model as `REGISTRY/demo/kit:v1`; returns its digest.
    pub(crate) fn pack(&self, home: &str, registry: &str, size: usize) -> anyhow::Result<String> {
        let model = self.dir.join("model");
        fs::create_dir_all(&model)?;
        if !model.join("Kitfile").exists() {
            fs::write(model.join("weights.bin"), noise(size, 7))?;
            fs::write(
                model.join("Kitfile"),
                "manifestVersion: 1.0.0\npackage:\n  name: t\nmodel:\n  name: t\n  path: weights.bin\n",
            )?;
        }
        let name = self.kit(home, &format!("pack model -t {registry}/demo/kit:v1"))?;
        digest_of(&name)
    }

    /// Hashes every blob of a layout: each has the name that its content gives it.
    pub(crate) fn check_blobs(&self, layout: &str) -> anyhow::Result<usize> {
        let mut n = 0;
        for file in fs::read_dir(self.dir.join(layout).join("blobs/sha256"))? {
            let path = file?.path();
            let sum = self.run(Path::new("sha256sum"), &path.display().to_string())?;
            let name = path.file_name().and_then(|it| it.to_str()).unwrap_or_default();
            ensure!(sum.starts_with(name), "{} has other content", path.display());
            n += 1;
        }
        Ok(n)
    }
}

/// The digest in `NAME@DIGEST`.
pub(crate) fn digest_of(name: &str) -> anyhow::Result<String> {
    Ok(name.trim().rsplit_once('@').with_context(|| format!("no digest in `{name}`"))?.1.to_owned())
}

fn run(mut command: Command, input: &str) -> anyhow::Result<String> {
    let shown = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {shown}"))?;
    // A program that does not read its input says why in its own way.
    let _ = child.stdin.take().context("stdin is a pipe")?.write_all(input.as_bytes());
    let output = child.wait_with_output()?;
    let (talk, answer) =
        (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    ensure!(output.status.success(), "{shown} failed ({})\n{answer}{talk}", output.status);
    Ok(answer.into_owned())
}

/// Bytes that repeat nowhere, the same for the same seed (xorshift).
pub(crate) fn noise(size: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}
