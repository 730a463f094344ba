//! Lists of referrers, and referrers themselves, that are not what they say.

use kit_trust::{Form, Forms};
use registry::content::{Descriptor, MediaType};
use serde_json::{Value, json};

use crate::world::{BUNDLE, World, other};

const ONLY_BUNDLE: Forms = Forms { bundle: true, tag: false };
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A list of referrers as a registry gives it.
fn list(of: &[&Descriptor]) -> Vec<u8> {
    let one = |it: &&Descriptor| {
        json!({
            "mediaType": it.media_type(), "digest": it.digest(), "size": it.size(),
            "artifactType": BUNDLE,
        })
    };
    let manifests: Vec<Value> = of.iter().map(one).collect();
    let index =
        json!({ "schemaVersion": 2, "mediaType": MediaType::ImageIndex, "manifests": manifests });
    index.to_string().into_bytes()
}

/// The subject, signed by the key and by somebody else; returns both referrers.
async fn signed_twice(world: &World) -> [Descriptor; 2] {
    let ours = world.sign(&world.subject, &world.key, ONLY_BUNDLE).await;
    let theirs = world.sign(&world.subject, &other(), ONLY_BUNDLE).await;
    [ours, theirs].map(|it| it.bundle.expect("one was asked for"))
}

fn referrers(world: &World) -> String {
    format!("/referrers/{}", world.subject.digest())
}

#[tokio::test]
async fn referrers_truncated() {
    let world = World::new().await;
    let [_, theirs] = signed_twice(&world).await;
    world.checked().await;
    world.lie(&referrers(&world), INDEX, &list(&[&theirs]));
    world.refused("was not signed by this key").await;
    world.lie(&referrers(&world), INDEX, &list(&[]));
    world.refused("has no signature").await;
}

#[tokio::test]
async fn referrers_reordered() {
    let world = World::new().await;
    let [ours, theirs] = signed_twice(&world).await;
    for order in [[&ours, &theirs], [&theirs, &ours]] {
        world.lie(&referrers(&world), INDEX, &list(&order));
        let verified = world.checked().await;
        assert_eq!((verified.form, &verified.signature.digest()), (Form::Bundle, &ours.digest()));
    }
}

/// Whoever attaches without end makes nobody read without end.
#[tokio::test]
async fn referrers_without_end() {
    let world = World::new().await;
    let [ours, theirs] = signed_twice(&world).await;
    let mut flood = vec![&theirs; 1000];
    flood.push(&ours);
    world.lie(&referrers(&world), INDEX, &list(&flood));
    world.refused("and 995 more").await;
}

/// A manifest that carries a bundle, and refers to something else.
#[tokio::test]
async fn referrer_of_something_else() {
    let world = World::new().await;
    let another = world.another().await;
    let bundle = world.bundle(&world.subject, &world.key).await.to_string();
    let layer = world.layout.put(BUNDLE, bundle.as_bytes()).expect("kept");
    let subject = json!({ "mediaType": another.media_type(), "digest": another.digest(), "size": another.size() });
    let elsewhere = world
        .attach(json!({ "artifactType": BUNDLE, "subject": subject }), std::slice::from_ref(&layer))
        .await;
    world.refused("has no signature").await;
    // Listed all the same, or of nothing at all.
    world.lie(&referrers(&world), INDEX, &list(&[&elsewhere]));
    world.refused("refers to something else").await;
    let nowhere = world.attach(json!({ "artifactType": BUNDLE }), &[layer]).await;
    world.lie(&referrers(&world), INDEX, &list(&[&nowhere]));
    world.refused("refers to something else").await;
}

#[tokio::test]
async fn referrer_with_further_layers() {
    let world = World::new().await;
    let bundle = world.bundle(&world.subject, &world.key).await.to_string();
    let layer = world.layout.put(BUNDLE, bundle.as_bytes()).expect("kept");
    let further = || json!({ "artifactType": BUNDLE, "subject": world.subject() });
    world.attach(further(), &[]).await;
    world.refused("has 0 layers").await;
    world.attach(further(), &[layer.clone(), layer]).await;
    world.refused("has 2 layers").await;
}

#[tokio::test]
async fn layer_of_another_type() {
    let world = World::new().await;
    let bundle = world.bundle(&world.subject, &world.key).await.to_string();
    let text = world.layout.put("text/plain", bundle.as_bytes()).expect("kept");
    world.attach(json!({ "artifactType": BUNDLE, "subject": world.subject() }), &[text]).await;
    world.refused("no bundle").await;
}

/// The registry answers another manifest than the one whose digest was listed.
#[tokio::test]
async fn referrer_replaced_on_its_way() {
    let world = World::new().await;
    let [ours, theirs] = signed_twice(&world).await;
    let genuine = world.layout.read(&ours).expect("ours");
    world.lie(&referrers(&world), INDEX, &list(&[&theirs]));
    world.lie(
        &format!("/manifests/{}", theirs.digest()),
        MediaType::ImageManifest.as_ref(),
        &genuine,
    );
    world.refused(theirs.digest().as_ref()).await;
}

/// The registry sends another bundle than the one that the manifest names.
#[tokio::test]
async fn bundle_replaced_on_its_way() {
    let world = World::new().await;
    let [ours, theirs] = signed_twice(&world).await;
    let layer = |of: &Descriptor| world.layout.document(of).expect("ours").layers[0].clone();
    let genuine = world.layout.read(&layer(&ours)).expect("ours");
    world.lie(&referrers(&world), INDEX, &list(&[&theirs]));
    let blob = layer(&theirs);
    world.lie(&format!("/blobs/{}", blob.digest()), "application/octet-stream", &genuine);
    world.refused(blob.digest().as_ref()).await;
}
