//! Output that nobody reads: stdout, or stderr, is a pipe whose reader is gone.

use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::world::World;

/// A pipe whose reader is gone.
fn gone() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("there are pipes");
    drop(reader);
    writer.into()
}

fn unheard(world: &World, args: &[&str]) -> Command {
    let mut command = world.kit_rs();
    command.args(args).stdout(gone()).stderr(gone());
    command
}

#[test]
fn an_error_keeps_its_exit_code() {
    let world = World::new();
    let check = |args: &[&str], expected: i32| {
        let status = unheard(&world, args).status().expect("the program can be started");
        assert_eq!(status.code(), Some(expected), "{args:?}");
    };
    check(&["inspect", "nothing:v1"], 1);
    check(&["inspect", "nothing:v1", "--format", "json"], 1);
    check(&["pack", "nowhere"], 2);
    check(&["tag"], 2);
    check(&["tag", "--format", "json"], 2);
    check(&["nonsense"], 2);
    check(&["--help"], 0);
    let train = ["train", "--model", "project/model", "--dataset", "project/data/reviews.csv"];
    check(&[&train[..], &["--output", "project"]].concat(), 2);
}

#[test]
fn work_goes_on() {
    let world = World::new();
    let check = |args: &[&str]| {
        let status = unheard(&world, args).status().expect("the program can be started");
        assert_eq!(status.code(), Some(0), "{args:?}");
    };
    let train = ["train", "--model", "project/model", "--dataset", "project/data/reviews.csv"];
    let further = ["--output", "trained", "--epochs", "2", "--progress", "plain", "-vv"];
    check(&[&train[..], &further].concat());
    assert!(world.work().join("trained/model.safetensors").is_file());
    check(&["pack", "project", "-t", "demo/sentiment:v1", "--progress", "plain"]);
    check(&["list", "--log-level", "trace", "--log-format", "json"]);
    check(&["unpack", "demo/sentiment:v1", "-d", "out", "--format", "json"]);
    assert!(world.work().join("out/README.md").is_file());
    // The answer is not all that a command does.
    let measured = ["evaluate", "trained", "project/data/reviews.csv", "--min-accuracy", "1"];
    let status = unheard(&world, &measured).status().expect("the program can be started");
    let heard = world.kit_rs().args(measured).output().expect("the program can be started");
    assert_eq!(status.code(), heard.status.code());
}

#[test]
fn a_server_serves() {
    let world = World::new();
    let address = world.typed("127.0.0.1:5000");
    let serve = ["registry", "serve", "--addr", &address, "--root", "layout", "-v"];
    let mut server = unheard(&world, &serve).spawn().expect("the program can be started");
    let deadline = Instant::now() + Duration::from_secs(60);
    while TcpStream::connect(&address).is_err() {
        assert!(server.try_wait().expect("it is ours").is_none(), "it has ended");
        assert!(Instant::now() < deadline, "it does not listen");
        std::thread::yield_now();
    }
    let there = format!("{address}/demo/sentiment:v1");
    let run = |args: &[&str]| {
        let output = world.kit_rs().args(args).output().expect("the program can be started");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    run(&["pack", "project", "-t", &there]);
    run(&["push", &there]);
    server.kill().expect("it runs");
    server.wait().expect("it is ours");
}

#[test]
fn a_full_disk_is_no_closed_pipe() {
    let world = World::new();
    let full = std::fs::File::options().write(true).open("/dev/full").expect("Linux has it");
    let output = world.kit_rs().arg("version").stdout(full).output();
    let output = output.expect("the program can be started");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.starts_with("error: cannot write the answer\ncaused by: "), "{said}");
}
