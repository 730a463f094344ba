//! The guide's pages and the README, typed as they stand: each page in one shell, from top to
//! bottom.
//!
//! A block of `sh` has to end well, line by line; a block of `console` also says what its reader
//! will read, and is compared. A comment right before a block tells the test more:
//! `<!-- file: PATH -->`: the reader saves the block under this name;
//! `<!-- not run: REASON -->`: it cannot be run here; `tests/not-run.txt` lists them all.

use std::fmt::Write as _;

use expect_test::expect_file;
use fs_err as fs;

use crate::session::{self, END_SERVERS, Ran};
use crate::world::{KIT_RS, World, here};

/// The pages, and what the reader of each has before the first line, made by these lines.
const PAGES: [(&str, &[&str]); 9] = [
    // Its reader is in the checkout.
    ("README.md", &[concat!("ln -s ", env!("CARGO_MANIFEST_DIR"), "/../docs docs")]),
    ("docs/guide/tutorial.md", &["cp -r ../hub models"]),
    ("docs/guide/packing.md", &["mv project my-project && rm my-project/Kitfile"]),
    ("docs/guide/registry.md", &[]),
    (
        "docs/guide/training.md",
        &[
            "sed 's/^text,label$/review,stars/' project/data/reviews.csv >reviews.csv",
            "cp reviews.csv held_out.csv",
            // A checkpoint that knows what words mean, as a real one does.
            "kit-rs train --model project/model --dataset project/data/reviews.csv --output distilbert \
             --epochs 30 --batch-size 4 --learning-rate 0.001 --validation-fraction 0 --no-kitfile",
        ],
    ),
    (
        "docs/guide/serving.md",
        &[
            "kit-rs train --model project/model --dataset project/data/reviews.csv \
             --output fine_tuned_model --epochs 30 --batch-size 4 --learning-rate 0.001 --validation-fraction 0",
            "kit-rs pack . -t demo/sentiment:v1,v2,v3",
            "kit-rs push demo/sentiment:v1 registry.example/demo/sentiment:stable",
        ],
    ),
    ("docs/guide/embedding.md", &[]),
    ("docs/guide/trust.md", &[]),
    ("docs/guide/gitops.md", &[]),
];

/// What pages name, and what stands for it here: the registry of the session, and the program
/// itself, which serves as the static one does.
const STAND_INS: [(&str, &str); 3] = [
    ("registry.example.com", "$REGISTRY"),
    ("registry.example", "$REGISTRY"),
    ("~/kit-rs-runtime/bin/kit-rs", KIT_RS),
];

/// What is not typed: Rust is compiled by the crate `docs`, the others are no commands.
const OTHERS: [&str; 5] = ["rust", "text", "yaml", "json", "toml"];

#[test]
fn the_readme_runs() {
    check(0);
}

#[test]
fn the_tutorial_runs() {
    check(1);
}

#[test]
fn packing_runs() {
    check(2);
}

#[test]
fn registry_runs() {
    check(3);
}

#[test]
fn training_runs() {
    check(4);
}

#[test]
fn serving_runs() {
    check(5);
}

#[test]
fn embedding_runs() {
    check(6);
}

#[test]
fn trust_runs() {
    check(7);
}

#[test]
fn gitops_runs() {
    check(8);
}

#[test]
fn no_page_is_left_out() {
    let guide = fs::read_dir(here().join("../docs/guide")).expect("the guide is there");
    for page in guide {
        let page = page.expect("it can be read").file_name().to_string_lossy().into_owned();
        // A table of contents, a page of promises, and the reference, which is the program's own help.
        let has_no_commands = ["SUMMARY.md", "security.md", "classifiers.md", "cli.md"].contains(&page.as_str());
        let is_run = PAGES.iter().any(|(path, _)| path.ends_with(&format!("/{page}")));
        assert!(is_run != has_no_commands, "{page}");
    }
}

#[test]
fn what_is_not_run_is_told() {
    let mut told: Vec<String> = Vec::new();
    for (page, _) in PAGES {
        let text = fs::read_to_string(here().join("..").join(page)).expect("the page is there");
        told.extend(pieces(page, &text).1);
    }
    told.push(format!("{} blocks in all\n", told.len()));
    expect_file![here().join("tests/not-run.txt")].assert_eq(&told.join("\n"));
}

/// A piece of a page.
enum Piece<'a> {
    /// Anything between blocks, and blocks that are not run.
    Text(&'a str),
    /// A block of `sh`, or a file: command lines that have to end well.
    Lines(Vec<String>),
    /// A block of `console`: command lines, whose outputs are shown.
    Session(Vec<String>),
}

fn check(page: usize) {
    let (page, before) = PAGES[page];
    let path = here().join("..").join(page);
    let text = fs::read_to_string(&path).expect("the page is there");
    let (pieces, _) = pieces(page, &text);
    let mut lines: Vec<String> = before.iter().map(|line| (*line).to_owned()).collect();
    for piece in &pieces {
        match piece {
            Piece::Text(_) => (),
            Piece::Lines(typed) => lines.extend(typed.iter().cloned()),
            Piece::Session(typed) => {
                lines.extend(typed.iter().cloned());
                lines.push(END_SERVERS.to_owned());
            }
        }
    }
    if lines.len() == before.len() {
        return;
    }
    let typed: Vec<String> = lines
        .iter()
        .map(|line| {
            STAND_INS.iter().fold(line.clone(), |line, (name, here)| line.replace(name, here))
        })
        .map(|line| line.replace("localhost", "127.0.0.1"))
        .collect();
    let ran = session::run(&World::new(), &typed);
    for (line, Ran { stdout, stderr, code }) in lines.iter().zip(&ran) {
        let is_well = code.is_none_or(|code| code == 0) || line == END_SERVERS;
        assert!(
            is_well,
            "{page} says to type\n{line}\nwhich ends with {code:?}:\n{stderr}{stdout}"
        );
    }
    expect_file![path].assert_eq(&written(&text, &pieces, &ran[before.len()..]));
}

/// The page, with what its sessions said this time.
fn written(text: &str, pieces: &[Piece<'_>], ran: &[Ran]) -> String {
    let name = STAND_INS.iter().map(|(name, _)| *name).find(|name| text.contains(name));
    let mut ran = ran.iter();
    let mut page = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => page += text,
            Piece::Lines(lines) => ran.by_ref().take(lines.len()).for_each(drop),
            Piece::Session(lines) => {
                for line in lines {
                    let Ran { stdout, stderr, .. } = ran.next().expect("each line was run");
                    let said =
                        format!("{stderr}{stdout}").replace("$REGISTRY", name.unwrap_or_default());
                    let line = line.replace('\n', "\n> ");
                    writeln!(page, "$ {line}\n{}", said.trim_end()).expect("a string takes all");
                }
                ran.next();
            }
        }
    }
    page
}

/// Takes a page apart, and says which blocks are not run, and why.
fn pieces<'a>(page: &str, text: &'a str) -> (Vec<Piece<'a>>, Vec<String>) {
    let (mut pieces, mut not_run) = (Vec::new(), Vec::new());
    let (mut rest, mut done) = (text, 0);
    while let Some(at) = rest[done..].find("```").map(|at| done + at) {
        let inside = at + rest[at..].find('\n').expect("a block goes on after its first line") + 1;
        let end = inside + rest[inside..].find("```").expect("a block ends");
        let (kind, block) = (rest[at + 3..inside].trim(), &rest[inside..end]);
        let kind = kind.split(',').next().unwrap_or_default();
        let comment = rest[..at].lines().next_back().unwrap_or_default();
        let comment = comment.strip_prefix("<!-- ").and_then(|it| it.strip_suffix(" -->"));
        let (order, said) = comment.and_then(|it| it.split_once(": ")).unwrap_or_default();
        done = end + 3;
        match (order, kind) {
            ("not run", _) => not_run.push(format!("{page}: {said}\n{block}")),
            ("file", _) => {
                pieces.push(Piece::Text(&rest[..done]));
                pieces.push(Piece::Lines(vec![saved(said, block)]));
                (rest, done) = (&rest[done..], 0);
            }
            (_, "sh") => {
                pieces.push(Piece::Text(&rest[..done]));
                pieces.push(Piece::Lines(lines(block.lines().map(|line| (true, line)))));
                (rest, done) = (&rest[done..], 0);
            }
            (_, "console") => {
                let typed = block.lines().filter_map(|line| {
                    let first = line.strip_prefix("$ ").map(|line| (true, line));
                    first.or_else(|| line.strip_prefix("> ").map(|line| (false, line)))
                });
                pieces.push(Piece::Text(&rest[..inside]));
                pieces.push(Piece::Session(lines(typed)));
                (rest, done) = (&rest[end..], 3);
            }
            (_, other) => assert!(
                OTHERS.contains(&other),
                "{page}: a block of `{other}` is neither run nor says why not"
            ),
        }
    }
    pieces.push(Piece::Text(rest));
    let n_reasons = text.matches("<!-- not run: ").count();
    assert_eq!(not_run.len(), n_reasons, "{page}: a reason stands right before its block");
    (pieces, not_run)
}

/// The line that saves a file.
fn saved(path: &str, content: &str) -> String {
    format!("mkdir -p \"$(dirname {path})\" && cat >{path} <<'END OF FILE'\n{content}END OF FILE")
}

/// Command lines as a shell takes them: `\` at the end of one goes on with the next, and so does
/// whatever is marked as going on.
fn lines<'a>(typed: impl Iterator<Item = (bool, &'a str)>) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for (is_first, line) in typed {
        match lines.last_mut() {
            Some(last) if !is_first || last.ends_with('\\') => *last += &format!("\n{line}"),
            _ => lines.push(line.to_owned()),
        }
    }
    lines.retain(|line| !line.trim().is_empty());
    lines
}
