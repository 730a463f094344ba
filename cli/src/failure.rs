//! What went wrong, in parts: the error, its causes, the next command; and for programs its kind and
//! what it was about.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::kind::{self, Kind, of_registry};
use crate::{about, shown};

/// An error of which the command itself knows the kind.
#[derive(Debug)]
struct Failure {
    kind: Kind,
    message: String,
}

/// An error with the next command to try.
#[derive(Debug)]
pub(crate) struct Hint(String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

/// An error of a kind.
pub(crate) fn failure(kind: Kind, message: impl Into<String>) -> anyhow::Error {
    Failure { kind, message: message.into() }.into()
}

/// An error for a command that was understood, but asks for something that cannot be: exit code 2.
pub(crate) fn asked_wrongly(message: impl Into<String>) -> anyhow::Error {
    failure(Kind::Usage, message)
}

/// Ctrl-C.
pub(crate) fn interrupted() -> anyhow::Error {
    failure(Kind::Interrupted, "interrupted")
}

/// The kind that the command itself gave the error.
pub(crate) fn said(error: &anyhow::Error) -> Option<Kind> {
    error.downcast_ref::<Failure>().map(|failure| failure.kind)
}

/// Adds the next command to an error.
pub(crate) trait WithHint<T> {
    /// Attaches what to try next, whatever went wrong.
    fn hint(self, next: impl Into<String>) -> anyhow::Result<T>;

    /// Attaches what to try next where the error is of one of these kinds.
    fn hint_if(self, kinds: &[Kind], next: impl Into<String>) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> WithHint<T> for Result<T, E> {
    fn hint(self, next: impl Into<String>) -> anyhow::Result<T> {
        self.map_err(|error| with_hint(error.into(), next))
    }

    fn hint_if(self, kinds: &[Kind], next: impl Into<String>) -> anyhow::Result<T> {
        self.map_err(|error| {
            let error = error.into();
            match kinds.contains(&kind::of(&error)) {
                true => with_hint(error, next),
                false => error,
            }
        })
    }
}

/// What was said closer to the cause stays.
fn with_hint(error: anyhow::Error, next: impl Into<String>) -> anyhow::Error {
    match error.downcast_ref::<Hint>() {
        Some(_) => error,
        None => error.context(Hint(next.into())),
    }
}

/// An error, taken apart for showing; as JSON it is the document that programs read.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) kind: Kind,
    #[serde(rename = "message")]
    pub(crate) error: String,
    pub(crate) causes: Vec<String>,
    pub(crate) hint: Option<String>,
    pub(crate) about: BTreeMap<&'static str, String>,
    /// Warnings that nobody has seen yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) warnings: Vec<String>,
}

impl Report {
    /// Takes an error apart; a cause that only repeats what the line above says is left out.
    pub(crate) fn new(error: &anyhow::Error) -> Self {
        let given = error.downcast_ref::<Hint>().map(|hint| hint.0.clone());
        let hint = given.or_else(|| kind::causes(error.as_ref()).find_map(advice));
        let mut lines: Vec<String> = Vec::new();
        for cause in error.chain() {
            let line = shown::bounded(&cause.to_string()).into_owned();
            let is_hint = hint.as_deref() == Some(line.as_str());
            if !is_hint && lines.last().is_none_or(|above| !above.ends_with(&line)) {
                lines.push(line);
            }
        }
        let message = if lines.is_empty() { "unknown error".to_owned() } else { lines.remove(0) };
        Self {
            kind: kind::of(error),
            error: message,
            causes: lines,
            hint,
            about: about::of(error),
            warnings: Vec::new(),
        }
    }

    /// What is told of a command line that was not understood.
    pub(crate) fn of_usage(error: String, hint: Option<String>) -> Self {
        let (causes, about, warnings) = Default::default();
        Self { kind: Kind::Usage, error, causes, hint, about, warnings }
    }

    /// The exit code.
    pub(crate) fn exit(&self) -> u8 {
        match self.kind {
            Kind::Usage => 2,
            // As a shell says it of what Ctrl-C ended.
            Kind::Interrupted => 130,
            _ => 1,
        }
    }
}

/// What to try next, by what went wrong.
fn advice(cause: &(dyn std::error::Error + 'static)) -> Option<String> {
    if let Some(error) = of_registry(cause) {
        return of_transfer(error);
    }
    match cause.downcast_ref::<std::io::Error>()?.kind() {
        std::io::ErrorKind::StorageFull => Some("make room, and run the same command again".into()),
        _ => None,
    }
}

/// What to try next after an error of the local layout or a registry.
fn of_transfer(error: &registry::Error) -> Option<String> {
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
        Error::Http(HttpError::Status { retry_after: Some(_), .. }) => {
            "try again later: what has moved so far is kept"
        }
        Error::Client(ClientError::Undeletable { .. }) => {
            "deleting is something that most registries must be configured for"
        }
        Error::Http(
            error @ (HttpError::Request { .. } | HttpError::UntrustedCertificate { .. }),
        ) => of_request(error),
        Error::Client(ClientError::WrongBlob { .. }) => {
            "it was damaged or tampered with; nothing of it was kept"
        }
        #[cfg(feature = "full")]
        Error::Hub(error) => return advice_on_hub(error).map(str::to_owned),
        _ => return None,
    };
    Some(next.to_owned())
}

/// What to try next after a request that got no answer.
fn of_request(error: &registry::HttpError) -> &'static str {
    use std::io::ErrorKind;

    use rustls::CertificateError;
    if let Some(why) = kind::certificate(error) {
        return match why {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its certificate has expired: whoever runs it has to renew it"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "its certificate is for another name: ask under that one"
            }
            _ => {
                "--tls-cert FILE names the certificate or who signed it; --tls-verify=false asks nobody"
            }
        };
    }
    let tls = kind::causes(error).find_map(|cause| cause.downcast_ref::<rustls::Error>());
    if let Some(rustls::Error::InvalidMessage(_)) = tls {
        return "it does not speak TLS: --plain-http asks without";
    }
    let refused = kind::causes(error).filter_map(|cause| cause.downcast_ref::<std::io::Error>());
    match refused.map(std::io::Error::kind).find(|kind| *kind != ErrorKind::Other) {
        Some(ErrorKind::ConnectionRefused) => {
            "nothing listens there: check the address and the port, and whether it runs"
        }
        Some(ErrorKind::TimedOut) => {
            "it does not answer: check the address and the network, and try again"
        }
        _ => {
            "check the address, and whether the registry runs; --plain-http if it does not speak TLS"
        }
    }
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
        assert_eq!((report.kind, report.exit()), (Kind::Failed, 1));
        let twice = Err::<(), _>(error).hint("another").unwrap_err();
        assert_eq!(Report::new(&twice).hint.as_deref(), Some("kit-rs init ."));
    }

    #[test]
    fn a_message_has_an_end() {
        let report = Report::new(&anyhow!("x".repeat(5_000_000)).context("cannot read it"));
        assert!(report.causes[0].len() < 20_000 && report.causes[0].contains("bytes more"));
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
        let unknown = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let untrusted = HttpError::UntrustedCertificate { url: url(), source: Box::new(unknown) };
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
        let report = Report::new(&asked_wrongly("a tag is needed").context("cannot tag"));
        assert_eq!((report.kind.name(), report.exit()), ("usage", 2));
        assert_eq!(Report::new(&interrupted()).exit(), 130);
    }

    #[test]
    fn a_request_without_an_answer_has_the_hint_of_its_cause() {
        let hint = |error: anyhow::Error| Report::new(&error.context("cannot push")).hint;
        let request = |source: std::io::Error| {
            let error = registry::HttpError::Request {
                method: "GET".into(),
                url: "https://r.example/v2/".into(),
                source: Box::new(source),
            };
            hint(registry::Error::from(error).into()).expect("a hint")
        };
        let refused = request(std::io::ErrorKind::ConnectionRefused.into());
        assert!(refused.starts_with("nothing listens there"), "{refused}");
        let unknown = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        assert!(request(std::io::Error::other(unknown)).starts_with("--tls-cert FILE"));
    }

    #[test]
    fn a_hint_that_does_not_fit_is_not_given() {
        let given = |error: anyhow::Error| {
            let error = Err::<(), _>(error).hint_if(&[Kind::NotFound], "look elsewhere");
            Report::new(&error.unwrap_err()).hint
        };
        assert_eq!(given(failure(Kind::NotFound, "gone")).as_deref(), Some("look elsewhere"));
        assert_eq!(given(failure(Kind::Damaged, "broken")), None);
    }
}
