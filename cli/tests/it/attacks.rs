//! Attacks on whoever takes models by their signature, seen from the command line: each test is
//! called after its class. Those on signatures themselves are tests of `kit-trust`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fs_err as fs;
use registry::content;
use serde_json::Value;

use crate::peer;
use crate::world::{World, here};

fn run(world: &World, line: &str) -> Output {
    world.kit_rs().args(line.split(' ')).output().expect("the program can be started")
}

fn well(world: &World, line: &str) -> String {
    let output = run(world, line);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {said}");
    String::from_utf8(output.stdout).expect("it is UTF-8").trim().to_owned()
}

/// Refused with exit code 1, and with these words.
fn refused(world: &World, line: &str, kind: &str, expected: &str) {
    let output = run(world, &format!("{line} --format json"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{line}: {said}");
    let document: Value = serde_json::from_str(said.lines().last().unwrap_or_default())
        .unwrap_or_else(|error| panic!("{error}: {said}"));
    assert_eq!(document["kind"], kind, "{line}: {document}");
    assert!(said.contains(expected), "{line}: {said}");
}

/// A world with keys, and a ModelKit that is signed under a tag; returns its reference and digest.
fn signed() -> (World, String, String) {
    let world = World::new();
    let there = format!("{}/demo/kit:v1", world.typed_registry());
    well(&world, "keygen --no-password --output ours");
    well(&world, &format!("pack project -t {there}"));
    well(&world, &format!("push {there}"));
    let pinned = well(&world, &format!("sign {there} --key ours.key"));
    let digest = pinned.split_once('@').expect("it is pinned").1.to_owned();
    well(&world, &format!("remove {there}"));
    (world, there, digest)
}

/// Another ModelKit, which nobody has signed, under the tag that is trusted.
fn replace(world: &World, there: &str) {
    fs::write(world.work().join("project/README.md"), "theirs").expect("the folder is there");
    well(world, &format!("pack project -t {there}"));
    well(world, &format!("push {there}"));
    well(world, &format!("remove {there}"));
}

/// What the registry holds under a digest.
fn stored(world: &World, digest: &str) -> std::path::PathBuf {
    let hex = digest.strip_prefix("sha256:").expect("a digest");
    world.work().join("../registry/blobs/sha256").join(hex)
}

#[test]
fn tag_pointed_at_another_modelkit() {
    let (world, there, digest) = signed();
    well(&world, &format!("unpack {there} -d before --require-key ours.pub"));
    replace(&world, &there);
    for line in ["pull", "unpack -d out"] {
        refused(
            &world,
            &format!("{line} {there} --require-key ours.pub"),
            "untrusted",
            "has no signature",
        );
    }
    assert!(!world.work().join("out").exists(), "nothing was written");
    let pinned = format!("{}@{digest}", there.trim_end_matches(":v1"));
    well(&world, &format!("unpack {pinned} -d out --require-key ours.pub"));
}

/// The registry names the signed one to whoever asks first, and another one to whoever asks again.
#[test]
fn tag_that_moves_between_check_and_use() {
    let (world, there, digest) = signed();
    let text = |digest: &str| fs::read_to_string(stored(&world, digest)).expect("it is there");
    let genuine = text(&digest);
    let referrers = well_referrers(&world, &there, &digest);
    replace(&world, &there);
    let theirs = {
        let said = world
            .command("curl")
            .args(["-s", "-H", "accept: application/vnd.oci.image.manifest.v1+json"])
            .arg(format!("http://{}/v2/demo/kit/manifests/v1", world.typed_registry()))
            .output()
            .expect("curl can be started");
        String::from_utf8(said.stdout).expect("JSON is UTF-8")
    };
    assert_ne!(content::digest(theirs.as_bytes()).to_string(), digest);
    let (asked, real) = (Arc::new(AtomicUsize::new(0)), world.typed_registry());
    let (count, blobs) = (Arc::clone(&asked), stored(&world, &digest));
    let liar = peer::start(move |head| {
        let path = head.split(' ').nth(1).unwrap_or_default();
        let manifest = "content-type: application/vnd.oci.image.manifest.v1+json\r\n".to_owned();
        let index = "content-type: application/vnd.oci.image.index.v1+json\r\n".to_owned();
        if path.ends_with("/manifests/v1") {
            let is_first = head.starts_with("HEAD ") || count.fetch_add(1, Ordering::SeqCst) == 0;
            let body = if is_first { &genuine } else { &theirs };
            return ("200 OK", manifest, body.clone());
        }
        if path.contains("/referrers/") {
            return ("200 OK", index, referrers.clone());
        }
        if let Some((_, hex)) = path.split_once("/manifests/sha256:") {
            let found = std::fs::read_to_string(blobs.with_file_name(hex));
            return match found {
                Ok(text) => ("200 OK", manifest, text),
                Err(_) => ("404 Not Found", String::new(), String::new()),
            };
        }
        match path.contains("/blobs/") {
            true => (
                "307 Temporary Redirect",
                format!("location: http://{real}{path}\r\n"),
                String::new(),
            ),
            false => ("200 OK", String::new(), String::new()),
        }
    });
    let lied = format!("{liar}/demo/kit:v1");
    well(&world, &format!("unpack {lied} -d out --require-key ours.pub"));
    assert_eq!(asked.load(Ordering::SeqCst), 1, "it is resolved once");
    let taken = fs::read_to_string(world.work().join("out/README.md")).expect("it was unpacked");
    assert_ne!(taken, "theirs");
    // Asked anew it is the other one, which is not taken.
    refused(
        &world,
        &format!("unpack {lied} -d again --require-key ours.pub"),
        "untrusted",
        "has no signature",
    );
    assert!(!world.work().join("again").exists());
}

/// The list of what refers to the signed one, as the registry gives it.
fn well_referrers(world: &World, there: &str, digest: &str) -> String {
    let (registry, _) = there.split_once('/').expect("a reference");
    let url = format!("http://{registry}/v2/demo/kit/referrers/{digest}");
    let said = world.command("curl").args(["-s", &url]).output().expect("curl can be started");
    String::from_utf8(said.stdout).expect("JSON is UTF-8")
}

/// Somebody who can write to the registry's disk: what is signed names the digests of all layers.
#[test]
fn layer_replaced_in_the_registry() {
    let (world, there, digest) = signed();
    let manifest: Value =
        serde_json::from_slice(&fs::read(stored(&world, &digest)).expect("it is there"))
            .expect("JSON");
    let layer = manifest["layers"][0]["digest"].as_str().expect("a digest");
    let path = stored(&world, layer);
    let mut bytes = fs::read(&path).expect("it is there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).expect("it can be written");
    refused(&world, &format!("unpack {there} -d out --require-key ours.pub"), "damaged", layer);
    assert!(!world.work().join("out").exists(), "nothing was written");
    refused(&world, &format!("pull {there} --require-key ours.pub"), "damaged", layer);
    assert_eq!(well(&world, "list --format json"), "[]", "nothing was kept under a name");
}

/// A layer is added to the manifest that was signed.
#[test]
fn unsigned_layer_added() {
    let (world, there, digest) = signed();
    let mut manifest: Value =
        serde_json::from_slice(&fs::read(stored(&world, &digest)).expect("it is there"))
            .expect("JSON");
    let layers = manifest["layers"].as_array_mut().expect("a list");
    layers.push(layers.last().expect("one").clone());
    let text = manifest.to_string();
    let put = world
        .command("curl")
        .args(["-sf", "-X", "PUT", "-H"])
        .arg("content-type: application/vnd.oci.image.manifest.v1+json")
        .args(["--data-binary", &text])
        .arg(format!("http://{}/v2/demo/kit/manifests/v1", world.typed_registry()))
        .status();
    assert!(put.expect("curl can be started").success());
    refused(
        &world,
        &format!("unpack {there} -d out --require-key ours.pub"),
        "untrusted",
        content::digest(text.as_bytes()).as_ref(),
    );
    assert!(!world.work().join("out").exists());
}

#[test]
fn certificate_of_another_root() {
    let (world, there, _) = signed();
    let certificates = here().join("../registry/trust/testdata/certificates");
    for name in ["signer.key", "chain.pem", "root.pem", "other-root.pem", "expired.pem"] {
        fs::copy(certificates.join(name), world.work().join(name)).expect("it is checked in");
    }
    let verify = |what: &str, root: &str| format!("verify {what} --cert-root {root}");
    refused(&world, &verify(&there, "root.pem"), "untrusted", "it brings no certificate");
    refused(
        &world,
        &format!("sign {there} --key ours.key --cert chain.pem"),
        "invalid",
        "it is for the key SHA256:",
    );
    well(&world, &format!("sign {there} --key signer.key --cert chain.pem"));
    well(&world, "sign ./project --key signer.key --cert chain.pem");
    for what in [there.as_str(), "./project"] {
        let told = well(&world, &format!("{} --format json", verify(what, "root.pem")));
        let told: Value = serde_json::from_str(&told).expect("JSON");
        let certificate = told["certificate"].as_str().expect("it counts by one");
        assert!(certificate.starts_with("\"demo team\" (SHA256:"), "{told}");
    }
    refused(&world, &verify(&there, "other-root.pem"), "untrusted", "does not count");
    refused(&world, &verify("./project", "other-root.pem"), "invalid", "does not count");
    // A policy by roots says the same, before anything is brought.
    let policy = |root: &str| {
        let text = format!("mode: enforce\nroots: [{root}]\n");
        fs::write(world.work().join("by-roots.yaml"), text).expect("written");
    };
    let pull = format!("pull {there} --trust-policy by-roots.yaml");
    policy("other-root.pem");
    refused(&world, &pull, "untrusted", "does not count");
    policy("expired.pem");
    refused(&world, &pull, "invalid", "none of them is valid at this time");
    policy("root.pem");
    well(&world, &pull);
    // It is the clock of now that counts.
    well(&world, "sign ./project --key signer.key --cert expired.pem");
    refused(&world, &verify("./project", "root.pem"), "invalid", "valid no more");
    refused(&world, &verify("./project", "expired.pem"), "invalid", "none of them is valid");
}

/// A running server: what it says on stderr is read by nobody.
struct Serving {
    process: Child,
    admin: String,
    url: String,
}

impl Serving {
    fn start(world: &World, line: &str) -> Self {
        let mut command = world.kit_rs();
        command.args(line.split(' ')).args(["--format", "json"]);
        let mut process = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program can be started");
        let mut text = String::new();
        let mut stdout = BufReader::new(process.stdout.take().expect("it is piped"));
        while !text.ends_with("}\n") {
            let n = stdout.read_line(&mut text).expect("it is read");
            assert!(n > 0, "it ended: {text}");
        }
        let said: Value = serde_json::from_str(&text).expect("JSON");
        let of = |key: &str| said[key].as_str().unwrap_or_default().replace("http://", "");
        Self { process, admin: of("admin"), url: of("url") }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Asks over HTTP; returns the status and the rest of the answer.
fn ask(address: &str, method: &str, path: &str, body: &str) -> (String, String) {
    let mut connection = TcpStream::connect(address).expect("it listens");
    let n = body.len();
    write!(
        connection,
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {n}\r\n\r\n{body}"
    )
    .expect("it is sent");
    let mut said = String::new();
    connection.read_to_string(&mut said).expect("it answers");
    (said.split(' ').nth(1).unwrap_or_default().to_owned(), said)
}

#[test]
fn reload_of_an_unsigned_modelkit() {
    let (world, there, digest) = signed();
    let server = Serving::start(
        &world,
        &format!("serve {there} --port 0 --require-key ours.pub --admin 127.0.0.1:0"),
    );
    replace(&world, &there);
    for (method, path, more) in [
        ("POST", "/admin/reload", ""),
        ("PUT", "/admin/canary", r#","share":"50%""#),
        ("PUT", "/admin/shadow", ""),
    ] {
        let order = format!(r#"{{"reference":"{there}"{more}}}"#);
        let (status, said) = ask(&server.admin, method, path, &order);
        assert!(!status.starts_with('2'), "{path}: {said}");
        assert!(said.contains("has no signature"), "{path}: {said}");
    }
    let (status, said) = ask(&server.admin, "GET", "/admin", "");
    assert_eq!(status, "200", "{said}");
    assert!(said.contains(&digest) && said.contains(r#""canary":null"#), "{said}");
    assert_eq!(ask(&server.url, "GET", "/readyz", "").0, "200", "the old one keeps serving");
}

#[test]
fn served_files_changed_since_they_were_signed() {
    let (world, ..) = signed();
    well(&world, "sign ./project/model --key ours.key");
    // The folder itself, and one in which a Kitfile names it, as in a runtime image.
    let lines = ["./project/model", "./project"]
        .map(|dir| format!("serve {dir} --port 0 --require-key ours.pub"));
    for line in &lines {
        let server = Serving::start(&world, line);
        assert_eq!(ask(&server.url, "GET", "/readyz", "").0, "200");
    }
    fs::write(world.work().join("project/model/code.py"), "").expect("the folder is there");
    for line in &lines {
        refused(&world, line, "untrusted", "code.py was not signed");
    }
}
