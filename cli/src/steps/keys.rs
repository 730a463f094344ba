//! Keys from files, and the passwords that open them.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use fs_err as fs;
use trust::{PrivateKey, PublicKey, Roots};
use zeroize::Zeroizing;

use crate::failure::{WithHint as _, asked_wrongly};
use crate::ui::Ui;
use crate::{env, prompt};

/// Where the password of a private key comes from.
#[derive(clap::Args)]
pub(crate) struct PasswordArgs {
    /// Read the password of the private key from stdin; else it is that of KIT_RS_PASSWORD or
    /// COSIGN_PASSWORD, or asked for on a terminal
    #[arg(long)]
    password_stdin: bool,
}

impl PasswordArgs {
    /// The password, unless there is nobody to ask.
    pub(crate) fn password(
        &self,
        question: &str,
        ui: &Ui,
    ) -> anyhow::Result<Option<Zeroizing<String>>> {
        env::hold_secrets();
        if self.password_stdin {
            let mut text = Zeroizing::new(String::new());
            std::io::stdin()
                .lock()
                .read_to_string(&mut text)
                .context("cannot read the password from stdin")?;
            return Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned().into()));
        }
        if let Some(password) = env::key_password() {
            return Ok(Some(password));
        }
        match env::stdin_is_terminal() {
            true => Ok(Some(prompt::unseen(question, ui)?)),
            false => Ok(None),
        }
    }

    /// Reads a private key; a password is asked for only where it needs one.
    pub(crate) fn private_key(&self, path: &Path, ui: &Ui) -> anyhow::Result<PrivateKey> {
        env::hold_secrets();
        let pem = Zeroizing::new(read(path)?);
        let unread = || format!("cannot read the private key {}", path.display());
        match PrivateKey::from_pem(&pem, None) {
            Err(trust::Error::NoPassword) => (),
            key => return key.with_context(unread),
        }
        let password = self.password("Password of the private key: ", ui)?;
        let Some(password) = password else {
            return Err(trust::Error::NoPassword)
                .with_context(unread)
                .hint("set KIT_RS_PASSWORD, or pipe it in with --password-stdin");
        };
        PrivateKey::from_pem(&pem, Some(&password)).with_context(unread)
    }
}

/// Who vouches for the key.
#[derive(clap::Args)]
pub(crate) struct CertArgs {
    /// The certificate of the key, and those that vouch for it (one PEM file): they go with the
    /// signature, for whoever asks for a root and not for the key
    #[arg(long, value_name = "FILE", alias = "certificate-chain")]
    cert: Option<PathBuf>,
}

impl CertArgs {
    /// The key, showing its certificates with each signature.
    pub(crate) fn certify(&self, key: PrivateKey) -> anyhow::Result<PrivateKey> {
        let Some(path) = &self.cert else { return Ok(key) };
        trust::Chain::from_pem(&read(path)?)
            .and_then(|chain| key.with_chain(chain))
            .with_context(|| format!("cannot sign by the certificate {}", path.display()))
    }
}

/// Reads roots, by which certificates have to be valid now.
pub(crate) fn roots(path: &Path) -> anyhow::Result<Roots> {
    Roots::from_pem(&read(path)?, std::time::SystemTime::now())
        .with_context(|| format!("cannot read the roots {}", path.display()))
}

/// Reads a public key.
pub(crate) fn public_key(path: &Path) -> anyhow::Result<PublicKey> {
    PublicKey::from_pem(&read(path)?)
        .with_context(|| format!("cannot read the public key {}", path.display()))
}

fn read(path: &Path) -> anyhow::Result<String> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            Err(asked_wrongly(format!("{} is no key: it is no text", path.display())))
        }
        text => Ok(text?),
    }
}
