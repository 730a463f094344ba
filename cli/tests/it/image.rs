//! The image that `image build` makes starts where containers do: with the environment that it names
//! itself, and nowhere to write.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use fs_err as fs;
use serde_json::Value;

use crate::world::{KIT_RS, Server, World, here};

/// A folder in which nobody can write, not even root.
const UNWRITABLE: &str = "/proc";

#[test]
fn an_image_serves_with_an_empty_environment_and_no_home() {
    let world = World::new();
    ask(&world, &["pack", "project", "--tag", "demo/sentiment:1.0.0"]);
    let build = ["image", "build", "demo/sentiment:1.0.0", "--tag", "demo/runtime:1.0.0"];
    ask(&world, &[&build[..], &["--runtime", KIT_RS]].concat());
    let image = ask(&world, &["image", "unpack", "demo/runtime:1.0.0", "--dir", "root"]);
    let root = world.work().join("root");
    let before = files(&root);

    let server = start(&image, &root);
    let golden = here().join("../trainer/testdata/tiny-distilbert/golden.json");
    let golden = json(&fs::read_to_string(golden).expect("the checkpoint is there"));
    let logits = golden["logits"][0].as_array().expect("a list of lists");
    let right = if logits[0].as_f64() > logits[1].as_f64() { "negative" } else { "positive" };
    let answer = predict(&server.address, &golden["texts"][0]);
    assert!(answer.contains(&format!("\"label\":\"{right}\"")), "{answer}");
    assert_eq!(files(&root), before, "the server wrote into its root");
}

/// The program's answer, which is a document.
fn ask(world: &World, args: &[&str]) -> Value {
    let output = world.kit_rs().args(args).args(["--format", "json"]).output();
    let output = output.expect("the program can be started");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    json(&String::from_utf8_lossy(&output.stdout))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("it is JSON")
}

/// The image's entrypoint, as a container starts it.
fn start(image: &Value, root: &Path) -> Server {
    let list = |key: &str| image[key].as_array().expect("a list").iter();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let entrypoint: Vec<String> = list("entrypoint").map(text).collect();
    let mut command = Command::new(root.join(entrypoint[0].trim_start_matches('/')));
    command
        .args(&entrypoint[1..])
        .current_dir(root)
        .env_clear()
        .envs(list("env").map(|pair| (text(&pair[0]), text(&pair[1]))))
        // A container has its ports to itself, this test has not.
        .envs([("KIT_RS_HOST", "127.0.0.1"), ("KIT_RS_PORT", "0")])
        .envs([("HOME", UNWRITABLE), ("TMPDIR", UNWRITABLE)])
        .stdin(Stdio::null());
    Server::start(command)
}

fn predict(address: &str, text: &Value) -> String {
    let body = serde_json::json!({ "text": text }).to_string();
    let mut connection = TcpStream::connect(address).expect("the server listens");
    connection.set_read_timeout(Some(Duration::from_secs(60))).expect("a time-out is no 0");
    write!(
        connection,
        "POST /predict HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("the server reads");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).expect("the server answers");
    answer
}

/// Every file and folder beneath one, with the time of its last change.
fn files(root: &Path) -> BTreeMap<PathBuf, SystemTime> {
    let changed = |path: &Path| fs::symlink_metadata(path).and_then(|it| it.modified());
    let mut found = BTreeMap::from([(root.to_owned(), changed(root).expect("it is there"))]);
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("it can be read") {
            let path = entry.expect("it can be read").path();
            found.insert(path.clone(), changed(&path).expect("it is there"));
            folders.extend(Some(path).filter(|path| path.is_dir()));
        }
    }
    found
}
