//! `kit-rs login`.

use std::io::Read as _;
use std::sync::Arc;

use anyhow::Context as _;
use registry::{Credential, Credentials, without_userinfo};
use serde_json::json;

use crate::env;
use crate::failure::asked_wrongly;
use crate::network::{Network, credentials};
use crate::ui::Ui;

/// Check a credential with a registry and keep it
#[derive(clap::Args)]
pub(crate) struct Args {
    /// HOST or HOST:PORT
    registry: String,
    /// User name; without one, the password is an identity token
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
    fn lookup(&self, _registry: &str, _repository: Option<&str>) -> Option<Credential> {
        Some(self.0.clone())
    }
}

pub(crate) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    let credential = credential(&args)?;
    let client = args.network.client_with(Arc::new(Tried(credential.clone())), ui)?;
    let is_checked = ui
        .block_on(async { Ok(client.ping(&args.registry).await?) })
        .with_context(|| format!("cannot log in to {}", without_userinfo(&args.registry)))?;
    crate::network::show_warnings(&client, ui);
    credentials(ui).store(&args.registry, &credential)?;
    let text = match is_checked {
        true => format!("logged in to {}", args.registry),
        false => format!("kept for {}, not checked: it asks for no credentials", args.registry),
    };
    ui.answer(text, &json!({ "registry": args.registry, "checked": is_checked }))
}

fn credential(args: &Args) -> anyhow::Result<Credential> {
    let password = match (&args.password, args.password_stdin) {
        (Some(password), _) => password.clone(),
        (None, true) => {
            let mut text = String::new();
            std::io::stdin()
                .lock()
                .read_to_string(&mut text)
                .context("cannot read the password from stdin")?;
            text.trim_end_matches(['\r', '\n']).to_owned()
        }
        (None, false) => prompt()?,
    };
    Ok(match &args.username {
        Some(username) => Credential::Basic { username: username.clone(), password },
        None => Credential::Identity(password),
    })
}

fn prompt() -> anyhow::Result<String> {
    if !env::stdin_is_terminal() {
        return Err(asked_wrongly("no password given: pipe it in with --password-stdin"));
    }
    rpassword::prompt_password("Password: ").context("cannot read the password")
}
