//! What is asked on a terminal.

use std::io;

use anyhow::Context as _;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::streams;
use crate::ui::Ui;

/// Asks for a line.
pub(crate) fn line(question: &str, ui: &Ui) -> anyhow::Result<String> {
    streams::ask(question);
    Ok(read(ui)?.to_string())
}

/// Asks for a line that is not shown while it is typed.
pub(crate) fn unseen(question: &str, ui: &Ui) -> anyhow::Result<Zeroizing<String>> {
    let unseen = Unseen::begin().context("cannot hide what is typed")?;
    streams::ask(question);
    let line = read(ui);
    drop(unseen);
    // Enter was not shown either.
    streams::ask("\n");
    line
}

/// Reads on a thread of its own, so that Ctrl-C ends the waiting.
fn read(ui: &Ui) -> anyhow::Result<Zeroizing<String>> {
    let (tell, told) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut line = Zeroizing::new(String::new());
        let _ = tell.send(io::stdin().read_line(&mut line).map(|_| line));
    });
    let line = ui.block_on(async { told.await?.context("cannot read the answer") })?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned().into())
}

/// As long as it lives, what is typed on stdin's terminal is not shown.
struct Unseen(Termios);

impl Unseen {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut unseen = before.clone();
        unseen.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Now, &unseen)?;
        Ok(Self(before))
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        // There is nobody to tell that the terminal is gone.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
