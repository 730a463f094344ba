//! `cargo xtask conformance kustomize`: our builds, judged by kustomize itself.
//!
//! Two materials: a corpus of our own with a small tree for each field, option and error, and trees
//! that are generated from a seed. Both sides build each tree; documents are compared in their
//! order, as the values that the API server's clients read. kustomize builds within one process of
//! ours, by its own packages; a sample is held against the real program.

mod corpus;
mod generate;
mod judge;
mod known;
mod shrink;
mod sides;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use fs_err as fs;

use self::judge::{Judgement, Score, Verdict, judge, kind_of};
use self::sides::{Answer, Files, Question, Side, Sides};
use crate::build;
use crate::e2e::say;
use crate::peers::{Peers, run_quietly};

/// The release of kustomize that is right.
pub(crate) const KUSTOMIZE: &str = "v5.8.1";
/// Its packages in the same state.
const API: &str = "v0.21.1";
/// How many trees are asked for at a time.
const BATCH: usize = 500;

/// Judge our builds of kustomizations by kustomize, over a corpus and generated trees
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many trees are generated
    #[arg(long, default_value_t = 10_000)]
    trees: u64,
    /// What they are generated from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many trees the real program builds, too
    #[arg(long, default_value_t = 100)]
    sample: usize,
    /// Only cases of the corpus whose name has this in it, and no generated trees
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Write kustomize's answers into the corpus
    #[arg(long)]
    write: bool,
    /// The example `builds` of `gitops`, if it is built already
    #[arg(long, value_name = "FILE")]
    builds: Option<PathBuf>,
}

/// A tree with its name and the features that it has.
struct Case {
    name: String,
    features: Vec<String>,
    files: Files,
    path: &'static str,
}

/// Runs both materials; failing trees lie in `target/conformance/kustomize` afterwards.
pub(crate) fn run(args: &Args, workspace: &Path) -> anyhow::Result<()> {
    let peers = Peers::new(workspace)?;
    let real = kustomize(&peers)?;
    let builds = match &args.builds {
        Some(builds) => fs::canonicalize(builds)?,
        None => build::example(workspace, "kit-gitops", "builds")?,
    };
    let mut sides = Sides { theirs: Side::new(&oracle(&peers)?), ours: Side::new(&builds) };
    let out = workspace.join("target/conformance/kustomize");
    if out.exists() {
        fs::remove_dir_all(&out)?;
    }
    fs::create_dir_all(&out)?;
    let mut trial = Trial { sides: &mut sides, out: &out, sampled: Vec::new() };
    let corpus = trial.corpus(args, workspace)?;
    let mut n_bad = corpus.n(Verdict::Wrong) + corpus.n(Verdict::Crash);
    if args.only.is_none() {
        let generated = trial.generated(args)?;
        n_bad += generated.n(Verdict::Wrong) + generated.n(Verdict::Crash);
    }
    hold_against_program(&real, &trial.sampled, args.sample, &mut sides.theirs)?;
    ensure!(n_bad == 0, "{n_bad} trees are built wrong; see {}", out.display());
    Ok(())
}

/// kustomize itself.
pub(crate) fn kustomize(peers: &Peers) -> anyhow::Result<PathBuf> {
    peers.go("sigs.k8s.io/kustomize/kustomize/v5", KUSTOMIZE, "kustomize")
}

/// The program of ours around its packages.
fn oracle(peers: &Peers) -> anyhow::Result<PathBuf> {
    let source = include_str!("oracle.go");
    let folder = peers.go_module(&[("sigs.k8s.io/kustomize/api", API)])?;
    let (main, program) =
        (folder.join("main.go"), peers.path(&format!("kustomize-oracle-{API}-{KUSTOMIZE}")));
    if program.exists() && fs::read_to_string(&main).is_ok_and(|text| text == source) {
        return Ok(program);
    }
    fs::write(&main, source)?;
    say("$ go build oracle.go");
    let mut command = Command::new("go");
    // The version that `managedByLabel` writes down is that of the program.
    let version = format!("-X sigs.k8s.io/kustomize/api/provenance.version={KUSTOMIZE}");
    command.args(["build", "-mod=mod", "-ldflags", &version, "-o"]).arg(&program).arg(".");
    command.current_dir(&folder);
    run_quietly(&mut command)?;
    Ok(program)
}

struct Trial<'a> {
    sides: &'a mut Sides,
    out: &'a Path,
    /// Trees and what our program around kustomize's packages answered.
    sampled: Vec<(Case, Answer)>,
}

impl Trial<'_> {
    fn corpus(&mut self, args: &Args, workspace: &Path) -> anyhow::Result<Score> {
        let folder = workspace.join("gitops/testdata/kustomize-corpus");
        let only = args.only.as_deref().unwrap_or_default();
        let (mut score, mut n_untold) = (Score::default(), 0);
        for path in corpus::files(&folder)? {
            let told = corpus::read(&path)?;
            let trees: Vec<_> = told.iter().map(|case| (&case.files, case.path())).collect();
            let answers = self.sides.build(&trees)?;
            if args.write {
                let theirs: Vec<&Answer> = answers.iter().map(|(theirs, _)| theirs).collect();
                corpus::write(&path, &theirs)?;
            }
            for (told, (theirs, ours)) in told.into_iter().zip(answers) {
                if !told.name.contains(only) {
                    continue;
                }
                if !args.write && !told.is_told(&theirs) {
                    say(&format!("{}: what is written down is not kustomize's answer", told.name));
                    n_untold += 1;
                }
                let judged = judge(&told.name, &theirs, &ours);
                score.count(std::slice::from_ref(&told.feature), judged.verdict);
                let case = Case {
                    path: told.path(),
                    name: told.name,
                    features: Vec::new(),
                    files: told.files,
                };
                if judged.verdict > Verdict::Known {
                    say(&format!("{:?}  {}: {}", judged.verdict, case.name, judged.reason));
                    keep(self.out, &case, &judged, &theirs, &ours)?;
                }
                self.sampled.push((case, theirs));
            }
        }
        say(&format!("\n{}", score.table("corpus")));
        ensure!(n_untold == 0, "{n_untold} answers differ; --write writes kustomize's own");
        Ok(score)
    }

    fn generated(&mut self, args: &Args) -> anyhow::Result<Score> {
        let began = Instant::now();
        let mut score = Score::default();
        let mut kinds: BTreeMap<(Verdict, String), (usize, Case)> = BTreeMap::new();
        let mut refused: BTreeMap<String, usize> = BTreeMap::new();
        let numbers: Vec<u64> = (0..args.trees).collect();
        for batch in numbers.chunks(BATCH) {
            let cases: Vec<Case> =
                batch.iter().map(|number| generate::tree(args.seed, *number)).collect();
            let trees: Vec<_> = cases.iter().map(|case| (&case.files, case.path)).collect();
            let answers = self.sides.build(&trees)?;
            for (n, (case, (theirs, ours))) in cases.into_iter().zip(answers).enumerate() {
                let judged = judge(&case.name, &theirs, &ours);
                if theirs.documents.is_none() {
                    *refused.entry(kind_of(&theirs.error)).or_default() += 1;
                }
                score.count(&case.features, judged.verdict);
                if judged.verdict > Verdict::Known {
                    let size = |case: &Case| case.files.values().map(String::len).sum::<usize>();
                    match kinds.entry((judged.verdict, judged.reason)) {
                        std::collections::btree_map::Entry::Vacant(entry) => {
                            entry.insert((1, case));
                        }
                        std::collections::btree_map::Entry::Occupied(mut entry) => {
                            entry.get_mut().0 += 1;
                            if size(&case) < size(&entry.get().1) {
                                entry.get_mut().1 = case;
                            }
                        }
                    }
                } else if n % 100 == 0 {
                    self.sampled.push((case, theirs));
                }
            }
        }
        say(&score.table(&format!("{} trees of seed {}", args.trees, args.seed)));
        say(&format!(
            "{:.0} s; kustomize refuses {} of the trees, mostly so:",
            began.elapsed().as_secs_f64(),
            refused.values().sum::<usize>()
        ));
        let mut refused: Vec<_> = refused.into_iter().collect();
        refused.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        refused.iter().take(12).for_each(|(kind, n)| say(&format!("  {n:6}  {kind}")));
        self.shrink(kinds)?;
        Ok(score)
    }

    /// Makes one tree of each kind of failure small, the most frequent kinds first.
    fn shrink(&mut self, kinds: BTreeMap<(Verdict, String), (usize, Case)>) -> anyhow::Result<()> {
        let mut kinds: Vec<_> = kinds.into_iter().collect();
        kinds.sort_by_key(|((verdict, _), (n, _))| (!verdict.is_bad(), std::cmp::Reverse(*n)));
        for (n, ((verdict, reason), (count, mut case))) in kinds.into_iter().enumerate() {
            if n < 40 {
                case.files = shrink::smallest(
                    self.sides,
                    &case.name,
                    case.files,
                    case.path,
                    (verdict, &reason),
                )?;
            }
            let answers = self.sides.build(&[(&case.files, case.path)])?;
            let (theirs, ours) = answers.first().context("one tree has one answer")?;
            case.name = format!("generated/{n:03}-{}", case.name);
            say(&format!("{verdict:?} × {count}  {}: {reason}", case.name));
            keep(self.out, &case, &Judgement { verdict, reason }, theirs, ours)?;
        }
        Ok(())
    }
}

/// Writes a failing tree down, with both answers.
fn keep(
    out: &Path,
    case: &Case,
    judged: &Judgement,
    theirs: &Answer,
    ours: &Answer,
) -> anyhow::Result<()> {
    let folder = out.join(case.name.replace(' ', "-"));
    put(&folder.join("input"), &case.files)?;
    let told = |answer: &Answer| match &answer.error {
        error if error.is_empty() => answer.yaml.clone(),
        error => format!("refused: {error}\n"),
    };
    fs::write(folder.join("theirs.yaml"), told(theirs))?;
    fs::write(folder.join("ours.yaml"), told(ours))?;
    fs::write(folder.join("verdict.txt"), format!("{:?}: {}\n", judged.verdict, judged.reason))?;
    Ok(())
}

fn put(folder: &Path, files: &Files) -> anyhow::Result<()> {
    for (path, text) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().context("a file has a folder")?)?;
        fs::write(path, text)?;
    }
    Ok(())
}

/// Holds our program around kustomize's packages against kustomize itself, over a sample.
fn hold_against_program(
    real: &Path,
    sampled: &[(Case, Answer)],
    n: usize,
    reader: &mut Side,
) -> anyhow::Result<()> {
    let step = sampled.len().div_ceil(n.max(1)).max(1);
    let mut held = 0;
    let root = std::env::temp_dir().join(format!("kustomize-sample-{}", std::process::id()));
    let scratch = crate::scratch::Scratch::new(&root, crate::scratch::MIB)?;
    for (number, (case, answer)) in sampled.iter().step_by(step).enumerate() {
        let folder = scratch.path().join(number.to_string());
        put(&folder, &case.files)?;
        let output = Command::new(real)
            .args(["build", "--load-restrictor", "LoadRestrictionsNone"])
            .arg(folder.join(case.path))
            .output()?;
        let documents = match output.status.success() {
            true => {
                let text = String::from_utf8(output.stdout)?;
                let answers = reader.ask(&[Question::Read { yaml: &text }])?;
                answers.into_iter().next().and_then(|answer| answer.documents)
            }
            false => None,
        };
        ensure!(
            documents == answer.documents,
            "{}: kustomize itself answers otherwise than its packages in our program",
            case.name
        );
        held += 1;
    }
    say(&format!("kustomize {KUSTOMIZE} itself answers the same in {held} trees of the sample"));
    Ok(())
}
