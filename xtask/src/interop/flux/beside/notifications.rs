//! `--receiver` and `--alert`: who tells Flux, and whom it tells.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::{PATIENCE, PEER, Stage, is_ready};
use crate::release::Release;
use crate::report::Report;

const APP: &str = "told";
/// The version of Flux' API that 2.9 has Receivers in, and that of Providers and Alerts.
const RECEIVER: &str =
    "apis/notification.toolkit.fluxcd.io/v1/namespaces/flux-system/receivers/told";
const SOURCE: &str =
    "apis/source.toolkit.fluxcd.io/v1/namespaces/flux-system/gitrepositories/flux-system";
/// Well below the minute after which Flux would look by itself.
const AT_ONCE: Duration = Duration::from_secs(30);

pub(super) fn run(stage: &Stage<'_>, first: &Release, report: &mut Report) {
    let peer = format!("notification-controller 1.9.3, {PEER}");
    report.claim(&peer, "--alert: what Flux did with the app is told to the address", || {
        let listener = Listener::start()?;
        let flags = format!("--receiver generic --alert generic=http://{}/", listener.address);
        stage.kubectl(
            "create secret generic told-receiver -n flux-system --from-literal=token=secret",
        )?;
        // An Alert that is not there yet hears nothing.
        stage.render(APP, &first.image, &flags)?;
        let revision = stage.commit()?;
        stage.await_ready(APP, &revision)?;
        listener.until(|event| {
            let about = &event["involvedObject"];
            about["kind"] == "Kustomization" && about["name"] == "told-app"
        })
    });
    report.claim(&peer, "--receiver: whoever calls its path makes Flux look at once", || {
        let path = stage.wait(RECEIVER, is_ready)?["status"]["webhookPath"].clone();
        let base = stage.flux.receivers.as_deref().context("nothing receives")?;
        let unknown = ureq::post(format!("{base}/hook/unknown")).send_empty();
        ensure!(
            matches!(unknown, Err(ureq::Error::StatusCode(404))),
            "a path that nobody was told: {unknown:?}"
        );
        stage.wait(SOURCE, is_ready)?;
        let revision = stage.repository.push()?;
        let url = format!("{base}{}", path.as_str().context("it has a path")?);
        ureq::post(url).send_empty()?;
        let fetched = |it: &Value| it["status"]["artifact"]["revision"] == *revision;
        stage.plane.api.wait(SOURCE, AT_ONCE, fetched).map(drop)
    });
}

/// Keeps what is posted to it.
struct Listener {
    address: String,
    heard: Arc<Mutex<Vec<Value>>>,
}

impl Listener {
    fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let heard = Arc::<Mutex<Vec<Value>>>::default();
        let told = Arc::clone(&heard);
        // It ends with the program: whoever posts may do so until then.
        std::thread::Builder::new().name("events".into()).spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if let Ok(event) = receive(&stream) {
                    told.lock().unwrap_or_else(PoisonError::into_inner).push(event);
                }
            }
        })?;
        Ok(Self { address, heard })
    }

    /// Waits until something was heard; fails with all that was.
    fn until(&self, is_it: impl Fn(&Value) -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if heard.iter().any(&is_it) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "only this was told: {heard:?}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

/// Reads one request with JSON in it, and answers.
fn receive(mut stream: &TcpStream) -> anyhow::Result<Value> {
    const MOST: u64 = 1 << 20;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut input = BufReader::new(stream.take(MOST));
    let mut length = 0;
    loop {
        let mut line = String::new();
        input.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(':') else {
            // The first line has none either, unless it is a path with one.
            if line.trim().is_empty() {
                break;
            }
            continue;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse()?;
        }
    }
    let mut body = vec![0; length.min(usize::try_from(MOST)?)];
    input.read_exact(&mut body)?;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
    Ok(serde_json::from_slice(&body)?)
}
