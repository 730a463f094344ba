//! ModelKits wherever they are: in the local layout, else in their registry, whose layers are
//! streamed when they are wanted.

use std::io::{self, Read};

use anyhow::Context as _;
use modelkit::{Blobs, ModelKit, Selection, Source, Sources};
use registry::content::Descriptor;
use registry::{Client, Layout, Reference};
use tokio::runtime::Handle;

use crate::network::Network;
use crate::ui::Ui;

/// Where a command looks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In the local layout, then in the registry.
    Anywhere,
    /// In the local layout only.
    Local,
    /// In the registry only.
    Remote,
}

/// A ModelKit, and what opens its blobs.
pub(super) struct Found {
    pub(super) kit: ModelKit,
    blobs: Opener,
}

enum Opener {
    Local(Layout),
    Remote(Remote),
}

impl Found {
    /// The ModelKit with what opens its blobs.
    pub(super) fn into_source(self) -> Source<'static> {
        let blobs: Box<dyn Blobs> = match self.blobs {
            Opener::Local(layout) => Box::new(layout),
            Opener::Remote(remote) => Box::new(remote),
        };
        Source { kit: self.kit, blobs }
    }

    /// The reference that it was found under in a registry; none when it is local.
    pub(super) fn remote(&self) -> Option<&Reference> {
        match &self.blobs {
            Opener::Local(_) => None,
            Opener::Remote(remote) => Some(&remote.reference),
        }
    }
}

/// Finds a ModelKit: its documents are read and verified, its layers not looked at.
pub(super) fn find(
    reference: &Reference,
    place: Place,
    network: &Network,
    ui: &Ui,
) -> anyhow::Result<Found> {
    let layout = ui.layout()?;
    if place != Place::Remote {
        match layout.resolve(reference) {
            Ok(descriptor) => {
                return Ok(Found {
                    kit: ModelKit::read(&layout, &descriptor)?,
                    blobs: Opener::Local(layout),
                });
            }
            Err(missing) if place == Place::Local || reference.is_local() => {
                return Err(missing.into());
            }
            Err(registry::Error::UnknownReference { .. }) => (),
            Err(error) => return Err(error.into()),
        }
    }
    let client = network.client(ui)?;
    let kit = ui
        .block_on(async {
            let (descriptor, manifest) = client.manifest(reference).await?;
            let config = modelkit::config_descriptor(&manifest)?;
            let config = client.read_blob(reference, &config).await?;
            Ok(ModelKit::parse(descriptor, manifest, &config)?)
        })
        .with_context(|| format!("cannot read {reference}"))?;
    // Resolved once: its blobs are those of the digest, whatever becomes of the tag.
    let reference = reference.with_digest(kit.digest().clone());
    Ok(Found { kit, blobs: Opener::Remote(Remote { client, reference, runtime: ui.handle() }) })
}

/// Finds all that is needed for what is meant of a ModelKit.
pub(super) fn together(
    itself: Found,
    selection: Selection,
    network: &Network,
    ui: &Ui,
) -> anyhow::Result<Sources<'static>> {
    Sources::find(itself.into_source(), selection, |reference| {
        Ok(find(reference, Place::Anywhere, network, ui)?.into_source())
    })
}

/// The blobs of a repository in a registry.
struct Remote {
    client: Client,
    reference: Reference,
    runtime: Handle,
}

impl Blobs for Remote {
    fn open(&self, descriptor: &Descriptor) -> registry::Result<Box<dyn Read + Send + '_>> {
        let blob = self.client.blob(&self.reference, descriptor)?;
        Ok(Box::new(Streamed { blob, piece: Vec::new(), at: 0, runtime: self.runtime.clone() }))
    }
}

/// A blob on its way; the thread that reads it waits for the network.
struct Streamed {
    blob: registry::client::Blob,
    piece: Vec<u8>,
    at: usize,
    runtime: Handle,
}

impl Read for Streamed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            match self.runtime.block_on(self.blob.chunk()).map_err(io::Error::other)? {
                Some(piece) => (self.piece, self.at) = (piece.into(), 0),
                None => return Ok(0),
            }
        }
        let rest = &self.piece[self.at..];
        let n = rest.len().min(buffer.len());
        buffer[..n].copy_from_slice(&rest[..n]);
        self.at += n;
        Ok(n)
    }
}
