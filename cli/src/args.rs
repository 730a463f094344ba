//! The flags that every command has, and the table of commands.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgAction, Parser, ValueEnum};

use crate::commands::Command;
use crate::env::{self, Home};
use crate::failure::Report;
use crate::shown;
use crate::streams::Log;
use crate::ui::{self, Format, Manner, Progress, Ui};

/// Package, train, serve and deploy models as tamper-proof OCI artifacts
#[derive(Parser)]
#[command(name = "kit-rs", version, propagate_version = true, max_term_width = 120)]
pub(crate) struct Args {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Args)]
#[command(next_help_heading = "Global")]
struct Global {
    /// Folder of the local layout and the credentials [default: $KIT_RS_HOME, else the platform's
    /// data folder]
    #[arg(long, global = true, value_name = "DIR")]
    config: Option<PathBuf>,
    /// How the answer on stdout is written: text (or table), json, or for `list` a Go template such
    /// as '{{.Repo}}'
    #[arg(long, global = true, default_value = "text", value_name = "FORMAT")]
    format: Format,
    /// Fail where there is anything to warn of
    #[arg(long, global = true)]
    strict: bool,
    /// What is logged on stderr
    #[arg(long, global = true, value_enum, default_value_t)]
    log_level: LogLevel,
    /// Log more: debug, -vv: trace, -vvv: trace, and no progress bars
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
    /// How log lines are written [default: json with --format json, else text]
    #[arg(long, global = true, value_enum)]
    log_format: Option<LogFormat>,
    /// Whether progress bars are drawn: on a terminal (auto, or fancy), never, or always
    #[arg(long, global = true, value_enum, default_value_t)]
    progress: Progress,
}

/// The form of log lines.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// A JSON document on each line.
    Json,
}

/// The least important message that is logged.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum LogLevel {
    Trace,
    Debug,
    Info,
    #[default]
    Warn,
    Error,
}

impl LogLevel {
    fn directive(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// Parses the command line; errors, `--help` and `--version` are already shown when this fails.
pub(crate) fn parse() -> Result<(Ui, Command), ExitCode> {
    let Args { global, command } = Args::try_parse().map_err(|error| refuse(&legible(error)))?;
    let is_list = matches!(command, Command::List(_));
    if !is_list && matches!(global.format, Format::Template(_)) {
        let error = "--format: only `list` has rows to fill a template with".to_owned();
        return Err(end(&Report::of_usage(error, None), false));
    }
    let (level, progress) = match global.verbose {
        0 => (global.log_level, global.progress),
        1 => (global.log_level.min(LogLevel::Debug), global.progress),
        2 => (LogLevel::Trace, global.progress),
        _ => (LogLevel::Trace, Progress::None),
    };
    let of_answer = if global.format == Format::Json { LogFormat::Json } else { LogFormat::Text };
    log_to_stderr(level, global.log_format.unwrap_or(of_answer));
    let manner = Manner { format: global.format, progress, strict: global.strict };
    Ok((Ui::new(manner, Home::new(global.config)), command))
}

/// The same error, about words that can be shown.
fn legible(error: clap::Error) -> clap::Error {
    let words: Vec<String> = env::words();
    match words.iter().all(|word| shown::line(word) == *word) {
        true => error,
        false => {
            let words = words.iter().map(|word| shown::line(word).into_owned());
            Args::try_parse_from(words).err().unwrap_or(error)
        }
    }
}

/// Shows what is not a command line, or help.
fn refuse(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // That nobody reads it is no failure.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let said = error.render().to_string();
    let said = said.trim_end();
    let said = said.strip_prefix("error: ").unwrap_or(said);
    if !env::asks_for_json() {
        // The lines further down are clap's own, with its tips and the usage.
        let (first, rest) = said.split_once('\n').unwrap_or((said, ""));
        let report = Report::of_usage(first.to_owned(), None);
        let code = end(&report, false);
        if !rest.is_empty() {
            crate::streams::say(&shown::text(rest));
        }
        return code;
    }
    let mut parts = said.split("\n\n");
    let first = parts.next().unwrap_or_default().to_owned();
    let tips: Vec<&str> = parts.filter_map(|part| part.trim().strip_prefix("tip: ")).collect();
    let hint =
        if tips.is_empty() { "--help shows what there is".to_owned() } else { tips.join("; ") };
    end(&Report::of_usage(first, Some(hint)), true)
}

fn end(report: &Report, is_json: bool) -> ExitCode {
    ui::show(report, is_json);
    ExitCode::from(report.exit())
}

fn log_to_stderr(level: LogLevel, format: LogFormat) {
    use tracing_subscriber::EnvFilter;
    // Dependencies speak up only when something is wrong, or when everything is asked for.
    let directive = match level {
        LogLevel::Trace => "trace".to_owned(),
        _ => format!(
            "error,kit_rs={0},kit_registry={0},modelkit={0},kit_serve={0},kit_trainer={0}",
            level.directive()
        ),
    };
    let is_json = matches!(format, LogFormat::Json);
    let logging = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(directive))
        .with_writer(Log { is_json })
        // Colours are orders to the terminal like any others.
        .with_ansi(false);
    match format {
        LogFormat::Text => logging.init(),
        LogFormat::Json => logging.json().flatten_event(true).init(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_of_every_command_are_consistent() {
        <Args as clap::CommandFactory>::command().debug_assert();
    }
}
