//! A rendering in the place of the one before: what it no longer writes goes, and nothing that
//! somebody else has written.

use std::collections::BTreeSet;
use std::time::Duration;

use kit_gitops::edit::{Bump, bump};
use kit_gitops::promote::pins;
use kit_gitops::{
    Admission, ArgoCd, Component, Delivery, Layout, Release, Rendered, Tree, Trust, check, render,
};

use crate::with;

fn digest(c: char) -> String {
    format!("sha256:{}", c.to_string().repeat(64))
}

fn release(layout: Layout) -> Release {
    let image = format!("host/server:1.0.0@{}", digest('1'));
    let mut release = Release::new("a".parse().unwrap(), image.parse().unwrap());
    release.layout = layout;
    release.modelkit = Some("host/kit:1.0.0".to_owned());
    release.modelkit_digest = Some(digest('a'));
    release
}

/// Every way, and at last the first one again.
fn ways() -> Vec<Delivery> {
    let face = || format!("host/kit:1-mount@{}", digest('f')).parse().unwrap();
    vec![
        Delivery::Baked,
        Delivery::ImageVolume { face: face() },
        Delivery::Init { plain_http: false },
        Delivery::Runtime { plain_http: false, watch: Duration::from_secs(30) },
        Delivery::KServe { face: face() },
        Delivery::Baked,
    ]
}

/// All that a release can have beside its application.
fn everything(release: &mut Release) {
    release.replicas = 2;
    release.source = Some("oci://host/files:dev".parse().unwrap());
    release.trust = Trust {
        keys: vec!["-----BEGIN PUBLIC KEY-----\nkey\n-----END PUBLIC KEY-----\n".to_owned()],
        admission: BTreeSet::from(Admission::ALL),
        checks_model: true,
    };
    release.beside.receiver = Some("harbor".to_owned());
    release.beside.alert = Some("slack".parse().unwrap());
    if release.layout == Layout::Envs {
        release.components = BTreeSet::from(Component::ALL);
        (release.max_replicas, release.is_tenant) = (Some(5), true);
    }
}

fn rendered(release: &Release, there: &Tree) -> Rendered {
    let mut release = release.clone();
    release.place(there).unwrap();
    release.rendered(render(&release).unwrap(), there).unwrap()
}

/// Renders into a repository in which nobody else has changed anything.
fn into(release: &Release, there: &mut Tree) -> Rendered {
    let made = rendered(release, there);
    assert_eq!(made.changed, [""; 0]);
    apply(&made, there);
    made
}

fn apply(made: &Rendered, there: &mut Tree) {
    there.merge(made.files.clone());
    for path in &made.gone {
        assert!(there.remove(path), "{path} is there");
    }
}

/// The repository with nothing in it but this.
fn alone(releases: &[&Release]) -> Tree {
    let mut tree = Tree::new();
    releases.iter().for_each(|release| drop(into(release, &mut tree)));
    tree
}

#[test]
fn each_delivery_takes_the_place_of_every_other() {
    for layout in [Layout::Flat, Layout::Envs] {
        let mut there = Tree::new();
        for way in ways() {
            let mut release = release(layout);
            if matches!(way, Delivery::Runtime { .. }) {
                release.modelkit_digest = None;
            }
            release.delivery = way;
            into(&release, &mut there);
            assert_eq!(there, alone(&[&release]), "{layout:?} {}", release.delivery.name());
        }
    }
}

#[test]
fn what_was_asked_for_and_is_no_longer_goes() {
    for layout in [Layout::Flat, Layout::Envs] {
        let plain = release(layout);
        let mut full = plain.clone();
        everything(&mut full);
        let mut there = alone(&[&full]);
        let n_before = there.len();
        let made = into(&plain, &mut there);
        assert_eq!(there, alone(&[&plain]));
        assert_eq!(n_before, there.len() + made.gone.len());
        // Argo CD's twin goes, too; and what came from a chart.
        let mut twin = plain.clone();
        let (repository, revision) = ("https://host/r".parse().unwrap(), "main".parse().unwrap());
        twin.beside.argocd = Some(ArgoCd { repository, revision });
        into(&twin, &mut there);
        assert_eq!(into(&plain, &mut there).gone, ["argocd/dev/a.yaml"]);
        let mut charted = plain.clone();
        charted.chart = Some("oci://host/charts/server:1.x".parse().unwrap());
        into(&charted, &mut there);
        assert_eq!(there, alone(&[&charted]));
        into(&plain, &mut there);
        assert_eq!(there, alone(&[&plain]));
    }
}

#[test]
fn what_a_bump_has_set_is_nobodys_change() {
    for layout in [Layout::Flat, Layout::Envs] {
        for way in ways() {
            let mut before = release(layout);
            if matches!(way, Delivery::Runtime { .. }) {
                before.modelkit_digest = None;
            }
            before.environment.insert("MODEL".to_owned(), "host/kit:1.0.0".to_owned());
            before.delivery = way;
            let mut there = alone(&[&before]);
            let mut to = pins(&there, &before.app, None).unwrap();
            to.image = format!("host/server:2@{}", digest('2')).parse().unwrap();
            to.modelkit = Some("host/kit:1.1".to_owned());
            to.modelkit_digest = to.modelkit_digest.map(|_| digest('b'));
            to.face = to.face.map(|_| format!("host/kit:2-mount@{}", digest('e')).parse().unwrap());
            let to: Bump = to.bump(before.app.clone(), None);
            there.merge(bump(&there, &to).unwrap());
            let mut after = release(layout);
            after.delivery = match before.delivery {
                Delivery::Init { .. } => Delivery::Baked,
                _ => Delivery::Init { plain_http: false },
            };
            into(&after, &mut there);
            assert_eq!(there, alone(&[&after]), "{layout:?} {}", before.delivery.name());
        }
    }
    let mut charted = release(Layout::Envs);
    charted.chart = Some("https://host/charts/server:1.x".parse().unwrap());
    let mut there = alone(&[&charted]);
    let mut to = pins(&there, &charted.app, None).unwrap().bump(charted.app.clone(), None);
    to.image = format!("host/other:2@{}", digest('2')).parse().unwrap();
    there.merge(bump(&there, &to).unwrap());
    into(&release(Layout::Envs), &mut there);
    assert_eq!(there, alone(&[&release(Layout::Envs)]));
}

#[test]
fn what_somebody_has_added_stays_and_what_somebody_has_changed_is_named() {
    for layout in [Layout::Flat, Layout::Envs] {
        let plain = release(layout);
        let mut full = plain.clone();
        everything(&mut full);
        let mut there = alone(&[&full]);
        let own = ["apps/a/mine.yaml", "clusters/dev/a-mine.yaml", "policies/a/dev/mine.yaml"];
        for path in own {
            there.insert(path, "kind: Mine\n").unwrap();
        }
        let mut free = there.clone();
        let gone = into(&plain, &mut free).gone;
        assert!(!gone.is_empty() && own.iter().all(|path| free.get(path).is_some()));
        // One file that would go, and one that would be written anew.
        let there = with(&there, "clusters/dev/a-source.yaml", "interval: 1m0s", "interval: 2m0s");
        let there = with(&there, "clusters/dev/a-app.yaml", "wait: true", "wait: true # mine");
        let named = rendered(&plain, &there);
        assert_eq!(named.changed, ["clusters/dev/a-app.yaml", "clusters/dev/a-source.yaml"]);
        assert_eq!(named.gone.len(), gone.len() - 1);
        // Who has changed it to what is rendered anyway has nothing to lose.
        let there = alone(&[&plain]);
        let path = "clusters/dev/a-app.yaml";
        let mut hourly = plain.clone();
        hourly.interval = Duration::from_secs(3600);
        let changed = with(&there, path, "interval: 5m0s", "interval: 1h0m0s");
        assert_eq!(rendered(&hourly, &changed).changed, [""; 0]);
        assert_eq!(rendered(&plain, &changed).changed, [path]);
    }
}

#[test]
fn what_other_environments_have_or_build_stays() {
    let mut dev = release(Layout::Envs);
    everything(&mut dev);
    let mut prod = dev.clone();
    prod.env = "prod".parse().unwrap();
    let mut there = alone(&[&dev, &prod]);
    let plain = release(Layout::Envs);
    let made = into(&plain, &mut there);
    assert!(made.gone.iter().all(|path| path.contains("/dev/")), "{:?}", made.gone);
    assert_eq!(there, alone(&[&dev, &prod, &plain]));
    assert_eq!(check(&there, None).unwrap().len(), 1, "only Flux' own sync is not there");
    // The last that builds a component takes it away.
    let last = Release { env: prod.env, ..plain.clone() };
    let made = into(&last, &mut there);
    assert!(made.gone.iter().any(|path| path.starts_with("apps/a/components/hpa/")));
    assert_eq!(there, alone(&[&plain, &last]));
    // Flat, another environment's Flux has files of its own, too.
    let flat = release(Layout::Flat);
    let mut other = Release { env: "prod".parse().unwrap(), ..flat.clone() };
    other.beside.alert = Some("slack".parse().unwrap());
    let mut there = alone(&[&other, &flat]);
    assert_eq!(into(&flat, &mut there).gone, [""; 0]);
    assert!(there.get("clusters/prod/a-alert.yaml").is_some());
}

#[test]
fn apps_with_names_that_begin_alike_keep_their_own() {
    let mut full = release(Layout::Flat);
    everything(&mut full);
    let other =
        Release { app: "a-b".parse().unwrap(), namespace: "b".parse().unwrap(), ..full.clone() };
    let mut there = alone(&[&full, &other]);
    into(&release(Layout::Flat), &mut there);
    assert_eq!(there, alone(&[&release(Layout::Flat), &other]));
}

#[test]
fn a_namespace_that_others_may_live_in_stays() {
    let mut shared = release(Layout::Flat);
    shared.namespace = "ml".parse().unwrap();
    let mut there = alone(&[&shared]);
    there.insert("infra/x.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: x}\n").unwrap();
    let elsewhere = Release { namespace: "x".parse().unwrap(), ..shared };
    let made = into(&elsewhere, &mut there);
    assert_eq!((made.gone, made.left), (vec![], vec!["apps/a/namespace.yaml".to_owned()]));
    let mut there = alone(&[&release(Layout::Flat)]);
    there.insert("infra/x.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: x}\n").unwrap();
    assert_eq!(into(&elsewhere, &mut there).gone, ["apps/a/namespace.yaml"]);
}

#[test]
fn without_a_record_nothing_goes_and_what_is_left_is_named() {
    let mut full = release(Layout::Flat);
    full.replicas = 2;
    let mut there = alone(&[&full]);
    assert!(there.remove("apps/a/.rendered"));
    let made = into(&release(Layout::Flat), &mut there);
    assert_eq!(
        (made.gone, made.left),
        (vec![], vec!["apps/a/poddisruptionbudget.yaml".to_owned()])
    );
    there.insert("apps/a/.rendered", "<<<<<<< HEAD\n").unwrap();
    let plain = release(Layout::Flat);
    let error = plain.rendered(render(&plain).unwrap(), &there).unwrap_err().to_string();
    assert_eq!(
        error,
        "apps/a/.rendered: line 1 is no digest and path: repair the record, or remove it, and what is no longer rendered stays"
    );
    // What a record says of files that no app has is not heeded.
    let stolen = format!("{}  infra/x.yaml\n", "0".repeat(64));
    there.insert("apps/a/.rendered", stolen).unwrap();
    there.insert("infra/x.yaml", "x\n").unwrap();
    let made = into(&plain, &mut there);
    assert!(made.gone.is_empty() && made.changed.is_empty());
}

#[test]
fn a_checkout_with_other_line_ends_is_no_change() {
    let mut full = release(Layout::Flat);
    full.replicas = 2;
    let there = alone(&[&full]);
    let there =
        Tree::from_files(there.iter().map(|(path, text)| (path, text.replace('\n', "\r\n"))));
    let made = rendered(&release(Layout::Flat), &there.unwrap());
    assert_eq!((made.gone.len(), made.changed.len()), (1, 0));
}
