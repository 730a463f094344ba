//! Files of a folder that are not those that were signed (OpenSSF Model Signing).

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use kit_trust::{Error, PrivateKey, model};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::world::{IN_TOTO, bundle_over, other};

/// A folder of three files, signed.
struct Folder {
    dir: TempDir,
    key: PrivateKey,
}

impl Folder {
    fn signed() -> Self {
        let folder = Self { dir: tempfile::tempdir().expect("a place"), key: other() };
        std::fs::create_dir(folder.at("sub")).expect("a folder");
        for name in ["a", "b", "sub/c"] {
            folder.write(name, name);
        }
        let signature = folder.at(model::SIGNATURE);
        let bundle = model::sign(folder.dir.path(), "m", &signature, &folder.key).expect("signed");
        std::fs::write(&signature, bundle).expect("written");
        assert_eq!(folder.verified().expect("as signed"), 3);
        folder
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.at(name), text).expect("written");
    }

    fn verified(&self) -> kit_trust::Result<usize> {
        let signature = self.at(model::SIGNATURE);
        let bundle = std::fs::read(&signature).expect("it is there");
        let verified = model::verify(self.dir.path(), &bundle, &signature, &self.key.public());
        verified.map(|it| it.n_files)
    }

    fn refused(&self, expected: &str) {
        let error = self.verified().expect_err("something else is there").to_string();
        assert!(error.contains(expected), "{error}");
    }

    /// Signs what is said of the files, changed, by the key itself.
    fn says(&self, change: impl Fn(&mut Value)) {
        let digest = |name: &str| hex(&Sha256::digest(name));
        let resource =
            |name: &str| json!({ "name": name, "algorithm": "sha256", "digest": digest(name) });
        let roots: Vec<u8> =
            ["a", "b", "sub/c"].iter().flat_map(|it| Sha256::digest(it).to_vec()).collect();
        let mut statement = json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{ "name": "m", "digest": { "sha256": hex(&Sha256::digest(roots)) } }],
            "predicateType": "https://model_signing/signature/v1.0",
            "predicate": {
                "serialization": { "method": "files", "hash_type": "sha256" },
                "resources": [resource("a"), resource("b"), resource("sub/c")],
            },
        });
        change(&mut statement);
        let mut bundle = bundle_over(&self.key, IN_TOTO, statement.to_string().as_bytes());
        let pem = self.key.public().to_pem().expect("written");
        bundle["verificationMaterial"]["publicKey"]["hint"] = hex(&Sha256::digest(pem)).into();
        self.write(model::SIGNATURE, &bundle.to_string());
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn what_is_changed_here_would_hold_unchanged() {
    let folder = Folder::signed();
    folder.says(|_| ());
    assert_eq!(folder.verified().expect("as signed"), 3);
}

#[test]
fn file_changed() {
    let folder = Folder::signed();
    folder.write("sub/c", "C");
    folder.refused("sub/c was changed");
}

#[test]
fn further_file() {
    let folder = Folder::signed();
    folder.write("sub/more", "");
    folder.refused("sub/more was not signed");
    std::fs::remove_file(folder.at("sub/more")).expect("it is there");
    // At the root, and only there, does nobody look at these.
    folder.write(".gitignore", "");
    assert_eq!(folder.verified().expect("as signed"), 3);
    std::fs::create_dir(folder.at("sub/.git")).expect("a folder");
    folder.write("sub/.git/config", "");
    folder.refused("sub/.git/config was not signed");
}

#[test]
fn file_missing() {
    let folder = Folder::signed();
    std::fs::remove_file(folder.at("b")).expect("it is there");
    folder.refused("b is missing");
}

#[test]
fn files_exchanged() {
    let folder = Folder::signed();
    folder.write("a", "b");
    folder.write("b", "a");
    folder.refused("a was changed; b was changed");
}

#[test]
fn file_moved() {
    let folder = Folder::signed();
    std::fs::rename(folder.at("sub/c"), folder.at("c")).expect("moved");
    folder.refused("sub/c is missing; c was not signed");
}

/// The same bytes, but where somebody else may change them.
#[test]
fn symlink_in_the_place_of_a_file() {
    let folder = Folder::signed();
    std::fs::remove_file(folder.at("a")).expect("it is there");
    let elsewhere = tempfile::NamedTempFile::new().expect("a place");
    std::fs::write(elsewhere.path(), "a").expect("written");
    symlink(elsewhere.path(), folder.at("a")).expect("linked");
    folder.refused("a is a symbolic link");
}

#[test]
fn symlink_in_the_place_of_a_folder() {
    let folder = Folder::signed();
    let elsewhere = tempfile::tempdir().expect("a place");
    std::fs::rename(folder.at("sub"), elsewhere.path().join("sub")).expect("moved");
    symlink(elsewhere.path().join("sub"), folder.at("sub")).expect("linked");
    folder.refused("sub is a symbolic link");
    std::fs::remove_file(folder.at("sub")).expect("it is there");
    symlink("nowhere", folder.at("sub")).expect("linked");
    folder.refused("sub is a symbolic link");
}

/// What the signature itself says need not be looked at is looked at.
#[test]
fn file_that_the_signature_says_to_ignore() {
    let folder = Folder::signed();
    folder.says(|it| it["predicate"]["serialization"]["ignore_paths"] = json!(["code.py"]));
    assert_eq!(folder.verified().expect("as signed"), 3);
    folder.write("code.py", "");
    folder.refused("code.py was not signed");
}

#[test]
fn resource_twice() {
    let folder = Folder::signed();
    folder.says(|it| {
        let one = it["predicate"]["resources"][0].clone();
        it["predicate"]["resources"].as_array_mut().expect("a list").push(one);
    });
    folder.refused("a stands there twice");
}

#[test]
fn resource_outside_of_the_folder() {
    let folder = Folder::signed();
    folder.says(|it| it["predicate"]["resources"][2]["name"] = "../c".into());
    folder.refused("its digest is not that of its files");
}

/// The list of the files is not the one that the digest was made of.
#[test]
fn list_of_files_shortened() {
    let folder = Folder::signed();
    folder.says(|it| drop(it["predicate"]["resources"].as_array_mut().expect("a list").pop()));
    std::fs::remove_file(folder.at("sub/c")).expect("it is there");
    folder.refused("its digest is not that of its files");
}

#[test]
fn files_by_another_algorithm() {
    let folder = Folder::signed();
    folder.says(|it| it["predicate"]["resources"][0]["algorithm"] = "md5".into());
    folder.refused("a has a digest that is no SHA-256");
    folder.says(|it| it["predicate"]["serialization"]["hash_type"] = "blake2b".into());
    folder.refused("are not compared");
    folder.says(|it| it["predicate"]["serialization"]["method"] = "shards".into());
    folder.refused("are not compared");
}

/// What was signed of a manifest says nothing of files.
#[test]
fn signature_of_a_manifest_for_files() {
    let folder = Folder::signed();
    folder.says(|it| it["predicateType"] = "https://sigstore.dev/cosign/sign/v1".into());
    folder.refused("and not");
}

#[test]
fn wrong_key_of_files() {
    let folder = Folder::signed();
    let bundle = std::fs::read(folder.at(model::SIGNATURE)).expect("it is there");
    let signature = folder.at(model::SIGNATURE);
    let checked = model::verify(folder.dir.path(), &bundle, &signature, &other().public());
    let error = checked.expect_err("another key");
    assert!(matches!(error, Error::Refused(_)), "{error:?}");
    assert!(error.to_string().contains("names another key"), "{error}");
    // Without a name in it, the signature itself says so.
    let mut unnamed: Value = serde_json::from_slice(&bundle).expect("JSON");
    unnamed["verificationMaterial"] = json!({});
    folder.write(model::SIGNATURE, &unnamed.to_string());
    assert_eq!(folder.verified().expect("as signed"), 3);
    let unnamed = unnamed.to_string();
    let checked =
        model::verify(folder.dir.path(), unnamed.as_bytes(), &signature, &other().public());
    assert!(checked.expect_err("another key").to_string().contains("not signed by this key"));
}
