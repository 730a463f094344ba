//! The cluster at work: a real repository, real processes, and a program that stands in for the
//! model server.

mod containers;
mod fixture;
mod server;
mod watch;

use std::io;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use gitops::ObjectId;
use kit_cluster::{Cluster, Isolation};
use serde_json::{Value, json};

use self::fixture::{Client, SERVICE, World, git};

fn id(group: &str, kind: &str, name: &str) -> ObjectId {
    ObjectId {
        group: group.to_owned(),
        version: "v1".to_owned(),
        kind: kind.to_owned(),
        namespace: "default".to_owned(),
        name: name.to_owned(),
    }
}

fn has(cluster: &Cluster, id: &ObjectId) -> bool {
    cluster.objects().iter().any(|object| object.id().is_same(id))
}

/// Whether the process runs: one that nobody has waited for yet does not.
fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

const FROM_A_REGISTRY: &str = "\
apiVersion: source.toolkit.fluxcd.io/v1
kind: OCIRepository
metadata: {name: shelf, namespace: flux-system}
spec: {interval: 1s, url: 'oci://registry.example/infra', ref: {tag: dev}, ignore: /besides.yaml}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: shelf, namespace: flux-system}
spec: {interval: 1m, retryInterval: 1s, prune: true, sourceRef: {kind: OCIRepository, name: shelf}}
";

#[test]
fn an_artifact_of_a_registry_is_followed_but_for_what_is_to_be_left_out() {
    let world = World::ready("good:1", 1);
    world.write("clusters/dev/shelf.yaml", FROM_A_REGISTRY);
    world.push();
    let condition = |part: &str| {
        world.wait(part, |cluster| {
            let objects = cluster.objects();
            let source = objects.iter().find(|it| it.kind() == "OCIRepository");
            source
                .is_some_and(|it| it.value()["status"]["conditions"][0].to_string().contains(part))
        });
    };
    condition("failed to determine artifact digest: ");
    let shelf = world.dir.path().join("shelf");
    std::fs::create_dir_all(shelf.join("dev")).unwrap();
    let put = |name: &str, text: &str| std::fs::write(shelf.join(name), text).unwrap();
    let map = |name: &str| {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: default}}\n")
    };
    put("dev/first.yaml", &map("first"));
    put("dev/besides.yaml", &map("besides"));
    put("dev/left.yaml", &map("left"));
    put("dev/.sourceignore", "left.yaml\n");
    put("dev.digest", "sha256:1");
    condition("stored artifact for digest 'dev@sha256:1'");
    let is_there = |name: &str| has(&world.cluster, &id("", "ConfigMap", name));
    world.wait("the first is applied", |_| is_there("first"));
    assert!(!is_there("besides") && !is_there("left"));
    world.wait("it is ready", |cluster| {
        cluster.kustomization("shelf").is_some_and(|it| it.applied == "dev@sha256:1")
    });
    std::fs::rename(shelf.join("dev/first.yaml"), shelf.join("dev/second.yaml")).unwrap();
    put("dev/second.yaml", &map("second"));
    put("dev.digest", "sha256:2");
    world.wait("the second takes its place", |_| is_there("second") && !is_there("first"));
}

#[test]
fn the_rights_of_an_account_are_not_enforced_and_that_is_said() {
    let world = World::ready("good:1", 1);
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: theirs, namespace: default}\n";
    world.write("tenants/map.yaml", map);
    let tenant = "apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: tenant, namespace: flux-system}
spec: {interval: 1h, path: ./tenants, prune: true, serviceAccountName: tenant, sourceRef: {kind: GitRepository, name: flux-system}}
";
    world.write("clusters/dev/tenant.yaml", tenant);
    world.push();
    world.wait("it is applied", |_| has(&world.cluster, &id("", "ConfigMap", "theirs")));
    let said = "those of its serviceAccountName tenant are not enforced here";
    assert_eq!(world.story().matches(said).count(), 1, "{}", world.story());
}

#[test]
fn the_newest_version_of_a_range_is_followed_and_of_it_the_layer_that_is_selected() {
    let world = World::ready("good:1", 1);
    let selecting = FROM_A_REGISTRY
        .replace("ref: {tag: dev}", "ref: {semver: 1.x}, layerSelector: {mediaType: a/b}");
    world.write("clusters/dev/shelf.yaml", &selecting);
    world.push();
    let condition = |part: &str| {
        world.wait(part, |cluster| {
            let objects = cluster.objects();
            let source = objects.iter().find(|it| it.kind() == "OCIRepository");
            source
                .is_some_and(|it| it.value()["status"]["conditions"][0].to_string().contains(part))
        });
    };
    let shelf = world.dir.path().join("shelf");
    let put = |tag: &str, folder: &str, name: &str| {
        let folder = shelf.join(tag).join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        let map = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: default}}\n"
        );
        std::fs::write(folder.join("map.yaml"), map).unwrap();
        std::fs::write(shelf.join(format!("{tag}.digest")), format!("sha256:{name}")).unwrap();
    };
    put("2.0.0", "a_b", "other");
    condition("no match found for semver: 1.x");
    put("1.0.0", "", "weights");
    condition("no layer a/b");
    put("1.0.0", "a_b", "first");
    condition("stored artifact for digest '1.0.0@sha256:first'");
    let is_there = |name: &str| has(&world.cluster, &id("", "ConfigMap", name));
    world.wait("the first is applied", |_| is_there("first"));
    put("1.1.0", "a_b", "second");
    world.wait("the newer one takes its place", |_| is_there("second") && !is_there("first"));
    assert!(!is_there("other") && !is_there("weights"));
}

#[test]
fn a_rollout_brings_the_new_before_the_old_goes_and_fails_no_request() {
    let world = World::ready("good:1", 2);
    let client = Client::begin(&world);
    world.settle(&world.deploy("good:2", 2));
    // The old pods still have a second to live, but no new connection reaches them.
    let late: Vec<_> = (0..6).map(|_| world.ask()).collect();
    assert!(late.iter().all(|answer| *answer == Ok("good:2".to_owned())), "{late:?}");
    world.wait("the old pods are gone", |cluster| {
        let pods = cluster.pods("default");
        pods.len() == 2 && pods.iter().all(|pod| pod.ready && pod.image == "good:2")
    });
    let answers = client.end();
    let failures: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
    assert!(failures.is_empty(), "{failures:?}");
    assert_eq!(answers.first(), Some(&Ok("good:1".to_owned())));
    assert_eq!(answers.last(), Some(&Ok("good:2".to_owned())));
    let story = world.story();
    assert_eq!(story.matches("do not enforce: memory and cpu limits").count(), 1, "{story}");
}

#[test]
fn a_version_that_never_becomes_ready_is_reported_while_the_old_one_answers() {
    let world = World::ready("good:1", 1);
    let before = world.cluster.pods("default")[0].pid;
    let client = Client::begin(&world);
    let revision = world.deploy("never:2", 1);
    let error =
        world.cluster.wait_ready("app", &revision, fixture::PATIENCE).unwrap_err().to_string();
    for part in ["HealthCheckFailed", "Deployment/default/web", "probe failed: "] {
        assert!(error.contains(part), "{part} is not in {error}");
    }
    let info = world.cluster.kustomization("app").unwrap();
    assert!(!info.ready && info.attempted == revision && info.applied != revision, "{info:?}");
    git(&world.dir.path().join("work"), &["revert", "--no-edit", "HEAD"]);
    world.settle(&world.push());
    world.wait("the hanging pod is gone", |cluster| cluster.pods("default").len() == 1);
    assert_eq!(world.cluster.pods("default")[0].pid, before);
    let answers = client.end();
    assert!(answers.iter().all(|answer| *answer == Ok("good:1".to_owned())), "{answers:?}");
}

#[test]
fn an_image_that_does_not_exist_is_named() {
    let (world, revision) = World::begin("lost:1", 1);
    let error =
        world.cluster.wait_ready("app", &revision, fixture::PATIENCE).unwrap_err().to_string();
    assert!(error.contains("ErrImagePull: manifest unknown: lost:1"), "{error}\n{}", world.story());
    assert_eq!(world.cluster.pods("default")[0].status, "ErrImagePull");
}

#[test]
fn a_killed_process_is_started_again_in_its_pod() {
    let world = World::ready("good:1", 1);
    let before = world.cluster.pods("default").remove(0);
    kill(before.pid.unwrap());
    world.wait("the pod is ready again", |cluster| {
        let pod = cluster.pods("default").remove(0);
        pod.ready && pod.restarts == 1 && pod.pid != before.pid
    });
    let after = world.cluster.pods("default").remove(0);
    assert_eq!((&after.name, after.address), (&before.name, before.address));
    assert_eq!(world.ask(), Ok("good:1".to_owned()));
}

#[test]
fn a_process_that_does_not_answer_is_restarted_even_if_it_ignores_sigterm() {
    let (world, _) = World::begin("deaf:1", 1);
    world.wait("the process runs", |cluster| {
        cluster.pods("default").iter().any(|pod| pod.pid.is_some())
    });
    let before = world.cluster.pods("default").remove(0).pid.unwrap();
    world.wait("it was restarted", |cluster| {
        cluster.pods("default").iter().any(|pod| pod.restarts == 1)
    });
    assert!(!runs(before));
    let story = world.story();
    assert!(story.contains("liveness probe failed: dial tcp"), "{story}");
}

fn kill(pid: u32) {
    let killed = std::process::Command::new("sh").arg("-c").arg(format!("kill -9 {pid}")).status();
    assert!(killed.unwrap().success());
}

#[test]
fn deleted_objects_are_repaired_and_a_deleted_pod_is_replaced() {
    let world = World::ready("good:1", 1);
    let (service, deployment) = (id("", "Service", "web"), id("apps", "Deployment", "web"));
    for id in [service, deployment] {
        assert!(world.cluster.delete_object(&id));
        world.wait("the object is back", |cluster| has(cluster, &id));
    }
    world.wait("the service answers again", |_| world.ask() == Ok("good:1".to_owned()));
    world.wait("one pod is left", |cluster| cluster.pods("default").len() == 1);
    let pod = world.cluster.pods("default").remove(0);
    assert!(world.cluster.delete_object(&id("", "Pod", &pod.name)));
    world.wait("another pod is ready", |cluster| {
        cluster.pods("default").iter().any(|other| other.ready && other.name != pod.name)
    });
}

#[test]
fn what_left_git_leaves_the_cluster() {
    let world = World::ready("good:1", 1);
    world.write("apps/web/kustomization.yaml", "resources: [deployment.yaml]\n");
    world.settle(&world.push());
    assert!(!has(&world.cluster, &id("", "Service", "web")));
    assert!(has(&world.cluster, &id("apps", "Deployment", "web")));
    let pid = world.cluster.pods("default")[0].pid.unwrap();
    world.write("clusters/dev/app.yaml", "");
    world.write("clusters/dev/other.yaml", &SERVICE.replace("name: web", "name: other"));
    world.push();
    world.wait("the deployment and its pods are gone", |cluster| {
        !has(cluster, &id("apps", "Deployment", "web")) && cluster.pods("default").is_empty()
    });
    assert!(has(&world.cluster, &id("", "Service", "other")) && !runs(pid));
}

#[test]
fn what_is_to_be_ignored_is_not_in_the_artifact() {
    let world = World::ready("good:1", 1);
    world.write("apps/web/kustomization.yaml", "");
    std::fs::remove_file(world.dir.path().join("work/apps/web/kustomization.yaml")).unwrap();
    world.write("apps/web/broken.yaml", "kind: [\n");
    world.write("apps/web/deep/.sourceignore", "*.yaml\n!kept.yaml\n");
    world.write("apps/web/deep/broken.yaml", "kind: [\n");
    world.write("apps/web/deep/kept.yaml", &SERVICE.replace("name: web", "name: kept"));
    world.write(".sourceignore", "# a comment\n/apps/web/broken.yaml\n");
    world.settle(&world.push());
    assert!(has(&world.cluster, &id("", "Service", "kept")));
}

#[test]
fn a_fix_waits_for_the_end_of_the_health_check_of_what_was_bad() {
    let world = World::ready("good:1", 1);
    let bad = world.deploy("never:2", 1);
    let attempted = |cluster: &Cluster| cluster.kustomization("app").map(|info| info.attempted);
    world.wait("the bad one is tried", |cluster| attempted(cluster).as_ref() == Some(&bad));
    let good = world.deploy("good:3", 1);
    world.settle(&good);
    let story = world.story();
    assert!(story.contains("health check failed after"), "{story}");
    assert!(!story.contains("HealthCheckCanceled"), "{story}");
}

#[test]
fn a_service_without_ready_pods_refuses() {
    let (world, _) = World::begin("crash:1", 1);
    world.wait("the pod gives up for a while", |cluster| {
        let pods = cluster.pods("default");
        pods.iter().any(|pod| pod.status == "CrashLoopBackOff" && pod.restarts > 0)
    });
    let url = world.cluster.service_url("default/web", 8080).unwrap();
    let refused = TcpStream::connect(url.trim_start_matches("http://")).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn a_source_that_is_no_repository_is_named_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let error =
        fixture::follow(&dir.path().join("nothing"), dir.path(), &Arc::default()).err().unwrap();
    let error = error.to_string();
    assert!(error.contains("nothing is no Git repository to follow"), "{error}");
}

#[test]
fn the_api_shows_what_there_is_and_only_takes_away() {
    let world = World::ready("good:1", 1);
    let agent = ureq::Agent::new_with_config(
        ureq::Agent::config_builder().proxy(None).http_status_as_error(false).build(),
    );
    let at = world.cluster.api_url();
    let read = |path: &str| {
        let mut response = agent.get(format!("{at}{path}")).call().unwrap();
        let body = response.body_mut().read_to_string().unwrap();
        (response.status().as_u16(), serde_json::from_str::<Value>(&body).unwrap_or(Value::Null))
    };
    let (status, pods) = read("/api/v1/namespaces/default/pods");
    assert_eq!((status, pods["kind"].as_str()), (200, Some("PodList")));
    assert_eq!(pods["items"][0]["status"]["containerStatuses"][0]["ready"], true);
    let (_, all) = read("/apis/kustomize.toolkit.fluxcd.io/v1/kustomizations?limit=500");
    let names: Vec<_> =
        all["items"].as_array().unwrap().iter().map(|k| k["metadata"]["name"].as_str()).collect();
    assert_eq!(names, [Some("app"), Some("flux-system")]);
    let (_, deployment) = read("/apis/apps/v1/namespaces/default/deployments/web");
    assert_eq!(deployment["status"]["availableReplicas"], 1);
    assert_eq!(read("/version").1["major"], "1");
    assert_eq!(read("/api/v1/namespaces/default/pods/nobody").0, 404);
    assert_eq!(read("/apis/apps/v1/unicorns").0, 404);
    let n_pods = |query: &str| {
        let (status, list) = read(&format!("/api/v1/pods?{query}"));
        (status, list["items"].as_array().map_or(0, Vec::len))
    };
    assert_eq!(n_pods("labelSelector=app%3Dweb"), (200, 1));
    assert_eq!(n_pods("labelSelector=app%21%3Dweb"), (200, 0));
    assert_eq!(n_pods("fieldSelector=status.phase%3DRunning"), (200, 1));
    assert_eq!(n_pods("fieldSelector=spec.color%3Dred"), (400, 0));
    assert_eq!(n_pods("continue=x"), (400, 0));
    assert_eq!(read("/apis/apps/v1").1["resources"][0]["shortNames"][0], "deploy");
    let create = agent.post(format!("{at}/api/v1/namespaces/default/pods")).send("{}").unwrap();
    assert_eq!(create.status().as_u16(), 405);
    let delete = |path: &str| {
        agent.delete(format!("{at}/api/v1/namespaces/default/{path}")).call().unwrap().status()
    };
    assert_eq!([delete("pods"), delete("pods/nobody")].map(|status| status.as_u16()), [405, 404]);
    let uid = || read("/api/v1/namespaces/default/services/web").1["metadata"]["uid"].clone();
    let before = uid();
    assert_eq!(delete("services/web").as_u16(), 200);
    world.wait("another service is there", |_| uid().is_string() && uid() != before);
}

#[test]
fn labels_and_annotations_can_be_set_and_a_look_can_be_asked_for() {
    let world = World::ready("good:1", 1);
    let agent = ureq::Agent::new_with_config(
        ureq::Agent::config_builder().proxy(None).http_status_as_error(false).build(),
    );
    let at = world.cluster.api_url();
    let read = |path: &str| -> Value {
        let text = agent.get(format!("{at}{path}")).call().unwrap().body_mut().read_to_string();
        serde_json::from_str(&text.unwrap()).unwrap()
    };
    let patch = |path: &str, patch: Value| {
        let request = agent.patch(format!("{at}{path}"));
        let request = request.header("content-type", "application/merge-patch+json");
        request.send(patch.to_string()).unwrap().status().as_u16()
    };
    let web = "/apis/apps/v1/namespaces/default/deployments/web";
    let set = |value: Value| json!({"metadata": {"annotations": {"example.com/by": value}}});
    assert_eq!(patch(web, set("hand".into())), 200);
    assert_eq!(patch(web, json!({"spec": {"replicas": 3}})), 405);
    assert_eq!(patch(&format!("{web}-not"), set("hand".into())), 404);
    let looks = json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "now"}}});
    let [source, app] = [
        "source.toolkit.fluxcd.io/v1 gitrepositories/flux-system",
        "kustomize.toolkit.fluxcd.io/v1 kustomizations/app",
    ]
    .map(|it| format!("/apis/{}", it.replacen(' ', "/namespaces/flux-system/", 1)));
    for path in [&source, &app] {
        assert_eq!(patch(path, looks.clone()), 200, "{path}");
        world.wait("the look was taken", |_| {
            read(path)["status"]["lastHandledReconcileAt"] == "now"
        });
    }
    // Flux has looked, and left alone what is not its own.
    assert_eq!(read(web)["metadata"]["annotations"]["example.com/by"], "hand");
    assert_eq!(patch(web, set(Value::Null)), 200);
    assert_eq!(read(web)["metadata"]["annotations"].get("example.com/by"), None);
    let events = read("/api/v1/namespaces/flux-system/events");
    let told = events["items"].as_array().unwrap().iter();
    let of_app = told.filter(|it| it["involvedObject"]["name"] == "app");
    let reasons: Vec<_> = of_app.filter_map(|it| it["reason"].as_str()).collect();
    assert!(reasons.contains(&"ReconciliationSucceeded"), "{reasons:?}");
}

#[test]
fn no_process_outlives_the_cluster_whether_stopped_or_dropped() {
    for stop in [true, false] {
        let world = World::ready("good:1", 2);
        let pids: Vec<_> = world.cluster.pods("default").iter().filter_map(|pod| pod.pid).collect();
        assert_eq!(pids.iter().filter(|pid| runs(**pid)).count(), 2);
        let state = world.dir.path().join("state");
        assert!(Path::new(&state).is_dir());
        match stop {
            true => world.cluster.stop(),
            false => drop(world.cluster),
        }
        assert_eq!(pids.iter().filter(|pid| runs(**pid)).count(), 0);
    }
}

/// What the pod at hand says of the place that it is in.
fn seen_by(world: &World, question: &str) -> String {
    let url = world.cluster.service_url("default/web", 8080).unwrap();
    fixture::ask(&format!("{url}{question}")).unwrap()
}

#[test]
fn a_pod_has_the_environment_of_a_container_and_nothing_of_ours() {
    let world = World::ready("good:1", 1);
    let pod = world.cluster.pods("default").remove(0);
    let expected = [
        "HOME=/".to_owned(),
        format!("HOSTNAME={}", pod.name),
        format!("KIT_RS_HOST={}", pod.address),
        "KIT_RS_PORT=8000".to_owned(),
        "LD_LIBRARY_PATH=/lib".to_owned(),
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        "STAND_IN_IMAGE=good:1".to_owned(),
    ];
    assert_eq!(seen_by(&world, "/env"), expected.join("\n"));
}

#[test]
fn a_pod_sees_its_image_and_writes_to_its_volumes_only() {
    let world = World::ready("good:1", 1);
    let story = world.story();
    if world.cluster.isolation() == Isolation::None {
        // Then it is said, and nobody can take it for more.
        assert!(
            story.contains("pods are plain processes that see this machine's files"),
            "{story}"
        );
        assert!(
            story.contains("do not enforce: memory and cpu limits, securityContext"),
            "{story}"
        );
        return;
    }
    assert!(story.contains("pods have their image, read-only"), "{story}");
    assert_eq!(seen_by(&world, "/list?/"), "data dev lib lib64 proc server");
    assert_eq!(seen_by(&world, "/list?/dev"), "full null random urandom zero");
    assert_eq!(seen_by(&world, "/who"), "Uid: 65532 65532 65532 65532, CapEff: 0000000000000000");
    for place in ["/x", "/lib/x", "/dev/x", "/proc/sys/kernel/hostname"] {
        let refusal = seen_by(&world, &format!("/write?{place}"));
        assert!(refusal.contains("Read-only file system"), "{place}: {refusal}");
    }
    assert_eq!(seen_by(&world, "/write?/dev/null"), "written");
    assert_eq!(seen_by(&world, "/write?/data/x"), "written");
    // A volume lives as long as its pod, and not only as long as a process of it.
    kill(world.cluster.pods("default")[0].pid.unwrap());
    world.wait("the process was started again", |cluster| {
        cluster.pods("default").iter().any(|pod| pod.ready && pod.restarts == 1)
    });
    assert_eq!(seen_by(&world, "/list?/data"), "x");
    let volumes = world.dir.path().join("state/volumes");
    assert_eq!(std::fs::read_dir(&volumes).unwrap().count(), 1);
    world.cluster.stop();
    assert_eq!(std::fs::read_dir(&volumes).unwrap().count(), 0);
}

#[test]
fn a_pod_that_must_not_be_root_is_refused_as_root() {
    let (world, _) = World::begin("root:1", 1);
    world.wait("it is refused", |cluster| {
        cluster.pods("default").iter().any(|pod| pod.status == "CreateContainerConfigError")
    });
    let story = world.story();
    assert!(story.contains("runAsNonRoot and image will run as root"), "{story}");
}

#[test]
fn a_suspended_kustomization_is_left_alone() {
    let world = World::ready("good:1", 1);
    let applied_by_root = |revision: &str| {
        world.wait("the root is applied", |cluster| {
            cluster.kustomization("flux-system").is_some_and(|info| info.applied == revision)
        });
    };
    let attempted = || world.cluster.kustomization("app").map(|info| info.attempted).unwrap();
    let text =
        std::fs::read_to_string(world.dir.path().join("work/clusters/dev/app.yaml")).unwrap();
    world.write(
        "clusters/dev/app.yaml",
        &text.replace("prune: true", "prune: true\n  suspend: true"),
    );
    applied_by_root(&world.push());
    // An attempt at the commit that suspends may be under way still; those that come after it must
    // not be attempted.
    let second = world.deploy("good:2", 1);
    applied_by_root(&second);
    world.write("note.txt", "a commit later, an attempt at the one before would have begun");
    let third = world.push();
    applied_by_root(&third);
    assert!(![second, third].contains(&attempted()), "the app is suspended");
    assert_eq!(world.ask(), Ok("good:1".to_owned()));
    world.write("clusters/dev/app.yaml", &text);
    world.settle(&world.push());
    world.wait("the second version answers", |_| world.ask() == Ok("good:2".to_owned()));
}
