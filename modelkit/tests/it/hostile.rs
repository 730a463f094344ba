//! Hostile layers. Each test is named after the class of attack, or after a published case of it.

use std::collections::HashMap;
use std::io::Write;
use std::ops::ControlFlow;

use fs_err as fs;
use modelkit::archive::{ExtractOptions, Limits};
use modelkit::{Family, Format, ModelKit, PackOptions, UnpackOptions};
use registry::Layout;
use registry::content::{self, Descriptor, MediaType};
use serde_json::json;
use tempfile::TempDir;

use crate::project::{Project, chain, files, selection, tree, unpack};

/// A ModelKit whose model layer is whatever it is given.
struct Hostile {
    folder: TempDir,
    layout: Layout,
    suffix: &'static str,
    path: &'static str,
    diff_id: Option<String>,
    limits: Limits,
}

impl Hostile {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::init(&folder.path().join("layout")).unwrap();
        Self { folder, layout, suffix: "tar", path: ".", diff_id: None, limits: Limits::default() }
    }

    fn kit(&self, layers: &[Vec<u8>]) -> modelkit::Result<ModelKit> {
        let media_type = format!("application/vnd.kitops.modelkit.model.v1.{}", self.suffix);
        let part_type = media_type.replace("model.v1", "modelpart.v1");
        let describe = |(index, blob): (usize, &Vec<u8>)| {
            let media_type = if index == 0 { &media_type } else { &part_type };
            let mut layer = self.layout.put(media_type.as_str(), blob).unwrap();
            let path = if index == 0 { self.path.to_owned() } else { format!("part{index}") };
            layer.set_annotations(Some(HashMap::from([(
                "org.cncf.model.filepath".to_owned(),
                path,
            )])));
            layer
        };
        let layers: Vec<Descriptor> = layers.iter().enumerate().map(describe).collect();
        let mut model = json!({"path": self.path, "digest": layers[0].digest().to_string()});
        if let Some(diff_id) = &self.diff_id {
            model["diffId"] = json!(diff_id);
        }
        let part = |(index, layer): (usize, &Descriptor)| json!({"path": format!("part{index}"), "digest": layer.digest().to_string()});
        model["parts"] = layers.iter().enumerate().skip(1).map(part).collect();
        let config = json!({"manifestVersion": "1.0.0", "package": {}, "model": model});
        let config = self
            .layout
            .put("application/vnd.kitops.modelkit.config.v1+json", &content::encode(&config))
            .unwrap();
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": layers});
        let manifest = self
            .layout
            .put_manifest(MediaType::ImageManifest, &content::encode(&manifest))
            .unwrap();
        ModelKit::read(&self.layout, &manifest)
    }

    /// Why unpacking is refused; asserts that it is, and that nothing is left of it, inside or
    /// outside.
    fn refused(&self, layers: &[Vec<u8>]) -> String {
        let error = match self.kit(layers) {
            Err(error) => error,
            Ok(kit) => self.unpack(&kit).expect_err("this must be refused"),
        };
        let left: Vec<_> = fs::read_dir(self.folder.path())
            .unwrap()
            .map(|item| item.unwrap().file_name())
            .collect();
        assert_eq!(left, ["layout"]);
        chain(&error)
    }

    /// A ModelKit that names one blob as so many layers, each at a path of its own: of the archives
    /// among them only that of `part1` has something there.
    fn named(&self, blob: &[u8], n: usize) -> ModelKit {
        let media_type = format!("application/vnd.kitops.modelkit.dataset.v1.{}", self.suffix);
        let layer = self.layout.put(media_type.as_str(), blob).unwrap();
        let dataset = json!({"path": "part1", "digest": layer.digest().to_string()});
        // The paths are those of datasets in other ModelKits, so that each goes somewhere else.
        let config = json!({"manifestVersion": "1.0.0", "package": {}, "datasets": [dataset]});
        let put = |config: &serde_json::Value, layers: &[&Descriptor]| {
            let config = self
                .layout
                .put("application/vnd.kitops.modelkit.config.v1+json", &content::encode(config))
                .unwrap();
            let manifest = json!({"schemaVersion": 2, "config": config, "layers": layers});
            let bytes = content::encode(&manifest);
            self.layout.put_manifest(MediaType::ImageManifest, &bytes).unwrap()
        };
        let one = put(&config, &[&layer]);
        self.layout.tag(&one, &"localhost/one:v1".parse().unwrap()).unwrap();
        let dataset = |index: usize| json!({"path": format!("at{index}"), "remotePath": format!("localhost/one@{}", one.digest())});
        let datasets: Vec<_> = (0..n).map(dataset).collect();
        let config = json!({"manifestVersion": "1.0.0", "package": {}, "datasets": datasets});
        ModelKit::read(&self.layout, &put(&config, &[])).unwrap()
    }

    fn unpack_named(&self, blob: &[u8], n: usize) -> modelkit::Result<modelkit::Unpacked> {
        let options = UnpackOptions { limits: self.limits, ..Default::default() };
        let kit = self.named(blob, n);
        let selection = modelkit::Selection { remote_datasets: true, ..selection(&["datasets"]) };
        unpack(kit, &self.layout, selection, &self.folder.path().join("out"), &options)
    }

    fn refused_named(&self, blob: &[u8], n: usize) -> String {
        let error = self.unpack_named(blob, n).expect_err("this must be refused");
        assert!(!self.folder.path().join("out").exists());
        chain(&error)
    }

    fn accepted_named(&self, blob: &[u8], n: usize) -> u64 {
        self.unpack_named(blob, n).map_err(|error| chain(&error)).unwrap().files
    }

    fn unpack(&self, kit: &ModelKit) -> modelkit::Result<modelkit::Unpacked> {
        let options = UnpackOptions { limits: self.limits, ..Default::default() };
        let into = self.folder.path().join("out");
        unpack(kit.clone(), &self.layout, selection(&["model"]), &into, &options)
    }

    fn accepted(&self, layers: &[Vec<u8>]) -> Vec<String> {
        let kit = self.kit(layers).unwrap();
        self.unpack(&kit).map_err(|error| chain(&error)).unwrap();
        files(&tree(&self.folder.path().join("out"))).into_iter().map(str::to_owned).collect()
    }
}

/// A tar archive, header by header.
#[derive(Default)]
struct Tar(Vec<u8>);

impl Tar {
    fn entry(self, kind: u8, name: &[u8], content: &[u8]) -> Self {
        self.header(kind, name, content.len() as u64, |_| {}).content(content)
    }

    fn file(self, name: &str, content: &[u8]) -> Self {
        self.entry(b'0', name.as_bytes(), content)
    }

    fn link(self, kind: u8, name: &str, target: &str) -> Self {
        self.header(kind, name.as_bytes(), 0, |header| {
            header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes())
        })
    }

    fn header(
        mut self,
        kind: u8,
        name: &[u8],
        size: u64,
        change: impl FnOnce(&mut tar::Header),
    ) -> Self {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.as_old_mut().linkflag = [kind];
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(size);
        change(&mut header);
        header.set_cksum();
        self.0.extend(header.as_bytes());
        self
    }

    fn content(mut self, content: &[u8]) -> Self {
        self.0.extend(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    /// A PAX header of these records.
    fn pax(self, kind: u8, records: &[(&str, &[u8])]) -> Self {
        let record = |(key, value): &(&str, &[u8])| {
            let bare = key.len() + value.len() + 3;
            let length =
                (bare + 1..).find(|length| bare + length.to_string().len() == *length).unwrap();
            [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
        };
        let records = records.iter().flat_map(record).collect::<Vec<_>>();
        self.entry(kind, b"pax", &records)
    }

    fn end(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }
}

#[track_caller]
fn check(archive: Tar, reason: &str) {
    let text = Hostile::new().refused(&[archive.end()]);
    assert!(text.ends_with(reason), "{text:?} does not end with {reason:?}");
}

#[test]
fn path_traversal_is_refused_cve_2021_21272() {
    for (name, reason) in [
        ("../evil", "the entry `../evil` leaves the folder"),
        ("a/../../evil", "the entry `a/../../evil` leaves the folder"),
        ("a/..", "the entry `a/..` leaves the folder"),
        ("/etc/evil", "the entry `/etc/evil` has an absolute name"),
        (".//etc/evil", "the entry `.//etc/evil` has an absolute name"),
        ("a//b", "the entry `a//b` has an empty name in its path"),
        ("a/./b", "the entry `a/./b` has an empty name in its path"),
        ("a/", "the entry `a/` has an empty name in its path"),
        ("", "the entry `` has no name"),
        (r"..\evil", r"the entry `..\\evil` has a backslash in its name"),
        (r"C:\evil", r"the entry `C:\\evil` has a backslash in its name"),
    ] {
        check(Tar::default().file("good", b"x").file(name, b"x"), reason);
    }
    check(
        Tar::default().entry(b'0', b"a\xff", b"x"),
        r"the entry `a\xff` has a name that is not UTF-8",
    );
    check(Tar::default().entry(b'5', b"../d/", b""), "the entry `../d/` leaves the folder");
    check(Tar::default().entry(b'5', b"/", b""), "the entry `/` has an absolute name");
}

#[test]
fn path_traversal_in_long_names_is_refused() {
    let long = format!("{}/../../../evil", "a".repeat(120));
    check(
        Tar::default().pax(b'x', &[("path", long.as_bytes())]).file("good", b"x"),
        "evil` leaves the folder",
    );
    check(
        Tar::default()
            .entry(b'L', b"././@LongLink", format!("{long}\0").as_bytes())
            .file("good", b"x"),
        "evil` leaves the folder",
    );
    check(
        Tar::default().pax(b'x', &[("path", b"a\0b")]).file("good", b"x"),
        r"the entry `a\x00b` has a NUL in its name",
    );
    let prefix = |header: &mut tar::Header| {
        header.as_ustar_mut().unwrap().prefix[..3].copy_from_slice(b"../")
    };
    check(
        Tar::default().header(b'0', b"evil", 0, prefix),
        "the entry `..//evil` leaves the folder",
    );
}

#[test]
fn names_with_dots_and_a_root_entry_are_accepted() {
    let archive = Tar::default()
        .entry(b'5', b"./", b"")
        .file("./a", b"1")
        .file("b..c", b"2")
        .file("..d", b"3");
    assert_eq!(Hostile::new().accepted(&[archive.end()]), ["..d", "a", "b..c"]);
}

#[test]
fn symbolic_links_are_refused_rustsec_2021_0080() {
    check(
        Tar::default().link(b'2', "l", "/tmp").file("l/evil", b"x"),
        "the entry `l` is a symbolic link",
    );
}

#[test]
fn a_folder_over_a_link_is_refused_cve_2026_33056() {
    check(
        Tar::default().link(b'2', "l", "..").entry(b'5', b"l", b""),
        "the entry `l` is a symbolic link",
    );
}

#[test]
fn hard_links_are_refused_cve_2026_50163() {
    check(Tar::default().link(b'1', "l", "etc/passwd"), "the entry `l` is a hard link");
}

#[test]
fn a_link_in_one_layer_does_not_help_the_next_cve_2025_45582() {
    let first = Tar::default().link(b'2', "part1", "/tmp").end();
    let second = Tar::default().file("part1/evil", b"x").end();
    assert!(
        Hostile::new().refused(&[first, second]).ends_with("the entry `part1` is a symbolic link")
    );
}

#[test]
fn devices_and_other_kinds_are_refused() {
    for (kind, reason) in [
        (b'3', "is a device"),
        (b'4', "is a device"),
        (b'6', "is a FIFO"),
        (b'S', "is a sparse file"),
        (b'7', "is neither a file nor a folder"),
        (b'V', "is neither a file nor a folder"),
        (b'K', "is neither a file nor a folder"),
    ] {
        check(Tar::default().entry(kind, b"x", b""), reason);
    }
    check(
        Tar::default().pax(b'x', &[("GNU.sparse.major", b"1")]).file("x", b""),
        "a file in it is sparse",
    );
}

#[test]
fn sizes_that_readers_take_for_different_ones_are_refused_cve_2025_62518() {
    let hidden = Tar::default().file("hidden", b"x").0;
    let archive = Tar::default().pax(b'x', &[("size", b"0")]).file("outer", &hidden);
    check(archive, "the entry `outer` has two sizes");
    let archive = Tar::default()
        .pax(b'x', &[("size", b"1024")])
        .header(b'0', b"outer", 512, |_| {})
        .content(&hidden);
    check(archive, "the entry `outer` has two sizes");
}

#[test]
fn a_pax_size_counts_where_the_header_has_none_cve_2026_33055() {
    let archive = Tar::default()
        .pax(b'x', &[("size", b"5")])
        .header(b'0', b"a", 0, |_| {})
        .content(b"12345")
        .file("b", b"2");
    assert_eq!(Hostile::new().accepted(&[archive.end()]), ["a", "b"]);
}

#[test]
fn a_folder_with_content_is_refused() {
    check(Tar::default().entry(b'5', b"d", &[0; 512]), "the entry `d` is a folder with content");
}

#[test]
fn global_headers_are_refused() {
    check(
        Tar::default().pax(b'g', &[("path", b"../evil")]).file("a", b"x"),
        "a global header changes the entries after it",
    );
}

#[test]
fn two_names_for_one_entry_are_refused_rustsec_2026_0112() {
    let twice = "an entry has two names or two sizes";
    check(Tar::default().pax(b'x', &[("path", b"a"), ("path", b"b")]).file("c", b""), twice);
    check(
        Tar::default().pax(b'x', &[("path", b"a")]).pax(b'x', &[("path", b"b")]).file("c", b""),
        twice,
    );
    check(
        Tar::default().pax(b'x', &[("path", b"a")]).entry(b'L', b"l", b"b\0").file("c", b""),
        twice,
    );
    check(Tar::default().pax(b'x', &[("path", b"a")]), "it ends before an entry");
}

#[test]
fn damaged_archives_are_refused() {
    let good = Tar::default().file("a", &[1; 600]);
    let mut sum = good.0.clone();
    sum[0] ^= 1;
    check(Tar(sum), "a header's checksum is wrong");
    for (length, reason) in [
        (100, "it ends within a header"),
        (1024, "it ends within an entry"),
        (1200, "it ends within an entry"),
    ] {
        let text = Hostile::new().refused(&[good.0[..length].to_vec()]);
        assert!(text.ends_with(reason), "{text}");
    }
    let more =
        [Tar::default().file("a", b"x").end(), Tar::default().file("b", b"x").end()].concat();
    assert!(Hostile::new().refused(&[more]).ends_with("something follows its end"));
    let size = |bytes: &'static [u8; 12]| {
        move |header: &mut tar::Header| header.as_old_mut().size = *bytes
    };
    for bytes in [
        b"0000000000x\0",
        b"0000000 010\0",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x80\x01\0\0\0\0\0\0\0\0\0\0",
    ] {
        check(Tar::default().header(b'0', b"a", 0, size(bytes)), "a size is not a number");
    }
    check(
        Tar::default().entry(b'x', b"pax", b"99 path=a\n").file("b", b""),
        "a PAX record cannot be read",
    );
    check(
        Tar::default().pax(b'x', &[("size", b"-1")]).file("b", b""),
        "a PAX size is not a number",
    );
}

#[test]
fn an_endless_entry_ends_with_the_layer() {
    check(
        Tar::default().pax(b'x', &[("size", b"18446744073709551615")]).file("a", b""),
        "a size is too large",
    );
    let size =
        |header: &mut tar::Header| header.as_old_mut().size = *b"\x80\0\0\0\x70\0\0\0\0\0\0\0";
    check(Tar::default().header(b'0', b"a", 0, size), "it ends within an entry");
    check(Tar::default().header(b'x', b"a", 0, size), "an entry's name is limited to 1048576");
}

#[test]
fn a_file_that_is_there_twice_is_refused() {
    check(Tar::default().file("a", b"1").file("a", b"2"), "the entry `a` is there twice");
    check(Tar::default().file("a", b"1").file("./a", b"2"), "the entry `a` is there twice");
    let text = Hostile::new().refused(&[Tar::default().file("a", b"1").file("a/b", b"2").end()]);
    assert!(text.ends_with("the entry `a` is there twice"), "{text}");
    let twice =
        [Tar::default().file("part1/a", b"1").end(), Tar::default().file("part1/a", b"2").end()];
    let text = Hostile::new().refused(&twice);
    assert!(text.ends_with("out/part1/a already exists"), "{text}");
}

#[test]
fn paths_in_annotations_and_kitfiles_cannot_lead_out() {
    for (suffix, archive) in [("tar", Tar::default().end()), ("raw", b"x".to_vec())] {
        for path in ["../evil", "/etc/evil", "a/../../evil"] {
            let hostile = Hostile { suffix, path, ..Hostile::new() };
            let text = hostile.refused(std::slice::from_ref(&archive));
            assert!(text.contains("model has a path that is refused"), "{text}");
        }
    }
    assert!(
        Hostile { suffix: "raw", path: ".", ..Hostile::new() }
            .refused(&[b"x".to_vec()])
            .ends_with("has no name")
    );
    let backslash = Hostile { suffix: "raw", path: r"a\..\b", ..Hostile::new() };
    assert!(backslash.refused(&[b"x".to_vec()]).contains("has a backslash in its name"));
}

#[test]
fn paths_that_some_file_systems_take_for_one_are_refused() {
    let clash = Hostile { suffix: "raw", path: "Part1", ..Hostile::new() };
    let text = clash.refused(&[b"1".to_vec(), b"2".to_vec()]);
    assert!(
        text.ends_with("its paths `Part1` and `part1` are one place on some file systems"),
        "{text}"
    );
    let project = Project::with(&["caf\u{e9}", "cafe\u{301}"]);
    let options =
        PackOptions { format: Format::Raw, family: Family::ModelPack, ..PackOptions::default() };
    let error = project.try_pack("code:\n  - path: .\n", &options).unwrap_err();
    assert!(matches!(&error, modelkit::Error::SamePlace { .. }), "{error}");
}

#[test]
fn a_wrong_diff_id_is_refused() {
    let archive = Tar::default().file("a", b"x").end();
    let wrong = content::digest(b"something else").to_string();
    for (suffix, blob) in
        [("tar", archive.clone()), ("tar+gzip", gzip(&archive)), ("tar+zstd", zstd(&archive))]
    {
        let hostile = Hostile { suffix, diff_id: Some(wrong.clone()), ..Hostile::new() };
        assert!(hostile.refused(&[blob]).contains("the diffId is sha256:"));
    }
    for text in ["sha256:../../../evil", "md5:d41d8cd98f00b204e9800998ecf8427e"] {
        let hostile = Hostile { diff_id: Some(text.into()), ..Hostile::new() };
        assert!(hostile.refused(std::slice::from_ref(&archive)).contains("is not a digest"));
    }
}

#[test]
fn decompression_bombs_are_refused_cve_2024_12886() {
    let archive = Tar::default().file("bomb", &vec![0; 8 << 20]).end();
    let limits = Limits { free_bytes: 1 << 20, max_ratio: 20, ..Default::default() };
    for (suffix, blob) in [("tar+gzip", gzip(&archive)), ("tar+zstd", zstd(&archive))] {
        assert!(blob.len() < 16 << 10);
        let text =
            Hostile { suffix, limits, ..Hostile::new() }.refused(std::slice::from_ref(&blob));
        assert!(
            text.contains("more comes out than is allowed: the size of all layers together, in bytes, is limited to"),
            "{text}"
        );
        let members = vec![blob.clone(); 4].concat();
        assert!(
            Hostile { suffix, limits, ..Hostile::new() }
                .refused(&[members])
                .contains("more comes out than is allowed")
        );
        assert_eq!(Hostile { suffix, ..Hostile::new() }.accepted(&[blob]), ["bomb"]);
    }
}

/// What a layer may hold was announced: its path, and the folders that lead there.
#[test]
fn files_outside_of_the_path_of_their_layer_are_refused() {
    let hook = ".git/hooks/pre-commit";
    let good = || Tar::default().entry(b'5', b"a", b"").entry(b'5', b"a/code", b"");
    let outside = |name: &str| {
        format!("the entry `{name}` lies outside of `a/code`, which is all that the layer may hold")
    };
    for (archive, name) in [
        (good().file("a/code/x", b"1").file(hook, b"#!/bin/sh"), hook),
        (good().file(&format!("./{hook}"), b"#!/bin/sh"), hook),
        (good().pax(b'x', &[("path", hook.as_bytes())]).file("a/code/x", b"1"), hook),
        (good().entry(b'5', b".git/hooks/", b""), ".git/hooks"),
        (good().file("a/code-v2/x", b"1"), "a/code-v2/x"),
        (good().file("a/other", b"1"), "a/other"),
        (good().entry(b'5', b"a/other/", b""), "a/other"),
        (Tar::default().file("a", b"1"), "a"),
    ] {
        let hostile = Hostile { path: "a/code", ..Hostile::new() };
        let text = hostile.refused(&[archive.end()]);
        assert!(text.ends_with(&outside(name)), "{text}");
        for suffix in ["tar+gzip", "tar+zstd"] {
            let hostile = Hostile { path: "a/code", suffix, ..Hostile::new() };
            let archive = good().file(hook, b"#!/bin/sh").end();
            let blob = if suffix == "tar+gzip" { gzip(&archive) } else { zstd(&archive) };
            assert!(hostile.refused(&[blob]).ends_with(&outside(hook)));
        }
    }
    let hostile = Hostile { path: "a/code", ..Hostile::new() };
    assert_eq!(hostile.accepted(&[good().file("a/code/x", b"1").end()]), ["a/code/x"]);
    let hostile = Hostile { path: "a/code", ..Hostile::new() };
    assert_eq!(hostile.accepted(&[Tar::default().file("a/code", b"1").end()]), ["a/code"]);
}

/// Git runs what lies there, whatever the ModelKit says of it.
#[test]
fn a_repository_that_is_there_gets_no_hooks() {
    let archive = Tar::default().file(".git/hooks/pre-commit", b"#!/bin/sh").end();
    let hostile = Hostile::new();
    let kit = hostile.kit(std::slice::from_ref(&archive)).unwrap();
    let out = hostile.folder.path().join("out");
    fs::create_dir_all(out.join(".git/hooks")).unwrap();
    let error = hostile.unpack(&kit).unwrap_err();
    assert!(matches!(&error, modelkit::Error::Repository { path } if path.ends_with(".git")));
    assert!(files(&tree(&out)).is_empty());
    // A ModelKit may well be a whole repository.
    assert_eq!(Hostile::new().accepted(&[archive]), [".git/hooks/pre-commit"]);
}

/// A preview tells every file, and refuses those that lie outside of their place.
#[test]
fn a_preview_hides_nothing() {
    let preview = |path: &'static str, archive: Vec<u8>| {
        let hostile = Hostile { path, ..Hostile::new() };
        let kit = hostile.kit(&[archive]).unwrap();
        let sources =
            modelkit::Sources::local(kit, &hostile.layout, selection(&["model"])).unwrap();
        let preview =
            modelkit::preview(&sources, &UnpackOptions::default(), &crate::project::quiet);
        preview.map(|preview| preview.layers).map_err(|error| chain(&error))
    };
    let archive = || Tar::default().file("code/x", b"12").file(".git/hooks/pre-commit", b"3").end();
    let files = preview(".", archive()).unwrap().concat();
    let paths: Vec<_> = files.iter().map(|file| (&*file.path, file.bytes)).collect();
    assert_eq!(paths, [("code/x", 2), (".git/hooks/pre-commit", 1)]);
    assert!(preview("code", archive()).unwrap_err().contains("lies outside of `code`"));
}

/// One blob that is named as many layers is as many files, of which all count.
#[test]
fn layers_are_bounded_together_however_often_a_blob_is_named() {
    let archive = Tar::default().file("part1/zeros", &vec![0; 4 << 20]).end();
    let limits = Limits { free_bytes: 10 << 20, ..Default::default() };
    for (suffix, blob) in [("tar+gzip", gzip(&archive)), ("tar+zstd", zstd(&archive))] {
        assert!(blob.len() < 16 << 10);
        let hostile = Hostile { suffix, limits, ..Hostile::new() };
        let text = hostile.refused_named(&blob, 3);
        assert!(
            text.contains("the size of all layers together, in bytes, is limited to"),
            "{text}"
        );
        assert_eq!(Hostile { suffix, limits, ..Hostile::new() }.accepted_named(&blob, 2), 2);
    }
    // Nothing needs to be compressed for that.
    let limits = Limits { free_bytes: 1 << 20, max_ratio: 2, ..Default::default() };
    let text = Hostile { limits, ..Hostile::new() }.refused_named(&archive, 3);
    assert!(text.contains("the size of all layers together, in bytes, is limited to"), "{text}");
}

/// A few bytes of an archive name thousands of folders, of which each takes a block of the disk.
#[test]
fn folders_on_the_way_to_a_file_count() {
    let path = "d/".repeat(1500) + "x";
    let archive = Tar::default().pax(b'x', &[("path", path.as_bytes())]).file("x", b"").end();
    let limits = Limits { max_entries: 1000, ..Default::default() };
    let text = Hostile { limits, ..Hostile::new() }.refused(std::slice::from_ref(&archive));
    assert!(text.ends_with("the number of entries is limited to 1000"), "{text}");
    let limits = Limits { free_bytes: 1 << 20, max_ratio: 1, ..Default::default() };
    let text = Hostile { limits, ..Hostile::new() }.refused(&[archive]);
    assert!(text.contains("the size of all layers together"), "{text}");
}

#[test]
fn a_frame_that_asks_for_too_much_memory_is_refused() {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(28).unwrap();
    encoder.include_contentsize(false).unwrap();
    encoder.write_all(&Tar::default().file("a", b"x").end()).unwrap();
    let text =
        Hostile { suffix: "tar+zstd", ..Hostile::new() }.refused(&[encoder.finish().unwrap()]);
    assert!(text.to_lowercase().contains("memory"), "{text}");
}

#[test]
fn an_archive_of_too_many_entries_is_refused() {
    let archive = (0..11).fold(Tar::default(), |tar, index| tar.file(&format!("f{index}"), b""));
    let limits = Limits { max_entries: 10, ..Default::default() };
    let text = Hostile { limits, ..Hostile::new() }.refused(&[archive.end()]);
    assert!(text.ends_with("the number of entries is limited to 10"), "{text}");
}

#[test]
fn garbage_after_a_compressed_layer_is_refused() {
    let archive = Tar::default().file("a", b"x").end();
    for (suffix, blob) in [("tar+gzip", gzip(&archive)), ("tar+zstd", zstd(&archive))] {
        Hostile { suffix, ..Hostile::new() }.refused(&[[blob.as_slice(), b"garbage"].concat()]);
        Hostile { suffix, ..Hostile::new() }.refused(&[blob[..blob.len() - 3].to_vec()]);
    }
}

#[test]
fn a_very_long_path_is_an_error_not_a_crash() {
    let path = "d/".repeat(4000) + "x";
    Hostile::new()
        .refused(&[Tar::default().pax(b'x', &[("path", path.as_bytes())]).file("x", b"").end()]);
    let name = "n".repeat(300);
    Hostile::new()
        .refused(&[Tar::default().pax(b'x', &[("path", name.as_bytes())]).file("x", b"").end()]);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

/// What an archive holds for us, in the form of `testdata/tar/listings.txt`; none when it is
/// refused.
fn listing(archive: &[u8]) -> Option<Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let into = modelkit::archive::Folder::open(folder.path()).unwrap();
    let on = &|_| ControlFlow::Continue(());
    modelkit::archive::extract(&mut &*archive, &into, &ExtractOptions::default(), on).ok()?;
    let tree = tree(folder.path());
    let mut listing: Vec<String> =
        files(&tree).iter().map(|path| format!("{path}={}", tree[*path].len())).collect();
    listing.sort();
    Some(listing)
}

/// What we take, every other reader takes for the same files; the rest is refused (the class of
/// CVE-2025-62518).
#[test]
fn other_readers_see_the_same_files_or_we_refuse_cve_2025_62518() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/archive");
    let mut accepted = Vec::new();
    for line in include_str!("../../testdata/tar/listings.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
    {
        let mut words = line.split(' ');
        let (name, reader) = (words.next().unwrap(), words.next().unwrap());
        let mut theirs: Vec<&str> = words.collect();
        theirs.sort_unstable();
        if let Some(ours) = listing(&fs::read(corpus.join(name)).unwrap()) {
            assert_eq!(ours, theirs, "{name}, as {reader} reads it");
            accepted.push(name);
        }
    }
    accepted.dedup();
    for name in ["plain", "pax", "gnu", "dots", "base-256", "pax-path-wins", "old-format"] {
        assert!(accepted.contains(&name), "{name} is not accepted: {accepted:?}");
    }
}
