//! What a session lives in: a folder, a home, an address, and beside them a registry and a hub.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use fs_err as fs;
use tempfile::TempDir;

/// The program under test.
pub(crate) const KIT_RS: &str = env!("CARGO_BIN_EXE_kit-rs");
/// What of a checkpoint's folder is the checkpoint.
const CHECKPOINT: [&str; 3] = ["config.json", "model.safetensors", "tokenizer.json"];
/// What the hub says of it.
const CARD: &str = "---\nlicense: apache-2.0\nlanguage: en\n---\n# A tiny DistilBERT\n";
/// The port that keeps an address for one session. Ports of its own are all that it ever uses, so
/// that they can be those that people type: 5000, 8000, 8080.
const CLAIM: u16 = 5999;

/// A session's surroundings; they end with it.
pub(crate) struct World {
    dir: TempDir,
    address: Ipv4Addr,
    _claim: TcpListener,
    _servers: [Server; 2],
}

impl World {
    /// Makes the folder, with `project/` in it, and starts the registry and the hub.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("there is a place for temporary files");
        let (address, claim) = claim();
        let at = |name: &str| dir.path().join(name);
        for name in ["bin", "home", "tmp", "work"] {
            fs::create_dir(at(name)).expect("the folder is new");
        }
        std::os::unix::fs::symlink(KIT_RS, at("bin/kit-rs")).expect("the folder is new");
        fs::write(at("home/.gitconfig"), "[user]\nname = Ada\nemail = ada@example.com\n")
            .expect("the folder is new");
        copy(&here().join("tests/project"), &at("work/project"));
        checkpoint(&at("work/project/model"));
        let offered = at("hub/distilbert/distilbert-base-uncased");
        checkpoint(&offered);
        fs::write(offered.join("README.md"), CARD).expect("the folder is new");
        let server = |verb: &str, port: u16, root: &Path| {
            let mut command = clean(dir.path(), address);
            command
                .args([verb, "serve", "--addr", &format!("{address}:{port}"), "--root"])
                .arg(root);
            Server::start(command)
        };
        let servers = [server("registry", 5001, &at("registry")), server("hub", 8081, &at("hub"))];
        Self { dir, address, _claim: claim, _servers: servers }
    }

    /// The folder that a session starts in.
    pub(crate) fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    /// The program, in an environment that holds nothing of who runs the tests.
    pub(crate) fn kit_rs(&self) -> Command {
        let mut command = clean(self.dir.path(), self.address);
        command.current_dir(self.work());
        command
    }

    /// Another program, in the same environment.
    pub(crate) fn command(&self, program: &str) -> Command {
        environment(program, self.dir.path(), self.address)
    }

    /// The registry's address, as it is typed.
    pub(crate) fn typed_registry(&self) -> String {
        registry(self.address)
    }

    /// A shell that runs a script, for as long as a session may take.
    pub(crate) fn bash(&self, script: &Path) -> Command {
        let mut command = environment("timeout", self.dir.path(), self.address);
        command.args(["--kill-after=5", "300", "bash"]).arg(script).current_dir(self.work());
        command
    }

    /// What people write → what stands for it here.
    fn names(&self) -> [(String, String); 5] {
        let Self { address, .. } = self;
        let folder = |name: &str| self.dir.path().join(name).display().to_string();
        [
            ("$REGISTRY".to_owned(), registry(*address)),
            ("$HF_ENDPOINT".to_owned(), hub(*address)),
            // A port is the session's own on an address that is; any other port of this machine
            // might be taken.
            ("127.0.0.1".to_owned(), address.to_string()),
            ("$HOME".to_owned(), folder("home")),
            ("$PWD".to_owned(), folder("work")),
        ]
    }

    /// A command as it is typed, with the addresses that stand for it here.
    pub(crate) fn typed(&self, command: &str) -> String {
        command.replace("127.0.0.1", &self.address.to_string())
    }

    /// An output, with what people would read in the place of what is so only here and now.
    pub(crate) fn read(&self, output: &str) -> String {
        let names = self.names();
        let named =
            names.iter().fold(output.to_owned(), |text, (name, here)| text.replace(here, name));
        // A file that is compared has no CR, as the lines of HTTP have.
        rounded(&named).replace('\r', "")
    }
}

/// Of a long fraction four digits are kept: the last ones of a score are the processor's.
fn rounded(text: &str) -> String {
    let (mut kept, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("0.") {
        let n_digits = after.bytes().take_while(u8::is_ascii_digit).count();
        kept += before;
        kept += "0.";
        kept += &after[..if n_digits > 6 { 4 } else { n_digits }];
        rest = &after[n_digits..];
    }
    kept + rest
}

/// An address that no other session has: always as long as any other, so that tables keep their
/// shape.
fn claim() -> (Ipv4Addr, TcpListener) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let n = std::process::id().wrapping_mul(64) + NEXT.fetch_add(1, Ordering::Relaxed);
        let digit = |n: u32| u8::try_from(100 + n % 150).expect("below 250");
        let address = Ipv4Addr::new(127, digit(n / 150 / 150), digit(n / 150), digit(n));
        if let Ok(claim) = TcpListener::bind((address, CLAIM)) {
            return (address, claim);
        }
    }
}

fn registry(address: Ipv4Addr) -> String {
    format!("{address}:5001")
}

fn hub(address: Ipv4Addr) -> String {
    format!("http://{address}:8081")
}

fn clean(dir: &Path, address: Ipv4Addr) -> Command {
    environment(KIT_RS, dir, address)
}

/// The whole environment of whatever a session runs.
fn environment(program: &str, dir: &Path, address: Ipv4Addr) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", dir.join("bin").display()))
        .env("HOME", dir.join("home"))
        .env("TMPDIR", dir.join("tmp"))
        .env("KIT_RS_HOME", dir.join("home/kit-rs"))
        .env("KIT_RS_HOST", address.to_string())
        .env("REGISTRY", registry(address))
        .env("HF_ENDPOINT", hub(address))
        .stdin(Stdio::null());
    command
}

/// A server that is killed at the end.
pub(crate) struct Server {
    process: Child,
    /// HOST:PORT.
    pub(crate) address: String,
}

impl Server {
    /// Starts it, and waits until it says its address, for as long as that may take.
    pub(crate) fn start(mut command: Command) -> Self {
        let started = command.stdout(Stdio::piped()).spawn();
        let mut process = started.expect("the program can be started");
        let stdout = process.stdout.take().expect("it is piped");
        let mut server = Self { process, address: String::new() };
        let (says, hears) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let _ = BufReader::new(stdout).read_line(&mut line);
            let _ = says.send(line);
        });
        let line = hears.recv_timeout(Duration::from_secs(60)).unwrap_or_default();
        let address = line.trim().strip_prefix("http://");
        server.address = address.unwrap_or_else(|| panic!("{command:?} says {line:?}")).to_owned();
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The crate's folder.
pub(crate) fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Writes the trainer's tiny DistilBERT into a folder.
pub(crate) fn checkpoint(to: &Path) {
    let from = here().join("../trainer/testdata/tiny-distilbert");
    fs::create_dir_all(to).expect("a folder can be made");
    for name in CHECKPOINT {
        fs::copy(from.join(name), to.join(name)).expect("the checkpoint is there");
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder can be made");
    for entry in fs::read_dir(from).expect("the folder is there") {
        let path = entry.expect("it can be read").path();
        let place = to.join(path.file_name().expect("entries have names"));
        if path.is_dir() {
            copy(&path, &place);
        } else {
            fs::copy(&path, &place).expect("it can be written");
        }
    }
}
