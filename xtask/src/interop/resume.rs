//! A training that is killed, again and again, ends with the bytes of one that is not; for any
//! number of threads, and on another processor.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use fs_err as fs;
use serde_json::json;

use crate::e2e::say;
use crate::peers::{Peers, run_quietly};
use crate::process;
use crate::report::Report;

/// Runs the claim, on the tiny BERT and some hundred sentences.
pub(super) fn run(
    peers: &Peers,
    kit_rs: &Path,
    workspace: &Path,
    dir: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    let text = |n: usize| {
        format!("sentence {n} is {} and number {}", ["good", "bad"][n % 2], n * 7919 % 1000)
    };
    let rows: Vec<_> = (0..800).map(|n| json!({ "text": text(n), "label": n % 2 })).collect();
    fs::write(dir.join("data.json"), json!({ "samples": rows }).to_string())?;
    let runs = Runs {
        kit_rs: kit_rs.to_owned(),
        model: workspace.join("trainer/testdata/tiny-bert"),
        dir: dir.to_owned(),
    };
    report.claim(
        "kit-rs train",
        "killed at four points and resumed each time, it ends with the bytes of an uninterrupted run",
        || {
            let whole = runs.whole("whole", "2")?;
            for (n, points) in [[1_u64, 200], [50, 400]].into_iter().enumerate() {
                let name = format!("killed-{n}");
                for milliseconds in points {
                    runs.killed(&name, Duration::from_millis(milliseconds))?;
                }
                let command = &mut runs.command(&name, "2", true);
                run_quietly(command)?;
                ensure!(runs.weights(&name)? == whole, "{name} differs");
            }
            Ok(())
        },
    );
    report.claim("kit-rs train", "one, two and five threads give the same bytes", || {
        let one = runs.whole("one", "1")?;
        ensure!(
            one == runs.whole("two", "2")? && one == runs.whole("five", "5")?,
            "the bytes differ"
        );
        Ok(())
    });
    other_processor(peers, &runs, report);
    Ok(())
}

/// A processor with AVX2 and without AVX-512 computes the same; one without either is told apart.
fn other_processor(peers: &Peers, runs: &Runs, report: &mut Report) {
    let claim = "a Haswell computes the bytes of this processor, and a Nehalem is refused";
    if std::env::consts::ARCH != "x86_64" {
        return report.skip("qemu-x86_64", claim, "this machine is none of x86-64");
    }
    let qemu = match peers.debian("qemu-user", "qemu-x86_64") {
        Ok(qemu) => qemu,
        Err(error) => return report.skip("qemu-x86_64", claim, &format!("{error:#}")),
    };
    report.claim("qemu-x86_64", claim, || {
        let here = runs.whole("here", "2")?;
        run_quietly(&mut runs.on(&qemu, "Haswell", "there"))?;
        ensure!(runs.weights("there")? == here, "the bytes differ");
        let refused = runs.on(&qemu, "Nehalem", "nowhere").output()?;
        let told = String::from_utf8_lossy(&refused.stderr);
        ensure!(
            !refused.status.success() && told.contains("x86-64-v3"),
            "a Nehalem is not refused: {told}"
        );
        Ok(())
    });
}

struct Runs {
    kit_rs: PathBuf,
    model: PathBuf,
    dir: PathBuf,
}

impl Runs {
    fn command(&self, name: &str, threads: &str, resumes: bool) -> Command {
        let mut command = Command::new(&self.kit_rs);
        command.current_dir(&self.dir).args([
            "train",
            "--dataset",
            "data.json",
            "--epochs",
            "4",
            "--batch-size",
            "4",
        ]);
        command.args([
            "--keep-every",
            "7",
            "--learning-rate",
            "1e-3",
            "--no-kitfile",
            "--threads",
            threads,
        ]);
        command
            .arg("--model")
            .arg(&self.model)
            .args(["--output", name])
            .args(resumes.then_some("--resume"));
        command
    }

    /// The same training on a processor that QEMU plays.
    fn on(&self, qemu: &Path, processor: &str, name: &str) -> Command {
        let here = self.command(name, "2", false);
        let mut command = Command::new(qemu);
        command
            .current_dir(&self.dir)
            .args(["-cpu", processor])
            .arg(&self.kit_rs)
            .args(here.get_args());
        command.args(["--isa", "x86-64-v3"]);
        command
    }

    fn whole(&self, name: &str, threads: &str) -> anyhow::Result<Vec<u8>> {
        run_quietly(&mut self.command(name, threads, false))?;
        self.weights(name)
    }

    fn weights(&self, name: &str) -> anyhow::Result<Vec<u8>> {
        Ok(fs::read(self.dir.join(name).join("model.safetensors"))?)
    }

    /// Starts a training, waits for its state to appear, and kills it some time later.
    fn killed(&self, name: &str, after: Duration) -> anyhow::Result<()> {
        let state = self.dir.join(format!(".kit-rs-state-{name}/state.safetensors"));
        let before = fs::metadata(&state).and_then(|metadata| metadata.modified()).ok();
        let mut child =
            self.command(name, "2", true).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let deadline = Instant::now() + Duration::from_secs(60);
        while fs::metadata(&state).and_then(|metadata| metadata.modified()).ok() == before {
            if child.try_wait()?.is_some() || Instant::now() > deadline {
                process::kill(child.id()).ok();
                bail!("the training kept no state");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(after);
        if child.try_wait()?.is_none() {
            process::kill(child.id())?;
        }
        let status = child.wait().context("it ends")?;
        say(&format!("          {name}: {status} {after:?} after a state was kept"));
        ensure!(!status.success(), "{name} ended before it was killed");
        Ok(())
    }
}
