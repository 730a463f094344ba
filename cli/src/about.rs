//! What a failure was about, for programs.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::io;
use std::path::Path;

use crate::kind::{causes, of_registry};

/// What the errors say that they were about. The outermost one that says something is right: what
/// is further down is a part of it.
pub(crate) fn of(error: &anyhow::Error) -> BTreeMap<&'static str, String> {
    let mut about = BTreeMap::new();
    for cause in causes(error.as_ref()) {
        let mut say = |key, value: String| {
            about.entry(key).or_insert(value);
        };
        if let Some(trust::Error::Registry(error)) = cause.downcast_ref() {
            registry(error, &mut say);
        } else if let Some(error) = of_registry(cause) {
            registry(error, &mut say);
        } else if let Some(error) = cause.downcast_ref::<modelkit::Error>() {
            modelkit(error, &mut say);
        } else if let Some(path) = cause.downcast_ref::<io::Error>().and_then(file) {
            say("path", path);
        }
        #[cfg(feature = "full")]
        if let Some(error) = cause.downcast_ref::<trainer::Error>() {
            trained(error, &mut say);
        }
    }
    about
}

type Say<'a> = &'a mut dyn FnMut(&'static str, String);

fn registry(error: &registry::Error, say: Say<'_>) {
    use registry::{AuthError, ClientError, ContentError, Error, HttpError, LayoutError};
    match error {
        Error::InvalidReference { text, .. } => say("reference", text.clone()),
        Error::Certificate { path, .. } => say("path", shown(path)),
        Error::Content(ContentError::WrongDigest { expected, .. }) => {
            say("digest", expected.to_string());
        }
        Error::Layout(LayoutError::MissingBlob { digest, path }) => {
            say("digest", digest.to_string());
            say("path", shown(path));
        }
        Error::Layout(
            LayoutError::UnknownReference { reference, .. } | LayoutError::NoTag { reference },
        ) => say("reference", reference.to_string()),
        Error::Layout(LayoutError::Version { root, .. } | LayoutError::InUse { root }) => {
            say("path", shown(root));
        }
        Error::Http(
            HttpError::Request { url, .. }
            | HttpError::UntrustedCertificate { url, .. }
            | HttpError::Stalled { url, .. }
            | HttpError::Cut { url, .. }
            | HttpError::Status { url, .. }
            | HttpError::Redirect { url, .. }
            | HttpError::Protocol { url, .. },
        ) => say("url", url.clone()),
        Error::Auth(
            AuthError::NotLoggedIn { registry }
            | AuthError::Denied { registry, .. }
            | AuthError::UnusableCredential { registry }
            | AuthError::UnknownChallenge { registry },
        ) => say("registry", registry.clone()),
        Error::Auth(
            AuthError::UntrustedRealm { registry, realm }
            | AuthError::Token { registry, realm, .. },
        ) => {
            say("registry", registry.clone());
            say("url", realm.clone());
        }
        Error::Client(ClientError::UnknownManifest { reference }) => {
            say("reference", reference.to_string());
        }
        Error::Client(
            ClientError::UnknownBlob { digest, repository }
            | ClientError::WrongBlob { digest, repository, .. }
            | ClientError::WrongManifest { digest, repository, .. }
            | ClientError::Download { digest, repository, .. }
            | ClientError::Upload { digest, repository, .. },
        ) => {
            say("digest", digest.to_string());
            say("repository", repository.clone());
        }
        #[cfg(feature = "servers")]
        Error::Hub(error) => hub(error, say),
        _ => (),
    }
}

#[cfg(feature = "servers")]
fn hub(error: &registry::HubError, say: Say<'_>) {
    use registry::HubError;
    match error {
        HubError::UnknownRepo { repo } | HubError::GatedRepo { repo } => {
            say("repository", repo.clone());
        }
        HubError::UnknownRevision { repo, revision } => {
            say("repository", repo.clone());
            say("revision", revision.clone());
        }
        HubError::UnknownFile { repo, path }
        | HubError::UnsafePath { repo, path }
        | HubError::DownloadUnderWay { repo, path }
        | HubError::WrongFile { repo, path, .. } => {
            say("repository", repo.clone());
            say("path", path.clone());
        }
        _ => (),
    }
}

fn modelkit(error: &modelkit::Error, say: Say<'_>) {
    use modelkit::Error;
    match error {
        Error::MissingPath { path, .. }
        | Error::LayerPath { path, .. }
        | Error::Name { path, .. }
        | Error::NotReady { path }
        | Error::RemoteDataset { path, .. } => say("path", path.clone()),
        Error::Changed { path }
        | Error::IgnorePattern { path, .. }
        | Error::Bundle { path, .. }
        | Error::Exists { path }
        | Error::OtherKitfile { path }
        | Error::Repository { path }
        | Error::NoRoom { path, .. }
        | Error::InTheWay { path, .. } => say("path", shown(path)),
        Error::NotAModelKit { digest, .. }
        | Error::Document { digest, .. }
        | Error::Config { digest, .. }
        | Error::Layer { digest, .. }
        | Error::NoTree { digest, .. }
        | Error::NotAnImage { digest, .. } => say("digest", digest.to_string()),
        Error::MissingParent { reference } => say("reference", reference.to_string()),
        Error::Reference { reference, .. } => say("reference", reference.clone()),
        _ => (),
    }
}

#[cfg(feature = "full")]
fn trained(error: &trainer::Error, say: Say<'_>) {
    use trainer::Error;
    match error {
        Error::NotReplaced { dir } | Error::SavedModel { dir, .. } => say("path", shown(dir)),
        Error::DatasetDocument { path, .. }
        | Error::DatasetFormat { path, .. }
        | Error::DatasetColumn { path, .. }
        | Error::DatasetRows { path, .. }
        | Error::TrainingUnderWay { path }
        | Error::State { path, .. }
        | Error::OtherTraining { path, .. } => say("path", shown(path)),
        _ => (),
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// The file of an IO error, which only its words tell: "failed to open file `PATH`: …".
fn file(error: &io::Error) -> Option<String> {
    let said = error.get_ref().map(|inner: &(dyn StdError + Send + Sync)| inner.to_string())?;
    let (_, path) = said.strip_prefix("failed to ")?.split_once('`')?;
    path.rsplit_once('`').map(|(path, _)| path.to_owned())
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn a_failure_says_what_it_was_about() {
        let check = |error: anyhow::Error, expected: &[(&'static str, &str)]| {
            let about = of(&error);
            let about: Vec<_> = about.iter().map(|(key, value)| (*key, value.as_str())).collect();
            assert_eq!(about, expected, "{error:#}");
        };
        let read = fs_err::read("/no/such/file").context("cannot read it");
        check(read.expect_err("it is not there"), &[("path", "/no/such/file")]);
        let digest = registry::content::digest(b"content");
        let source = registry::HttpError::Cut { url: "https://r.example/b".into(), received: 1 };
        let download = registry::ClientError::Download {
            digest: digest.clone(),
            repository: "r.example/a".into(),
            source: Box::new(registry::Error::from(source)),
        };
        let about = [
            ("digest", digest.as_ref()),
            ("repository", "r.example/a"),
            ("url", "https://r.example/b"),
        ];
        check(registry::Error::from(download).into(), &about);
    }
}
