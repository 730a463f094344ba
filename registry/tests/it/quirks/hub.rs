//! Quirks of hubs, and of mirrors that know only a part of one.

use std::fs;

use kit_registry::Error;
use kit_registry::hub::{self, Hub, HubFile, RepoId};
use tempfile::TempDir;

use super::Does::{Answers, Forgets, Gzips, Says, Sets, Writes};
use super::{Does, HTML, Of, PAGE, Quirk, chain, has, quirk};
use crate::client::{options, serve};

const INFO: Of = ("GET", |it| has(it, "/revision/") || it.uri().path().ends_with("/org/model"));
const REVISION: Of = ("GET", |it| has(it, "/revision/"));
const TREE: Of = ("GET", |it| has(it, "/tree/"));
const FIRST_TREE: Of = ("GET", |it| has(it, "/tree/") && !has(it, "cursor"));
const HEAD_FILE: Of = ("HEAD", |it| has(it, "/resolve/"));
const GET_FILE: Of = ("GET", |it| has(it, "/resolve/"));
const GET_SMALL: Of = ("GET", |it| has(it, "/resolve/") && has(it, "config.json"));

const GET_LARGE: Of = ("GET", |it| has(it, "/resolve/") && has(it, ".safetensors"));
const GET_PART: Of = ("GET", |it| has(it, "/resolve/") && it.headers().contains_key("range"));
const LOGIN: Of = ("GET", |it| it.uri().path() == "/login");

const NOW: &[(&str, &str)] = &[("retry-after", "0")];
const TOMORROW: &[(&str, &str)] = &[("retry-after", "86400")];
const SIGN_IN: &[(&str, &str)] = &[("location", "/login")];
const BUSY: &str = r#"{"error":"We had to rate limit you"}"#;
/// Mirrors answer so, whatever they lack.
const MISSING: Does = Answers(404, HTML, PAGE);

const QUIRKS: &[Quirk] = &[
    quirk("none", ("NONE", |_| false), Says(200)),
    // What a mirror lacks.
    quirk("no listing: 404", TREE, MISSING),
    quirk("no listing: 405", TREE, Answers(405, &[], "")),
    quirk("no listing: 501", TREE, Answers(501, &[], "")),
    quirk("no listing: a page", TREE, Answers(200, HTML, PAGE)),
    quirk("no listing, and no HEAD", TREE, MISSING).and(HEAD_FILE, Answers(405, &[], "")),
    quirk("no listing, and HEAD is 404", TREE, MISSING).and(HEAD_FILE, MISSING),
    quirk("no listing, and HEAD says no size", TREE, MISSING).and(HEAD_FILE, NO_LENGTH),
    quirk("no listing, and no files in the information", TREE, MISSING)
        .and(INFO, Writes(|info| info.replace("siblings", "brothers")))
        .refuses(&[("files", NO_FILES), ("download", NO_FILES), ("head", NO_FILES)]),
    quirk("only what is now", REVISION, MISSING),
    quirk("only what is now, and no listing", REVISION, MISSING).and(TREE, MISSING),
    // What listings say.
    quirk("listing without sizes", TREE, Writes(|tree| tree.replace("\"size\"", "\"length\""))),
    quirk(
        "listing without names of content",
        TREE,
        Writes(|tree| tree.replace("\"oid\"", "\"id\"")),
    ),
    quirk("listing with an algorithm", TREE, Writes(with_algorithm)),
    quirk("listing with entries of unknown kinds", TREE, Writes(with_a_link)),
    quirk("listing with names that cannot be here", TREE, Writes(with_a_backslash)),
    quirk("listing on pages elsewhere", FIRST_TREE, ELSEWHERE),
    quirk(
        "listing on the same page for ever",
        TREE,
        Sets("link", Some("<?recursive=true&expand=false>; rel=next")),
    )
    .refuses(&[("files", SAME), ("download", SAME), ("head", SAME)]),
    // Types and codings.
    quirk("listing as text", TREE, Sets("content-type", Some("text/plain"))),
    quirk("listing coded", TREE, Gzips),
    quirk("information coded", INFO, Gzips),
    quirk("small files coded", GET_SMALL, Gzips).refuses(&[("download", CODED), ("head", CODED)]),
    quirk("files as pages", GET_FILE, Sets("content-type", Some("text/html"))),
    // Content.
    quirk("small files of the right size with other bytes", GET_SMALL, Writes(|_| "[]".to_owned()))
        .refuses(&[("download", OTHER_BLOB), ("head", OTHER_BLOB)]),
    quirk(
        "large files of the right size with other bytes",
        GET_LARGE,
        Writes(|it| it.to_uppercase()),
    )
    .refuses(&[("download", OTHER_SHA256)]),
    quirk("files are a page", GET_FILE, Answers(200, HTML, PAGE))
        .refuses(&[("download", IN_ITS_PLACE), ("head", IN_ITS_PLACE)]),
    // Pages for people.
    quirk("information is a page", INFO, Answers(200, HTML, PAGE)).refuses(&[
        ("files", IN_ITS_PLACE),
        ("download", IN_ITS_PLACE),
        ("head", IN_ITS_PLACE),
    ]),
    quirk("signing in is wanted", INFO, Answers(302, SIGN_IN, ""))
        .and(LOGIN, Answers(200, HTML, PAGE))
        .refuses(&[("files", IN_ITS_PLACE), ("download", IN_ITS_PLACE), ("head", IN_ITS_PLACE)]),
    quirk("nothing is here", INFO, MISSING).refuses(&[
        ("files", "is not on the hub"),
        ("download", "is not on the hub"),
        ("head", "is not on the hub"),
    ]),
    // Waiting.
    quirk("503 once, with a page", INFO, Answers(503, NOW, PAGE)).once(),
    quirk("429 once", TREE, Answers(429, NOW, BUSY)).once(),
    quirk("429 once for a file", GET_FILE, Answers(429, NOW, BUSY)).once(),
    quirk("429 until tomorrow", TREE, Answers(429, TOMORROW, BUSY)).refuses(&[
        ("files", LATER),
        ("download", LATER),
        ("head", LATER),
    ]),
    // Ranges.
    quirk("no ranges", GET_FILE, Forgets("range")),
    quirk("ranges are refused: 400", GET_PART, Answers(400, &[], "")),
    quirk("ranges are refused: 416", GET_PART, Answers(416, &[], "")),
    quirk("ranges are refused: 501", GET_PART, Answers(501, &[], "")),
];

const NO_FILES: &str = "says too little of org/model: it has neither a listing";
const OTHER_BLOB: &str = "its Git blob should be";
const OTHER_SHA256: &str = "its sha256 should be";
const CODED: &str = "it came coded as gzip, although it was asked for as it is";
const SAME: &str = "the next page is the same one";
const IN_ITS_PLACE: &str = "a web page came in its place";
const LATER: &str = "answered 429: We had to rate limit you (it asks to be left alone for 86400 s)";
const NO_LENGTH: Does = Answers(200, &[], "");
/// A mirror hands on what the hub has said of itself.
const ELSEWHERE: Does = Sets(
    "link",
    Some("<https://hub.test/api/models/org/model/tree/main?recursive=true&cursor=3>; rel=\"next\""),
);

fn with_algorithm(tree: &str) -> String {
    let lfs = tree.rfind("\"lfs\"").unwrap();
    let (before, after) = tree.split_at(lfs);
    format!("{before}{}", after.replace("\"oid\":\"", "\"oid\":\"sha256:"))
}

fn with(tree: &str, entry: &str) -> String {
    format!("{}, {entry}]", tree.trim_end().strip_suffix(']').unwrap())
}

fn with_a_link(tree: &str) -> String {
    with(tree, r#"{"type":"commit","path":"module"}"#)
}

fn with_a_backslash(tree: &str) -> String {
    with(tree, r#"{"type":"file","path":"a\\b","size":1,"oid":"1"},{"type":"file","path":"../c"}"#)
}

/// A folder with one model in it.
fn models() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("org/model");
    fs::create_dir_all(model.join("sub")).unwrap();
    fs::write(model.join("config.json"), "{}").unwrap();
    fs::write(model.join("model.safetensors"), [&[0, 1][..], &b"weights"[..]].concat()).unwrap();
    fs::write(model.join("sub/12:30.txt"), "notes").unwrap();
    dir
}

const PATHS: [&str; 3] = ["config.json", "model.safetensors", "sub/12:30.txt"];

async fn run(hub: &Hub, models: &TempDir, verb: &str) -> Result<(), Error> {
    let repo: RepoId = "org/model".parse().unwrap();
    let snapshot = hub.files(&repo, "main").await?;
    let content =
        |file: &HubFile| fs::read(models.path().join("org/model").join(&file.path)).unwrap();
    match verb {
        "files" => {
            let mut found: Vec<_> = snapshot.files.iter().map(|it| it.path.as_str()).collect();
            found.sort_unstable();
            found.dedup();
            assert_eq!(found, PATHS);
            for file in &snapshot.files {
                assert_eq!(file.size, content(file).len() as u64, "{}", file.path);
            }
        }
        "download" => {
            let into = tempfile::tempdir().unwrap();
            for file in &snapshot.files {
                hub.download(&snapshot, file, into.path(), &|_| {}).await?;
                assert_eq!(fs::read(into.path().join(&file.path)).unwrap(), content(file));
                assert!(file.is_at(&into.path().join(&file.path)).unwrap());
            }
        }
        "head" => {
            for file in &snapshot.files {
                let head = hub.head(&snapshot, file, 2).await?;
                assert_eq!(head, content(file)[..2], "{}", file.path);
            }
        }
        other => panic!("{other} is no verb"),
    }
    Ok(())
}

/// Tries a verb on every quirk.
async fn run_over_all(verb: &str) {
    for quirk in QUIRKS {
        let models = models();
        let address = serve(quirk.before(hub::router(models.path()))).await;
        let hub = Hub::new(&format!("http://{address}"), None, &options()).unwrap();
        let outcome = run(&hub, &models, verb).await;
        quirk.check(verb, outcome.map_err(|error| chain(&error)));
    }
}

#[tokio::test]
async fn listing_comes_to_the_right_end() {
    run_over_all("files").await;
}

#[tokio::test]
async fn download_comes_to_the_right_end() {
    run_over_all("download").await;
}

#[tokio::test]
async fn reading_a_head_comes_to_the_right_end() {
    run_over_all("head").await;
}
