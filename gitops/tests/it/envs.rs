//! Several environments in one repository: what they share, what each runs, who may apply it.

use std::collections::BTreeSet;

use kit_gitops::kustomize::{self, Overlay};
use kit_gitops::lint::{Options, lint};
use kit_gitops::reconcile::Status;
use kit_gitops::{
    Bootstrap, Component, Layout, Object, Release, Spread, Tree, bootstrap, check, rehearse, render,
};
use serde_json::json;

fn release(env: &str) -> Release {
    let image = format!("host/server:1@sha256:{}", "0".repeat(64));
    let mut release = Release::new("a".parse().unwrap(), image.parse().unwrap());
    release.layout = Layout::Envs;
    release.env = env.parse().unwrap();
    release.modelkit = Some("host/kit:1".to_owned());
    release.modelkit_digest = Some(format!("sha256:{}", "1".repeat(64)));
    release
}

/// Renders releases one after the other, with what Flux follows each environment by.
fn repository(releases: &[Release]) -> Tree {
    let mut tree = Tree::new();
    for release in releases {
        let mut release = release.clone();
        release.place(&tree).unwrap();
        tree.merge(render(&release).unwrap());
        let mut asked = Bootstrap::new("https://host/infra.git".parse().unwrap());
        asked.env = release.env;
        tree.merge(bootstrap(&asked, &tree).unwrap());
    }
    tree
}

/// Every form that an environment can have.
fn forms() -> Vec<Release> {
    let mut forms = Vec::new();
    for replicas in [0, 1, 3] {
        for spread in [Spread::Nodes, Spread::Zones] {
            for is_tenant in [false, true] {
                let mut release = release("dev");
                (release.replicas, release.spread, release.is_tenant) =
                    (replicas, spread, is_tenant);
                forms.push(release.clone());
                if replicas > 0 {
                    release.components = BTreeSet::from(Component::ALL);
                    release.max_replicas = Some(5);
                    forms.push(release);
                }
            }
        }
    }
    forms
}

#[test]
fn every_form_passes_the_check_and_every_policy() {
    for form in forms() {
        let mut prod = release("prod");
        prod.spread = form.spread;
        let tree = repository(&[form.clone(), prod]);
        assert_eq!(check(&tree, Some("main")).unwrap(), [], "{form:?}");
        let report = lint(&tree, &Options::default());
        assert_eq!(report.findings, [], "{form:?}");
        let unknown: Vec<_> = report.unknown.keys().map(|(_, kind)| kind.as_str()).collect();
        let is_monitored = form.components.contains(&Component::Monitoring);
        assert_eq!(unknown, if is_monitored { vec!["ServiceMonitor"] } else { vec![] });
        for said in rehearse(&tree, "main@sha1:0", Some(&["main".to_owned()].into())) {
            assert_eq!(said.ready.status, Status::True, "{}: {}", said.object, said.ready.message);
            assert!(said.beyond.is_empty(), "{}: {:?}", said.object, said.beyond);
        }
    }
}

fn built(tree: &Tree, env: &str) -> Vec<Object> {
    kustomize::build(tree, &format!("apps/a/overlays/{env}"), &Overlay::default()).unwrap()
}

fn deployment(tree: &Tree, env: &str) -> Object {
    built(tree, env).into_iter().find(|it| it.kind() == "Deployment").unwrap()
}

#[test]
fn an_environment_is_what_its_release_would_be_flat() {
    for replicas in [1, 2] {
        for spread in [Spread::Nodes, Spread::Zones] {
            let mut envs = release("dev");
            (envs.replicas, envs.spread) = (replicas, spread);
            envs.weight_bytes = 267_832_560;
            envs.namespace = "ml".parse().unwrap();
            let flat = Release { layout: Layout::Flat, ..envs.clone() };
            let sorted = |tree: &Tree, folder: &str| {
                let objects = kustomize::build(tree, folder, &Overlay::default()).unwrap();
                let mut objects: Vec<Object> =
                    objects.into_iter().filter(|it| it.kind() != "Namespace").collect();
                objects.sort_by_key(Object::id);
                objects
            };
            let (flat, envs) = (render(&flat).unwrap(), render(&envs).unwrap());
            assert_eq!(sorted(&envs, "apps/a/overlays/dev"), sorted(&flat, "apps/a"));
        }
    }
}

#[test]
fn an_autoscaler_decides_how_many_pods_there_are() {
    let mut prod = release("prod");
    (prod.replicas, prod.max_replicas) = (2, Some(6));
    prod.components = BTreeSet::from([Component::Hpa, Component::Gpu]);
    let tree = repository(&[release("dev"), prod]);
    assert_eq!(deployment(&tree, "dev").at("/spec/replicas"), Some(&json!(1)));
    let scaled = deployment(&tree, "prod");
    assert_eq!(scaled.at("/spec/replicas"), None);
    let limits = scaled.at("/spec/template/spec/containers/0/resources/limits").unwrap();
    assert_eq!((&limits["nvidia.com/gpu"], &limits["cpu"]), (&json!("1"), &json!("2")));
    let objects = built(&tree, "prod");
    let autoscaler = objects.iter().find(|it| it.kind() == "HorizontalPodAutoscaler").unwrap();
    assert_eq!(autoscaler.at("/spec/minReplicas"), Some(&json!(2)));
    assert_eq!(autoscaler.at("/spec/maxReplicas"), Some(&json!(6)));
    assert!(built(&tree, "dev").iter().all(|it| it.kind() != "HorizontalPodAutoscaler"));
}

#[test]
fn what_a_tenant_may_not_apply_is_said_as_flux_says_it() {
    let mut dev = release("dev");
    dev.is_tenant = true;
    let mut tree = repository(&[dev]);
    let path = "clusters/dev/a-tenant.yaml";
    let text = tree.get(path).unwrap().replace("resources: [networkpolicies]", "resources: [x]");
    tree.insert(path, text).unwrap();
    let said = rehearse(&tree, "main@sha1:0", None);
    let app = said.iter().find(|it| it.object.name == "a-app").unwrap();
    assert_eq!(app.ready.reason, "ReconciliationFailed");
    assert_eq!(
        app.ready.message.trim_end(),
        "NetworkPolicy/a/a dry-run failed (Forbidden): networkpolicies.networking.k8s.io \"a\" is forbidden: User \"system:serviceaccount:flux-system:a-app\" cannot patch resource \"networkpolicies\" in API group \"networking.k8s.io\" in the namespace \"a\""
    );
}

#[test]
fn what_a_layout_cannot_have_is_refused_by_its_field() {
    let refused = |change: fn(&mut Release)| {
        let mut release = release("dev");
        change(&mut release);
        let violations = release.violations();
        violations.into_iter().map(|it| it.to_string()).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(
        refused(|it| {
            it.layout = Layout::Flat;
            it.components.insert(Component::Gpu);
            it.is_tenant = true;
        }),
        "component gpu: it needs the layout envs; tenant is asked for: it needs the layout envs"
    );
    assert_eq!(
        refused(|it| it.max_replicas = Some(3)),
        "max_replicas 3: only an autoscaler heeds it, the component hpa"
    );
    let mut release = release("dev");
    release.components.insert(Component::Hpa);
    let mut told = |replicas, most| {
        (release.replicas, release.max_replicas) = (replicas, most);
        release.violations().first().map(|it| it.reason.clone()).unwrap_or_default()
    };
    assert_eq!(told(1, None), "the component hpa needs to know how many pods there may be");
    assert_eq!(told(0, Some(3)), "an autoscaler keeps one pod at least");
    assert_eq!(told(4, Some(3)), "it is less than the replicas");
    assert_eq!(told(2, Some(3)), "");
}

#[test]
fn files_from_a_registry_have_a_source_of_their_own() {
    let mut release = release("dev");
    let source: kit_gitops::Source = "oci://127.0.0.1:5000/infra:dev".parse().unwrap();
    release.source = Some(source.with(true, Some("registry".parse().unwrap())));
    let tree = render(&release).unwrap();
    let object = |path: &str| tree.get(path).unwrap().parse::<Object>().unwrap();
    let source = object("clusters/dev/a-source.yaml");
    assert_eq!((source.kind(), source.name()), ("OCIRepository", "a-app"));
    assert_eq!(source.at("/spec/ref"), Some(&json!({"tag": "dev"})));
    assert_eq!(source.at("/spec/insecure"), Some(&json!(true)));
    assert_eq!(source.at("/spec/url"), Some(&json!("oci://127.0.0.1:5000/infra")));
    let app = object("clusters/dev/a-app.yaml");
    assert_eq!(app.at("/spec/sourceRef"), Some(&json!({"kind": "OCIRepository", "name": "a-app"})));
    assert_eq!(lint(&tree, &Options::default()).findings, []);
    assert_eq!(check(&tree, None).unwrap(), []);
}
