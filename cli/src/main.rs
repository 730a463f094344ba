//! `kit-rs`: one program from a Hugging Face checkpoint to a served, GitOps-deployed model.
//!
//! This room stitches and talks to the user; how anything is done, it does not know. Each command
//! is one file in `commands/`: its arguments, then `run`: parse, call a library, show.

mod args;
mod commands;
mod env;
mod failure;
mod interrupt;
mod lines;
mod network;
mod output;
#[cfg(all(test, feature = "full"))]
mod reference;
mod ui;

use std::process::ExitCode;

fn main() -> ExitCode {
    match args::parse() {
        Ok((ui, command)) => {
            let result = command.run(&ui);
            ui.end(result)
        }
        Err(exit) => exit,
    }
}
