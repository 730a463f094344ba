//! Quirks of registries. Where one is known to belong to a product, it is named.

use std::net::SocketAddr;

use axum::extract::Request;
use futures_util::{StreamExt, stream};
use kit_registry::content::{self, ImageManifestBuilder};
use kit_registry::{Client, ClientOptions, Descriptor, Error, Layout, MediaType, pull, push};
use tempfile::TempDir;

use super::Does::{Answers, Edits, Gzips, Hears, Says, Sets, Writes};
use super::{Does, HTML, Of, PAGE, Quirk, chain, has, quirk};
use crate::client::{Registry, deaf, options, reference, serve};
use crate::layout::put_image;

const MOUNT: Of = ("POST", |it| has(it, "mount="));
const BEGIN: Of = ("POST", |it| it.uri().query().is_none() && has(it, "/blobs/uploads/"));
const PATCH: Of = ("PATCH", |it| has(it, "/blobs/uploads/"));
const FINISH: Of = ("PUT", |it| has(it, "/blobs/uploads/"));
const FINISH_WHOLE: Of = ("PUT", |it| has(it, "/blobs/uploads/") && is_full(it));
const HEAD_BLOB: Of = ("HEAD", |it| has(it, "/blobs/"));
const GET_BLOB: Of = ("GET", |it| has(it, "/blobs/sha256:"));
const HEAD_MANIFEST: Of = ("HEAD", |it| has(it, "/manifests/"));
const GET_MANIFEST: Of = ("GET", |it| has(it, "/manifests/"));
const PUT_MANIFEST: Of = ("PUT", |it| has(it, "/manifests/"));
const DELETE_TAG: Of = ("DELETE", |it| has(it, "/manifests/v1"));
const DELETE: Of = ("DELETE", |it| has(it, "/manifests/"));
const TAGS: Of = ("GET", |it| has(it, "/tags/list"));
const FIRST_TAGS: Of = ("GET", |it| it.uri().query().is_none() && has(it, "/tags/list"));
const REFERRERS: Of = ("GET", |it| has(it, "/referrers/"));

/// Takes no blob whole, so that it goes in chunks.
const CHUNKS: Quirk = quirk("chunks", FINISH_WHOLE, Answers(413, &[], ""));

fn is_full(request: &Request) -> bool {
    request.headers().get("content-length").is_some_and(|length| *length != "0")
}

const DENIED: &str = r#"{"errors":[{"code":"DENIED","message":"no rights"}]}"#;
const INVALID: &str = r#"{"errors":[{"code":"DIGEST_INVALID","message":"invalid"}]}"#;
const BUSY: &str = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#;
const BASIC: &[(&str, &str)] = &[("www-authenticate", "Basic realm=\"r\"")];
const NOW: &[(&str, &str)] = &[("retry-after", "0")];
const TOMORROW: &[(&str, &str)] = &[("retry-after", "86400")];

const QUIRKS: &[Quirk] = &[
    quirk("none", ("NONE", |_| false), Says(200)),
    // An optimisation that is refused gives way to the plain way.
    quirk("mount: 400", MOUNT, Answers(400, &[], INVALID)),
    quirk("mount: 401 for a token of one scope", MOUNT, Answers(401, BASIC, DENIED)),
    quirk("mount: 403 (Harbor, GitLab)", MOUNT, Answers(403, &[], DENIED)),
    quirk("mount: 404", MOUNT, Answers(404, &[], "")),
    quirk("mount: 405", MOUNT, Answers(405, &[], "")),
    quirk("mount: 500", MOUNT, Answers(500, &[], "")),
    quirk("mount: 503", MOUNT, Answers(503, TOMORROW, "")),
    quirk("mount: a page", MOUNT, Answers(200, HTML, PAGE)),
    quirk("mount: 202 without a location", MOUNT, Answers(202, &[], "")),
    quirk("mount: unknown, a session begins", MOUNT, Hears(|uri| before(uri, '?'))),
    // Uploads.
    quirk("upload begins with 201", BEGIN, Says(201)),
    quirk("upload begins with 200", BEGIN, Says(200)),
    quirk("upload ends with 200", FINISH, Says(200)),
    quirk("upload ends with 202", FINISH, Says(202)),
    quirk("upload ends with 204", FINISH, Says(204)),
    quirk("upload ends without its digest", FINISH, Sets("docker-content-digest", None)),
    quirk("upload ends with an empty digest", FINISH, Sets("docker-content-digest", Some(""))),
    quirk("chunks are taken with 200", PATCH, Says(200)),
    quirk("chunks are taken with 201 (Amazon)", PATCH, Says(201)),
    quirk("chunks are taken with 204 (Pulp)", PATCH, Says(204)),
    quirk("chunks are taken without a location", PATCH, Sets("location", None)),
    quirk("chunks are taken without a range", PATCH, Sets("range", None)),
    quirk("chunks are taken with a range in bytes", PATCH, Sets("range", Some("bytes=0-21"))),
    quirk("session's length is unknown", BEGIN, Sets("range", None)),
    quirk("session wants huge chunks", BEGIN, Sets("oci-chunk-min-length", Some("1000000000"))),
    quirk("sessions at a relative address", BEGIN, Edits("location", last_part)),
    quirk("sessions with a state", BEGIN, Edits("location", |it| format!("{it}?state=a%2Bb&x"))),
    quirk("sessions with a fragment", BEGIN, Edits("location", |it| format!("{it}#x"))),
    quirk("sessions nowhere", BEGIN, Sets("location", None))
        .refuses(&[("push", NOWHERE), ("push in chunks", NOWHERE)]),
    quirk("sessions in a file", BEGIN, Sets("location", Some("file:///etc/passwd")))
        .refuses(&[("push", NOWHERE), ("push in chunks", NOWHERE)]),
    quirk("chunks go on at a relative address", PATCH, Edits("location", last_part)),
    quirk("429 once", BEGIN, Answers(429, NOW, BUSY)).once(),
    quirk("503 with a page once", FINISH, Answers(503, NOW, PAGE)).once(),
    quirk("429 until tomorrow", BEGIN, Answers(429, TOMORROW, BUSY)).refuses(&[
        ("push", "slow down (it asks to be left alone for 86400 s)"),
        ("push in chunks", "slow down (it asks to be left alone for 86400 s)"),
    ]),
    quirk("manifests are taken with 200", PUT_MANIFEST, Says(200)),
    quirk("manifests are taken with 202", PUT_MANIFEST, Says(202)),
    quirk(
        "manifests are taken without a digest",
        PUT_MANIFEST,
        Sets("docker-content-digest", None),
    ),
    quirk("manifests are taken without a location", PUT_MANIFEST, Sets("location", None)),
    // HEAD.
    quirk("no HEAD of blobs: 404", HEAD_BLOB, Answers(404, &[], "")),
    quirk("no HEAD of blobs: 405", HEAD_BLOB, Answers(405, &[], "")),
    quirk("no HEAD of blobs: 403 of a signed address", HEAD_BLOB, Answers(403, &[], "")),
    quirk("no HEAD of blobs: 501", HEAD_BLOB, Answers(501, &[], "")),
    quirk("HEAD of blobs without a length", HEAD_BLOB, Sets("content-length", Some("0"))),
    quirk("no HEAD of manifests: 404", HEAD_MANIFEST, Answers(404, &[], "")),
    quirk("no HEAD of manifests: 405", HEAD_MANIFEST, Answers(405, &[], "")),
    quirk("no HEAD of manifests: 400", HEAD_MANIFEST, Answers(400, &[], "")),
    quirk("HEAD of manifests without a digest", HEAD_MANIFEST, Sets("docker-content-digest", None)),
    quirk("HEAD of manifests without a type", HEAD_MANIFEST, Sets("content-type", None)),
    quirk("HEAD of manifests is a page", HEAD_MANIFEST, Sets("content-type", Some("text/html"))),
    // Types and codings.
    quirk("manifests without a type", GET_MANIFEST, Sets("content-type", None)),
    quirk("manifests as JSON", GET_MANIFEST, Sets("content-type", Some("application/json"))),
    quirk("manifests as text", GET_MANIFEST, Sets("content-type", Some("text/plain"))),
    quirk(
        "manifests as bytes",
        GET_MANIFEST,
        Sets("content-type", Some("application/octet-stream")),
    ),
    quirk(
        "manifests with a charset",
        GET_MANIFEST,
        Sets("content-type", Some("application/vnd.oci.image.manifest.v1+json; charset=utf-8")),
    ),
    quirk(
        "manifests of another kind (CVE-2021-41190)",
        GET_MANIFEST,
        Sets("content-type", Some("application/vnd.oci.image.index.v1+json")),
    )
    .refuses(&[
        ("pull", "ambiguous"),
        ("manifest", "ambiguous"),
        ("delete by digest", "ambiguous"),
    ]),
    quirk("manifests without a digest", GET_MANIFEST, Sets("docker-content-digest", None)),
    quirk("manifests coded", GET_MANIFEST, Gzips),
    quirk("manifests said to be coded", GET_MANIFEST, Sets("content-encoding", Some("gzip"))),
    quirk("manifests are a page", GET_MANIFEST, Answers(200, HTML, PAGE)).refuses(&[
        ("pull", "a web page came in its place"),
        ("manifest", "a web page came in its place"),
        ("delete by digest", "a web page came in its place"),
    ]),
    quirk("manifests are 404 pages", GET_MANIFEST, Answers(404, HTML, PAGE))
        .refuses(&[("pull", "is not in its registry"), ("manifest", "is not in its registry")]),
    quirk("manifests send their client to sign in", GET_MANIFEST, Answers(302, &[], "")).refuses(
        &[
            ("pull", "is not followed"),
            ("manifest", "is not followed"),
            ("delete by digest", "is not followed"),
        ],
    ),
    quirk("blobs as pages", GET_BLOB, Sets("content-type", Some("text/html"))),
    quirk(
        "blobs said to be coded (object stores)",
        GET_BLOB,
        Sets("content-encoding", Some("gzip")),
    ),
    quirk("blobs coded", GET_BLOB, Gzips).refuses(&[
        ("pull", "it came coded as gzip, although it was asked for as it is"),
        ("blob", "it came coded as gzip, although it was asked for as it is"),
    ]),
    quirk("blobs are a page", GET_BLOB, Answers(200, HTML, PAGE)).refuses(&[
        ("pull", "a web page came in its place"),
        ("blob", "a web page came in its place"),
    ]),
    quirk("blobs of the right size with other bytes", GET_BLOB, Writes(|body| body.to_uppercase()))
        .refuses(&[
            ("pull", "does not have the content its digest promises"),
            ("blob", "does not have the content its digest promises"),
        ]),
    quirk("blobs: 503 once", GET_BLOB, Answers(503, NOW, PAGE)).once(),
    quirk("blobs: 429 until tomorrow", GET_BLOB, Answers(429, TOMORROW, BUSY)).refuses(&[
        ("pull", "slow down (it asks to be left alone for 86400 s)"),
        ("blob", "slow down (it asks to be left alone for 86400 s)"),
    ]),
    // Tags.
    quirk("tags as text", TAGS, Sets("content-type", Some("text/plain"))),
    quirk("tags coded", TAGS, Gzips),
    quirk("tags in no order, and twice", TAGS, Writes(|_| tags(r#"["v2","v1","v2"]"#))),
    quirk(
        "tags with names that are none",
        TAGS,
        Writes(|_| tags(r#"["v1",null,7,"../x","v2",""]"#)),
    ),
    quirk("tags on pages of their own (opaque)", FIRST_TAGS, OPAQUE),
    quirk("tags on pages elsewhere", FIRST_TAGS, ELSEWHERE),
    quirk(
        "tags on the same page for ever",
        TAGS,
        Sets("link", Some("</v2/demo/kit/tags/list>; rel=next")),
    )
    .refuses(&[("tags", "the next page is the same one")]),
    quirk("tags are a page", TAGS, Answers(200, HTML, PAGE))
        .refuses(&[("tags", "a web page came in its place")]),
    quirk("tags: 503 once", TAGS, Answers(503, NOW, BUSY)).once(),
    // Deleting.
    quirk("no tag is deleted: 400 (distribution 2)", DELETE_TAG, Answers(400, &[], INVALID)),
    quirk("no tag is deleted: 404", DELETE_TAG, Answers(404, &[], "")),
    quirk("no tag is deleted: 405", DELETE_TAG, Answers(405, &[], "")),
    quirk("no tag is deleted: 501", DELETE_TAG, Answers(501, &[], "")),
    quirk("no tag is deleted: 403", DELETE_TAG, Answers(403, &[], DENIED))
        .refuses(&[("delete", "answered 403: DENIED: no rights")]),
    quirk("nothing is deleted: 405", DELETE, Answers(405, &[], "")).refuses(&[
        ("delete", "cannot be deleted: its registry does not allow it"),
        ("delete by digest", "cannot be deleted: its registry does not allow it"),
    ]),
    quirk("deletes with 200", DELETE, Says(200)),
    quirk("deletes with 204", DELETE, Says(204)),
    // Referrers.
    quirk("no referrers: 404", REFERRERS, Answers(404, &[], "")).and(PUT_MANIFEST, NO_SUBJECT),
    quirk("no referrers: 400", REFERRERS, Answers(400, &[], INVALID)).and(PUT_MANIFEST, NO_SUBJECT),
    quirk("no referrers: 405", REFERRERS, Answers(405, &[], "")).and(PUT_MANIFEST, NO_SUBJECT),
    quirk("no referrers: a page", REFERRERS, Answers(200, HTML, PAGE))
        .and(PUT_MANIFEST, NO_SUBJECT),
    quirk("referrers as JSON", REFERRERS, Sets("content-type", Some("application/json"))),
    quirk("referrers coded", REFERRERS, Gzips),
    quirk("subjects are not told of", PUT_MANIFEST, NO_SUBJECT),
];

const NOWHERE: &str = "there is no usable location for the upload";
const NO_SUBJECT: Does = Sets("oci-subject", None);
/// The next page is at an address that says nothing, and holds all.
const OPAQUE: Does = Sets("link", Some("</v2/demo/kit/tags/list?last=v1&x=aGVsbG8>; rel=\"next\""));
/// A registry behind a proxy does not know its own name.
const ELSEWHERE: Does =
    Sets("link", Some("<http://inside.test:5000/v2/demo/kit/tags/list?last=v1>; rel=\"next\""));

fn before(text: &str, end: char) -> String {
    text.split(end).next().unwrap().to_owned()
}

fn last_part(location: &str) -> String {
    location.rsplit('/').next().unwrap().to_owned()
}

fn tags(list: &str) -> String {
    format!(r#"{{"name":"demo/kit","tags":{list}}}"#)
}

/// A registry with something in it, and what that is.
struct World {
    client: Client,
    registry: Registry,
    /// The same registry, as it should be.
    right: SocketAddr,
    _dir: TempDir,
    layout: Layout,
    image: Descriptor,
}

impl World {
    async fn new(quirk: Quirk, verb: &str) -> Self {
        let mut right = None;
        let registry = Registry::start_in(scratch(), |router| {
            right = Some(router.clone());
            let router = quirk.before(router);
            if verb == "push in chunks" { CHUNKS.before(router) } else { router }
        })
        .await;
        let right = serve(right.unwrap()).await;
        // Plain, and without roots, which take their time to load.
        let options = ClientOptions { plain_http: Some(true), tls_verify: false, ..options() };
        let client = Client::new(options).unwrap();
        let dir = scratch();
        let layout = Layout::init(dir.path()).unwrap();
        let image = put_image(&layout, &["a layer in lower case", "another"]);
        for tag in ["demo/kit:v1", "demo/kit:v2"] {
            push(&layout, &image, &reference(right, tag), &client, &deaf).await.unwrap();
        }
        Self { client, registry, right, _dir: dir, layout, image }
    }

    /// Whether the registry itself has what was pushed, whole.
    async fn check_pushed(&self, name: &str, image: &Descriptor) {
        let dir = scratch();
        let other = Layout::init(dir.path()).unwrap();
        let pulled = pull(&self.client, &reference(self.right, name), &other, &deaf).await.unwrap();
        assert_eq!(pulled.descriptor, *image);
        assert!(other.verify(image).unwrap().problems.is_empty());
    }

    async fn has(&self, name: &str) -> bool {
        self.client.resolve(&reference(self.right, name)).await.is_ok()
    }

    async fn run(&self, verb: &str) -> Result<(), Error> {
        let Self { client, layout, image, .. } = self;
        let v1 = self.registry.reference("demo/kit:v1");
        match verb {
            "push" | "push in chunks" => {
                let new = put_image(layout, &["pushed, and of bytes 22", "new"]);
                let to = self.registry.reference("demo/new:v1");
                push(layout, &new, &to, client, &deaf).await?;
                self.check_pushed("demo/new:v1", &new).await;
            }
            "copy" => {
                // The layout knows of a sibling that has the same blobs.
                layout.tag(image, &v1).unwrap();
                let to = self.registry.reference("demo/copy:v1");
                push(layout, image, &to, client, &deaf).await?;
                self.check_pushed("demo/copy:v1", image).await;
            }
            "pull" => {
                let dir = scratch();
                let other = Layout::init(dir.path()).unwrap();
                let pulled = pull(client, &v1, &other, &deaf).await?;
                assert_eq!(pulled.descriptor, *image);
                assert!(other.verify(image).unwrap().problems.is_empty());
            }
            "resolve" => assert_eq!(client.resolve(&v1).await?, *image),
            "manifest" => assert_eq!(client.manifest(&v1).await?.0, *image),
            "blob" => {
                let layer = layout.document(image).unwrap().layers.remove(0);
                assert_eq!(client.read_blob(&v1, &layer).await?, b"a layer in lower case");
            }
            "tags" => assert_eq!(client.tags(&v1).await?, ["v1", "v2"]),
            "delete" => {
                client.delete(&v1).await?;
                assert!(!self.has("demo/kit:v1").await);
                // Whatever else went is told.
                let warnings = client.take_warnings().join("\n");
                let is_told = warnings.contains("are gone with it");
                assert_ne!(self.has("demo/kit:v2").await, is_told, "{warnings}");
            }
            "delete by digest" => {
                client.delete(&v1.with_digest(image.digest().clone())).await?;
                assert!(!self.has("demo/kit:v2").await);
            }
            "referrers" => {
                let referrer = put_referrer(layout, image);
                let to = v1.with_digest(referrer.digest().clone());
                push(layout, &referrer, &to, client, &deaf).await?;
                let by_digest = v1.with_digest(image.digest().clone());
                let found = client.referrers(&by_digest, Some("application/a")).await?;
                let found: Vec<_> = found.iter().map(Descriptor::digest).collect();
                assert_eq!(found, [referrer.digest()]);
            }
            other => panic!("{other} is no verb"),
        }
        Ok(())
    }
}

/// A folder in memory where there is such a place: hundreds of small registries would wait for the
/// disk.
fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn put_referrer(layout: &Layout, subject: &Descriptor) -> Descriptor {
    let manifest = ImageManifestBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageManifest)
        .artifact_type("application/a")
        .config(layout.put(MediaType::EmptyJSON, b"{}").unwrap())
        .layers([layout.put(MediaType::EmptyJSON, b"{}").unwrap()])
        .subject(subject.clone())
        .build()
        .unwrap();
    layout.put_manifest(MediaType::ImageManifest, &content::encode(&manifest)).unwrap()
}

/// Tries a verb on every quirk, several at a time.
async fn run_over_all(verb: &str) {
    let trying = stream::iter(QUIRKS).for_each_concurrent(32, |quirk| async move {
        let world = World::new(*quirk, verb).await;
        let outcome = world.run(verb).await;
        quirk.check(verb, outcome.map_err(|error| chain(&error)));
    });
    trying.await;
}

#[tokio::test]
async fn push_comes_to_the_right_end() {
    run_over_all("push").await;
}

#[tokio::test]
async fn push_in_chunks_comes_to_the_right_end() {
    run_over_all("push in chunks").await;
}

#[tokio::test]
async fn copy_comes_to_the_right_end() {
    run_over_all("copy").await;
}

#[tokio::test]
async fn pull_comes_to_the_right_end() {
    run_over_all("pull").await;
}

#[tokio::test]
async fn reading_comes_to_the_right_end() {
    for verb in ["resolve", "manifest", "blob"] {
        run_over_all(verb).await;
    }
}

#[tokio::test]
async fn tags_come_to_the_right_end() {
    run_over_all("tags").await;
}

#[tokio::test]
async fn delete_comes_to_the_right_end() {
    run_over_all("delete").await;
    run_over_all("delete by digest").await;
}

#[tokio::test]
async fn referrers_come_to_the_right_end() {
    run_over_all("referrers").await;
}
