//! What an application has beside its Kustomization: held against what each version of Flux takes,
//! and kept by edits.

use kit_gitops::edit::{Bump, bump};
use kit_gitops::lint::{Options, lint};
use kit_gitops::promote::pins;
use kit_gitops::{
    ArgoCd, FluxVersion, ImagePolicy, Layout, Object, Release, Tree, bootstrap, check, render,
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

#[test]
fn a_chart_is_given_what_follows_from_the_model_and_bumped_as_a_deployment_is() {
    for chart in ["oci://ghcr.io/acme/charts/server:1.x", "https://charts.example.org/server:1.x"] {
        let image = format!("ghcr.io/acme/server:1.0.0@{}", digest('1'));
        let mut before = Release::new("a".parse().unwrap(), image.parse().unwrap());
        before.chart = Some(chart.parse().unwrap());
        before.modelkit_digest = Some(digest('a'));
        let tree = render(&before).unwrap();
        assert_eq!(lint(&tree, &Options::default()).findings, []);
        assert_eq!(check(&tree, None).unwrap_or_default().len(), 1, "Flux' own sync is not there");
        let release = object(&tree, "apps/a/helmrelease.yaml", "HelmRelease");
        let tag = release.at("/spec/values/image/tag").unwrap().as_str().unwrap();
        assert_eq!(tag, format!("1.0.0@{}", digest('1')));
        let mut after = before.clone();
        after.image = format!("ghcr.io/acme/server:1.1.0@{}", digest('2')).parse().unwrap();
        after.modelkit_digest = Some(digest('b'));
        let to = Bump {
            app: after.app.clone(),
            env: None,
            image: after.image.clone(),
            modelkit: None,
            modelkit_digest: after.modelkit_digest.clone(),
            face: None,
        };
        let mut bumped = tree.clone();
        bumped.merge(bump(&tree, &to).unwrap());
        assert_eq!(bumped, render(&after).unwrap());
        before.layout = Layout::Envs;
        assert!(render(&before).unwrap_err().to_string().contains("it needs the layout flat"));
    }
}
