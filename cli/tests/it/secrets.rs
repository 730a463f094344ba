//! Passwords, tokens and private keys are told to nobody: not by what is printed, nor logged, nor
//! left in a file that is not made to keep them.

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fs_err as fs;

use crate::peer;
use crate::world::{Server, World};

/// Each is found nowhere by chance.
const PASSWORD: &str = "Geheim-7f3a9c51";
const TOKEN: &str = "hf_Vertraulich0e6b2d84";
const ADMIN: &str = "Verschlossen-4b1f77aa";
/// `user` and the password, with bcrypt's smallest cost.
const USERS: &str = "user:$2b$04$abcdefghijklmnopqrstuud.iKqPKbi37R3uaPqlwq0i4LM6SpTYW\n";
/// `user:PASSWORD` and others as `Authorization` has them.
const ENCODED: [&str; 2] = ["dXNlcjpHZWhlaW0tN2YzYTljNTE", "R2VoZWltLTdmM2E5YzUx"];

/// Everything that is said with all logs on, by every way in which it can be said.
struct Heard {
    world: World,
    said: Vec<(String, String)>,
}

impl Heard {
    fn run(&mut self, line: &str, change: impl Fn(&mut Command), stdin: &str) -> Output {
        let mut last = None;
        for more in [&["-vv"][..], &["-vvv", "--format", "json"], &["-v", "--log-format", "json"]] {
            let mut command = self.world.kit_rs();
            command.args(line.split(' ')).args(more);
            change(&mut command);
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut process = command.spawn().expect("the program can be started");
            let mut pipe = process.stdin.take().expect("it is piped");
            // Whoever does not read it has ended.
            let _ = pipe.write_all(stdin.as_bytes());
            drop(pipe);
            let output = process.wait_with_output().expect("it ends");
            for bytes in [&output.stdout, &output.stderr] {
                let text = String::from_utf8_lossy(bytes).into_owned();
                self.said.push((format!("{line} {more:?}"), text));
            }
            last = Some(output);
        }
        last.expect("it was run")
    }

    fn well(&mut self, line: &str, change: impl Fn(&mut Command), stdin: &str) {
        let output = self.run(line, change, stdin);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {said}");
    }

    fn ill(&mut self, line: &str, change: impl Fn(&mut Command), stdin: &str) {
        let output = self.run(line, change, stdin);
        assert!(!output.status.success(), "{line} is taken");
    }
}

fn nothing(_: &mut Command) {}

fn set(command: &mut Command, name: &str, value: &str) {
    command.env(name, value);
}

/// Files below a folder.
fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("it is there") {
        let path = entry.expect("it can be read").path();
        match path.symlink_metadata().expect("it is there") {
            kind if kind.is_dir() => files(&path, found),
            kind if kind.is_file() => found.push(path),
            _ => (),
        }
    }
}

#[test]
fn no_secret_is_told_by_output_logs_or_files() {
    let world = World::new();
    let users = world.work().join("../users");
    fs::write(&users, USERS).expect("the folder is there");
    let mut command = world.kit_rs();
    let root = world.work().join("../locked");
    command.args(["registry", "serve", "--addr", "127.0.0.1:0", "--root"]).arg(&root);
    let locked = Server::start({
        command.arg("--htpasswd").arg(&users);
        command
    });
    let there = format!("{}/demo/kit:v1", locked.address);
    let mut heard = Heard { world, said: Vec::new() };

    // The registry's password.
    let login = format!("login {} -u user", locked.address);
    heard.ill(&format!("{login} --password-stdin"), nothing, "another");
    heard.ill(&format!("login {} --password-stdin", locked.address), nothing, PASSWORD);
    heard.well(&format!("{login} --password-stdin"), nothing, PASSWORD);
    heard.well(&format!("{login} --password {PASSWORD}"), nothing, "");
    heard.ill(&format!("{login} --password {PASSWORD} --no-such-flag"), nothing, "");
    heard.ill(
        &format!("login http://user:{PASSWORD}@{} -u user -p x", locked.address),
        nothing,
        "",
    );
    heard.well(&format!("pack project -t {there}"), nothing, "");
    heard.well(&format!("push {there}"), nothing, "");
    heard.well(&format!("pull {there}"), nothing, "");
    heard.well(&format!("info {there} --remote"), nothing, "");
    let environment =
        format!(r#"{{"auths":{{"{}":{{"auth":"{}=="}}}}}}"#, locked.address, ENCODED[0]);
    heard.run(
        &format!("info {there} --remote"),
        |it| set(it, "DOCKER_AUTH_CONFIG", &environment),
        "",
    );
    let broken = environment.replace("}}}", "}}");
    heard.run(&format!("info {there} --remote"), |it| set(it, "DOCKER_AUTH_CONFIG", &broken), "");

    // The password of a key, and the key.
    let password = |it: &mut Command| set(it, "KIT_RS_PASSWORD", PASSWORD);
    let mut keygen = heard.world.kit_rs();
    keygen.args(["keygen", "--output", "sealed", "-vv"]).env("KIT_RS_PASSWORD", PASSWORD);
    let output = keygen.output().expect("the program can be started");
    assert!(output.status.success());
    heard.said.push(("keygen".to_owned(), String::from_utf8_lossy(&output.stderr).into_owned()));
    let mut keygen = heard.world.kit_rs();
    keygen.args(["keygen", "--output", "plain", "--no-password"]);
    assert!(keygen.status().expect("the program can be started").success());
    heard.well(&format!("sign {there} --key sealed.key"), password, "");
    heard.well(&format!("sign {there} --key sealed.key --password-stdin"), nothing, PASSWORD);
    heard.ill(&format!("sign {there} --key sealed.key --password-stdin"), nothing, "another");
    heard.well(&format!("sign {there} --key plain.key"), nothing, "");
    heard.well("sign ./project --key plain.key", nothing, "");
    heard.ill(&format!("verify {there} --key plain.key"), nothing, "");
    heard.ill(&format!("pull {there} --require-key plain.key"), nothing, "");
    heard.ill(&format!("sign {there} --key plain.key --cert plain.key"), nothing, "");

    // The token of a hub, which shows it in its own words, and those in addresses.
    let told = Arc::new(Mutex::new(String::new()));
    let hears = Arc::clone(&told);
    let hub = peer::start(move |head| {
        hears.lock().expect("nobody fails").push_str(head);
        ("401 Unauthorized", "content-type: text/plain\r\n".to_owned(), "no".to_owned())
    });
    let of_hub = |it: &mut Command| set(it, "HF_ENDPOINT", &format!("http://{hub}"));
    heard.ill(&format!("import org/name --token {TOKEN}"), of_hub, "");
    heard.ill(
        "import org/name",
        |it| {
            of_hub(it);
            set(it, "HF_TOKEN", TOKEN);
        },
        "",
    );
    assert!(told.lock().expect("nobody fails").contains(TOKEN), "the hub itself is told");
    heard.ill(&format!("import http://user:{TOKEN}@{hub}/org/name.git"), nothing, "");
    heard.ill(
        &format!("gitops bootstrap --no-cluster --url https://user:{TOKEN}@git.example.org/a/b"),
        nothing,
        "",
    );
    heard.ill(
        &format!("gitops push oci://user:{TOKEN}@{}/demo/files:dev", locked.address),
        nothing,
        "",
    );
    heard.ill(&format!("pull http://user:{TOKEN}@{there}"), nothing, "");
    heard.ill(
        &format!("pull {there} --proxy http://user:{TOKEN}@127.0.0.1:1 --no-such-flag"),
        nothing,
        "",
    );

    // The token of the admin routes.
    heard.ill(
        "serve ./nowhere --port 0 --admin 127.0.0.1:0",
        |it| set(it, "KIT_RS_ADMIN_TOKEN", ADMIN),
        "",
    );
    heard.run("serve --help", |it| set(it, "KIT_RS_ADMIN_TOKEN", ADMIN), "");

    let of_key = fs::read_to_string(heard.world.work().join("plain.key")).expect("it was made");
    let of_key = of_key.lines().nth(1).expect("a line of base64").to_owned();
    let secrets = [PASSWORD, TOKEN, ADMIN, ENCODED[0], ENCODED[1], &of_key];
    assert!(heard.said.iter().any(|(_, text)| text.contains("TRACE")), "nothing was logged");
    for (line, text) in &heard.said {
        for secret in secrets {
            assert!(!text.contains(secret), "{line} tells {secret}:\n{text}");
        }
    }
    let mut found = Vec::new();
    files(&heard.world.work().join(".."), &mut found);
    let mut kept = Vec::new();
    for path in found {
        let text = fs::read(&path).expect("it is there");
        let text = String::from_utf8_lossy(&text);
        if secrets.iter().any(|secret| text.contains(secret)) {
            let mode = path.metadata().expect("it is there").permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{}", path.display());
            kept.push(path.file_name().expect("a name").to_string_lossy().into_owned());
        }
    }
    kept.sort();
    assert_eq!(kept, ["credentials.json", "plain.key"], "where secrets are kept");
}

/// Whoever may look at processes sees no password of ours: what is handed on goes by pipes.
#[test]
fn helpers_are_told_secrets_by_their_stdin() {
    let world = World::new();
    let helper = world.work().join("../bin/docker-credential-noted");
    let log = world.work().join("../noted");
    let script =
        format!("#!/bin/sh\necho \"$0 $*\" >>{0}\nenv >>{0}\ncat >{0}.stdin\n", log.display());
    fs::write(&helper, script).expect("the folder is there");
    fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    let home = world.work().join("../home/kit-rs");
    fs::create_dir_all(&home).expect("a folder");
    fs::write(home.join("credentials.json"), r#"{"credsStore":"noted"}"#).expect("written");
    let mut login = world.kit_rs();
    login.args(["login", &world.typed_registry(), "-u", "user", "--password-stdin"]);
    let mut process = login.stdin(Stdio::piped()).spawn().expect("the program can be started");
    let mut pipe = process.stdin.take().expect("it is piped");
    pipe.write_all(PASSWORD.as_bytes()).expect("it reads");
    drop(pipe);
    assert!(process.wait().expect("it ends").success());
    let seen = fs::read_to_string(&log).expect("it was run");
    assert!(seen.contains("docker-credential-noted store"), "{seen}");
    assert!(!seen.contains(PASSWORD), "{seen}");
    let told = fs::read_to_string(log.with_extension("stdin")).expect("it was told");
    assert!(told.contains(PASSWORD), "{told}");
    let kept = fs::read_to_string(home.join("credentials.json")).expect("it is there");
    assert!(!kept.contains(PASSWORD) && !kept.contains(ENCODED[0]), "{kept}");
}

/// While it waits for its password, a command that makes or uses a key has shut itself up already.
#[test]
fn what_holds_a_secret_leaves_no_core_dump() {
    let core = |process: &str| {
        let limits = fs::read_to_string(format!("/proc/{process}/limits")).unwrap_or_default();
        let line = limits.lines().find_map(|line| line.strip_prefix("Max core file size"));
        line.map(|line| line.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
    };
    assert_ne!(core("self").as_deref(), Some("0 0"), "nothing could be seen here");
    let world = World::new();
    for line in ["keygen --output a --password-stdin", "login 127.0.0.1:1 --password-stdin"] {
        let mut command = world.kit_rs();
        command.args(line.split(' ')).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut process = command.stderr(Stdio::null()).spawn().expect("it can be started");
        let deadline = Instant::now() + Duration::from_secs(60);
        let id = process.id().to_string();
        while core(&id).as_deref() != Some("0 0") {
            assert!(Instant::now() < deadline, "{line} may leave a core dump: {:?}", core(&id));
            assert!(process.try_wait().expect("it is ours").is_none(), "{line} has ended");
            std::thread::yield_now();
        }
        // What others may not look into belongs to the system, whoever has started it.
        let owner = || fs::metadata(format!("/proc/{id}/environ")).expect("it runs").uid();
        while owner() != 0 {
            assert!(Instant::now() < deadline, "the environment of {line} can be read");
            std::thread::yield_now();
        }
        process.kill().expect("it runs");
        process.wait().expect("it ends");
    }
}
