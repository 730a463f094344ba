//! Certificates that vouch for nothing: made by `testdata/certificates/make.sh`.

use std::time::{Duration, SystemTime};

use kit_trust::{Chain, Error, Form, Forms, PrivateKey, Roots, Signer, model};
use serde_json::{Value, json};

use crate::world::{BUNDLE, World};

/// 2026-06-01.
pub(crate) const NOW: u64 = 1_780_272_000;
const BOTH: [Forms; 2] = [Forms { bundle: true, tag: false }, Forms { bundle: false, tag: true }];

pub(crate) fn file(name: &str) -> String {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/certificates");
    std::fs::read_to_string(format!("{dir}/{name}")).expect("it is checked in")
}

pub(crate) fn key(name: &str, chain: &str) -> PrivateKey {
    let key = PrivateKey::from_pem(&file(&format!("{name}.key")), None).expect("a key");
    key.with_chain(Chain::from_pem(&file(&format!("{chain}.pem"))).expect("a chain"))
        .expect("it is for this key")
}

fn roots_at(name: &str, seconds: u64) -> Signer {
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    Signer::Roots(Roots::from_pem(&file(&format!("{name}.pem")), at).expect("roots"))
}

async fn verified(world: &World, signer: &Signer) -> kit_trust::Result<kit_trust::Verified> {
    kit_trust::verify(&world.client, &world.reference, world.subject.digest(), signer).await
}

/// Signs in each form and of files, and expects that the roots do not count it.
async fn refused(key: &PrivateKey, roots: &Signer, expected: &str) {
    for forms in BOTH {
        let world = World::new().await;
        world.sign(&world.subject, key, forms).await;
        let error = verified(&world, roots).await.expect_err("nobody vouches for it");
        assert!(matches!(error, Error::Unsigned { .. }), "{error:?}");
        assert!(error.to_string().contains(expected), "{forms:?}: {error}");
        assert!(error.to_string().contains("under the root SHA256:"), "{error}");
    }
    let error = files(key, roots).expect_err("nobody vouches for it");
    assert!(error.to_string().contains(expected), "{error}");
}

fn files(key: &PrivateKey, roots: &Signer) -> kit_trust::Result<model::VerifiedFiles> {
    let dir = tempfile::tempdir().expect("a place");
    std::fs::write(dir.path().join("weights"), "weights").expect("written");
    let signature = dir.path().join(model::SIGNATURE);
    let bundle = model::sign(dir.path(), "m", &signature, key).expect("signed");
    model::verify(dir.path(), &bundle, &signature, roots)
}

#[tokio::test]
async fn what_is_refused_here_would_hold_by_a_good_chain() {
    for (chain, root) in [
        ("chain", "root"),
        ("under-between", "between-and-root"),
        ("direct", "root"),
        // As model_signing brings it, where its user names the first one twice.
        ("repeated", "root"),
        ("under-rsa", "rsa-root"),
        ("under-short", "short-root"),
        // Further certificates among the roots spoil nothing.
        ("direct", "direct-and-root"),
    ] {
        let key = key("signer", chain);
        let roots = match root {
            "between-and-root" | "direct-and-root" => {
                let at = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
                let further = if root.starts_with("between") { "chain" } else { "direct" };
                let text = file(&format!("{further}.pem")) + &file("root.pem");
                Signer::Roots(Roots::from_pem(&text, at).expect("roots"))
            }
            root => roots_at(root, NOW),
        };
        for (forms, form) in BOTH.into_iter().zip([Form::Bundle, Form::Tag]) {
            let world = World::new().await;
            world.sign(&world.subject, &key, forms).await;
            let verified = verified(&world, &roots).await.expect("the root vouches for it");
            assert_eq!((verified.form, &verified.key), (form, &key.public().fingerprint()));
            let certificate = verified.certificate.expect("it counts by one");
            assert!(certificate.starts_with("\"demo team\" (SHA256:"), "{certificate}");
            // Whoever asks for the key does not ask who vouches for it.
            let by_key = self::verified(&world, &Signer::Key(key.public())).await;
            assert_eq!(by_key.expect("signed by it").certificate, None);
        }
        assert_eq!(files(&key, &roots).expect("the root vouches for it").n_files, 1);
    }
}

#[tokio::test]
async fn certificate_left_out() {
    let bare = PrivateKey::from_pem(&file("signer.key"), None).expect("a key");
    refused(&bare, &roots_at("root", NOW), "it brings no certificate").await;
}

/// The same name, another key.
#[tokio::test]
async fn certificate_of_another_root() {
    refused(&key("signer", "under-other"), &roots_at("root", NOW), "was not signed by the one")
        .await;
    refused(&key("signer", "chain"), &roots_at("rsa-root", NOW), "none of the roots").await;
}

#[tokio::test]
async fn certificate_expired() {
    refused(&key("signer", "expired"), &roots_at("root", NOW), "valid no more").await;
}

/// A path ends at a root by its name and key; for how long that one is valid counts, too.
#[test]
fn root_expired() {
    for seconds in [1_590_000_000, 4_900_000_000] {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let error = Roots::from_pem(&file("root.pem"), at).expect_err("not in 2020, nor in 2125");
        assert!(error.to_string().contains("none of them is valid"), "{error}");
    }
    // One that ended in 2030 does not spoil the others, and vouches for nothing in 2040, when the
    // certificate under it is still valid.
    let both = file("short-root.pem") + &file("root.pem");
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(2_209_000_000);
    let roots = Signer::Roots(Roots::from_pem(&both, at).expect("one is valid"));
    let error = files(&key("signer", "under-short"), &roots).expect_err("its root has ended");
    assert!(error.to_string().contains("none of the roots"), "{error}");
    files(&key("signer", "direct"), &roots).expect("the other root vouches for this one");
}

#[tokio::test]
async fn certificate_of_the_future() {
    refused(&key("signer", "future"), &roots_at("root", NOW), "not valid yet").await;
}

#[tokio::test]
async fn certificate_for_another_use() {
    let roots = roots_at("root", NOW);
    refused(&key("signer", "tls"), &roots, "not for signing code").await;
    refused(&key("signer", "encrypts"), &roots, "not for signatures").await;
    refused(&key("signer", "silent"), &roots, "not for signatures").await;
    refused(&key("signer", "vouches"), &roots, "it is one that vouches for others").await;
}

#[tokio::test]
async fn certificate_by_one_that_may_not_vouch() {
    let roots = roots_at("root", NOW);
    refused(&key("imposter", "imposter"), &roots, "vouches for another, and may not").await;
    refused(&key("signer", "mute-chain"), &roots, "may not vouch for others").await;
}

#[tokio::test]
async fn chain_truncated_or_reordered() {
    let roots = roots_at("root", NOW);
    refused(&key("signer", "under-between"), &roots, "none of the roots").await;
    let key = PrivateKey::from_pem(&file("signer.key"), None).expect("a key");
    let reordered = Chain::from_pem(&file("reordered.pem")).expect("certificates");
    let error = key.with_chain(reordered).expect_err("the first one is for another key");
    assert!(error.to_string().contains("it is for the key SHA256:"), "{error}");
    // Whoever has signed in order can turn the chain around afterwards.
    let world = World::new().await;
    let mut bundle = world.bundle(&world.subject, &self::key("signer", "chain")).await;
    let mut attach = async |certificates: Vec<Value>| {
        bundle["verificationMaterial"] =
            json!({ "x509CertificateChain": { "certificates": certificates } });
        world.attach_bundle(bundle.to_string().as_bytes()).await;
    };
    attach(in_bundle("reordered")).await;
    let error = verified(&world, &roots).await.expect_err("the first one is for another key");
    assert!(error.to_string().contains("it is one that vouches for others"), "{error}");
    // In order a chain in a bundle is read, although nobody should write it there.
    attach(in_bundle("chain")).await;
    verified(&world, &roots).await.expect("the root vouches for it");
}

/// The certificates of a file, as a bundle has them.
fn in_bundle(name: &str) -> Vec<Value> {
    let text = file(&format!("{name}.pem"));
    let ends = ["-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"];
    let bodies = text.split(ends[0]).skip(1).map(|it| it.split(ends[1]).next().unwrap_or_default());
    bodies.map(|it| json!({ "rawBytes": it.split_whitespace().collect::<String>() })).collect()
}

/// Readers of Sigstore's take no bundle of this version that has a chain.
#[tokio::test]
async fn chain_stands_beside_the_bundle_and_is_believed_as_little() {
    let world = World::new().await;
    let signed = world
        .sign(&world.subject, &key("signer", "chain"), BOTH[0])
        .await
        .bundle
        .expect("asked for");
    let document = world.layout.document(&signed).expect("ours");
    let bundle = world.layout.read(&document.layers[0]).expect("ours");
    let bundle: Value = serde_json::from_slice(&bundle).expect("JSON");
    let material = &bundle["verificationMaterial"];
    assert!(material["certificate"]["rawBytes"].is_string(), "{material}");
    assert!(material["x509CertificateChain"].is_null(), "{material}");
    let others = document.annotations.expect("it has some")["dev.sigstore.cosign/chain"].clone();
    assert_eq!(others.matches("BEGIN CERTIFICATE").count(), 1, "{others}");
    // The same bundle, beside which somebody else has put others.
    for (others, expected) in [
        (file("other-root.pem"), "none of the roots"),
        (file("root.pem").repeat(11), "and nobody reads so many"),
        (
            "-----BEGIN CERTIFICATE-----\n%\n-----END CERTIFICATE-----\n".to_owned(),
            "chain of certificates",
        ),
    ] {
        let world = World::new().await;
        let layer = world.layout.put(BUNDLE, bundle.to_string().as_bytes()).expect("kept");
        let annotations = json!({ "dev.sigstore.cosign/chain": others });
        let manifest = json!({
            "artifactType": BUNDLE, "subject": world.subject(), "annotations": annotations,
        });
        world.attach(manifest, &[layer]).await;
        let error =
            verified(&world, &roots_at("root", NOW)).await.expect_err("nobody vouches for it");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

/// A good chain, and somebody else's signature under it.
#[tokio::test]
async fn certificate_of_somebody_else() {
    let world = World::new().await;
    let theirs = world.bundle(&world.subject, &world.key).await;
    let mut bundle = world.bundle(&world.subject, &key("signer", "direct")).await;
    bundle["dsseEnvelope"] = theirs["dsseEnvelope"].clone();
    world.attach_bundle(bundle.to_string().as_bytes()).await;
    let error = verified(&world, &roots_at("root", NOW)).await.expect_err("another has signed");
    assert!(error.to_string().contains("was not signed by this key"), "{error}");
}

/// One reader looks at the one, another at the other.
#[tokio::test]
async fn certificate_and_key_at_once() {
    let with_key = |it: &mut Value| it["publicKey"] = json!({ "hint": "" });
    let twice = |it: &mut Value| {
        it["x509CertificateChain"] = json!({ "certificates": [it["certificate"]] });
    };
    for change in [&with_key as &dyn Fn(&mut Value), &twice] {
        let world = World::new().await;
        let mut bundle = world.bundle(&world.subject, &key("signer", "direct")).await;
        change(&mut bundle["verificationMaterial"]);
        world.attach_bundle(bundle.to_string().as_bytes()).await;
        let error = verified(&world, &roots_at("root", NOW)).await.expect_err("it says it twice");
        assert!(error.to_string().contains("several ways"), "{error}");
    }
}

#[tokio::test]
async fn chain_without_end() {
    let one = file("direct.pem");
    let error = Chain::from_pem(&one.repeat(11)).expect_err("nobody reads so many");
    assert!(error.to_string().contains("there are 11"), "{error}");
    let error = Chain::from_pem(&one.repeat(1000)).expect_err("nobody reads so many");
    assert!(error.to_string().contains("too large"), "{error}");
    for text in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        assert!(Roots::from_pem(text, SystemTime::UNIX_EPOCH).is_err(), "{text:?}");
        let chain = Chain::from_pem(text).and_then(|chain| chain.key());
        assert!(chain.is_err(), "{text:?}");
    }
    let p384 = Chain::from_pem(&file("p384.pem")).expect("a certificate");
    assert!(p384.key().expect_err("another curve").to_string().contains("P-256"));
}
