//! What a pod has beside its server: what ran before it, and what is mounted.

use kit_cluster::Isolation;

use crate::fixture::World;
use crate::seen_by;

/// Commits a Deployment whose pods have volumes, and a container that runs first, of this image; and
/// the Secret that is one of the volumes.
fn deploy(world: &World, first: &str) -> String {
    world.deploy("good:1", 1);
    let path = "apps/web/deployment.yaml";
    let text = std::fs::read_to_string(world.dir.path().join("work").join(path)).unwrap();
    let volumes = "volumes:
      - {name: data, emptyDir: {}}
      - {name: model, image: {reference: 'volume:1', pullPolicy: IfNotPresent}}
      - {name: login, secret: {secretName: login, items: [{key: .dockerconfigjson, path: dir/config.json}]}}
      - {name: words, configMap: {name: words}}
      initContainers:
      - name: first
        image: FIRST
        env: [{name: STAND_IN_WORDS, value: some words}]
        volumeMounts: [{name: data, mountPath: /data}]"
        .replace("FIRST", first);
    let mounts = "volumeMounts:
        - {name: data, mountPath: /data, readOnly: true}
        - {name: model, mountPath: /model}
        - {name: login, mountPath: /login}
        - {name: words, mountPath: /words}";
    let text = text
        .replace("volumeMounts: [{name: data, mountPath: /data}]", mounts)
        .replace("volumes: [{name: data, emptyDir: {}}]", &volumes);
    world.write(path, &text);
    world.write(
        "apps/web/data.yaml",
        "apiVersion: v1
kind: Secret
metadata: {name: login, namespace: default}
type: kubernetes.io/dockerconfigjson
data: {.dockerconfigjson: e30=}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: words, namespace: default}
data: {a: one, b: two}
",
    );
    world.write(
        "apps/web/kustomization.yaml",
        "resources: [deployment.yaml, service.yaml, data.yaml]\n",
    );
    world.push()
}

#[test]
fn what_runs_first_fills_a_volume_that_the_server_only_reads() {
    let world = World::ready("good:1", 1);
    world.settle(&deploy(&world, "init:1"));
    if world.cluster.isolation() == Isolation::None {
        assert!(world.story().contains("do not enforce"), "{}", world.story());
        return;
    }
    assert_eq!(seen_by(&world, "/list?/data"), "first");
    assert_eq!(seen_by(&world, "/read?/data/first"), "some words");
    assert_eq!(seen_by(&world, "/list?/model"), "weights");
    assert_eq!(seen_by(&world, "/read?/login/dir/config.json"), "{}");
    assert_eq!(seen_by(&world, "/list?/words"), "a b");
    for place in ["/data/x", "/model/x", "/login/x", "/words/x"] {
        let refusal = seen_by(&world, &format!("/write?{place}"));
        assert!(refusal.contains("Read-only file system"), "{place}: {refusal}");
    }
    let story = world.story();
    assert!(story.contains("first is done"), "{story}");
    assert!(!story.contains("volumes other than"), "{story}");
}

#[test]
fn a_server_does_not_start_before_what_runs_first_has_succeeded() {
    let (world, _) = World::begin("good:1", 1);
    deploy(&world, "crash:1");
    world.wait("it is tried again", |cluster| {
        cluster.pods("default").iter().any(|pod| pod.status == "Init:CrashLoopBackOff")
    });
    let pods = world.cluster.pods("default");
    let waiting = pods.iter().find(|pod| pod.status == "Init:CrashLoopBackOff").unwrap();
    assert!(!waiting.ready);
    let trouble = waiting.trouble.clone().unwrap_or_default();
    assert!(trouble.contains("first ended with exit code 101"), "{trouble}");
}

#[test]
fn an_image_that_is_to_be_mounted_and_is_not_there_is_named() {
    let (world, _) = World::begin("good:1", 1);
    deploy(&world, "init:1");
    let path = "apps/web/deployment.yaml";
    let text = std::fs::read_to_string(world.dir.path().join("work").join(path)).unwrap();
    world.write(path, &text.replace("volume:1", "nobody:1"));
    world.push();
    world.wait("it is said", |cluster| {
        let pods = cluster.pods("default");
        pods.iter().any(|pod| {
            pod.status == "ErrImagePull"
                && pod.trouble.as_ref().is_some_and(|why| why.contains("nobody:1"))
        })
    });
}
