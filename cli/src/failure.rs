//! What went wrong, in three parts: the error, its causes, and the next command.

use std::fmt;

/// The command was understood, but asks for something that cannot be: exit code 2.
#[derive(Debug)]
pub(crate) struct AskedWrongly(String);

/// An error with the next command to try.
#[derive(Debug)]
pub(crate) struct Hint(String);

/// Ctrl-C.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl fmt::Display for AskedWrongly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for AskedWrongly {}
impl std::error::Error for Interrupted {}

/// An error for a command that was asked wrongly.
pub(crate) fn asked_wrongly(message: impl Into<String>) -> anyhow::Error {
    AskedWrongly(message.into()).into()
}

/// Adds the next command to an error.
pub(crate) trait WithHint<T> {
    /// Attaches what to try next.
    fn hint(self, next: impl Into<String>) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> WithHint<T> for Result<T, E> {
    fn hint(self, next: impl Into<String>) -> anyhow::Result<T> {
        self.map_err(|error| error.into().context(Hint(next.into())))
    }
}

/// An error, taken apart for showing.
pub(crate) struct Report {
    pub(crate) error: String,
    pub(crate) causes: Vec<String>,
    pub(crate) hint: Option<String>,
    pub(crate) exit: u8,
}

impl Report {
    /// Takes an error apart; a cause that only repeats what the line above says is left out.
    pub(crate) fn new(error: &anyhow::Error) -> Self {
        let given = error.downcast_ref::<Hint>().map(|hint| hint.0.clone());
        let hint = given.or_else(|| error.chain().find_map(|cause| advice(of_registry(cause)?)));
        let mut lines: Vec<String> = Vec::new();
        for cause in error.chain() {
            let line = cause.to_string();
            let is_hint = hint.as_deref() == Some(line.as_str());
            if !is_hint && lines.last().is_none_or(|above| !above.ends_with(&line)) {
                lines.push(line);
            }
        }
        let exit = if error.downcast_ref::<AskedWrongly>().is_some() { 2 } else { 1 };
        let error = if lines.is_empty() { "unknown error".to_owned() } else { lines.remove(0) };
        Self { error, causes: lines, hint, exit }
    }
}

/// An error of the registry's, which may stand boxed in another one of its own.
fn of_registry<'a>(cause: &'a (dyn std::error::Error + 'static)) -> Option<&'a registry::Error> {
    let boxed = || cause.downcast_ref::<Box<registry::Error>>().map(AsRef::as_ref);
    cause.downcast_ref().or_else(boxed)
}

/// What to try next after an error of the local layout or a registry.
fn advice(error: &registry::Error) -> Option<String> {
    use registry::{AuthError, ClientError, Error, HttpError, LayoutError};
    let next = match error {
        Error::Auth(AuthError::UntrustedRealm { registry, realm }) => {
            let host = realm.split_once("://").map_or(&**realm, |(_, rest)| rest);
            let host = host.split(['/', ':']).next().unwrap_or(host);
            return Some(format!(
                "if that service is the registry's own, --token-host {registry}={host} lets it see the credentials"
            ));
        }
        Error::Layout(LayoutError::UnknownReference { .. }) => {
            "kit-rs list shows what is in the local layout"
        }
        Error::Layout(LayoutError::InUse { .. }) => {
            "another program is adding content: try again when it is done"
        }
        Error::Auth(AuthError::NotLoggedIn { registry }) => {
            return Some(format!("kit-rs login {registry} keeps a credential for the registry"));
        }
        Error::Auth(AuthError::Denied { registry, .. }) => {
            return Some(format!(
                "check the user name, the password and what they allow; kit-rs login {registry} keeps others"
            ));
        }
        Error::Http(HttpError::UntrustedCertificate { .. }) => {
            "--tls-cert FILE names the certificate or who signed it; --tls-verify=false asks nobody"
        }
        Error::Http(HttpError::Status { retry_after: Some(_), .. }) => {
            "try again later: what has moved so far is kept"
        }
        Error::Client(ClientError::Undeletable { .. }) => {
            "deleting is something that most registries must be configured for"
        }
        Error::Http(HttpError::Request { .. }) => {
            "check the address, and whether the registry runs; --plain-http if it does not speak TLS"
        }
        Error::Client(ClientError::WrongBlob { .. }) => {
            "it was damaged or tampered with; nothing of it was kept"
        }
        #[cfg(feature = "full")]
        Error::Hub(error) => return advice_on_hub(error).map(str::to_owned),
        _ => return None,
    };
    Some(next.to_owned())
}

/// What to try next after what a hub has said.
#[cfg(feature = "full")]
fn advice_on_hub(error: &registry::HubError) -> Option<&'static str> {
    use registry::HubError;
    Some(match error {
        HubError::UnknownRepo { .. } => {
            "HF_ENDPOINT names another hub; private models need --token, or HF_TOKEN there and at huggingface.co"
        }
        HubError::GatedRepo { .. } => {
            "accept the terms on the repository's page, then give a token: --token, or HF_TOKEN"
        }
        HubError::UnknownRevision { .. } => "--ref names a branch, a tag or a commit",
        HubError::SaysTooLittle { .. } => {
            "HF_ENDPOINT names the hub: without it, huggingface.co is asked"
        }
        HubError::WrongFile { .. } => {
            "it was damaged or tampered with on its way; nothing of it was kept"
        }
        _ => return None,
    })
}

/// Whether the reader of stdout went away, which is how `kit-rs … | head` ends.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let broken = |cause: &(dyn std::error::Error + 'static)| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
    };
    // Only our own writing to stdout fails bare: a library's broken pipe has a context above it.
    broken(error.root_cause()) && error.chain().count() == 1
}

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, anyhow};

    use super::*;

    #[test]
    fn a_hint_is_no_cause() {
        let error = Err::<(), _>(anyhow!("no such file"))
            .context("cannot read Kitfile")
            .hint("kit-rs init .")
            .unwrap_err();
        let report = Report::new(&error);
        assert_eq!(report.error, "cannot read Kitfile");
        assert_eq!(report.causes, ["no such file"]);
        assert_eq!(report.hint.as_deref(), Some("kit-rs init ."));
        assert_eq!(report.exit, 1);
    }

    #[test]
    fn the_cause_decides_the_hint_whatever_wraps_it() {
        use registry::{AuthError, ClientError, Error, HttpError};
        let check = |error: Error, expected: &str| {
            let digest = registry::content::digest(b"");
            let upload = ClientError::Upload {
                digest,
                repository: "r.test/demo/kit".into(),
                source: Box::new(error),
            };
            let error = Err::<(), _>(Error::from(upload)).context("cannot push").unwrap_err();
            let hint = Report::new(&error).hint.unwrap_or_default();
            assert!(hint.contains(expected), "{hint}");
        };
        let registry = || "r.test".to_owned();
        check(AuthError::NotLoggedIn { registry: registry() }.into(), "kit-rs login r.test");
        let realm = "https://auth.test:8443/jwt/auth".into();
        check(
            AuthError::UntrustedRealm { registry: registry(), realm }.into(),
            "--token-host r.test=auth.test",
        );
        let denied = AuthError::Denied { registry: registry(), reasons: String::new() };
        check(denied.into(), "check the user name");
        let url = || "https://r.test/v2/".to_owned();
        let untrusted = HttpError::UntrustedCertificate { url: url(), source: "unknown".into() };
        check(untrusted.into(), "--tls-cert");
        let refused =
            HttpError::Request { method: "GET".into(), url: url(), source: "refused".into() };
        check(refused.into(), "whether the registry runs");
    }

    #[cfg(feature = "full")]
    #[test]
    fn what_a_hub_says_decides_the_hint() {
        use registry::{Error, HubError};
        let check = |error: HubError, expected: &str| {
            let error = Err::<(), _>(Error::from(error)).context("cannot import").unwrap_err();
            let hint = Report::new(&error).hint.unwrap_or_default();
            assert!(hint.contains(expected), "{hint}");
        };
        let repo = || "org/name".to_owned();
        check(HubError::UnknownRepo { repo: repo() }, "HF_ENDPOINT");
        check(HubError::GatedRepo { repo: repo() }, "accept the terms");
        check(HubError::UnknownRevision { repo: repo(), revision: "v2".into() }, "--ref");
    }

    #[test]
    fn asking_wrongly_exits_with_two() {
        assert_eq!(Report::new(&asked_wrongly("a tag is needed").context("cannot tag")).exit, 2);
    }
}
