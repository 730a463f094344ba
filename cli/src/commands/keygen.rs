//! `kit-rs keygen`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use serde_json::json;
use trust::PrivateKey;

use crate::failure::{WithHint as _, asked_wrongly};
use crate::steps::keys::PasswordArgs;
use crate::ui::Ui;
use crate::{env, prompt};

/// Make a pair of keys: one that signs, and one that checks
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The files are NAME.key and NAME.pub
    #[arg(short, long, default_value = "kit-rs", value_name = "NAME")]
    output: PathBuf,
    /// Leave the private key unencrypted: whoever reads the file can sign
    #[arg(long, conflicts_with = "password_stdin")]
    no_password: bool,
    #[command(flatten)]
    password: PasswordArgs,
}

pub(crate) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    let [private, public] = ["key", "pub"].map(|end| with_end(&args.output, end));
    for path in [&private, &public] {
        if path.symlink_metadata().is_ok() {
            return Err(asked_wrongly(format!("{} is there already", path.display())))
                .hint("a key that is overwritten is lost: name another one with --output");
        }
    }
    env::hold_secrets();
    let key = PrivateKey::generate()?;
    let pem = match args.no_password {
        true => key.to_plain_pem()?,
        false => key.to_sealed_pem(&password(&args, ui)?)?,
    };
    // For nobody else from its first moment on, and never in place of another one.
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&private)?;
    file.write_all(pem.as_bytes())?;
    modelkit::write_file(&public, key.public().to_pem()?.as_bytes(), modelkit::Existing::Refuse)?;
    let fingerprint = key.public().fingerprint();
    let text = format!("{} and {}\n{fingerprint}", private.display(), public.display());
    ui.answer(text, &json!({ "private": private, "public": public, "fingerprint": fingerprint }))
}

/// The new password, typed twice on a terminal.
fn password(args: &Args, ui: &Ui) -> anyhow::Result<zeroize::Zeroizing<String>> {
    let password = args.password.password("Password of the new key: ", ui)?;
    let Some(password) = password.filter(|password| !password.is_empty()) else {
        return Err(asked_wrongly("no password given for the private key"))
            .hint("set KIT_RS_PASSWORD, pipe it in with --password-stdin, or say --no-password");
    };
    if env::key_password().is_none() && env::stdin_is_terminal() {
        let again = prompt::unseen("Once more: ", ui)?;
        if again != password {
            return Err(asked_wrongly("the two passwords differ"));
        }
    }
    Ok(password)
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(end);
    name.into()
}
