#![doc = include_str!("../README.md")]

mod about;
mod args;
mod commands;
mod env;
mod failure;
mod interrupt;
mod kind;
mod lines;
mod network;
mod output;
mod prompt;
#[cfg(all(test, feature = "full"))]
mod reference;
mod shown;
mod steps;
mod streams;
mod template;
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
