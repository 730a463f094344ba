//! What is said of a manifest, and what is only made to look so.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kit_trust::{Error, Forms, PrivateKey, attest, attestations, sign, verify};
use registry::content::{Descriptor, Digest, MediaType};
use serde_json::{Value, json};

use crate::world::{World, manifest, other};

const SLSA: &str = "https://slsa.dev/provenance/v1";

async fn say(world: &World, key: &PrivateKey, of_type: &str, predicate: Value) {
    attest(&world.client, &world.reference, &world.subject, key, of_type, predicate, &world.layout)
        .await
        .expect("it is said");
}

async fn heard(world: &World, of_type: &str) -> kit_trust::Result<Vec<Value>> {
    let (digest, key) = (world.subject.digest(), world.key.public());
    let said = attestations(&world.client, &world.reference, digest, &key, of_type).await?;
    Ok(said.into_iter().map(|it| it.predicate).collect())
}

async fn nothing_is_heard(world: &World, of_type: &str, expected: &str) {
    let error = heard(world, of_type).await.expect_err("nobody with the key says so");
    assert!(matches!(error, Error::Unattested { .. }), "{error:?}");
    assert!(error.to_string().contains(expected), "{error}");
}

#[tokio::test]
async fn what_the_key_says_is_heard_by_its_type_and_nothing_else_is() {
    let world = World::new().await;
    nothing_is_heard(&world, SLSA, "has no attestation").await;
    say(&world, &other(), SLSA, json!({ "by": "another" })).await;
    nothing_is_heard(&world, SLSA, "was not signed by this key").await;
    world.sign(&world.subject, &world.key, Forms { bundle: true, tag: false }).await;
    nothing_is_heard(&world, SLSA, "and not \"https://slsa.dev/provenance/v1\"").await;
    say(&world, &world.key, SLSA, json!({ "n": 1 })).await;
    assert_eq!(heard(&world, SLSA).await.expect("said"), [json!({ "n": 1 })]);
    // Said again it is the same; said otherwise it is another statement.
    say(&world, &world.key, SLSA, json!({ "n": 1 })).await;
    say(&world, &world.key, SLSA, json!({ "n": 2 })).await;
    assert_eq!(heard(&world, SLSA).await.expect("said").len(), 2);
    nothing_is_heard(&world, "https://cyclonedx.org/bom", "and not").await;
}

/// What a SHA-512 names is said to be named by one.
#[tokio::test]
async fn a_manifest_named_by_a_longer_digest_is_signed_and_spoken_of_by_it() {
    use sha2::Digest as _;
    let world = World::new().await;
    let bytes = world.layout.read(&world.subject).expect("it is there");
    let hex: String =
        sha2::Sha512::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let digest: Digest = format!("sha512:{hex}").parse().expect("a digest");
    let subject = Descriptor::new(MediaType::ImageManifest, bytes.len() as u64, digest);
    world.layout.put_manifest_as(&subject, &bytes).expect("kept");
    let reference = world.reference.with_digest(subject.digest().clone());
    world.push(&subject, &reference).await;
    let (client, key, layout) = (&world.client, &world.key, &world.layout);
    let both = sign(client, &reference, &subject, key, Forms::default(), layout).await;
    let error = both.expect_err("there is no such tag").to_string();
    assert!(error.contains("a digest of sha512 is too long for the tag"), "{error}");
    let checked = verify(client, &reference, subject.digest(), &key.public()).await;
    checked.expect_err("nothing is signed by halves");
    let forms = Forms { bundle: true, tag: false };
    let signed = sign(client, &reference, &subject, key, forms, layout).await.expect("signed");
    verify(client, &reference, subject.digest(), &key.public()).await.expect("it is signed");
    let bundle =
        layout.document(&signed.bundle.expect("asked for")).expect("ours").layers[0].clone();
    let bundle: Value = serde_json::from_slice(&layout.read(&bundle).expect("ours")).expect("JSON");
    let payload = bundle["dsseEnvelope"]["payload"].as_str().expect("it has one");
    let payload = STANDARD.decode(payload).expect("base64");
    let statement: Value = serde_json::from_slice(&payload).expect("JSON");
    let named = json!({ "sha512": subject.digest().digest() });
    assert_eq!(statement["subject"][0]["digest"], named);
}

#[tokio::test]
async fn a_statement_is_no_signature() {
    let world = World::new().await;
    say(&world, &world.key, SLSA, json!({})).await;
    world.refused("and not").await;
}

#[tokio::test]
async fn what_is_said_of_another_manifest_is_not_said_of_this_one() {
    let world = World::new().await;
    let another = manifest(&world.layout, &json!({ "annotations": { "a": "2" } }), &[]);
    let of_it = world.reference.with_digest(another.digest().clone());
    world.push(&another, &of_it).await;
    let said =
        attest(&world.client, &of_it, &another, &world.key, SLSA, json!({}), &world.layout).await;
    let theirs = world.layout.document(&said.expect("it is said")).expect("ours").layers[0].clone();
    let bundle = world.layout.read(&theirs).expect("ours");
    world.attach_bundle(&bundle).await;
    nothing_is_heard(&world, SLSA, "signs another digest").await;
}
