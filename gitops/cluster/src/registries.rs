//! The source-controller's part for registries: an artifact becomes a revision and a tree. Registries
//! themselves are asked by whoever started the cluster.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fs_err as fs;
use gitops::flux::{self, OciRepository};
use gitops::{BoxError, ImageRef, Object, Tree};
use serde_json::{Value, json};

use crate::changes::locked;
use crate::condition::{self, Condition};
use crate::error::chain;
use crate::flux::REQUESTED;
use crate::notice::Notice;
use crate::source::Artifact;
use crate::store::Store;
use crate::{Result, notice};

/// How soon a registry that failed is asked again.
const AGAIN: Duration = Duration::from_secs(5);

/// Brings artifacts to this machine: the source-controller's half that knows registries.
pub trait Artifacts: Send + Sync {
    /// The digest of the manifest that is named (`host/repository:tag`, or by digest) at the moment.
    fn resolve(&self, artifact: &str) -> Result<String, BoxError>;

    /// The tags of a repository (`host/repository`).
    fn tags(&self, repository: &str) -> Result<Vec<String>, BoxError>;

    /// Unpacks a layer of that manifest into the empty folder `into`, the first one with this media
    /// type or the first one at all, and returns the manifest's annotations.
    fn unpack(
        &self,
        artifact: &str,
        digest: &str,
        media_type: Option<&str>,
        into: &Path,
    ) -> Result<BTreeMap<String, String>, BoxError>;
}

/// Why there is no artifact, as the condition says it.
struct Failed {
    reason: &'static str,
    message: String,
}

fn pull_failed(message: String) -> Failed {
    Failed { reason: "OCIArtifactPullFailed", message }
}

/// Of a manifest.
type Annotations = BTreeMap<String, String>;

/// Namespace and name.
type Key = (String, String);

/// Fetches for the OCIRepositories of the cluster.
pub(crate) struct Registries {
    artifacts: Arc<dyn Artifacts>,
    folder: PathBuf,
    store: Arc<Store>,
    looks: Mutex<BTreeMap<Key, Look>>,
}

/// The last look at an OCIRepository.
struct Look {
    at: Instant,
    /// What it was made for; another value is another look.
    trigger: (Option<Value>, Option<String>),
    has_failed: bool,
    artifact: Option<Arc<Artifact>>,
}

impl Registries {
    pub(crate) fn new(
        artifacts: Arc<dyn Artifacts>,
        folder: PathBuf,
        store: Arc<Store>,
    ) -> Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        Ok(Self { artifacts, folder, store, looks: Mutex::default() })
    }

    /// The present artifact of an OCIRepository, if it has one.
    pub(crate) fn artifact(&self, namespace: &str, name: &str) -> Option<Arc<Artifact>> {
        let key = (namespace.to_owned(), name.to_owned());
        locked(&self.looks).get(&key)?.artifact.clone()
    }

    /// Looks at every OCIRepository whose turn it is, and writes what it found into its status.
    pub(crate) fn sync(&self) -> Result<()> {
        let objects = self.store.list("source.toolkit.fluxcd.io", "OCIRepository");
        for object in &objects {
            self.look(object)?;
        }
        let is_there = |(namespace, name): &Key| {
            objects.iter().any(|object| object.namespace() == namespace && object.name() == name)
        };
        locked(&self.looks).retain(|key, _| is_there(key));
        Ok(())
    }

    fn look(&self, object: &Object) -> Result<()> {
        let key = (object.namespace().to_owned(), object.name().to_owned());
        let requested = object.annotation(REQUESTED).map(str::to_owned);
        let trigger = (object.at("/metadata/generation").cloned(), requested);
        let (pause, found) = match OciRepository::read(object) {
            Ok(None) => return Ok(()),
            Ok(Some(source)) if source.suspend => return Ok(()),
            Ok(Some(source)) => (source.interval, Ok(source)),
            Err(error) => (AGAIN, Err(error)),
        };
        let (present, is_same) = {
            let looks = locked(&self.looks);
            let last = looks.get(&key);
            let pause =
                if last.is_some_and(|last| last.has_failed) { pause.min(AGAIN) } else { pause };
            if last.is_some_and(|last| last.trigger == trigger && last.at.elapsed() < pause) {
                return Ok(());
            }
            let is_same = last.is_some_and(|last| last.trigger.0 == trigger.0 && !last.has_failed);
            (last.and_then(|last| last.artifact.clone()), is_same)
        };
        let (at, request) = (Instant::now(), trigger.1.clone());
        // The registry is asked without the lock: nobody waits for it who only wants to know.
        let fetched = found.map_err(|error| pull_failed(chain(&error))).and_then(|source| {
            let fetched = self.fetch(&source, present.as_deref().filter(|_| is_same))?;
            Ok((fetched, source.url))
        });
        let has_failed = fetched.is_err();
        // A failed fetch leaves the former artifact in use.
        let (artifact, told) = match fetched {
            Ok((None, _)) => (present, Ok(None)),
            Ok((Some((artifact, annotations)), url)) => {
                (Some(Arc::new(artifact)), Ok(Some((url, annotations))))
            }
            Err(why) => (present, Err(why)),
        };
        let look = Look { at, trigger, has_failed, artifact: artifact.clone() };
        // It is there before its status wakes those who wait for it.
        locked(&self.looks).insert(key, look);
        match (told, &artifact) {
            (Ok(Some((url, annotations))), Some(artifact)) => {
                self.stored(object, artifact, &url, &annotations)?;
            }
            (Ok(_), _) => {}
            (Err(why), _) => self.report(object, &why)?,
        }
        match request {
            Some(asked) => self.store.change(&object.id(), |object| {
                object["status"]["lastHandledReconcileAt"] = asked.into();
            }),
            None => Ok(()),
        }
    }

    /// The artifact, unless the present one, made for the same spec, is still the newest.
    fn fetch(
        &self,
        source: &OciRepository,
        present: Option<&Artifact>,
    ) -> Result<Option<(Artifact, Annotations)>, Failed> {
        let artifact = self.artifact_of(source).map_err(|why| Failed {
            reason: "ReadOperationFailed",
            message: format!("failed to determine the artifact tag for '{}': {why}", source.url),
        })?;
        let named = artifact.to_string();
        let digest = self.artifacts.resolve(&named);
        let digest = digest.map_err(|error| {
            pull_failed(format!("failed to determine artifact digest: {}", chain(&*error)))
        })?;
        let revision = OciRepository::revision(&artifact, &digest);
        if present.is_some_and(|it| it.revision == revision) {
            return Ok(None);
        }
        let fetched = self.unpack(&named, &digest, source);
        let (tree, annotations) = fetched.map_err(|error| {
            pull_failed(format!(
                "failed to pull artifact from '{}': {}",
                source.url,
                chain(&*error)
            ))
        })?;
        let origin = annotations.get("org.opencontainers.image.revision").cloned();
        Ok(Some((Artifact { revision, subject: String::new(), origin, tree }, annotations)))
    }

    /// The artifact by the tag that is the newest now, where a range of them is followed.
    fn artifact_of(&self, source: &OciRepository) -> Result<ImageRef, String> {
        let mut artifact = source.artifact.clone();
        if let Some(versions) = &source.versions {
            let tags = self.artifacts.tags(&artifact.name).map_err(|error| chain(&*error))?;
            let newest = versions.newest(tags.iter().map(String::as_str));
            let newest =
                newest.ok_or_else(|| format!("no match found for semver: {}", versions.range))?;
            artifact.tag = Some(newest.to_owned());
        }
        Ok(artifact)
    }

    fn unpack(
        &self,
        named: &str,
        digest: &str,
        source: &OciRepository,
    ) -> Result<(Tree, Annotations), BoxError> {
        let folder = self.folder.join("unpacked");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        let annotations = self.artifacts.unpack(named, digest, source.layer.as_deref(), &folder)?;
        Ok((flux::artifact(&Tree::read(&folder)?, source.ignore.as_deref()), annotations))
    }

    fn stored(
        &self,
        object: &Object,
        artifact: &Artifact,
        url: &str,
        annotations: &Annotations,
    ) -> Result<()> {
        let revision = &artifact.revision;
        let mut told = format!("stored artifact with revision '{revision}' from '{url}'");
        let of = |key: &str| annotations.get(&format!("org.opencontainers.image.{key}"));
        if let (Some(source), Some(revision)) = (of("source"), of("revision")) {
            told += &format!(", origin source '{source}', origin revision '{revision}'");
        }
        self.tell(object, &Notice { kind: "Normal", reason: "NewArtifact", message: &told })?;
        let message = format!("stored artifact for digest '{revision}'");
        let conditions = vec![
            Condition::new("Ready", "True", "Succeeded", &message),
            Condition::new("ArtifactInStorage", "True", "Succeeded", &message),
        ];
        let status = json!({
            "observedGeneration": object.at("/metadata/generation"),
            "artifact": {"revision": revision},
            "conditions": condition::list(object.value(), conditions),
        });
        self.store.set_status(&object.id(), status)
    }

    fn report(&self, object: &Object, why: &Failed) -> Result<()> {
        let Failed { reason, message } = why;
        let known = condition::find(object.value(), "Ready");
        if known.is_none_or(|it| it["message"] != message.as_str()) {
            self.tell(object, &Notice { kind: "Warning", reason, message })?;
        }
        let failed = Condition::new("Ready", "False", reason, message);
        let conditions = condition::list(object.value(), vec![failed]);
        let artifact = object.at("/status/artifact").cloned();
        self.store.set_status(
            &object.id(),
            json!({"observedGeneration": object.at("/metadata/generation"), "artifact": artifact, "conditions": conditions}),
        )
    }

    fn tell(&self, object: &Object, notice: &Notice<'_>) -> Result<()> {
        notice::record(&self.store, "source-controller", object, notice)
    }
}
