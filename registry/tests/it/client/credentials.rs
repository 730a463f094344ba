//! Docker's `config.json`, and programs that keep credentials.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use kit_registry::{Credential, CredentialFile};

use super::basic;

#[test]
fn credentials_are_kept_found_and_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new/config.json");
    let file = CredentialFile::open(&path);
    assert_eq!(file.find("r.test", None).unwrap(), None);
    assert!(!file.erase("r.test").unwrap());
    file.store("r.test", &basic("user", "pass:word")).unwrap();
    file.store("docker.io", &Credential::Identity("token".into())).unwrap();
    file.store("r.test", &basic("user", "new")).unwrap();
    assert_eq!(file.find("r.test", None).unwrap(), Some(basic("user", "new")));
    assert_eq!(file.find("docker.io", None).unwrap(), Some(Credential::Identity("token".into())));
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(r#""https://index.docker.io/v1/""#), "{text}");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(file.erase("r.test").unwrap());
    assert_eq!(file.find("r.test", None).unwrap(), None);
}

#[test]
fn what_other_programs_keep_in_the_file_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.json");
    fs::write(
        &path,
        r#"{"HttpHeaders":{"X":"y"},"auths":{"other.test":{"auth":"dTpw","email":"e"}}}"#,
    )
    .unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let file = CredentialFile::open(&path);
    file.store("r.test", &basic("u", "p")).unwrap();
    assert_eq!(file.find("other.test", None).unwrap(), Some(basic("u", "p")));
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(r#""X": "y""#) && text.contains(r#""email": "e""#), "{text}");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_link_to_the_file_stays_a_link() {
    let dir = tempfile::tempdir().unwrap();
    let (target, link) = (dir.path().join("dotfiles.json"), dir.path().join("config.json"));
    fs::write(&target, "{}").unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    CredentialFile::open(&link).store("r.test", &basic("u", "p")).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(CredentialFile::open(&target).find("r.test", None).unwrap(), Some(basic("u", "p")));
}

#[test]
fn fallbacks_are_read_and_never_written() {
    let dir = tempfile::tempdir().unwrap();
    let (first, broken, second) =
        (dir.path().join("a.json"), dir.path().join("b.json"), dir.path().join("c.json"));
    fs::write(&broken, "{").unwrap();
    let kept = r#"{"auths":{"https://r.test":{"auth":"dTpw"}}}"#;
    fs::write(&second, kept).unwrap();
    let file = CredentialFile::open(&first).with_fallbacks([broken, second.clone()]);
    assert_eq!(file.find("r.test", None).unwrap(), Some(basic("u", "p")));
    file.store("r.test", &basic("other", "pw")).unwrap();
    assert_eq!(file.find("r.test", None).unwrap(), Some(basic("other", "pw")));
    assert!(file.erase("r.test").unwrap());
    assert_eq!(fs::read_to_string(&second).unwrap(), kept);
    assert!(CredentialFile::open(dir.path().join("b.json")).find("r.test", None).is_err());
}

#[test]
fn the_environment_goes_first_and_the_longest_key_wins() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("auth.json");
    let kept = r#"{"auths":{"r.test":{"auth":"dTpw"},"r.test/team":{"auth":"dGVhbTpw"},"r.test/team/a":{"auth":"YTpw"}}}"#;
    fs::write(&path, kept).unwrap();
    let file = CredentialFile::open(dir.path().join("none.json")).with_fallbacks([path]);
    assert_eq!(file.find("r.test", None).unwrap(), Some(basic("u", "p")));
    let found = |repository| file.find("r.test", Some(repository)).unwrap();
    assert_eq!(found("other/a"), Some(basic("u", "p")));
    assert_eq!(found("team/b"), Some(basic("team", "p")));
    assert_eq!(found("team/a/b"), Some(basic("a", "p")));
    assert_eq!(found("teams"), Some(basic("u", "p")));
    let file = file.with_text(Some(r#"{"auths":{"r.test":{"auth":"ZW52OnA="}}}"#.into()));
    assert_eq!(file.find("r.test", Some("team/a")).unwrap(), Some(basic("env", "p")));
    assert_eq!(file.find("x.test", None).unwrap(), None);
}

#[test]
fn secrets_are_not_shown_by_debug() {
    for credential in [
        basic("user", "secret"),
        Credential::Identity("secret".into()),
        Credential::Bearer("secret".into()),
    ] {
        assert!(!format!("{credential:?}").contains("secret"), "{credential:?}");
    }
}

const HELPER: &str = r#"#!/bin/sh
# Keeps one credential for each server beside itself.
cd "$(dirname "$0")" || exit 2
name() { tr -c 'a-z0-9\n' '_'; }
case "$1" in
get)
    file=$(name)
    if [ -f "$file" ]; then cat "$file"; else echo "credentials not found in native keychain"; exit 1; fi ;;
store)
    secret=$(cat)
    file=$(printf '%s' "$secret" | sed 's/.*"ServerURL":"\([^"]*\)".*/\1/' | name)
    printf '%s' "$secret" > "$file" ;;
erase) rm "$(name)" 2>/dev/null || { echo "credentials not found"; exit 1; } ;;
esac
"#;

/// Helper programs are found by the search path, which is the process's: so this runs in one of its
/// own.
#[test]
fn helper_programs_keep_credentials() {
    let dir = tempfile::tempdir().unwrap();
    let helper = dir.path().join("docker-credential-kit-test");
    fs::write(&helper, HELPER).unwrap();
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    let config = r#"{"auths":{"plain.test":{"auth":"dTpw"}},"credHelpers":{"r.test":"kit-test","bad.test":"kit-none"}}"#;
    fs::write(dir.path().join("config.json"), config).unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "client::credentials::with_helper", "--ignored"])
        .current_dir(dir.path())
        .env("PATH", format!("{}:/usr/bin:/bin", dir.path().display()))
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && output.contains("1 passed"), "{output}");
}

#[test]
#[ignore = "run by helper_programs_keep_credentials, with a search path of its own"]
fn with_helper() {
    let file = CredentialFile::open("config.json");
    assert_eq!(file.find("r.test", None).unwrap(), None);
    file.store("r.test", &basic("user", "secret")).unwrap();
    assert!(!fs::read_to_string("config.json").unwrap().contains("secret"));
    assert_eq!(file.find("r.test", None).unwrap(), Some(basic("user", "secret")));
    file.store("r.test", &Credential::Identity("token".into())).unwrap();
    assert_eq!(file.find("r.test", None).unwrap(), Some(Credential::Identity("token".into())));
    assert!(file.erase("r.test").unwrap());
    assert_eq!(file.find("r.test", None).unwrap(), None);
    assert_eq!(file.find("plain.test", None).unwrap(), Some(basic("u", "p")));
    let missing = file.find("bad.test", None).unwrap_err().to_string();
    assert!(missing.starts_with("docker-credential-kit-none failed"), "{missing}");
}
