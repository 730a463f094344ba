//! `kill -9` while something is written into a user's folder. Before the next run it is as it was or
//! complete, or packing it is refused; the same again is complete, and nothing of ours is left.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use fs_err as fs;

use super::Random;
use crate::e2e::{checkpoint, say, sentences};
use crate::registries::{Registry, Shop};
use crate::report::Report;

const N_ROUNDS: u64 = 10;
const N_FILES: usize = 300;
const LARGE: usize = 24 << 20;
/// How names begin that no folder may be left with.
const OWN: &str = ".kit-rs-";

/// A verb that writes, and what is there before it.
struct Kind {
    name: &'static str,
    verb: fn(&str) -> String,
    prepare: fn(&Shop, &Path) -> anyhow::Result<()>,
}

const KINDS: [Kind; 8] = [
    Kind {
        name: "unpack into a new folder",
        verb: |out| format!("unpack demo/new:v1 -o -d {out}"),
        prepare: |_, _| Ok(()),
    },
    Kind {
        name: "unpack over files",
        verb: |out| format!("unpack demo/new:v1 -o -d {out}"),
        prepare: |shop, out| {
            shop.kit("home", &format!("unpack demo/old:v1 -d {}", out.display())).map(drop)
        },
    },
    Kind {
        name: "image unpack",
        verb: |out| format!("image unpack demo/image:v1 -d {out}"),
        prepare: |_, _| Ok(()),
    },
    Kind {
        name: "init over a Kitfile",
        verb: |out| format!("init {out} --force --name killed"),
        prepare: |shop, out| {
            shop.kit("home", &format!("unpack demo/old:v1 -d {}", out.display())).map(drop)
        },
    },
    Kind {
        name: "pack",
        verb: |_| "pack new --no-index -t demo/new:v1".to_owned(),
        prepare: |_, out| Ok(fs::create_dir_all(out)?),
    },
    Kind {
        name: "train over a model",
        verb: |out| {
            format!("train --model base --dataset data.json --output {out}/model --resume --seed 8")
        },
        prepare: |shop, out| copy(&shop.dir.join("trained"), out),
    },
    Kind {
        name: "import from a hub",
        verb: |_| "import org/model -t demo/imported:v1".to_owned(),
        prepare: |_, out| Ok(fs::create_dir_all(out)?),
    },
    Kind {
        name: "gitops render over an app",
        verb: |out| format!("gitops render demo/image:v1 --app killed --replicas 3 --dir {out}"),
        prepare: |shop, out| {
            let out = out.display();
            let repository = "--url https://git.example.com/demo/infra.git --branch main";
            shop.kit("home", &format!("gitops bootstrap {repository} --dir {out}"))?;
            shop.kit("home", &format!("gitops render demo/image:v1 --app killed --dir {out}"))
                .map(drop)
        },
    },
];

/// Plays all rounds.
pub(super) fn run(
    program: &Path,
    random: &mut Random,
    dir: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut shop = Shop::open(dir.join("folders"), program.to_owned())?;
    for (name, word) in [("old", "old"), ("new", "new, and longer")] {
        write_project(&shop.dir.join(name), word)?;
        shop.kit("home", &format!("pack {name} -t demo/{name}:v1"))?;
    }
    fs::write(shop.dir.join("runtime"), "#!/bin/sh\n")?;
    shop.kit("home", "image build demo/new:v1 -t demo/image:v1 --runtime runtime --include code")?;
    write_training(&shop)?;
    let hub = Registry::hub(program, &shop.dir.join("hub"))?;
    shop.hub = Some(format!("http://{}", hub.address));
    for kind in &KINDS {
        let what = format!("{}: {N_ROUNDS} points", kind.name);
        report.claim("kill -9", &what, || rounds(&shop, kind, random));
    }
    report
        .claim("kill -9", "what is packed is whole", || shop.check_blobs("home/storage").map(drop));
    drop(hub);
    fs::remove_dir_all(&shop.dir)?;
    Ok(())
}

fn rounds(shop: &Shop, kind: &Kind, random: &mut Random) -> anyhow::Result<()> {
    let started = Instant::now();
    let whole = shop.dir.join("whole");
    if whole.exists() {
        fs::remove_dir_all(&whole)?;
    }
    (kind.prepare)(shop, &whole)?;
    let before = tree(&whole)?;
    let prepared = started.elapsed();
    shop.kit("home", &(kind.verb)("whole"))?;
    let (took, after) = (started.elapsed().saturating_sub(prepared), tree(&whole)?);
    let mut n_killed = 0;
    for round in 0..N_ROUNDS {
        let out = shop.dir.join(format!("out{round}"));
        (kind.prepare)(shop, &out)?;
        let at = Duration::from_micros(random.below(took.as_micros().max(1) as u64));
        n_killed += u64::from(
            play(shop, kind, &out, at, [&before, &after])
                .with_context(|| format!("round {round}, after {at:?} of {took:?}"))?,
        );
        fs::remove_dir_all(out)?;
    }
    fs::remove_dir_all(whole)?;
    say(&format!("{}: {n_killed} of {N_ROUNDS} were killed before they had ended", kind.name));
    ensure!(n_killed > 0, "none was killed in the midst of it");
    Ok(())
}

/// One round; says whether the process was killed before it had ended.
fn play(
    shop: &Shop,
    kind: &Kind,
    out: &Path,
    at: Duration,
    [before, after]: [&Tree; 2],
) -> anyhow::Result<bool> {
    let name = out.file_name().and_then(|name| name.to_str()).context("it has a name")?;
    let line = (kind.verb)(name);
    let mut command = shop.kit_command("home", &line);
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    std::thread::sleep(at);
    let was_killed = child.try_wait()?.is_none();
    child.kill()?;
    child.wait()?;
    let found = tree(out)?;
    if found != *before && found != *after {
        // What is half there is never packed.
        let packed = shop.kit("home", &format!("pack {name} --dry-run"));
        ensure!(
            packed.is_err_and(|error| format!("{error:#}").contains("interrupted")),
            "it is neither as before nor complete, and can be packed"
        );
    }
    shop.kit("home", &line)?;
    ensure!(tree(out)? == *after, "the next run does not complete it");
    let left = own(&shop.dir)?;
    ensure!(left.is_empty(), "{left:?} are left");
    Ok(was_killed)
}

/// Content by path.
type Tree = BTreeMap<PathBuf, Vec<u8>>;

/// Every file of a folder that is not ours; none where there is no folder.
fn tree(root: &Path) -> anyhow::Result<Tree> {
    let mut found = Tree::new();
    let mut folders = Vec::from_iter(root.is_dir().then(|| root.to_owned()));
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            match path.is_dir() {
                _ if is_own(&path) => {}
                true => folders.push(path),
                false => drop(found.insert(path.strip_prefix(root)?.to_owned(), content(&path)?)),
            }
        }
    }
    Ok(found)
}

/// What is in a file. The numbers of a report do not count: it tells times.
fn content(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = fs::read(path)?;
    if path.file_stem().is_some_and(|stem| stem == "model-report") {
        bytes.retain(|byte| !byte.is_ascii_digit());
    }
    Ok(bytes)
}

/// What is ours in the folder of the shop and in those within it.
fn own(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if is_own(&path) {
            found.push(path);
        } else if path.is_dir() && !path.ends_with("home") {
            found.extend(own(&path)?);
        }
    }
    Ok(found)
}

fn is_own(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(OWN.as_bytes()))
}

fn write_project(dir: &Path, word: &str) -> anyhow::Result<()> {
    for n in 0..N_FILES {
        let file = dir.join(format!("code/{}/{n}.py", n % 7));
        fs::create_dir_all(file.parent().context("it lies in a folder")?)?;
        fs::write(file, format!("# {word} {n}\n"))?;
    }
    fs::create_dir_all(dir.join("model"))?;
    fs::write(dir.join("model/weights.bin"), word.repeat(LARGE / word.len()))?;
    let kitfile = "manifestVersion: 1.0.0\nmodel:\n  path: model\ncode:\n  - path: code\n";
    Ok(fs::write(dir.join("Kitfile"), kitfile)?)
}

/// A checkpoint and sentences to train with, a model that they gave, and one behind a hub.
fn write_training(shop: &Shop) -> anyhow::Result<()> {
    let samples = sentences::first();
    let texts: Vec<&str> = samples.iter().map(|(text, _)| text.as_str()).collect();
    checkpoint::write(&shop.dir.join("base"), &texts)?;
    checkpoint::write(&shop.dir.join("hub/org/model"), &texts)?;
    fs::write(shop.dir.join("data.json"), sentences::document(&samples))?;
    fs::create_dir_all(shop.dir.join("trained"))?;
    let train = "train --model base --dataset data.json --output trained/model";
    shop.kit("home", train).map(drop)
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let (path, place) = (entry?.path(), |path: &Path| Some(to.join(path.file_name()?)));
        let place = place(&path).context("it has a name")?;
        match path.is_dir() {
            true => copy(&path, &place)?,
            false => drop(fs::copy(&path, place)?),
        }
    }
    Ok(())
}
