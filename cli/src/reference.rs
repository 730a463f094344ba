//! `docs/guide/cli.md`, generated from the flags themselves: `UPDATE_EXPECT=1 cargo test
//! --workspace` writes it anew.

use std::fmt::Write as _;

use clap::{Command, CommandFactory as _};
use expect_test::expect_file;

const INTRODUCTION: &str = "\
# The command line

Generated from the program's own help; `UPDATE_EXPECT=1 cargo test --workspace` writes it anew.

stdout carries the answer, stderr the talk.
Exit code 0: done; 1: could not; 2: asked wrongly; 130: interrupted.
Flags that every command has are listed once, under `kit-rs`.
";

#[test]
fn the_reference_in_the_guide_is_the_programs_own_help() {
    let mut text = INTRODUCTION.to_owned();
    let mut program = crate::args::Args::command();
    program.build();
    describe(&program, "kit-rs", true, &mut text);
    expect_file!["../../docs/guide/cli.md"].assert_eq(&text);
}

fn describe(command: &Command, name: &str, is_top: bool, text: &mut String) {
    let hidden = |argument: &clap::Arg| argument.is_global_set() && !is_top;
    let mut shown = command.clone().bin_name(name).term_width(100).mut_args(|argument| {
        let hide = hidden(&argument);
        argument.hide(hide)
    });
    let help = shown.render_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    writeln!(text, "\n## {name}\n\n```text\n{}\n```", lines.join("\n").trim_end())
        .expect("writing to a string does not fail");
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        describe(below, &format!("{name} {}", below.get_name()), false, text);
    }
}
