//! What a file on a hub begins with.

use reqwest::header::RANGE;

use super::content_name::Content;
use super::refusal::{Wanted, refusal};
use super::{Hub, HubFile, Snapshot};
use crate::client::http::{Call, check_first_byte, check_plain, location};
use crate::{HttpError, Result};

impl Hub {
    /// Reads the first `most` bytes of a file, or all of one that is shorter; no more than that
    /// comes over the wire from a hub that knows ranges. They are verified only where they are all:
    /// the name of a whole says nothing of its beginning.
    pub async fn head(&self, snapshot: &Snapshot, file: &HubFile, most: u64) -> Result<Vec<u8>> {
        snapshot.check_path(file)?;
        let most = most.min(file.size) as usize;
        if most == 0 {
            return Ok(Vec::new());
        }
        let call = Call::get(self.file_url(snapshot, &file.path)?)
            .with(RANGE, &format!("bytes=0-{}", most - 1));
        let mut response = self.get(call).await?;
        if matches!(response.status().as_u16(), 400 | 405 | 416 | 501) {
            // No parts here: of the whole no more is read than is wanted.
            response = self.get(Call::get(self.file_url(snapshot, &file.path)?)).await?;
        }
        match response.status().as_u16() {
            200 => check_plain(&response, file.size)?,
            206 => {
                check_first_byte(&response, 0)?;
                check_plain(&response, most as u64)?;
            }
            _ => {
                return Err(refusal(
                    &self.http,
                    response,
                    &snapshot.repo,
                    Wanted::File(&file.path),
                )
                .await);
            }
        }
        let mut head = Vec::with_capacity(most);
        while head.len() < most {
            let Some(chunk) = self.http.chunk(&mut response).await? else {
                return Err(HttpError::Cut {
                    url: location::shown(response.url()),
                    received: head.len() as u64,
                }
                .into());
            };
            head.extend_from_slice(&chunk[..chunk.len().min(most - head.len())]);
        }
        if most as u64 == file.size {
            let mut content = Content::of(file);
            content.update(&head);
            if let Some(error) = content.verify(snapshot) {
                return Err(error);
            }
        }
        Ok(head)
    }
}
