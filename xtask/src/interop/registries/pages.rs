//! The registry's own pages in a real browser.

use std::path::Path;

use anyhow::{Context as _, ensure};
use fs_err as fs;

use crate::browser::{Browser, Programs};
use crate::peers::Peers;
use crate::registries::{Registry, Shop};
use crate::report::Report;

/// A name that leaves no room for breaks.
const LONG: &str =
    "a-repository-whose-name-is-as-long-as-names-may-become-before-a-phone-has-no-room";

pub(super) fn run(report: &mut Report, peers: &Peers, program: &Path, dir: &Path) {
    let programs = match Programs::of(peers) {
        Ok(programs) => programs,
        Err(error) => {
            return report.skip("Chromium", "shows /ui of the registry", &format!("{error:#}"));
        }
    };
    report.claim(
        "Chromium",
        "shows repositories, tags and a ModelKit on /ui of the registry, legibly on a phone and a screen, by day and by night",
        || shown(&programs, program, &dir.join("pages")),
    );
}

fn shown(programs: &Programs, program: &Path, dir: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(dir)?;
    let shop = Shop::open(dir.to_owned(), program.to_owned())?;
    let registry = Registry::ours(program, &dir.join("registry"), "127.0.0.1:0", &[])?;
    let kit = dir.join("kit");
    fs::create_dir_all(&kit)?;
    let card = "# A card\n\nWith a [link](https://example.com), <script>alert(1)</script>, and\n\n| a | table |\n|---|---|\n| of | cells |\n";
    let kitfile = "manifestVersion: 1.0.0\npackage: {name: tiny, version: 1.0.0, description: what it is for}\nmodel: {name: tiny, path: weights.bin}\ndocs: [{path: README.md}]\n";
    for (name, text) in [("weights.bin", "weights"), ("README.md", card), ("Kitfile", kitfile)] {
        fs::write(kit.join(name), text)?;
    }
    let address = &registry.address;
    let names = [format!("{address}/demo/tiny:1.0.0"), format!("{address}/demo/{LONG}:1.0.0-rc.1")];
    shop.kit("home", "keygen --output key --no-password")?;
    for name in &names {
        shop.kit("home", &format!("pack {} -t {name}", kit.display()))?;
        shop.kit("home", &format!("push {name}"))?;
        shop.kit("home", &format!("sign {name} --key key.key"))?;
    }
    let browser = Browser::start(programs)?;
    for (width, scheme) in [(390, "light"), (390, "dark"), (1280, "light"), (1280, "dark")] {
        browser.look_like(width, scheme)?;
        browser.open(&format!("http://{address}/ui"))?;
        // Each page is reached by the links of the one before.
        for (link, word) in [("demo/tiny", "1.0.0"), ("1.0.0", "what it is for")] {
            browser.is_legible(&format!("the page before {link}, {width} {scheme}"))?;
            let click = format!(
                "[...document.querySelectorAll('a')].find((it) => it.innerText.trim() === {link:?}).click() ?? true"
            );
            browser.run(&click).with_context(|| format!("no link {link}"))?;
            browser
                .until(&format!("document.body.innerText.includes({word:?})"), |is| *is == true)?;
        }
        browser.is_legible(&format!("the ModelKit, {width} {scheme}"))?;
    }
    let text = browser.run("document.body.innerText")?.to_string();
    for word in ["weights.bin", "A card", "manifestVersion", "sha256:", "kit-rs pull"] {
        ensure!(text.contains(word), "no {word:?} in {text}");
    }
    let complaints = browser.complaints()?;
    ensure!(complaints.is_empty(), "the console says {complaints:?}");
    Ok(())
}
