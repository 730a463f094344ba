//! Each way by which a model reaches its pods, on the cluster of this machine, with the program itself.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use fs_err as fs;
use serde_json::Value;

use crate::world::{KIT_RS, Server, World};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// Each app and how its model comes; the port of all of them is their own.
const APPS: [(&str, &[&str]); 3] = [
    ("mounted", &["--delivery", "image-volume"]),
    ("brought", &["--delivery", "init"]),
    ("followed", &["--delivery", "runtime", "--watch", "1"]),
];

#[test]
fn each_delivery_serves_the_model_that_git_or_the_tag_names() {
    let world = World::new();
    let kit = format!("{}/demo/sentiment:1.0.0", world.typed_registry());
    let first = published(&world, &kit);
    run(&world, &["image", "mount-face", &kit, "--push"]);
    run(&world, &["image", "server", "--tag", "registry.example/server:1", "--runtime", KIT_RS]);
    let loader = loader(&world);
    git(&world, &["init", "--quiet", "--initial-branch=main", "infra"]);
    let url = "https://git.example.com/infra.git";
    let bootstrap = ["gitops", "bootstrap", "--url", url, "--branch", "main", "--no-cluster"];
    run(&world, &[&bootstrap[..], &["--dir", "infra"]].concat());
    for (app, how) in APPS {
        let render = ["gitops", "render", "registry.example/server:1", "--dir", "infra"];
        run(&world, &[&render[..], &["--app", app, "--modelkit", &kit], how].concat());
        let path = world.work().join(format!("infra/apps/{app}/deployment.yaml"));
        start_by(&loader, &path);
    }
    git(&world, &["-C", "infra", "add", "--all"]);
    git(&world, &["-C", "infra", "commit", "--quiet", "--message", "three apps"]);

    let mut up = world.kit_rs();
    up.args(["gitops", "up", "--addr", "127.0.0.1:0", "--source", &format!("{url}=infra")]);
    let told = world.work().join("told");
    up.stderr(std::fs::File::create(&told).expect("the folder is there"));
    let cluster = Server::start(up);
    let said = || fs::read_to_string(&told).expect("it is text");
    wait("the cluster says what pods have", &said, || {
        said().contains("pods have their image").then_some(()).or_else(|| {
            // Nothing is mounted where the machine gives no namespaces: there is nothing to see.
            said().contains("pods are plain processes").then_some(())
        })
    });
    if said().contains("pods are plain processes") {
        return;
    }
    for (app, _) in APPS {
        let digest = wait(app, &said, || served(&cluster, app));
        assert_eq!(digest, first, "{app}");
    }
    let path = world.work().join("project/Kitfile");
    let text = fs::read_to_string(&path).expect("it is there");
    fs::write(&path, text.replace("version: 1.0.0", "version: 1.0.1")).expect("it can be written");
    let second = published(&world, &kit);
    assert_ne!(first, second);
    wait("the tag is followed", &said, || {
        served(&cluster, "followed").filter(|digest| *digest == second)
    });
    // What Git pins stays, whatever the tag names.
    for app in ["mounted", "brought"] {
        assert_eq!(served(&cluster, app).as_ref(), Some(&first), "{app}");
    }
}

/// Packs and pushes the project; its digest.
fn published(world: &World, kit: &str) -> String {
    run(world, &["pack", "project", "--tag", kit]);
    let pushed = run(world, &["push", kit]);
    pushed["digest"].as_str().expect("a text").to_owned()
}

/// An image with the program under test and the libraries that it is linked against: it is not
/// static, as the one of a release is.
fn loader(world: &World) -> String {
    let dir = world.work().join("loader");
    for library in libraries() {
        let to = dir.join(library.trim_start_matches('/'));
        fs::create_dir_all(to.parent().expect("it has one")).expect("it can be made");
        // What loads the others has to be executable, as it is here.
        fs::copy(library, to).expect("it can be written");
    }
    let folders: Vec<String> = fs::read_dir(&dir)
        .expect("it is there")
        .map(|entry| entry.expect("it can be read").file_name().to_string_lossy().into_owned())
        .collect();
    let code: String = folders.iter().map(|folder| format!("  - path: {folder}\n")).collect();
    let kitfile = format!("manifestVersion: 1.0.0\npackage:\n  name: loader\ncode:\n{code}");
    fs::write(dir.join("Kitfile"), kitfile).expect("it can be written");
    run(world, &["pack", "loader", "--tag", "demo/loader:1"]);
    let image = format!("{}/demo/loader:image", world.typed_registry());
    let build = ["image", "build", "demo/loader:1", "--tag", &image, "--runtime", KIT_RS];
    run(world, &[&build[..], &["--include", "code"]].concat());
    run(world, &["push", &image]);
    image
}

/// The libraries that the program loads, where it looks for them.
fn libraries() -> Vec<String> {
    let output = std::process::Command::new("ldd").arg(KIT_RS).output().expect("ldd is there");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let paths = text.lines().filter_map(|line| line.split("=>").last()?.split_whitespace().next());
    paths.filter(|path| path.starts_with('/')).map(str::to_owned).collect()
}

/// Has the containers of a Deployment run the program from another image.
fn start_by(image: &str, path: &Path) {
    let text = fs::read_to_string(path).expect("it was rendered");
    let lines = text.lines().map(|line| match line.trim_start() {
        it if it.starts_with("image: ") && it.len() > "image: ".len() => {
            let pad = " ".repeat(line.len() - it.len());
            format!("{pad}image: {image}\n{pad}command: [/kit-rs]\n")
        }
        _ => format!("{line}\n"),
    });
    fs::write(path, lines.collect::<String>()).expect("it can be written");
}

/// The digest that an app's answers carry, once it answers.
fn served(cluster: &Server, app: &str) -> Option<String> {
    let path = format!("/api/v1/namespaces/{app}/services/{app}");
    let service = ask(&cluster.address, &format!("GET {path} HTTP/1.1"), "")?;
    let service: Value = serde_json::from_str(service.split_once("\r\n\r\n")?.1).ok()?;
    let address = service.pointer("/spec/clusterIP")?.as_str()?;
    let request = "POST /predict HTTP/1.1\r\ncontent-type: application/json";
    let answer = ask(&format!("{address}:8000"), request, "{\"text\": \"good\"}")?;
    let digest = answer.lines().find_map(|line| line.strip_prefix("x-modelkit-digest: "))?;
    answer.starts_with("HTTP/1.1 200 ").then(|| digest.to_owned())
}

/// An answer, head and body; none where nobody gives one.
fn ask(address: &str, request: &str, body: &str) -> Option<String> {
    let mut connection = TcpStream::connect(address).ok()?;
    connection.set_read_timeout(Some(PATIENCE)).ok()?;
    let length = body.len();
    write!(
        connection,
        "{request}\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .ok()?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).ok()?;
    Some(answer)
}

fn wait<T>(what: &str, said: &dyn Fn() -> String, mut find: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} does not come true:\n{}", said());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The program's answer, which is a document.
fn run(world: &World, args: &[&str]) -> Value {
    let output = world.kit_rs().args(args).args(["--format", "json"]).output();
    let output = output.expect("the program can be started");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("it is JSON")
}

fn git(world: &World, args: &[&str]) {
    let output = world.command("git").args(args).current_dir(world.work()).output();
    let output = output.expect("git is installed");
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}
