//! A blob on its way to a registry: is it there, does an earlier upload go on, can it be had from a
//! neighbour, and else it is sent.

use super::resumable::ResumableUpload;
use super::saved_session::SavedSession;
use super::session::{Begun, Session, Status, Upload};
use crate::client::blocking::in_layout;
use crate::client::{Direction, Event, Listener, Outcome, Repository};
use crate::content::Descriptor;
use crate::{ClientError, Layout, Result};

/// A blob of at least this many bytes is worth being taken up by the next process, when this one is
/// killed.
const WORTH_REMEMBERING: u64 = 1024 * 1024;

/// Brings a blob to a repository. Returns how it came there, and how many bytes were sent for it.
/// `siblings` are other repositories of the registry that may have it.
pub(crate) async fn push_blob(
    layout: &Layout,
    repository: &Repository,
    descriptor: &Descriptor,
    siblings: &[String],
    on: Listener<'_>,
) -> Result<(Outcome, u64)> {
    let digest = descriptor.digest();
    // The size is checked before anything is said to the registry.
    layout.open(descriptor).map(drop)?;
    on(Event::BlobStarted { descriptor: descriptor.clone(), direction: Direction::Upload });
    let upload = Upload { repository, layout, descriptor, on };
    let (outcome, sent) = upload.run(siblings).await.map_err(|source| ClientError::Upload {
        digest: digest.clone(),
        repository: repository.shown(),
        source: Box::new(source),
    })?;
    if outcome == Outcome::Transferred {
        on(Event::BlobProgress { digest: digest.clone(), bytes: descriptor.size() });
    }
    on(Event::BlobDone { digest: digest.clone(), outcome });
    Ok((outcome, sent))
}

/// Has the registry give a blob of one of its repositories to another one, without that it comes
/// over the wire; `None` where the registry does not.
pub(crate) async fn mount_blob(
    layout: &Layout,
    repository: &Repository,
    descriptor: &Descriptor,
    from: &str,
    on: Listener<'_>,
) -> Result<Option<Outcome>> {
    let upload = Upload { repository, layout, descriptor, on };
    let outcome = match repository.has_blob(descriptor, "pull,push").await? {
        true => Outcome::Existing,
        false => match upload.mount(from).await? {
            Some(Begun::Mounted) => Outcome::Mounted,
            Some(Begun::Session(session)) => {
                upload.cancel(&session.url).await;
                return Ok(None);
            }
            None => return Ok(None),
        },
    };
    on(Event::BlobDone { digest: descriptor.digest().clone(), outcome });
    Ok(Some(outcome))
}

impl Upload<'_> {
    /// Brings the blob, unless it is there already or in one of `siblings`, other repositories of
    /// the registry. Returns how it came there, and how many bytes were sent for it.
    pub(super) async fn run(&self, siblings: &[String]) -> Result<(Outcome, u64)> {
        if self.repository.has_blob(self.descriptor, "pull,push").await? {
            return Ok((Outcome::Existing, 0));
        }
        let mut saved = self.saved().await?;
        let session = match self.recall(&mut saved).await {
            Some(session) => session,
            None => match self.mount_from_any(siblings).await? {
                Some(Begun::Mounted) => return Ok((Outcome::Mounted, 0)),
                Some(Begun::Session(session)) => session,
                None => self.begin().await?,
            },
        };
        Ok((Outcome::Transferred, ResumableUpload::new(self, session, saved).run().await?))
    }

    async fn saved(&self) -> Result<Option<SavedSession>> {
        if self.descriptor.size() < WORTH_REMEMBERING || !self.quirks().can_resume {
            return Ok(None);
        }
        let (repository, digest) = (self.repository.clone(), self.descriptor.digest().clone());
        in_layout(self.layout, move |layout| SavedSession::open(layout, &repository, &digest)).await
    }

    /// Finds the session of an earlier process, if the registry still has something in it.
    async fn recall(&self, saved: &mut Option<SavedSession>) -> Option<Session> {
        let url = saved.as_mut()?.session()?;
        match self.status(&url).await {
            Ok(Status::Open(url, Some(offset))) if offset <= self.descriptor.size() => {
                tracing::debug!(offset, "upload goes on where another process was");
                Some(Session { url, offset, min_chunk: self.quirks().min_chunk })
            }
            Ok(Status::Open(url, _)) => {
                self.cancel(&url).await;
                None
            }
            _ => None,
        }
    }

    /// Asks for the blob from a repository that has it. Not being allowed to look, or to take it, is
    /// not an error: the blob is then sent.
    async fn mount_from_any(&self, siblings: &[String]) -> Result<Option<Begun>> {
        for name in siblings.iter().take(3) {
            let sibling =
                Repository { registry: self.repository.registry.clone(), name: name.clone() };
            if sibling.seems_to_have(self.descriptor).await {
                return self.mount(name).await;
            }
        }
        Ok(None)
    }
}
