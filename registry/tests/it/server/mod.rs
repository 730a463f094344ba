//! The embedded registry, called as a value: a port of the list that the official conformance suite
//! checks, and what it does not.

mod attack;
mod blobs;
mod isolation;
mod manifests;
mod ready;
mod referrers;
mod sessions;
mod tags;
mod ui;
#[cfg(feature = "client")]
mod users;

use axum::Router;
use axum::body::Body;
use axum::http::HeaderMap;
use http_body_util::BodyExt;
use kit_registry::content::{self, DigestAlgorithm, Hasher};
use kit_registry::server::{Registry, ServerOptions};
use kit_registry::{Descriptor, Digest, Layout, MediaType};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

/// A registry with a layout of its own.
pub(super) struct Api {
    _dir: TempDir,
    layout: Layout,
    router: Router,
}

/// What it answered.
pub(super) struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// Both algorithms that content can be named by.
const ALGORITHMS: [DigestAlgorithm; 2] = [DigestAlgorithm::Sha256, DigestAlgorithm::Sha512];

impl Api {
    fn new() -> Self {
        Self::with(ServerOptions::default())
    }

    fn with(options: ServerOptions) -> Self {
        let (dir, layout) = super::layout::new_layout();
        Self { router: Registry::new(layout.clone(), options).router(), layout, _dir: dir }
    }

    /// The same layout behind a new router, as after a restart.
    fn restart(self) -> Self {
        Self {
            router: Registry::new(self.layout.clone(), ServerOptions::default()).router(),
            ..self
        }
    }

    async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = axum::http::Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response =
            self.router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: head.status.as_u16(), headers: head.headers, body }
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], "").await
    }

    async fn head(&self, path: &str) -> Answer {
        let answer = self.ask("HEAD", path, &[], "").await;
        assert!(answer.body.is_empty());
        answer
    }

    async fn delete(&self, path: &str) -> Answer {
        self.ask("DELETE", path, &[], "").await
    }

    /// Starts an upload; returns its location.
    async fn start(&self, repository: &str) -> String {
        let answer = self
            .ask("POST", &format!("/v2/{repository}/blobs/uploads/"), &[], "")
            .await
            .expect(202);
        answer.header("location").to_owned()
    }

    /// Pushes a blob whole; returns its descriptor.
    async fn push_blob(&self, repository: &str, content: &[u8]) -> Descriptor {
        let descriptor = content::descriptor("application/octet-stream", content);
        let path = format!("/v2/{repository}/blobs/uploads/?digest={}", descriptor.digest());
        self.ask("POST", &path, &[], content.to_vec()).await.expect(201);
        descriptor
    }

    /// Pushes a manifest and expects that it is taken.
    async fn push_manifest(&self, repository: &str, version: &str, manifest: &Value) -> Descriptor {
        let bytes = content::encode(manifest);
        let media_type = manifest["mediaType"].as_str().unwrap();
        self.put_manifest(repository, version, media_type, bytes.clone()).await.expect(201);
        content::descriptor(media_type, &bytes)
    }

    async fn put_manifest(
        &self,
        repository: &str,
        version: &str,
        media_type: &str,
        bytes: Vec<u8>,
    ) -> Answer {
        let path = format!("/v2/{repository}/manifests/{version}");
        self.ask("PUT", &path, &[("content-type", media_type)], bytes).await
    }

    /// Pushes an image of one layer under a tag.
    async fn push_image(&self, repository: &str, tag: &str, layer: &str) -> Descriptor {
        let config = self.push_blob(repository, b"{}").await;
        let layer = self.push_blob(repository, layer.as_bytes()).await;
        self.push_manifest(repository, tag, &image(&config, &[layer])).await
    }

    async fn metric(&self, name: &str) -> u64 {
        let text = self.get("/metrics").await.expect(200).text();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().unwrap()
    }
}

impl Answer {
    #[track_caller]
    fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    /// Expects a failure with a code of the specification.
    #[track_caller]
    fn expect_error(self, status: u16, code: &str) -> Self {
        let it = self.expect(status);
        assert_eq!(it.json()["errors"][0]["code"], code);
        it
    }

    #[track_caller]
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no header {name}")).to_str().unwrap()
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

fn image(config: &Descriptor, layers: &[Descriptor]) -> Value {
    json!({ "schemaVersion": 2, "mediaType": MediaType::ImageManifest, "config": config, "layers": layers })
}

fn index(manifests: &[Descriptor]) -> Value {
    json!({ "schemaVersion": 2, "mediaType": MediaType::ImageIndex, "manifests": manifests })
}

fn digest_by(algorithm: &DigestAlgorithm, bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new(algorithm).unwrap();
    hasher.update(bytes);
    hasher.finish()
}
