//! The program inside the tests' images: this very test binary, which serves instead of testing
//! when its environment says so.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, thread};

use fs_err as fs;
use kit_cluster::{Artifacts, BoxError, Images, RuntimeConfig};

/// The variable that makes a server of the test below.
const IMAGE: &str = "STAND_IN_IMAGE";

/// Images by name: `good:…` and `root:…` serve, `never:…` never becomes ready, `crash:…` ends at
/// once, `deaf:…` does not listen, and does not heed SIGTERM either, `init:…` writes into `/data` and
/// ends; `volume:…` has a file and no program. Nothing else exists.
pub(super) struct StandIns;

impl Images for StandIns {
    fn unpack(&self, image: &str, into: &Path) -> Result<RuntimeConfig, BoxError> {
        let (name, _) = image.split_once(':').ok_or("no tag")?;
        if name == "volume" {
            fs::write(into.join("weights"), "1")?;
            return Ok(RuntimeConfig::default());
        }
        if !["good", "root", "never", "crash", "deaf", "init"].contains(&name) {
            return Err(format!("manifest unknown: {image}").into());
        }
        install(into)?;
        let module = module_path!().split_once("::").expect("in a crate").1;
        let test = format!("{module}::serves_when_it_is_a_pod");
        let words = ["/server", "--exact", &test, "--nocapture", "--test-threads=1"];
        let env = [(IMAGE, image), ("KIT_RS_PORT", "8000"), ("LD_LIBRARY_PATH", "/lib")];
        Ok(RuntimeConfig {
            entrypoint: words.map(str::to_owned).to_vec(),
            env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            working_dir: "/".to_owned(),
            user: if name == "root" { "" } else { "65532:65532" }.to_owned(),
            ..RuntimeConfig::default()
        })
    }
}

/// Artifacts by tag: the folder of that name below this one has the files, and beside it the digest
/// lies in a file.
pub(super) struct Shelf(pub(super) PathBuf);

impl Artifacts for Shelf {
    fn resolve(&self, artifact: &str) -> Result<String, BoxError> {
        let (_, tag) = artifact.rsplit_once(':').ok_or("no tag")?;
        Ok(fs::read_to_string(self.0.join(format!("{tag}.digest")))?)
    }

    fn tags(&self, _: &str) -> Result<Vec<String>, BoxError> {
        let files = fs::read_dir(&self.0)?.map(|file| Ok(file?.file_name().into_string()));
        let names: Vec<String> =
            files.collect::<Result<Vec<_>, BoxError>>()?.into_iter().flatten().collect();
        Ok(names
            .iter()
            .filter_map(|name| name.strip_suffix(".digest"))
            .map(str::to_owned)
            .collect())
    }

    fn unpack(
        &self,
        artifact: &str,
        digest: &str,
        media_type: Option<&str>,
        into: &Path,
    ) -> Result<BTreeMap<String, String>, BoxError> {
        let (_, tag) = artifact.rsplit_once(':').ok_or("no tag")?;
        if self.resolve(artifact)? != digest {
            return Err(format!("{digest} is gone").into());
        }
        // The layer of a media type is the folder that has its name.
        let layer = media_type.unwrap_or_default().replace('/', "_");
        let folder = self.0.join(tag).join(layer);
        if !folder.is_dir() {
            return Err(format!("no layer {}", media_type.unwrap_or_default()).into());
        }
        for file in fs::read_dir(folder)? {
            let file = file?;
            fs::copy(file.path(), into.join(file.file_name()))?;
        }
        Ok(BTreeMap::new())
    }
}

/// Puts this program into an image, and the shared libraries that it runs with.
fn install(into: &Path) -> Result<(), BoxError> {
    fs::create_dir(into.join("lib"))?;
    // Where the program looks for what loads the others, and which x86-64 alone has.
    fs::create_dir(into.join("lib64"))?;
    fs::copy(env::current_exe()?, into.join("server"))?;
    let maps = fs::read_to_string("/proc/self/maps")?;
    for library in maps.lines().filter_map(|line| line.split_whitespace().nth(5)) {
        let library = Path::new(library);
        let Some(name) = library.file_name().filter(|name| name.to_string_lossy().contains(".so"))
        else {
            continue;
        };
        for folder in ["lib", "lib64"] {
            fs::copy(library, into.join(folder).join(name))?;
        }
    }
    Ok(())
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a pod is told by its environment what it is")]
fn serves_when_it_is_a_pod() {
    let variable = |name| env::var(name).ok();
    if let (Some(image), Some(host), Some(port)) =
        (variable(IMAGE), variable("KIT_RS_HOST"), variable("KIT_RS_PORT"))
    {
        assert!(!image.starts_with("crash:"), "told to crash");
        if image.starts_with("init:") {
            let words = variable("STAND_IN_WORDS").unwrap_or_default();
            return fs::write("/data/first", words).unwrap();
        }
        if image.starts_with("deaf:") {
            ctrlc::set_handler(|| ()).unwrap();
            thread::sleep(Duration::from_secs(3600));
        }
        let listener = TcpListener::bind(format!("{host}:{port}")).unwrap();
        for client in listener.incoming() {
            let image = image.clone();
            thread::spawn(move || answer(&client.unwrap(), &image));
        }
    }
}

/// Answers any path with the image's name, but `/readyz` with whether it is ready, and some with
/// what a pod can see and do.
fn answer(client: &TcpStream, image: &str) {
    let mut lines = BufReader::new(client).lines();
    let request = lines.next().and_then(Result::ok).unwrap_or_default();
    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
    let status = match request.starts_with("GET /readyz ") && image.starts_with("never:") {
        true => "503 Service Unavailable",
        false => "200 OK",
    };
    let target = request.split_whitespace().nth(1).unwrap_or_default();
    let answer = match target.split_once('?').unwrap_or((target, "")) {
        ("/env", _) => sorted(env::vars().map(|(name, value)| format!("{name}={value}")), "\n"),
        ("/list", dir) => sorted(names(dir), " "),
        ("/write", path) => match std::fs::write(path, "x") {
            Ok(()) => "written".to_owned(),
            Err(error) => error.to_string(),
        },
        ("/read", path) => std::fs::read_to_string(path).unwrap_or_else(|error| error.to_string()),
        ("/who", _) => who(),
        ("/ask", port) => ask(port),
        _ => image.to_owned(),
    };
    let mut client = client;
    let _ = write!(
        client,
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{answer}",
        answer.len()
    );
}

/// What another container of the pod answers.
#[expect(clippy::disallowed_methods, reason = "a pod learns its address by its environment")]
fn ask(port: &str) -> String {
    let host = env::var("KIT_RS_HOST").unwrap();
    crate::fixture::ask(&format!("http://{host}:{port}/")).unwrap_or_else(|error| error)
}

fn sorted(words: impl Iterator<Item = String>, separator: &str) -> String {
    let mut words: Vec<_> = words.collect();
    words.sort();
    words.join(separator)
}

fn names(dir: &str) -> impl Iterator<Item = String> {
    let entries = std::fs::read_dir(dir).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap())
}

/// User and effective capabilities, as the kernel has them.
fn who() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let lines = status.lines().filter(|line| line.starts_with("Uid") || line.starts_with("CapEff"));
    lines.map(|line| line.replace(":\t", ": ").replace('\t', " ")).collect::<Vec<_>>().join(", ")
}
