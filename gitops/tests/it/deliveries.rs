//! How a model reaches the pods: each way is whole, pinned, and the same in both layouts.

use std::time::Duration;

use kit_gitops::edit::{Bump, bump, small_volumes};
use kit_gitops::kustomize::{self, Overlay};
use kit_gitops::lint::{Options, lint};
use kit_gitops::promote::pins;
use kit_gitops::{Bootstrap, Delivery, Layout, Object, Release, Tree, bootstrap, check, render};
use serde_json::{Value, json};

fn digest(c: char) -> String {
    format!("sha256:{}", c.to_string().repeat(64))
}

fn face(c: char) -> Delivery {
    let face = format!("host:5000/demo/kit:1-mount@{}", digest(c));
    Delivery::ImageVolume { face: face.parse().unwrap() }
}

fn of_kserve(c: char) -> Delivery {
    Delivery::KServe { face: face(c).face().unwrap().clone() }
}

/// Every way but `baked`.
fn ways() -> Vec<Delivery> {
    let watch = Duration::from_secs(30);
    vec![
        face('f'),
        Delivery::Init { plain_http: false },
        Delivery::Init { plain_http: true },
        Delivery::Runtime { plain_http: true, watch },
        of_kserve('f'),
    ]
}

fn release(delivery: Delivery) -> Release {
    let image = format!("host:5000/demo/server:2@{}", digest('1'));
    let mut release = Release::new("a".parse().unwrap(), image.parse().unwrap());
    release.modelkit = Some("host:5000/demo/kit:1".to_owned());
    let follows = matches!(delivery, Delivery::Runtime { .. });
    release.modelkit_digest = (!follows).then(|| digest('a'));
    release.weight_bytes = 267_832_560;
    release.delivery = delivery;
    release
}

fn whole(release: &Release) -> Tree {
    let mut tree = render(release).unwrap();
    let mut asked = Bootstrap::new("https://host/infra.git".parse().unwrap());
    asked.env = release.env.clone();
    tree.merge(bootstrap(&asked, &tree).unwrap());
    tree
}

fn built(tree: &Tree, folder: &str) -> Vec<Object> {
    let mut objects = kustomize::build(tree, folder, &Overlay::default()).unwrap();
    objects.retain(|it| it.kind() != "Namespace");
    objects.sort_by_key(Object::id);
    objects
}

/// The object that pods are made of, and the pointer to what they are made of.
fn pod(objects: &[Object]) -> (&Object, &Value) {
    let found = |kind: &str, at: &str| {
        let object = objects.iter().find(|it| it.kind() == kind)?;
        Some((object, object.at(at)?))
    };
    let deployment = found("Deployment", "/spec/template/spec");
    deployment.or_else(|| found("InferenceService", "/spec/predictor")).unwrap()
}

#[test]
fn every_way_passes_the_check_and_every_policy_in_both_layouts() {
    for delivery in ways() {
        for layout in [Layout::Flat, Layout::Envs] {
            for (replicas, secret) in [(1, None), (3, Some("registry".parse().unwrap()))] {
                let mut release = release(delivery.clone());
                (release.layout, release.replicas, release.pull_secret) =
                    (layout, replicas, secret);
                release.is_tenant = layout == Layout::Envs;
                let tree = whole(&release);
                assert_eq!(check(&tree, Some("main")).unwrap(), [], "{release:?}");
                let report = lint(&tree, &Options::default());
                assert_eq!(report.findings, [], "{release:?}");
            }
        }
    }
}

#[test]
fn what_is_mounted_by_a_tag_alone_is_found() {
    for (delivery, path) in
        [(face('f'), "apps/a/deployment.yaml"), (of_kserve('f'), "apps/a/inferenceservice.yaml")]
    {
        let mut tree = whole(&release(delivery));
        let pinned = format!("kit:1-mount@{}", digest('f'));
        let text = tree.get(path).unwrap().replace(&pinned, "kit:1-mount");
        tree.insert(path, text).unwrap();
        let found = lint(&tree, &Options::default()).findings;
        let told: Vec<_> = found.iter().map(|it| (it.policy, it.message.as_str())).collect();
        let what = "the image has no digest: what is mounted can change without a commit";
        assert_eq!(told, [("image-digest", what)]);
    }
}

#[test]
fn an_environment_is_delivered_as_its_release_would_be_flat() {
    for delivery in ways() {
        for (replicas, secret) in [(1, None), (2, Some("registry".parse().unwrap()))] {
            let mut flat = release(delivery.clone());
            (flat.replicas, flat.pull_secret) = (replicas, secret);
            let envs = Release { layout: Layout::Envs, ..flat.clone() };
            let (flat, envs) = (render(&flat).unwrap(), render(&envs).unwrap());
            assert_eq!(
                built(&envs, "apps/a/overlays/dev"),
                built(&flat, "apps/a"),
                "{}",
                delivery.name()
            );
        }
    }
}

#[test]
fn no_container_may_do_more_than_another() {
    for delivery in ways() {
        let objects = built(&render(&release(delivery)).unwrap(), "apps/a");
        let (_, pod) = pod(&objects);
        let list = |name: &str| pod[name].as_array().cloned().unwrap_or_default();
        for container in list("containers").into_iter().chain(list("initContainers")) {
            assert_eq!(
                container["securityContext"],
                json!({
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": {"drop": ["ALL"]},
                })
            );
            for of in ["requests", "limits"] {
                let mut names: Vec<_> =
                    container["resources"][of].as_object().unwrap().keys().collect();
                names.sort();
                assert_eq!(names, ["cpu", "ephemeral-storage", "memory"]);
            }
        }
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    }
}

#[test]
fn what_runs_is_pinned_and_the_server_is_told_which_model_it_has_to_be() {
    for delivery in ways() {
        let name = delivery.name();
        let objects = built(&render(&release(delivery)).unwrap(), "apps/a");
        let (_, pod) = pod(&objects);
        let env = pod["containers"][0]["env"].as_array().unwrap();
        let value = |of: &str| env.iter().find(|it| it["name"] == of).map(|it| it["value"].clone());
        assert_eq!(value("KIT_RS_MODELKIT"), Some(json!("host:5000/demo/kit:1")), "{name}");
        let expected = (name != "runtime").then(|| json!(digest('a')));
        assert_eq!(value("KIT_RS_EXPECT_DIGEST"), expected, "{name}");
        let args = &pod["containers"][0]["args"];
        match name {
            "runtime" => assert_eq!(
                *args,
                json!(["serve", "$(KIT_RS_MODELKIT)", "--watch=30", "--tidy", "--plain-http"])
            ),
            _ => assert_eq!(*args, json!(["serve", "/model"])),
        }
    }
}

#[test]
fn a_bump_of_the_modelkit_makes_what_a_new_release_would_render() {
    for (delivery, new) in [
        (face('f'), face('e')),
        (of_kserve('f'), of_kserve('e')),
        (Delivery::Init { plain_http: true }, Delivery::Init { plain_http: true }),
    ] {
        for layout in [Layout::Flat, Layout::Envs] {
            let mut before = release(delivery.clone());
            before.layout = layout;
            let tree = render(&before).unwrap();
            let app = "a".parse().unwrap();
            let now = pins(&tree, &app, None).unwrap();
            assert_eq!(now.delivery.as_deref(), Some(delivery.name()));
            assert_eq!(now.face.as_ref(), delivery.face());
            assert_eq!(bump(&tree, &now.bump(app.clone(), None)).unwrap().len(), 0);
            let mut after = before.clone();
            after.modelkit = Some("host:5000/demo/kit:2".to_owned());
            after.modelkit_digest = Some(digest('b'));
            after.delivery = new.clone();
            let to = Bump {
                modelkit: after.modelkit.clone(),
                modelkit_digest: after.modelkit_digest.clone(),
                face: new.face().cloned(),
                ..now.bump(app, None)
            };
            let mut bumped = tree.clone();
            bumped.merge(bump(&tree, &to).unwrap());
            assert_eq!(bumped, render(&after).unwrap());
        }
    }
}

#[test]
fn what_is_mounted_and_what_is_said_of_it_change_together() {
    let tree = render(&release(face('f'))).unwrap();
    let app: kit_gitops::Name = "a".parse().unwrap();
    let mut to = pins(&tree, &app, None).unwrap().bump(app.clone(), None);
    to.face = None;
    let error = bump(&tree, &to).unwrap_err();
    let said = std::error::Error::source(&error).map_or(error.to_string(), ToString::to_string);
    assert!(said.contains("the new release is not one that is mounted"), "{error} {said}");
    let tree = render(&release(Delivery::Init { plain_http: false })).unwrap();
    to.face = face('e').face().cloned();
    let error = bump(&tree, &to).unwrap_err();
    let said = std::error::Error::source(&error).map_or(error.to_string(), ToString::to_string);
    assert!(said.contains("this app mounts none"), "{error} {said}");
    assert_eq!(small_volumes(&tree, &app, None, 1 << 20), []);
    assert_eq!(small_volumes(&tree, &app, None, 1 << 30).len(), 1);
}

#[test]
fn who_brings_the_model_itself_may_ask_its_registry_and_nobody_else() {
    for delivery in ways() {
        let brings = matches!(delivery, Delivery::Init { .. } | Delivery::Runtime { .. });
        let objects = built(&render(&release(delivery)).unwrap(), "apps/a");
        let policy = objects.iter().find(|it| it.kind() == "NetworkPolicy").unwrap();
        let ports = json!([{"ports": [
            {"port": 53, "protocol": "UDP"},
            {"port": 53, "protocol": "TCP"},
            {"port": 5000, "protocol": "TCP"},
        ]}]);
        let egress = if brings { ports } else { json!([]) };
        assert_eq!(policy.at("/spec/egress"), Some(&egress));
    }
}

#[test]
fn flux_asks_for_the_pods_of_this_release_and_the_deployment_that_kserve_makes() {
    let tree = render(&release(of_kserve('f'))).unwrap();
    let app: Object = tree.get("clusters/dev/a-app.yaml").unwrap().parse().unwrap();
    let asked = json!([
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "name": "a", "namespace": "a"},
        {"apiVersion": "apps/v1", "kind": "Deployment", "name": "a-predictor", "namespace": "a"},
    ]);
    assert_eq!(app.at("/spec/healthChecks"), Some(&asked));
    let objects = built(&tree, "apps/a");
    let of = |kind: &str, at: &str| {
        objects.iter().find(|it| it.kind() == kind).and_then(|it| it.at(at)).unwrap()
    };
    let counted = of("PodDisruptionBudget", "/spec/selector/matchLabels");
    assert_eq!(counted, of("InferenceService", "/spec/predictor/labels"));
    assert!(counted["kitops.ml/release"].is_string(), "{counted}");
    // More than it wants are all.
    let wanted = |replicas| {
        let tree = render(&Release { replicas, ..release(of_kserve('f')) }).unwrap();
        let objects = built(&tree, "apps/a");
        let budget = objects.iter().find(|it| it.kind() == "PodDisruptionBudget").unwrap();
        budget.at("/spec/minAvailable").cloned()
    };
    assert_eq!([wanted(1), wanted(3)], [Some(json!(0)), Some(json!(2))]);
    let healthy = app.at("/spec/healthCheckExprs/0/current").and_then(Value::as_str).unwrap();
    assert!(healthy.contains("status.currentHealthy > status.desiredHealthy"), "{healthy}");
    // KServe lets a Deployment go without progress for ten minutes.
    assert_eq!(app.at("/spec/timeout"), Some(&json!("11m0s")));
}
