//! The official suite of the distribution-spec against our registry, both of its generations.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use fs_err as fs;
use serde_json::Value;

use crate::build;
use crate::e2e::say;
use crate::peers::{Peers, run_quietly};
use crate::registries::Registry;

const MODULE: &str = "github.com/opencontainers/distribution-spec/conformance";
/// The tests of specification 1.1, as a Go test binary; the newest of them that the module proxy
/// serves.
const TESTS: &str = "v0.0.0-20231101194043-f2182352d4cc";
/// The program of the current main branch.
const PROGRAM: &str = "v0.0.0-20260831232431-97274622c111";

/// What the suite is run with.
#[derive(clap::Args)]
pub(super) struct Suite {
    /// A kit-rs that is built already
    #[arg(long, value_name = "FILE")]
    kit: Option<PathBuf>,
}

/// Runs both generations; their reports lie in `target/conformance` afterwards.
pub(super) fn run(args: &Suite, workspace: &Path) -> anyhow::Result<()> {
    let kit = args.kit.clone().map_or_else(|| build::optimised(workspace), Ok)?;
    let peers = Peers::new(workspace)?;
    let out = workspace.join("target/conformance");
    if out.exists() {
        fs::remove_dir_all(&out)?;
    }
    fs::create_dir_all(&out)?;
    let program = peers.go(MODULE, PROGRAM, "conformance")?;
    let tests = tests(&peers)?;
    let root = out.join("registry");
    // The suite mounts blobs without saying from where; a registry of one's own does that only when
    // it is told to.
    let registry = Registry::ours(&kit, &root, "127.0.0.1:0", &["--anonymous-mount"])?;
    let mut failed = Vec::new();
    for version in ["1.1", "dev"] {
        let result =
            run_program(&program, &registry.address, version, &out.join(format!("main-{version}")));
        failed.extend(result.err().map(|error| format!("main's program, {version}: {error:#}")));
    }
    failed.extend(
        run_tests(&tests, &registry.address, &out.join("tests-1.1"))
            .err()
            .map(|it| format!("1.1 tests: {it:#}")),
    );
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    say(&format!("reports lie in {}", out.display()));
    Ok(())
}

/// Builds the tests of 1.1. A test binary cannot be installed: the module is fetched, and built in
/// a copy.
fn tests(peers: &Peers) -> anyhow::Result<PathBuf> {
    let binary = peers.path(&format!("conformance-tests-{TESTS}"));
    if binary.exists() {
        return Ok(binary);
    }
    let answer = run_quietly(Command::new("go").args([
        "mod",
        "download",
        "-json",
        &format!("{MODULE}@{TESTS}"),
    ]))?;
    let answer: Value = serde_json::from_str(&answer)?;
    let source = answer["Dir"].as_str().context("go names no folder")?;
    let copy = peers.path(&format!("conformance-source-{TESTS}"));
    fs::create_dir_all(&copy)?;
    for file in fs::read_dir(source)? {
        let file = file?;
        if file.file_type()?.is_file() {
            fs::write(copy.join(file.file_name()), fs::read(file.path())?)?;
        }
    }
    let mut command = Command::new("go");
    run_quietly(
        command.args(["test", "-c", "-mod=mod", "-o"]).arg(&binary).arg(".").current_dir(&copy),
    )?;
    fs::remove_dir_all(copy)?;
    Ok(binary)
}

fn run_program(program: &Path, registry: &str, version: &str, out: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(out)?;
    let mut command = Command::new(program);
    command
        .env("OCI_REGISTRY", registry)
        .env("OCI_TLS", "disabled")
        .env("OCI_REPO1", format!("main/v{version}/one"))
        .env("OCI_REPO2", format!("main/v{version}/two"))
        .env("OCI_VERSION", version)
        .env("OCI_RESULTS_DIR", out);
    let talk = run_to(&mut command, &out.join("output.txt"))?;
    let results = fs::read_to_string(out.join("results.yaml")).unwrap_or_default();
    let n = |word: &str| talk.lines().filter(|line| line.trim_end().ends_with(word)).count();
    say(&format!(
        "main's program, specification {version}: {} passed, {} failed, {} disabled",
        n("Pass"),
        n("FAIL") + n("Fail"),
        n("Disabled")
    ));
    ensure!(!results.is_empty() && n("Pass") > 100, "the suite has not run: see {}", out.display());
    ensure!(n("FAIL") + n("Fail") + n("Error") == 0, "see {}", out.display());
    Ok(())
}

fn run_tests(tests: &Path, registry: &str, out: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(out)?;
    let mut command = Command::new(tests);
    command
        .current_dir(out)
        .env("OCI_ROOT_URL", format!("http://{registry}"))
        .env("OCI_NAMESPACE", "tests/one")
        .env("OCI_CROSSMOUNT_NAMESPACE", "tests/two")
        .env("OCI_HIDE_SKIPPED_WORKFLOWS", "0")
        .env("OCI_DELETE_MANIFEST_BEFORE_BLOBS", "1")
        .env("OCI_REPORT_DIR", out);
    for workflow in ["PULL", "PUSH", "CONTENT_DISCOVERY", "CONTENT_MANAGEMENT"] {
        command.env(format!("OCI_TEST_{workflow}"), "1");
    }
    let talk = run_to(&mut command, &out.join("output.txt"))?;
    let plain = without_colours(&talk);
    let last = plain
        .lines()
        .find(|line| line.contains("Passed") && line.contains("Failed"))
        .unwrap_or("no summary");
    say(&format!("tests of 1.1: {last}"));
    ensure!(plain.contains(" 0 Failed") && !plain.contains(" 0 Passed"), "see {}", out.display());
    Ok(())
}

/// Runs a program, and keeps what it says; whether that is good is for the caller to read.
fn run_to(command: &mut Command, file: &Path) -> anyhow::Result<String> {
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {command:?}"))?;
    let talk = [output.stdout, output.stderr].concat();
    fs::write(file, &talk)?;
    Ok(String::from_utf8_lossy(&talk).into_owned())
}

fn without_colours(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        plain.push_str(before);
        rest = after.split_once('m').map_or("", |(_, rest)| rest);
    }
    plain + rest
}
