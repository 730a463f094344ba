//! A `kit-rs … serve` that runs beside the story, and ends with it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStderr, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use fs_err as fs;

use super::stage::{Stage, say};

/// Who hears what a server says on stderr.
pub(crate) enum Talk {
    /// Its log alone.
    Kept,
    /// The audience of the story, too.
    Told,
}

/// A server process.
pub(crate) struct Server {
    child: Child,
    /// Where it listens, as it said itself.
    pub(crate) url: String,
}

impl Server {
    /// Starts a server by its command line; its first line on stdout is its URL, its talk goes to
    /// `<name>.log`.
    pub(crate) fn start(stage: &Stage, name: &str, line: &str, talk: Talk) -> anyhow::Result<Self> {
        say(&format!("$ {line} &"));
        let log = fs::File::create(stage.root.join(format!("{name}.log")))?;
        let mut command = stage.command(line)?;
        crate::process::end_with_us(&mut command);
        // Ctrl-C is for the story, which then ends its servers itself.
        command.process_group(0);
        let stderr = match talk {
            Talk::Kept => log.try_clone()?.into_parts().0.into(),
            Talk::Told => Stdio::piped(),
        };
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr).spawn()?;
        if let Some(talk) = child.stderr.take() {
            tell(talk, log, name.to_owned())?;
        }
        let stdout = child.stdout.take().context("stdout is a pipe")?;
        let mut url = String::new();
        BufReader::new(stdout).read_line(&mut url)?;
        // `kubectl proxy` says it in a sentence.
        let url = match url.trim().rsplit_once(' ') {
            Some((_, address)) => format!("http://{address}"),
            None => url.trim().to_owned(),
        };
        if url.is_empty() {
            let _ = child.kill();
            let _ = child.wait();
            bail!(
                "`{line}` did not start; see {name}.log:\n{}",
                fs::read_to_string(stage.root.join(format!("{name}.log")))?
            );
        }
        say(&format!("  {url}"));
        Ok(Self { child, url })
    }

    /// Asks it to end, which it has to do well and in time.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        crate::process::end(&mut self.child, Duration::from_secs(60));
        let status = self.child.wait()?;
        ensure!(status.success(), "it ended with {status}");
        Ok(())
    }

    /// `HOST:PORT`.
    pub(crate) fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        crate::process::end(&mut self.child, Duration::from_secs(5));
    }
}

/// Tells the audience what a server says, and keeps it.
fn tell(talk: ChildStderr, mut log: fs::File, name: String) -> anyhow::Result<()> {
    let listen = move || {
        for line in BufReader::new(talk).lines().map_while(Result::ok) {
            let _ = writeln!(log, "{line}");
            say(&format!("  [{name}] {line}"));
        }
    };
    std::thread::Builder::new().name("talk".into()).spawn(listen)?;
    Ok(())
}
