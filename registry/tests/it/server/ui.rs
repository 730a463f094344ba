//! The pages of the registry.

use std::error::Error;
use std::sync::Arc;

use kit_registry::server::{ReadyImages, ServerOptions};
use kit_registry::{Descriptor, Layout, MediaType, content};
use serde_json::{Value, json};

use super::{Answer, Api, image, index};

const CONFIG: &str = "application/vnd.kitops.modelkit.config.v1+json";
const MANIFEST: &str = "application/vnd.kitops.modelkit.manifest.v1+json";
const MODEL: &str = "application/vnd.kitops.modelkit.model.v1.tar";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const HOSTILE: &str = "<script>alert('x')</script>\"&\u{202e}";

impl Api {
    /// A page of a status, which every page's promises are checked of.
    async fn page(&self, path: &str, status: u16) -> String {
        let answer = self.ask("GET", path, &[("host", "kits.example:5000")], "").await;
        checked(answer.expect(status))
    }

    /// Pushes a ModelKit whose model lies at a path.
    async fn push_kit(&self, name: &str, tag: &str, path: &str) -> Descriptor {
        let kitfile = json!({ "manifestVersion": "1.0.0", "package": { "name": path } });
        let kitfile = content::encode(&kitfile);
        self.push_blob(name, &kitfile).await;
        self.push_blob(name, b"weights").await;
        let mut layer = json!(content::descriptor(MODEL, b"weights"));
        layer["annotations"] = json!({ "org.cncf.model.filepath": path });
        let mut kit = image(&content::descriptor(CONFIG, &kitfile), &[]);
        kit["artifactType"] = MANIFEST.into();
        kit["layers"] = json!([layer]);
        kit["annotations"] =
            json!({ "org.opencontainers.image.created": "2026-01-02T03:04:05Z", HOSTILE: path });
        self.push_manifest(name, tag, &kit).await
    }

    /// Pushes what refers to a manifest.
    async fn refer(
        &self,
        name: &str,
        subject: &Descriptor,
        of_type: &str,
        annotations: Value,
    ) -> Descriptor {
        let config = self.push_blob(name, b"{}").await;
        let mut referrer = image(&config, &[]);
        referrer["artifactType"] = of_type.into();
        referrer["subject"] = json!(subject);
        referrer["annotations"] = annotations;
        let digest = content::digest(&content::encode(&referrer));
        self.push_manifest(name, digest.as_ref(), &referrer).await
    }
}

/// The text of a page that runs and loads nothing.
#[track_caller]
fn checked(answer: Answer) -> String {
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("cache-control"), "no-store");
    let text = answer.text();
    let style = text.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
    let digest = content::digest(style.as_bytes());
    let policy = answer.header("content-security-policy");
    let (_, rest) = policy.split_once("default-src 'none'; style-src 'sha256-").unwrap();
    let (allowed, rest) = rest.split_once('\'').unwrap();
    assert_eq!(hex(allowed), digest.digest(), "the policy is of another style sheet");
    assert!(!rest.contains("unsafe") && rest.contains("frame-ancestors 'none'"), "{policy}");
    for active in ["<script", "<form", "<img", "<iframe", "onerror=", "javascript:", "http://"] {
        assert!(!text.contains(active), "{active} in {text}");
    }
    text
}

/// The bytes of a text in Base64, as hex.
fn hex(base64: &str) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let letters = base64.bytes().filter(|it| *it != b'=');
    let bits: String = letters
        .map(|letter| LETTERS.iter().position(|it| *it == letter).unwrap())
        .map(|value| format!("{value:06b}"))
        .collect();
    let bytes = bits.as_bytes().chunks_exact(4).map(|four| std::str::from_utf8(four).unwrap());
    let mut hex: String =
        bytes.map(|four| format!("{:x}", u8::from_str_radix(four, 2).unwrap())).collect();
    hex.truncate(hex.len() / 2 * 2);
    hex
}

#[tokio::test]
async fn pages_show_what_was_pushed() {
    let api = Api::new();
    assert!(api.page("/ui", 200).await.contains("There is no repository here."));
    let kit = api.push_kit("demo/a", "v1", "model/weights").await;
    api.push_kit("demo/a", "latest", "model/weights").await;
    api.push_image("b", "v2", "layer").await;
    let list = api.page("/ui", 200).await;
    assert_eq!(list, api.page("/ui/", 200).await);
    for (name, n_tags) in [("demo/a", 2), ("b", 1)] {
        let row =
            format!("<a href=\"/ui/{name}\">{name}</a></th><td data-label=\"Tags\">{n_tags}<");
        assert!(list.contains(&row), "{list}");
    }
    let tags = api.page("/ui/demo/a", 200).await;
    let digest = kit.digest().to_string();
    for shown in
        ["<a href=\"/ui/demo/a/-/v1\">v1</a>", "-/latest\"", ">ModelKit<", "2026-01-02T03", &digest]
    {
        assert!(tags.contains(shown), "{shown} in {tags}");
    }
    for version in ["v1", &digest] {
        let page = api.page(&format!("/ui/demo/a/-/{version}"), 200).await;
        let separator = if version == "v1" { ':' } else { '@' };
        let layer = content::digest(b"weights");
        for shown in [
            format!("<h1>demo/a{separator}{version}</h1>"),
            format!("kit-rs pull kits.example:5000/demo/a{separator}{version}\n"),
            format!("kit-rs unpack kits.example:5000/demo/a{separator}{version} --dir FOLDER\n"),
            "&quot;name&quot;: &quot;model/weights&quot;".into(),
            "model: model/weights".into(),
            MODEL.into(),
            "7 B".into(),
            format!("<a href=\"/v2/demo/a/blobs/{layer}\">{layer}</a>"),
            format!("<a href=\"/v2/demo/a/manifests/{digest}\">"),
        ] {
            assert!(page.contains(&shown), "{shown} in {page}");
        }
        assert!(!page.contains("What is said of it"));
    }
    let build =
        "kit-rs image build kits.example:5000/demo/a:v1 --tag kits.example:5000/demo/a/kit-rs:v1<";
    assert!(api.page("/ui/demo/a/-/v1", 200).await.contains(build));
    let head = api.head("/ui/demo/a/-/v1").await.expect(200);
    assert!(head.header("content-security-policy").contains("default-src 'none'"));
}

#[tokio::test]
async fn what_is_no_modelkit_shows_what_it_is() {
    let api = Api::new();
    let layer = api.push_image("a", "v1", "layer").await;
    let mut image = image(&content::descriptor(MediaType::ImageConfig, b"{}"), &[]);
    image["layers"] = json!([content::descriptor(MediaType::ImageLayer, b"layer")]);
    let image = api.push_manifest("a", "image", &image).await;
    let page = api.page("/ui/a/-/image", 200).await;
    assert!(page.contains("<dd>Image</dd>"), "{page}");
    assert!(page.contains("docker pull kits.example:5000/a:image<"), "{page}");
    assert!(page.contains("application/vnd.oci.image.layer.v1.tar"), "{page}");
    assert!(!page.contains("Kitfile"), "{page}");
    api.push_manifest("a", "both", &index(&[layer.clone(), image.clone()])).await;
    let page = api.page("/ui/a/-/both", 200).await;
    for it in [layer, image] {
        assert!(page.contains(&format!("<a href=\"/ui/a/-/{}\">", it.digest())), "{page}");
    }
    assert!(api.page("/ui/a", 200).await.contains(">Index<"));
}

/// They call themselves images.
#[tokio::test]
async fn signatures_of_the_older_form_are_shown_as_such() {
    const PAYLOAD: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
    let api = Api::new();
    let signed = api.push_image("a", "v1", "layer").await;
    let config = json!(content::descriptor(MediaType::ImageConfig, b"{}"));
    api.push_blob("a", b"{}").await;
    api.push_blob("a", b"signed").await;
    let payload = content::descriptor(PAYLOAD, b"signed");
    let manifest = |n: usize| {
        json!({
            "schemaVersion": 2, "mediaType": MediaType::ImageManifest, "config": config,
            "layers": vec![&payload; n],
        })
    };
    let hex = signed.digest().digest();
    let tag = format!("sha256-{hex}.sig");
    api.push_manifest("a", &tag, &manifest(1)).await;
    let found = api.push_manifest("a", "elsewhere", &manifest(2)).await;
    let page = api.page(&format!("/ui/a/-/{tag}"), 200).await;
    assert!(page.contains("<dd>Signature</dd>"), "{page}");
    let check = format!("kit-rs verify kits.example:5000/a@sha256:{hex} --key KEY<");
    assert!(page.contains(&check), "{page}");
    let page = api.page("/ui/a", 200).await;
    assert!(page.contains(">Signature<") && page.contains(">2 signatures<"), "{page}");
    // Of what they are nobody can tell here.
    for version in ["elsewhere", found.digest().as_ref()] {
        let page = api.page(&format!("/ui/a/-/{version}"), 200).await;
        assert!(page.contains("<dd>2 signatures</dd>"), "{page}");
        assert!(!page.contains("What to type") && !page.contains("docker pull"), "{page}");
    }
}

#[tokio::test]
async fn the_card_is_the_readme_among_the_docs() {
    let api = Api::new();
    let text = format!("# A card\n{HOSTILE}\n");
    api.push_blob("a", b"{}").await;
    api.push_blob("a", text.as_bytes()).await;
    for (tag, path, is_there) in [("v1", "docs/README.md", true), ("v2", "docs/LICENSE", false)] {
        let media_type = "application/vnd.kitops.modelkit.docs.v1.raw";
        let mut layer = json!(content::descriptor(media_type, text.as_bytes()));
        layer["annotations"] = json!({ "org.cncf.model.filepath": path });
        let mut kit = image(&content::descriptor(CONFIG, b"{}"), &[]);
        kit["layers"] = json!([layer]);
        api.push_manifest("a", tag, &kit).await;
        let page = api.page(&format!("/ui/a/-/{tag}"), 200).await;
        assert_eq!(page.contains("<pre># A card\n&lt;script&gt;"), is_there, "{page}");
    }
}

#[tokio::test]
async fn what_refers_to_a_modelkit_is_named_by_its_type() {
    let api = Api::new();
    let kit = api.push_kit("demo/a", "v1", "model").await;
    let mut expected = Vec::new();
    for (predicate, kind) in [
        ("https://sigstore.dev/cosign/sign/v1", "Signature"),
        ("https://slsa.dev/provenance/v1", "Provenance"),
        ("https://kits.example/evaluation/v1", "Evaluation"),
        ("https://cyclonedx.org/bom", "Bill of materials"),
        ("https://kits.example/other", "Attestation"),
    ] {
        let annotations = json!({ "dev.sigstore.bundle.predicateType": predicate });
        let referrer = api.refer("demo/a", &kit, BUNDLE, annotations).await;
        expected.push((referrer, kind));
    }
    let other = api.refer("demo/a", &kit, "application/x.other", json!({ "a": HOSTILE })).await;
    expected.push((other.clone(), "Referrer"));
    let large = json!({ "a": "x".repeat(100_000) });
    expected.push((api.refer("demo/a", &kit, "application/x.large", large).await, "Referrer"));
    let older = format!("sha256-{}.sig", kit.digest().digest());
    api.push_image("demo/a", &older, "a signature").await;
    let page = api.page("/ui/demo/a/-/v1", 200).await;
    for (referrer, kind) in expected {
        let link = format!("<a href=\"/ui/demo/a/-/{}\">{kind}</a>", referrer.digest());
        assert!(page.contains(&link), "{link} in {page}");
    }
    assert!(page.contains(&format!("<a href=\"/ui/demo/a/-/{older}\">Signature</a>")), "{page}");
    assert!(page.contains("not verified"), "{page}");
    let page = api.page(&format!("/ui/demo/a/-/{}", other.digest()), 200).await;
    assert!(page.contains(&format!("<a href=\"/ui/demo/a/-/{}\">", kit.digest())), "{page}");
}

#[tokio::test]
async fn nothing_that_was_pushed_becomes_markup() {
    let api = Api::new();
    api.push_kit("demo/a", "v1", HOSTILE).await;
    for path in ["/ui", "/ui/demo/a", "/ui/demo/a/-/v1"] {
        // That there is no script is checked of every page.
        let page = api.page(path, 200).await;
        assert!(!page.contains('\u{202e}'), "{page}");
    }
    let page = api.page("/ui/demo/a/-/v1", 200).await;
    let escaped = "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&amp;\u{fffd}";
    assert!(page.contains(&format!("model: {escaped}")), "{page}");
    assert!(page.contains(&format!("<dt>{escaped}</dt><dd>{escaped}</dd>")), "{page}");
    let host = [("host", "x$(id)")];
    let page = checked(api.ask("GET", "/ui/demo/a/-/v1", &host, "").await.expect(200));
    assert!(page.contains("kit-rs pull HOST/demo/a:v1\n") && !page.contains("$(id)"), "{page}");
}

#[tokio::test]
async fn what_is_not_there_has_a_page_that_says_so() {
    let api = Api::new();
    api.push_kit("demo/a", "v1", "model").await;
    let digest = content::digest(b"none");
    for path in [
        "/ui/demo/b".to_owned(),
        "/ui/demo".into(),
        "/ui/demo/a/-/v2".into(),
        format!("/ui/demo/a/-/{digest}"),
        "/ui/demo/a/-/sha256:zz".into(),
        "/ui/demo/a/-/.hidden".into(),
        "/ui/%3Cscript%3E".into(),
        "/ui/../v2".into(),
    ] {
        assert!(api.page(&path, 404).await.contains("<h1>Not Found</h1>"), "{path}");
    }
    // Other paths are none of these pages.
    api.get("/uix").await.expect_error(404, "UNSUPPORTED");
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        for path in ["/ui", "/ui/demo/a/-/v1"] {
            let answer = api.ask(method, path, &[], "").await.expect(405);
            assert_eq!(answer.header("allow"), "GET, HEAD");
        }
    }
}

#[tokio::test]
async fn long_lists_go_on() {
    let api = Api::new();
    let kit = api.push_kit("a", "first", "model").await;
    let manifest = api.layout.read(&kit).unwrap();
    let tags: Vec<String> = (0..120).map(|n| format!("tag=v{n:03}")).collect();
    let version = format!("{}?{}", kit.digest(), tags.join("&"));
    let media_type = MediaType::ImageManifest.to_string();
    api.put_manifest("a", &version, &media_type, manifest).await.expect(201);
    let first = api.page("/ui/a", 200).await;
    assert_eq!(first.matches("<a href=\"/ui/a/-/").count(), 100);
    let (_, next) = first.split_once("<a href=\"/ui/a?last=").expect("it goes on");
    let next = format!("/ui/a?last={}", next.split_once('"').unwrap().0);
    let second = api.page(&next, 200).await;
    assert_eq!(second.matches("<a href=\"/ui/a/-/").count(), 21);
    assert!(!second.contains("?last="), "{second}");
    assert!(api.page("/ui", 200).await.contains(">121<"));
}

#[tokio::test]
async fn a_damaged_manifest_does_not_hide_the_others() {
    let api = Api::new();
    let kit = api.push_kit("a", "bad", "model").await;
    api.push_kit("a", "good", "other").await;
    let path = api.layout.blob_path(kit.digest()).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, vec![b' '; bytes.len()]).unwrap();
    let page = api.page("/ui/a", 200).await;
    assert!(page.contains("Cannot be read") && page.contains(">ModelKit<"), "{page}");
    api.page("/ui/a/-/bad", 500).await;
}

/// Has images of everything, and makes none.
#[derive(Debug)]
struct Images;

impl ReadyImages for Images {
    fn id(&self) -> &str {
        "none"
    }

    fn make(
        &self,
        _layout: &Layout,
        _of: &Descriptor,
    ) -> Result<Option<Descriptor>, Box<dyn Error + Send + Sync>> {
        Err("a page makes no image".into())
    }
}

#[tokio::test]
async fn where_images_are_ready_their_name_is_said() {
    let images: Arc<dyn ReadyImages> = Arc::new(Images);
    let api = Api::with(ServerOptions { images: Some(images), ..ServerOptions::default() });
    api.push_kit("demo/a", "v1", "model").await;
    let page = api.page("/ui/demo/a/-/v1", 200).await;
    assert!(page.contains("docker run -p 8000:8000 kits.example:5000/demo/a/kit-rs:v1<"), "{page}");
    api.page("/ui/demo/a/kit-rs/-/v1", 404).await;
}

#[cfg(feature = "client")]
#[tokio::test]
async fn pages_are_for_the_users_of_the_registry() {
    let (_dir, path, options) = super::users::users();
    let api = Api::with(options);
    let login = [("authorization", "Basic dXNlcjpzZWNyZXQ=")];
    for page in ["/ui", "/ui/a", "/ui/a/-/v1"] {
        for headers in [&[][..], &[("authorization", "Basic dXNlcjp3cm9uZw==")]] {
            let answer = api.ask("GET", page, headers, "").await.expect(401);
            assert!(answer.header("www-authenticate").starts_with("Basic realm="));
            checked(answer);
        }
    }
    checked(api.ask("GET", "/ui", &login, "").await.expect(200));
    std::fs::write(path, "").unwrap();
    checked(api.ask("GET", "/ui", &login, "").await.expect(401));
}
