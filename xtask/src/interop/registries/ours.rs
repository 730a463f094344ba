//! The clients of others against our registry, over TLS and with a user.

use std::path::Path;

use anyhow::ensure;
use fs_err as fs;

use super::theirs::or_skip;
use crate::peers::{KIT, Peers};
use crate::registries::{Registry, Shop, digest_of};
use crate::report::Report;

const SIZE: usize = 9_000_000;

/// A shop with our registry in it, and a ModelKit in the registry.
struct Stage {
    shop: Shop,
    registry: Registry,
    digest: String,
}

pub(super) fn run(
    report: &mut Report,
    peers: &Peers,
    kit: &Path,
    dir: &Path,
) -> anyhow::Result<()> {
    let stage = stage(peers, kit, dir)?;
    if let Some(skopeo) = or_skip(report, "skopeo", peers.debian("skopeo", "skopeo")) {
        let version = stage.shop.run(&skopeo, "--version")?;
        show_skopeo(report, &stage, &skopeo, version.trim());
    }
    if let Some(oras) =
        or_skip(report, "oras", peers.go("oras.land/oras/cmd/oras", "v1.3.6", "oras"))
    {
        show_oras(report, &stage, &oras);
    }
    let crane = peers.go("github.com/google/go-containerregistry/cmd/crane", "v0.22.1", "crane");
    if let Some(crane) = or_skip(report, "crane", crane) {
        show_crane(report, &stage, &crane);
    }
    if let Some(kit) = or_skip(report, "kit", peers.kit()) {
        show_kit(report, &stage, &kit);
    }
    Ok(())
}

fn stage(peers: &Peers, kit: &Path, dir: &Path) -> anyhow::Result<Stage> {
    let shop = Shop::open(dir.join("ours"), kit.to_owned())?;
    shop.make_certificates()?;
    let htpasswd = peers.debian("apache2-utils", "htpasswd")?;
    fs::write(shop.dir.join("users"), shop.run(&htpasswd, "-Bbn user secret")?)?;
    let file = |name: &str| shop.dir.join(name).display().to_string();
    let flags = [
        "--htpasswd",
        &file("users"),
        "--tls-cert",
        &file("server.pem"),
        "--tls-key",
        &file("server.key"),
    ];
    let registry = Registry::ours(kit, &shop.dir.join("registry"), "127.0.0.1:0", &flags)?;
    let digest = shop.pack("home", &registry.address, SIZE)?;
    shop.kit_with(
        "home",
        &format!("login {} -u user --password-stdin --tls-cert ca.pem", registry.address),
        "secret",
    )?;
    shop.kit("home", &format!("push {}/demo/kit:v1 --tls-cert ca.pem", registry.address))?;
    let certificates = shop.dir.join("certs.d");
    fs::create_dir_all(&certificates)?;
    fs::copy(shop.dir.join("ca.pem"), certificates.join("ca.crt"))?;
    Ok(Stage { shop, registry, digest })
}

impl Stage {
    /// Pulls with our client what another one has pushed, and compares.
    fn check(&self, repository: &str) -> anyhow::Result<()> {
        let name = format!("{}/{repository}", self.registry.address);
        let home = format!("check-{}", repository.replace(['/', ':'], "-"));
        let login =
            format!("login {} -u user --password-stdin --tls-cert ca.pem", self.registry.address);
        self.shop.kit_with(&home, &login, "secret")?;
        let pulled = self.shop.kit(&home, &format!("pull {name} --tls-cert ca.pem"))?;
        ensure!(digest_of(&pulled)? == self.digest, "another digest: {pulled}");
        ensure!(self.shop.check_blobs(&format!("{home}/storage"))? == 3, "other blobs");
        Ok(())
    }
}

fn show_skopeo(report: &mut Report, stage: &Stage, skopeo: &Path, version: &str) {
    let (address, shop) = (&stage.registry.address, &stage.shop);
    report.claim(version, "login", || {
        shop.run_with(
            skopeo,
            &format!("login --cert-dir certs.d -u user --password-stdin {address}"),
            "secret",
        )
        .map(drop)
    });
    report.claim(version, "copy out of it and into it again", || {
        shop.run(
            skopeo,
            &format!("copy --src-cert-dir certs.d docker://{address}/demo/kit:v1 oci:skopeo:v1"),
        )?;
        shop.check_blobs("skopeo")?;
        shop.run(
            skopeo,
            &format!(
                "copy --dest-cert-dir certs.d oci:skopeo:v1 docker://{address}/demo/skopeo:v1"
            ),
        )?;
        stage.check("demo/skopeo:v1")
    });
    report.claim(version, "list-tags and delete", || {
        let tags = shop
            .run(skopeo, &format!("list-tags --cert-dir certs.d docker://{address}/demo/skopeo"))?;
        ensure!(tags.contains("\"v1\""), "{tags}");
        shop.run(skopeo, &format!("delete --cert-dir certs.d docker://{address}/demo/skopeo:v1"))?;
        let after = shop
            .run(skopeo, &format!("list-tags --cert-dir certs.d docker://{address}/demo/skopeo"));
        ensure!(!after.unwrap_or_default().contains("\"v1\""), "the tag is still there");
        Ok(())
    });
}

fn show_oras(report: &mut Report, stage: &Stage, oras: &Path) {
    let (address, shop, peer) = (&stage.registry.address, &stage.shop, "oras 1.3.6");
    report.claim(peer, "login", || {
        let line = format!("login {address} -u user --password-stdin --ca-file ca.pem");
        shop.run_with(oras, &line, "secret").map(drop)
    });
    report.claim(peer, "cp out of it and into it again", || {
        shop.run(
            oras,
            &format!("cp --from-ca-file ca.pem --to-oci-layout {address}/demo/kit:v1 oras:v1"),
        )?;
        shop.check_blobs("oras")?;
        shop.run(
            oras,
            &format!("cp --from-oci-layout --to-ca-file ca.pem oras:v1 {address}/demo/oras:v1"),
        )?;
        stage.check("demo/oras:v1")
    });
    report.claim(peer, "push and pull of files", || {
        fs::write(shop.dir.join("note.txt"), "a note")?;
        shop.run(
            oras,
            &format!("push --ca-file ca.pem {address}/demo/files:v1 note.txt:text/plain"),
        )?;
        shop.run(oras, &format!("pull --ca-file ca.pem -o pulled {address}/demo/files:v1"))?;
        ensure!(fs::read_to_string(shop.dir.join("pulled/note.txt"))? == "a note", "another note");
        Ok(())
    });
    report.claim(peer, "attach and discover", || {
        let line =
            format!("attach --ca-file ca.pem --artifact-type application/x-note {address}/demo/oras:v1 note.txt");
        shop.run(oras, &line)?;
        let found = shop.run(oras, &format!("discover --ca-file ca.pem --format json {address}/demo/oras:v1"))?;
        ensure!(found.contains("application/x-note"), "{found}");
        Ok(())
    });
    report.claim(peer, "repo tags, resolve and manifest delete", || {
        let tags = shop.run(oras, &format!("repo tags --ca-file ca.pem {address}/demo/oras"))?;
        ensure!(tags.trim() == "v1", "{tags}");
        let digest = shop.run(oras, &format!("resolve --ca-file ca.pem {address}/demo/oras:v1"))?;
        ensure!(digest.trim() == stage.digest, "{digest}");
        shop.run(oras, &format!("manifest delete -f --ca-file ca.pem {address}/demo/oras:v1"))?;
        let gone = shop.run(oras, &format!("resolve --ca-file ca.pem {address}/demo/oras:v1"));
        ensure!(gone.is_err(), "it is still there");
        Ok(())
    });
}

fn show_crane(report: &mut Report, stage: &Stage, crane: &Path) {
    let (address, shop, peer) = (&stage.registry.address, &stage.shop, "crane 0.22.1");
    report.claim(peer, "auth login", || {
        shop.run_with(crane, &format!("auth login {address} -u user --password-stdin"), "secret")
            .map(drop)
    });
    report.claim(peer, "copy, pull and push", || {
        shop.run(crane, &format!("copy {address}/demo/kit:v1 {address}/demo/crane:v1"))?;
        shop.run(crane, &format!("pull --format=oci {address}/demo/crane:v1 crane"))?;
        shop.check_blobs("crane")?;
        shop.run(crane, &format!("push crane {address}/demo/crane:v2"))?;
        stage.check("demo/crane:v2")
    });
    report.claim(peer, "validate, ls, digest and delete", || {
        shop.run(crane, &format!("validate --remote {address}/demo/crane:v2"))?;
        let tags = shop.run(crane, &format!("ls {address}/demo/crane"))?;
        ensure!(tags.split_whitespace().eq(["v1", "v2"]), "{tags}");
        let digest = shop.run(crane, &format!("digest {address}/demo/crane:v1"))?;
        ensure!(digest.trim() == stage.digest, "{digest}");
        shop.run(crane, &format!("delete {address}/demo/crane@{}", stage.digest))?;
        let tags = shop.run(crane, &format!("ls {address}/demo/crane")).unwrap_or_default();
        ensure!(tags.trim().is_empty(), "{tags}");
        Ok(())
    });
}

fn show_kit(report: &mut Report, stage: &Stage, kit: &Path) {
    let (address, shop, peer) = (&stage.registry.address, &stage.shop, &format!("kit {KIT}"));
    report.claim(peer, "login, pull, unpack, pack and push", || {
        shop.run_with(
            kit,
            &format!("login {address} -u user --password-stdin --config kit"),
            "secret",
        )?;
        shop.run(kit, &format!("pull {address}/demo/kit:v1 --config kit"))?;
        shop.run(kit, &format!("unpack {address}/demo/kit:v1 -d unpacked --config kit"))?;
        shop.run(kit, &format!("pack unpacked -t {address}/demo/again:v1 --config kit"))?;
        shop.run(kit, &format!("push {address}/demo/again:v1 --config kit"))?;
        shop.kit("home", &format!("pull {address}/demo/again:v1 --tls-cert ca.pem")).map(drop)
    });
}
