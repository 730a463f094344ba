//! What a file on a hub begins with.

use reqwest::header::RANGE;

use super::refusal::{Wanted, refusal};
use super::{Hub, HubFile, Snapshot};
use crate::client::http::{Call, check_first_byte, location};
use crate::{HttpError, Result};

impl Hub {
    /// Reads the first `most` bytes of a file, or all of one that is shorter; no more than that
    /// comes over the wire from a hub that knows ranges. They are not verified: the digest of a
    /// whole says nothing of its beginning.
    pub async fn head(&self, snapshot: &Snapshot, file: &HubFile, most: u64) -> Result<Vec<u8>> {
        snapshot.check_path(file)?;
        let most = most.min(file.size) as usize;
        if most == 0 {
            return Ok(Vec::new());
        }
        let call = Call::get(self.file_url(snapshot, &file.path)?)
            .with(RANGE, &format!("bytes=0-{}", most - 1));
        let mut response = self.get(call).await?;
        match response.status().as_u16() {
            200 => {}
            206 => check_first_byte(&response, 0)?,
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
        Ok(head)
    }
}
