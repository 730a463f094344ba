//! What looks like a signature and is none, in a registry that somebody else writes to.

use kit_trust::{Error, Form, Forms, sign, verify};
use registry::content::Digest;
use serde_json::{Value, json};

use crate::world::{BUNDLE, World, manifest, other};

/// What is done to a bundle.
type Change<'a> = &'a dyn Fn(&mut Value);

/// A bundle over a statement of the attacker's, signed by a key.
fn bundle_over(envelope: Value) -> Vec<u8> {
    let bundle = json!({
        "mediaType": BUNDLE, "verificationMaterial": { "publicKey": { "hint": "" } },
        "dsseEnvelope": envelope,
    });
    bundle.to_string().into_bytes()
}

#[tokio::test]
async fn each_form_holds_for_its_key_only() {
    for (forms, found) in [
        (Forms { bundle: true, tag: false }, Form::Bundle),
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

#[tokio::test]
async fn a_signature_of_another_manifest_does_not_count() {
    let world = World::new().await;
    let another = manifest(&world.layout, &json!({ "annotations": { "a": "2" } }), &[]);
    let bundle = world.bundle(&another, &world.key).await;
    world.attach_bundle(bundle.to_string().as_bytes()).await;
    world.refused("signs another digest").await;
}

#[tokio::test]
async fn payloads_and_types_cannot_be_swapped() {
    let world = World::new().await;
    let genuine = world.bundle(&world.subject, &world.key).await;
    let changes: [(&str, Change<'_>); 6] = [
        ("payload of the type", &|it| it["dsseEnvelope"]["payloadType"] = "text/plain".into()),
        ("was not signed by this key", &|it| it["dsseEnvelope"]["payload"] = "e30=".into()),
        ("has 0 signatures", &|it| it["dsseEnvelope"]["signatures"] = json!([])),
        ("has 2 signatures", &|it| {
            let one = it["dsseEnvelope"]["signatures"][0].clone();
            it["dsseEnvelope"]["signatures"] = json!([one, one]);
        }),
        ("not read", &|it| it["mediaType"] = "application/vnd.dev.sigstore.bundle+json".into()),
        ("no bundle with a statement", &|it| drop(it["dsseEnvelope"].take())),
    ];
    // An error does not tell of all that was found: each change is seen alone, and then all together.
    for (expected, change) in changes {
        let alone = World::new().await;
        let mut bundle = alone.bundle(&alone.subject, &alone.key).await;
        change(&mut bundle);
        alone.attach_bundle(bundle.to_string().as_bytes()).await;
        alone.refused(expected).await;
        let mut bundle = genuine.clone();
        change(&mut bundle);
        world.attach_bundle(bundle.to_string().as_bytes()).await;
    }
    world.attach_bundle(b"{").await;
    world.attach_bundle(&bundle_over(json!({}))).await;
    // One that holds is found among all of these.
    world.sign(&world.subject, &world.key, Forms { bundle: true, tag: false }).await;
    assert_eq!(world.checked().await.form, Form::Bundle);
}

#[tokio::test]
async fn a_referrer_brings_exactly_one_bundle_for_exactly_this_subject() {
    let world = World::new().await;
    let bundle = world.bundle(&world.subject, &world.key).await.to_string();
    let layer = world.layout.put(BUNDLE, bundle.as_bytes()).expect("kept");
    let further = || json!({ "artifactType": BUNDLE, "subject": world.subject() });
    world.attach(further(), &[]).await;
    world.refused("has 0 layers").await;
    world.attach(further(), &[layer.clone(), layer.clone()]).await;
    world.refused("has 2 layers").await;
    let text = world.layout.put("text/plain", bundle.as_bytes()).expect("kept");
    world.attach(further(), &[text]).await;
    world.refused("no bundle").await;
}

/// A manifest that carries a bundle, and is listed as a referrer of something else.
#[tokio::test]
async fn the_list_of_referrers_is_not_believed() {
    let world = World::new().await;
    let another = manifest(&world.layout, &json!({ "annotations": { "a": "2" } }), &[]);
    world.push(&another, &world.reference.with_digest(another.digest().clone())).await;
    let bundle = world.bundle(&world.subject, &world.key).await.to_string();
    let layer = world.layout.put(BUNDLE, bundle.as_bytes()).expect("kept");
    let elsewhere = json!({ "mediaType": another.media_type(), "digest": another.digest(), "size": another.size() });
    world.attach(json!({ "artifactType": BUNDLE, "subject": elsewhere }), &[layer]).await;
    world.refused("has no signature").await;
}

#[tokio::test]
async fn a_bundle_of_others_is_not_passed_over_for_the_older_form() {
    let world = World::new().await;
    world.sign(&world.subject, &world.key, Forms { bundle: false, tag: true }).await;
    world.sign(&world.subject, &other(), Forms { bundle: true, tag: false }).await;
    world.refused("was not signed by this key").await;
}

#[tokio::test]
async fn the_older_form_is_checked_like_the_newer() {
    let world = World::new().await;
    let another = manifest(&world.layout, &json!({ "annotations": { "a": "2" } }), &[]);
    let tag = |digest: &Digest| format!("sha256-{}.sig", digest.digest());
    world.push(&another, &world.reference.with_digest(another.digest().clone())).await;
    let signed = world.sign(&another, &world.key, Forms { bundle: false, tag: true }).await;
    let (_, theirs) = signed.tag.expect("one was asked for");
    // The signature of another manifest, under the tag of this one.
    let here = world.reference.with_tag(&tag(world.subject.digest())).expect("a tag");
    world.push(&theirs, &here).await;
    world.refused(&format!("it signs {}", another.digest())).await;
    // A payload without its signature, and with one that is none.
    let layer = world.layout.document(&theirs).expect("ours").layers[0].clone();
    for (annotations, expected) in [
        (json!({}), "has no signature"),
        (json!({ "dev.cosignproject.cosign/signature": "%" }), "has no signature"),
        (json!({ "dev.cosignproject.cosign/signature": "AAAA" }), "was not signed by this key"),
    ] {
        let mut bare = layer.clone();
        let annotations = serde_json::from_value(annotations).expect("texts");
        bare.set_annotations(Some(annotations));
        let forged = manifest(&world.layout, &json!({}), &[bare]);
        world.push(&forged, &here).await;
        world.refused(expected).await;
    }
    // What somebody keeps under that tag is not replaced by a signature.
    let kept = manifest(
        &world.layout,
        &json!({ "annotations": { "kept": "1" } }),
        &[world.layout.put("text/plain", b"kept").expect("kept")],
    );
    world.push(&kept, &here).await;
    let forms = Forms { bundle: false, tag: true };
    let refused =
        sign(&world.client, &world.reference, &world.subject, &world.key, forms, &world.layout);
    assert!(refused.await.expect_err("it is somebody's").to_string().contains("no signatures"));
}

/// The tag moves between the resolving and the use: what was checked is the digest.
#[tokio::test]
async fn a_tag_that_moves_takes_no_signature_along() {
    let world = World::new().await;
    world.sign(&world.subject, &world.key, Forms::default()).await;
    let another = manifest(&world.layout, &json!({ "annotations": { "a": "2" } }), &[]);
    world.push(&another, &world.reference).await;
    let found = world.client.resolve(&world.reference).await.expect("it is there");
    let checked =
        verify(&world.client, &world.reference, found.digest(), &world.key.public()).await;
    assert!(matches!(checked, Err(Error::Unsigned { .. })), "{checked:?}");
    assert_eq!(world.checked().await.digest, *world.subject.digest());
}
