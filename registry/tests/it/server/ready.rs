//! Images that nobody has pushed.

use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use kit_registry::content::{self, Document};
use kit_registry::server::{ReadyImages, Registry, ServerOptions};
use kit_registry::{Descriptor, Layout, MediaType};

use super::{Api, image};

/// Makes of every manifest one with the same layers, and its own config; of one with a layer `raw`
/// none can be made, and one that is marked so is no model.
#[derive(Debug, Default)]
struct Again {
    with: &'static str,
    n_made: AtomicUsize,
    n_asked: AtomicUsize,
    /// Nothing is made while somebody has this.
    gate: Mutex<()>,
}

impl ReadyImages for Again {
    fn id(&self) -> &str {
        self.with
    }

    fn make(
        &self,
        layout: &Layout,
        of: &Descriptor,
    ) -> Result<Option<Descriptor>, Box<dyn Error + Send + Sync>> {
        self.n_asked.fetch_add(1, Ordering::Relaxed);
        let document = Document::parse(of.media_type(), &layout.read(of)?)?;
        let layers: Vec<Descriptor> = document.children().skip(1).cloned().collect();
        match layout.read(&layers[0])?.as_slice() {
            b"raw" => return Err("it is a single file".into()),
            b"none" => return Ok(None),
            _ => {}
        }
        let _open = self.gate.lock().unwrap();
        self.n_made.fetch_add(1, Ordering::Relaxed);
        let config = layout.put(MediaType::ImageConfig, self.with.as_bytes())?;
        let made = content::encode(&image(&config, &layers));
        let made = layout.put_manifest(MediaType::ImageManifest, &made)?;
        layout.add(&made)?;
        Ok(Some(made))
    }
}

fn with(images: &Arc<Again>) -> ServerOptions {
    let images: Arc<dyn ReadyImages> = images.clone();
    ServerOptions { images: Some(images), garbage_grace: Duration::ZERO, ..Default::default() }
}

#[tokio::test]
async fn a_tag_has_an_image_that_is_made_once_and_follows_it() {
    let images = Arc::new(Again { with: "one", ..Again::default() });
    let api = Api::with(with(&images));
    api.push_image("demo/a", "v1", "weights").await;
    let answer = api.get("/v2/demo/a/kit-rs/manifests/v1").await.expect(200);
    let digest = answer.header("docker-content-digest").to_owned();
    let layer = answer.json()["layers"][0]["digest"].as_str().unwrap().to_owned();
    assert_eq!(api.get(&format!("/v2/demo/a/kit-rs/blobs/{layer}")).await.text(), "weights");
    api.head(&format!("/v2/demo/a/kit-rs/manifests/{digest}")).await.expect(200);
    // By another tag of the same, and by the tutorial's name, it is the same one.
    api.push_image("demo/a", "v1.0", "weights").await;
    for path in ["kit-rs/manifests/v1.0", "basic/manifests/v1", "kit-rs/manifests/v1"] {
        let again = api.get(&format!("/v2/demo/a/{path}")).await.expect(200);
        assert_eq!(again.header("docker-content-digest"), digest, "{path}");
    }
    assert_eq!(images.n_made.load(Ordering::Relaxed), 2, "once for each name");
    api.push_image("demo/a", "v1", "better weights").await;
    let moved = api.get("/v2/demo/a/kit-rs/manifests/v1").await.expect(200);
    assert_ne!(moved.header("docker-content-digest"), digest);
    // Another program makes another one of the same.
    let other = Arc::new(Again { with: "two", ..Again::default() });
    let api = Api { router: Registry::new(api.layout.clone(), with(&other)).router(), ..api };
    let other = api.get("/v2/demo/a/kit-rs/manifests/v1.0").await.expect(200);
    assert_ne!(other.header("docker-content-digest"), digest);
}

#[tokio::test]
async fn what_was_pushed_comes_first_and_what_is_not_there_is_not_made() {
    let images = Arc::new(Again { with: "one", ..Again::default() });
    let api = Api::with(with(&images));
    let own = api.push_image("demo/a/kit-rs", "v1", "somebody's own").await;
    api.push_image("demo/a", "v1", "weights").await;
    let answer = api.get("/v2/demo/a/kit-rs/manifests/v1").await.expect(200);
    assert_eq!(answer.header("docker-content-digest"), own.digest().to_string());
    for path in ["demo/a/kit-rs/manifests/v2", "demo/b/kit-rs/manifests/v1", "kit-rs/manifests/v1"]
    {
        api.get(&format!("/v2/{path}")).await.expect_error(404, "MANIFEST_UNKNOWN");
    }
    api.push_image("demo/c", "v1", "none").await;
    api.get("/v2/demo/c/kit-rs/manifests/v1").await.expect_error(404, "MANIFEST_UNKNOWN");
    api.push_image("demo/d", "v1", "raw").await;
    let answer = api.get("/v2/demo/d/kit-rs/manifests/v1").await;
    let answer = answer.expect_error(404, "MANIFEST_UNKNOWN");
    assert!(answer.text().contains("no image can be made of demo/d:v1: it is a single file"));
    assert_eq!(images.n_made.load(Ordering::Relaxed), 0);
    // Turned off, or where nothing may be written, nobody's image is there.
    let read_only = ServerOptions { read_only: true, ..with(&images) };
    for options in [ServerOptions::default(), read_only] {
        let api = Api::with(options);
        api.get("/v2/demo/a/kit-rs/manifests/v1").await.expect(404);
    }
}

#[tokio::test]
async fn what_no_image_can_be_made_of_is_tried_once_and_told_to_everybody() {
    let images = Arc::new(Again { with: "one", ..Again::default() });
    let api = Arc::new(Api::with(with(&images)));
    api.push_image("demo/a", "v1", "raw").await;
    api.push_image("demo/a", "v2", "raw").await;
    // Those that came at once and waited for the first one, and those that come later.
    let first = join_all((0..10).map(|_| {
        let api = Arc::clone(&api);
        tokio::spawn(async move { api.get("/v2/demo/a/kit-rs/manifests/v1").await })
    }));
    for answer in first.await {
        answer.expect("it is answered").expect_error(404, "MANIFEST_UNKNOWN");
    }
    for (path, name) in [("kit-rs/manifests/v1", "v1"), ("basic/manifests/v2", "v2")] {
        let answer = api.get(&format!("/v2/demo/a/{path}")).await;
        let told = answer.expect_error(404, "MANIFEST_UNKNOWN").text();
        let expected = format!("no image can be made of demo/a:{name}: it is a single file");
        assert!(told.contains(&expected), "{told}");
    }
    assert_eq!(images.n_asked.load(Ordering::Relaxed), 1);
    // Another one is another matter.
    api.push_image("demo/a", "v1", "weights").await;
    api.get("/v2/demo/a/kit-rs/manifests/v1").await.expect(200);
}

/// More clients wait than there are threads, and nobody else waits for them.
#[tokio::test]
#[expect(clippy::await_holding_lock, reason = "who makes images knocks from a thread of its own")]
async fn who_waits_for_an_image_keeps_nobody_else_from_an_answer() {
    const WAITING: usize = 1000;
    let images = Arc::new(Again { with: "one", ..Again::default() });
    let api = Arc::new(Api::with(with(&images)));
    api.push_image("demo/a", "v1", "weights").await;
    let shut = images.gate.lock().unwrap();
    let all = join_all((0..WAITING).map(|_| {
        let api = Arc::clone(&api);
        tokio::spawn(async move { api.get("/v2/demo/a/kit-rs/manifests/v1").await.expect(200) })
    }));
    // All of them are asked for before this one.
    tokio::task::yield_now().await;
    let other = tokio::time::timeout(Duration::from_secs(60), api.get("/v2/demo/a/tags/list"));
    other.await.expect("it is answered").expect(200);
    drop(shut);
    assert!(all.await.into_iter().all(|answer| answer.is_ok()));
    assert_eq!(images.n_made.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn an_image_goes_with_what_it_was_made_of() {
    let images = Arc::new(Again { with: "one", ..Again::default() });
    let (dir, layout) = crate::layout::new_layout();
    let registry = Registry::new(layout.clone(), with(&images));
    let api = Api { router: registry.router(), layout: layout.clone(), _dir: dir };
    let kit = api.push_image("demo/a", "v1", "weights").await;
    let answer = api.get("/v2/demo/a/kit-rs/manifests/v1").await.expect(200);
    let digest = answer.header("docker-content-digest").to_owned();
    registry.collect_garbage().unwrap();
    api.get(&format!("/v2/demo/a/kit-rs/manifests/{digest}")).await.expect(200);
    // So does that of another program.
    let other = Arc::new(Again { with: "two", ..Again::default() });
    let registry = Registry::new(layout.clone(), with(&other));
    let api = Api { router: registry.router(), ..api };
    api.get("/v2/demo/a/kit-rs/manifests/v1").await.expect(200);
    api.delete(&format!("/v2/demo/a/manifests/{}", kit.digest())).await.expect(202);
    registry.collect_garbage().unwrap();
    api.get(&format!("/v2/demo/a/kit-rs/manifests/{digest}")).await.expect(404);
    assert!(!layout.contains(&digest.parse().unwrap()));
    assert_eq!(layout.manifests().unwrap(), []);
}
