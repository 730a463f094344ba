#![doc = include_str!("../README.md")]

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
mod steps;
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
