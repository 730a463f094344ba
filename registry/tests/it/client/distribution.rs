//! The client against another registry: `docker-registry`, the one that most others are measured
//! by.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use kit_registry::{ClientError, Error, pull, push};
use tokio::process::{Child, Command};

use super::referrers::check_referrers;
use super::{Log, Registry, client, deaf, reference, resume};
use crate::layout::{new_layout, put_image};

/// Starts the program on a port that was free a moment ago, and waits until it answers; `None`, and
/// a loud word, where there is none.
async fn start() -> Option<(Registry, Child)> {
    let dir = tempfile::tempdir().unwrap();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = format!(
        "version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n  delete: {{enabled: true}}\n\
         http: {{addr: '{address}'}}\n",
        dir.path().join("data").display()
    );
    fs::write(dir.path().join("config.yml"), config).unwrap();
    let started = Command::new("docker-registry")
        .arg("serve")
        .arg(dir.path().join("config.yml"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let child = match started {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            skipped("the client with docker-registry", "docker-registry is not installed");
            return None;
        }
        Err(error) => panic!("{error}"),
    };
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while client().ping(&address.to_string()).await.is_err() {
        assert!(std::time::Instant::now() < deadline, "docker-registry does not answer");
    }
    Some((Registry { address, log: Log::default(), dir }, child))
}

/// Says loudly what was not checked (the tests' own stderr is shown for failures only); in CI it is a
/// failure.
#[expect(clippy::disallowed_methods, reason = "CI says by a variable that it is CI")]
fn skipped(what: &str, why: &str) {
    assert!(std::env::var_os("CI").is_none(), "{what}: {why}");
    let _ = writeln!(std::io::stderr(), "NOT CHECKED: {what}: {why}");
}

#[tokio::test]
async fn distribution_takes_and_gives_what_the_embedded_registry_does() {
    let Some((registry, _child)) = start().await else { return };
    let (_from, layout) = new_layout();
    let (_to, other) = new_layout();
    let client = client();
    let image = put_image(&layout, &["one", "two", &"long".repeat(500_000)]);
    let tag = registry.reference("demo/kit:v1");
    layout.tag(&image, &tag).unwrap();
    assert_eq!(push(&layout, &image, &tag, &client, &deaf).await.unwrap().uploaded, 4);
    assert_eq!(push(&layout, &image, &tag, &client, &deaf).await.unwrap().existing, 4);
    let mounted =
        push(&layout, &image, &registry.reference("demo/other:v1"), &client, &deaf).await.unwrap();
    assert_eq!((mounted.mounted, mounted.uploaded_bytes), (4, image.size()));
    pull(&client, &tag, &other, &deaf).await.unwrap();
    assert!(other.verify(&image).unwrap().problems.is_empty());
    assert_eq!(client.resolve(&tag).await.unwrap(), image);
    assert_eq!(client.tags(&tag).await.unwrap(), ["v1"]);
    client.delete(&tag.with_digest(image.digest().clone())).await.unwrap();
    assert!(matches!(
        client.manifest(&tag).await,
        Err(Error::Client(ClientError::UnknownManifest { .. }))
    ));
    check_referrers(registry, false).await;
}

#[tokio::test]
async fn distribution_lets_transfers_go_on() {
    let Some((registry, _child)) = start().await else { return };
    let (_from, layout) = new_layout();
    let (_to, other) = new_layout();
    let image = put_image(&layout, &[&"x".repeat(resume::SIZE)]);
    let proxy = resume::cutting(registry.address, resume::Way::ToServer).await;
    let pushed =
        push(&layout, &image, &reference(proxy, "demo/kit:v1"), &client(), &deaf).await.unwrap();
    assert_eq!(pushed.uploaded, 2);
    let proxy = resume::cutting(registry.address, resume::Way::ToClient).await;
    let pulled = pull(&client(), &reference(proxy, "demo/kit:v1"), &other, &deaf).await.unwrap();
    assert!(other.verify(&image).unwrap().problems.is_empty());
    assert_eq!(pulled.downloaded_bytes, resume::SIZE as u64 + 2 + image.size());
}
