//! Images that nobody has pushed: `<repository>/kit-rs:<tag>`, and `/basic` for the same, is the
//! image that serves what `<repository>:<tag>` names.
//!
//! It is made when it is first asked for, by whoever embeds the registry, of content that the
//! repository has; then it is content of a repository of its own, like any other, and found by
//! digest. Its tag is never stored: it is whatever the other repository's tag names now. When that
//! manifest goes, the next garbage collection takes the image, too.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use std::{fmt, io};

use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::limits::{MAX_REFUSED, REFUSED};
use super::repository::{digest_path, digests_in};
use super::route::Version;
use super::{Code, Failure, Registry, Repository, manifests};
use crate::content::{Descriptor, Digest};
use crate::{Layout, Result};

/// What the names of such repositories end with.
const ENDS: [&str; 2] = ["/kit-rs", "/basic"];

/// Makes images of manifests that were pushed. What is none that an image can be made of, it leaves
/// alone.
pub trait ReadyImages: Send + Sync + fmt::Debug {
    /// Names what images are made with: by another one, others are made of the same manifest.
    fn id(&self) -> &str;

    /// Makes the image in the layout that has the manifest, of nothing but what the manifest names,
    /// and always the same; none where the manifest is of another kind, or needs more.
    fn make(
        &self,
        layout: &Layout,
        of: &Descriptor,
    ) -> Result<Option<Descriptor>, Box<dyn StdError + Send + Sync>>;
}

/// What was made of a manifest, and with what.
#[derive(Serialize, Deserialize)]
struct Made {
    with: String,
    image: Descriptor,
    /// What was made with others.
    #[serde(default)]
    before: Vec<Descriptor>,
}

/// Why no image can be made of some manifests, by their digests: whoever asks again is told the same,
/// and nothing is unpacked for it.
#[derive(Default)]
pub(super) struct Refused(Mutex<HashMap<Digest, (Instant, String)>>);

impl Refused {
    fn why(&self, of: &Digest) -> Option<String> {
        let refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, why) = refused.get(of)?;
        (at.elapsed() < REFUSED).then(|| why.clone())
    }

    fn remember(&self, of: &Digest, why: String) {
        let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.len() >= MAX_REFUSED {
            refused.retain(|_, (at, _)| at.elapsed() < REFUSED);
        }
        if refused.len() < MAX_REFUSED {
            refused.insert(of.clone(), (Instant::now(), why));
        }
    }
}

/// What a tag of such a repository stands for.
pub(super) enum Ready {
    /// There is no such image.
    Nothing,
    Made(Descriptor),
    /// It has to be made.
    Missing(Source),
}

/// What an image is made of, and what a person calls that.
pub(super) struct Source {
    of: Descriptor,
    name: String,
}

/// Looks for the image that a tag stands for.
pub(super) fn find(
    registry: &Registry,
    repository: &Repository,
    version: &Version,
) -> Result<Ready, Failure> {
    let (Some(images), Version::Tag(tag)) = (&registry.options.images, version) else {
        return Ok(Ready::Nothing);
    };
    let Some(source) = source_of(registry, repository)? else { return Ok(Ready::Nothing) };
    let Some(of) = source.resolve(tag)? else { return Ok(Ready::Nothing) };
    match known(repository, &of, images.id())? {
        Some(image) => Ok(Ready::Made(image)),
        None if registry.options.read_only => Ok(Ready::Nothing),
        None => {
            let name = format!("{}:{tag}", source.name());
            let source = Source { of, name };
            match registry.refused.why(source.of.digest()) {
                Some(why) => Err(no_image(&source, &why)),
                None => Ok(Ready::Missing(source)),
            }
        }
    }
}

/// Makes the image of a manifest. The caller has the turn: whoever waited for it finds it made.
pub(super) fn make(
    registry: &Registry,
    repository: &Repository,
    source: &Source,
) -> Result<Option<Descriptor>, Failure> {
    let of = &source.of;
    let Some(images) = &registry.options.images else { return Ok(None) };
    if let Some(image) = known(repository, of, images.id())? {
        return Ok(Some(image));
    }
    if let Some(why) = registry.refused.why(of.digest()) {
        return Err(no_image(source, &why));
    }
    // Garbage is not collected meanwhile.
    let _given = registry.tidying.read().unwrap_or_else(PoisonError::into_inner);
    let _hold = registry.layout.hold()?;
    manifests::check_index(registry)?;
    let made =
        images.make(&registry.layout, of).map_err(|error| failure(registry, source, &*error))?;
    let Some(image) = made else { return Ok(None) };
    let _changing = registry.changing.lock().unwrap_or_else(PoisonError::into_inner);
    repository.adopt(&image)?;
    let path = record(repository, of.digest());
    let before = read(&path)?.map_or_else(Vec::new, |made| {
        made.before.into_iter().chain([made.image]).filter(|it| *it != image).collect()
    });
    let made = Made { with: images.id().to_owned(), image: image.clone(), before };
    let bytes = serde_json::to_vec(&made).map_err(|error| Failure::internal(&error))?;
    registry.layout.replace(&path, &bytes)?;
    Ok(Some(image))
}

/// Why no image was made: what the manifest names is no good, or the disk is not.
fn failure(registry: &Registry, source: &Source, error: &(dyn StdError + 'static)) -> Failure {
    let mut causes = std::iter::successors(Some(error), |cause| (**cause).source());
    let fault = causes.find_map(|cause| cause.downcast_ref::<io::Error>().map(io::Error::kind));
    match fault {
        Some(io::ErrorKind::StorageFull) => {
            Failure::new(Code::NoSpace, "the registry's disk is full")
        }
        // So says whoever reads an archive that is cut off or none.
        None | Some(io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => {
            let why = error.to_string();
            registry.refused.remember(source.of.digest(), why.clone());
            no_image(source, &why)
        }
        Some(_) => Failure::internal(error),
    }
}

fn no_image(source: &Source, why: &str) -> Failure {
    let message = format!("no image can be made of {}: {why}", source.name);
    Failure::new(Code::ManifestUnknown, message)
}

/// The repository that has what an image is made of, if this is one for images.
fn source_of(registry: &Registry, repository: &Repository) -> Result<Option<Repository>, Failure> {
    let source = ENDS.iter().find_map(|end| repository.name().strip_suffix(end));
    source.map(|name| registry.repository(name)).transpose()
}

/// The image that was made of a manifest before, with the same.
fn known(repository: &Repository, of: &Descriptor, with: &str) -> Result<Option<Descriptor>> {
    let Some(made) = read(&record(repository, of.digest()))? else { return Ok(None) };
    let is_here = made.with == with && repository.manifest(made.image.digest())?.is_some();
    Ok(is_here.then_some(made.image))
}

/// Forgets the images whose manifests are gone from their repository; returns the digests of those.
pub(super) fn forget(registry: &Registry, repository: &Repository) -> Result<Vec<Digest>> {
    let mut gone = Vec::new();
    let Ok(Some(source)) = source_of(registry, repository) else { return Ok(gone) };
    for (of, path) in digests_in(&records(repository))? {
        if source.manifest(&of)?.is_some() {
            continue;
        }
        for image in read(&path)?.into_iter().flat_map(|it| it.before.into_iter().chain([it.image]))
        {
            if repository.manifest(image.digest())?.is_some() {
                repository.unlink_manifest(&image)?;
                gone.push(image.digest().clone());
            }
        }
        fs::remove_file(path)?;
    }
    Ok(gone)
}

fn read(path: &std::path::Path) -> Result<Option<Made>> {
    match fs::read(path) {
        // What cannot be read is made again.
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn records(repository: &Repository) -> PathBuf {
    repository.dir().join("_ready")
}

fn record(repository: &Repository, of: &Digest) -> PathBuf {
    digest_path(&records(repository), of)
}
