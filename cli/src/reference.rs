//! `docs/guide/cli.md`, generated from the flags themselves: `UPDATE_EXPECT=1 cargo test
//! --workspace` writes it anew.

use std::fmt::Write as _;

use clap::{Command, CommandFactory as _};
use expect_test::expect_file;

use crate::kind::Kind;

const INTRODUCTION: &str = "\
# The command line

Generated from the program's own help; `UPDATE_EXPECT=1 cargo test --workspace` writes it anew.

stdout carries the answer, stderr the talk.
Exit code 0: done; 1: could not; 2: asked wrongly; 130: interrupted.
That nobody reads stdout or stderr any more changes neither what is done nor the exit code.
Flags that every command has are listed once, under `kit-rs`.

What others wrote (names, tags, labels, a server's words) is shown, not executed: controls, marks that turn the direction of a text, and characters without a shape are written out, as `\\u{1b}`.
A message ends after 16 KiB, a cell of a table and a line of a list after 8 KiB, and says how much more there was.
In JSON they stand as JSON writes them, so that the document says exactly what is there.

## For programs

With `--format json` the answer is one JSON document on stdout.
A failure is one JSON document in the last line of stderr, and what comes before it are log lines, which are then documents too, and what `--progress plain` asks for:

| key | holds |
|---|---|
| `kind` | one of the kinds below |
| `message` | what could not be done |
| `causes` | why, each the cause of the one before |
| `hint` | the next command, or `null` |
| `about` | what it was about, as far as it is known: `reference`, `repository`, `registry`, `digest`, `revision`, `path`, `url` |
| `warnings` | what was warned of before, if there was anything |

The list of kinds stays: a program may tell failures apart by them, and takes one that it does not know for `failed`.

";

const WARNINGS: &str = "\
Warnings stand in the answer, under the key `warnings`, which is only there if there are any.
An answer that is a list, or somebody else's document (`info`, `inspect`, `init`, `gitops build`, `gitops get`), stays as it is; then they are a document of their own in a line of stderr: `{\"warnings\": [\u{2026}]}`.
What is only said on the side is in the log, at the level `info`.

`--strict` makes each warning an error: all of them are said, no answer is given, and the exit code is 1.
Where warnings are known before anything is written, nothing is; `pack` gives no tag, `push` and `pull` may have moved blobs.
";

#[test]
fn the_reference_in_the_guide_is_the_programs_own_help() {
    let mut text = INTRODUCTION.to_owned();
    text += "| kind | meaning |\n|---|---|\n";
    for (_, name, meaning) in Kind::ALL {
        writeln!(text, "| `{name}` | {meaning} |").expect("writing to a string does not fail");
    }
    write!(text, "\n{WARNINGS}").expect("writing to a string does not fail");
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
