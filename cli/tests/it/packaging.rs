//! The verbs that pack, unpack and list: nothing is passed over without a word, nothing is half
//! there, and an error names the command that goes on.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use fs_err as fs;
use registry::content::{self, MediaType};
use registry::{Layout, Reference};
use serde_json::{Value, json};

use crate::world::World;

/// A home in which nothing can be made, not even by root.
const UNWRITABLE: &str = "/proc/none";

/// What a command said, and how it ended.
struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

fn run(mut command: Command, line: &str) -> Said {
    command.args(line.split_whitespace()).output().expect("the program can be started").into()
}

fn say(world: &World, line: &str) -> Said {
    run(world.kit_rs(), line)
}

#[track_caller]
fn well(world: &World, line: &str) -> Said {
    let said = say(world, line);
    assert_eq!(said.code, Some(0), "{line}: {}", said.stderr);
    said
}

/// Fails, and says all of this.
#[track_caller]
fn refused(world: &World, line: &str, words: &[&str]) {
    let said = say(world, line);
    assert!(matches!(said.code, Some(1 | 2)), "{line}: {:?} {}", said.code, said.stderr);
    for word in words {
        assert!(said.stderr.contains(word), "{line} does not say {word}: {}", said.stderr);
    }
}

fn layout(world: &World) -> Layout {
    let root = world.work().join("../home/kit-rs/storage");
    Layout::find(&root).expect("it can be read").expect("something was packed")
}

fn reference(text: &str) -> Reference {
    text.parse().expect("a reference")
}

/// Changes one byte of a layer.
fn damage(world: &World, name: &str) -> std::path::PathBuf {
    let layout = layout(world);
    let kit = layout.resolve(&reference(name)).expect("it is there");
    let manifest = layout.document(&kit).expect("a manifest");
    let path = layout.blob_path(manifest.layers[0].digest()).expect("a path");
    let mut bytes = fs::read(&path).expect("it is there");
    bytes[600] ^= 1;
    fs::write(&path, bytes).expect("it can be written");
    path
}

#[test]
fn what_a_registry_has_needs_no_writable_home() {
    let world = World::new();
    let registry = world.typed_registry();
    fs::write(world.work().join("runtime"), "#!/bin/sh\n").expect("it writes");
    for line in [
        "pack project -t demo/kit:v1",
        "push demo/kit:v1 REGISTRY/demo/kit:v1",
        "push demo/kit:v1 REGISTRY/demo/kit:v2",
        "image build demo/kit:v1 -t demo/image:v1 --runtime runtime",
        "push demo/image:v1 REGISTRY/demo/image:v1",
    ] {
        well(&world, &line.replace("REGISTRY", &registry));
    }
    let homeless = |line: &str| {
        let mut command = world.kit_rs();
        command.env("KIT_RS_HOME", UNWRITABLE).env("HOME", UNWRITABLE);
        let said = run(command, &line.replace("REGISTRY", &registry));
        assert_eq!(said.code, Some(0), "{line}: {}", said.stderr);
        said.stdout
    };
    for line in [
        "info REGISTRY/demo/kit:v1",
        "inspect REGISTRY/demo/kit:v1",
        "list REGISTRY/demo/kit",
        "list",
        "diff REGISTRY/demo/kit:v1 REGISTRY/demo/kit:v2",
        "unpack REGISTRY/demo/kit:v1 -d kit",
        "unpack REGISTRY/demo/kit:v1 --dry-run",
        "image unpack REGISTRY/demo/image:v1 -d image",
        "remove --remote REGISTRY/demo/kit:v2",
        "init project -o -",
    ] {
        homeless(line);
    }
    assert!(world.work().join("kit/Kitfile").is_file());
    assert!(world.work().join("image/kit-rs").is_file());
    // What is only local is not there, and that is what is said.
    let mut command = world.kit_rs();
    command.env("KIT_RS_HOME", UNWRITABLE);
    let said = run(command, "info demo/kit:v1");
    assert!(said.stderr.contains("demo/kit:v1 is not in the layout"), "{}", said.stderr);
}

#[test]
fn a_damaged_layer_comes_from_the_registry_or_the_error_names_what_repairs() {
    let world = World::new();
    let registry = world.typed_registry();
    let remote = format!("{registry}/demo/kit:v1");
    well(&world, &format!("pack project -t {remote}"));
    well(&world, &format!("push {remote}"));
    let path = damage(&world, &remote);
    let said = well(&world, &format!("unpack {remote} -d out"));
    assert!(said.stderr.contains(&format!("`kit-rs pull {remote}` repairs it")), "{}", said.stderr);
    assert!(world.work().join("out/model/model.safetensors").is_file());
    fs::remove_file(path).expect("it is there");
    well(&world, &format!("unpack {remote} -d again"));
    refused(&world, &format!("verify {remote}"), &["1 of its blobs is", "kit-rs pull"]);

    well(&world, "pack project --compression zstd -t demo/kit:local");
    damage(&world, "demo/kit:local");
    refused(&world, "unpack demo/kit:local -d local", &["kit-rs verify demo/kit:local"]);
    assert!(!world.work().join("local").exists());
    // Packing anew mends it, though the index knows the layer.
    well(&world, "pack project --compression zstd -t demo/kit:local");
    well(&world, "unpack demo/kit:local -d local");
}

#[test]
fn a_broken_modelkit_hides_no_other() {
    let world = World::new();
    let registry = world.typed_registry();
    well(&world, "pack project -t demo/good:v1");
    well(&world, &format!("pack project --compression gzip -t {registry}/demo/bad:v1"));
    let layout = layout(&world);
    let bad = layout.resolve(&reference(&format!("{registry}/demo/bad:v1"))).expect("it is there");
    fs::remove_file(layout.blob_path(bad.digest()).expect("a path")).expect("it is there");
    let said = well(&world, "list");
    assert!(said.stdout.contains("demo/good") && !said.stdout.contains("demo/bad"));
    let expected = format!("`kit-rs pull {registry}/demo/bad:v1` repairs it");
    assert!(said.stderr.contains(&expected), "{}", said.stderr);
    // What has no name cannot be pulled, but it can be taken away.
    well(&world, &format!("pack project --compression zstd -t {registry}/demo/kit:v1"));
    let nameless = well(&world, "pack project --compression gzip-fastest").stdout;
    let digest = content::parse_digest(nameless.trim()).expect("a digest");
    fs::remove_file(layout.blob_path(&digest).expect("a path")).expect("it is there");
    let said = well(&world, "list");
    assert!(
        said.stderr.contains(&format!("`kit-rs remove {digest}` takes it away")),
        "{}",
        said.stderr
    );
    well(&world, &format!("remove {digest}"));
    assert!(!well(&world, "list").stderr.contains(digest.as_ref()));

    // Nor does it in a registry.
    for tag in ["v1", "v2"] {
        well(&world, &format!("push demo/good:v1 {registry}/demo/kit:{tag}"));
    }
    well(&world, &format!("push {registry}/demo/kit:v1 {registry}/demo/kit:v3"));
    let remote = world.work().join("../registry");
    let v3 =
        well(&world, &format!("inspect --remote {registry}/demo/kit:v3 -f manifest.config.digest"));
    let config = v3.stdout.trim().trim_matches('"').replace("sha256:", "");
    remove_named(&remote, &config);
    let said = well(&world, &format!("list --remote {registry}/demo/kit"));
    assert!(said.stdout.contains("v1,v2"), "{}", said.stdout);
    assert!(said.stderr.contains("demo/kit:v3 cannot be read"), "{}", said.stderr);
}

/// Removes the files of this name.
fn remove_named(folder: &Path, name: &str) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            remove_named(&path, name);
        } else if path.ends_with(name) {
            fs::remove_file(path).expect("it is there");
        }
    }
}

#[test]
fn links_are_told_and_followed_on_request() {
    let world = World::new();
    let at = |name: &str| world.work().join(name);
    fs::create_dir_all(at("cache/blobs")).expect("a folder");
    fs::create_dir_all(at("cache/snapshots/1")).expect("a folder");
    fs::copy(at("project/model/model.safetensors"), at("cache/blobs/abc")).expect("it copies");
    symlink("../../blobs/abc", at("cache/snapshots/1/model.safetensors")).expect("a link");
    let said = well(&world, "init cache/snapshots/1 -o -");
    assert!(
        said.stderr.contains("1 symbolic link passed over: `model.safetensors`"),
        "{}",
        said.stderr
    );
    assert!(said.stderr.contains("there are no files in"), "{}", said.stderr);
    fs::write(at("all"), "manifestVersion: v1.0.0\nmodel:\n  path: .\n").expect("it writes");
    refused(
        &world,
        "pack cache/snapshots/1 -f all",
        &["there are no files in `.`", "--follow-links"],
    );
    let said = well(&world, "init cache/snapshots/1 --follow-links cache");
    assert!(said.stdout.contains("path: model.safetensors"), "{}", said.stdout);
    well(&world, "pack cache/snapshots/1 --follow-links cache -t demo/snapshot:v1");
    well(&world, "unpack demo/snapshot:v1 -d out");
    let same = fs::read(at("out/model.safetensors")).expect("a file");
    assert_eq!(same, fs::read(at("cache/blobs/abc")).expect("a file"));
}

#[test]
fn an_index_is_named_with_its_members() {
    let world = World::new();
    let registry = world.typed_registry();
    let remote = format!("{registry}/demo/kit:v1");
    well(&world, &format!("pack project -t {remote}"));
    let layout = layout(&world);
    let member = layout.resolve(&reference(&remote)).expect("it is there");
    let index = json!({
        "schemaVersion": 2,
        "mediaType": MediaType::ImageIndex,
        "artifactType": "application/vnd.kitops.modelkit.index.v1+json",
        "manifests": [{
            "mediaType": member.media_type(), "digest": member.digest(), "size": member.size(),
            "modelMetadata": {"quant": "int8"},
        }],
    });
    let bytes = content::encode(&index);
    let index = layout.put_manifest(MediaType::ImageIndex, &bytes).expect("it can be put");
    let name = format!("{registry}/demo/index:v1");
    layout.tag(&index, &reference(&name)).expect("it can be tagged");
    well(&world, &format!("push {name}"));
    let pinned = format!("{registry}/demo/index@{} (quant=int8)", member.digest());
    for line in [
        format!("info {name}"),
        format!("info --remote {name}"),
        format!("unpack {name} -d out"),
        format!("image build {name} -t demo/image:v1 --runtime project/Kitfile"),
        format!("diff {name} {remote}"),
    ] {
        refused(&world, &line, &["is an index of 1 ModelKits", &pinned]);
    }
    assert!(!well(&world, "list").stdout.contains("demo/index"));
}

#[test]
fn parents_that_are_only_here_are_told() {
    let world = World::new();
    let registry = world.typed_registry();
    well(&world, "pack project -t demo/base:v1");
    let child =
        "manifestVersion: 1.0.0\nmodel:\n  path: demo/base:v1\ndocs:\n  - path: README.md\n";
    fs::write(world.work().join("child"), child).expect("it writes");
    let said = well(&world, "pack project -f child -t demo/child:v1");
    assert!(said.stderr.contains("is only in the local layout"), "{}", said.stderr);
    refused(
        &world,
        &format!("push demo/child:v1 {registry}/demo/child:v1"),
        &["which is in no registry", "name it so in the Kitfile"],
    );
    let said = well(&world, "remove demo/base:v1");
    assert!(said.stderr.contains("demo/child:v1 builds on sha256:"), "{}", said.stderr);
    well(&world, "pack project -t demo/base:v1");
    // One that has a registry is neither warned of nor refused.
    let base = format!("{registry}/demo/base:v1");
    well(&world, &format!("tag demo/base:v1 {base}"));
    well(&world, &format!("push {base}"));
    let child = child.replace("demo/base:v1", &base);
    fs::write(world.work().join("child"), child).expect("it writes");
    let said = well(&world, "pack project -f child -t demo/child:v1");
    assert!(!said.stderr.contains("warning"), "{}", said.stderr);
    well(&world, &format!("push demo/child:v1 {registry}/demo/child:v1"));
}

#[test]
fn what_is_in_the_way_says_how_to_go_on() {
    let world = World::new();
    well(&world, "pack project -t demo/kit:v1");
    well(&world, "unpack demo/kit:v1 -d out");
    well(&world, "unpack demo/kit:v1 -d out");
    fs::write(world.work().join("out/README.md"), "mine").expect("it writes");
    refused(&world, "unpack demo/kit:v1 -d out -f docs", &["-o replaces", "-i keeps", "-d takes"]);
    let kitfile = world.work().join("out/Kitfile");
    fs::write(&kitfile, "manifestVersion: 1.0.0\n").expect("it writes");
    refused(&world, "unpack demo/kit:v1 -d out -i", &["says something else", "-f '!kitfile'"]);
    refused(
        &world,
        "image unpack demo/kit:v1 -d image",
        &["it is a ModelKit", "kit-rs unpack demo/kit:v1 -d image"],
    );
    let said = well(&world, "unpack demo/kit:v1 -d one -f docs");
    assert!(said.stderr.contains("1 file,"), "{}", said.stderr);
}

#[test]
fn a_dry_run_names_every_file() {
    let world = World::new();
    for line in ["pack project --dry-run", "unpack demo/kit:v1 --dry-run"] {
        well(&world, "pack project -t demo/kit:v1");
        let text = well(&world, line).stdout;
        for file in
            ["model/config.json", "model/model.safetensors", "data/reviews.csv", "README.md"]
        {
            assert!(text.contains(file), "{line} does not show {file}: {text}");
        }
        let json: Value =
            serde_json::from_str(&well(&world, &format!("{line} --format json")).stdout)
                .expect("JSON");
        let layers = json.get("layers").unwrap_or(&json);
        assert_eq!(layers[0]["content"][0]["path"], "model/config.json");
    }
    assert!(!world.work().join("Kitfile").exists());
    well(&world, "unpack demo/kit:v1 -d out -f docs");
    for (flag, fate) in [("", "must be the same"), ("-o", "replaced"), ("-i", "kept")] {
        let text = well(&world, &format!("unpack demo/kit:v1 -d out --dry-run {flag}")).stdout;
        assert_eq!(text.matches(&format!("is there: {fate}")).count(), 1, "{text}");
    }
}

/// What lies in file systems that are mounted within the folder gets there all the same.
#[test]
fn file_systems_within_the_folder_and_full_ones_leave_it_whole_or_as_it_was() {
    let world = World::new();
    well(&world, "pack project -t demo/kit:v1");
    let script = world.work().join("mounts");
    let text = "set -e\nmkdir -p out/model\nmount -t tmpfs none out/model\n\
        echo mine >out/model/mine\n\
        kit-rs unpack demo/kit:v1 -d out >&2\n\
        cmp project/model/model.safetensors out/model/model.safetensors\n\
        cat out/model/mine\n\
        ! kit-rs unpack demo/kit:v1 -d out >&2\n\
        rm out/model/config.json out/README.md\n\
        echo mine >out/README.md\n\
        ! kit-rs unpack demo/kit:v1 -d out -f model,docs >&2\n\
        ls -A out out/model\n\
        mkdir small && mount -t tmpfs -o size=100k none small\n\
        ! kit-rs unpack demo/kit:v1 -d small 2>told && grep -q 'bytes are\\|are free' told\n\
        mount -o remount,size=128k small\n\
        kit-rs pack project --compression gzip -t demo/kit:gzip >&2\n\
        ! kit-rs unpack demo/kit:gzip -d small 2>told && grep -q 'the room on the disk' told\n\
        mkdir -p outer/model && mount -t tmpfs -o size=64k none outer/model\n\
        ! kit-rs unpack demo/kit:v1 -d outer >&2\n\
        ls -A small outer outer/model\n\
        mkdir full && mount -t tmpfs -o size=100k none full\n\
        train='kit-rs train --model project/model --dataset project/data/reviews.csv --epochs 1'\n\
        ! $train --output full/model --no-kitfile 2>told && grep -q 'No space left' told\n\
        ls full\n\
        mount -o remount,size=8m full\n\
        $train --output full/model --no-kitfile --resume >&2\n\
        ls -A full\n";
    fs::write(&script, text).expect("it writes");
    let unshared = |words: &[&str]| {
        let mut unshare = world.command("unshare");
        unshare.args(["--user", "--map-root-user", "--mount"]).args(words);
        unshare.current_dir(world.work()).output()
    };
    // `.ci/run` asks the same, and says it, too: no package brings what a kernel forbids.
    match unshared(&["mount", "-t", "tmpfs", "none", "."]) {
        Err(_) => return skipped("there is no unshare"),
        Ok(asked) if !asked.status.success() => {
            return not_checked("no namespaces are given to us");
        }
        Ok(_) => (),
    }
    let script = script.display().to_string();
    let said = Said::from(unshared(&["sh", &script]).expect("it was there before"));
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let expected = "mine\nout:\nKitfile\nREADME.md\ndata\nmodel\n\nout/model:\nmine\nmodel.safetensors\ntokenizer.json\nouter:\nmodel\n\nouter/model:\n\nsmall:\n\
        model\nmodel-bom.json\nmodel-provenance.json\nmodel-report.html\nmodel-report.json\n";
    assert_eq!(said.stdout, expected, "{}", said.stderr);
}

/// Says what was not checked, for want of a program that CI has.
#[expect(clippy::disallowed_methods, reason = "CI says by a variable that it is CI")]
fn skipped(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "{why}");
    not_checked(why);
}

#[expect(clippy::print_stderr, reason = "a test that cannot run says so")]
fn not_checked(why: &str) {
    eprintln!("NOT CHECKED: {why}");
}

/// A process that is killed at any system call leaves nothing that counts: the next comes to its
/// end, and packing what is there gives the same.
#[test]
fn unpacking_that_is_killed_is_done_by_the_next() {
    let world = World::new();
    let packed = well(&world, "pack project -t demo/kit:v1").stdout;
    let strace = |n: usize, out: &str| {
        let mut command = world.command("strace");
        command.args(["-f", "-qq", "-o", "/dev/null"]);
        command.arg(format!("-einject=renameat,renameat2,linkat,mkdirat:signal=KILL:when={n}"));
        command.arg(crate::world::KIT_RS).args(["unpack", "demo/kit:v1", "-o", "-d", out]);
        command.current_dir(world.work()).output()
    };
    if strace(1000, "probe").is_ok_and(|output| output.status.success()) {
        for n in 1.. {
            let out = world.work().join(format!("out{n}"));
            fs::create_dir_all(out.join("model")).expect("a folder");
            fs::write(out.join("model/config.json"), "mine").expect("it writes");
            let output = strace(n, &format!("out{n}")).expect("it was there before");
            let is_done = output.status.success();
            well(&world, &format!("unpack demo/kit:v1 -o -d out{n}"));
            let again = well(&world, &format!("pack out{n} -t demo/kit:v1"));
            assert_eq!(again.stdout, packed, "killed at call {n}");
            assert!(!again.stderr.contains("warning"), "{}", again.stderr);
            assert!(!has_own(&out), "call {n} left something");
            if is_done {
                assert!(n > 5, "{n} calls are too few to be all");
                return;
            }
        }
    } else {
        skipped("there is no strace that may trace");
    }
}

/// A warning that is an error is one before anything is written.
#[test]
fn strictly_nothing_is_written_after_a_warning() {
    let world = World::new();
    well(&world, "pack project -t demo/kit:v1");
    let line = "unpack demo/kit:v1 -d out -f model,datasets:reviews,trian";
    refused(&world, &format!("{line} --strict"), &["nothing is called `trian`"]);
    assert!(!world.work().join("out").exists());
    let said = well(&world, line);
    assert!(said.stderr.contains("nothing is called `trian`; there is"), "{}", said.stderr);
    fs::write(world.work().join("runtime"), "#!/bin/sh\n").expect("it writes");
    let line = "image build demo/kit:v1 -t demo/image:v1 --runtime runtime --include code";
    refused(&world, &format!("{line} --strict"), &["there is no code"]);
    refused(&world, "image unpack demo/image:v1 -d image", &["demo/image:v1 is not in the layout"]);
}

/// However many files are replaced, few are open.
#[test]
fn replacing_many_files_needs_few_descriptors() {
    let world = World::new();
    let at = |name: &str| world.work().join(name);
    for folder in 0..40 {
        fs::create_dir_all(at(&format!("many/c/{folder}"))).expect("a folder");
        for file in 0..5 {
            fs::write(at(&format!("many/c/{folder}/{file}")), "x").expect("it writes");
        }
    }
    fs::write(at("many/Kitfile"), "manifestVersion: 1.0.0\ncode:\n  - path: c\n")
        .expect("it writes");
    well(&world, "pack many -t demo/many:v1");
    well(&world, "unpack demo/many:v1 -d out");
    fs::write(at("script"), "ulimit -n 90 && exec kit-rs unpack demo/many:v1 -o -d out")
        .expect("it writes");
    let said = Said::from(world.bash(&at("script")).output().expect("there is bash"));
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(said.stderr.contains("200 files"), "{}", said.stderr);
}

/// A system call that fails leaves the folder as it was.
#[test]
fn unpacking_in_which_a_call_fails_leaves_the_folder_as_it_was() {
    let world = World::new();
    well(&world, "pack project -t demo/kit:v1");
    let strace = |call: &str, n: usize, out: &str| {
        let mut command = world.command("strace");
        command.args(["-f", "-qq", "-o", "/dev/null"]);
        command.arg(format!("-einject={call}:error=EIO:when={n}"));
        command.arg(crate::world::KIT_RS).args(["unpack", "demo/kit:v1", "-o", "-d", out]);
        command.current_dir(world.work()).output()
    };
    if !strace("linkat", 1000, "probe").is_ok_and(|output| output.status.success()) {
        return skipped("there is no strace that may trace");
    }
    let mut n_failed = 0;
    for (call, n) in ["renameat", "renameat2", "linkat", "mkdirat"]
        .into_iter()
        .flat_map(|call| (1..6).map(move |n| (call, n)))
    {
        let name = format!("{call}{n}");
        let out = world.work().join(&name);
        fs::create_dir_all(out.join("model")).expect("a folder");
        fs::write(out.join("model/config.json"), "mine").expect("it writes");
        let said = Said::from(strace(call, n, &name).expect("it was there before"));
        let config = fs::read(out.join("model/config.json")).expect("a file");
        if said.code == Some(0) {
            // There are no more of these, or it was done without.
            assert_ne!(config, b"mine", "{name}");
            continue;
        }
        n_failed += 1;
        assert_eq!((said.code, config.as_slice()), (Some(1), &b"mine"[..]), "{}", said.stderr);
        assert_eq!(fs::read_dir(&out).expect("a folder").count(), 1, "{name} left something");
        assert_eq!(fs::read_dir(out.join("model")).expect("a folder").count(), 1, "{name}");
    }
    assert!(n_failed > 8, "{n_failed} calls are too few to be all");
}

fn has_own(folder: &Path) -> bool {
    let mut entries = fs::read_dir(folder).expect("a folder");
    entries.any(|entry| {
        entry.expect("it can be read").file_name().to_string_lossy().starts_with(".kit-rs-")
    })
}
