//! Bundles that somebody has changed, or made of something else that the key has signed.

use kit_trust::{Form, Forms};
use serde_json::{Value, json};

use crate::world::{BUNDLE, IN_TOTO, World, bundle_over, manifest, other};

const ONLY_BUNDLE: Forms = Forms { bundle: true, tag: false };

/// The genuine bundle, changed.
async fn changed(expected: &str, change: impl Fn(&mut Value)) {
    let world = World::new().await;
    let mut bundle = world.bundle(&world.subject, &world.key).await;
    change(&mut bundle);
    world.attach_bundle(bundle.to_string().as_bytes()).await;
    world.refused(expected).await;
    // What holds is found beside it.
    world.sign(&world.subject, &world.key, ONLY_BUNDLE).await;
    assert_eq!(world.checked().await.form, Form::Bundle);
}

/// Another statement, which the key itself has signed.
async fn said(expected: &str, change: impl Fn(&mut Value)) {
    let world = World::new().await;
    let statement = world.statement(change).to_string();
    let bundle = bundle_over(&world.key, IN_TOTO, statement.as_bytes());
    world.attach_bundle(bundle.to_string().as_bytes()).await;
    world.refused(expected).await;
}

/// Without this, none of those below would show anything: the bundle that they are made of holds.
#[tokio::test]
async fn what_is_changed_here_would_hold_unchanged() {
    let world = World::new().await;
    let statement = world.statement(|_| ()).to_string();
    let bundle = bundle_over(&world.key, IN_TOTO, statement.as_bytes());
    world.attach_bundle(bundle.to_string().as_bytes()).await;
    assert_eq!(world.checked().await.form, Form::Bundle);
}

#[tokio::test]
async fn wrong_key() {
    for (forms, found) in [
        (ONLY_BUNDLE, Form::Bundle),
        (Forms { bundle: false, tag: true }, Form::Tag),
        (Forms::default(), Form::Bundle),
    ] {
        let world = World::new().await;
        world.refused("has no signature").await;
        world.sign(&world.subject, &other(), forms).await;
        world.refused("was not signed by this key").await;
        let first = world.sign(&world.subject, &world.key, forms).await;
        let again = world.sign(&world.subject, &world.key, forms).await;
        assert_eq!(first.bundle, again.bundle);
        assert_eq!(first.tag, again.tag, "signing again changes nothing");
        assert_eq!(world.checked().await.form, found);
    }
}

/// The bundle names the key that is asked for, and another one has signed.
#[tokio::test]
async fn hint_of_the_key_swapped() {
    let world = World::new().await;
    let hint = world.bundle(&world.subject, &world.key).await["verificationMaterial"].take();
    let mut theirs = world.bundle(&world.subject, &other()).await;
    theirs["verificationMaterial"] = hint;
    world.attach_bundle(theirs.to_string().as_bytes()).await;
    world.refused("was not signed by this key").await;
}

#[tokio::test]
async fn another_digest() {
    let world = World::new().await;
    let another = manifest(&world.layout, &json!({ "annotations": { "a": "2" } }), &[]);
    let bundle = world.bundle(&another, &world.key).await;
    world.attach_bundle(bundle.to_string().as_bytes()).await;
    world.refused("signs another digest").await;
}

/// The signature lies where the same digest lies too, and not here.
#[tokio::test]
async fn another_repository() {
    let world = World::new().await;
    let bundle = world.bundle(&world.subject, &world.key).await;
    world.refused("has no signature").await;
    // Brought here it holds: what is signed is the digest.
    world.attach_bundle(bundle.to_string().as_bytes()).await;
    assert_eq!(world.checked().await.form, Form::Bundle);
}

#[tokio::test]
async fn payload_type_swapped() {
    changed("payload of the type", |it| it["dsseEnvelope"]["payloadType"] = "text/plain".into())
        .await;
    // The key has signed the very words, but not as a statement.
    let world = World::new().await;
    let statement = world.statement(|_| ()).to_string();
    let mut bundle = bundle_over(&world.key, "text/plain", statement.as_bytes());
    bundle["dsseEnvelope"]["payloadType"] = IN_TOTO.into();
    world.attach_bundle(bundle.to_string().as_bytes()).await;
    world.refused("was not signed by this key").await;
}

#[tokio::test]
async fn payload_changed() {
    changed("was not signed by this key", |it| it["dsseEnvelope"]["payload"] = "e30=".into()).await;
}

#[tokio::test]
async fn signature_left_out() {
    changed("has 0 signatures", |it| it["dsseEnvelope"]["signatures"] = json!([])).await;
}

#[tokio::test]
async fn several_signatures() {
    changed("has 2 signatures", |it| {
        let one = it["dsseEnvelope"]["signatures"][0].clone();
        it["dsseEnvelope"]["signatures"] = json!([one, one]);
    })
    .await;
}

#[tokio::test]
async fn signature_of_zeros() {
    // r = s = 0 as DER (CVE-2022-21449).
    changed("was not signed by this key", |it| {
        it["dsseEnvelope"]["signatures"][0]["sig"] = "MAYCAQACAQA=".into();
    })
    .await;
}

#[tokio::test]
async fn bundle_of_another_version() {
    changed("not read", |it| it["mediaType"] = "application/vnd.dev.sigstore.bundle+json".into())
        .await;
}

/// A signature of bytes in the place of a statement says nothing of what they are (CVE-2026-22703).
#[tokio::test]
async fn message_in_the_place_of_a_statement() {
    changed("no bundle with a statement", |it| {
        it["dsseEnvelope"].take();
        it["messageSignature"] = json!({
            "messageDigest": { "algorithm": "SHA2_256", "digest": "" }, "signature": "",
        });
    })
    .await;
}

/// The first of two is checked, and the second one read, or the other way round.
#[tokio::test]
async fn envelope_twice() {
    let world = World::new().await;
    let genuine = world.bundle(&world.subject, &world.key).await;
    let theirs = world.bundle(&world.subject, &other()).await;
    for (first, second) in [(&genuine, &theirs), (&theirs, &genuine)] {
        let text = format!(
            r#"{{"mediaType":"{BUNDLE}","verificationMaterial":{{}},"dsseEnvelope":{},"dsseEnvelope":{}}}"#,
            first["dsseEnvelope"], second["dsseEnvelope"]
        );
        world.attach_bundle(text.as_bytes()).await;
    }
    world.refused("duplicate field").await;
}

#[tokio::test]
async fn bundle_that_is_none() {
    let world = World::new().await;
    world.attach_bundle(b"{").await;
    world.attach_bundle(b"[]").await;
    world
        .attach_bundle(bundle_over(&world.key, "", b"")["dsseEnvelope"].to_string().as_bytes())
        .await;
    world.refused("no bundle with a statement").await;
}

#[tokio::test]
async fn bundle_beyond_its_bound() {
    let world = World::new().await;
    let mut bundle = world.bundle(&world.subject, &world.key).await.to_string();
    bundle.push_str(&" ".repeat(4 << 20));
    world.attach_bundle(bundle.as_bytes()).await;
    world.refused("too large").await;
}

/// The key's holder says something else of the digest, which is no signature (CVE-2026-39395).
#[tokio::test]
async fn predicate_type_swapped() {
    said("and not", |it| it["predicateType"] = "https://slsa.dev/provenance/v1".into()).await;
}

#[tokio::test]
async fn statement_of_another_type() {
    said("statement of the type", |it| it["_type"] = "https://example.org/Statement/v1".into())
        .await;
}

#[tokio::test]
async fn subject_left_out() {
    said("signs another digest", |it| it["subject"] = json!([])).await;
    said("signs no statement", |it| it["subject"] = Value::Null).await;
    said("signs another digest", |it| it["subject"][0]["digest"] = json!({})).await;
}

#[tokio::test]
async fn subject_by_another_algorithm() {
    said("signs another digest", |it| {
        let digest = it["subject"][0]["digest"]["sha256"].take();
        it["subject"][0]["digest"] = json!({ "sha512": digest });
    })
    .await;
}

#[tokio::test]
async fn subject_that_is_only_a_beginning() {
    said("signs another digest", |it| {
        let digest =
            it["subject"][0]["digest"]["sha256"].as_str().expect("a text")[..32].to_owned();
        it["subject"][0]["digest"]["sha256"] = digest.into();
    })
    .await;
}

#[tokio::test]
async fn more_subjects_than_anybody_reads() {
    said("too much at once", |it| {
        let one = it["subject"][0].clone();
        it["subject"] = vec![one; 1025].into();
    })
    .await;
}

/// The tag moves between the resolving and the use: what was checked is the digest.
#[tokio::test]
async fn tag_that_moves() {
    let world = World::new().await;
    world.sign(&world.subject, &world.key, Forms::default()).await;
    let another = manifest(&world.layout, &json!({ "annotations": { "a": "2" } }), &[]);
    world.push(&another, &world.reference).await;
    let found = world.client.resolve(&world.reference).await.expect("it is there");
    assert_eq!(found.digest(), another.digest());
    let (client, key) = (&world.client, world.key.public());
    let checked = kit_trust::verify(client, &world.reference, found.digest(), &key).await;
    assert!(matches!(checked, Err(kit_trust::Error::Unsigned { .. })), "{checked:?}");
    assert_eq!(world.checked().await.digest, *world.subject.digest());
}

#[tokio::test]
async fn downgrade_to_the_older_form() {
    let world = World::new().await;
    world.sign(&world.subject, &world.key, Forms { bundle: false, tag: true }).await;
    assert_eq!(world.checked().await.form, Form::Tag);
    world.sign(&world.subject, &other(), ONLY_BUNDLE).await;
    world.refused("was not signed by this key").await;
}
