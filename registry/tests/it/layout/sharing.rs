//! Several threads and processes at one layout, and some of them killed.

use std::{
    io::{Read, Write},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use kit_registry::Layout;
use tempfile::TempDir;

use super::{new_layout, put_image};

const N_WRITERS: usize = 4;
const N_TAGS: usize = 25;

#[test]
fn threads_that_tag_at_once_lose_nothing() {
    let (_dir, layout) = new_layout();
    thread::scope(|scope| {
        for writer in 0..N_WRITERS {
            let layout = Layout::init(layout.root()).unwrap();
            scope.spawn(move || write_tags(&layout, writer, N_TAGS));
        }
    });
    check(&layout, N_WRITERS * N_TAGS);
}

#[test]
fn processes_that_tag_at_once_lose_nothing() {
    let (dir, layout) = new_layout();
    let children: Vec<_> = (0..N_WRITERS).map(|writer| spawn(&dir, writer, N_TAGS)).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    check(&layout, N_WRITERS * N_TAGS);
}

#[test]
fn killed_writers_leave_the_layout_whole() {
    let (dir, layout) = new_layout();
    for round in 1..=5 {
        let before = layout.tags().unwrap().len();
        let mut child = spawn(&dir, round, 1_000_000);
        let deadline = Instant::now() + Duration::from_secs(30);
        while layout.tags().unwrap().len() < before + 2 * round {
            assert!(Instant::now() < deadline, "the writer does not get on");
            thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let layout = Layout::init(dir.path()).unwrap();
        check(&layout, layout.tags().unwrap().len());
        layout.collect_garbage().expect("the locks of the killed are free");
        assert_eq!(std::fs::read_dir(dir.path().join("ingest")).unwrap().count(), 0);
        check(&layout, layout.tags().unwrap().len());
    }
}

fn write_tags(layout: &Layout, writer: usize, n_tags: usize) {
    for n in 0..n_tags {
        let _hold = layout.hold().unwrap();
        let descriptor = put_image(layout, &["shared", &format!("{writer}-{n}")]);
        layout.tag(&descriptor, &format!("demo/m:{writer}-{n}").parse().unwrap()).unwrap();
    }
}

/// Checks that there are so many tags, and that everything they reach is sound.
fn check(layout: &Layout, n_tags: usize) {
    let tags = layout.tags().unwrap();
    assert_eq!(tags.len(), n_tags);
    for (reference, descriptor) in tags {
        let problems = layout.verify(&descriptor).unwrap().problems;
        assert!(problems.is_empty(), "{reference}: {problems:?}");
    }
}

/// Runs [`a_writer_in_its_own_process`] in a process of its own, and tells it what to do on its standard input.
fn spawn(dir: &TempDir, writer: usize, n_tags: usize) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "layout::sharing::a_writer_in_its_own_process"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let order = format!("{writer} {n_tags} {}", dir.path().display());
    child.stdin.take().unwrap().write_all(order.as_bytes()).unwrap();
    child
}

#[test]
#[ignore = "other tests run it, as a process"]
fn a_writer_in_its_own_process() {
    let mut order = String::new();
    std::io::stdin().read_to_string(&mut order).unwrap();
    let mut words = order.splitn(3, ' ');
    let (Some(writer), Some(n_tags), Some(root)) = (words.next(), words.next(), words.next()) else { return };
    let layout = Layout::init(root.as_ref()).unwrap();
    write_tags(&layout, writer.parse().unwrap(), n_tags.parse().unwrap());
}
