//! Push and pull through everything that can happen on the way: either the exact bytes arrive, or a
//! clear error; never a wrong blob, and never a wait without an end.

mod proxy;

use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use kit_registry::content::{DigestAlgorithm, Hasher};
use kit_registry::{Client, ClientOptions, Descriptor, Error, Layout, pull, push};

use self::proxy::{Fault, Harm, stand_before};
use crate::client::{Registry, deaf, reference};
use crate::layout::{new_layout, put_image};

/// The digest of the configuration, which is no target of faults.
const EMPTY: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
/// No transfer takes longer than its patience: a few stalls, each repetition of them, and then some
/// for a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);
const ALWAYS: usize = usize::MAX;

fn client() -> Client {
    client_that_waits(Duration::from_secs(5))
}

/// Only where something stops is there anything to wait for; on a busy machine all else may take its
/// time.
fn client_through(fault: Fault) -> Client {
    match fault {
        Fault::Stall | Fault::Silence => client_that_waits(Duration::from_millis(300)),
        _ => client(),
    }
}

fn client_that_waits(stall_timeout: Duration) -> Client {
    Client::new(ClientOptions {
        backoff: Duration::from_millis(1),
        retries: 3,
        // A registry may think ten times as long about a whole blob.
        stall_timeout,
        ..ClientOptions::default()
    })
    .unwrap()
}

/// Five blocks and a bit of content that repeats nowhere, as text.
fn content() -> String {
    let mut state = 1u64;
    let mut text = String::new();
    while text.len() < 5 * 1024 * 1024 + 1000 {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push_str(&format!("{state:016x}"));
    }
    text
}

/// Every file among the blobs has the content that its name promises.
fn check_blobs(root: &Path) {
    for file in std::fs::read_dir(root.join("blobs/sha256")).unwrap() {
        let path = file.unwrap().path();
        let mut hasher = Hasher::new(&DigestAlgorithm::Sha256).unwrap();
        hasher.update(&std::fs::read(&path).unwrap());
        assert_eq!(
            hasher.finish().digest(),
            path.file_name().unwrap().to_str().unwrap(),
            "a wrong blob"
        );
    }
}

fn check_whole(layout: &Layout, image: &Descriptor) {
    let verified = layout.verify(image).unwrap();
    assert!(verified.problems.is_empty(), "{:?}", verified.problems);
    assert_eq!(verified.checked.len(), 3);
}

async fn within_patience<T>(
    what: &str,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::time::timeout(DEADLINE, work).await.unwrap_or_else(|_| panic!("{what} hangs"))
}

/// Pulls through a fault; says whether it came through. Whatever happened, a pull without the fault
/// then makes it whole.
async fn pull_through(fault: Fault, of: (&'static str, &'static str), times: usize) -> bool {
    let registry = Registry::start().await;
    let (_from, layout) = new_layout();
    let (to, other) = new_layout();
    let image = put_image(&layout, &[&content()]);
    push(&layout, &image, &registry.reference("demo/kit:v1"), &client(), &deaf).await.unwrap();
    let proxy = stand_before(registry.address, Harm { fault, of, times }).await;
    let what = format!("pull through {fault:?}");
    let (client_through, from) = (client_through(fault), reference(proxy, "demo/kit:v1"));
    let pulled = within_patience(&what, pull(&client_through, &from, &other, &deaf)).await;
    check_blobs(to.path());
    match &pulled {
        Ok(pulled) => {
            assert_eq!(pulled.descriptor, image);
            check_whole(&other, &image);
        }
        Err(error) => {
            assert_eq!(other.tags().unwrap(), [], "{what}: {error}");
        }
    }
    let after =
        within_patience(&what, pull(&client(), &registry.reference("demo/kit:v1"), &other, &deaf))
            .await;
    after.unwrap_or_else(|error| panic!("{what}: what it left stands in the way: {error:?}"));
    check_whole(&other, &image);
    pulled.is_ok()
}

/// Pushes through a fault; says whether it came through. Whatever happened, a push without the
/// fault then makes it whole.
async fn push_through(fault: Fault, of: (&'static str, &'static str), times: usize) -> bool {
    let registry = Registry::start().await;
    let (_from, layout) = new_layout();
    let image = put_image(&layout, &[&content()]);
    let proxy = stand_before(registry.address, Harm { fault, of, times }).await;
    let what = format!("push through {fault:?} of {of:?}");
    let to = reference(proxy, "demo/kit:v1");
    let client_through = client_through(fault);
    let pushed = within_patience(&what, push(&layout, &image, &to, &client_through, &deaf)).await;
    check_blobs(registry.root());
    let tag = registry.reference("demo/kit:v1");
    if pushed.is_ok() {
        let (_to, other) = new_layout();
        pull(&client(), &tag, &other, &deaf).await.unwrap();
        check_whole(&other, &image);
    }
    let after = within_patience(&what, push(&layout, &image, &tag, &client(), &deaf)).await;
    after.unwrap_or_else(|error| panic!("{what}: what it left stands in the way: {error:?}"));
    let (_to, other) = new_layout();
    pull(&client(), &tag, &other, &deaf).await.unwrap();
    check_whole(&other, &image);
    pushed.is_ok()
}

const BLOB: (&str, &str) = ("GET", "/blobs/sha256:");
const MANIFEST: (&str, &str) = ("GET", "/manifests/");

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_comes_through_what_passes() {
    let faults = [
        Fault::Cut,
        Fault::Stall,
        Fault::Silence,
        Fault::Status(429),
        Fault::Status(500),
        Fault::Status(503),
        Fault::Redirect,
    ];
    let cases = faults.into_iter().flat_map(|fault| [BLOB, MANIFEST].map(|of| (fault, of)));
    let all = join_all(cases.map(|(fault, of)| async move {
        // A manifest is small: what breaks off is asked for again only when it is a blob.
        let is_certain = of == BLOB || !matches!(fault, Fault::Cut | Fault::Stall);
        let came = pull_through(fault, of, 1).await;
        assert!(came || !is_certain, "{fault:?} of {of:?}");
    }));
    all.await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_never_takes_what_is_wrong() {
    for fault in [Fault::Truncate, Fault::Corrupt, Fault::Repeat] {
        for of in [BLOB, MANIFEST] {
            // A manifest is too small for the byte that is changed.
            let is_harmless = of == MANIFEST && fault == Fault::Corrupt;
            assert_eq!(pull_through(fault, of, ALWAYS).await, is_harmless, "{fault:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_gives_up_what_does_not_pass() {
    let faults =
        [Fault::Stall, Fault::Cut, Fault::Silence, Fault::Status(500), Fault::RedirectLoop];
    let all = join_all(faults.into_iter().map(|fault| async move {
        // One that gets on a little each time may come to its end.
        let may_come = matches!(fault, Fault::Stall | Fault::Cut);
        assert!(!pull_through(fault, BLOB, ALWAYS).await || may_come, "{fault:?}");
    }));
    all.await;
}

/// The first answer breaks off, and what comes for the request of the rest is not what was asked
/// for.
#[tokio::test(flavor = "multi_thread")]
async fn a_pull_that_goes_on_checks_what_it_gets() {
    for (fault, comes) in
        [(Fault::WholeForPart, true), (Fault::PartAsWhole, false), (Fault::OtherPart, false)]
    {
        let registry = Registry::start().await;
        let (_from, layout) = new_layout();
        let (to, other) = new_layout();
        let image = put_image(&layout, &[&content()]);
        push(&layout, &image, &registry.reference("demo/kit:v1"), &client(), &deaf).await.unwrap();
        let wrong = stand_before(registry.address, Harm { fault, of: BLOB, times: ALWAYS }).await;
        let cutting = stand_before(wrong, Harm { fault: Fault::Cut, of: BLOB, times: 1 }).await;
        let pulled = pull(&client(), &reference(cutting, "demo/kit:v1"), &other, &deaf).await;
        check_blobs(to.path());
        // One that answers wrongly is asked for the whole once more: that it can.
        assert!(pulled.is_ok() || !comes, "{fault:?}: {pulled:?}");
        if pulled.is_ok() {
            check_whole(&other, &image);
        }
    }
}

const PUT: (&str, &str) = ("PUT", "/blobs/uploads/");
const POST: (&str, &str) = ("POST", "/blobs/uploads/");
const PUT_MANIFEST: (&str, &str) = ("PUT", "/manifests/");

#[tokio::test(flavor = "multi_thread")]
async fn a_push_comes_through_what_passes() {
    let faults = [
        Fault::Silence,
        Fault::Status(429),
        Fault::Status(500),
        Fault::Status(503),
        Fault::HalfRequest,
        Fault::CorruptRequest,
        Fault::RepeatRequest,
        Fault::LoseAnswer,
    ];
    let cases =
        faults.into_iter().flat_map(|fault| [PUT, POST, PUT_MANIFEST].map(|of| (fault, of)));
    let all = join_all(cases.map(|(fault, of)| async move {
        assert!(push_through(fault, of, 1).await, "{fault:?} of {of:?}");
    }));
    all.await;
    assert!(push_through(Fault::Status(413), PUT, 1).await, "a registry that takes only chunks");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_gives_up_what_does_not_pass() {
    let never = [
        Fault::Silence,
        Fault::Status(500),
        Fault::Redirect,
        Fault::RedirectLoop,
        Fault::CorruptRequest,
    ];
    let others = [
        (Fault::Status(500), PUT_MANIFEST),
        (Fault::Silence, PUT_MANIFEST),
        (Fault::Status(500), POST),
        (Fault::Silence, POST),
    ];
    let cases = never.map(|fault| (fault, PUT)).into_iter().chain(others);
    let all = join_all(cases.map(|(fault, of)| async move {
        assert!(!push_through(fault, of, ALWAYS).await, "{fault:?} of {of:?}");
    }));
    // These may come to their end by another way.
    let may_come =
        [Fault::HalfRequest, Fault::LoseAnswer, Fault::RepeatRequest, Fault::Status(405)];
    tokio::join!(all, join_all(may_come.map(|fault| push_through(fault, PUT, ALWAYS))));
}
