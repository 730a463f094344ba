//! One server process of any kind, from its start to its end.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use fs_err as fs;

use super::load::{Client, request};
use super::texts;

/// A running server.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    /// From the start of the process to its first answer to `POST /predict`.
    pub(crate) cold_start: Duration,
}

impl Server {
    /// Starts a server that says its URL in its first line.
    pub(crate) fn that_says_where(mut command: Command) -> anyhow::Result<Self> {
        let started = Instant::now();
        crate::process::end_with_us(&mut command);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().context("stdout is a pipe")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let Ok(address) = line.trim().trim_start_matches("http://").parse() else {
            let _ = child.kill();
            bail!("{command:?} did not say where it listens: {line:?}, {:?}", child.wait());
        };
        Self::answering(child, address, started)
    }

    /// Starts a server that is told its port; the port is added to its arguments by `with_port`.
    pub(crate) fn at_a_free_port(
        mut command: Command,
        with_port: impl FnOnce(&mut Command, u16),
    ) -> anyhow::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        with_port(&mut command, address.port());
        crate::process::end_with_us(&mut command);
        let started = Instant::now();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        Self::answering(child, address, started)
    }

    /// Waits for the first answer.
    fn answering(child: Child, address: SocketAddr, started: Instant) -> anyhow::Result<Self> {
        let mut server = Self { child, address, cold_start: Duration::ZERO };
        let question = request("POST", "/predict", &texts::body("a first text"));
        while started.elapsed() < Duration::from_secs(120) {
            let answer = Client::connect(address).and_then(|mut client| client.ask(&question));
            if answer.is_ok_and(|answer| answer.status == 200) {
                server.cold_start = started.elapsed();
                return Ok(server);
            }
            if let Some(status) = server.child.try_wait()? {
                bail!("the server ended before it answered: {status}");
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        bail!("the server did not answer within two minutes")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its resident memory now, in bytes.
    pub(crate) fn resident(&self) -> anyhow::Result<u64> {
        self.status_field("VmRSS:")
    }

    /// The most that it ever was.
    pub(crate) fn peak(&self) -> anyhow::Result<u64> {
        self.status_field("VmHWM:")
    }

    fn status_field(&self, name: &str) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line =
            status.lines().find_map(|line| line.strip_prefix(name)).context("Linux tells it")?;
        let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kibibytes * 1024)
    }

    /// Processor time that it has used, on all cores together.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks: u64 =
            fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
        Ok(Duration::from_millis(ticks * 10))
    }

    /// Sends SIGTERM and waits for the end.
    pub(crate) fn end(mut self) -> anyhow::Result<(ExitStatus, Duration)> {
        let asked = Instant::now();
        crate::process::terminate(self.child.id())?;
        let status = self.child.wait()?;
        Ok((status, asked.elapsed()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
