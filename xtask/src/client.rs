//! A client of the deployed server, that asks once, or keeps asking.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::bail;
use serde_json::{Value, json};

/// What the server answered.
pub(crate) struct Answer {
    /// The label with the highest score.
    pub(crate) label: String,
    /// Its score, from 0 to 1.
    pub(crate) score: f64,
    /// The digest of the ModelKit that answered, from the answer's header; empty for a folder that
    /// came from none.
    pub(crate) digest: String,
}

/// Asks `POST /predict` once, over a connection of its own.
pub(crate) fn ask(url: &str, text: &str) -> anyhow::Result<Answer> {
    let agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(30)))
        .max_idle_connections(0)
        .build()
        .new_agent();
    ask_with(&agent, url, text)
}

fn ask_with(agent: &ureq::Agent, url: &str, text: &str) -> anyhow::Result<Answer> {
    let body = json!({ "text": text }).to_string();
    let mut response = agent
        .post(format!("{url}/predict"))
        .header("content-type", "application/json")
        .config()
        .http_status_as_error(false)
        .build()
        .send(body)?;
    let status = response.status();
    if !status.is_success() {
        // Whoever stands between says why here.
        bail!("{status}: {}", response.body_mut().read_to_string()?.trim());
    }
    let digest = response
        .headers()
        .get("x-modelkit-digest")
        .map(|digest| digest.to_str())
        .transpose()?
        .unwrap_or_default();
    let digest = digest.to_owned();
    let answer: Value = serde_json::from_str(&response.body_mut().read_to_string()?)?;
    let (label, score) = (answer[0]["label"].as_str(), answer[0]["score"].as_f64());
    let (Some(label), Some(score)) = (label, score) else {
        bail!("an answer of another form: {answer}")
    };
    Ok(Answer { label: label.to_owned(), score, digest })
}

/// Between two connections of one client. Each keeps its local port for a minute after its end, and
/// there are 28,000 of them by default: without a pause they are used up within half a minute.
const PAUSE: Duration = Duration::from_millis(4);

/// Two clients that keep asking: one without a pause over one connection, one over a new connection
/// for each request.
pub(crate) struct Asking {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    threads: Vec<JoinHandle<()>>,
}

/// What the clients saw.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    /// Requests in all.
    pub(crate) n_requests: u64,
    /// Requests that did not get an answer of the right form.
    pub(crate) failures: Vec<String>,
    /// The digests in the order in which each first answered.
    pub(crate) digests: Vec<String>,
}

impl Asking {
    /// Begins.
    pub(crate) fn begin(url: &str, texts: &[(String, usize)]) -> anyhow::Result<Self> {
        let mut asking = Self { stop: Arc::default(), seen: Arc::default(), threads: Vec::new() };
        let begun = Instant::now();
        let start = |idle_connections: usize| {
            let (stop, seen, url) = (asking.stop.clone(), asking.seen.clone(), url.to_owned());
            let texts: Vec<String> = texts.iter().map(|(text, _)| text.clone()).collect();
            let config =
                ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(30)));
            let agent = config
                .max_idle_connections(idle_connections)
                .max_idle_connections_per_host(idle_connections)
                .build()
                .new_agent();
            let pause = if idle_connections == 0 { PAUSE } else { Duration::ZERO };
            std::thread::Builder::new().name("asking".into()).spawn(move || {
                for text in texts.iter().cycle() {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    std::thread::sleep(pause);
                    let answer = ask_with(&agent, &url, text);
                    seen.lock().expect("no holder panics").note(answer, begun.elapsed());
                }
            })
        };
        asking.threads = [start(0), start(1)].into_iter().collect::<Result<_, _>>()?;
        Ok(asking)
    }

    /// Waits until a digest answers.
    pub(crate) fn until_digest(&self, digest: &str, patience: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if self.seen.lock().expect("no holder panics").digests.iter().any(|seen| seen == digest)
            {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("{digest} did not answer within {} s", patience.as_secs())
    }

    /// Stops asking.
    pub(crate) fn end(mut self) -> anyhow::Result<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in std::mem::take(&mut self.threads) {
            thread.join().map_err(|_| anyhow::anyhow!("a client panicked"))?;
        }
        let seen = self.seen.lock().expect("no holder panics").clone();
        Ok(seen)
    }
}

/// Whoever does not want to know what was seen ends it, too.
impl Drop for Asking {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Seen {
    fn note(&mut self, result: anyhow::Result<Answer>, since: Duration) {
        self.n_requests += 1;
        match result {
            Ok(answer) if !self.digests.contains(&answer.digest) => {
                self.digests.push(answer.digest)
            }
            Ok(_) => (),
            Err(error) => self.failures.push(format!("after {since:.1?}: {error:#}")),
        }
    }
}
