//! A registry with one manifest, keys, and somebody else who may write there.

use kit_trust::{Error, Forms, PrivateKey, sign, verify};
use registry::client::push;
use registry::content::{self, Descriptor, MediaType};
use registry::server::{self, ServerOptions};
use registry::{Client, ClientOptions, Layout, Reference};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// A registry with one manifest, and somebody who may write to it.
pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) layout: Layout,
    pub(crate) reference: Reference,
    pub(crate) subject: Descriptor,
    pub(crate) key: PrivateKey,
    _dir: TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
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

    pub(crate) async fn push(&self, manifest: &Descriptor, to: &Reference) {
        push(&self.layout, manifest, to, &self.client, &|_| {}).await.expect("it is pushed");
    }

    pub(crate) async fn sign(
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
    pub(crate) async fn attach(&self, further: Value, layers: &[Descriptor]) {
        let referrer = manifest(&self.layout, &further, layers);
        self.push(&referrer, &self.reference.with_digest(referrer.digest().clone())).await;
    }

    pub(crate) fn subject(&self) -> Value {
        json!({
            "mediaType": self.subject.media_type(),
            "digest": self.subject.digest(),
            "size": self.subject.size(),
        })
    }

    /// Attaches a bundle as cosign would.
    pub(crate) async fn attach_bundle(&self, bundle: &[u8]) {
        let layer = self.layout.put(BUNDLE, bundle).expect("kept");
        self.attach(json!({ "artifactType": BUNDLE, "subject": self.subject() }), &[layer]).await;
    }

    pub(crate) async fn refused(&self, expected: &str) {
        let checked =
            verify(&self.client, &self.reference, self.subject.digest(), &self.key.public()).await;
        let error = checked.expect_err("nobody with the key has signed this");
        assert!(matches!(error, Error::Unsigned { .. }), "{error:?}");
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.to_string().contains(&self.key.public().fingerprint()), "{error}");
    }

    pub(crate) async fn checked(&self) -> kit_trust::Verified {
        let key = self.key.public();
        verify(&self.client, &self.reference, self.subject.digest(), &key).await.expect("signed")
    }

    /// The bundle that this key makes for this manifest, to be changed.
    pub(crate) async fn bundle(&self, subject: &Descriptor, key: &PrivateKey) -> Value {
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
pub(crate) fn manifest(layout: &Layout, further: &Value, layers: &[Descriptor]) -> Descriptor {
    let config = layout.put("application/vnd.oci.empty.v1+json", b"{}").expect("kept");
    let mut manifest = json!({
        "schemaVersion": 2, "mediaType": MediaType::ImageManifest, "config": config, "layers": layers,
    });
    let further = further.as_object().expect("an object").clone();
    manifest.as_object_mut().expect("an object").extend(further);
    layout.put_manifest(MediaType::ImageManifest, &content::encode(&manifest)).expect("kept")
}

pub(crate) fn other() -> PrivateKey {
    PrivateKey::generate().expect("the system has randomness")
}
