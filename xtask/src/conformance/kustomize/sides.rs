//! The two sides as processes that build many trees: a question is a line of JSON on stdin, its
//! answer a line on stdout.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::process;

/// How long one tree may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The files of a tree by their paths.
pub(super) type Files = BTreeMap<String, String>;

/// What a side is asked.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Question<'a> {
    /// To build a folder of a tree.
    Build { files: &'a Files, path: &'a str },
    /// To read a text.
    Read { yaml: &'a str },
}

/// What it answers.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Answer {
    /// What was built or read.
    pub(super) documents: Option<Vec<Value>>,
    /// The same as it was printed.
    pub(super) yaml: String,
    /// Why there is nothing.
    pub(super) error: String,
}

impl Answer {
    /// Whether the side broke down, which no input may bring about.
    pub(super) fn crashed(&self) -> bool {
        self.error.starts_with("panic: ")
    }
}

/// One side.
pub(super) struct Side {
    program: PathBuf,
    running: Option<Running>,
}

struct Running {
    child: Child,
    answers: Receiver<String>,
}

impl Side {
    pub(super) fn new(program: &Path) -> Self {
        Self { program: program.to_owned(), running: None }
    }

    /// Asks everything and returns the answers in order. A question that ends the process, or that
    /// it has no answer to in time, is answered with a crash.
    pub(super) fn ask(&mut self, questions: &[Question<'_>]) -> anyhow::Result<Vec<Answer>> {
        let lines: Vec<String> =
            questions.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
        let mut answers = Vec::with_capacity(lines.len());
        while answers.len() < lines.len() {
            let n_before = answers.len();
            if let Some(reason) = self.ask_some(&lines[n_before..], &mut answers)? {
                self.stop();
                answers.push(Answer { error: format!("panic: {reason}"), ..Answer::default() });
            }
        }
        Ok(answers)
    }

    /// Asks until all are answered, or says what came instead of an answer.
    fn ask_some(
        &mut self,
        lines: &[String],
        answers: &mut Vec<Answer>,
    ) -> anyhow::Result<Option<&'static str>> {
        let running = match &mut self.running {
            Some(running) => running,
            none => none.insert(start(&self.program)?),
        };
        let pid = running.child.id();
        let stdin = running.child.stdin.as_mut().context("stdin is piped")?;
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let mut stdin = BufWriter::new(stdin);
                for line in lines {
                    // A process that has ended says so by its silence.
                    if writeln!(stdin, "{line}").is_err() {
                        return;
                    }
                }
                let _ = stdin.flush();
            });
            for _ in lines {
                match running.answers.recv_timeout(PATIENCE) {
                    Ok(line) => answers.push(serde_json::from_str(&line)?),
                    Err(error) => {
                        // Ends the writer, too.
                        let _ = process::kill(pid);
                        return Ok(Some(match error {
                            mpsc::RecvTimeoutError::Timeout => "no answer in time",
                            mpsc::RecvTimeoutError::Disconnected => "the process has ended",
                        }));
                    }
                }
            }
            Ok(None)
        })
    }

    fn stop(&mut self) {
        if let Some(mut running) = self.running.take() {
            drop(running.child.stdin.take());
            process::end(&mut running.child, Duration::from_secs(1));
        }
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        self.stop();
    }
}

fn start(program: &Path) -> anyhow::Result<Running> {
    // It ends with its stdin, and so with us.
    let mut command = Command::new(program);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().with_context(|| format!("cannot run {}", program.display()))?;
    let stdout = child.stdout.take().context("stdout is piped")?;
    let (answered, answers) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if answered.send(line).is_err() {
                break;
            }
        }
    });
    Ok(Running { child, answers })
}

/// Both sides over the same trees at the same time.
pub(super) struct Sides {
    pub(super) theirs: Side,
    pub(super) ours: Side,
}

impl Sides {
    /// Builds all trees on both sides; what ours prints is read by theirs.
    pub(super) fn build(
        &mut self,
        trees: &[(&Files, &str)],
    ) -> anyhow::Result<Vec<(Answer, Answer)>> {
        let questions: Vec<Question<'_>> =
            trees.iter().map(|(files, path)| Question::Build { files, path }).collect();
        let (theirs, ours) = std::thread::scope(|scope| {
            let theirs = scope.spawn(|| self.theirs.ask(&questions));
            let ours = self.ours.ask(&questions);
            (theirs.join(), ours)
        });
        let Ok(theirs) = theirs else { bail!("a thread broke down") };
        let (theirs, mut ours) = (theirs?, ours?);
        let printed: Vec<String> =
            ours.iter().filter(|it| it.error.is_empty()).map(|it| it.yaml.clone()).collect();
        let questions: Vec<Question<'_>> =
            printed.iter().map(|yaml| Question::Read { yaml }).collect();
        let mut read = self.theirs.ask(&questions)?.into_iter();
        for answer in ours.iter_mut().filter(|it| it.error.is_empty()) {
            let read = read.next().context("each text is read")?;
            (answer.documents, answer.error) = (read.documents, read.error);
        }
        Ok(theirs.into_iter().zip(ours).collect())
    }
}
