//! A manifest on its way in.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::sync::Arc;

use axum::extract::Request;
use futures_util::StreamExt as _;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::limits::MAX_IN_MEMORY;
use super::{Code, Failure, Registry, blocking, header};
use crate::content::MAX_DOCUMENT_SIZE;

/// Reads a manifest. A large one comes into memory only when all of it has come, and only few at
/// once, which is what the permit is for: its parsed form is larger still.
pub(super) async fn read(
    request: Request,
    registry: &Arc<Registry>,
) -> Result<(Vec<u8>, Option<OwnedSemaphorePermit>), Failure> {
    let too_large = || Failure::new(Code::ManifestTooLarge, "a manifest may have 4 MiB");
    let announced =
        header(&request, "content-length").and_then(|length| length.parse::<u64>().ok());
    if announced.is_some_and(|length| length > MAX_DOCUMENT_SIZE) {
        return Err(too_large());
    }
    let mut pieces = request.into_body().into_data_stream();
    let (mut bytes, mut on_disk, mut size) = (Vec::new(), None, 0);
    let broken = || Failure::new(Code::ManifestInvalid, "the request broke off");
    while let Some(piece) =
        timeout(registry.options.stall_timeout, pieces.next()).await.map_err(|_| broken())?
    {
        let piece = piece.map_err(|_| broken())?;
        size += piece.len() as u64;
        if size > MAX_DOCUMENT_SIZE {
            return Err(too_large());
        }
        bytes.extend_from_slice(&piece);
        if size > MAX_IN_MEMORY {
            let (registry, file) = (registry.clone(), on_disk.take());
            let come = std::mem::take(&mut bytes);
            on_disk = Some(blocking(move || append(&registry, file, &come)).await?);
        }
    }
    let Some(mut file) = on_disk else { return Ok((bytes, None)) };
    let permit = registry.large_manifests.clone().acquire_owned().await;
    let permit = permit.map_err(|error| Failure::internal(&error))?;
    blocking(move || {
        file.rewind()?;
        file.read_to_end(&mut bytes)?;
        Ok((bytes, Some(permit)))
    })
    .await
}

/// Adds to a file without a name, which goes with its last handle.
fn append(registry: &Registry, file: Option<File>, bytes: &[u8]) -> Result<File, Failure> {
    let mut file = match file {
        Some(file) => file,
        None => tempfile::tempfile_in(registry.layout.root().join("ingest"))?,
    };
    file.write_all(bytes)?;
    Ok(file)
}
