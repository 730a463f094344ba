//! What is said of a manifest, and what is only made to look so.

use kit_trust::{Error, Forms, PrivateKey, attest, attestations};
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
