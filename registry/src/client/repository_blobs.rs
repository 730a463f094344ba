//! The blobs of a repository in a registry, for code that knows no async.

use std::io::{self, Read};

use futures_util::stream;
use tokio::runtime::Handle;
use tokio_util::io::{StreamReader, SyncIoBridge};

use super::Client;
use crate::content::Descriptor;
use crate::{Blobs, Reference, Result};

/// The blobs of one repository in a registry; the thread that reads one waits for the network.
///
/// A blob ends well only after its size and its digest were verified; else its last read fails.
#[derive(Clone, Debug)]
pub struct RepositoryBlobs {
    client: Client,
    reference: Reference,
    runtime: Handle,
}

impl Client {
    /// The blobs of the repository that `from` names, as [`Blobs`]. They move on `runtime`, and are
    /// read on any other thread than its own.
    ///
    /// ```no_run
    /// use std::io;
    ///
    /// use kit_registry::{Blobs, Client, ClientOptions, Reference, content::Document};
    ///
    /// # fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let runtime = tokio::runtime::Runtime::new()?;
    /// let client = Client::new(ClientOptions::default())?;
    /// let reference: Reference = "ghcr.io/demo/greeting:v1".parse()?;
    /// let (descriptor, bytes) = runtime.block_on(client.manifest(&reference))?;
    /// let manifest = Document::parse(descriptor.media_type(), &bytes)?;
    /// let blobs = client.blobs(&reference, runtime.handle().clone());
    /// io::copy(&mut blobs.open(&manifest.layers[0])?, &mut io::stdout())?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn blobs(&self, from: &Reference, runtime: Handle) -> RepositoryBlobs {
        RepositoryBlobs { client: self.clone(), reference: from.clone(), runtime }
    }
}

impl RepositoryBlobs {
    /// What names the repository.
    pub fn reference(&self) -> &Reference {
        &self.reference
    }
}

impl Blobs for RepositoryBlobs {
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        let blob = self.client.blob(&self.reference, descriptor)?;
        let chunks = stream::try_unfold(blob, |mut blob| async move {
            let chunk = blob.chunk().await.map_err(io::Error::other)?;
            Ok::<_, io::Error>(chunk.map(|chunk| (chunk, blob)))
        });
        let reader = StreamReader::new(Box::pin(chunks));
        Ok(Box::new(SyncIoBridge::new_with_handle(reader, self.runtime.clone())))
    }
}
