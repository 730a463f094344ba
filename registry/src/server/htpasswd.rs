//! Who may come in: the users of a file that `htpasswd -B` writes.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use axum::http::header::AUTHORIZATION;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use fs_err as fs;
use futures_util::StreamExt as _;

use super::checks::Checks;
use super::limits::{MAX_IN_MEMORY, MAX_USERS_FILE, RECHECK};
use super::{Code, Failure, blocking};
use crate::content::Hasher;
use crate::{Error, Result};

/// The end of a hash that no password has, behind its cost.
const NOBODY: &str = "$abcdefghijklmnopqrstuuKJJHvVBNFEBxS8lqxKWHHs9BQz4IK8m";
/// How long a hash of bcrypt is.
const HASH_LENGTH: usize = 60;

/// The users of a file. The file is read for every request: whoever is not in it any more is out.
#[derive(Debug)]
pub struct Htpasswd {
    path: PathBuf,
    users: Mutex<Users>,
    checks: Arc<Checks>,
    /// Keys the memory of passwords that were right.
    key: RandomState,
}

#[derive(Debug, Default)]
struct Users {
    /// The file as it was read last; `None` when it could not be read.
    text: Option<String>,
    hashes: HashMap<String, String>,
    /// What was right once: a check by bcrypt takes a twentieth of a second, and every request
    /// brings its password.
    known: HashMap<String, Known>,
}

/// A password that was right, for as long as the file has the hash that it was right for.
#[derive(Clone, Debug)]
struct Known {
    /// Stands for the password in memory.
    mark: String,
    hash: String,
}

/// A user who has come in. What he has under way ends when he is taken out of the file, or gets
/// another password.
#[derive(Clone, Debug)]
pub(super) struct Login {
    users: Arc<Htpasswd>,
    pub(super) user: String,
    hash: String,
}

impl Htpasswd {
    /// Reads a file: lines of `user:hash`, bcrypt's hashes only (`htpasswd -B`).
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let text = read(&path)?;
        let hashes: HashMap<_, _> = lines(&path, &text).collect::<Result<_>>()?;
        let users = Users { text: Some(text), hashes, known: HashMap::new() };
        Ok(Self { path, users: Mutex::new(users), checks: Arc::default(), key: RandomState::new() })
    }

    /// Lets in the user who shows a name and a password.
    pub(super) async fn login(
        self: &Arc<Self>,
        shown: Option<(String, String)>,
    ) -> Result<Login, Failure> {
        let Some((user, password)) = shown else { return Err(refused("log in first")) };
        let mark = self.mark(&user, &password);
        if let Some(login) = self.known(&user, &mark) {
            return Ok(login);
        }
        let turn = self.checks.turn().await?;
        // Somebody else may have shown the same meanwhile.
        if let Some(login) = self.known(&user, &mark) {
            return Ok(login);
        }
        let (htpasswd, name) = (self.clone(), user.clone());
        // The turn goes with the check, which runs on when whoever asked for it hangs up.
        let checked = blocking(move || Ok((htpasswd.check(&name, &password), turn))).await?;
        if let (Some(hash), _turn) = checked {
            self.users().known.insert(user.clone(), Known { mark: mark.clone(), hash });
        }
        // Only what the file says now counts, not what it said when the check began.
        self.known(&user, &mark)
            .ok_or_else(|| refused("there is no such user, or the password is another one"))
    }

    fn users(&self) -> MutexGuard<'_, Users> {
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

    fn known(self: &Arc<Self>, user: &str, mark: &str) -> Option<Login> {
        let users = self.refreshed();
        let known = users.known.get(user).filter(|known| known.mark == mark)?;
        let is_his = users.hashes.get(user) == Some(&known.hash);
        is_his.then(|| Login { users: self.clone(), user: user.into(), hash: known.hash.clone() })
    }

    /// The users as the file has them now. A file that cannot be read has none, and a line that is
    /// no user lets nobody in: whoever was taken out is out, however the rest of the file looks.
    fn refreshed(&self) -> MutexGuard<'_, Users> {
        let found = read(&self.path);
        let mut users = self.users();
        if found.as_ref().ok() == users.text.as_ref() {
            return users;
        }
        let log = |error: &Error| {
            let error = error as &dyn std::error::Error;
            tracing::error!(error, "the file of users is not as it should be");
        };
        users.hashes = match &found {
            Ok(text) => {
                let lines = lines(&self.path, text);
                lines.filter_map(|line| line.inspect_err(log).ok()).collect()
            }
            Err(error) => {
                log(error);
                HashMap::new()
            }
        };
        users.text = found.ok();
        let Users { hashes, known, .. } = &mut *users;
        known.retain(|user, known| hashes.get(user) == Some(&known.hash));
        users
    }

    /// Checks a password; returns the hash that it is right for. An unknown user costs as much time
    /// as a known one.
    fn check(&self, user: &str, password: &str) -> Option<String> {
        let (hash, decoy) = {
            let users = self.users();
            (users.hashes.get(user).cloned(), self.decoy(user, &users.hashes))
        };
        let is_right = bcrypt::verify(password, hash.as_ref().unwrap_or(&decoy)).unwrap_or(false);
        hash.filter(|_| is_right)
    }

    /// A hash that no password has, with the cost of one of the file's: which one's is drawn by the
    /// name, so that it is always the same.
    fn decoy(&self, user: &str, hashes: &HashMap<String, String>) -> String {
        let mut costs: Vec<&str> = hashes.values().map(|hash| &hash[..6]).collect();
        costs.sort_unstable();
        let drawn = self.key.hash_one(user) % costs.len().max(1) as u64;
        format!("{}{NOBODY}", costs.get(drawn as usize).copied().unwrap_or("$2b$10"))
    }
}

impl Login {
    /// Says whether the file still has the user, with the same password.
    fn holds(&self) -> bool {
        self.users.refreshed().hashes.get(&self.user) == Some(&self.hash)
    }

    /// A body that breaks off when the user is taken out while it is on its way.
    pub(super) fn guard(self, body: Body) -> Body {
        if body.size_hint().exact().is_some_and(|size| size <= MAX_IN_MEMORY) {
            return body;
        }
        let mut checked = Instant::now();
        let pieces = body.into_data_stream().map(move |piece| {
            let piece: Bytes = piece.map_err(std::io::Error::other)?;
            if checked.elapsed() >= RECHECK {
                checked = Instant::now();
                if !self.holds() {
                    return Err(std::io::Error::other("the user was taken out"));
                }
            }
            Ok(piece)
        });
        Body::from_stream(pieces)
    }
}

fn read(path: &Path) -> Result<String> {
    let mut text = String::new();
    let file = fs::File::open(path)?;
    if file.take(MAX_USERS_FILE + 1).read_to_string(&mut text)? as u64 > MAX_USERS_FILE {
        let reason = format!("the file has more than {MAX_USERS_FILE} bytes");
        return Err(Error::InvalidUsers { path: path.into(), line: text.lines().count(), reason });
    }
    Ok(text)
}

/// The users of a file, and what is wrong with the lines that are none.
fn lines<'a>(path: &'a Path, text: &'a str) -> impl Iterator<Item = Result<(String, String)>> + 'a {
    let wrong = move |line, reason: &str| {
        Err(Error::InvalidUsers { path: path.into(), line, reason: reason.into() })
    };
    let lines = text.lines().map(str::trim).zip(1..);
    lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#')).map(
        move |(line, number)| {
            let Some((user, hash)) = line.split_once(':') else {
                return wrong(number, "it is not `user:hash`");
            };
            match is_bcrypt(hash) {
                true => Ok((user.to_owned(), hash.to_owned())),
                false => wrong(number, "its hash is not bcrypt's: make it with `htpasswd -B`"),
            }
        },
    )
}

/// `$2y$<cost>$<salt and hash>`
fn is_bcrypt(hash: &str) -> bool {
    hash.len() == HASH_LENGTH
        && hash.is_ascii()
        && ["$2y$", "$2b$", "$2a$"].iter().any(|kind| hash.starts_with(kind))
        && hash[4..6].parse::<u32>().is_ok_and(|cost| (4..=31).contains(&cost))
        && hash[6..].starts_with('$')
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_user_costs_as_much_as_one_of_the_file() {
        let dir = tempfile::tempdir().expect("there is a place for temporary files");
        let path = dir.path().join("users");
        let hash = "$2y$04$08bx3XJKJXtYs4FeQk2mnOaq1/zpIJQZvWsa1GIZjMbUPCYMJEv.C";
        fs::write(&path, format!("user:{hash}\n")).expect("it writes");
        let users = Htpasswd::open(&path).expect("a user");
        let decoy = users.decoy("nobody", &users.users().hashes);
        assert_eq!((&decoy[..7], decoy.len()), (&hash[..7], hash.len()));
        assert!(!bcrypt::verify("secret", &decoy).expect("it is computed, not refused"));
        assert_eq!(users.check("user", "secret").as_deref(), Some(hash));
        assert_eq!((users.check("user", "wrong"), users.check("nobody", "secret")), (None, None));
    }
}
