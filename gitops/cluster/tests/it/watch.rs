//! Watching through the API, as clients of Kubernetes do.

use std::io::{BufRead as _, BufReader, Read};

use serde_json::{Value, json};

use crate::fixture::{PATIENCE, World};

/// An agent that hears for as long as a test may take.
fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().proxy(None).http_status_as_error(false);
    ureq::Agent::new_with_config(config.timeout_global(Some(PATIENCE)).build())
}

/// The lines of what flows.
fn lines(world: &World, target: &str, accept: &str) -> impl Iterator<Item = String> + use<> {
    let request = agent().get(format!("{}{target}", world.cluster.api_url()));
    let answer = request.header("accept", accept).call().unwrap();
    assert_eq!(answer.status().as_u16(), 200, "{target}");
    let reader: Box<dyn Read> = Box::new(answer.into_body().into_reader());
    BufReader::new(reader).lines().map(Result::unwrap)
}

fn events(world: &World, target: &str) -> impl Iterator<Item = (String, Value)> + use<> {
    lines(world, target, "application/json").map(|line| {
        let mut event: Value = serde_json::from_str(&line).unwrap();
        (event["type"].as_str().unwrap().to_owned(), event["object"].take())
    })
}

const PODS: &str = "/api/v1/namespaces/default/pods?watch=true&labelSelector=app%3Dweb";

#[test]
fn a_watch_tells_what_is_there_and_then_what_changes() {
    let world = World::ready("good:1", 1);
    let mut told = events(&world, PODS);
    let (kind, first) = told.next().unwrap();
    assert_eq!((&*kind, &first["kind"]), ("ADDED", &json!("Pod")));
    world.deploy("good:2", 1);
    let name = |pod: &Value| pod["metadata"]["name"].clone();
    let (kind, second) = told.next().unwrap();
    assert_eq!(kind, "ADDED");
    assert_ne!(name(&second), name(&first));
    let mut versions = vec![version(&first), version(&second)];
    let gone = told.find(|(kind, object)| {
        versions.push(version(object));
        kind == "DELETED"
    });
    assert_eq!(name(&gone.unwrap().1), name(&first));
    assert!(versions.is_sorted(), "{versions:?}");
}

#[test]
fn a_watch_goes_on_after_the_version_of_a_list_or_says_that_it_cannot() {
    let world = World::ready("good:1", 1);
    let read = |target: &str| -> Value {
        let at = world.cluster.api_url();
        let mut answer = agent().get(format!("{at}{target}")).call().unwrap();
        serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap()
    };
    let list = read("/apis/apps/v1/namespaces/default/deployments");
    let seen = list["metadata"]["resourceVersion"].as_str().unwrap();
    let target =
        format!("/apis/apps/v1/namespaces/default/deployments?watch=true&resourceVersion={seen}");
    let mut told = events(&world, &target);
    world.deploy("good:2", 1);
    let (kind, object) = told.next().unwrap();
    assert_eq!((&*kind, &object["metadata"]["generation"]), ("MODIFIED", &json!(2)));
    let target = "/api/v1/pods?watch=true&resourceVersion=999999999";
    let (kind, status) = events(&world, target).next().unwrap();
    assert_eq!((&*kind, &status["code"]), ("ERROR", &json!(410)));
    // What has no more time ends.
    let some = events(&world, &format!("{PODS}&timeoutSeconds=1"));
    assert!(some.count() > 0);
}

#[test]
fn a_list_that_flows_says_when_it_was_all() {
    let world = World::ready("good:1", 1);
    let query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut told = events(&world, &format!("/api/v1/namespaces?watch=true&{query}"));
    let bookmark = told.find(|(kind, _)| kind == "BOOKMARK").unwrap().1;
    assert_eq!(bookmark["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
}

#[test]
fn tables_have_rows_of_what_is_selected() {
    let world = World::ready("good:1", 1);
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    let rows = |target: &str| -> Value {
        let mut lines = lines(&world, target, table);
        serde_json::from_str(&lines.next().unwrap()).unwrap()
    };
    let pods = rows("/api/v1/namespaces/default/pods");
    assert_eq!(pods["kind"], "Table");
    assert_eq!(pods["columnDefinitions"][1]["name"], "Ready");
    let row = &pods["rows"][0];
    assert_eq!((&row["cells"][1], &row["cells"][2]), (&json!("1/1"), &json!("Running")));
    assert_eq!(row["object"]["kind"], "PartialObjectMetadata");
    let event = rows(PODS);
    assert_eq!(event["object"]["rows"][0]["cells"], *row.get("cells").unwrap());
}

#[test]
fn a_log_is_followed_until_its_pod_is_gone() {
    let world = World::ready("good:1", 1);
    let pod = world.cluster.pods("default").remove(0).name;
    let log = format!("/api/v1/namespaces/default/pods/{pod}/log");
    let whole: Vec<_> = lines(&world, &log, "*/*").collect();
    assert!(!whole.is_empty());
    let last: Vec<_> = lines(&world, &format!("{log}?tailLines=1"), "*/*").collect();
    assert_eq!(last, whole[whole.len() - 1..]);
    assert_eq!(lines(&world, &format!("{log}?tailLines=0"), "*/*").count(), 0);
    let other = agent().get(format!("{}{log}?container=nobody", world.cluster.api_url())).call();
    assert_eq!(other.unwrap().status().as_u16(), 400);
    let followed = lines(&world, &format!("{log}?follow=true"), "*/*");
    world.deploy("good:2", 1);
    let followed: Vec<_> = followed.collect();
    assert!(followed.starts_with(&whole), "{followed:?}");
}

#[test]
fn a_log_is_that_of_the_last_run_or_of_the_one_before() {
    let (world, _) = World::begin("crash:1", 1);
    world.wait("it has crashed twice", |cluster| {
        let pods = cluster.pods("default");
        pods.iter().any(|pod| pod.status == "CrashLoopBackOff" && pod.restarts > 0)
    });
    let pod = world.cluster.pods("default").remove(0).name;
    let log = format!("/api/v1/namespaces/default/pods/{pod}/log");
    for asked in ["", "?previous=true", "?follow=true"] {
        let said = lines(&world, &format!("{log}{asked}"), "*/*");
        let n_crashes = said.filter(|line| line.contains("told to crash")).count();
        assert_eq!(n_crashes, 1, "{asked}");
    }
}

fn version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}
