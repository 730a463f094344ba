//! Signatures: cosign and OpenSSF Model Signing check ours, and we theirs.

mod admission;
mod certificates;
mod delivered;
mod haswell;
mod kyverno;
mod sigstore;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use fs_err as fs;

use self::delivered::Delivered;
use crate::peers::{Peers, on_search_path, run_quietly};
use crate::registries::{Registry, Shop};
use crate::report::Report;

/// The release of cosign.
const COSIGN: &str = "v3.1.2";
/// OpenSSF Model Signing, in Python; it imports pyOpenSSL and does not say so.
const MODEL_SIGNING: [&str; 2] = ["model-signing==1.1.1", "pyopenssl==25.3.0"];
/// The library that knows CycloneDX' own schemas.
const CYCLONEDX: [&str; 1] = ["cyclonedx-python-lib[json-validation]==11.12.0"];
/// A signing configuration without a service: nothing of what is signed here is anybody's business.
const NO_SERVICES: &str = r#"{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json","rekorTlogConfig":{},"tsaConfig":{}}"#;
const PASSWORD: &str = "a password";

/// Runs every claim.
pub(super) fn run(
    peers: &Peers,
    program: &Path,
    dir: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    let shop = Shop::open(dir.to_owned(), program.to_owned())?;
    let registry = Registry::ours(&shop.kit, &shop.dir.join("registry"), "127.0.0.1:0", &[])?;
    fs::write(shop.dir.join("config.json"), NO_SERVICES)?;
    fs::create_dir_all(shop.dir.join("files/sub"))?;
    fs::write(shop.dir.join("files/model.bin"), "weights")?;
    fs::write(shop.dir.join("files/sub/vocab.txt"), "words")?;
    shop.kit("home", "keygen --no-password --output ours")?;
    shop.kit("home", "keygen --no-password --output other")?;
    certificates::make(&shop)?;
    match peers.go("github.com/sigstore/cosign/v3/cmd/cosign", COSIGN, "cosign") {
        Ok(cosign) => with_cosign(&shop, &registry, &cosign, report)?,
        Err(error) => report.skip("cosign", "checks ours, and we theirs", &format!("{error:#}")),
    }
    sigstore::run(peers, &shop, report)?;
    match peers.python("model-signing", &MODEL_SIGNING) {
        Ok(python) => {
            with_model_signing(&shop, &python, report);
            certificates::with_model_signing(&shop, &python, report);
        }
        Err(error) => {
            report.skip("model_signing", "checks ours, and we theirs", &format!("{error:#}"))
        }
    }
    match on_search_path("python3") {
        Some(python) => with_checker(&shop, &python, report),
        None => report.skip("python", "checks a training record", "there is no python3"),
    }
    haswell::run(peers, &shop, report);
    let delivered = Delivered::push(&shop, &registry)?;
    admission::run(peers, &delivered, &shop.dir, report)?;
    kyverno::run(&shop, &delivered, report)?;
    match peers.python("cyclonedx", &CYCLONEDX) {
        Ok(python) => with_cyclonedx(&shop, &python, report),
        Err(error) => {
            report.skip("cyclonedx", "takes our bill of materials", &format!("{error:#}"))
        }
    }
    Ok(())
}

/// A ModelKit of its own in the registry, without a signature; returns its reference.
fn pushed(shop: &Shop, registry: &Registry, name: &str) -> anyhow::Result<String> {
    fs::create_dir_all(shop.dir.join(name))?;
    fs::write(shop.dir.join(name).join("model.bin"), name)?;
    let kitfile = "manifestVersion: 1.0.0\nmodel: {path: model.bin}\n";
    fs::write(shop.dir.join(name).join("Kitfile"), kitfile)?;
    let reference = format!("{}/demo/{name}:v1", registry.address);
    shop.kit("home", &format!("pack {name} -t {reference}"))?;
    shop.kit("home", &format!("push {reference}"))?;
    Ok(reference)
}

fn with_cosign(
    shop: &Shop,
    registry: &Registry,
    cosign: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    let run = |line: &str| {
        let mut command = Command::new(cosign);
        command
            .args(line.split_whitespace())
            .current_dir(&shop.dir)
            .env("COSIGN_PASSWORD", PASSWORD);
        // It keeps trusted roots in its home; none is needed here, and none is fetched.
        run_quietly(command.env("HOME", &shop.dir))
    };
    let verify = |reference: &str, key: &str| {
        run(&format!(
            "verify --key {key} --insecure-ignore-tlog=true --allow-http-registry {reference}"
        ))
    };
    let refuses = |checked: anyhow::Result<String>| {
        ensure!(checked.is_err(), "another key is taken for ours");
        Ok(())
    };
    run("generate-key-pair --output-key-prefix theirs")?;
    for (form, name) in
        [("bundle", "ours-bundle"), ("tag", "ours-tag"), ("bundle,tag", "ours-both")]
    {
        let reference = pushed(shop, registry, name)?;
        report.claim("cosign", &format!("checks ours ({form}), and refuses another key"), || {
            refuses(verify(&reference, "ours.pub"))?;
            shop.kit("home", &format!("sign {reference} --key ours.key --form {form}"))?;
            verify(&reference, "ours.pub")?;
            refuses(verify(&reference, "other.pub"))
        });
    }
    for (form, flag) in [
        ("bundle", "--signing-config config.json"),
        ("tag", "--new-bundle-format=false --use-signing-config=false --tlog-upload=false"),
    ] {
        let reference = pushed(shop, registry, &format!("theirs-{form}"))?;
        report.claim(
            "cosign",
            &format!("signs ({form}), and we check; another key is refused"),
            || {
                let digest =
                    crate::registries::digest_of(&shop.kit("home", &format!("pull {reference}"))?)?;
                let pinned = reference.replace(":v1", &format!("@{digest}"));
                run(&format!("sign --yes --key theirs.key {flag} --allow-http-registry {pinned}"))?;
                shop.kit("home", &format!("verify {reference} --key theirs.pub"))?;
                ensure!(
                    shop.kit("home", &format!("verify {reference} --key other.pub")).is_err(),
                    "another key is taken for theirs"
                );
                Ok(())
            },
        );
    }
    fs::write(shop.dir.join("said.json"), r#"{"buildDefinition":{},"runDetails":{}}"#)?;
    let reference = pushed(shop, registry, "attested")?;
    report.claim("cosign", "hears what we attest, by its type and our key only", || {
        let heard = |key: &str, of_type: &str| {
            run(&format!(
                "verify-attestation --key {key} --type {of_type} --insecure-ignore-tlog=true --allow-http-registry {reference}"
            ))
        };
        let attest = "--key ours.key --type slsaprovenance1 --predicate said.json";
        shop.kit("home", &format!("attest {reference} {attest}"))?;
        heard("ours.pub", "slsaprovenance1")?;
        refuses(heard("other.pub", "slsaprovenance1"))?;
        refuses(heard("ours.pub", "cyclonedx"))
    });
    let reference = pushed(shop, registry, "attested-theirs")?;
    report.claim("cosign", "attests, and we hear it; another key is refused", || {
        let digest = crate::registries::digest_of(&shop.kit("home", &format!("pull {reference}"))?)?;
        let pinned = reference.replace(":v1", &format!("@{digest}"));
        run(&format!(
            "attest --yes --key theirs.key --type slsaprovenance1 --predicate said.json --signing-config config.json --allow-http-registry {pinned}"
        ))?;
        let verify = |key: &str| {
            shop.kit("home", &format!("verify {reference} --key {key} --type slsaprovenance1"))
        };
        let said = verify("theirs.pub")?;
        ensure!(said.contains("buildDefinition"), "we hear something else: {said}");
        refuses(verify("other.pub"))
    });
    let reference = pushed(shop, registry, "keys")?;
    report.claim("cosign", "its private key signs with us, and ours with it", || {
        let mut command = shop.kit_command("home", &format!("sign {reference} --key theirs.key"));
        run_quietly(command.env("KIT_RS_PASSWORD", PASSWORD))?;
        verify(&reference, "theirs.pub")?;
        let mut keygen = shop.kit_command("home", "keygen --output sealed");
        run_quietly(keygen.env("KIT_RS_PASSWORD", PASSWORD))?;
        let digest = crate::registries::digest_of(&shop.kit("home", &format!("pull {reference}"))?)?;
        let pinned = reference.replace(":v1", &format!("@{digest}"));
        run(&format!(
            "sign --yes --key sealed.key --signing-config config.json --allow-http-registry {pinned}"
        ))?;
        verify(&reference, "sealed.pub")?;
        shop.kit("home", &format!("verify {reference} --key sealed.pub")).map(drop)
    });
    certificates::with_cosign(shop, registry, &run, report)
}

fn with_model_signing(shop: &Shop, python: &Path, report: &mut Report) {
    let run = |line: &str| {
        let mut command = Command::new(python);
        command.args(["-m", "model_signing"]).args(line.split_whitespace());
        run_quietly(command.current_dir(&shop.dir))
    };
    let files = |name: &str| -> anyhow::Result<PathBuf> {
        let to = shop.dir.join(name);
        fs::create_dir_all(to.join("sub"))?;
        for file in ["model.bin", "sub/vocab.txt"] {
            fs::copy(shop.dir.join("files").join(file), to.join(file))?;
        }
        Ok(to)
    };
    report.claim(
        "model_signing",
        "checks our signature of files, and refuses changed ones",
        || {
            let to = files("signed-ours")?;
            shop.kit("home", "sign ./signed-ours --key ours.key")?;
            let verify =
                "verify key --public_key ours.pub --signature signed-ours/model.sig signed-ours";
            run(verify)?;
            fs::write(to.join("model.bin"), "other weights")?;
            ensure!(run(verify).is_err(), "changed files are taken for ours");
            Ok(())
        },
    );
    report.claim("model_signing", "signs files, and we check; a further file is refused", || {
        let to = files("signed-theirs")?;
        run("sign key --private_key ours.key --signature signed-theirs/model.sig signed-theirs")?;
        let verify = "verify ./signed-theirs --key ours.pub";
        shop.kit("home", verify)?;
        fs::write(to.join("further"), "")?;
        let refused = shop.kit("home", verify).err().context("a further file is taken")?;
        ensure!(format!("{refused:#}").contains("further was not signed"), "{refused:#}");
        Ok(())
    });
}

/// The checker that the guide names, which has nothing of ours.
const CHECKER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/check_training_record.py");

fn with_checker(shop: &Shop, python: &Path, report: &mut Report) {
    report.claim("python", "checks a training record with weights, states and signature", || {
        let ours = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        shop.kit(
            "home",
            &format!("train --model {ours}/trainer/testdata/tiny-distilbert --dataset {ours}/cli/tests/project/data/reviews.csv --output recorded --epochs 3 --record-every 1 --keep-states states --no-kitfile"),
        )?;
        shop.kit("home", "sign ./recorded --key ours.key")?;
        let check = |key: &str| {
            let mut command = Command::new(python);
            command.args([CHECKER, "recorded", "--states", "states", "--key", key]);
            run_quietly(command.current_dir(&shop.dir))
        };
        let refused = |key: &str, reason: &str| {
            let said = check(key).err().map(|it| format!("{it:#}")).unwrap_or_default();
            ensure!(said.contains(reason), "not {reason:?}, but {said:?}");
            Ok(())
        };
        check("ours.pub")?;
        refused("other.pub", "the key has not signed it")?;
        let weights = shop.dir.join("recorded/model.safetensors");
        let mut bytes = fs::read(&weights)?;
        *bytes.last_mut().context("weights")? ^= 1;
        fs::write(&weights, &bytes)?;
        refused("ours.pub", "the weights are")?;
        *bytes.last_mut().context("weights")? ^= 1;
        fs::write(&weights, &bytes)?;
        let record = shop.dir.join("recorded/training-record.json");
        let text = fs::read_to_string(&record)?;
        fs::write(&record, text.replace("\"best_epoch\": ", "\"best_epoch\":  "))?;
        refused("ours.pub", "training-record.json: not as it was signed")?;
        fs::write(&record, text.replace("\"epoch\": 1", "\"epoch\": 2"))?;
        refused("ours.pub", "the chain does not hold")
    });
}

/// The official schema of the version that a bill names, and nothing that it does not know.
const VALIDATE: &str = "\
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
found = JsonStrictValidator(SchemaVersion.V1_7).validate_str(open(sys.argv[1]).read())
sys.exit(found and str(found))
";

fn with_cyclonedx(shop: &Shop, python: &Path, report: &mut Report) {
    report.claim("cyclonedx", "takes the bill of materials of a training, and not a wrong one", || {
        let ours = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        shop.kit(
            "home",
            &format!("train --model {ours}/trainer/testdata/tiny-distilbert --dataset {ours}/cli/tests/project/data/reviews.csv --output m --epochs 1 --no-kitfile"),
        )?;
        let valid = |path: &str| {
            let mut command = Command::new(python);
            run_quietly(command.args(["-c", VALIDATE, path]).current_dir(&shop.dir))
        };
        valid("m-bom.json")?;
        let text = fs::read_to_string(shop.dir.join("m-bom.json"))?;
        fs::write(shop.dir.join("wrong.json"), text.replace("\"supervised\"", "\"guessed\""))?;
        ensure!(valid("wrong.json").is_err(), "the schema is not looked at");
        Ok(())
    });
}
