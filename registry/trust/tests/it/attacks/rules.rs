//! Ways around a policy, or from one of its rules into another.

use std::time::SystemTime;

use kit_trust::{Error, Forms, Policy, PublicKey, attest};
use registry::content::Descriptor;
use serde_json::json;

use crate::world::{World, other};

const SLSA: &str = "https://slsa.dev/provenance/v1";

fn policy(text: &str, key: &PublicKey) -> Policy {
    Policy::parse(text, |_| key.to_pem(), SystemTime::now).expect("a policy")
}

async fn refused(world: &World, policy: &Policy) -> Error {
    let checked = policy.check(&world.client, &world.reference, world.subject.digest()).await;
    checked.expect_err("the policy does not allow it")
}

/// The key of one repository says nothing of another one.
#[tokio::test]
async fn key_of_another_repository() {
    let world = World::new().await;
    world.sign(&world.subject, &world.key, Forms::default()).await;
    let host = world.reference.registry();
    let text = format!(
        "mode: enforce\nkeys: [theirs]\nrules: [{{match: '{host}/other/*', mode: enforce, keys: [ours]}}]"
    );
    let (ours, theirs) = (world.key.public(), other().public());
    let policy = Policy::parse(
        &text,
        |name| if name == "ours" { &ours } else { &theirs }.to_pem(),
        SystemTime::now,
    )
    .expect("a policy");
    let error = refused(&world, &policy).await;
    assert!(error.to_string().contains(&theirs.fingerprint()), "{error}");
}

/// The one has signed, the other has said what is asked for.
#[tokio::test]
async fn signature_of_one_and_statement_of_another() {
    let world = World::new().await;
    let they = other();
    world.sign(&world.subject, &they, Forms::default()).await;
    say(&world, &world.subject, &world.key).await;
    let text = "mode: enforce\nkeys: [ours, theirs]\npredicates: [slsaprovenance1]";
    let (ours, theirs) = (world.key.public(), they.public());
    let policy = Policy::parse(
        text,
        |name| if name == "ours" { &ours } else { &theirs }.to_pem(),
        SystemTime::now,
    )
    .expect("a policy");
    refused(&world, &policy).await;
    say(&world, &world.subject, &they).await;
    let checked = policy.check(&world.client, &world.reference, world.subject.digest()).await;
    drop(checked.expect("both by one of them"));
}

#[tokio::test]
async fn statement_of_another_digest() {
    let world = World::new().await;
    world.sign(&world.subject, &world.key, Forms::default()).await;
    let another = world.another().await;
    say(&world, &another, &world.key).await;
    let text = "mode: enforce\nkeys: [ours]\npredicates: [slsaprovenance1]";
    let error = refused(&world, &policy(text, &world.key.public())).await;
    assert!(matches!(error, Error::Unattested { .. }), "{error:?}");
}

/// A name that only begins like one that is let be.
#[tokio::test]
async fn name_beside_the_one_that_is_meant() {
    let world = World::new().await;
    let host = world.reference.registry();
    for near in [format!("{host}/demo/ki?"), format!("{host}/demo/kit/*"), format!("x{host}/**")] {
        let text = format!("mode: enforce\nkeys: [ours]\nrules: [{{match: '{near}', mode: off}}]");
        // One sign may stand for any other: that one fits.
        let fits = near.ends_with('?');
        let policy = policy(&text, &world.key.public());
        let checked = policy.check(&world.client, &world.reference, world.subject.digest()).await;
        assert_eq!(checked.is_ok(), fits, "{near}: {checked:?}");
    }
}

async fn say(world: &World, of: &Descriptor, key: &kit_trust::PrivateKey) {
    let at = world.reference.with_digest(of.digest().clone());
    attest(&world.client, &at, of, key, SLSA, json!({}), &world.layout).await.expect("said");
}
