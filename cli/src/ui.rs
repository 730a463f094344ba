//! The door to the user: stdout carries the answer, stderr the talk.
//!
//! With `--format json` both are for programs: warnings stand in the answer, a failure is one JSON
//! document in a line of stderr, and what is only said on the side goes to the log.

use std::fmt::Display;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use clap::ValueEnum;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use registry::{Client, Layout};
use serde::Serialize;
use serde_json::json;

use crate::env::{self, Home};
use crate::failure::{Report, failure};
use crate::interrupt::Interrupt;
use crate::kind::Kind;
use crate::lines::Lines;
use crate::template::Template;
use crate::{shown, streams};

/// The form of the answer on stdout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One JSON document.
    Json,
    /// For each row of a list, what a template makes of it.
    Template(Template),
}

impl std::str::FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            // kit's word for it.
            "text" | "table" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            template if template.contains("{{") => template.parse().map(Self::Template),
            _ => Err("it is text, json, or for `list` a template such as {{.Repo}}".to_owned()),
        }
    }
}

/// When progress bars are drawn.
#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Progress {
    /// When stderr is a terminal.
    #[default]
    #[value(alias = "fancy")]
    Auto,
    /// Never.
    None,
    /// Always: where stderr is no terminal, a line a second.
    Plain,
}

/// How a command speaks with its user.
pub(crate) struct Manner {
    pub(crate) format: Format,
    pub(crate) progress: Progress,
    /// Whether a warning is an error.
    pub(crate) strict: bool,
}

/// What a command needs to speak with its user, and where the user's things live; clones are the
/// same one.
#[derive(Clone)]
pub(crate) struct Ui(Arc<Inner>);

pub(crate) struct Inner {
    format: Format,
    strict: bool,
    warnings: Mutex<Warnings>,
    /// They may have warnings, too.
    clients: Mutex<Vec<Client>>,
    /// Whether somebody reads the answers.
    is_heard: AtomicBool,
    bars: MultiProgress,
    home: Home,
    runtime: tokio::runtime::Runtime,
    interrupt: Interrupt,
}

/// What was warned of.
#[derive(Default)]
struct Warnings {
    /// How many there were.
    n: usize,
    /// Those that wait for a JSON document to stand in.
    waiting: Vec<String>,
    /// Whether the answer was given: no document will come any more.
    is_late: bool,
}

impl std::ops::Deref for Ui {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Ui {
    pub(crate) fn new(manner: Manner, home: Home) -> Self {
        let target = match (manner.progress, env::stderr_is_terminal()) {
            (Progress::None, _) | (Progress::Auto, false) => ProgressDrawTarget::hidden(),
            (Progress::Auto | Progress::Plain, true) => ProgressDrawTarget::stderr(),
            (Progress::Plain, false) => ProgressDrawTarget::term_like(Box::new(Lines::default())),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .expect("threads can be started");
        let interrupt = Interrupt::listen(&runtime);
        Self(Arc::new(Inner {
            format: manner.format,
            strict: manner.strict,
            warnings: Mutex::default(),
            clients: Mutex::default(),
            is_heard: AtomicBool::new(true),
            bars: MultiProgress::with_draw_target(target),
            home,
            runtime,
            interrupt,
        }))
    }

    /// Shows the answer of the command: one line or table for people, or one JSON document of ours,
    /// in which the warnings stand.
    pub(crate) fn answer(
        &self,
        text: impl Display,
        document: &impl Serialize,
    ) -> anyhow::Result<()> {
        self.give(&text, document, true)
    }

    /// Shows a document that is somebody else's: as JSON it is what it is, and warnings stand in a
    /// document of their own on stderr.
    pub(crate) fn show(&self, text: impl Display, document: &impl Serialize) -> anyhow::Result<()> {
        self.give(&text, document, false)
    }

    fn give(
        &self,
        text: &dyn Display,
        document: &impl Serialize,
        is_ours: bool,
    ) -> anyhow::Result<()> {
        self.no_warnings()?;
        // Bars go before the answer: on a terminal they would be cleared together with its lines.
        let _ = self.bars.clear();
        self.bars.set_draw_target(ProgressDrawTarget::hidden());
        let line = match self.format {
            Format::Json => self.with_warnings(serde_json::to_string_pretty(document)?, is_ours)?,
            _ => shown::text(&text.to_string()).into_owned(),
        };
        // No rows, no lines; anything else is one even where it is empty.
        let is_nothing = line.is_empty() && self.template().is_some();
        let is_heard = is_nothing || streams::answer(&line).context("cannot write the answer")?;
        self.is_heard.fetch_and(is_heard, Ordering::Relaxed);
        self.say_late();
        Ok(())
    }

    /// The document, with the warnings that wait, where it has a place for them.
    fn with_warnings(&self, document: String, is_ours: bool) -> anyhow::Result<String> {
        let mut warnings = self.warnings();
        let body = document.strip_suffix("\n}").filter(|_| is_ours && !warnings.waiting.is_empty());
        let Some(body) = body else { return Ok(shown::json(&document).into_owned()) };
        let list = serde_json::to_string_pretty(&std::mem::take(&mut warnings.waiting))?;
        let document = format!("{body},\n  \"warnings\": {}\n}}", list.replace('\n', "\n  "));
        Ok(shown::json(&document).into_owned())
    }

    /// Says the warnings for which no document came, as one of their own.
    fn say_late(&self) {
        let mut warnings = self.warnings();
        warnings.is_late = true;
        if !warnings.waiting.is_empty() {
            let document = json!({ "warnings": std::mem::take(&mut warnings.waiting) });
            streams::say(&shown::json(&document.to_string()));
        }
    }

    /// The template for the rows of a list, if there is one.
    pub(crate) fn template(&self) -> Option<&Template> {
        match &self.format {
            Format::Template(template) => Some(template),
            _ => None,
        }
    }

    /// Whether somebody reads the answers: nobody needs a further one where not.
    #[cfg_attr(not(feature = "full"), expect(dead_code, reason = "only watching answers twice"))]
    pub(crate) fn is_heard(&self) -> bool {
        self.is_heard.load(Ordering::Relaxed)
    }

    /// Says something on the side.
    pub(crate) fn note(&self, line: impl Display) {
        note(self.format == Format::Json, &self.bars, line);
    }

    /// Warns.
    pub(crate) fn warn(&self, line: impl Display) {
        let line = shown::bounded(&line.to_string()).into_owned();
        let mut warnings = self.warnings();
        warnings.n += 1;
        if self.format == Format::Json {
            warnings.waiting.push(line);
            let is_late = warnings.is_late;
            drop(warnings);
            if is_late {
                self.say_late();
            }
            return;
        }
        drop(warnings);
        let line = format!("{} {}", paint("warning:", "33;1"), shown::message(&line));
        self.bars.suspend(|| streams::say(&line));
    }

    /// With `--strict`, fails where something was warned of. The answer waits for it; a command that
    /// knows its warnings before it writes asks then.
    pub(crate) fn no_warnings(&self) -> anyhow::Result<()> {
        self.hear_clients();
        match (self.strict, self.warnings().n) {
            (false, _) | (true, 0) => Ok(()),
            (true, 1) => Err(failure(Kind::Strict, "there was a warning, and --strict takes none")),
            (true, n) => Err(failure(
                Kind::Strict,
                format!("there were {n} warnings, and --strict takes none"),
            )),
        }
    }

    /// Warns of what this client is told on the side by registries, and of credentials that it cannot
    /// read.
    pub(crate) fn listen_to(&self, client: &Client) {
        self.clients.lock().expect("no holder panics").push(client.clone());
    }

    fn hear_clients(&self) {
        let clients = self.clients.lock().expect("no holder panics");
        clients.iter().flat_map(Client::take_warnings).for_each(|text| self.warn(text));
    }

    fn warnings(&self) -> std::sync::MutexGuard<'_, Warnings> {
        self.warnings.lock().expect("no holder panics")
    }

    /// Says on the side why something waits, from any thread.
    pub(crate) fn on_wait(&self) -> registry::OnWait {
        let (is_json, bars) = (self.format == Format::Json, self.bars.clone());
        std::sync::Arc::new(move |why, wait| {
            let seconds = wait.as_secs_f32().ceil();
            note(is_json, &bars, format_args!("{why}; it is asked again in {seconds} s"));
        })
    }

    /// A bar over bytes; `length` in bytes.
    pub(crate) fn bytes_bar(&self, label: &str, length: u64) -> ProgressBar {
        let style =
            "{prefix:20!} {wide_bar} {bytes:>11}/{total_bytes:11} {bytes_per_sec:>13} {eta:>5}";
        self.bar(label, length, style)
    }

    /// A bar over steps, with a free message.
    #[cfg(feature = "full")]
    pub(crate) fn steps_bar(&self, label: &str, length: u64) -> ProgressBar {
        self.bar(label, length, "{prefix} {wide_bar} {pos}/{len} {msg} {eta:>5} left")
    }

    fn bar(&self, label: &str, length: u64, style: &str) -> ProgressBar {
        let style = ProgressStyle::with_template(style).expect("the templates above are valid");
        let bar = ProgressBar::new(length)
            .with_style(style.progress_chars("━╸─"))
            .with_prefix(shown::line(label).into_owned());
        self.bars.add(bar)
    }

    /// The local layout; made when it is not there yet.
    pub(crate) fn layout(&self) -> anyhow::Result<Layout> {
        let root = self.home.storage();
        Layout::init(&root)
            .with_context(|| format!("cannot open the local layout {}", root.display()))
    }

    /// The local layout, unless nothing was ever put into it: looking into it makes none.
    pub(crate) fn layout_if_there(&self) -> anyhow::Result<Option<Layout>> {
        let root = self.home.storage();
        Layout::find(&root)
            .with_context(|| format!("cannot open the local layout {}", root.display()))
    }

    /// Where the user's things live.
    pub(crate) fn home(&self) -> &Home {
        &self.home
    }

    /// Whether the user wants the command to end.
    pub(crate) fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// Runs asynchronous work until it ends or the user wants it to.
    pub(crate) fn block_on<T>(
        &self,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        self.runtime.block_on(self.interrupt.or(work))
    }

    /// The runtime, for threads of our own that wait for its work.
    pub(crate) fn handle(&self) -> tokio::runtime::Handle {
        self.runtime.handle().clone()
    }

    /// Runs a server, which ends by itself when the user wants it to.
    #[cfg(any(feature = "servers", feature = "serve"))]
    pub(crate) fn serve<T>(
        &self,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        self.runtime.block_on(work)
    }

    /// Shows how the command ended, and turns that into the exit code.
    pub(crate) fn end(self, result: anyhow::Result<()>) -> ExitCode {
        let _ = self.bars.clear();
        self.hear_clients();
        let Err(error) = result.and_then(|()| self.no_warnings()) else {
            self.say_late();
            self.shut_down();
            return ExitCode::SUCCESS;
        };
        let mut report = Report::new(&error);
        if self.interrupt.flow().is_break() {
            report.kind = Kind::Interrupted;
        }
        let is_json = self.format == Format::Json;
        report.warnings = std::mem::take(&mut self.warnings().waiting);
        self.shut_down();
        show(&report, is_json);
        ExitCode::from(report.exit())
    }

    fn shut_down(self) {
        // A blocking write that was cut short must not hold up the end.
        if let Some(inner) = Arc::into_inner(self.0) {
            inner.runtime.shutdown_timeout(std::time::Duration::from_secs(2));
        }
    }
}

/// Says something on the side; a program that reads JSON finds it in the log.
fn note(is_json: bool, bars: &MultiProgress, line: impl Display) {
    if is_json {
        tracing::info!("{line}");
        return;
    }
    let line = shown::message(&shown::bounded(&line.to_string()));
    bars.suspend(|| streams::say(&line));
}

/// Shows a failure: in lines for people, or as one JSON document in a line.
pub(crate) fn show(report: &Report, is_json: bool) {
    if is_json {
        let document = serde_json::to_string(report).expect("texts become JSON");
        return streams::say(&shown::json(&document));
    }
    let line = |what: &str, code: &str, text: &str| {
        streams::say(&format!("{} {}", paint(what, code), shown::message(text)));
    };
    line("error:", "31;1", &report.error);
    report.causes.iter().for_each(|cause| line("caused by:", "1", cause));
    if let Some(hint) = &report.hint {
        line("hint:", "36;1", hint);
    }
}

fn paint(word: &str, code: &str) -> String {
    if env::color_on_stderr() { format!("\u{1b}[{code}m{word}\u{1b}[0m") } else { word.to_owned() }
}
