//! What a registry does besides answering: it takes away what nobody needs, while it goes on
//! serving.

use std::collections::HashSet;
use std::sync::PoisonError;
use std::time::SystemTime;

use fs_err as fs;

use super::repository::{age, repositories};
use super::{Registry, Repository, manifests, ready};
use crate::content::Digest;
use crate::{Collected, Result};

impl Registry {
    /// Takes away what no manifest of a repository names, and the blobs that then belong to no
    /// repository.
    ///
    /// A blob that was pushed, mounted or asked for less than
    /// [`garbage_grace`](super::ServerOptions::garbage_grace) ago stays: its manifest may be on its
    /// way. Content is read meanwhile; what changes content waits.
    /// [`LayoutError::InUse`](crate::LayoutError::InUse) while another process adds to the layout.
    pub fn collect_garbage(&self) -> Result<Collected> {
        let _alone = self.tidying.write().unwrap_or_else(PoisonError::into_inner);
        let mut kept = HashSet::new();
        let repositories = repositories(&self.layout)?;
        for repository in &repositories {
            for digest in ready::forget(self, repository)? {
                if !manifests::is_needed(&self.layout, &digest)? {
                    self.layout.remove(&digest)?;
                }
            }
        }
        for repository in repositories {
            self.forget_unneeded(&repository, &mut kept)?;
        }
        let collected = self.layout.collect_garbage(kept)?;
        self.metrics.count_garbage(&collected);
        Ok(collected)
    }

    /// Takes from a repository what no manifest of it names, and adds the rest to what is kept.
    fn forget_unneeded(&self, repository: &Repository, kept: &mut HashSet<Digest>) -> Result<()> {
        let needed = repository.needed()?;
        for (digest, link) in repository.blob_links()? {
            match needed.contains(&digest) || age(&link) < self.options.garbage_grace {
                true => drop(kept.insert(digest)),
                false => fs::remove_file(link)?,
            }
        }
        Ok(())
    }

    /// Throws away the uploads that nobody has touched for
    /// [`upload_expiry`](super::ServerOptions::upload_expiry); returns how many. Whoever serves a
    /// registry does so now and then.
    pub fn expire_uploads(&self) -> Result<usize> {
        let mut n_expired = 0;
        for repository in repositories(&self.layout)? {
            n_expired += self.expire_in(&repository)?;
        }
        self.metrics.expired_uploads.inc_by(n_expired as u64);
        Ok(n_expired)
    }

    fn expire_in(&self, repository: &Repository) -> Result<usize> {
        let now = SystemTime::now();
        let mut n_expired = 0;
        for file in repository.uploads()? {
            // Another request may have ended it meanwhile.
            let Ok(touched) = fs::metadata(&file).and_then(|metadata| metadata.modified()) else {
                continue;
            };
            let is_old =
                now.duration_since(touched).unwrap_or_default() > self.options.upload_expiry;
            if is_old && fs::remove_file(&file).is_ok() {
                self.sessions.forget(&file);
                n_expired += 1;
            }
        }
        Ok(n_expired)
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Registry").field(&self.layout.root()).finish()
    }
}
