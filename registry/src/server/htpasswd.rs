//! Who may come in: the users of a file that `htpasswd -B` writes.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use axum::extract::Request;
use axum::http::header::AUTHORIZATION;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fs_err as fs;
use tokio::sync::Semaphore;

use super::{Code, Failure, blocking};
use crate::content::Hasher;
use crate::{Error, Result};

/// How many passwords are checked at once. A check is slow by design; strangers must not fill the
/// machine with them.
const MAX_CHECKS: usize = 4;
/// A hash that no password has: an unknown user costs as much time as a known one.
const NOBODY: &str = "$2b$10$abcdefghijklmnopqrstuuKJJHvVBNFEBxS8lqxKWHHs9BQz4IK8m";

/// The users of a file. The file is read anew when it has changed.
#[derive(Debug)]
pub struct Htpasswd {
    path: PathBuf,
    users: Mutex<Users>,
    checks: Semaphore,
    /// Keys the memory of passwords that were right.
    key: RandomState,
}

#[derive(Debug)]
struct Users {
    read: Option<SystemTime>,
    hashes: Arc<HashMap<String, String>>,
    /// What was right once, hashed: a check by bcrypt takes a twentieth of a second, and every
    /// request brings its password.
    known: HashMap<String, String>,
}

impl Htpasswd {
    /// Reads a file: lines of `user:hash`, bcrypt's hashes only (`htpasswd -B`).
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let read = modified(&path);
        let users = Users { read, hashes: Arc::new(parse(&path)?), known: HashMap::new() };
        Ok(Self {
            path,
            users: Mutex::new(users),
            checks: Semaphore::new(MAX_CHECKS),
            key: RandomState::new(),
        })
    }

    /// Returns the user who shows a name and a password.
    pub(super) async fn user_of(
        self: &Arc<Self>,
        shown: Option<(String, String)>,
    ) -> Result<String, Failure> {
        let Some((user, password)) = shown else { return Err(refused("log in first")) };
        let seen = self.mark(&user, &password);
        if self.is_known(&user, &seen) {
            return Ok(user);
        }
        let _permit = self.checks.acquire().await.map_err(|error| Failure::internal(&error))?;
        let (htpasswd, name) = (self.clone(), user.clone());
        let is_right = blocking(move || Ok(htpasswd.check(&name, &password))).await?;
        match is_right {
            true => {
                self.users().known.insert(user.clone(), seen);
                Ok(user)
            }
            false => Err(refused("there is no such user, or the password is another one")),
        }
    }

    fn users(&self) -> std::sync::MutexGuard<'_, Users> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What stands for a password in memory.
    fn mark(&self, user: &str, password: &str) -> String {
        let mut hasher = Hasher::default();
        hasher.update(&self.key.hash_one(0).to_le_bytes());
        hasher.update(&self.key.hash_one(1).to_le_bytes());
        hasher.update(format!("{user}:{password}").as_bytes());
        hasher.finish().digest().to_owned()
    }

    fn is_known(&self, user: &str, seen: &str) -> bool {
        self.refresh();
        self.users().known.get(user).is_some_and(|known| known == seen)
    }

    /// Reads the file anew when it has changed; a broken one changes nothing.
    fn refresh(&self) {
        let found = modified(&self.path);
        let mut users = self.users();
        if users.read == found {
            return;
        }
        users.read = found;
        match parse(&self.path) {
            Ok(hashes) => (users.hashes, users.known) = (Arc::new(hashes), HashMap::new()),
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "the users are still the old ones"
            ),
        }
    }

    fn check(&self, user: &str, password: &str) -> bool {
        let hashes = self.users().hashes.clone();
        let hash = hashes.get(user).map_or(NOBODY, String::as_str);
        bcrypt::verify(password, hash).unwrap_or(false) && hashes.contains_key(user)
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|it| it.modified()).ok()
}

fn parse(path: &Path) -> Result<HashMap<String, String>> {
    let mut users = HashMap::new();
    for (i, line) in fs::read_to_string(path)?.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |reason: &str| Error::InvalidUsers {
            path: path.to_owned(),
            line: i + 1,
            reason: reason.into(),
        };
        let (user, hash) = line.split_once(':').ok_or_else(|| wrong("it is not `user:hash`"))?;
        if !["$2y$", "$2b$", "$2a$"].iter().any(|kind| hash.starts_with(kind)) {
            return Err(wrong("its hash is not bcrypt's: make it with `htpasswd -B`"));
        }
        users.insert(user.to_owned(), hash.to_owned());
    }
    Ok(users)
}

/// The name and the password that a request brings.
pub(super) fn basic(request: &Request) -> Option<(String, String)> {
    let header = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, secret) = header.split_once(' ')?;
    let decoded = String::from_utf8(STANDARD.decode(secret.trim()).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    scheme.eq_ignore_ascii_case("basic").then(|| (user.to_owned(), password.to_owned()))
}

fn refused(why: &str) -> Failure {
    Failure::new(Code::Unauthorized, why)
        .with_header("www-authenticate", "Basic realm=\"kit-rs registry\", charset=\"UTF-8\"")
}
