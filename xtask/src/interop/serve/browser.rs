//! The server's pages in a real browser.

use std::process::Command;

use anyhow::ensure;

use super::Stage;
use crate::browser::{Browser, Programs};
use crate::report::Report;

pub(super) fn run(stage: &Stage<'_>, report: &mut Report) {
    let programs = match Programs::of(stage.peers) {
        Ok(programs) => programs,
        Err(error) => return report.skip("Chromium", "shows /ui and /docs", &format!("{error:#}")),
    };
    report.claim("Chromium", "classifies texts on /ui, and on / as a browser asks for it", || {
        let (server, browser) = (stage.serve(stage.tiny(), &[])?, Browser::start(&programs)?);
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
        let (server, browser) = (stage.serve(stage.tiny(), &[])?, Browser::start(&programs)?);
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
            (stage.serve(stage.tiny(), &[])?, Browser::start(&programs)?);
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
        let (page, browser) = (folder.join("model-report.html"), Browser::start(&programs)?);
        for (width, scheme) in [(390, "light"), (390, "dark"), (1280, "light"), (1280, "dark")] {
            browser.look_like(width, scheme)?;
            browser.open(&format!("file://{}", page.display()))?;
            browser.is_legible(&format!("the report {width} {scheme}"))?;
        }
        Ok(())
    });
    report.claim("Chromium", "lists the routes on /docs and sends their examples, offline", || {
        let (server, browser) = (stage.serve(stage.tiny(), &[])?, Browser::start(&programs)?);
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

/// Shows a result of 31 labels, one of them long, as an answer would.
const MANY_LABELS: &str = "(document.getElementById('results').replaceChildren(showResult('x'.repeat(300), \
    Array.from({ length: 31 }, (_, n) => ({ label: n === 2 ? 'long_'.repeat(30) : 'label ' + n, score: 1 / 31 })))), \
    document.querySelectorAll('.result details').forEach((details) => { details.open = true; }))";
