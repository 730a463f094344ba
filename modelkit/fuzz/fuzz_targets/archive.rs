//! No archive leads out of the folder that it is extracted into, and only files and folders come
//! out.
#![no_main]

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use modelkit::archive::{ExtractOptions, Folder, Limits, extract};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let outside = tempfile::tempdir().expect("a folder can be made");
    let inside = outside.path().join("inside");
    fs::create_dir(&inside).expect("a folder can be made");
    let into = Folder::open(&inside).expect("the folder is there");
    let limits = Limits { max_entries: 100, ..Limits::default() };
    let options = ExtractOptions { limits, ..ExtractOptions::default() };
    let _ = extract(&mut &*bytes, &into, &options, &|_| ControlFlow::Continue(()));
    assert_eq!(fs::read_dir(outside.path()).expect("it is there").count(), 1);
    check(&inside);
});

fn check(folder: &Path) {
    for item in fs::read_dir(folder).expect("it is there") {
        let item = item.expect("it is there");
        let kind = item.file_type().expect("it has a type");
        assert!(kind.is_dir() || kind.is_file(), "{}", item.path().display());
        if kind.is_dir() {
            check(&item.path());
        }
    }
}
