//! A registry with one manifest, keys, and somebody else who may write there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::IntoResponse as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kit_trust::{Error, Forms, PrivateKey, sign, verify};
use registry::client::push;
use registry::content::{self, Descriptor, MediaType};
use registry::server::{self, ServerOptions};
use registry::{Client, ClientOptions, Layout, Reference};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

pub(crate) const IN_TOTO: &str = "application/vnd.in-toto+json";
pub(crate) const SIGNED: &str = "https://sigstore.dev/cosign/sign/v1";

/// A registry with one manifest, and somebody who may write to it, or even answers for it.
pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) layout: Layout,
    pub(crate) reference: Reference,
    pub(crate) subject: Descriptor,
    pub(crate) key: PrivateKey,
    lies: Lies,
    _dir: TempDir,
}

/// What is answered in the place of the registry, by the end of a path.
#[derive(Clone, Default)]
struct Lies(Arc<Mutex<BTreeMap<String, Lie>>>);

/// Type and bytes.
type Lie = (String, Vec<u8>);

impl Lies {
    fn of(&self, path: &str) -> Option<Lie> {
        let lies = self.0.lock().expect("nobody fails while holding it");
        lies.iter().find(|(end, _)| path.ends_with(end.as_str())).map(|(_, lie)| lie.clone())
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a place for temporary files");
        let store = Layout::init(&dir.path().join("registry")).expect("a layout");
        let router = server::Registry::new(store, ServerOptions::default()).router();
        let lies = Lies::default();
        let told = lies.clone();
        let lie = move |request: Request, next: Next| {
            let lie = told.of(request.uri().path()).filter(|_| request.method() == "GET");
            async move {
                match lie {
                    Some((of_type, bytes)) => ([("content-type", of_type)], bytes).into_response(),
                    None => next.run(request).await,
                }
            }
        };
        let router = router.layer(middleware::from_fn(lie));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        tokio::spawn(async move { axum::serve(listener, router).await });
        let layout = Layout::init(&dir.path().join("local")).expect("a layout");
        let reference: Reference = format!("{address}/demo/kit:v1").parse().expect("a name");
        let client = Client::new(ClientOptions::default()).expect("a client");
        let key = PrivateKey::generate().expect("the system has randomness");
        let subject = manifest(&layout, &json!({ "annotations": { "a": "1" } }), &[]);
        let world = Self { client, layout, reference, subject, key, lies, _dir: dir };
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
    pub(crate) async fn attach(&self, further: Value, layers: &[Descriptor]) -> Descriptor {
        let referrer = manifest(&self.layout, &further, layers);
        self.push(&referrer, &self.reference.with_digest(referrer.digest().clone())).await;
        referrer
    }

    /// Has the registry answer something else to whoever reads what ends like this.
    pub(crate) fn lie(&self, end: &str, of_type: &str, bytes: &[u8]) {
        let mut lies = self.lies.0.lock().expect("nobody fails while holding it");
        lies.insert(end.to_owned(), (of_type.to_owned(), bytes.to_owned()));
    }

    /// Another manifest in the same repository.
    pub(crate) async fn another(&self) -> Descriptor {
        let another = manifest(&self.layout, &json!({ "annotations": { "a": "2" } }), &[]);
        self.push(&another, &self.reference.with_digest(another.digest().clone())).await;
        another
    }

    /// What somebody who has the key says in cosign's form of a signature, changed before it is
    /// signed.
    pub(crate) fn statement(&self, change: impl Fn(&mut Value)) -> Value {
        let mut statement = json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{ "digest": { "sha256": self.subject.digest().digest() } }],
            "predicateType": SIGNED,
            "predicate": {},
        });
        change(&mut statement);
        statement
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

/// A signature in base64, by the key alone: of anything at all.
pub(crate) fn signature(key: &PrivateKey, message: &[u8]) -> String {
    use p256::ecdsa::signature::Signer as _;
    use p256::pkcs8::DecodePrivateKey as _;
    let pem = key.to_plain_pem().expect("written");
    let key = p256::ecdsa::SigningKey::from_pkcs8_pem(&pem).expect("it is PKCS#8");
    let signature: p256::ecdsa::DerSignature = key.sign(message);
    STANDARD.encode(signature.as_bytes())
}

/// A bundle over any payload of any type.
pub(crate) fn bundle_over(key: &PrivateKey, of_type: &str, payload: &[u8]) -> Value {
    let head = format!("DSSEv1 {} {of_type} {} ", of_type.len(), payload.len());
    let sig = signature(key, &[head.as_bytes(), payload].concat());
    json!({
        "mediaType": BUNDLE,
        "verificationMaterial": { "publicKey": { "hint": "" } },
        "dsseEnvelope": {
            "payload": STANDARD.encode(payload),
            "payloadType": of_type,
            "signatures": [{ "sig": sig }],
        },
    })
}
