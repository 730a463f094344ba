//! The pages in a real browser: headless Chromium, steered over WebDriver.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

use super::Stage;
use crate::report::Report;

pub(super) fn run(stage: &Stage<'_>, report: &mut Report) {
    let programs = stage.peers.debian("chromium", "chromium").and_then(|chromium| {
        Ok((chromium, stage.peers.debian("chromium-driver", "chromedriver")?))
    });
    let (chromium, driver) = match programs {
        Ok(programs) => programs,
        Err(error) => return report.skip("Chromium", "shows /ui and /docs", &format!("{error:#}")),
    };
    report.claim("Chromium", "classifies texts on /ui, and on / as a browser asks for it", || {
        let (server, browser) = (stage.serve(stage.tiny(), &[])?, Browser::start(&driver, &chromium)?);
        for path in ["/ui", "/"] {
            browser.open(&format!("http://{}{path}", server.address))?;
            browser.run("document.getElementById('texts').value = 'I love this movie\\n<b>the worst film</b>'")?;
            browser.click("#ask")?;
            let shown = browser
                .until("[...document.querySelectorAll('.result')].map((result) => result.innerText)", |shown| {
                    shown.as_array().is_some_and(|results| results.len() == 2)
                })?;
            let text = shown.to_string();
            ensure!(text.contains("positive") && text.contains("negative") && text.contains('%'), "{text}");
            ensure!(text.contains("<b>the worst film</b>"), "a text is shown as it is: {text}");
        }
        ensure!(browser.complaints()?.is_empty(), "the console says {:?}", browser.complaints()?);
        browser.screenshot(&stage.workspace.join("target/interop/ui.png"))
    });
    report.claim("Chromium", "asks twice on /ui for 200 texts, and follows ?text=", || {
        let (server, browser) =
            (stage.serve(stage.tiny(), &[])?, Browser::start(&driver, &chromium)?);
        browser.open(&format!("http://{}/ui?text=good", server.address))?;
        browser.until("document.querySelectorAll('.result').length", |n| *n == 1)?;
        browser.run("document.getElementById('texts').value = 'x\\n'.repeat(200)")?;
        browser.click("#ask")?;
        browser.until("document.querySelectorAll('.result').length", |n| *n == 200)?;
        ensure!(browser.complaints()?.is_empty(), "the console says {:?}", browser.complaints()?);
        Ok(())
    });
    report.claim("Chromium", "shows /ui with 31 labels and /docs legibly on a phone and a screen, by day and by night", || {
        let (server, browser) =
            (stage.serve(stage.tiny(), &[])?, Browser::start(&driver, &chromium)?);
        for (width, scheme) in [(390, "light"), (390, "dark"), (1280, "light"), (1280, "dark")] {
            browser.look_like(width, scheme)?;
            browser.open(&format!("http://{}/ui", server.address))?;
            browser.run(MANY_LABELS)?;
            browser.is_legible(&format!("/ui {width} {scheme}"))?;
            browser.open(&format!("http://{}/docs", server.address))?;
            browser.until("document.querySelectorAll('details.route').length", |n| *n != 0)?;
            browser.run("document.querySelectorAll('details').forEach((details) => { details.open = true; })")?;
            browser.is_legible(&format!("/docs {width} {scheme}"))?;
        }
        Ok(())
    });
    report.claim("Chromium", "shows a training report of 31 labels as legibly", || {
        let folder = stage.workspace.join("target/interop/report");
        fs_err::create_dir_all(&folder)?;
        let row = |n: usize| format!("the film {n} is good,a label of several words {}\n", n % 31);
        let rows: String = (0..155).map(row).collect();
        fs_err::write(folder.join("rows.csv"), format!("text,label\n{rows}"))?;
        let mut command = Command::new(&stage.kit_rs);
        command.arg("train").arg("--model").arg(stage.tiny()).current_dir(&folder);
        command.args([
            "--dataset",
            "rows.csv",
            "--output",
            "model",
            "--epochs",
            "2",
            "--no-kitfile",
        ]);
        crate::peers::run_quietly(&mut command)?;
        let (page, browser) =
            (folder.join("model-report.html"), Browser::start(&driver, &chromium)?);
        for (width, scheme) in [(390, "light"), (390, "dark"), (1280, "light"), (1280, "dark")] {
            browser.look_like(width, scheme)?;
            browser.open(&format!("file://{}", page.display()))?;
            browser.is_legible(&format!("the report {width} {scheme}"))?;
        }
        Ok(())
    });
    report.claim("Chromium", "lists the routes on /docs and sends their examples, offline", || {
        let (server, browser) = (stage.serve(stage.tiny(), &[])?, Browser::start(&driver, &chromium)?);
        browser.open(&format!("http://{}/docs", server.address))?;
        let n = browser.until("document.querySelectorAll('details.route').length", |n| n.as_u64().is_some_and(|n| n > 15))?;
        browser.run("document.querySelectorAll('details.route').forEach((details) => { details.open = true; details.querySelector('button[type=submit]').click(); })")?;
        let all = "[...document.querySelectorAll('pre.answer')].map((pre) => pre.innerText.split(' ')[0])";
        let statuses = browser.until(all, |all| {
            all.as_array().is_some_and(|all| all.len() as u64 == n.as_u64().unwrap_or(0) && all.iter().all(|one| *one != ""))
        })?;
        ensure!(statuses.as_array().is_some_and(|all| all.iter().all(|one| *one == "200")), "{statuses}");
        ensure!(browser.complaints()?.is_empty(), "the console says {:?}", browser.complaints()?);
        browser.screenshot(&stage.workspace.join("target/interop/docs.png"))
    });
}

/// What is wrong with how a page can be read, as an expression.
const LEGIBLE: &str = include_str!("legible.js");

/// Shows a result of 31 labels, one of them long, as an answer would.
const MANY_LABELS: &str = "(document.getElementById('results').replaceChildren(showResult('x'.repeat(300), \
    Array.from({ length: 31 }, (_, n) => ({ label: n === 2 ? 'long_'.repeat(30) : 'label ' + n, score: 1 / 31 })))), \
    document.querySelectorAll('.result details').forEach((details) => { details.open = true; }))";

/// One session of a browser.
struct Browser {
    driver: Child,
    session: String,
}

impl Browser {
    fn start(driver: &Path, chromium: &Path) -> anyhow::Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new(driver);
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
        let chrome = json!({ "binary": chromium, "args": args });
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

    fn open(&self, url: &str) -> anyhow::Result<()> {
        call("POST", &format!("{}/url", self.session), &json!({ "url": url })).map(drop)
    }

    /// Evaluates an expression.
    fn run(&self, script: &str) -> anyhow::Result<Value> {
        let script = json!({ "script": format!("return ({script})"), "args": [] });
        call("POST", &format!("{}/execute/sync", self.session), &script)
    }

    /// Evaluates until it is as wanted.
    fn until(&self, script: &str, wanted: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
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
    fn look_like(&self, width: u32, scheme: &str) -> anyhow::Result<()> {
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

    fn is_legible(&self, what: &str) -> anyhow::Result<()> {
        let problems = self.run(LEGIBLE)?;
        ensure!(problems.as_array().is_some_and(Vec::is_empty), "{what}: {problems}");
        Ok(())
    }

    fn click(&self, selector: &str) -> anyhow::Result<()> {
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
    fn complaints(&self) -> anyhow::Result<Vec<Value>> {
        let log = call("POST", &format!("{}/se/log", self.session), &json!({ "type": "browser" }))?;
        Ok(log.as_array().cloned().unwrap_or_default())
    }

    fn screenshot(&self, path: &Path) -> anyhow::Result<()> {
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
