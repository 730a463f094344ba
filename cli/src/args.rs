//! The flags that every command has, and the table of commands.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
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
    let Args { global, command } = read(env::words()).map_err(|error| refuse(&error))?;
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

/// Reads the words of a command line. A flag that has no value takes `=true` and `=false`, as those
/// of `kit` do.
fn read(mut words: Vec<OsString>) -> Result<Args, clap::Error> {
    loop {
        let error = match Args::try_parse_from(&words) {
            Ok(args) => return Ok(args),
            Err(error) => error,
        };
        let Some((at, flag)) = switched(&error, &words) else { return Err(legible(error, &words)) };
        match words[at].to_string_lossy().ends_with("=true") {
            true => words[at] = flag.into(),
            false => drop(words.remove(at)),
        }
    }
}

/// The place of a flag that was given a value that it has not, if that only says whether it is set.
fn switched(error: &clap::Error, words: &[OsString]) -> Option<(usize, String)> {
    let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg) else { return None };
    let values = [format!("{flag}=true"), format!("{flag}=false")];
    let is_it = |word: &OsString| values.iter().any(|value| word == value.as_str());
    let at = words.iter().position(is_it).filter(|_| error.kind() == ErrorKind::TooManyValues)?;
    Some((at, flag.clone()))
}

/// The same error, about words that can be shown.
fn legible(error: clap::Error, words: &[OsString]) -> clap::Error {
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
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
    let is_help = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if is_help || !error.use_stderr() {
        // That nobody reads it is no failure.
        let _ = error.print();
        return if is_help { ExitCode::from(2) } else { ExitCode::SUCCESS };
    }
    // A value that is refused is shown, but for the password in its address.
    let said = registry::without_userinfo(&error.render().to_string());
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

    #[test]
    fn a_flag_can_be_said_not_to_be_set() {
        let strict = |words: &str| {
            let words = format!("kit-rs {words}").split(' ').map(OsString::from).collect();
            read(words).map(|args| args.global.strict).map_err(|error| error.kind())
        };
        assert_eq!(strict("list --strict=true"), Ok(true));
        assert_eq!(strict("list --strict=false"), Ok(false));
        assert_eq!(strict("pull r.io/a --tls-verify=false --plain-http=true --strict"), Ok(true));
        assert_eq!(strict("list --strict=maybe"), Err(ErrorKind::TooManyValues));
        assert_eq!(strict("list --no=true"), Err(ErrorKind::UnknownArgument));
    }
}
