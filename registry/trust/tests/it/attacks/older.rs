//! The older form, under the tag that is made of the digest.

use kit_trust::{Form, Forms, sign};
use registry::content::{Descriptor, MediaType};
use serde_json::{Value, json};

use crate::world::{World, manifest, signature};

const PAYLOAD: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const ONLY_TAG: Forms = Forms { bundle: false, tag: true };

/// What cosign signs, changed before the key signs it.
fn payload(world: &World, change: impl Fn(&mut Value)) -> String {
    let mut payload = json!({
        "critical": {
            "identity": { "docker-reference": "demo/kit" },
            "image": { "docker-manifest-digest": world.subject.digest() },
            "type": "cosign container image signature",
        },
        "optional": null,
    });
    change(&mut payload);
    payload.to_string()
}

/// A layer with a payload, and with what it says of its signature.
fn layer(world: &World, of_type: &str, payload: &str, signature: Option<&str>) -> Descriptor {
    let mut layer = world.layout.put(of_type, payload.as_bytes()).expect("kept");
    let annotation =
        signature.map(|it| ("dev.cosignproject.cosign/signature".to_owned(), it.to_owned()));
    layer.set_annotations(Some(annotation.into_iter().collect()));
    layer
}

/// Puts it where signatures of the older form lie.
async fn put(world: &World, layers: &[Descriptor]) {
    let manifest = manifest(&world.layout, &json!({}), layers);
    let tag = format!("sha256-{}.sig", world.subject.digest().digest());
    world.push(&manifest, &world.reference.with_tag(&tag).expect("a tag")).await;
}

/// What the key itself has signed, and is no signature of this manifest.
async fn said(expected: &str, change: impl Fn(&mut Value)) {
    let world = World::new().await;
    let payload = payload(&world, change);
    let by_key = signature(&world.key, payload.as_bytes());
    put(&world, &[layer(&world, PAYLOAD, &payload, Some(&by_key))]).await;
    world.refused(expected).await;
}

#[tokio::test]
async fn what_is_changed_here_would_hold_unchanged() {
    let world = World::new().await;
    let payload = payload(&world, |_| ());
    let by_key = signature(&world.key, payload.as_bytes());
    put(&world, &[layer(&world, PAYLOAD, &payload, Some(&by_key))]).await;
    assert_eq!(world.checked().await.form, Form::Tag);
}

/// The signature of another manifest, under the tag of this one.
#[tokio::test]
async fn older_form_of_another_digest() {
    let world = World::new().await;
    let another = world.another().await;
    let signed = world.sign(&another, &world.key, ONLY_TAG).await;
    let (_, theirs) = signed.tag.expect("one was asked for");
    let tag = format!("sha256-{}.sig", world.subject.digest().digest());
    world.push(&theirs, &world.reference.with_tag(&tag).expect("a tag")).await;
    world.refused(&format!("it signs {}", another.digest())).await;
}

#[tokio::test]
async fn older_form_of_another_kind() {
    said("it signs a \"atomic container signature\"", |it| {
        it["critical"]["type"] = "atomic container signature".into();
    })
    .await;
    said("it signs no such payload", |it| drop(it["critical"]["image"].take())).await;
}

/// A signature that is none, or none at all.
#[tokio::test]
async fn older_form_without_its_signature() {
    let world = World::new().await;
    let payload = payload(&world, |_| ());
    for (signature, expected) in [
        (None, "has no signature"),
        (Some("%"), "has no signature"),
        (Some("AAAA"), "was not signed by this key"),
        (Some("MAYCAQACAQA="), "was not signed by this key"),
    ] {
        put(&world, &[layer(&world, PAYLOAD, &payload, signature)]).await;
        world.refused(expected).await;
    }
}

/// Signed, and then said of something else.
#[tokio::test]
async fn older_form_with_another_payload() {
    let world = World::new().await;
    let by_key = signature(&world.key, payload(&world, |_| ()).as_bytes());
    let changed = payload(&world, |it| it["optional"] = json!({ "approved": true }));
    put(&world, &[layer(&world, PAYLOAD, &changed, Some(&by_key))]).await;
    world.refused("was not signed by this key").await;
}

#[tokio::test]
async fn older_form_of_another_media_type() {
    let world = World::new().await;
    let payload = payload(&world, |_| ());
    let by_key = signature(&world.key, payload.as_bytes());
    put(&world, &[layer(&world, "text/plain", &payload, Some(&by_key))]).await;
    world.refused("it is no signature").await;
}

#[tokio::test]
async fn older_form_beyond_its_bound() {
    let world = World::new().await;
    let payload = payload(&world, |it| it["optional"] = json!({ "x": "x".repeat(64 * 1024) }));
    let by_key = signature(&world.key, payload.as_bytes());
    put(&world, &[layer(&world, PAYLOAD, &payload, Some(&by_key))]).await;
    world.refused("too large").await;
}

/// What somebody keeps under that tag is not replaced by a signature.
#[tokio::test]
async fn tag_of_signatures_taken() {
    let world = World::new().await;
    put(&world, &[world.layout.put("text/plain", b"kept").expect("kept")]).await;
    let refused =
        sign(&world.client, &world.reference, &world.subject, &world.key, ONLY_TAG, &world.layout);
    assert!(refused.await.expect_err("it is somebody's").to_string().contains("no signatures"));
    // An index with a signature in it is none, either.
    let tag = format!("sha256-{}.sig", world.subject.digest().digest());
    let index = json!({ "schemaVersion": 2, "mediaType": MediaType::ImageIndex, "manifests": [] });
    let index = world
        .layout
        .put_manifest(MediaType::ImageIndex, index.to_string().as_bytes())
        .expect("kept");
    world.push(&index, &world.reference.with_tag(&tag).expect("a tag")).await;
    world.refused("has no signature").await;
}
