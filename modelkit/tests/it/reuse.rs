//! Packing again: the index of packed layers, and packing without writing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fs_err as fs;
use modelkit::{Compression, Likeness, PackOptions, Packed};

use crate::project::{Project, kitfile, quiet, tree};

const TEXT: &str = "model:\n  path: m\ncode:\n  - path: c\n";

fn with_index() -> PackOptions {
    PackOptions { index: true, ..Default::default() }
}

fn reused(packed: &Packed) -> Vec<bool> {
    packed.layers.iter().map(|layer| layer.is_reused).collect()
}

/// Packs until every layer is taken from the index: files that were just written are not trusted at
/// once.
fn until_settled(project: &Project, options: &PackOptions) -> Packed {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let packed = project.try_pack(TEXT, options).unwrap();
        if packed.layers.iter().all(|layer| layer.is_reused) {
            return packed;
        }
        assert!(Instant::now() < deadline, "the layers are never taken from the index");
    }
}

/// What of a layout counts: all but its locks.
fn content(project: &Project) -> BTreeMap<String, Vec<u8>> {
    tree(project.layout.root())
}

#[test]
fn layers_that_have_not_changed_are_not_read_again() {
    let project = Project::with(&["m/w", "c/a", "c/b"]);
    let first = project.try_pack(TEXT, &with_index()).unwrap();
    assert_eq!(reused(&first), [false, false]);
    let settled = until_settled(&project, &with_index());
    assert_eq!(settled.descriptor, first.descriptor);
    assert_eq!(reused(&project.try_pack(TEXT, &PackOptions::default()).unwrap()), [false, false]);

    project.file("c/b", b"other");
    let changed = project.try_pack(TEXT, &with_index()).unwrap();
    assert_eq!(reused(&changed), [true, false]);
    assert_ne!(changed.descriptor, first.descriptor);
    assert_eq!(changed.descriptor, project.pack(TEXT).descriptor);
}

#[test]
fn a_second_pack_leaves_the_layout_as_it_is() {
    let project = Project::with(&["m/w", "c/a"]);
    until_settled(&project, &with_index());
    // The blobs are known by their times, too, as soon as these are old enough.
    let deadline = Instant::now() + Duration::from_secs(20);
    let before = loop {
        let before = content(&project);
        until_settled(&project, &with_index());
        if content(&project) == before {
            break before;
        }
        assert!(Instant::now() < deadline, "the layout never comes to rest");
    };
    for options in [with_index(), PackOptions::default()] {
        project.try_pack(TEXT, &options).unwrap();
        assert!(content(&project) == before);
    }
}

#[test]
fn a_file_that_changed_while_its_times_were_set_back_is_read_again() {
    let project = Project::with(&["m/w", "c/a"]);
    let path = project.context().join("c/a");
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let settled = until_settled(&project, &with_index());
    fs::write(&path, "c/b").unwrap();
    fs::File::options().write(true).open(&path).unwrap().file().set_modified(modified).unwrap();
    let changed = project.try_pack(TEXT, &with_index()).unwrap();
    assert_eq!(reused(&changed), [true, false]);
    assert_ne!(changed.descriptor, settled.descriptor);
}

#[test]
fn a_layer_that_the_layout_lost_is_packed_again() {
    let project = Project::with(&["m/w", "c/a"]);
    let settled = until_settled(&project, &with_index());
    let blob = project.layout.blob_path(settled.layers[0].descriptor.digest()).unwrap();
    for damage in ["", "short"] {
        fs::write(&blob, damage).unwrap();
        assert_eq!(reused(&project.try_pack(TEXT, &with_index()).unwrap()), [false, true]);
    }
    fs::remove_file(&blob).unwrap();
    assert_eq!(reused(&project.try_pack(TEXT, &with_index()).unwrap()), [false, true]);
}

#[test]
fn a_layer_that_was_damaged_in_the_layout_is_packed_anew() {
    let project = Project::with(&["m/w", "c/a"]);
    let settled = until_settled(&project, &with_index());
    let blob = project.layout.blob_path(settled.layers[0].descriptor.digest()).unwrap();
    let whole = fs::read(&blob).unwrap();
    let mut damaged = whole.clone();
    damaged[700] ^= 1;
    fs::write(&blob, damaged).unwrap();
    let packed = project.try_pack(TEXT, &with_index()).unwrap();
    assert_eq!(reused(&packed), [false, true]);
    assert_eq!(packed.descriptor, settled.descriptor);
    assert_eq!(fs::read(&blob).unwrap(), whole);
    // One that only got other times is the same.
    fs::write(&blob, whole).unwrap();
    assert_eq!(reused(&project.try_pack(TEXT, &with_index()).unwrap()), [true, true]);
}

#[test]
fn other_options_are_other_layers() {
    let project = Project::with(&["m/w", "c/a"]);
    until_settled(&project, &with_index());
    let zstd = PackOptions { compression: Compression::Zstd, ..with_index() };
    assert_eq!(reused(&project.try_pack(TEXT, &zstd).unwrap()), [false, false]);
}

#[test]
fn an_index_that_cannot_be_read_is_forgotten() {
    let project = Project::with(&["m/w", "c/a"]);
    until_settled(&project, &with_index());
    fs::write(project.layout.root().join("pack-index.json"), "{").unwrap();
    assert_eq!(reused(&project.try_pack(TEXT, &with_index()).unwrap()), [false, false]);
}

#[test]
fn packing_without_writing_gives_the_same_digest() {
    let project = Project::with(&["m/w", "c/a"]);
    let empty = content(&project);
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let options = PackOptions { compression, ..Default::default() };
        let digested =
            modelkit::digest(&kitfile(TEXT), &project.context(), &project.layout, &options, &quiet)
                .unwrap();
        let before = content(&project);
        assert!(compression != Compression::None || before == empty);
        assert_eq!(project.try_pack(TEXT, &options).unwrap().descriptor, digested.descriptor);
    }
}

#[test]
fn a_tree_that_was_unpacked_rebuilds_to_the_same_digest() {
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let project = Project::with(&["m/w", "c/a"]);
        let options = PackOptions { compression, created: Some(951_782_400), ..Default::default() };
        let packed = project.try_pack(TEXT, &options).unwrap();
        project.unpack(&packed, &[]);
        let kit = project.kit(&packed);
        let rebuild = || {
            modelkit::rebuild(&kit, kit.kitfile(), &project.path("out"), &project.layout, &quiet)
                .unwrap()
        };
        let rebuilt = rebuild();
        assert!(rebuilt.manifest == Likeness::Identical && rebuilt.is_proven());
        assert_eq!(rebuilt.digest, *packed.descriptor.digest());
        fs::write(project.path("out/c/more"), "more").unwrap();
        assert!(!rebuild().is_proven());
    }
}
