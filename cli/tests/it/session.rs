//! Command lines, run one after the other in one shell.

use std::fmt::Write as _;
use std::path::Path;

use fs_err as fs;

use crate::world::World;

/// What became of a command line.
pub(crate) struct Ran {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// `None` for a server that has said its address and went on.
    pub(crate) code: Option<i32>,
}

/// The line that ends all servers, as Ctrl-C would in their terminals.
pub(crate) const END_SERVERS: &str = "kill -INT $(jobs -p) && wait";

/// Waits until a server has said its address, or has ended without.
const STARTED: &str = r#"
started() {
    until [ -s "$1.out" ]; do
        kill -0 $! 2>/dev/null || { wait $!; echo $? >"$1.code"; return; }
        sleep 0.01
    done
}
"#;

/// Runs command lines in one bash, so that folders, variables and background jobs go on from line
/// to line.
///
/// A line that starts a server runs beside those that follow it, as it would in a terminal of its
/// own, and the next one is typed when it has said its address.
pub(crate) fn run(world: &World, lines: &[String]) -> Vec<Ran> {
    let notes = tempfile::tempdir().expect("there is a place for temporary files");
    let at = |n: usize, kind: &str| notes.path().join(format!("{n}.{kind}"));
    let mut script = STARTED.to_owned();
    for (n, line) in lines.iter().enumerate() {
        let (line, is_server) = (world.typed(line), is_server(line));
        let line = match is_server && !is_in_background(&line) {
            true => format!("(\nexec {line}\n) &\n"),
            false => line + "\n",
        };
        fs::write(at(n, "sh"), line).expect("it can be written");
        let base = notes.path().join(n.to_string());
        let base = base.display();
        let then =
            if is_server { format!("started {base}") } else { format!("echo $? >{base}.code") };
        writeln!(script, ". {base}.sh >{base}.out 2>{base}.err; {then}")
            .expect("a string takes all");
    }
    // Whatever is left of the session ends with it.
    script += "trap '' TERM; kill 0; wait\n";
    fs::write(notes.path().join("session"), script).expect("it can be written");
    let status =
        world.bash(&notes.path().join("session")).status().expect("there are timeout and bash");
    assert!(
        at(lines.len() - 1, "out").is_file(),
        "the session broke off ({status}) in: {}",
        lines[(0..lines.len()).rev().find(|n| at(*n, "out").is_file()).unwrap_or_default()]
    );
    let text = |path: &Path| {
        let bytes = fs::read(path).expect("the shell wrote it");
        world.read(&String::from_utf8_lossy(&bytes))
    };
    let ran = |n: usize| Ran {
        stdout: text(&at(n, "out")),
        stderr: text(&at(n, "err")),
        code: fs::read_to_string(at(n, "code")).ok().and_then(|code| code.trim().parse().ok()),
    };
    (0..lines.len()).map(ran).collect()
}

fn is_server(line: &str) -> bool {
    let mut words = line
        .split_whitespace()
        .skip_while(|word| matches!(*word, "registry" | "hub" | "gitops" | "kit-rs"));
    line.starts_with("kit-rs ") && matches!(words.next(), Some("serve" | "up" | "port-forward"))
}

fn is_in_background(line: &str) -> bool {
    line.split(" # ").next().is_some_and(|line| line.trim_end().ends_with('&'))
}
