//! Several threads and processes at one layout, and some of them killed.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

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
        layout.collect_garbage([]).expect("the locks of the killed are free");
        assert_eq!(std::fs::read_dir(dir.path().join("ingest")).unwrap().count(), 0);
        check(&layout, layout.tags().unwrap().len());
    }
}

/// Each round kills a process a little later in its life, somewhere in the midst of writing,
/// tagging, removing or collecting.
#[test]
fn a_process_killed_at_any_of_many_points_leaves_the_layout_whole() {
    let (dir, layout) = new_layout();
    for n_steps in 1..=30 {
        let mut child =
            spawn_as("layout::sharing::a_process_that_changes_everything", &dir, n_steps, 0);
        let mut steps = BufReader::new(child.stdout.take().unwrap()).lines();
        let seen = steps
            .by_ref()
            .filter(|line| line.as_ref().is_ok_and(|line| line.ends_with("step")))
            .take(n_steps);
        assert_eq!(seen.count(), n_steps, "the process ended by itself");
        child.kill().unwrap();
        child.wait().unwrap();
        let reopened = Layout::init(dir.path()).unwrap();
        check(&reopened, reopened.tags().unwrap().len());
        for manifest in reopened.manifests().unwrap() {
            assert!(
                reopened.verify(&manifest).unwrap().problems.is_empty(),
                "after {n_steps} steps"
            );
        }
        reopened.collect_garbage([]).expect("the locks of the killed are free");
        assert_eq!(std::fs::read_dir(dir.path().join("ingest")).unwrap().count(), 0);
        check(&layout, layout.tags().unwrap().len());
    }
}

#[test]
#[ignore = "other tests run it, as a process"]
#[expect(
    clippy::print_stdout,
    reason = "the test that runs it kills it between two of these lines"
)]
fn a_process_that_changes_everything() {
    let Some((writer, _, root)) = order() else { return };
    let layout = Layout::init(root.as_ref()).unwrap();
    for n in 0..100_000 {
        {
            let _hold = layout.hold().unwrap();
            let descriptor = put_image(&layout, &["shared", &format!("{writer}-{n}")]);
            layout.tag(&descriptor, &format!("demo/m:{}", n % 4).parse().unwrap()).unwrap();
            println!("step");
            layout
                .tag(&descriptor, &format!("demo/m:{writer}-{}", n % 3).parse().unwrap())
                .unwrap();
        }
        println!("step");
        layout.untag(&format!("demo/m:{}", (n + 1) % 4).parse().unwrap()).unwrap();
        if let Some(manifest) = layout.manifests().unwrap().first().filter(|_| n % 3 == 2) {
            layout.remove(manifest.digest()).unwrap();
        }
        println!("step");
        layout.collect_garbage([]).unwrap();
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

/// Runs [`a_writer_in_its_own_process`] in a process of its own, and tells it what to do on its
/// standard input.
fn spawn(dir: &TempDir, writer: usize, n_tags: usize) -> Child {
    spawn_as("layout::sharing::a_writer_in_its_own_process", dir, writer, n_tags)
}

fn spawn_as(test: &str, dir: &TempDir, writer: usize, n_tags: usize) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", test])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let order = format!("{writer} {n_tags} {}", dir.path().display());
    child.stdin.take().unwrap().write_all(order.as_bytes()).unwrap();
    child
}

/// What [`spawn_as`] said: the writer's number, how much it is to do, and where; nothing when
/// nobody said anything.
fn order() -> Option<(usize, usize, String)> {
    let mut order = String::new();
    std::io::stdin().read_to_string(&mut order).unwrap();
    let mut words = order.splitn(3, ' ');
    let (writer, n_tags, root) = (words.next()?, words.next()?, words.next()?);
    Some((writer.parse().unwrap(), n_tags.parse().unwrap(), root.to_owned()))
}

#[test]
#[ignore = "other tests run it, as a process"]
fn a_writer_in_its_own_process() {
    let Some((writer, n_tags, root)) = order() else { return };
    write_tags(&Layout::init(root.as_ref()).unwrap(), writer, n_tags);
}
