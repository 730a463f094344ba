//! The one place that reads the environment, the home folder and the terminal.
#![expect(clippy::disallowed_methods, reason = "this is the room's door to the environment")]

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// Where the local layout and the credentials live.
#[derive(Clone)]
pub(crate) struct Home {
    chosen: Option<PathBuf>,
}

impl Home {
    pub(crate) fn new(chosen: Option<PathBuf>) -> Self {
        Self { chosen }
    }

    fn root(&self) -> PathBuf {
        let chosen = self.chosen.clone().or_else(|| path("KIT_RS_HOME"));
        chosen.unwrap_or_else(|| data_folder().join("kit-rs"))
    }

    /// The folder of the local layout.
    pub(crate) fn storage(&self) -> PathBuf {
        self.root().join("storage")
    }

    /// The folder of downloads that are not packed yet.
    #[cfg(feature = "full")]
    pub(crate) fn importing(&self) -> PathBuf {
        self.root().join("importing")
    }

    /// What has to be signed by whom, where there is such a file.
    pub(crate) fn trust_policy(&self) -> PathBuf {
        self.root().join("trust.yaml")
    }

    /// The credentials that `login` writes.
    pub(crate) fn credentials(&self) -> PathBuf {
        self.root().join("credentials.json")
    }
}

/// The file that says what has to be signed by whom, for commands that have no flag for it.
pub(crate) fn trust_policy() -> Option<PathBuf> {
    path("KIT_RS_TRUST_POLICY")
}

/// Credential files of other tools, in the order in which they are asked (read only).
pub(crate) fn foreign_credentials() -> Vec<PathBuf> {
    let containers = path("XDG_RUNTIME_DIR").map(|dir| dir.join("containers/auth.json"));
    let config = home().map(|home| home.join(".config/containers/auth.json"));
    let docker = path("DOCKER_CONFIG").or_else(|| home().map(|home| home.join(".docker")));
    [path("REGISTRY_AUTH_FILE"), containers, config, docker.map(|dir| dir.join("config.json"))]
        .into_iter()
        .flatten()
        .collect()
}

/// Credentials that the environment holds itself, as some CI systems set it: a document like
/// Docker's `config.json`.
pub(crate) fn docker_auth_config() -> Option<String> {
    text("DOCKER_AUTH_CONFIG")
}

/// `SOURCE_DATE_EPOCH`: the only source of a creation time, in seconds since 1970.
pub(crate) fn source_date_epoch() -> anyhow::Result<Option<u64>> {
    use anyhow::Context as _;
    let Some(text) = text("SOURCE_DATE_EPOCH") else { return Ok(None) };
    let seconds = text.parse().with_context(|| {
        format!("SOURCE_DATE_EPOCH is `{text}`, not a number of seconds since 1970")
    })?;
    Ok(Some(seconds))
}

/// The Hugging Face endpoint that stands in for the hub, if one is set.
#[cfg(feature = "full")]
pub(crate) fn hf_endpoint() -> Option<String> {
    text("HF_ENDPOINT")
}

/// The token for Hugging Face's hub.
#[cfg(feature = "full")]
pub(crate) fn hf_token() -> Option<String> {
    text("HF_TOKEN")
}

/// The password of a private key: ours, or the one that cosign is given.
pub(crate) fn key_password() -> Option<Zeroizing<String>> {
    text("KIT_RS_PASSWORD").or_else(|| text("COSIGN_PASSWORD")).map(Into::into)
}

/// Before this process holds a key or a password: none of its memory is left in a core dump, nor
/// shown to other programs of the user, its environment among it.
pub(crate) fn hold_secrets() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    // What the system does not know it does not do either; the work goes on.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// A folder for files that live as long as the process.
pub(crate) fn temporary_folder() -> std::io::Result<tempfile::TempDir> {
    tempfile::Builder::new().prefix("kit-rs-").tempdir()
}

/// Whether colour may be used on stderr: on a terminal, unless `NO_COLOR` is set.
pub(crate) fn color_on_stderr() -> bool {
    stderr_is_terminal() && var("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether stderr is a terminal.
pub(crate) fn stderr_is_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// Whether stdin is a terminal.
pub(crate) fn stdin_is_terminal() -> bool {
    std::io::stdin().is_terminal()
}

/// The words of the command line.
pub(crate) fn words() -> Vec<OsString> {
    std::env::args_os().collect()
}

/// Whether a command line that cannot be read as a whole asks for JSON.
pub(crate) fn asks_for_json() -> bool {
    let words: Vec<_> = words().into_iter().skip(1).take_while(|word| word != "--").collect();
    let in_two = words.windows(2).any(|pair| pair[0] == "--format" && pair[1] == "json");
    in_two || words.iter().any(|word| word == "--format=json")
}

/// The running program.
#[cfg(any(feature = "full", feature = "servers"))]
pub(crate) fn program() -> std::io::Result<PathBuf> {
    std::env::current_exe()
}

/// The name of a folder, also for `.`.
pub(crate) fn folder_name(dir: &Path) -> Option<String> {
    let absolute = std::path::absolute(dir).ok()?;
    absolute.components().next_back().and_then(|part| part.as_os_str().to_str().map(str::to_owned))
}

fn data_folder() -> PathBuf {
    let fallback = || home().unwrap_or_else(|| PathBuf::from("."));
    if cfg!(target_os = "macos") {
        return fallback().join("Library/Application Support");
    }
    path("XDG_DATA_HOME").unwrap_or_else(|| fallback().join(".local/share"))
}

fn home() -> Option<PathBuf> {
    std::env::home_dir()
}

fn var(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

fn path(name: &str) -> Option<PathBuf> {
    var(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn text(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
