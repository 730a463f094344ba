//! An entry of `auths` in Docker's `config.json`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Credential;

#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Entry {
    #[serde(skip_serializing_if = "String::is_empty")]
    auth: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    username: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    password: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    identitytoken: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    registrytoken: String,
}

impl Entry {
    pub(super) fn new(credential: &Credential) -> Self {
        match credential {
            Credential::Basic { username, password } => {
                let text = Zeroizing::new(format!("{username}:{}", &**password));
                Self { auth: STANDARD.encode(&*text), ..Self::default() }
            }
            Credential::Identity(token) => {
                Self { identitytoken: (**token).to_owned(), ..Self::default() }
            }
            Credential::Bearer(token) => {
                Self { registrytoken: (**token).to_owned(), ..Self::default() }
            }
        }
    }

    /// Returns what it holds; an empty one stands for a login that a helper program keeps.
    pub(super) fn credential(self) -> Option<Credential> {
        if !self.registrytoken.is_empty() {
            return Some(Credential::Bearer(self.registrytoken.into()));
        }
        if !self.identitytoken.is_empty() {
            return Some(Credential::Identity(self.identitytoken.into()));
        }
        let (username, password) = match self.auth.is_empty() {
            true => (self.username, self.password),
            false => {
                let decoded = Zeroizing::new(STANDARD.decode(self.auth.trim()).ok()?);
                let (username, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
                (username.to_owned(), password.trim_end_matches('\0').to_owned())
            }
        };
        let password = password.into();
        (!username.is_empty()).then_some(Credential::Basic { username, password })
    }
}

/// The key under which a registry's entry is written.
pub(super) fn key(registry: &str) -> &str {
    match registry {
        "docker.io" | "index.docker.io" | "registry-1.docker.io" => "https://index.docker.io/v1/",
        other => other,
    }
}

/// Says whether a key means a registry. Keys are hosts or, from older programs, URLs with the path
/// of an API.
pub(super) fn is_for(written: &str, registry: &str) -> bool {
    let host = |text: &str| -> Option<String> {
        let text =
            text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(text);
        let (host, path) = text.split_once('/').unwrap_or((text, ""));
        matches!(path.trim_end_matches('/'), "" | "v1" | "v2").then(|| host.to_ascii_lowercase())
    };
    host(written).is_some_and(|written| Some(written) == host(key(registry)))
}

/// Says for how much of a repository's name a key stands: `r.test/a/b` for `a/b` and what lies
/// under it, `r.test` for nothing of it. Source: containers-auth.json(5).
pub(super) fn depth(written: &str, registry: &str, repository: &str) -> Option<usize> {
    if is_for(written, registry) {
        return Some(0);
    }
    let space = written.strip_prefix(registry)?.strip_prefix('/')?;
    let is_above =
        repository.strip_prefix(space).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    (is_above && !space.is_empty()).then_some(space.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Option<Credential> {
        serde_json::from_str::<Entry>(json).expect("the entry is JSON").credential()
    }

    fn basic(username: &str, password: &str) -> Option<Credential> {
        Some(Credential::Basic { username: username.into(), password: password.into() })
    }

    #[test]
    fn entries_hold_several_kinds_of_credential() {
        assert_eq!(read(r#"{"auth":"dTpwOnc="}"#), basic("u", "p:w"));
        assert_eq!(read(r#"{"username":"u","password":"p","email":"e"}"#), basic("u", "p"));
        assert_eq!(
            read(r#"{"auth":"dTo=","identitytoken":"t"}"#),
            Some(Credential::Identity("t".into()))
        );
        assert_eq!(read(r#"{"registrytoken":"t"}"#), Some(Credential::Bearer("t".into())));
        assert_eq!(read("{}"), None);
        assert_eq!(read(r#"{"auth":"%%"}"#), None);
        assert_eq!(read(r#"{"auth":"dQ=="}"#), None);
    }

    #[test]
    fn what_is_written_is_read_back() {
        for credential in [
            Credential::Basic { username: "u".into(), password: "p:ü".into() },
            Credential::Identity("i".into()),
            Credential::Bearer("b".into()),
        ] {
            let json = serde_json::to_string(&Entry::new(&credential)).expect("entries are JSON");
            assert_eq!(read(&json), Some(credential));
        }
    }

    #[test]
    fn keys_may_stand_for_a_part_of_a_registry() {
        let depth = |key| depth(key, "r.test", "team/models/bert");
        assert_eq!((depth("r.test"), depth("https://r.test/v2/")), (Some(0), Some(0)));
        assert_eq!((depth("r.test/team"), depth("r.test/team/models/bert")), (Some(4), Some(16)));
        for key in ["r.test/team/mod", "r.test/other", "r.test/", "x.test/team", "r.test.evil/team"]
        {
            assert!(depth(key).is_none_or(|depth| depth == 0 && key == "r.test/"), "{key}");
        }
    }

    #[test]
    fn keys_are_hosts_or_urls() {
        for key in ["r.test", "https://r.test", "http://R.test/v1/", "r.test/v2/"] {
            assert!(is_for(key, "r.test"), "{key}");
        }
        for key in ["r.test:5000", "x.r.test", "r.test/some/repository", "r.test.evil"] {
            assert!(!is_for(key, "r.test"), "{key}");
        }
        assert!(is_for("https://index.docker.io/v1/", "docker.io"));
        assert!(!is_for("https://index.docker.io/v1/", "ghcr.io"));
    }
}
