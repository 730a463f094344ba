//! A real browser: headless Chromium, steered over WebDriver.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

use crate::peers::Peers;

/// What is wrong with how a page can be read, as an expression.
const LEGIBLE: &str = include_str!("legible.js");

/// Chromium and its driver.
pub(crate) struct Programs {
    chromium: PathBuf,
    driver: PathBuf,
}

impl Programs {
    /// Those of Debian.
    pub(crate) fn of(peers: &Peers) -> anyhow::Result<Self> {
        let chromium = peers.debian("chromium", "chromium")?;
        Ok(Self { chromium, driver: peers.debian("chromium-driver", "chromedriver")? })
    }
}

/// One session of a browser.
pub(crate) struct Browser {
    driver: Child,
    session: String,
}

impl Browser {
    pub(crate) fn start(programs: &Programs) -> anyhow::Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new(&programs.driver);
        crate::process::end_with_us(&mut command);
        let driver = command
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let mut browser = Self { driver, session: format!("http://127.0.0.1:{port}/session") };
        let args = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--window-size=900,1000",
        ];
        let chrome = json!({ "binary": programs.chromium, "args": args });
        let wanted = json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": chrome, "goog:loggingPrefs": { "browser": "ALL" } } } });
        let deadline = Instant::now() + Duration::from_secs(60);
        let made = loop {
            match call("POST", &browser.session, &wanted) {
                Ok(made) => break made,
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        };
        browser.session +=
            &format!("/{}", made["sessionId"].as_str().context("a session has an id")?);
        Ok(browser)
    }

    pub(crate) fn open(&self, url: &str) -> anyhow::Result<()> {
        call("POST", &format!("{}/url", self.session), &json!({ "url": url })).map(drop)
    }

    /// Evaluates an expression.
    pub(crate) fn run(&self, script: &str) -> anyhow::Result<Value> {
        let script = json!({ "script": format!("return ({script})"), "args": [] });
        call("POST", &format!("{}/execute/sync", self.session), &script)
    }

    /// Evaluates until it is as wanted.
    pub(crate) fn until(
        &self,
        script: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let value = self.run(script)?;
            if wanted(&value) {
                return Ok(value);
            }
            ensure!(Instant::now() < deadline, "{script} stays {value}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Has a screen of a width, and a person who likes it light or dark.
    pub(crate) fn look_like(&self, width: u32, scheme: &str) -> anyhow::Result<()> {
        let screen =
            json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600 });
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        for (command, params) in
            [("Emulation.setDeviceMetricsOverride", screen), ("Emulation.setEmulatedMedia", media)]
        {
            let command = json!({ "cmd": command, "params": params });
            call("POST", &format!("{}/goog/cdp/execute", self.session), &command)?;
        }
        Ok(())
    }

    pub(crate) fn is_legible(&self, what: &str) -> anyhow::Result<()> {
        let problems = self.run(LEGIBLE)?;
        ensure!(problems.as_array().is_some_and(Vec::is_empty), "{what}: {problems}");
        Ok(())
    }

    pub(crate) fn click(&self, selector: &str) -> anyhow::Result<()> {
        let found = json!({ "using": "css selector", "value": selector });
        let element = call("POST", &format!("{}/element", self.session), &found)?;
        let Some(id) = element.as_object().and_then(|element| element.values().next()?.as_str())
        else {
            bail!("there is no {selector}");
        };
        call("POST", &format!("{}/element/{id}/click", self.session), &json!({})).map(drop)
    }

    /// What the console says: errors of scripts, and whatever the content security policy has
    /// refused. Answers that were errors on purpose do not count.
    pub(crate) fn complaints(&self) -> anyhow::Result<Vec<Value>> {
        let log = call("POST", &format!("{}/se/log", self.session), &json!({ "type": "browser" }))?;
        Ok(log.as_array().cloned().unwrap_or_default())
    }

    pub(crate) fn screenshot(&self, path: &Path) -> anyhow::Result<()> {
        let mut answer = ureq::get(format!("{}/screenshot", self.session)).call()?;
        let document: Value = serde_json::from_str(
            &answer.body_mut().with_config().limit(64 << 20).read_to_string()?,
        )?;
        fs_err::create_dir_all(path.parent().context("a file lies in a folder")?)?;
        fs_err::write(path, base64(document["value"].as_str().context("a picture")?)?)?;
        Ok(())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = ureq::delete(&self.session).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn call(method: &str, url: &str, body: &Value) -> anyhow::Result<Value> {
    ensure!(method == "POST", "only POST is needed");
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
    let mut answer =
        agent.post(url).header("content-type", "application/json").send(body.to_string())?;
    let status = answer.status();
    let document: Value =
        serde_json::from_str(&answer.body_mut().with_config().limit(64 << 20).read_to_string()?)?;
    ensure!(status.is_success(), "{url}: {status} {}", document["value"]["message"]);
    Ok(document["value"].clone())
}

/// Decodes base64 without line breaks.
fn base64(text: &str) -> anyhow::Result<Vec<u8>> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut n_bits) = (0u32, 0);
    for digit in text.bytes().filter(|digit| *digit != b'=') {
        let value = DIGITS.iter().position(|known| *known == digit).context("not base64")?;
        (bits, n_bits) = (bits << 6 | u32::try_from(value)?, n_bits + 6);
        if n_bits >= 8 {
            n_bits -= 8;
            bytes.push(u8::try_from(bits >> n_bits & 0xff)?);
        }
    }
    Ok(bytes)
}
