//! Every system call fails once, and the process is killed before each of them: the folder is as
//! before or complete.

use std::collections::BTreeMap;
use std::path::Path;

use fs_err as fs;

use super::fault::{Fault, with};
use super::*;

/// Files by path, with their content.
type Tree = BTreeMap<String, String>;

/// What is there before, what comes, and what is to be there then.
struct Case {
    before: &'static [(&'static str, &'static str)],
    existing: Existing,
    after: &'static [(&'static str, &'static str)],
}

const NEW: [(&str, &str); 4] = [("a", "new"), ("m/b", "new"), ("m/c/d", "new"), ("z/e", "new")];

const CASES: [Case; 4] = [
    Case { before: &[], existing: Existing::Refuse, after: &NEW },
    Case {
        before: &[("kept", "old"), ("m/kept", "old")],
        existing: Existing::Refuse,
        after: &[
            ("a", "new"),
            ("kept", "old"),
            ("m/b", "new"),
            ("m/c/d", "new"),
            ("m/kept", "old"),
            ("z/e", "new"),
        ],
    },
    Case {
        before: &[("a", "old"), ("m/c/d", "old"), ("m/kept", "old")],
        existing: Existing::Replace,
        after: &[("a", "new"), ("m/b", "new"), ("m/c/d", "new"), ("m/kept", "old"), ("z/e", "new")],
    },
    Case {
        before: &[("a", "old"), ("m/c/d", "old")],
        existing: Existing::Keep,
        after: &[("a", "old"), ("m/b", "new"), ("m/c/d", "old"), ("z/e", "new")],
    },
];

fn write(root: &Path, files: &[(&str, &str)]) {
    for (path, content) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

/// All that is in a folder; what is ours under one name.
fn tree(root: &Path) -> Tree {
    let mut found = Tree::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            if name.contains(OWN) {
                found.insert("ours".to_owned(), String::new());
            } else if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(name, fs::read_to_string(path).unwrap());
            }
        }
    }
    found
}

fn named(files: &[(&str, &str)]) -> Tree {
    files.iter().map(|(path, content)| ((*path).to_owned(), (*content).to_owned())).collect()
}

/// Brings the new files, as an unpacking does.
fn bring(target: &Path, existing: Existing) -> Result<()> {
    let staging = Staging::beneath(target)?;
    for (index, (path, content)) in NEW.iter().enumerate() {
        let (folder, name) = path.rsplit_once('/').unwrap_or((".", path));
        let folder = staging.folder(index)?.create_folders(folder)?;
        std::io::Write::write_all(&mut folder.create_file(name, false)?, content.as_bytes())?;
    }
    staging.place(NEW.len() - 1, existing).map(|_| ())
}

/// Tries a fault at every call, until there is none left.
fn at_every_call(case: &Case, fault: fn(u64) -> Fault, check: impl Fn(&Path, bool)) {
    let after = named(case.after);
    for n in 0.. {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("deep/target");
        write(&target, case.before);
        let (brought, came_to_it) = with(fault(n), || bring(&target, case.existing));
        if !came_to_it {
            assert!(n > 20, "{n} calls are too few to be all");
            brought.unwrap();
            assert_eq!(tree(&target), after);
            return;
        }
        check(&target, brought.is_ok());
        if brought.is_err() {
            bring(&target, case.existing).unwrap();
        }
        assert_eq!(tree(&target), after, "the next run after call {n}");
        let beside = tree(folder.path());
        assert!(!beside.contains_key("ours"), "call {n} left something: {beside:?}");
    }
}

#[test]
fn a_call_that_fails_leaves_the_folder_as_it_was() {
    for case in &CASES {
        let (before, after) = (named(case.before), named(case.after));
        at_every_call(case, Fault::Fails, |target, is_done| {
            assert_eq!(&tree(target), if is_done { &after } else { &before });
        });
    }
}

#[test]
fn what_a_killed_process_began_is_taken_back_by_the_next() {
    for case in &CASES {
        let (before, after) = (named(case.before), named(case.after));
        at_every_call(case, Fault::Killed, |target, _| {
            if nearest(target).unwrap().1.is_empty() {
                sweep(target).unwrap();
            }
            let found = tree(target);
            assert!(found == before || found == after, "{found:?}");
        });
    }
}

#[test]
fn what_somebody_else_is_at_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let busy = Staging::beneath(folder.path()).unwrap();
    sweep(folder.path()).unwrap();
    assert!(busy.held.path().is_dir());
    // Nor is a folder touched that no process of ours can have made.
    let strange = folder.path().join(format!("{STAGING}strange"));
    fs::create_dir(&strange).unwrap();
    sweep(folder.path()).unwrap();
    assert!(strange.is_dir());
    drop(busy);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_journal_counts_in_its_own_folder_only() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[("a", "mine")]);
    let target = Folder::open(folder.path()).unwrap();
    let left = Held::make(folder.path()).unwrap();
    write(left.path(), &[("0/a", "theirs")]);
    let forged = serde_json::json!({
        "own": [1, 2],
        "elsewhere": [],
        "moves": [{
            "from": left.path().file_name().unwrap().to_str().unwrap().to_owned() + "/0",
            "to": "",
            "name": "a",
            "identity": target.identity("a").unwrap().unwrap(),
            "kept": "a",
        }],
    });
    fs::write(left.path().join("journal"), forged.to_string()).unwrap();
    let refused = undo(left.path(), folder.path()).unwrap_err();
    let why = std::error::Error::source(&refused).unwrap().to_string();
    assert!(why.contains("that of another folder"), "{why}");
    assert_eq!(fs::read_to_string(folder.path().join("a")).unwrap(), "mine");
    let path = left.path().to_owned();
    drop(left);
    // As it was copied with the folder around it: what it keeps stays.
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    fs::write(path.join("journal"), forged.to_string()).unwrap();
    assert!(matches!(sweep(folder.path()), Err(Error::Unfinished { .. })));
    assert!(path.join("journal").is_file());
}

/// In a folder whose group is passed on, ours have that bit, too.
#[test]
fn what_was_left_in_a_folder_of_a_group_is_swept() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o2775)).unwrap();
    let mut left = Held::make(folder.path()).unwrap();
    left.stay();
    let path = left.path().to_owned();
    drop(left);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o2000, 0o2000);
    sweep(folder.path()).unwrap();
    assert!(!path.exists());
}

#[test]
fn a_file_is_written_whole_and_replaced_only_when_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sub/file");
    write_file(&path, b"one", Existing::Refuse).unwrap();
    assert!(matches!(write_file(&path, b"two", Existing::Refuse), Err(Error::Exists { .. })));
    assert_eq!(fs::read(&path).unwrap(), b"one");
    write_file(&path, b"two", Existing::Replace).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"two");
    assert_eq!(tree(folder.path()), named(&[("sub/file", "two")]));
}
