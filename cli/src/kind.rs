//! What kind of failure it is, for programs: a short list that stays, told in the guide.

use std::error::Error as StdError;
use std::io;

use serde::{Serialize, Serializer};

/// What a program can do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Usage,
    NotFound,
    Exists,
    Unreachable,
    Busy,
    Refused,
    Untrusted,
    Remote,
    Damaged,
    Invalid,
    System,
    Strict,
    Interrupted,
    Failed,
}

impl Kind {
    /// All kinds, with their names and what they mean, as the guide tells them.
    pub(crate) const ALL: [(Self, &str, &str); 14] = [
        (Self::Usage, "usage", "the command line asks for something that cannot be (exit code 2)"),
        (Self::NotFound, "not-found", "what was named is not there"),
        (Self::Exists, "exists", "something is in the way, and is not replaced"),
        (Self::Unreachable, "unreachable", "there was no answer, or it broke off"),
        (Self::Busy, "busy", "somebody else is at it, or asks to come back later"),
        (Self::Refused, "refused", "credentials or permissions are missing or do not suffice"),
        (Self::Untrusted, "untrusted", "the other side does not prove who it is"),
        (Self::Remote, "remote", "the other side failed, or does not follow the protocol"),
        (Self::Damaged, "damaged", "content is not what its digest or size says, or is lost"),
        (Self::Invalid, "invalid", "a file or document breaks the rules of its form"),
        (Self::System, "system", "the operating system refuses: a full disk, no threads"),
        (Self::Strict, "strict", "there were warnings, and `--strict` takes none"),
        (Self::Interrupted, "interrupted", "Ctrl-C or SIGTERM (exit code 130)"),
        (Self::Failed, "failed", "anything else; a check that came out otherwise"),
    ];

    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(kind, ..)| *kind == self).map_or("failed", |(_, name, _)| name)
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// The kind of an error: the outermost cause that is sure of it decides, else the outermost one
/// that has an idea.
pub(crate) fn of(error: &anyhow::Error) -> Kind {
    if let Some(kind) = crate::failure::said(error) {
        return kind;
    }
    let mut idea = None;
    for cause in causes(error.as_ref()) {
        match judged(cause) {
            Some(Judged::Sure(kind)) => return kind,
            Some(Judged::Idea(kind)) => idea = idea.or(Some(kind)),
            None => (),
        }
    }
    idea.unwrap_or(Kind::Failed)
}

/// An error and its causes, those included that stand boxed inside of an IO error.
pub(crate) fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |cause| beneath(*cause))
}

fn beneath<'a>(cause: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    let boxed = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    boxed.map(|inner| inner as &(dyn StdError + 'static)).or_else(|| cause.source())
}

/// An error of the registry's, which may stand boxed in another one of its own.
pub(crate) fn of_registry<'a>(cause: &'a (dyn StdError + 'static)) -> Option<&'a registry::Error> {
    let boxed = || cause.downcast_ref::<Box<registry::Error>>().map(AsRef::as_ref);
    cause.downcast_ref().or_else(boxed)
}

/// How sure a cause is.
enum Judged {
    Sure(Kind),
    /// Unless something beneath it knows better.
    Idea(Kind),
}

use Judged::{Idea, Sure};

fn judged(cause: &(dyn StdError + 'static)) -> Option<Judged> {
    if let Some(error) = of_registry(cause) {
        return registry(error);
    }
    if let Some(error) = cause.downcast_ref::<modelkit::Error>() {
        return modelkit(error);
    }
    if let Some(error) = cause.downcast_ref::<modelkit::Refused>() {
        use modelkit::Refused;
        return match error {
            Refused::Digest { .. } | Refused::Size { .. } => Some(Sure(Kind::Damaged)),
            Refused::Io(_) => None,
            _ => Some(Sure(Kind::Invalid)),
        };
    }
    if let Some(error) = cause.downcast_ref::<trust::Error>() {
        use trust::Error;
        return match error {
            Error::Unsigned { .. }
            | Error::Unattested { .. }
            | Error::UnsignedFolder { .. }
            | Error::Local { .. } => Some(Sure(Kind::Untrusted)),
            Error::Files { .. } => Some(Sure(Kind::Damaged)),
            Error::NoPassword | Error::WrongPassword => Some(Sure(Kind::Refused)),
            Error::Registry(error) => registry(error),
            Error::Io(error) => Some(system(error)),
            _ => Some(Sure(Kind::Invalid)),
        };
    }
    if cause.is::<kitfile::Error>() || cause.is::<kitfile::Problems>() {
        return Some(Sure(Kind::Invalid));
    }
    if let Some(error) = cause.downcast_ref::<reqwest::Error>() {
        return Some(Sure(match error.status() {
            Some(status) => status_kind(status.as_u16()),
            None if error.is_decode() => Kind::Remote,
            None => Kind::Unreachable,
        }));
    }
    #[cfg(feature = "full")]
    if let Some(judged) = of_full(cause) {
        return Some(judged);
    }
    #[cfg(feature = "serve")]
    if let Some(error) = cause.downcast_ref::<serve::Error>() {
        return match error {
            serve::Error::Verify { .. }
            | serve::Error::NoClassifier { .. }
            | serve::Error::ZeroShot { .. } => Some(Sure(Kind::Invalid)),
            serve::Error::Checkpoint(_) => Some(Idea(Kind::Invalid)),
            serve::Error::Threads { .. } => Some(Idea(Kind::System)),
            _ => None,
        };
    }
    if let Some(error) = cause.downcast_ref::<serde_json::Error>().filter(|it| !it.is_io()) {
        return Some(if error.is_eof() { Idea(Kind::Invalid) } else { Sure(Kind::Invalid) });
    }
    if cause.is::<serde_yaml::Error>() {
        return Some(Sure(Kind::Invalid));
    }
    cause.downcast_ref::<io::Error>().map(system)
}

fn registry(error: &registry::Error) -> Option<Judged> {
    use registry::{AuthError, ClientError, ContentError, Error, HttpError, LayoutError};
    let kind = match error {
        Error::InvalidReference { .. } => Kind::Invalid,
        Error::Content(ContentError::WrongSize { .. } | ContentError::WrongDigest { .. }) => {
            Kind::Damaged
        }
        Error::Content(_) => Kind::Invalid,
        Error::Layout(LayoutError::MissingBlob { .. }) => Kind::Damaged,
        Error::Layout(LayoutError::UnknownReference { .. }) => Kind::NotFound,
        Error::Layout(LayoutError::InUse { .. }) => Kind::Busy,
        Error::Layout(_) => Kind::Invalid,
        Error::Http(HttpError::UntrustedCertificate { .. }) => Kind::Untrusted,
        Error::Http(
            HttpError::Request { .. } | HttpError::Stalled { .. } | HttpError::Cut { .. },
        ) => Kind::Unreachable,
        Error::Http(HttpError::Status { status, .. }) => status_kind(*status),
        Error::Http(HttpError::InvalidAddress { .. }) => Kind::Invalid,
        Error::Http(HttpError::Redirect { .. } | HttpError::Protocol { .. }) => Kind::Remote,
        Error::Auth(
            AuthError::NotLoggedIn { .. }
            | AuthError::Denied { .. }
            | AuthError::UnusableCredential { .. },
        ) => Kind::Refused,
        Error::Auth(AuthError::UntrustedRealm { .. }) => Kind::Untrusted,
        Error::Auth(AuthError::UnknownChallenge { .. } | AuthError::Token { .. }) => Kind::Remote,
        Error::Client(ClientError::UnknownManifest { .. } | ClientError::UnknownBlob { .. }) => {
            Kind::NotFound
        }
        Error::Client(ClientError::WrongBlob { .. } | ClientError::WrongManifest { .. }) => {
            Kind::Damaged
        }
        Error::Certificate { .. } => return Some(Idea(Kind::Invalid)),
        #[cfg(feature = "servers")]
        Error::InvalidUsers { .. } => Kind::Invalid,
        #[cfg(feature = "servers")]
        Error::Hub(error) => return hub(error).map(Sure),
        _ => return None,
    };
    Some(Sure(kind))
}

#[cfg(feature = "servers")]
fn hub(error: &registry::HubError) -> Option<Kind> {
    use registry::HubError;
    Some(match error {
        HubError::PlainToken { .. } => Kind::Untrusted,
        HubError::UnknownRepo { .. }
        | HubError::UnknownRevision { .. }
        | HubError::UnknownFile { .. } => Kind::NotFound,
        HubError::GatedRepo { .. } => Kind::Refused,
        HubError::DownloadUnderWay { .. } => Kind::Busy,
        HubError::WrongFile { .. } => Kind::Damaged,
        HubError::InvalidToken | HubError::InvalidRepoId { .. } | HubError::UnsafePath { .. } => {
            Kind::Invalid
        }
        _ => return None,
    })
}

fn modelkit(error: &modelkit::Error) -> Option<Judged> {
    use modelkit::Error;
    Some(Sure(match error {
        Error::Cancelled => Kind::Interrupted,
        Error::File(_) | Error::Layout(_) | Error::Layer { .. } => return None,
        Error::MissingPath { .. } | Error::MissingParent { .. } => Kind::NotFound,
        Error::NotReady { .. } => Kind::Damaged,
        Error::Changed { .. } => Kind::Busy,
        Error::Exists { .. }
        | Error::InTheWay { .. }
        | Error::OtherKitfile { .. }
        | Error::Repository { .. } => Kind::Exists,
        Error::NoRoom { .. } => Kind::System,
        Error::NotTaken { .. } => Kind::Untrusted,
        Error::RemoteDataset { .. } => Kind::Failed,
        _ => return Some(Idea(Kind::Invalid)),
    }))
}

#[cfg(feature = "full")]
fn of_full(cause: &(dyn StdError + 'static)) -> Option<Judged> {
    if let Some(error) = cause.downcast_ref::<trainer::Error>() {
        use trainer::Error;
        return Some(match error {
            Error::Cancelled => Sure(Kind::Interrupted),
            Error::TrainingUnderWay { .. } => Sure(Kind::Busy),
            Error::NotReplaced { .. } | Error::OtherTraining { .. } => Sure(Kind::Exists),
            Error::NotFinite { .. } => Sure(Kind::Damaged),
            Error::OtherInput { .. } | Error::OtherMachine { .. } => Sure(Kind::Failed),
            Error::Diverged { .. } => Sure(Kind::Failed),
            Error::SavedModel { .. } | Error::Threads { .. } | Error::State { .. } => {
                Idea(Kind::System)
            }
            _ => Idea(Kind::Invalid),
        });
    }
    #[cfg(unix)]
    if let Some(error) = cause.downcast_ref::<cluster::Error>() {
        use cluster::Error;
        return Some(match error {
            Error::NoRepository { .. }
            | Error::NoSource { .. }
            | Error::RemoteRef { .. }
            | Error::NoKustomization { .. }
            | Error::NoService { .. } => Sure(Kind::NotFound),
            Error::Object(error) => repository(error),
            _ => Idea(Kind::Failed),
        });
    }
    if cause.is::<gitops::Problems>() {
        return Some(Sure(Kind::Invalid));
    }
    cause.downcast_ref::<gitops::Error>().map(repository)
}

#[cfg(feature = "full")]
fn repository(error: &gitops::Error) -> Judged {
    use gitops::Error;
    match error {
        Error::Read { .. } | Error::Write { .. } => Idea(Kind::System),
        Error::Missing { .. } | Error::NothingToSet { .. } => Sure(Kind::NotFound),
        _ => Idea(Kind::Invalid),
    }
}

/// What an HTTP status says.
fn status_kind(status: u16) -> Kind {
    match status {
        401 | 403 => Kind::Refused,
        404 | 410 => Kind::NotFound,
        408 | 502 | 504 => Kind::Unreachable,
        429 | 503 => Kind::Busy,
        _ => Kind::Remote,
    }
}

/// What TLS has against the other side's certificate, if that is the matter.
pub(crate) fn certificate<'a>(
    error: &'a (dyn StdError + 'static),
) -> Option<&'a rustls::CertificateError> {
    causes(error).find_map(|cause| match cause.downcast_ref::<rustls::Error>() {
        Some(rustls::Error::InvalidCertificate(why)) => Some(why),
        _ => None,
    })
}

/// What an error of the operating system's says; a file's own error knows it best.
fn system(error: &io::Error) -> Judged {
    use io::ErrorKind;
    match error.kind() {
        ErrorKind::NotFound => Sure(Kind::NotFound),
        ErrorKind::PermissionDenied => Sure(Kind::Refused),
        ErrorKind::AlreadyExists | ErrorKind::DirectoryNotEmpty => Sure(Kind::Exists),
        ErrorKind::AddrInUse | ErrorKind::WouldBlock | ErrorKind::ResourceBusy => Sure(Kind::Busy),
        ErrorKind::ConnectionRefused
        | ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::TimedOut => Sure(Kind::Unreachable),
        ErrorKind::InvalidData | ErrorKind::UnexpectedEof => Idea(Kind::Invalid),
        // It may be the wrapper of something that knows better.
        ErrorKind::Other => Idea(Kind::System),
        _ => Sure(Kind::System),
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    fn check(error: impl Into<anyhow::Error>, expected: &str) {
        let error = error.into().context("what was being done");
        assert_eq!(of(&error).name(), expected, "{error:#}");
    }

    #[test]
    fn each_kind_has_one_name() {
        let mut names: Vec<_> = Kind::ALL.iter().map(|(_, name, _)| name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Kind::ALL.len());
        for (kind, name, _) in Kind::ALL {
            assert_eq!(kind.name(), name);
        }
    }

    #[test]
    fn not_there_is_told_from_down_from_refused_from_damaged() {
        use registry::{AuthError, ClientError, Error, HttpError};
        let reference: registry::Reference = "r.example/a:v1".parse().expect("a reference");
        let digest = registry::content::digest(b"content");
        check(
            Error::from(ClientError::UnknownManifest { reference: Box::new(reference) }),
            "not-found",
        );
        let request = |source: io::Error| HttpError::Request {
            method: "GET".into(),
            url: "https://r.example/v2/".into(),
            source: Box::new(source),
        };
        check(Error::from(request(io::ErrorKind::ConnectionRefused.into())), "unreachable");
        let unknown = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let untrusted = HttpError::UntrustedCertificate {
            url: "https://r.example/v2/".into(),
            source: Box::new(unknown),
        };
        check(Error::from(untrusted), "untrusted");
        check(Error::from(AuthError::NotLoggedIn { registry: "r.example".into() }), "refused");
        for (status, expected) in [
            (403, "refused"),
            (404, "not-found"),
            (429, "busy"),
            (500, "remote"),
            (504, "unreachable"),
        ] {
            let url = "https://r.example/v2/".to_owned();
            let (retry_after, reasons) = (None, String::new());
            check(Error::from(HttpError::Status { url, status, retry_after, reasons }), expected);
        }
        let wrong = ClientError::WrongBlob {
            digest: digest.clone(),
            repository: "r.example/a".into(),
            source: Box::new(Error::from(request(io::ErrorKind::TimedOut.into()))),
        };
        check(Error::from(wrong), "damaged");
        let upload = ClientError::Upload {
            digest,
            repository: "r.example/a".into(),
            source: Box::new(Error::from(AuthError::NotLoggedIn { registry: "r.example".into() })),
        };
        check(Error::from(upload), "refused");
    }

    #[test]
    fn files_say_it_themselves() {
        check(fs_err::read("/no/such/file").expect_err("it is not there"), "not-found");
        check(modelkit::Error::File(io::ErrorKind::PermissionDenied.into()), "refused");
        check(modelkit::Error::File(io::ErrorKind::StorageFull.into()), "system");
        check(modelkit::Error::Exists { path: "a".into() }, "exists");
        check(kitfile::Kitfile::parse("model: [").expect_err("it breaks off"), "invalid");
        check(serde_json::from_str::<u8>("{}").expect_err("no number"), "invalid");
        check(anyhow!("anything"), "failed");
    }
}
