//! By a certificate in the place of a key: model_signing takes our chains and we its, each by the
//! root and by no other.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use fs_err as fs;

use crate::peers::run_quietly;
use crate::registries::Shop;
use crate::report::Report;

/// What the certificate of a key says that it is for.
const SIGNS: &str = "keyUsage=critical,digitalSignature\nextendedKeyUsage=codeSigning\nsubjectAltName=email:team@example.org\n";
const VOUCHES: &str = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n";

/// Makes two roots, one in between, and the certificate of the key `ours`.
fn make(shop: &Shop) -> anyhow::Result<()> {
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
    Ok(())
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
            make(shop)?;
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
