//! `kit-rs login`.

use std::io::Read as _;
use std::sync::Arc;

use anyhow::Context as _;
use registry::{Credential, Credentials, Secret, without_userinfo};
use serde_json::json;
use zeroize::Zeroizing;

use crate::failure::{WithHint as _, asked_wrongly};
use crate::kind::Kind;
use crate::network::{Network, credentials};
use crate::ui::Ui;
use crate::{env, prompt};

/// Check a credential with a registry and keep it
#[derive(clap::Args)]
pub(crate) struct Args {
    /// HOST or HOST:PORT
    registry: String,
    /// User name, asked for on a terminal; without one, a password that is not asked for is an
    /// identity token
    #[arg(short, long)]
    username: Option<String>,
    /// Password (seen by other users of the machine: prefer --password-stdin)
    #[arg(short, long, conflicts_with = "password_stdin")]
    password: Option<String>,
    /// Read the password from stdin
    #[arg(long)]
    password_stdin: bool,
    #[command(flatten)]
    network: Network,
}

/// The one credential that is being tried.
struct Tried(Credential);

impl Credentials for Tried {
    fn lookup(&self, _: &str, _: Option<&str>) -> registry::Result<Option<Credential>> {
        Ok(Some(self.0.clone()))
    }
}

pub(crate) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    env::hold_secrets();
    let credential = credential(&args, ui)?;
    let client = args.network.client_with(Arc::new(Tried(credential.clone())), ui)?;
    let is_checked = ui
        .block_on(async { Ok(client.ping(&args.registry).await?) })
        .with_context(|| format!("cannot log in to {}", without_userinfo(&args.registry)))
        .hint_if(&[Kind::Refused], "check the user name and the password")?;
    ui.no_warnings()?;
    credentials(ui).store(&args.registry, &credential)?;
    let text = match is_checked {
        true => format!("logged in to {}", args.registry),
        false => format!("kept for {}, not checked: it asks for no credentials", args.registry),
    };
    ui.answer(text, &json!({ "registry": args.registry, "checked": is_checked }))
}

fn credential(args: &Args, ui: &Ui) -> anyhow::Result<Credential> {
    let credential = given(args, ui)?;
    let (Credential::Basic { password: secret, .. }
    | Credential::Identity(secret)
    | Credential::Bearer(secret)) = &credential;
    // As from a variable that is not set.
    if secret.is_empty() {
        return Err(asked_wrongly("no password given: it is empty"));
    }
    Ok(credential)
}

fn given(args: &Args, ui: &Ui) -> anyhow::Result<Credential> {
    let password = match (&args.password, args.password_stdin) {
        (Some(password), _) => password.as_str().into(),
        (None, true) => {
            let mut text = Zeroizing::new(String::new());
            std::io::stdin()
                .lock()
                .read_to_string(&mut text)
                .context("cannot read the password from stdin")?;
            Secret::from(text.trim_end_matches(['\r', '\n']))
        }
        (None, false) => return ask(args.username.clone(), ui),
    };
    Ok(match &args.username {
        Some(username) => Credential::Basic { username: username.clone(), password },
        None => Credential::Identity(password),
    })
}

/// Asks for what is missing, as `kit` and `docker` do.
fn ask(username: Option<String>, ui: &Ui) -> anyhow::Result<Credential> {
    if !env::stdin_is_terminal() {
        return Err(asked_wrongly("no password given: pipe it in with --password-stdin"));
    }
    let username = match username {
        Some(username) => username,
        None => prompt::line("Username: ", ui)?.trim().to_owned(),
    };
    if username.is_empty() {
        let refused = asked_wrongly("no user name given");
        return Err(refused).hint(
            "an identity token has none: pipe it in with --password-stdin, without --username",
        );
    }
    Ok(Credential::Basic { username, password: prompt::unseen("Password: ", ui)?.as_str().into() })
}
