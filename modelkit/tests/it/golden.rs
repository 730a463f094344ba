//! Archives against those of Go's `archive/tar`, which `kit` writes with (`testdata/tar/main.go`).

use std::os::unix::fs::PermissionsExt;

use expect_test::expect_file;
use fs_err as fs;

use crate::project::Project;

const TREE: &str = include_str!("../../testdata/tar/tree.txt");
const DIGESTS: &str = include_str!("../../testdata/tar/digests.txt");

/// The tree of `tree.txt`, made in the order of its lines or the other way round.
pub(crate) fn project(reversed: bool) -> Project {
    let project = Project::new();
    let mut lines: Vec<_> = TREE.lines().filter(|line| !line.starts_with('#')).collect();
    if reversed {
        lines.reverse();
    }
    for line in lines {
        let [mode, size, path] = line.splitn(3, ' ').collect::<Vec<_>>().try_into().unwrap();
        let content: Vec<u8> =
            (0..size.parse().unwrap()).map(|i: usize| ((7 * i + path.len()) % 251) as u8).collect();
        let path = project.file(path, &content);
        let mode = u32::from_str_radix(mode, 8).unwrap();
        fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }
    project
}

#[test]
fn the_archive_of_a_tree_is_that_of_gos_archive_tar() {
    let packed = project(false).pack("code:\n  - path: .\n");
    let expected = DIGESTS.lines().find(|line| line.ends_with(" tree.txt")).unwrap();
    let layer = &packed.layers[0].descriptor;
    assert_eq!(format!("{} {} tree.txt", layer.size(), layer.digest().digest()), expected);
    assert_eq!(*layer.digest(), packed.layers[0].diff_id);
}

#[test]
fn the_manifest_of_a_tree_stays_what_it_is() {
    let project = project(false);
    let packed = project.pack("package:\n  name: golden\ncode:\n  - path: .\n");
    let manifest = String::from_utf8(project.kit(&packed).manifest_bytes().to_vec()).unwrap();
    let manifest = manifest.replace(env!("CARGO_PKG_VERSION"), "VERSION");
    expect_file!["../../testdata/tar/manifest.json"].assert_eq(&manifest);
}
