//! The program inside the tests' images: this very test binary, which serves instead of testing
//! when its environment says so.

use std::{
    fs::Permissions,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    thread,
};

use anyhow::{Result, bail};
use fs_err as fs;

use crate::cluster::{Images, RuntimeConfig};

/// The variable that makes a server of the test below.
const IMAGE: &str = "STAND_IN_IMAGE";

/// Images by name: `good:…` serves, `never:…` never becomes ready, `crash:…` ends at once, `deaf:…`
/// does not listen, and does not heed SIGTERM either; nothing else exists.
pub(super) struct StandIns;

const DEAF: &str = "#!/bin/sh\ntrap '' TERM\nwhile :; do /bin/sleep 1; done\n";

impl Images for StandIns {
    fn unpack(&self, image: &str, into: &Path) -> Result<RuntimeConfig> {
        if image.starts_with("deaf:") {
            let script = into.join("server");
            fs::write(&script, DEAF)?;
            fs::set_permissions(&script, Permissions::from_mode(0o755))?;
            return Ok(RuntimeConfig {
                entrypoint: vec!["/server".to_owned()],
                ..RuntimeConfig::default()
            });
        }
        if !["good:", "never:", "crash:"].iter().any(|known| image.starts_with(known)) {
            bail!("manifest unknown: {image}");
        }
        std::os::unix::fs::symlink(std::env::current_exe()?, into.join("server"))?;
        let test = format!(
            "{}::serves_when_it_is_a_pod",
            module_path!().split_once("::").expect("in a crate").1
        );
        let words = ["/server", "--exact", &test, "--nocapture", "--test-threads=1"];
        Ok(RuntimeConfig {
            entrypoint: words.map(str::to_owned).to_vec(),
            env: vec![
                (IMAGE.to_owned(), image.to_owned()),
                ("KIT_RS_PORT".to_owned(), "8000".to_owned()),
            ],
            working_dir: "/".to_owned(),
        })
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a pod is told by its environment what it is")]
fn serves_when_it_is_a_pod() {
    let variable = |name| std::env::var(name).ok();
    if let (Some(image), Some(host), Some(port)) =
        (variable(IMAGE), variable("KIT_RS_HOST"), variable("KIT_RS_PORT"))
    {
        assert!(!image.starts_with("crash:"), "told to crash");
        let listener = TcpListener::bind(format!("{host}:{port}")).unwrap();
        for client in listener.incoming() {
            let image = image.clone();
            thread::spawn(move || answer(&client.unwrap(), &image));
        }
    }
}

/// Answers any path with the image's name, but `/readyz` with whether it is ready.
fn answer(client: &TcpStream, image: &str) {
    let mut lines = BufReader::new(client).lines();
    let request = lines.next().and_then(Result::ok).unwrap_or_default();
    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
    let status = match request.starts_with("GET /readyz ") && image.starts_with("never:") {
        true => "503 Service Unavailable",
        false => "200 OK",
    };
    let mut client = client;
    let _ = write!(
        client,
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{image}",
        image.len()
    );
}
