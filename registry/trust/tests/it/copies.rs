//! What goes from one repository to another, and what is said of it goes along.

use kit_trust::{Form, Forms, attest, attestations, verify};
use registry::Reference;
use serde_json::json;

use crate::world::{World, manifest};

#[tokio::test]
async fn what_refers_to_a_manifest_comes_along_and_what_refers_to_that() {
    let (world, elsewhere) = (World::new().await, World::new().await);
    world.sign(&world.subject, &world.key, Forms::default()).await;
    let said = attest(
        &world.client,
        &world.reference,
        &world.subject,
        &world.key,
        "https://slsa.dev/provenance/v1",
        json!({ "n": 1 }),
        &world.layout,
    );
    let said = said.await.expect("said");
    // Somebody has signed the statement itself.
    world.sign(&said, &world.key, Forms { bundle: true, tag: false }).await;
    let to: Reference =
        format!("{}/prod/kit:v2", elsewhere.reference.registry()).parse().expect("a name");
    let copied = registry::copy(&world.client, &world.reference, &to, &elsewhere.layout, &|_| ());
    let copied = copied.await.expect("copied");
    assert_eq!(copied.descriptor.digest(), world.subject.digest());
    assert_eq!(copied.along.len(), 4, "{copied:?}");
    let (client, key) = (&world.client, world.key.public());
    let resolved = client.resolve(&to).await.expect("it is there");
    assert_eq!(resolved.digest(), world.subject.digest());
    let verified = verify(client, &to, resolved.digest(), &key).await.expect("signed there, too");
    assert_eq!(verified.form, Form::Bundle);
    let heard =
        attestations(client, &to, resolved.digest(), &key, "https://slsa.dev/provenance/v1");
    assert_eq!(heard.await.expect("said there, too")[0].predicate, json!({ "n": 1 }));
    verify(client, &to, said.digest(), &key).await.expect("what is said is signed there, too");
    let tag = format!("sha256-{}.sig", resolved.digest().digest());
    let tag = to.with_tag(&tag).expect("a tag");
    client.resolve(&tag).await.expect("the older form came along");
    // Copied again it is the same.
    let again = registry::copy(client, &world.reference, &to, &elsewhere.layout, &|_| ());
    assert_eq!(again.await.expect("copied").along.len(), 4);
}

#[tokio::test]
async fn nothing_of_another_manifest_comes_along() {
    let world = World::new().await;
    let another = manifest(&world.layout, &json!({ "annotations": { "a": "2" } }), &[]);
    world.push(&another, &world.reference.with_digest(another.digest().clone())).await;
    world.sign(&another, &world.key, Forms::default()).await;
    let to: Reference =
        format!("{}/prod/kit:v1", world.reference.registry()).parse().expect("a name");
    let copied = registry::copy(&world.client, &world.reference, &to, &world.layout, &|_| ());
    assert!(copied.await.expect("copied").along.is_empty());
}
