//! huggingface_hub and transformers against `kit-rs hub serve`, and `kit-rs import` against a hub:
//! folders, ModelKits, kills.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use fs_err as fs;

use super::transformers::PACKAGES;
use crate::peers::{Peers, run_quietly};
use crate::process;
use crate::report::Report;

/// The large file of the model that is imported, in bytes.
const LARGE: usize = 400 * 1024 * 1024;

/// Runs every claim.
pub(super) fn run(
    peers: &Peers,
    kit_rs: &Path,
    workspace: &Path,
    dir: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    let models = dir.join("models");
    fs::create_dir_all(&models)?;
    let place = Place { kit_rs: kit_rs.to_owned(), dir: dir.to_owned() };
    let script = workspace.join("registry/tests/testdata/hub/official_client.py");
    match peers.python("transformers", &PACKAGES) {
        Err(error) => report.skip("huggingface_hub", "the official client", &format!("{error:#}")),
        Ok(python) => {
            let official = |action: &str, endpoint: &str| {
                let mut command = Command::new(&python);
                command
                    .arg(&script)
                    .args([action])
                    .arg(&models)
                    .env("HF_ENDPOINT", endpoint)
                    .env("NO_PROXY", "127.0.0.1");
                command
                    .env("HF_HOME", place.dir.join(format!("hf-{action}")))
                    .env("HF_HUB_DISABLE_TELEMETRY", "1");
                run_quietly(&mut command).map(drop)
            };
            official("make", "http://127.0.0.1:9")?;
            let from = models.display().to_string();
            report.claim(
                "huggingface_hub, transformers",
                "a folder behind `hub serve` is listed, downloaded and loaded",
                || {
                    let hub = place.serve(&["--root", &from])?;
                    official("take", &hub.url)
                },
            );
            report.claim(
                "huggingface_hub, transformers",
                "the model of a ModelKit behind `hub serve` loads, with the logits of the folder it was made of",
                || {
                    let folder = models.join("org/tiny");
                    let folder = folder.to_str().context("UTF-8")?;
                    place.kit_rs(&["init", folder, "--force"])?;
                    place.kit_rs(&["pack", folder, "--tag", "localhost:1/org/tiny:v1"])?;
                    fs::remove_file(models.join("org/tiny/Kitfile"))?;
                    let hub = place.serve(&["localhost:1/org/tiny:v1"])?;
                    official("load", &hub.url)
                },
            );
        }
    }
    large(&models)?;
    let root = models.display().to_string();
    report.claim(
        "kit-rs init --remote",
        "a Kitfile is guessed from afar as it is from the folder",
        || {
            let hub = place.serve(&["--root", &root])?;
            let afar = run_quietly(
                place.command(&["init", "--remote", "org/large"]).env("HF_ENDPOINT", &hub.url),
            )?;
            let folder = models.join("org/large");
            let near = place.kit_rs(&[
                "init",
                folder.to_str().context("UTF-8")?,
                "--output",
                "-",
                "--author",
                "org",
            ])?;
            ensure!(
                afar == near && afar.contains("model.safetensors"),
                "from afar:\n{afar}\nfrom the folder:\n{near}"
            );
            Ok(())
        },
    );
    report.claim(
        "kit-rs import",
        "a repository of 1,200 files is imported, with patterns, and the ModelKit holds the same bytes",
        || {
            let hub = place.serve(&["--root", &root])?;
            place.import(&hub.url, &["org/many", "--exclude", "b/*"])?;
            let into = place.dir.join("many");
            place.kit_rs(&["unpack", "org/many:latest", "--dir", into.to_str().context("UTF-8")?])?;
            ensure!(fs::read_dir(into.join("a"))?.count() == 600, "600 files of folder a");
            ensure!(!into.join("b").exists(), "none of folder b");
            Ok(())
        },
    );
    report.claim(
        "kit-rs import",
        "an import killed in the middle goes on where it was, and ends with the same bytes",
        || {
            let hub = place.serve(&["--root", &root])?;
            let n_kills = place.killed(&hub.url)?;
            place.import(&hub.url, &["org/large"])?;
            let into = place.dir.join("large");
            place.kit_rs(&[
                "unpack",
                "org/large:latest",
                "--dir",
                into.to_str().context("UTF-8")?,
            ])?;
            let [ours, theirs] =
                [into, models.join("org/large")].map(|dir| fs::read(dir.join("model.safetensors")));
            ensure!(ours? == theirs?, "the file came otherwise after {n_kills} kills");
            ensure!(n_kills > 0, "it was never killed");
            Ok(())
        },
    );
    fs::remove_dir_all(models.join("org/large"))?;
    Ok(())
}

/// Where everything is.
struct Place {
    kit_rs: PathBuf,
    dir: PathBuf,
}

/// A hub that ends with its value.
struct Hub {
    child: Child,
    url: String,
}

impl Drop for Hub {
    fn drop(&mut self) {
        process::end(&mut self.child, Duration::from_secs(15));
    }
}

impl Place {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.kit_rs);
        command.args(arguments).env("KIT_RS_HOME", self.dir.join("home"));
        command
    }

    fn kit_rs(&self, arguments: &[&str]) -> anyhow::Result<String> {
        run_quietly(&mut self.command(arguments))
    }

    fn import(&self, endpoint: &str, arguments: &[&str]) -> anyhow::Result<()> {
        run_quietly(self.command(&["import"]).args(arguments).env("HF_ENDPOINT", endpoint))
            .map(drop)
    }

    fn serve(&self, arguments: &[&str]) -> anyhow::Result<Hub> {
        let mut command = self.command(&["hub", "serve", "--addr", "127.0.0.1:0"]);
        process::end_with_us(&mut command);
        let mut child =
            command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let stdout = child.stdout.take().context("stdout is a pipe")?;
        let mut url = String::new();
        BufReader::new(stdout).read_line(&mut url)?;
        ensure!(url.starts_with("http://"), "hub serve did not start");
        Ok(Hub { child, url: url.trim().to_owned() })
    }

    /// Kills an import whenever it has written down some more parts, until it has been killed three
    /// times.
    fn killed(&self, endpoint: &str) -> anyhow::Result<usize> {
        let mut n_kills = 0;
        for more in [16, 48, 48] {
            let mut child = self
                .command(&["import", "org/large"])
                .env("HF_ENDPOINT", endpoint)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()?;
            let before = self.n_blocks();
            let deadline = Instant::now() + Duration::from_secs(120);
            loop {
                if child.try_wait()?.is_some() {
                    return Ok(n_kills);
                }
                ensure!(self.n_blocks() >= before, "what was there is gone");
                if self.n_blocks() >= before + more {
                    process::kill(child.id())?;
                    child.wait()?;
                    n_kills += 1;
                    break;
                }
                if Instant::now() > deadline {
                    process::kill(child.id())?;
                    bail!("no block came in two minutes");
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        Ok(n_kills)
    }

    /// How many blocks of the large file's layer are marked as there: what comes after the head of
    /// its map.
    fn n_blocks(&self) -> usize {
        let Ok(files) = fs::read_dir(self.dir.join("home/storage/ingest")) else { return 0 };
        let maps = files
            .flatten()
            .map(|file| file.path())
            .filter(|path| path.extension().is_some_and(|it| it == "map"));
        let marks = maps.filter_map(|path| fs::read(path).ok());
        marks.map(|map| map.iter().skip(16).filter(|mark| **mark == 1).count()).sum()
    }
}

/// A model with a large file, and one with many.
fn large(models: &Path) -> anyhow::Result<()> {
    let (large, many) = (models.join("org/large"), models.join("org/many"));
    fs::create_dir_all(&large)?;
    let mut state = 1_u64;
    let words = (0..LARGE / 8).flat_map(|_| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_le_bytes()
    });
    fs::write(large.join("model.safetensors"), words.collect::<Vec<u8>>())?;
    fs::write(large.join("config.json"), "{}")?;
    for folder in ["a", "b"] {
        fs::create_dir_all(many.join(folder))?;
        for number in 0..600 {
            fs::write(
                many.join(folder).join(format!("{number}.txt")),
                format!("{folder} {number}"),
            )?;
        }
    }
    Ok(fs::write(many.join("config.json"), "{}")?)
}
