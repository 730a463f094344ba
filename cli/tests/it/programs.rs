//! What programs read: failures and warnings with `--format json`, and `--strict`.

use std::net::TcpListener;
use std::process::{Output, Stdio};

use fs_err as fs;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::peer;
use crate::world::World;

fn run(world: &World, args: &[&str]) -> Output {
    world.kit_rs().args(args).output().expect("the program can be started")
}

/// What stderr says, which is one document in one line, or nothing.
fn document(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn answer(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).expect("the answer is a document")
}

#[test]
fn a_failure_is_a_document_that_says_its_kind() {
    let world = World::new();
    let work = world.work();
    let registry = world.typed("127.0.0.1:5001");
    run(&world, &["pack", "project", "-t", "demo/kit:v1"]);
    let locked = peer::start(|_| {
        ("401 no", "www-authenticate: Basic realm=\"r\"\r\n".into(), String::new())
    });
    let again = || "retry-after: 0\r\n".to_owned();
    let broken = peer::start(move |_| ("500 no", again(), String::new()));
    let busy = peer::start(move |_| ("429 no", again(), String::new()));
    fs::write(work.join("Kitfile"), "model: [").expect("the folder is there");
    let check = |args: &[&str], kind: &str, exit: i32, about: Value| {
        let output = run(&world, &[args, &["--format", "json"]].concat());
        let said = document(&output);
        assert_eq!(said["kind"], kind, "{args:?}: {said}");
        assert_eq!(output.status.code(), Some(exit), "{args:?}");
        assert!(said["message"].as_str().is_some_and(|text| !text.is_empty()), "{said}");
        assert!(said["causes"].is_array() && said.get("hint").is_some(), "{said}");
        for (key, value) in about.as_object().expect("an object") {
            assert_eq!(said["about"][key], *value, "{args:?}: {said}");
        }
        assert!(output.stdout.is_empty(), "{args:?}");
    };
    check(&["inspect", "demo/kit:v2"], "not-found", 1, json!({ "reference": "demo/kit:v2" }));
    let missing = format!("{registry}/demo/none:v1");
    check(&["pull", &missing], "not-found", 1, json!({ "reference": missing }));
    check(&["pull", "127.0.0.1:9/demo/kit:v1"], "unreachable", 1, json!({}));
    check(&["pull", &format!("{locked}/demo/kit:v1")], "refused", 1, json!({ "registry": locked }));
    check(&["pull", &format!("{broken}/demo/kit:v1")], "remote", 1, json!({}));
    check(&["pull", &format!("{busy}/demo/kit:v1")], "busy", 1, json!({}));
    check(&["pack", "."], "invalid", 1, json!({}));
    check(&["import", "http://127.0.0.1:9/demo/kit.git"], "unreachable", 1, json!({}));
    check(&["import", "file:///nowhere/demo/kit.git"], "not-found", 1, json!({}));
    check(&["pack", "project", "-f", "none"], "not-found", 1, json!({ "path": "none" }));
    check(&["pack", "nowhere"], "usage", 2, json!({}));
    check(&["tag"], "usage", 2, json!({}));
    check(&["unpack", "demo/kit:v1", "--depht", "1"], "usage", 2, json!({}));
    check(&["unpack", "demo/kit:v1", "-d", "project"], "exists", 1, json!({}));
    check(&["import", "org/none"], "not-found", 1, json!({ "repository": "org/none" }));
    damage(&world);
    check(&["unpack", "demo/kit:v1", "-d", "out"], "damaged", 1, json!({}));
    check(&["verify", "demo/kit:v1"], "damaged", 1, json!({}));
}

/// Changes a byte of the largest blob of the layout.
fn damage(world: &World) {
    let blobs = world.work().join("../home/kit-rs/storage/blobs/sha256");
    let files =
        fs::read_dir(blobs).expect("the layout is there").map(|it| it.expect("a blob").path());
    let largest = files.max_by_key(|path| path.metadata().map_or(0, |it| it.len()));
    let largest = largest.expect("there is one");
    let mut bytes = fs::read(&largest).expect("it can be read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&largest, bytes).expect("it can be written");
}

/// Warns of its version, and is packed all the same.
const WARNED: &str = "manifestVersion: 9.9.9\nmodel: {path: model}\n";

#[test]
fn a_warning_stands_in_the_answer() {
    let world = World::new();
    fs::write(world.work().join("project/Kitfile"), WARNED).expect("the folder is there");
    let packed = run(&world, &["pack", "project", "-t", "demo/kit:v1", "--format", "json"]);
    let document = answer(&packed);
    let warnings = document["warnings"].as_array().expect("a list");
    assert!(warnings.iter().any(|it| it.as_str().is_some_and(|it| it.contains("9.9.9"))));
    assert!(packed.stderr.is_empty(), "nothing is said twice");
    // A list stays a list.
    let rows = run(&world, &["pack", "project", "--dry-run", "--format", "json"]);
    assert!(answer(&rows).is_array());
    let beside = self::document(&rows);
    assert!(beside["warnings"][0].as_str().is_some_and(|it| it.contains("9.9.9")), "{beside}");
    // Without one, there is no such key.
    let listed = run(&world, &["tag", "demo/kit:v1", "demo/kit:v2", "--format", "json"]);
    assert!(answer(&listed).get("warnings").is_none());
    // A failure carries those that came before it.
    let failed = ["pack", "project", "--layer-format", "raw", "--format", "json"];
    let failed = self::document(&run(&world, &failed));
    assert!(failed["warnings"][0].as_str().is_some_and(|it| it.contains("9.9.9")), "{failed}");
}

#[test]
fn strict_takes_no_warnings() {
    let world = World::new();
    fs::write(world.work().join("project/Kitfile"), WARNED).expect("the folder is there");
    let strict = ["pack", "project", "-t", "demo/kit:v1", "--strict"];
    let refused = run(&world, &strict);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(
        said.starts_with("warning: ") && said.contains("\nerror: there was a warning"),
        "{said}"
    );
    assert!(refused.stdout.is_empty());
    let refused = document(&run(&world, &[&strict[..], &["--format", "json"]].concat()));
    assert_eq!(refused["kind"], "strict", "{refused}");
    assert_eq!(refused["warnings"].as_array().map(Vec::len), Some(1), "{refused}");
    assert_eq!(answer(&run(&world, &["list", "--format", "json"])), json!([]));
    // Without a warning it changes nothing.
    let fine = WARNED.replace("9.9.9", "1.0.0");
    fs::write(world.work().join("project/Kitfile"), fine).expect("the folder is there");
    assert!(run(&world, &strict).status.success());
}

/// Whoever has a file of credentials means them to be sent.
#[test]
fn credentials_that_cannot_be_read_are_warned_of() {
    let world = World::new();
    let locked = peer::start(|_| {
        ("401 no", "www-authenticate: Basic realm=\"r\"\r\n".into(), String::new())
    });
    fs::write(world.work().join("config.json"), "{ broken").expect("the folder is there");
    let pull = ["pull", &format!("{locked}/demo/kit:v1"), "--format", "json"];
    let said = world.kit_rs().args(pull).env("DOCKER_CONFIG", world.work()).output();
    let said = document(&said.expect("the program can be started"));
    assert_eq!(said["kind"], "refused", "{said}");
    let warning = said["warnings"][0].as_str().unwrap_or_default();
    assert!(warning.starts_with("credentials were not read"), "{said}");
    assert!(warning.contains("config.json"), "{said}");
}

/// A transfer that the user ends says how to go on with it, and for programs why it ended.
#[test]
fn an_interrupted_transfer_says_that_it_goes_on() {
    let world = World::new();
    assert!(run(&world, &["pack", "project", "-t", "demo/kit:v1"]).status.success());
    for (verb, format) in [("pull", "text"), ("push", "text"), ("pull", "json"), ("push", "json")] {
        // A registry that takes requests and answers none.
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("there is a free port");
        let there = format!("{}/demo/kit:v1", listener.local_addr().expect("it is bound"));
        assert!(run(&world, &["tag", "demo/kit:v1", &there]).status.success());
        let mut command = world.kit_rs();
        command.args([verb, &there, "--format", format]);
        let process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let process = process.expect("the program can be started");
        let _asked = listener.accept().expect("it comes");
        kill_process(Pid::from_child(&process), Signal::INT).expect("it runs");
        let output = process.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{verb}: {said}");
        assert!(said.contains("goes on"), "{verb}: {said}");
        if format == "json" {
            assert_eq!(document(&output)["kind"], "interrupted", "{said}");
        }
    }
}

#[test]
fn help_is_no_error() {
    let world = World::new();
    for (args, beginning) in [(&[][..], "Package, train"), (&["gitops"], "Say in Git")] {
        let output = run(&world, args);
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.starts_with(beginning), "{said}");
    }
}

#[test]
fn a_template_makes_a_line_of_each_row() {
    let world = World::new();
    let list = |template: &str| {
        let output = run(&world, &["list", "--format", template]);
        String::from_utf8(output.stdout).expect("it is UTF-8")
    };
    assert_eq!(list("{{.Repo}}"), "");
    for name in ["demo/a:v1", "demo/b:v1,v2"] {
        assert!(run(&world, &["pack", "project", "-t", name]).status.success());
    }
    assert_eq!(list("{{.Repo}} {{.Tags}}"), "demo/a [v1]\ndemo/b [v1 v2]\n");
    assert_eq!(list("{{.Repo}}\n"), "demo/a\ndemo/b\n");
    let output = run(&world, &["inspect", "demo/a:v1", "--format", "{{.Repo}}"]);
    assert_eq!(output.status.code(), Some(2));
}
