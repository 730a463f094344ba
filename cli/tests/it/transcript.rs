//! Transcripts: sessions in files.
//!
//! `$ ` begins a command line and `> ` goes on with it; what follows is what it said: `! ` before a
//! line of stderr, stdout as it is, `? ` and the exit code where that is not 0. `# ` begins a remark.

use std::fmt::Write as _;
use std::path::PathBuf;

use expect_test::expect_file;
use fs_err as fs;

use crate::session::{self, Ran};
use crate::world::{World, here};

/// A command line of a transcript.
pub(crate) struct Entry {
    remarks: Vec<String>,
    pub(crate) line: String,
    pub(crate) code: i32,
}

/// What begins a line that is no stdout.
const MARKS: [&str; 5] = ["$ ", "> ", "! ", "? ", "# "];

macro_rules! transcripts {
    ($($name:ident)*) => {
        /// The names of the files.
        pub(crate) const NAMES: &[&str] = &[$(stringify!($name)),*];

        $(#[test]
        fn $name() {
            check(stringify!($name));
        })*
    };
}

transcripts! {
    bases charts deliveries diff environments evaluate flux gitops hub image import info init inspect lineage list login pack pull push
    registry remove retrain serve tag tasks train trust unpack verify version
}

#[test]
fn every_file_is_run() {
    let mut found: Vec<String> = fs::read_dir(here().join("tests/transcripts"))
        .expect("the folder is there")
        .map(|file| file.expect("it can be read").path())
        .map(|path| path.file_stem().expect("files have names").to_string_lossy().into_owned())
        .collect();
    found.sort();
    assert_eq!(found, NAMES);
}

/// What a transcript says, before it is held to the program.
pub(crate) fn entries(name: &str) -> Vec<Entry> {
    let (mut entries, mut remarks): (Vec<Entry>, Vec<String>) = Default::default();
    for text in fs::read_to_string(file(name)).expect("the transcript is there").lines() {
        let Some((mark, rest)) = text.split_at_checked(2) else { continue };
        match (mark, entries.last_mut()) {
            ("$ ", _) => {
                let remarks = std::mem::take(&mut remarks);
                entries.push(Entry { remarks, line: rest.to_owned(), code: 0 });
            }
            ("> ", Some(entry)) => entry.line += &format!("\n{rest}"),
            ("? ", Some(entry)) => entry.code = rest.parse().expect("an exit code is a number"),
            ("# ", _) => remarks.push(text.to_owned()),
            _ => (),
        }
    }
    assert!(remarks.is_empty() && !entries.is_empty(), "{name} ends with a command line");
    entries
}

fn file(name: &str) -> PathBuf {
    here().join(format!("tests/transcripts/{name}.txt"))
}

fn check(name: &str) {
    let entries = entries(name);
    let lines: Vec<String> = entries.iter().map(|entry| entry.line.clone()).collect();
    let ran = session::run(&World::new(), &lines);
    let mut text = String::new();
    for (entry, ran) in entries.iter().zip(&ran) {
        write(entry, ran, &mut text);
    }
    expect_file![file(name)].assert_eq(&text);
}

fn write(entry: &Entry, ran: &Ran, text: &mut String) {
    let is_first = text.is_empty();
    let mut line = |mark: &str, line: &str| {
        writeln!(text, "{}", format!("{mark}{line}").trim_end()).expect("a string takes all");
    };
    if !entry.remarks.is_empty() && !is_first {
        line("", "");
    }
    entry.remarks.iter().for_each(|remark| line("", remark));
    for (n, typed) in entry.line.lines().enumerate() {
        line(if n == 0 { "$ " } else { "> " }, typed);
    }
    ran.stderr.lines().for_each(|said| line("! ", said));
    for said in ran.stdout.lines() {
        assert!(
            !MARKS.iter().any(|mark| said.starts_with(mark)),
            "a transcript cannot tell {said}"
        );
        line("", said);
    }
    if let Some(code) = ran.code.filter(|code| *code != 0) {
        line("? ", &code.to_string());
    }
}
