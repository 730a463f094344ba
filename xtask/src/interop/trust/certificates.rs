//! By a certificate in the place of a key: cosign and model_signing take our chains and we theirs,
//! each by the root and by no other.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use fs_err as fs;

use super::pushed;
use crate::peers::run_quietly;
use crate::registries::{Registry, Shop, digest_of};
use crate::report::Report;

/// What the certificate of a key says that it is for.
const SIGNS: &str = "keyUsage=critical,digitalSignature\nextendedKeyUsage=codeSigning\nsubjectAltName=email:team@example.org\n";
const VOUCHES: &str = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n";

/// Makes two roots, one in between, and the certificate of the key `ours`.
pub(super) fn make(shop: &Shop) -> anyhow::Result<()> {
    let openssl = |line: &str| shop.run(Path::new("openssl"), line).map(drop);
    fs::write(shop.dir.join("signs"), SIGNS)?;
    fs::write(shop.dir.join("vouches"), VOUCHES)?;
    for name in ["root", "stranger"] {
        openssl(&format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -days 30 -subj /CN={name} -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign -out {name}.pem"
        ))?;
    }
    openssl(
        "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout between.key -subj /CN=between -out between.csr",
    )?;
    openssl(
        "x509 -req -in between.csr -CA root.pem -CAkey root.key -days 30 -extfile vouches -out between.pem",
    )?;
    openssl("req -new -key ours.key -subj /CN=team -out ours.csr")?;
    openssl(
        "x509 -req -in ours.csr -CA between.pem -CAkey between.key -days 30 -extfile signs -out ours.pem",
    )?;
    let read = |name: &str| fs::read_to_string(shop.dir.join(name));
    fs::write(shop.dir.join("chain.pem"), read("ours.pem")? + &read("between.pem")?)?;
    fs::write(shop.dir.join("vouching.pem"), read("between.pem")? + &read("root.pem")?)?;
    Ok(())
}

/// Whom the certificates name, to cosign, which asks for that, and of which authority: of one that
/// is not Sigstore's there is none to name.
const NAMED: &str = "--certificate-identity team@example.org --certificate-oidc-issuer-regexp .*";
/// No log of signatures, and none of certificates.
const NO_LOGS: &str =
    "--insecure-ignore-tlog=true --insecure-ignore-sct=true --allow-http-registry";

/// `cosign` is run with the words of a line; its key pair is called `theirs`.
pub(super) fn with_cosign(
    shop: &Shop,
    registry: &Registry,
    cosign: &dyn Fn(&str) -> anyhow::Result<String>,
    report: &mut Report,
) -> anyhow::Result<()> {
    for (name, vouching) in [("trusted", "vouching.pem"), ("strange", "stranger.pem")] {
        cosign(&format!(
            "trusted-root create --fulcio=url=https://ca.example,certificate-chain={vouching} --out {name}.json"
        ))?;
    }
    let verify =
        |what: &str, reference: &str| cosign(&format!("{what} {NO_LOGS} {reference}")).map(drop);
    let refused = |what: &str, reference: &str, words: &str| {
        let said = verify(what, reference).err().with_context(|| format!("{what} is taken"))?;
        ensure!(format!("{said:#}").contains(words), "not {words:?}, but {said:#}");
        Ok(())
    };
    const OF_ANOTHER: &str = "leaf certificate verification failed";
    for (form, of_somebody) in
        [("bundle", "expected SAN value"), ("tag", "none of the expected identities matched")]
    {
        let reference = pushed(shop, registry, &format!("vouched-{form}"))?;
        let claim =
            format!("takes ours by a chain of certificates ({form}), by its root and name only");
        report.claim("cosign", &claim, || {
            shop.kit(
                "home",
                &format!("sign {reference} --key ours.key --cert chain.pem --form {form}"),
            )?;
            verify(&format!("verify --trusted-root trusted.json {NAMED}"), &reference)?;
            let strange = format!("verify --trusted-root strange.json {NAMED}");
            refused(&strange, &reference, OF_ANOTHER)?;
            let somebody = NAMED.replace("team@", "somebody@");
            let somebody = format!("verify --trusted-root trusted.json {somebody}");
            refused(&somebody, &reference, of_somebody)
        });
    }
    let reference = format!("{}/demo/vouched-tag:v1", registry.address);
    report.claim("cosign", "takes ours by a chain (tag) with the flags of before, too", || {
        verify(&format!("verify --certificate-chain vouching.pem {NAMED}"), &reference)?;
        let strange = format!("verify --certificate-chain stranger.pem {NAMED}");
        refused(&strange, &reference, "unknown authority")
    });
    let reference = pushed(shop, registry, "vouched-said")?;
    report.claim("cosign", "hears what we attest by a certificate, by its root only", || {
        let attest = "--type slsaprovenance1 --predicate said.json";
        shop.kit("home", &format!("attest {reference} --key ours.key --cert chain.pem {attest}"))?;
        let heard = |root: &str| {
            format!("verify-attestation --trusted-root {root} --type slsaprovenance1 {NAMED}")
        };
        verify(&heard("trusted.json"), &reference)?;
        refused(&heard("strange.json"), &reference, OF_ANOTHER)
    });
    let reference = format!("{}/demo/vouched-bundle:v1", registry.address);
    let claim = "takes a bundle with a certificate neither by the key nor by flags, as it says";
    report.claim("cosign", claim, || {
        refused("verify --key ours.pub", &reference, "expected key signature, not certificate")?;
        let flags = format!("verify --certificate-chain vouching.pem {NAMED}");
        let words = "must be in bundle and may not be provided using --certificate-chain";
        refused(&flags, &reference, words)?;
        // To us who has the key may do without its certificate.
        shop.kit("home", &format!("verify {reference} --key ours.pub")).map(drop)
    });
    certify_theirs(shop)?;
    for (form, flags) in [
        ("bundle", "--signing-config config.json --trusted-root trusted.json"),
        ("tag", "--new-bundle-format=false --use-signing-config=false --tlog-upload=false"),
    ] {
        let reference = pushed(shop, registry, &format!("vouched-theirs-{form}"))?;
        let claim = format!("signs by a certificate ({form}), and we take it by its root only");
        report.claim("cosign", &claim, || {
            let digest = digest_of(&shop.kit("home", &format!("pull {reference}"))?)?;
            let pinned = reference.replace(":v1", &format!("@{digest}"));
            cosign(&format!(
                "sign --yes --key theirs.key --certificate theirs.pem --certificate-chain vouching.pem {flags} --allow-http-registry {pinned}"
            ))?;
            let verify =
                |root: &str| shop.kit("home", &format!("verify {reference} --cert-root {root}"));
            // It brings the certificate of the key alone: who checks knows those in between.
            let said = verify("vouching.pem")?;
            ensure!(said.contains(&digest), "it says {said}");
            let refused = verify("stranger.pem").err().context("another root is taken")?;
            ensure!(format!("{refused:#}").contains("none of the roots"), "{refused:#}");
            Ok(())
        });
    }
    Ok(())
}

/// The certificate of cosign's key, whose private half OpenSSL cannot read.
fn certify_theirs(shop: &Shop) -> anyhow::Result<()> {
    let line = "x509 -req -in ours.csr -CA between.pem -CAkey between.key -days 30 -extfile signs -force_pubkey theirs.pub -out theirs.pem";
    shop.run(Path::new("openssl"), line).map(drop)
}

pub(super) fn with_model_signing(shop: &Shop, python: &Path, report: &mut Report) {
    let run = |line: &str| {
        let mut command = Command::new(python);
        command.args(["-m", "model_signing"]).args(line.split_whitespace());
        run_quietly(command.current_dir(&shop.dir))
    };
    let folder = |name: &str| -> anyhow::Result<()> {
        fs::create_dir_all(shop.dir.join(name))?;
        Ok(fs::write(shop.dir.join(name).join("model.bin"), "weights")?)
    };
    report.claim(
        "model_signing",
        "takes our chain of certificates by its root, and by no other",
        || {
            folder("vouched-ours")?;
            shop.kit("home", "sign ./vouched-ours --key ours.key --cert chain.pem")?;
            let verify = |root: &str| {
                run(&format!(
                    "verify certificate --certificate_chain {root} --signature vouched-ours/model.sig vouched-ours"
                ))
            };
            verify("root.pem")?;
            ensure!(verify("stranger.pem").is_err(), "another root is taken for ours");
            Ok(())
        },
    );
    report.claim("model_signing", "signs by a chain, and we take it by its root only", || {
        folder("vouched-theirs")?;
        run("sign certificate --private_key ours.key --signing_certificate ours.pem --certificate_chain chain.pem --signature vouched-theirs/model.sig vouched-theirs")?;
        let verify =
            |root: &str| shop.kit("home", &format!("verify ./vouched-theirs --cert-root {root}"));
        verify("root.pem")?;
        let refused = verify("stranger.pem").err().context("another root is taken for theirs")?;
        ensure!(format!("{refused:#}").contains("none of the roots"), "{refused:#}");
        Ok(())
    });
}
