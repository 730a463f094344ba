//! The source-controller's part: a branch of a bare Git repository becomes a revision and a tree.
//! Git itself is run for it, and nothing but the repository on this disk is asked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use fs_err as fs;
use gitops::flux::{self, GitRepository};
use gitops::{Object, Tree};
use serde_json::{Value, json};

use crate::changes::locked;
use crate::clock::Moment;
use crate::condition::{self, Condition};
use crate::error::chain;
use crate::flux::REQUESTED;
use crate::notice::Notice;
use crate::store::Store;
use crate::{Error, Result, notice};

/// What a source has at the moment.
#[derive(Debug)]
pub(crate) struct Artifact {
    /// `main@sha1:<40 hexadecimal digits>`, or `latest@sha256:…` of a registry.
    pub(crate) revision: String,
    /// The beginning of the commit's message; empty where there is no commit.
    pub(crate) subject: String,
    /// Where an artifact of a registry says that it came from.
    pub(crate) origin: Option<String>,
    pub(crate) tree: Tree,
}

/// How often git is asked although nothing seems to have moved: a branch may be a symbolic one, or
/// its repository a work tree of another.
const ASK: Duration = Duration::from_secs(5);

/// Content, length and age of a file, as far as they matter; none where there is no such file.
type Trace = Option<(Vec<u8>, u64, Option<SystemTime>)>;

/// Where a branch was.
struct Head {
    /// What the repository's files looked like just before.
    traces: Vec<Trace>,
    asked: Moment,
    commit: String,
}

/// Fetches for the GitRepositories of the cluster.
pub(crate) struct Sources {
    /// The bare repository on this disk that stands for a URL.
    repositories: BTreeMap<String, PathBuf>,
    /// Checkouts, one folder for each commit.
    checkouts: PathBuf,
    store: Arc<Store>,
    artifacts: Mutex<BTreeMap<(String, String), Arc<Artifact>>>,
    /// Where branches were when git was asked last, by repository and branch.
    heads: Mutex<BTreeMap<(PathBuf, String), Head>>,
    /// The folder to bootstrap with, until that has been done.
    root: Mutex<Option<String>>,
}

impl Sources {
    pub(crate) fn new(
        repositories: BTreeMap<String, PathBuf>,
        root: String,
        checkouts: PathBuf,
        store: Arc<Store>,
    ) -> Result<Self> {
        for repository in repositories.values() {
            git(repository, &["rev-parse", "--git-dir"]).map_err(|source| Error::NoRepository {
                dir: repository.clone(),
                source: Box::new(source),
            })?;
        }
        fs::create_dir_all(&checkouts)?;
        let root = Mutex::new(Some(root));
        let (artifacts, heads) = (Mutex::default(), Mutex::default());
        Ok(Self { repositories, checkouts, store, artifacts, heads, root })
    }

    /// The present artifact of a GitRepository, if it has one.
    pub(crate) fn artifact(&self, namespace: &str, name: &str) -> Option<Arc<Artifact>> {
        let key = (namespace.to_owned(), name.to_owned());
        locked(&self.artifacts).get(&key).cloned()
    }

    /// Looks at every GitRepository once, and writes what it found into its status.
    /// A real cluster asks at the GitRepository's `interval`; asking a disk is cheap, so this is
    /// called far more often.
    pub(crate) fn sync(&self) -> Result<()> {
        self.bootstrap()?;
        let objects = self.store.list("source.toolkit.fluxcd.io", "GitRepository");
        for object in &objects {
            match self.fetch(object) {
                Ok(None) => {}
                Ok(Some(artifact)) => self.store(object, artifact)?,
                Err(error) => self.report(object, &chain(&error))?,
            }
            self.answer_request(object)?;
        }
        let is_there = |(namespace, name): &(String, String)| {
            objects.iter().any(|object| object.namespace() == namespace && object.name() == name)
        };
        locked(&self.artifacts).retain(|key, _| is_there(key));
        Ok(())
    }

    /// As soon as a repository has the root folder on the branch that its `HEAD` names: the two
    /// objects that `flux bootstrap` creates by hand. What the folder itself says of them is
    /// applied over them.
    fn bootstrap(&self) -> Result<()> {
        let mut pending = locked(&self.root);
        let Some(root) = &*pending else { return Ok(()) };
        let Some((url, branch)) = self.repositories.iter().find_map(|(url, repository)| {
            let branch = git(repository, &["symbolic-ref", "--short", "HEAD"]).ok()?;
            let tree = format!("{}:{root}", self.head(repository, &branch).ok()?);
            git(repository, &["cat-file", "-e", &tree]).ok().map(|_| (url, branch))
        }) else {
            return Ok(());
        };
        for object in sync_objects(url, &branch, root) {
            self.store.apply(&Object::from_value(object)?)?;
        }
        *pending = None;
        Ok(())
    }

    /// The artifact, unless the present one is still the newest.
    fn fetch(&self, object: &Object) -> Result<Option<Artifact>> {
        let Some(source) = GitRepository::read(object)?.filter(|source| !source.suspend) else {
            return Ok(None);
        };
        let repository = self
            .repositories
            .get(&source.url)
            .ok_or_else(|| Error::NoSource { url: source.url.clone() })?;
        let branch = source.branch.ok_or(Error::NoBranch)?;
        let head = self
            .head(repository, &branch)
            .map_err(|error| Error::Clone { url: source.url.clone(), source: Box::new(error) })?;
        let revision = format!("{branch}@sha1:{head}");
        let present = self.artifact(&source.namespace, &source.name);
        if present.is_some_and(|artifact| artifact.revision == revision)
            && condition::holds(object.value(), "Ready")
        {
            return Ok(None);
        }
        let tree = Tree::read(&self.checkout(repository, &head)?)?;
        let tree = flux::artifact(&tree, source.ignore.as_deref());
        let message = git(repository, &["show", "--no-patch", "--format=%B", &head])?;
        let subject = shortened(message.lines().next().unwrap_or_default());
        Ok(Some(Artifact { revision, subject, origin: None, tree }))
    }

    /// The commit that a branch leads to. Git is asked when the repository's files say that something
    /// moved, and now and then.
    fn head(&self, repository: &Path, branch: &str) -> Result<String> {
        let key = (repository.to_owned(), branch.to_owned());
        let (now, traces) = (Moment::now(), traces(repository, branch));
        if let Some(known) = locked(&self.heads).get(&key)
            && known.traces == traces
            && now.since(known.asked) < ASK
        {
            return Ok(known.commit.clone());
        }
        let reference = format!("refs/heads/{branch}^{{commit}}");
        let commit = git(repository, &["rev-parse", "--verify", "--quiet", &reference])
            .map_err(|_| Error::RemoteRef { branch: branch.to_owned() })?;
        if commit.len() != 40 || !commit.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(Error::NotACommit { text: commit });
        }
        let head = Head { traces, asked: now, commit: commit.clone() };
        locked(&self.heads).insert(key, head);
        Ok(commit)
    }

    /// The folder with the files of a commit; made once for each.
    fn checkout(&self, repository: &Path, name: &str) -> Result<PathBuf> {
        let folder = self.checkouts.join(name);
        if folder.is_dir() {
            return Ok(folder);
        }
        let unfinished = self.checkouts.join(format!(".{name}"));
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished)?;
        }
        fs::create_dir_all(&unfinished)?;
        // An index of its own: a bare repository has none, and two checkouts must not share one.
        let index = unfinished.with_extension("index");
        let run = |args: &[&str]| {
            let mut command = command(repository);
            output(
                command
                    .env("GIT_INDEX_FILE", &index)
                    .arg("--work-tree")
                    .arg(&unfinished)
                    .args(args),
            )
        };
        run(&["read-tree", name])?;
        run(&["checkout-index", "--all"])?;
        fs::remove_file(&index)?;
        fs::rename(&unfinished, &folder)?;
        Ok(folder)
    }

    fn store(&self, object: &Object, artifact: Artifact) -> Result<()> {
        let told = format!("stored artifact for commit '{}'", artifact.subject);
        self.tell(object, &Notice { kind: "Normal", reason: "NewArtifact", message: &told })?;
        let message = format!("stored artifact for revision '{}'", artifact.revision);
        let conditions = vec![
            Condition::new("Ready", "True", "Succeeded", &message),
            Condition::new("ArtifactInStorage", "True", "Succeeded", &message),
        ];
        let status = json!({
            "observedGeneration": object.at("/metadata/generation"),
            "artifact": {"revision": artifact.revision},
            "conditions": condition::list(object.value(), conditions),
        });
        let key = (object.namespace().to_owned(), object.name().to_owned());
        locked(&self.artifacts).insert(key, Arc::new(artifact));
        self.store.set_status(&object.id(), status)
    }

    /// Says of a request to look that it was done, as `flux reconcile source git` waits for.
    fn answer_request(&self, object: &Object) -> Result<()> {
        let Some(asked) = object.annotation(REQUESTED) else { return Ok(()) };
        self.store.change(&object.id(), |object| {
            object["status"]["lastHandledReconcileAt"] = asked.into();
        })
    }

    fn tell(&self, object: &Object, notice: &Notice<'_>) -> Result<()> {
        notice::record(&self.store, "source-controller", object, notice)
    }

    /// A failed fetch leaves the former artifact in use.
    fn report(&self, object: &Object, why: &str) -> Result<()> {
        let message = format!("failed to checkout and determine revision: {why}");
        let known = condition::find(object.value(), "Ready");
        if known.is_none_or(|it| it["message"] != message.as_str()) {
            let notice =
                Notice { kind: "Warning", reason: "GitOperationFailed", message: &message };
            self.tell(object, &notice)?;
        }
        let failed = Condition::new("Ready", "False", "GitOperationFailed", message);
        let conditions = condition::list(object.value(), vec![failed]);
        let artifact = object.at("/status/artifact").cloned();
        self.store.set_status(
            &object.id(),
            json!({"observedGeneration": object.at("/metadata/generation"), "artifact": artifact, "conditions": conditions}),
        )
    }
}

/// The files in which git keeps where a branch is, whatever the repository's form: what the small one
/// says, and how large and old the others are. Asking git five times a second would cost far more.
fn traces(repository: &Path, branch: &str) -> Vec<Trace> {
    let loose = fs::read(repository.join(format!("refs/heads/{branch}"))).ok();
    let of_file = |name: &str| {
        let metadata = fs::metadata(repository.join(name)).ok()?;
        Some((Vec::new(), metadata.len(), metadata.modified().ok()))
    };
    let others = ["packed-refs", "reftable/tables.list"].map(of_file);
    std::iter::once(loose.map(|bytes| (bytes, 0, None))).chain(others).collect()
}

/// The GitRepository and the Kustomization of a fresh `gotk-sync.yaml`.
fn sync_objects(url: &str, branch: &str, root: &str) -> [Value; 2] {
    let metadata = json!({"name": "flux-system", "namespace": "flux-system"});
    let repository = json!({
        "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository", "metadata": metadata,
        "spec": {"interval": "1m0s", "url": url, "ref": {"branch": branch}},
    });
    let source = json!({"kind": "GitRepository", "name": "flux-system"});
    let kustomization = json!({
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "metadata": metadata,
        "spec": {"interval": "10m0s", "path": format!("./{root}"), "prune": true, "sourceRef": source},
    });
    [repository, kustomization]
}

/// The first line of a commit's message as Flux tells it.
fn shortened(line: &str) -> String {
    match line.char_indices().nth(50) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line.to_owned(),
    }
}

/// One answer of git about a bare repository, without the line end.
fn git(repository: &Path, args: &[&str]) -> Result<String> {
    output(command(repository).args(args))
}

fn command(repository: &Path) -> Command {
    let mut command = Command::new("git");
    command.arg("-c").arg("safe.directory=*").arg("--git-dir").arg(repository);
    // A hook that runs us has set these for a repository of its own.
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX"]
    {
        command.env_remove(name);
    }
    command
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output().map_err(Error::NoGit)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let said = if said.is_empty() { "not found".to_owned() } else { said };
        return Err(Error::Git { said });
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_that_moves_leaves_traces_however_it_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let run = |args: &[&str]| git(dir.path(), args).unwrap();
        run(&["init", "--quiet", "--bare", "--initial-branch=main"]);
        let tree = run(&["mktree"]);
        let commit = |message: &str| {
            let who = ["-c", "user.name=Test", "-c", "user.email=test@example.com"];
            run(&[&who[..], &["commit-tree", "-m", message, &tree]].concat())
        };
        let [first, second] = ["first", "second"].map(commit);
        let mut seen = vec![traces(dir.path(), "main")];
        for step in [
            &["update-ref", "refs/heads/main", &first][..],
            &["update-ref", "refs/heads/main", &second],
            &["pack-refs", "--all"],
            &["update-ref", "refs/heads/main", &first],
        ] {
            run(step);
            let now = traces(dir.path(), "main");
            assert!(!seen.contains(&now), "{step:?}");
            assert_eq!(now, traces(dir.path(), "main"));
            seen.push(now);
        }
    }
}
