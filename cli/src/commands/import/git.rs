//! Brings the files of a Git repository, with the program git.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use fs_err as fs;
use registry::without_userinfo;

use super::args::{Args, check_any};
use super::brought::Brought;
use super::folder::Folder;
use crate::failure::{WithHint as _, asked_wrongly, failure, interrupted};
use crate::kind::Kind;
use crate::steps::token::{origin, token};
use crate::ui::Ui;

/// What a file in Git LFS begins with where git-lfs did not bring its content.
const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// What binds git to a repository (`git rev-parse --local-env-vars`): a hook that calls `kit-rs`
/// has it set, and means its own.
const LOCAL: [&str; 16] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
];

/// A Git repository, and the way there.
pub(super) struct Repository {
    address: String,
    /// `org/name`.
    pub(super) name: String,
    revision: String,
    access: Option<Access>,
}

/// A token, and the origin that it is for.
struct Access {
    origin: String,
    token: String,
}

impl Repository {
    pub(super) fn new(args: &Args) -> anyhow::Result<Self> {
        let revision = args.revision.as_deref().unwrap_or("HEAD");
        if args.repository.starts_with('-') || revision.starts_with('-') {
            return Err(asked_wrongly("an address or a revision does not begin with `-`"));
        }
        let address = address(&args.repository)?;
        let access = token(&address, args.token.as_deref()).zip(origin(&address));
        let access = access.map(|(token, origin)| Access { origin, token });
        Ok(Self { name: name(&address), address, revision: revision.to_owned(), access })
    }
}

pub(super) fn bring(repository: Repository, args: &Args, ui: &Ui) -> anyhow::Result<Brought> {
    let Repository { address, name, revision, access } = repository;
    let folder = Folder::temporary()?;
    let git = |arguments: &[&str]| run(folder.path(), access.as_ref(), arguments);
    git(&["init", "--quiet"])?;
    let fetched = git(&["fetch", "--quiet", "--depth", "1", "--", &address, &revision])
        .with_context(|| cannot_fetch(&revision, &address));
    let is_redirected =
        fetched.as_ref().is_err_and(|error| format!("{error:#}").contains("returned error: 30"));
    match access {
        Some(_) if is_redirected => fetched.hint(
            "with a token no redirect is followed: give the address that the repository has",
        )?,
        _ => fetched?,
    };
    if ui.interrupt().flow().is_break() {
        return Err(interrupted());
    }
    git(&["-c", "advice.detachedHead=false", "checkout", "--quiet", "FETCH_HEAD"])?;
    let commit = git(&["rev-parse", "HEAD"])?.trim().to_owned();
    fs::remove_dir_all(folder.path().join(".git"))?;
    let mut kept = Kept::default();
    keep_wanted(folder.path(), folder.path(), args, &mut kept)?;
    for link in &kept.links {
        ui.warn(format_args!("{link} is a symbolic link and is left out"));
    }
    check_any(kept.n_files)?;
    Ok(Brought { folder, name, commit, large: None })
}

/// An address may hold a password, or a token.
fn cannot_fetch(revision: &str, address: &str) -> String {
    format!("cannot fetch {revision} of {}", without_userinfo(address))
}

/// What git's words mean, those that it has had for many years; the rest is a failure like any
/// other.
fn kind(stderr: &[u8]) -> Kind {
    const WORDS: [(Kind, &[&str]); 4] = [
        (
            Kind::Refused,
            &[
                "authentication failed",
                "could not read username",
                "could not read password",
                "permission denied",
                "returned error: 401",
                "returned error: 403",
            ],
        ),
        (Kind::Untrusted, &["certificate", "host key verification failed"]),
        (
            Kind::NotFound,
            &[
                "couldn't find remote ref",
                "not found",
                "does not appear to be a git repository",
                "does not exist",
            ],
        ),
        (
            Kind::Unreachable,
            &[
                "could not resolve",
                "failed to connect",
                "connection refused",
                "connection reset",
                "connection timed out",
                "couldn't connect",
                "network is unreachable",
                "early eof",
                "hung up unexpectedly",
                "empty reply",
            ],
        ),
    ];
    let said = String::from_utf8_lossy(stderr).to_lowercase();
    let found = WORDS.iter().find(|(_, words)| words.iter().any(|word| said.contains(word)));
    found.map_or(Kind::Failed, |(kind, _)| *kind)
}

fn failed(verb: &str, stderr: &[u8]) -> String {
    let said = String::from_utf8_lossy(stderr);
    format!("git {verb} failed: {}", without_userinfo(said.trim()))
}

/// Runs git and returns what it printed.
fn run(dir: &Path, access: Option<&Access>, arguments: &[&str]) -> anyhow::Result<String> {
    let output = command(dir, access)
        .args(arguments)
        .output()
        .context("cannot run git; is it installed?")?;
    if !output.status.success() {
        return Err(failure(kind(&output.stderr), failed(arguments[0], &output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Git in a folder, and in no other repository. The token goes through the environment, where no
/// list of processes shows it.
fn command(dir: &Path, access: Option<&Access>) -> Command {
    let mut command = Command::new("git");
    command.current_dir(dir).stdin(Stdio::null()).env("GIT_TERMINAL_PROMPT", "0");
    // Its words are read; with LC_ALL, LANGUAGE does not count.
    command.env("LC_ALL", "C");
    for variable in LOCAL {
        command.env_remove(variable);
    }
    let Some(Access { origin, token }) = access else { return command };
    let settings = [
        ("extraHeader", format!("Authorization: Bearer {token}")),
        // Git takes the header along to wherever the first answer leads.
        ("followRedirects", "false".to_owned()),
    ];
    command.env("GIT_CONFIG_COUNT", settings.len().to_string());
    for (n, (key, value)) in settings.into_iter().enumerate() {
        command.env(format!("GIT_CONFIG_KEY_{n}"), format!("http.{origin}/.{key}"));
        command.env(format!("GIT_CONFIG_VALUE_{n}"), value);
    }
    command
}

/// What a checkout came to.
#[derive(Default)]
struct Kept {
    n_files: usize,
    /// Wanted, but a link may lead anywhere.
    links: Vec<String>,
}

/// Takes away what is not wanted, and refuses what is only a pointer to its content.
fn keep_wanted(root: &Path, dir: &Path, args: &Args, kept: &mut Kept) -> anyhow::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            keep_wanted(root, &path, args, kept)?;
            continue;
        }
        let name = path.strip_prefix(root)?.to_string_lossy().into_owned();
        let is_wanted = args.wants(&name);
        if !kind.is_file() || !is_wanted {
            fs::remove_file(&path)?;
            if is_wanted {
                kept.links.push(name);
            }
            continue;
        }
        let is_small = entry.metadata()?.len() < 1024;
        ensure!(
            !(is_small && fs::read(&path)?.starts_with(POINTER)),
            "{name} lies in Git LFS and came without its content: install git-lfs, and run `git lfs install`"
        );
        kept.n_files += 1;
    }
    Ok(())
}

/// The address as git understands it in every folder: a path that is here becomes absolute.
fn address(repository: &str) -> anyhow::Result<String> {
    let path = Path::new(repository);
    if repository.contains("://") || !path.exists() {
        return Ok(repository.to_owned());
    }
    let path = std::path::absolute(path)?;
    Ok(path.to_str().with_context(|| format!("{} is not valid UTF-8", path.display()))?.to_owned())
}

/// The last two parts of the address.
fn name(address: &str) -> String {
    let path = address.trim_end_matches('/').trim_end_matches(".git");
    let mut parts = path.rsplit(['/', ':']).filter(|part| !part.is_empty());
    let (last, before) = (parts.next().unwrap_or_default(), parts.next());
    let word = |part: &&str| {
        part.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
            && !part.starts_with('.')
            && !part.contains("..")
    };
    match before.filter(word) {
        Some(before) => format!("{before}/{last}"),
        None => last.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use fs_err::os::unix::fs::symlink;

    use super::super::args::tests::args;
    use super::*;

    #[test]
    fn the_name_is_the_last_two_parts() {
        assert_eq!(name("https://github.com/org/name.git"), "org/name");
        assert_eq!(name("git@host.test:org/name"), "org/name");
        assert_eq!(name("file:///srv/git/name.git/"), "git/name");
        assert_eq!(name("/tmp/.hidden/name.git"), "name");
    }

    #[test]
    fn secrets_in_an_address_are_not_shown() {
        let address = "https://ada:secret@host.test/o/n.git";
        assert_eq!(cannot_fetch("HEAD", address), "cannot fetch HEAD of https://host.test/o/n.git");
        let stderr = format!("fatal: unable to access '{address}/': no such host\n");
        let said = failed("fetch", stderr.as_bytes());
        let expected = "unable to access 'https://host.test/o/n.git/': no such host";
        assert_eq!(said, format!("git fetch failed: fatal: {expected}"));
    }

    #[test]
    fn paths_that_are_here_become_absolute() {
        // The tests of a package run in its folder.
        let here = address("./src").expect("a path");
        assert!(Path::new(&here).is_absolute() && here.ends_with("/src"), "{here}");
        for elsewhere in ["./nowhere.git", "https://host.test/o/n.git", "git@host.test:o/n"] {
            assert_eq!(address(elsewhere).expect("an address"), elsewhere);
        }
    }

    #[test]
    fn git_hears_of_no_other_repository_and_tells_the_token_to_its_origin_only() {
        let of = |command: &Command, name: &str| {
            let mut variables = command.get_envs();
            let (_, value) = variables
                .find(|(key, _)| *key == name)
                .unwrap_or_else(|| panic!("{name} is inherited"));
            value.map(|value| value.to_string_lossy().into_owned())
        };
        let bare = command(Path::new("."), None);
        for variable in LOCAL {
            assert_eq!(of(&bare, variable), None, "{variable}");
        }
        let access =
            Access { origin: "https://host.test:8443".to_owned(), token: "secret".to_owned() };
        let with_token = command(Path::new("."), Some(&access));
        assert_eq!(of(&with_token, "GIT_DIR"), None);
        assert_eq!(of(&with_token, "GIT_CONFIG_COUNT").as_deref(), Some("2"));
        assert_eq!(
            of(&with_token, "GIT_CONFIG_KEY_0").as_deref(),
            Some("http.https://host.test:8443/.extraHeader")
        );
        assert_eq!(
            of(&with_token, "GIT_CONFIG_VALUE_0").as_deref(),
            Some("Authorization: Bearer secret")
        );
        assert_eq!(
            of(&with_token, "GIT_CONFIG_KEY_1").as_deref(),
            Some("http.https://host.test:8443/.followRedirects")
        );
        assert_eq!(of(&with_token, "GIT_CONFIG_VALUE_1").as_deref(), Some("false"));
    }

    #[test]
    fn links_are_told_and_files_counted() {
        let dir = tempfile::tempdir().expect("there is a place for temporary files");
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("sub")).expect("a folder");
        for file in ["model.bin", "notes.md", "sub/model.bin"] {
            fs::write(at(file), "content").expect("it writes");
        }
        symlink("model.bin", at("sub/link.bin")).expect("a link");
        symlink("notes.md", at("link.md")).expect("a link");
        let args = Args { include: vec!["*.bin".parse().expect("a pattern")], ..args("o/n") };
        let mut kept = Kept::default();
        keep_wanted(dir.path(), dir.path(), &args, &mut kept).expect("no pointer is among them");
        assert_eq!((kept.n_files, kept.links), (2, vec!["sub/link.bin".to_owned()]));
        for gone in ["notes.md", "link.md", "sub/link.bin"] {
            assert!(fs::symlink_metadata(at(gone)).is_err(), "{gone}");
        }
    }
}
