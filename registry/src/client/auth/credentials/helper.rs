//! Programs that keep credentials: `docker-credential-NAME get|store|erase`.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Credential;
use crate::{AuthError, Error, Result};

/// How long a program may take: a person may have to unlock a keychain.
const PATIENCE: Duration = Duration::from_secs(120);
/// The longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 1024 * 1024;
/// The user name that stands for an identity token.
const TOKEN_USER: &str = "<token>";

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Secret {
    #[serde(rename = "ServerURL", default)]
    server_url: String,
    username: String,
    secret: String,
}

/// Asks a program for the credential of a server; `None` when it has none.
pub(super) fn find(name: &str, server: &str) -> Result<Option<Credential>> {
    let Some(answer) = call(name, "get", server.as_bytes())? else { return Ok(None) };
    let failed = || {
        Error::from(AuthError::CredentialHelper {
            name: name.to_owned(),
            reason: "its answer is not understood".into(),
        })
    };
    let Secret { username, secret, .. } = serde_json::from_slice(&answer).map_err(|_| failed())?;
    Ok(match username.as_str() {
        TOKEN_USER => Some(Credential::Identity(secret.into())),
        "" => None,
        _ => Some(Credential::Basic { username, password: secret.into() }),
    })
}

/// Gives a program a credential to keep.
pub(super) fn store(name: &str, server: &str, credential: &Credential) -> Result<()> {
    let (username, secret) = match credential {
        Credential::Basic { username, password } => (username.as_str(), password),
        Credential::Identity(token) => (TOKEN_USER, token),
        Credential::Bearer(_) => {
            let reason = "it cannot keep a registry token".into();
            return Err(AuthError::CredentialHelper { name: name.to_owned(), reason }.into());
        }
    };
    let secret = Secret {
        server_url: server.to_owned(),
        username: username.to_owned(),
        secret: (**secret).to_owned(),
    };
    let input = Zeroizing::new(serde_json::to_vec(&secret).expect("texts are JSON"));
    call(name, "store", &input).map(drop)
}

/// Tells a program to forget a credential; false when it had none.
pub(super) fn erase(name: &str, server: &str) -> Result<bool> {
    Ok(call(name, "erase", server.as_bytes())?.is_some())
}

/// Runs the program; `None` when it says that it has no such credential.
fn call(name: &str, action: &str, input: &[u8]) -> Result<Option<Vec<u8>>> {
    let failed =
        |reason: String| Error::from(AuthError::CredentialHelper { name: name.to_owned(), reason });
    let is_name = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty() || !name.chars().all(is_name) {
        return Err(failed("that is not the name of a program".into()));
    }
    let mut child = Command::new(format!("docker-credential-{name}"))
        .arg(action)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let (mut stdin, stdout) =
        (child.stdin.take().expect("it is piped"), child.stdout.take().expect("it is piped"));
    let (sender, receiver) = mpsc::channel();
    let input = Zeroizing::new(input.to_vec());
    thread::spawn(move || {
        // A program that does not read its input says why in its answer.
        let _ = stdin.write_all(&input);
        drop(stdin);
        let mut answer = Vec::new();
        let read = stdout.take(MAX_ANSWER).read_to_end(&mut answer).map(|_| answer);
        let _ = sender.send(read);
    });
    let Ok(answer) = receiver.recv_timeout(PATIENCE) else {
        // Whether it still runs or has just ended: it is gone after this.
        let _ = child.kill();
        let _ = child.wait();
        return Err(failed("it takes too long".into()));
    };
    let answer = answer.map_err(|error| failed(error.to_string()))?;
    let status = child.wait().map_err(|error| failed(error.to_string()))?;
    match (status.success(), String::from_utf8_lossy(&answer)) {
        (true, _) => Ok(Some(answer)),
        (false, text) if text.contains("credentials not found") => Ok(None),
        // On success the answer is a secret; on failure it is the reason.
        (false, text) => Err(failed(crate::client::http::envelope::printable(&text))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_helper_never_becomes_a_path() {
        for name in ["../x", "a/b", "", "a b", "a;b"] {
            let error = find(name, "r.test").expect_err(name).to_string();
            assert!(error.contains("not the name of a program"), "{error}");
        }
    }
}
