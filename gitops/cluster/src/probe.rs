//! Startup, readiness and liveness probes with the kubelet's rules and defaults.

use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::clock::Moment;
use crate::spec::{Container, HttpGet, Probe};

/// The three probes of one run of a container.
#[derive(Debug)]
pub(crate) struct Probes {
    startup: Option<Prober>,
    readiness: Option<Prober>,
    liveness: Option<Prober>,
    container: Container,
    address: Ipv4Addr,
}

/// What the probes have found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Finding {
    /// The startup probe has passed, or there is none.
    Started,
    /// The readiness probe has passed, or there is none.
    Ready,
    /// The readiness probe has failed often enough to take the pod out of its Services.
    Unready(String),
    /// The startup or liveness probe has failed often enough to restart the container.
    Dead(String),
    /// A probe failed, not often enough yet.
    Failed(String),
}

/// Runs a probe of that name; the error is why it fails.
type Ask<'a> = &'a mut dyn FnMut(&'static str, &Probe) -> Result<(), String>;

/// One probe, its next turn and its streak of equal outcomes.
#[derive(Debug)]
struct Prober {
    name: &'static str,
    probe: Probe,
    due: Moment,
    passed: bool,
    streak: u32,
    /// What the streak has led to.
    verdict: Option<bool>,
}

impl Probes {
    /// The probes of a container that starts now.
    pub(crate) fn new(container: &Container, address: Ipv4Addr, now: Moment) -> Self {
        let prober = |name, probe: &Option<Probe>| probe.clone().map(|p| Prober::new(name, p, now));
        Self {
            startup: prober("startup", &container.startup_probe),
            readiness: prober("readiness", &container.readiness_probe),
            liveness: prober("liveness", &container.liveness_probe),
            container: container.clone(),
            address,
        }
    }

    /// What holds before any probe has run.
    pub(crate) fn at_start(&self) -> Vec<Finding> {
        match (&self.startup, &self.readiness) {
            (None, None) => vec![Finding::Started, Finding::Ready],
            (None, Some(_)) => vec![Finding::Started],
            _ => Vec::new(),
        }
    }

    /// Runs what is due, and says what changed. Takes as long as the probes' own timeouts.
    pub(crate) fn run_due(&mut self, now: Moment) -> Vec<Finding> {
        let (container, address) = (self.container.clone(), self.address);
        self.turn(now, &mut |_, probe| probe.ask(&container, address))
    }

    /// The same, with `ask` to run a probe, which it is told by its name.
    fn turn(&mut self, now: Moment, ask: Ask<'_>) -> Vec<Finding> {
        let mut findings = Vec::new();
        if let Some(startup) = self.startup.as_mut().filter(|prober| prober.verdict != Some(true)) {
            match startup.turn(now, ask) {
                Outcome::Changed(true, _) => findings.push(Finding::Started),
                Outcome::Changed(false, why) => return vec![Finding::Dead(why)],
                Outcome::Failed(why) => findings.push(Finding::Failed(why)),
                Outcome::Nothing => {}
            }
            // The others begin only now, at once.
            if findings.first() != Some(&Finding::Started) {
                return findings;
            }
            findings.extend(self.readiness.is_none().then_some(Finding::Ready));
        }
        match self.readiness.as_mut().map(|prober| prober.turn(now, ask)) {
            Some(Outcome::Changed(true, _)) => findings.push(Finding::Ready),
            Some(Outcome::Changed(false, why)) => findings.push(Finding::Unready(why)),
            Some(Outcome::Failed(why)) => findings.push(Finding::Failed(why)),
            Some(Outcome::Nothing) | None => {}
        }
        match self.liveness.as_mut().map(|prober| prober.turn(now, ask)) {
            Some(Outcome::Changed(false, why)) => findings.push(Finding::Dead(why)),
            Some(Outcome::Failed(why)) => findings.push(Finding::Failed(why)),
            Some(Outcome::Changed(true, _) | Outcome::Nothing) | None => {}
        }
        findings
    }

    /// When the next probe is due.
    pub(crate) fn next_due(&self) -> Option<Moment> {
        match &self.startup {
            Some(startup) if startup.verdict != Some(true) => Some(startup.due),
            _ => [&self.readiness, &self.liveness].into_iter().flatten().map(|t| t.due).min(),
        }
    }
}

/// What came of asking once.
#[derive(Debug, PartialEq)]
enum Outcome {
    Nothing,
    Failed(String),
    /// Its verdict changed: it passes now, or it has failed too often, with the last failure.
    Changed(bool, String),
}

impl Prober {
    fn new(name: &'static str, probe: Probe, now: Moment) -> Self {
        Self {
            name,
            due: now + Duration::from_secs(probe.initial_delay_seconds),
            probe,
            passed: false,
            streak: 0,
            verdict: None,
        }
    }

    fn turn(&mut self, now: Moment, ask: Ask<'_>) -> Outcome {
        if now < self.due {
            return Outcome::Nothing;
        }
        let period = self.probe.period_seconds.unwrap_or(10).max(1);
        self.due = now + Duration::from_secs(period);
        let outcome = ask(self.name, &self.probe);
        let name = self.name;
        self.record(outcome.map_err(|why| format!("{name} probe failed: {why}")))
    }

    /// Counts an outcome; pure but for the counters.
    fn record(&mut self, outcome: Result<(), String>) -> Outcome {
        let passed = outcome.is_ok();
        self.streak = if passed == self.passed { self.streak + 1 } else { 1 };
        self.passed = passed;
        let threshold = match passed {
            true => self.probe.success_threshold.unwrap_or(1),
            false => self.probe.failure_threshold.unwrap_or(3),
        };
        let why = outcome.err().unwrap_or_default();
        if self.streak >= threshold.max(1) && self.verdict != Some(passed) {
            self.verdict = Some(passed);
            return Outcome::Changed(passed, why);
        }
        if passed { Outcome::Nothing } else { Outcome::Failed(why) }
    }
}

impl Probe {
    /// Asks once.
    fn ask(&self, container: &Container, address: Ipv4Addr) -> Result<(), String> {
        let timeout = Duration::from_secs(self.timeout_seconds.unwrap_or(1).max(1));
        let wanted = match (&self.http_get, &self.tcp_socket) {
            (Some(http), _) => &http.port,
            (None, Some(tcp)) => &tcp.port,
            (None, None) => return Err("neither httpGet nor tcpSocket".to_owned()),
        };
        let port =
            wanted.port(container).ok_or_else(|| format!("no port {wanted:?} in the container"))?;
        let address = SocketAddr::from((address, port));
        match &self.http_get {
            Some(http) => ask_http(http, address, timeout),
            None => TcpStream::connect_timeout(&address, timeout)
                .map(drop)
                .map_err(|error| format!("dial tcp {address}: {error}")),
        }
    }
}

/// An HTTP GET as the kubelet makes it: a connection of its own, any status from 200 to 399 passes.
fn ask_http(http: &HttpGet, address: SocketAddr, timeout: Duration) -> Result<(), String> {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(timeout))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_idle_connections(0)
        .proxy(None)
        .user_agent("kube-probe/kit-rs")
        .build();
    let path = http.path.trim_start_matches('/');
    let url = format!("http://{address}/{path}");
    let mut request = ureq::Agent::new_with_config(config).get(&url).header("connection", "close");
    for header in &http.http_headers {
        request = request.header(&header.name, &header.value);
    }
    let response = request.call().map_err(|error| format!("Get {url:?}: {error}"))?;
    let status = response.status().as_u16();
    if (200..400).contains(&status) {
        return Ok(());
    }
    let mut body = String::new();
    let _ = response.into_body().into_reader().take(200).read_to_string(&mut body);
    Err(format!("HTTP probe failed with statuscode: {status} {}", body.trim())
        .trim_end()
        .to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::TcpListener;
    use std::thread;

    use serde_json::json;

    use super::*;
    use crate::spec;

    fn prober(probe: serde_json::Value) -> Prober {
        Prober::new("readiness", spec::read(&probe).unwrap(), Moment::now())
    }

    #[test]
    fn three_failures_in_a_row_are_needed_by_default() {
        let mut prober = prober(json!({}));
        let no = || Err("no".to_owned());
        assert_eq!(prober.record(Ok(())), Outcome::Changed(true, String::new()));
        assert_eq!(prober.record(no()), Outcome::Failed("no".to_owned()));
        assert_eq!(prober.record(no()), Outcome::Failed("no".to_owned()));
        assert_eq!(prober.record(Ok(())), Outcome::Nothing);
        for _ in 0..2 {
            assert_eq!(prober.record(no()), Outcome::Failed("no".to_owned()));
        }
        assert_eq!(prober.record(no()), Outcome::Changed(false, "no".to_owned()));
        assert_eq!(prober.record(Ok(())), Outcome::Changed(true, String::new()));
    }

    #[test]
    fn readiness_waits_for_the_startup_probe() {
        let container: Container = spec::read(&json!({
            "startupProbe": {"tcpSocket": {"port": 1}, "failureThreshold": 1},
            "readinessProbe": {"tcpSocket": {"port": 1}}
        }))
        .unwrap();
        let now = Moment::now();
        let mut probes = Probes::new(&container, Ipv4Addr::new(127, 0, 0, 2), now);
        assert_eq!(probes.at_start(), []);
        let findings = probes.run_due(now);
        assert!(
            matches!(&findings[..], [Finding::Dead(why)] if why.starts_with("startup probe failed: dial tcp")),
            "{findings:?}"
        );
    }

    #[test]
    fn a_container_without_probes_is_ready_at_once() {
        let probes = Probes::new(&Container::default(), Ipv4Addr::LOCALHOST, Moment::now());
        assert_eq!(probes.at_start(), [Finding::Started, Finding::Ready]);
        assert_eq!(probes.next_due(), None);
    }

    /// Goes from one due probe to the next for `n` turns: the second of each finding. Until its
    /// second, each probe fails.
    fn timeline(
        container: serde_json::Value,
        n: usize,
        passes_from: impl Fn(&str) -> u64,
    ) -> Vec<(u64, Finding)> {
        let begun = Moment::now();
        let container: Container = spec::read(&container).unwrap();
        let mut probes = Probes::new(&container, Ipv4Addr::LOCALHOST, begun);
        let mut told: Vec<_> = probes.at_start().into_iter().map(|it| (0, it)).collect();
        for _ in 0..n {
            let now = probes.next_due().unwrap();
            let second = now.since(begun).as_secs();
            let found = probes.turn(now, &mut |name, _| match second >= passes_from(name) {
                true => Ok(()),
                false => Err("no".to_owned()),
            });
            told.extend(found.into_iter().map(|it| (second, it)));
        }
        told
    }

    fn failed(name: &str) -> String {
        format!("{name} probe failed: no")
    }

    #[test]
    fn a_startup_probe_gives_the_time_that_its_threshold_says() {
        let slow = json!({
            "startupProbe": {"periodSeconds": 5, "failureThreshold": 4, "tcpSocket": {"port": 1}},
            "readinessProbe": {"initialDelaySeconds": 2, "tcpSocket": {"port": 1}},
        });
        let no = || Finding::Failed(failed("startup"));
        let in_time =
            [(0, no()), (5, no()), (10, no()), (15, Finding::Started), (15, Finding::Ready)];
        assert_eq!(timeline(slow.clone(), 4, |_| 15), in_time);
        let dead = (15, Finding::Dead(failed("startup")));
        assert_eq!(timeline(slow, 4, |_| 16), [&in_time[..3], &[dead]].concat());
    }

    #[test]
    fn liveness_is_lost_after_three_failures_at_its_period() {
        let container = json!({
            "livenessProbe": {"initialDelaySeconds": 30, "tcpSocket": {"port": 1}},
        });
        let no = || Finding::Failed(failed("liveness"));
        let expected = [
            (0, Finding::Started),
            (0, Finding::Ready),
            (30, no()),
            (40, no()),
            (50, Finding::Dead(failed("liveness"))),
        ];
        assert_eq!(timeline(container, 3, |_| u64::MAX), expected);
    }

    #[test]
    fn readiness_comes_and_goes_at_its_thresholds() {
        let container = json!({"readinessProbe": {
            "periodSeconds": 7, "successThreshold": 2, "failureThreshold": 1,
            "tcpSocket": {"port": 1},
        }});
        let found = timeline(container, 4, |_| 7);
        let expected = [
            (0, Finding::Started),
            (0, Finding::Unready(failed("readiness"))),
            (14, Finding::Ready),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn http_probes_pass_from_200_to_399_only() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let statuses = ["200 OK", "302 Found", "503 Service Unavailable"];
        let server = thread::spawn(move || {
            for status in statuses {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 1024];
                let n = stream.read(&mut request).unwrap();
                assert!(request[..n].starts_with(b"GET /readyz HTTP/1.1\r\n"));
                write!(
                    stream,
                    "HTTP/1.1 {status}\r\ncontent-length: 7\r\nlocation: /\r\n\r\nloading"
                )
                .unwrap();
            }
        });
        let container: Container =
            spec::read(&json!({"ports": [{"name": "http", "containerPort": port}]})).unwrap();
        let probe: Probe =
            spec::read(&json!({"httpGet": {"path": "/readyz", "port": "http"}})).unwrap();
        let ask = || probe.ask(&container, Ipv4Addr::LOCALHOST);
        assert_eq!((ask(), ask()), (Ok(()), Ok(())));
        assert_eq!(ask(), Err("HTTP probe failed with statuscode: 503 loading".to_owned()));
        server.join().unwrap();
    }
}
