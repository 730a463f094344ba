//! The door to the user: stdout carries the answer, stderr the talk.
#![expect(clippy::print_stderr, reason = "this is the room's door to the terminal")]

use std::fmt::Display;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::ValueEnum;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use registry::Layout;
use serde::Serialize;

use crate::env::{self, Home};
use crate::failure::{Report, is_broken_pipe};
use crate::interrupt::Interrupt;
use crate::lines::Lines;

/// The form of the answer on stdout.
#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON document.
    Json,
}

/// When progress bars are drawn.
#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Progress {
    /// When stderr is a terminal.
    #[default]
    Auto,
    /// Never.
    None,
    /// Always: where stderr is no terminal, a line a second.
    Plain,
}

/// What a command needs to speak with its user, and where the user's things live.
pub(crate) struct Ui {
    format: Format,
    bars: MultiProgress,
    home: Home,
    runtime: tokio::runtime::Runtime,
    interrupt: Interrupt,
}

impl Ui {
    pub(crate) fn new(format: Format, progress: Progress, home: Home) -> Self {
        let target = match (progress, env::stderr_is_terminal()) {
            (Progress::None, _) | (Progress::Auto, false) => ProgressDrawTarget::hidden(),
            (Progress::Auto | Progress::Plain, true) => ProgressDrawTarget::stderr(),
            (Progress::Plain, false) => ProgressDrawTarget::term_like_with_hz(Box::new(Lines), 1),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .expect("threads can be started");
        let interrupt = Interrupt::listen(&runtime);
        Self { format, bars: MultiProgress::with_draw_target(target), home, runtime, interrupt }
    }

    /// Shows the answer of the command: one line or table for people, or one JSON document.
    pub(crate) fn answer(
        &self,
        text: impl Display,
        document: &impl Serialize,
    ) -> anyhow::Result<()> {
        // Bars go before the answer: on a terminal they would be cleared together with its lines.
        let _ = self.bars.clear();
        self.bars.set_draw_target(ProgressDrawTarget::hidden());
        let mut stdout = std::io::stdout().lock();
        match self.format {
            Format::Text => writeln!(stdout, "{text}")?,
            Format::Json => writeln!(stdout, "{}", serde_json::to_string_pretty(document)?)?,
        }
        stdout.flush()?;
        Ok(())
    }

    /// Says something on the side.
    pub(crate) fn note(&self, line: impl Display) {
        self.bars.suspend(|| eprintln!("{line}"));
    }

    /// Warns.
    pub(crate) fn warn(&self, line: impl Display) {
        self.note(format_args!("{} {line}", paint("warning:", "33;1")));
    }

    /// Says on the side why something waits, from any thread.
    pub(crate) fn on_wait(&self) -> registry::OnWait {
        let bars = self.bars.clone();
        std::sync::Arc::new(move |why, wait| {
            bars.suspend(|| {
                eprintln!("{why}; it is asked again in {} s", wait.as_secs_f32().ceil())
            });
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
            .with_prefix(label.to_owned());
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
        // A blocking write that was cut short must not hold up the end.
        self.runtime.shutdown_timeout(std::time::Duration::from_secs(2));
        let Err(error) = result else { return ExitCode::SUCCESS };
        let is_interrupted = self.interrupt.flow().is_break();
        if is_broken_pipe(&error) {
            return ExitCode::SUCCESS;
        }
        let report = Report::new(&error);
        eprintln!("{} {}", paint("error:", "31;1"), report.error);
        for cause in &report.causes {
            eprintln!("{} {cause}", paint("caused by:", "1"));
        }
        if let Some(hint) = &report.hint {
            eprintln!("{} {hint}", paint("hint:", "36;1"));
        }
        // As a shell says it of what Ctrl-C ended.
        ExitCode::from(if is_interrupted { 130 } else { report.exit })
    }
}

fn paint(word: &str, code: &str) -> String {
    if env::color_on_stderr() { format!("\u{1b}[{code}m{word}\u{1b}[0m") } else { word.to_owned() }
}
