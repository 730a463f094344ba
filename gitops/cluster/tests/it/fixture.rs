//! A repository, a cluster that follows it, and somebody who asks its Service.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fs_err as fs;
use kit_cluster::{Cluster, Options};
use serde_json::Value;
use tempfile::TempDir;

use crate::server::{Shelf, StandIns};

/// Longer than anything here takes on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
const URL: &str = "https://git.example.com/demo/ml-infra";

type Heard = Arc<Mutex<Vec<String>>>;

/// Starts a cluster that follows `repository`.
pub(super) fn follow(repository: &Path, dir: &Path, log: &Heard) -> kit_cluster::Result<Cluster> {
    let heard = Arc::clone(log);
    let mut options = Options::new(dir.join("state"), Arc::new(StandIns));
    options.sources = BTreeMap::from([(URL.to_owned(), repository.to_owned())]);
    options.artifacts = Some(Arc::new(Shelf(dir.join("shelf"))));
    options.on_event = Some(Arc::new(move |event| heard.lock().unwrap().push(event.to_string())));
    Cluster::start(options)
}

/// A cluster and the bare repository that it follows.
pub(super) struct World {
    pub(super) cluster: Cluster,
    pub(super) dir: TempDir,
    pub(super) log: Heard,
}

impl World {
    /// A cluster with one Deployment of `image` and a Service, not waited for.
    pub(super) fn begin(image: &str, replicas: usize) -> (Self, String) {
        let dir = tempfile::tempdir().unwrap();
        git(dir.path(), &["init", "--quiet", "--bare", "--initial-branch=main", "infra.git"]);
        git(dir.path(), &["clone", "--quiet", "infra.git", "work"]);
        let log = Heard::default();
        let cluster = follow(&dir.path().join("infra.git"), dir.path(), &log).unwrap();
        let world = Self { cluster, dir, log };
        world.write("clusters/dev/app.yaml", KUSTOMIZATION);
        world.write("apps/web/kustomization.yaml", "resources: [deployment.yaml, service.yaml]\n");
        world.write("apps/web/service.yaml", SERVICE);
        let revision = world.deploy(image, replicas);
        (world, revision)
    }

    /// Begins, and waits until it is ready.
    pub(super) fn ready(image: &str, replicas: usize) -> Self {
        let (world, revision) = Self::begin(image, replicas);
        world.settle(&revision);
        world
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        let file = self.dir.path().join("work").join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    /// Commits `image` as the one to run; the revision.
    pub(super) fn deploy(&self, image: &str, replicas: usize) -> String {
        let text = DEPLOYMENT.replace("REPLICAS", &replicas.to_string()).replace("IMAGE", image);
        self.write("apps/web/deployment.yaml", &text);
        self.push()
    }

    /// Commits and pushes all that was written; the revision.
    pub(super) fn push(&self) -> String {
        let work = self.dir.path().join("work");
        git(&work, &["add", "--all"]);
        git(&work, &["commit", "--quiet", "--allow-empty", "--message", "a change"]);
        git(&work, &["push", "--quiet", "origin", "HEAD:main"]);
        format!("main@sha1:{}", git(&work, &["rev-parse", "HEAD"]))
    }

    pub(super) fn settle(&self, revision: &str) {
        if let Err(error) = self.cluster.wait_ready("app", revision, PATIENCE) {
            panic!("{error}\n{}", self.story());
        }
    }

    #[track_caller]
    pub(super) fn wait(&self, what: &str, holds: impl FnMut(&Cluster) -> bool) {
        assert!(
            self.cluster.wait_until(PATIENCE, holds),
            "{what} does not come true\n{}",
            self.story()
        );
    }

    /// What was logged, and what the objects say: for the eyes of whoever finds a test red.
    pub(super) fn story(&self) -> String {
        let objects = self.cluster.objects();
        let status = |object: &gitops::Object| {
            format!("{}: {}", object.id(), object.at("/status").unwrap_or(&Value::Null))
        };
        let objects = objects.iter().map(status).collect::<Vec<_>>().join("\n");
        format!(
            "{}\n{objects}\n{:?}",
            self.log.lock().unwrap().join("\n"),
            self.cluster.pods("default")
        )
    }

    /// What the Service answers.
    pub(super) fn ask(&self) -> Result<String, String> {
        ask(&self.cluster.service_url("default/web", 8080).map_err(|error| error.to_string())?)
    }
}

pub(super) fn ask(url: &str) -> Result<String, String> {
    let config = ureq::Agent::config_builder().proxy(None).timeout_global(Some(PATIENCE)).build();
    let mut response =
        ureq::Agent::new_with_config(config).get(url).call().map_err(|error| error.to_string())?;
    response.body_mut().read_to_string().map_err(|error| error.to_string())
}

/// Runs git; its answer without the line end.
pub(super) fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args([
            "-c",
            "user.name=Test",
            "-c",
            "user.email=test@example.com",
            "-c",
            "commit.gpgsign=false",
        ])
        .args(args)
        .env_remove("GIT_DIR")
        .env_remove("GIT_INDEX_FILE")
        .env_remove("GIT_WORK_TREE")
        .current_dir(dir)
        .output()
        .expect("git is installed");
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// Somebody who asks again and again, each time over a connection of its own.
pub(super) struct Client {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Result<String, String>>>,
}

impl Client {
    pub(super) fn begin(world: &World) -> Self {
        let url = world.cluster.service_url("default/web", 8080).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&over);
        let thread = thread::spawn(move || {
            let mut answers = Vec::new();
            while !end.load(Ordering::Acquire) {
                answers.push(ask(&url));
            }
            answers
        });
        Self { over, thread }
    }

    /// Every answer, in order.
    pub(super) fn end(self) -> Vec<Result<String, String>> {
        self.over.store(true, Ordering::Release);
        self.thread.join().unwrap()
    }
}

const KUSTOMIZATION: &str = "\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: app, namespace: flux-system}
spec:
  interval: 1h
  timeout: 30s
  path: ./apps/web
  prune: true
  wait: true
  sourceRef: {kind: GitRepository, name: flux-system}
";

pub(super) const SERVICE: &str = "\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec:
  selector: {app: web}
  ports: [{port: 8080, targetPort: http}]
";

const DEPLOYMENT: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default}
spec:
  replicas: REPLICAS
  progressDeadlineSeconds: 5
  strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 3
      volumes: [{name: data, emptyDir: {}}]
      containers:
      - name: server
        image: IMAGE
        ports: [{name: http, containerPort: 8000}]
        resources: {limits: {memory: 64Mi}}
        securityContext: {runAsNonRoot: true}
        volumeMounts: [{name: data, mountPath: /data}]
        readinessProbe: {httpGet: {path: /readyz, port: http}, periodSeconds: 1}
        livenessProbe: {tcpSocket: {port: http}, periodSeconds: 1}
        lifecycle: {preStop: {sleep: {seconds: 1}}}
";
