//! The flags that every command has, and the table of commands.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use crate::commands::Command;
use crate::env::Home;
use crate::ui::{Format, Progress, Ui};

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
    /// How the answer on stdout is written
    #[arg(long, global = true, value_enum, default_value_t)]
    format: Format,
    /// What is logged on stderr
    #[arg(long, global = true, value_enum, default_value_t)]
    log_level: LogLevel,
    /// How log lines are written
    #[arg(long, global = true, value_enum, default_value_t)]
    log_format: LogFormat,
    /// Whether progress bars are drawn: on a terminal (auto), never, or always
    #[arg(long, global = true, value_enum, default_value_t)]
    progress: Progress,
}

/// The form of log lines.
#[derive(Clone, Copy, Default, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// A JSON document on each line.
    Json,
}

/// The least important message that is logged.
#[derive(Clone, Copy, Default, ValueEnum)]
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
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let code = u8::try_from(error.exit_code()).unwrap_or(2);
            let _ = error.print();
            return Err(ExitCode::from(code));
        }
    };
    log_to_stderr(args.global.log_level, args.global.log_format);
    let home = Home::new(args.global.config);
    Ok((Ui::new(args.global.format, args.global.progress, home), args.command))
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
    let logging = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(directive))
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => logging.with_ansi(crate::env::color_on_stderr()).init(),
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
