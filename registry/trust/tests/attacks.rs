//! What looks like a signature and is none, in a registry that somebody else writes to.

use kit_trust::{Error, Form, Forms, PrivateKey, sign, verify};
use registry::client::push;
use registry::content::{self, Descriptor, Digest, MediaType};
use registry::server::{self, ServerOptions};
use registry::{Client, ClientOptions, Layout, Reference};
use serde_json::{Value, json};
use tempfile::TempDir;

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// A registry with one manifest, and somebody who may write to it.
struct World {
    client: Client,
    layout: Layout,
    reference: Reference,
    subject: Descriptor,
    key: PrivateKey,
    _dir: TempDir,
}

impl World {
    async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a place for temporary files");
        let store = Layout::init(&dir.path().join("registry")).expect("a layout");
        let router = server::Registry::new(store, ServerOptions::default()).router();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        tokio::spawn(async move { axum::serve(listener, router).await });
        let layout = Layout::init(&dir.path().join("local")).expect("a layout");
        let reference: Reference = format!("{address}/demo/kit:v1").parse().expect("a name");
        let client = Client::new(ClientOptions::default()).expect("a client");
        let key = PrivateKey::generate().expect("the system has randomness");
        let subject = manifest(&layout, &json!({ "annotations": { "a": "1" } }), &[]);
        let world = Self { client, layout, reference, subject, key, _dir: dir };
        world.push(&world.subject, &world.reference).await;
        world
    }

    async fn push(&self, manifest: &Descriptor, to: &Reference) {
        push(&self.layout, manifest, to, &self.client, &|_| {}).await.expect("it is pushed");
    }

    async fn sign(
        &self,
        subject: &Descriptor,
        key: &PrivateKey,
        forms: Forms,
    ) -> kit_trust::Signed {
        sign(&self.client, &self.reference, subject, key, forms, &self.layout)
            .await
            .expect("signed")
    }

    /// Attaches something to the subject.
    async fn attach(&self, further: Value, layers: &[Descriptor]) {
        let referrer = manifest(&self.layout, &further, layers);
        self.push(&referrer, &self.reference.with_digest(referrer.digest().clone())).await;
    }

    fn subject(&self) -> Value {
        json!({
            "mediaType": self.subject.media_type(),
            "digest": self.subject.digest(),
            "size": self.subject.size(),
        })
    }

    /// Attaches a bundle as cosign would.
    async fn attach_bundle(&self, bundle: &[u8]) {
        let layer = self.layout.put(BUNDLE, bundle).expect("kept");
        self.attach(json!({ "artifactType": BUNDLE, "subject": self.subject() }), &[layer]).await;
    }

    async fn refused(&self, expected: &str) {
        let checked =
            verify(&self.client, &self.reference, self.subject.digest(), &self.key.public()).await;
        let error = checked.expect_err("nobody with the key has signed this");
        assert!(matches!(error, Error::Unsigned { .. }), "{error:?}");
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.to_string().contains(&self.key.public().fingerprint()), "{error}");
    }

    async fn checked(&self) -> kit_trust::Verified {
        let key = self.key.public();
        verify(&self.client, &self.reference, self.subject.digest(), &key).await.expect("signed")
    }

    /// The bundle that this key makes for this manifest, to be changed.
    async fn bundle(&self, subject: &Descriptor, key: &PrivateKey) -> Value {
        let forms = Forms { bundle: true, tag: false };
        // In a repository of its own, where it counts for nothing.
        let aside: Reference =
            format!("{}/aside/kit:v1", self.reference.registry()).parse().expect("a name");
        self.push(subject, &aside).await;
        let signed = sign(&self.client, &aside, subject, key, forms, &self.layout).await;
        let manifest = signed.expect("signed").bundle.expect("one was asked for");
        let layer = self.layout.document(&manifest).expect("ours").layers[0].clone();
        serde_json::from_slice(&self.layout.read(&layer).expect("ours")).expect("JSON")
    }
}

/// Puts a manifest into a layout.
fn manifest(layout: &Layout, further: &Value, layers: &[Descriptor]) -> Descriptor {
    let config = layout.put("application/vnd.oci.empty.v1+json", b"{}").expect("kept");
    let mut manifest = json!({
        "schemaVersion": 2, "mediaType": MediaType::ImageManifest, "config": config, "layers": layers,
    });
    let further = further.as_object().expect("an object").clone();
    manifest.as_object_mut().expect("an object").extend(further);
    layout.put_manifest(MediaType::ImageManifest, &content::encode(&manifest)).expect("kept")
}

fn other() -> PrivateKey {
    PrivateKey::generate().expect("the system has randomness")
}

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
    let changes: [(&str, &dyn Fn(&mut Value)); 6] = [
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
    for (expected, change) in changes {
        let mut bundle = genuine.clone();
        change(&mut bundle);
        world.attach_bundle(bundle.to_string().as_bytes()).await;
        world.refused(expected).await;
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
