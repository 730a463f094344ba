//! What an application has beside its Kustomization: held against what each version of Flux takes,
//! and kept by edits.

use std::time::Duration;

use kit_gitops::edit::{Bump, bump, small_memory};
use kit_gitops::kustomize::{self, Overlay};
use kit_gitops::lint::{Options, lint};
use kit_gitops::promote::{pins, running};
use kit_gitops::{
    ArgoCd, Component, FluxVersion, ImagePolicy, Layout, Object, Release, Tree, bootstrap, check,
    render,
};

fn digest(c: char) -> String {
    format!("sha256:{}", c.to_string().repeat(64))
}

fn release(layout: Layout) -> Release {
    let image = format!("ghcr.io/acme/server:1.0.0@{}", digest('1'));
    let mut release = Release::new("a".parse().unwrap(), image.parse().unwrap());
    release.layout = layout;
    release.modelkit_digest = Some(digest('a'));
    release.beside.argocd = Some(ArgoCd {
        repository: "https://host/r".parse().unwrap(),
        revision: "main".parse().unwrap(),
    });
    release.beside.image_policy =
        Some(ImagePolicy { range: "1.x".parse().unwrap(), insecure: false });
    release.beside.receiver = Some("harbor".to_owned());
    release.beside.alert = Some("github=https://github.com/acme/ml-infra".parse().unwrap());
    release
}

fn object(tree: &Tree, path: &str, kind: &str) -> Object {
    let objects = Object::parse_all(tree.get(path).expect(path)).unwrap();
    objects.into_iter().find(|object| object.kind() == kind).expect(kind)
}

#[test]
fn each_version_of_flux_gets_what_it_takes() {
    for layout in [Layout::Flat, Layout::Envs] {
        for flux in FluxVersion::ALL {
            let mut release = release(layout);
            release.flux = flux;
            let mut tree = render(&release).unwrap();
            let asked = kit_gitops::Bootstrap::new("https://host/r".parse().unwrap());
            tree.merge(bootstrap(&asked, &tree).unwrap());
            let options = Options { flux, ..Options::default() };
            let report = lint(&tree, &options);
            assert_eq!(report.findings, [], "{flux}");
            assert!(report.unknown.is_empty(), "{:?}", report.unknown);
            assert_eq!(check(&tree, Some("main")).unwrap(), []);
            let alert = object(&tree, "clusters/dev/a-alert.yaml", "Alert");
            let is_old = flux < FluxVersion::NEWEST;
            assert_eq!(alert.api_version().ends_with("/v1beta3"), is_old, "{flux}");
        }
    }
}

#[test]
fn what_a_version_of_flux_does_not_take_is_refused_by_its_option() {
    let said = |change: &dyn Fn(&mut Release)| {
        let mut release = release(Layout::Flat);
        change(&mut release);
        render(&release).err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert_eq!(said(&|_| ()), "");
    let zoom = |flux: &'static str| {
        move |it: &mut Release| {
            it.beside.alert = Some("zoom".parse().unwrap());
            it.flux = flux.parse().unwrap();
        }
    };
    assert_eq!(said(&zoom("2.10")), "");
    assert_eq!(
        said(&zoom("2.9")),
        "alert zoom: Provider/flux-system/a /spec/type: \"zoom\" came with Flux 2.10, and this is for 2.9"
    );
    let carrier = said(&|it| it.beside.alert = Some("pigeon".parse().unwrap()));
    assert!(carrier.contains("it is \"pigeon\", and should be one of"), "{carrier}");
    let nothing = said(&|it| it.beside.image_policy = None);
    assert!(nothing.starts_with("receiver harbor: it tells of images"), "{nothing}");
    let elsewhere = said(&|it| it.source = Some("oci://host/a:1".parse().unwrap()));
    assert!(elsewhere.starts_with("image_policy 1.x: Flux commits to Git"), "{elsewhere}");
}

#[test]
fn edits_keep_the_lines_by_which_flux_moves_the_image() {
    for layout in [Layout::Flat, Layout::Envs] {
        let before = release(layout);
        let tree = render(&before).unwrap();
        let image = format!("ghcr.io/acme/server:1.2.0@{}", digest('2')).parse().unwrap();
        let to = Bump {
            app: before.app.clone(),
            env: (layout == Layout::Envs).then(|| "dev".parse().unwrap()),
            image,
            modelkit: None,
            modelkit_digest: Some(digest('b')),
            face: None,
        };
        let changed = bump(&tree, &to).unwrap();
        let mut after = before.clone();
        after.image = to.image;
        let mut expected = tree.clone();
        expected.merge(changed.clone());
        assert_eq!(expected, render(&after).unwrap());
        let [(_, text)] = changed.iter().collect::<Vec<_>>()[..] else { panic!("one file") };
        let image = format!("image: {} # {{\"$imagepolicy\": \"flux-system:a\"}}", after.image);
        assert!(text.contains(&image), "{text}");
        assert!(text.contains("version: '1.2.0' # {\"$imagepolicy\": \"flux-system:a:tag\"}"));
        let pins = pins(&expected, &after.app, to.env.as_ref()).unwrap();
        assert_eq!((pins.image, pins.modelkit_digest), (after.image, None));
    }
}

#[test]
fn a_bucket_is_followed_in_the_place_of_git() {
    let mut release = release(Layout::Flat);
    release.beside.image_policy = None;
    release.beside.receiver = Some("generic".to_owned());
    release.source = Some("bucket://s3.example.org/ml-infra".parse().unwrap());
    let tree = render(&release).unwrap();
    let bucket = object(&tree, "clusters/dev/a-source.yaml", "Bucket");
    assert_eq!(bucket.at("/spec/endpoint").unwrap(), "s3.example.org");
    let app = object(&tree, "clusters/dev/a-app.yaml", "Kustomization");
    assert_eq!(app.at("/spec/sourceRef/kind").unwrap(), "Bucket");
    let receiver = object(&tree, "clusters/dev/a-receiver.yaml", "Receiver");
    assert_eq!(receiver.at("/spec/resources/0/kind").unwrap(), "Bucket");
    assert_eq!(lint(&tree, &Options::default()).findings, []);
}

/// The line that Flux moves is one that its own setters find: a comment of JSON behind a scalar.
#[test]
fn markers_are_what_the_image_automation_reads() {
    let tree = render(&release(Layout::Envs)).unwrap();
    let text = tree.get("apps/a/overlays/dev/release.yaml").unwrap();
    let markers: Vec<serde_json::Value> = text
        .lines()
        .filter_map(|line| line.split_once(" # {"))
        .map(|(_, json)| serde_json::from_str(&format!("{{{json}")).unwrap())
        .collect();
    let policy = object(&tree, "clusters/dev/a-automation.yaml", "ImagePolicy");
    let name = format!("{}:{}", policy.namespace(), policy.name());
    assert_eq!(markers.len(), 3);
    assert!(markers.iter().all(|it| it["$imagepolicy"].as_str().unwrap().starts_with(&name)));
    let automation = object(&tree, "clusters/dev/a-automation.yaml", "ImageUpdateAutomation");
    let selected = automation.at("/spec/policySelector/matchLabels/app.kubernetes.io~1part-of");
    assert_eq!(selected.unwrap().as_str(), policy.label("app.kubernetes.io/part-of"));
    let path = automation.at("/spec/update/path").unwrap().as_str().unwrap();
    assert!(tree.has_folder(path.trim_start_matches("./")));
}

const CHARTS: [&str; 2] =
    ["oci://ghcr.io/acme/charts/server:1.x", "https://charts.example.org/server:1.x"];

fn charted(chart: &str, layout: Layout) -> Release {
    let image = format!("ghcr.io/acme/server:1.0.0@{}", digest('1'));
    let mut release = Release::new("a".parse().unwrap(), image.parse().unwrap());
    release.layout = layout;
    release.chart = Some(chart.parse().unwrap());
    release.pull_secret = Some("registry".parse().unwrap());
    release.modelkit = Some("ghcr.io/acme/kit:1.0.0".to_owned());
    release.modelkit_digest = Some(digest('a'));
    release
}

#[test]
fn a_chart_is_given_what_follows_from_the_model_and_bumped_as_a_deployment_is() {
    for (chart, layout) in
        CHARTS.into_iter().flat_map(|it| [(it, Layout::Flat), (it, Layout::Envs)])
    {
        let before = charted(chart, layout);
        let tree = render(&before).unwrap();
        assert_eq!(lint(&tree, &Options::default()).findings, []);
        assert_eq!(check(&tree, None).unwrap_or_default().len(), 1, "Flux' own sync is not there");
        let mut after = before.clone();
        after.image = format!("ghcr.io/acme/server:1.1.0@{}", digest('2')).parse().unwrap();
        after.modelkit_digest = Some(digest('b'));
        let now = pins(&tree, &before.app, None).unwrap();
        assert_eq!((&now.image, &now.modelkit), (&before.image, &before.modelkit));
        assert_eq!(now.deployment.to_string(), "HelmRelease/a/a");
        let to = Bump {
            image: after.image.clone(),
            modelkit_digest: after.modelkit_digest.clone(),
            ..now.bump(before.app.clone(), None)
        };
        let mut bumped = tree.clone();
        bumped.merge(bump(&tree, &to).unwrap());
        assert_eq!(bumped, render(&after).unwrap());
        let there = running(&bumped, &digest('b')).places;
        let env = (layout == Layout::Envs).then(|| "dev".parse().unwrap());
        assert_eq!(there, [(before.app.clone(), env)]);
        assert_eq!(small_memory(&bumped, &before.app, None, 0), []);
        assert_eq!(small_memory(&bumped, &before.app, None, 1 << 30).len(), 1);
        // Another chart beside it is another one's.
        let folder = before.built_folder();
        let path = format!("{folder}/other.yaml");
        let other = "apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: other}
spec:
  values: {image: {repository: redis, tag: '8'}}
";
        bumped.insert(&path, other).unwrap();
        let back = bump(&bumped, &now.bump(before.app.clone(), None)).unwrap();
        assert!(back.len() == 1 && back.get(&path).is_none());
    }
}

#[test]
fn a_charts_environment_is_what_its_release_would_be_flat() {
    for chart in CHARTS {
        let built = |release: &Release| {
            let tree = render(release).unwrap();
            let objects =
                kustomize::build(&tree, &release.built_folder(), &Overlay::default()).unwrap();
            let mut objects: Vec<Object> =
                objects.into_iter().filter(|it| it.kind() != "Namespace").collect();
            objects.sort_by_key(Object::id);
            objects
        };
        let mut release = charted(chart, Layout::Envs);
        (release.replicas, release.weight_bytes) = (3, 267_832_560);
        let flat = Release { layout: Layout::Flat, ..release.clone() };
        assert_eq!(built(&release), built(&flat));
    }
}

#[test]
fn flux_waits_for_a_chart_for_longer_than_helm_takes_to_give_up() {
    for replicas in [1, 3, 40] {
        let mut release = charted(CHARTS[0], Layout::Flat);
        release.replicas = replicas;
        let tree = render(&release).unwrap();
        let seconds = |object: &Object| {
            let timeout = object.at("/spec/timeout").unwrap().as_str().unwrap();
            kit_gitops::flux::parse_duration(timeout).unwrap().as_secs()
        };
        let helm = object(&tree, "apps/a/helmrelease.yaml", "HelmRelease");
        let retries = helm.at("/spec/upgrade/remediation/retries").unwrap().as_u64().unwrap();
        let app = object(&tree, "clusters/dev/a-app.yaml", "Kustomization");
        // Each attempt may have to be taken back.
        assert!(seconds(&app) > seconds(&helm) * (retries + 1) * 2);
        assert!(
            seconds(&helm) >= release.progress_deadline().as_secs() * u64::from(replicas.min(4))
        );
    }
}

#[test]
fn what_no_chart_does_is_refused_by_name() {
    let said = |change: fn(&mut Release)| {
        let mut release = charted(CHARTS[0], Layout::Envs);
        change(&mut release);
        render(&release).err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert_eq!(said(|_| ()), "");
    assert!(said(|it| it.is_tenant = true).contains("which objects its account may make"));
    assert!(said(|it| it.components = [Component::Gpu].into()).contains("no components"));
    let longest = said(|it| it.progress_deadline = Some(Duration::from_secs(2_147_483_647)));
    assert!(longest.is_empty(), "{longest}");
    let longer = said(|it| {
        it.replicas = 3;
        it.progress_deadline = Some(Duration::from_secs(2_147_483_647));
    });
    assert!(longer.contains("longer than it can count"), "{longer}");
}
