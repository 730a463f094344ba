//! Proof of training on processors that QEMU plays: a Haswell, which has AVX2 and nothing wider,
//! computes the same bits as whatever this machine has; a Nehalem, which has neither AVX2 nor fused
//! products, says neither yes nor no.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use fs_err as fs;
use serde_json::Value;

use crate::peers::{Peers, run_quietly};
use crate::registries::Shop;
use crate::report::Report;

const PEER: &str = "QEMU";
/// Without transactional memory, as those that are left have it.
const HASWELL: &str = "Haswell-noTSX";
const NEHALEM: &str = "Nehalem";

/// The places of what goes in.
const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../trainer/testdata/tiny-distilbert");
const DATASET: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../cli/tests/project/data/reviews.csv");

/// Runs every claim.
pub(super) fn run(peers: &Peers, shop: &Shop, report: &mut Report) {
    const SAME: &str =
        "a training has the same weights and record with 1, 2 and 7 threads, and on a Haswell";
    let qemu = match peers.debian("qemu-user", "qemu-x86_64") {
        Ok(qemu) => qemu,
        Err(error) => return report.skip(PEER, SAME, &format!("{error:#}")),
    };
    let played = Played { shop, qemu };
    report.claim(PEER, SAME, || {
        let all = ["1", "2", "7"].map(|threads| (None, threads));
        let all = all.into_iter().chain([(Some(HASWELL), "1"), (Some(HASWELL), "7")]);
        let trained: Vec<Trained> =
            all.map(|(cpu, threads)| played.train(cpu, threads)).collect::<anyhow::Result<_>>()?;
        let here = &trained[0];
        for other in &trained[1..] {
            ensure!(other.weights == here.weights, "other weights: {other:?} and {here:?}");
            ensure!(other.record == here.record, "another record: {other:?} and {here:?}");
        }
        Ok(())
    });
    report.claim(
        PEER,
        "a Haswell derives again what was trained here, all of it and segments",
        || {
            played.train(None, "2")?;
            played.verify(HASWELL, "--retrain")?;
            played.verify(HASWELL, AUDIT).map(drop)
        },
    );
    report.claim(PEER, "a Haswell says no where a state was changed by one bit", || {
        played.train(None, "2")?;
        played.change_states()?;
        let said = played.refused(HASWELL, AUDIT)?;
        ensure!(said.contains("is not the one that was recorded"), "another no: {said}");
        Ok(())
    });
    report.claim(PEER, "a Nehalem says neither yes nor no, and names its instructions", || {
        played.train(None, "2")?;
        for how in ["--retrain", AUDIT] {
            let said = played.refused(NEHALEM, how)?;
            let is_named = said.contains("recorded with instruction set x86-64-v3")
                && said.contains("nothing can be said of it here");
            ensure!(is_named, "the instructions are not named: {said}");
        }
        Ok(())
    });
}

/// Draws every segment.
const AUDIT: &str = "--audit 40 --seed 7 --states states";

/// What came of a training.
#[derive(Debug)]
struct Trained {
    weights: String,
    record: String,
}

/// The program, on this machine's processor and on those of QEMU.
struct Played<'a> {
    shop: &'a Shop,
    qemu: PathBuf,
}

impl Played<'_> {
    /// `kit-rs` with the words of a line, in a folder and home of this topic.
    fn command(&self, cpu: Option<&str>, line: &str) -> Command {
        let Some(cpu) = cpu else { return self.shop.kit_command("home", line) };
        let kit = self.shop.kit.display();
        let mut command = self.shop.command(&self.qemu, &format!("-cpu {cpu} {kit} {line}"));
        command.env("KIT_RS_HOME", self.shop.dir.join("home"));
        command
    }

    /// Trains into `proven`, anew.
    fn train(&self, cpu: Option<&str>, threads: &str) -> anyhow::Result<Trained> {
        for old in ["proven", "states"].map(|name| self.shop.dir.join(name)) {
            if old.exists() {
                fs::remove_dir_all(old)?;
            }
        }
        let line = format!(
            "train --model {MODEL} --dataset {DATASET} --output proven --epochs 5 --batch-size 4 --record-every 1 --keep-states states --threads {threads} --no-kitfile"
        );
        run_quietly(&mut self.command(cpu, &line))?;
        let read = |name: &str| fs::read_to_string(self.shop.dir.join(name));
        let report: Value = serde_json::from_str(&read("proven-report.json")?)?;
        let computed = report["instruction_set"].as_str().context("a report tells them")?;
        ensure!(cpu.is_none() || computed == "x86-64-v3", "{cpu:?} computed by {computed}");
        let sum = |name: &str| {
            let line = self.shop.run(Path::new("sha256sum"), name)?;
            anyhow::Ok(line.split(' ').next().unwrap_or_default().to_owned())
        };
        Ok(Trained {
            weights: sum("proven/model.safetensors")?,
            record: sum("proven/training-record.json")?,
        })
    }

    fn verify(&self, cpu: &str, how: &str) -> anyhow::Result<String> {
        let line = format!("verify ./proven {how} --base {MODEL} --dataset {DATASET}");
        run_quietly(&mut self.command(Some(cpu), &line))
    }

    /// What it says where it must not say yes; QEMU that fails by itself is another thing.
    fn refused(&self, cpu: &str, how: &str) -> anyhow::Result<String> {
        let refused = self.verify(cpu, how).err().with_context(|| format!("a {cpu} says yes"))?;
        let said = format!("{refused:#}");
        ensure!(said.contains("exit status: 1"), "it ended otherwise: {said}");
        Ok(said)
    }

    /// Flips the lowest bit of the last value of each state.
    fn change_states(&self) -> anyhow::Result<()> {
        let mut n_changed = 0;
        for entry in fs::read_dir(self.shop.dir.join("states"))? {
            let path = entry?.path();
            let mut bytes = fs::read(&path)?;
            let [.., value, _, _, _] = bytes.as_mut_slice() else { continue };
            *value ^= 1;
            fs::write(&path, bytes)?;
            n_changed += 1;
        }
        ensure!(n_changed > 0, "no state was kept");
        Ok(())
    }
}
