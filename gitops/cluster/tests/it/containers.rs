//! What a pod has beside its server: what ran before it, what runs beside it, what is mounted, and
//! what its variables come from.

use kit_cluster::Isolation;
use serde_json::Value;

use crate::fixture::{World, ask};
use crate::{runs, seen_by};

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

/// Changes the committed Deployment; the revision.
fn edit(world: &World, change: impl Fn(String) -> String) -> String {
    let path = "apps/web/deployment.yaml";
    let text = std::fs::read_to_string(world.dir.path().join("work").join(path)).unwrap();
    let changed = change(text.clone());
    assert_ne!(text, changed, "there is nothing to change");
    world.write(path, &changed);
    world.push()
}

/// Two containers and a sidecar, all of them servers at ports of their own.
fn deploy_three(world: &World) -> String {
    world.deploy("good:1", 1);
    edit(world, |text| {
        let three = "initContainers:
      - name: proxy
        image: good:3
        restartPolicy: Always
        env: [{name: KIT_RS_PORT, value: '9100'}]
        startupProbe: {tcpSocket: {port: 9100}, periodSeconds: 1}
      containers:
      - name: second
        image: good:2
        env: [{name: KIT_RS_PORT, value: '9000'}]
        readinessProbe: {tcpSocket: {port: 9000}, periodSeconds: 1}
";
        text.replace("containers:\n", three).replace("DeadlineSeconds: 5", "DeadlineSeconds: 60")
    })
}

/// The only pod, as an object.
fn pod(world: &World) -> Value {
    let at = format!("{}/api/v1/namespaces/default/pods", world.cluster.api_url());
    let list: Value = serde_json::from_str(&ask(&at).unwrap()).unwrap();
    list["items"][0].clone()
}

/// The status of a container, and its process.
fn status(pod: &Value, name: &str) -> (Value, u32) {
    let lists = ["initContainerStatuses", "containerStatuses"];
    let all = lists.iter().flat_map(|list| pod["status"][list].as_array().unwrap());
    let status = all.into_iter().find(|it| it["name"] == name).unwrap().clone();
    let id = status["containerID"].as_str().unwrap();
    let pid = id.strip_prefix("process://").unwrap().parse().unwrap();
    (status, pid)
}

#[test]
fn the_containers_of_a_pod_share_its_address_and_each_has_a_life_of_its_own() {
    let (world, _) = World::begin("good:1", 1);
    world.settle(&deploy_three(&world));
    world.wait("the former pod is gone", |cluster| cluster.pods("default").len() == 1);
    assert_eq!(world.ask(), Ok("good:1".to_owned()));
    assert_eq!(seen_by(&world, "/ask?9000"), "good:2");
    assert_eq!(seen_by(&world, "/ask?9100"), "good:3");
    let before = pod(&world);
    let names = |list: &str| {
        let all = before["status"][list].as_array().unwrap().iter();
        all.map(|it| it["name"].as_str().unwrap()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names("containerStatuses"), "second server");
    assert_eq!(names("initContainerStatuses"), "proxy");
    assert_eq!(status(&before, "proxy").0["started"], true);
    assert_eq!(before["status"]["phase"], "Running");
    let name = before["metadata"]["name"].as_str().unwrap();
    for container in ["proxy", "second", "server"] {
        let path = format!("api/v1/namespaces/default/pods/{name}/log?container={container}");
        let log = ask(&format!("{}/{path}", world.cluster.api_url())).unwrap();
        assert!(log.contains("running 1 test"), "{container}: {log:?}");
    }

    crate::kill(status(&before, "second").1);
    world.wait("the one that ended is started again", |_| {
        let (second, _) = status(&pod(&world), "second");
        second["restartCount"] == 1 && second["ready"] == true
    });
    let after = pod(&world);
    for other in ["proxy", "server"] {
        assert_eq!(status(&after, other).1, status(&before, other).1, "{other} runs on");
        assert_eq!(status(&after, other).0["restartCount"], 0);
    }
    let last = &status(&after, "second").0["lastState"]["terminated"];
    assert_eq!((&last["exitCode"], &last["reason"]), (&137.into(), &"Error".into()));

    let [proxy, second, server] = ["proxy", "second", "server"].map(|it| status(&after, it).1);
    assert!([proxy, second, server].into_iter().all(runs));
    world.cluster.stop();
    assert!(![proxy, second, server].into_iter().any(runs));
}

#[test]
fn a_sidecar_is_there_before_the_others_and_until_they_have_ended() {
    let (world, _) = World::begin("good:1", 1);
    world.settle(&deploy_three(&world));
    world.wait("the former pod is gone", |cluster| cluster.pods("default").len() == 1);
    let story = world.story();
    let at = |what: &str| story.rfind(what).unwrap_or_else(|| panic!("{what} in {story}"));
    assert!(at("proxy: started as process") < at("second: started as process"));
    let live = pod(&world);
    let [proxy, second, server] = ["proxy", "second", "server"].map(|it| status(&live, it).1);
    let id = gitops::ObjectId {
        group: String::new(),
        version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        namespace: "default".to_owned(),
        name: live["metadata"]["name"].as_str().unwrap().to_owned(),
    };
    assert!(world.cluster.delete_object(&id));
    world.wait("the sidecar has ended", |_| {
        // In this order: the others cannot have begun anew in between.
        let is_there = runs(proxy);
        assert!(is_there || !runs(second) && !runs(server), "the sidecar ended first");
        !is_there
    });
}

#[test]
fn variables_come_from_secrets_and_a_key_that_is_not_there_is_named() {
    let (world, _) = World::begin("good:1", 1);
    let secret = "apiVersion: v1
kind: Secret
metadata: {name: login, namespace: default}
data: {user: bWU=}
stringData: {password: hush}
";
    world.write("apps/web/data.yaml", secret);
    let list = "resources: [deployment.yaml, service.yaml, data.yaml]\n";
    world.write("apps/web/kustomization.yaml", list);
    world.settle(&edit(&world, |text| {
        let env = "name: server
        env:
        - {name: PASSWORD, valueFrom: {secretKeyRef: {name: login, key: password}}}
        - {name: NOTHING, valueFrom: {secretKeyRef: {name: login, key: no, optional: true}}}
        - {name: LIMIT, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}
        envFrom: [{prefix: LOGIN_, secretRef: {name: login}}]";
        text.replace("name: server", env)
    }));
    let env = seen_by(&world, "/env");
    for line in ["PASSWORD=hush", "LOGIN_user=me", "LOGIN_password=hush", "LIMIT=64"] {
        assert!(env.lines().any(|it| it == line), "{line} in {env}");
    }
    assert!(!env.contains("NOTHING"), "{env}");
    edit(&world, |text| text.replace("key: password", "key: passwort"));
    let why = "couldn't find key passwort in Secret default/login";
    world.wait(why, |cluster| {
        cluster.pods("default").iter().any(|pod| {
            pod.status == "CreateContainerConfigError"
                && pod.trouble.as_ref().is_some_and(|it| it.ends_with(why))
        })
    });
}
