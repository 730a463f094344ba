//! The cluster as a whole: its controllers are started, asked, and ended.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fs_err as fs;
use gitops::{Object, ObjectId};

use crate::address::Addresses;
use crate::api::Api;
use crate::changes::{Changes, locked};
use crate::clock::Moment;
use crate::deployment::Deployments;
use crate::error::chain;
use crate::event::Events;
use crate::flux::Flux;
use crate::http::Server;
use crate::image::ImageStore;
use crate::kubelet::Kubelet;
use crate::pod::Stop;
use crate::registries::Registries;
use crate::service::Services;
use crate::source::Sources;
use crate::store::Store;
use crate::{
    Error, Isolation, KustomizationInfo, Options, POLL, PodInfo, Result, TICK, built_in, node,
};

/// A running cluster. Dropping it kills everything; [`Cluster::stop`] drains first.
pub struct Cluster {
    store: Arc<Store>,
    kubelet: Arc<Kubelet>,
    changes: Arc<Changes>,
    flux: Arc<Flux>,
    services: Arc<Mutex<Services>>,
    api: Arc<Api>,
    server: Option<Server>,
    isolation: Isolation,
    closing: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Cluster {
    /// Starts an empty cluster, which begins at once to follow its sources.
    pub fn start(options: Options) -> Result<Self> {
        fs::create_dir_all(&options.state_dir)?;
        // Pods have working directories of their own, so that a relative folder would mean
        // something else to them.
        let state_dir = fs::canonicalize(&options.state_dir)?;
        let events = Events(options.on_event);
        let (isolation, why_not) = Isolation::find(&state_dir)?;
        events.tell("cluster", promise(isolation, why_not));
        let changes = Arc::new(Changes::default());
        let store = Arc::new(Store::new(Arc::clone(&changes))?);
        node::register(&store)?;
        built_in::register(&store)?;
        let images = ImageStore::new(state_dir.join("images"), options.images)?;
        let kubelet =
            Kubelet::new(images, Arc::clone(&store), &state_dir, isolation, events.clone())?;
        let kubelet = Arc::new(kubelet);
        let sources = Sources::new(
            options.sources,
            options.root,
            state_dir.join("sources"),
            Arc::clone(&store),
        )?;
        let sources = Arc::new(sources);
        let folder = state_dir.join("artifacts");
        let registries = options
            .artifacts
            .map(|artifacts| Registries::new(artifacts, folder, Arc::clone(&store)));
        let registries = registries.transpose()?.map(Arc::new);
        let flux = Arc::new(Flux::new(
            Arc::clone(&store),
            Arc::clone(&kubelet),
            Arc::clone(&sources),
            registries.clone(),
            Arc::clone(&changes),
            events.clone(),
        ));
        let addresses = Arc::new(Addresses::new(&state_dir));
        let services = Arc::new(Mutex::new(Services::new(
            Arc::clone(&store),
            Arc::clone(&kubelet),
            Arc::clone(&addresses),
            events.clone(),
        )));
        let api = Arc::new(Api {
            store: Arc::clone(&store),
            kubelet: Arc::clone(&kubelet),
            services: Arc::clone(&services),
            changes: Arc::clone(&changes),
        });
        let (answers, address) = (Arc::clone(&api), options.api);
        let server = Server::start(address, move |request| answers.answer(request))
            .map_err(|source| Error::Listen { address, source })?;
        let deployments = Deployments::new(
            Arc::clone(&store),
            Arc::clone(&kubelet),
            addresses,
            Arc::clone(&changes),
            events.clone(),
            isolation,
        );
        let mut cluster = Self {
            store,
            kubelet,
            changes,
            flux,
            services,
            api,
            server: Some(server),
            isolation,
            closing: Arc::default(),
            threads: Vec::new(),
        };
        cluster.control(deployments, sources, registries, &events)?;
        Ok(cluster)
    }

    /// Starts the controllers, each kind in a thread of its own so that none waits for another.
    fn control(
        &mut self,
        mut deployments: Deployments,
        sources: Arc<Sources>,
        registries: Option<Arc<Registries>>,
        events: &Events,
    ) -> Result<()> {
        let (flux, services, kubelet) =
            (Arc::clone(&self.flux), Arc::clone(&self.services), Arc::clone(&self.kubelet));
        let poll = |()| Some(Moment::now() + POLL);
        self.spawn("source", Pace::Every, events, move |_| sources.sync().map(poll))?;
        if let Some(registries) = registries {
            self.spawn("registry", Pace::Every, events, move |_| registries.sync().map(poll))?;
        }
        self.spawn("flux", Pace::WithChanges, events, move |now| flux.sync(now))?;
        self.spawn("deployment", Pace::WithChanges, events, move |now| deployments.sync(now))?;
        self.spawn("service", Pace::WithChanges, events, move |now| {
            kubelet.reap();
            let mut services = locked(&services);
            services.sync()?;
            Ok(services.has_shut().then(|| now + AGAIN))
        })
    }

    /// Runs `look`, which says when the next one is due, at that pace until the cluster closes, in a
    /// thread of its own.
    fn spawn(
        &mut self,
        name: &'static str,
        pace: Pace,
        events: &Events,
        mut look: impl FnMut(Moment) -> Result<Option<Moment>> + Send + 'static,
    ) -> Result<()> {
        let (changes, closing, events) =
            (Arc::clone(&self.changes), Arc::clone(&self.closing), events.clone());
        let work = move || {
            let mut said = String::new();
            while !closing.load(Ordering::Acquire) {
                let seen = changes.count();
                let now = Moment::now();
                let (due, complaint) = match look(now) {
                    Ok(due) => (due, String::new()),
                    Err(error) => (Some(now + AGAIN), chain(&error)),
                };
                if !complaint.is_empty() && complaint != said {
                    events.tell(name, &*complaint);
                }
                said = complaint;
                pace.wait(&changes, seen, due, &closing);
            }
        };
        self.threads.push(thread::Builder::new().name(name.to_owned()).spawn(work)?);
        Ok(())
    }

    /// How far pods are kept apart from the machine.
    pub fn isolation(&self) -> Isolation {
        self.isolation
    }

    /// Where the Kubernetes API is: `http://127.0.0.1:PORT`.
    pub fn api_url(&self) -> String {
        self.server.as_ref().map(Server::url).unwrap_or_default()
    }

    /// Waits until a Flux Kustomization (`name` or `namespace/name`) has applied `revision` and all
    /// is healthy. Fails at once when Flux gives that revision up, with Flux' own words.
    pub fn wait_ready(&self, kustomization: &str, revision: &str, timeout: Duration) -> Result<()> {
        let mut last = None;
        let done = self.wait_until(timeout, |cluster| {
            last = cluster.kustomization(kustomization);
            last.as_ref().is_some_and(|info| {
                info.attempted == revision
                    && (info.failed || info.applied == revision && info.ready)
            })
        });
        match last {
            Some(info) if done && info.ready => locked(&self.services).sync(),
            Some(info) => Err(Error::NotReady {
                kustomization: kustomization.to_owned(),
                reason: info.reason,
                message: info.message,
                pods: self.troubles(),
            }),
            None => Err(Error::NoKustomization {
                kustomization: kustomization.to_owned(),
                pods: self.troubles(),
            }),
        }
    }

    /// A line for each pod that is not ready.
    fn troubles(&self) -> String {
        let pods = self.kubelet.pods();
        let pods = pods.iter().map(|pod| pod.info()).filter(|pod| !pod.ready);
        pods.map(|pod| format!("\n  pod {pod}")).collect()
    }

    /// Waits until `holds`; looks whenever something changed. Says whether it came to hold in time.
    pub fn wait_until(&self, timeout: Duration, mut holds: impl FnMut(&Self) -> bool) -> bool {
        let deadline = Instant::now() + timeout;
        loop {
            let seen = self.changes.count();
            if holds(self) {
                return true;
            }
            let rest = deadline.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return false;
            }
            self.changes.wait(seen, rest.min(TICK));
        }
    }

    /// How a Flux Kustomization (`name` in flux-system, or `namespace/name`) is.
    pub fn kustomization(&self, kustomization: &str) -> Option<KustomizationInfo> {
        let (namespace, name) =
            kustomization.split_once('/').unwrap_or(("flux-system", kustomization));
        self.flux.info(namespace, name)
    }

    /// Where clients reach a port of a Service (`name` in default, or `namespace/name`): its proxy then knows of every
    /// pod that is ready by now.
    pub fn service_url(&self, service: &str, port: u16) -> Result<String> {
        let (namespace, name) = service.split_once('/').unwrap_or(("default", service));
        locked(&self.services).sync()?;
        let services = self.store.list("", "Service");
        let found =
            services.iter().find(|object| object.namespace() == namespace && object.name() == name);
        let address = found.and_then(|object| object.at("/spec/clusterIP")?.as_str());
        match address {
            Some(address) => Ok(format!("http://{address}:{port}")),
            None => Err(Error::NoService { service: service.to_owned() }),
        }
    }

    /// The pods of a namespace, by name.
    pub fn pods(&self, namespace: &str) -> Vec<PodInfo> {
        let pods = self.kubelet.pods();
        pods.iter()
            .filter(|pod| pod.metadata.namespace == namespace)
            .map(|pod| pod.info())
            .collect()
    }

    /// All stored objects; pods are not among them.
    pub fn objects(&self) -> Vec<Object> {
        self.store.all()
    }

    /// Removes an object behind Flux' back, as somebody with kubectl might; says whether it was
    /// there.
    pub fn delete_object(&self, id: &ObjectId) -> bool {
        self.api.delete(id)
    }

    /// Ends everything in order: controllers, Services, then pods with their grace period.
    /// No preStop hook is run: it gives Services time to look elsewhere, and there are none left.
    pub fn stop(mut self) {
        self.close(Stop::Terminate);
    }

    fn close(&mut self, how: Stop) {
        self.closing.store(true, Ordering::Release);
        self.changes.notify();
        // A thread that waits without looking for changes, such as for git, is waited for.
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        self.flux.join();
        self.server = None;
        locked(&self.services).close();
        self.kubelet.stop_all(how);
        locked(&self.services).end_connections();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.close(Stop::Kill);
    }
}

/// What pods are given, said once.
fn promise(isolation: Isolation, why_not: Option<std::io::Error>) -> String {
    match (isolation, why_not) {
        (Isolation::Namespaces, _) => "pods have their image, read-only, as its user without \
                                       privileges; they share the machine's network and processes"
            .to_owned(),
        (Isolation::None, why) => format!(
            "pods are plain processes that see this machine's files with your rights, since it \
             gives us no namespaces{}",
            why.map_or_else(String::new, |why| format!(" ({why})"))
        ),
    }
}

/// When a controller looks again that failed.
const AGAIN: Duration = Duration::from_secs(1);
/// The longest sleep of a controller that waits for changes only.
const LONG: Duration = Duration::from_secs(3600);

/// What wakes a controller.
#[derive(Clone, Copy, Debug)]
enum Pace {
    /// The time at which its next look is due.
    Every,
    /// That, and whatever changes before.
    WithChanges,
}

impl Pace {
    fn wait(self, changes: &Changes, mut seen: u64, due: Option<Moment>, closing: &AtomicBool) {
        if matches!(self, Self::WithChanges) {
            // A breath, so that several changes at once are one look.
            thread::sleep(TICK / 20);
        }
        loop {
            let rest = due.map_or(LONG, |due| due.since(Moment::now()));
            changes.wait(seen, rest);
            let is_woken = matches!(self, Self::WithChanges) || closing.load(Ordering::Acquire);
            if is_woken || due.is_none_or(|due| Moment::now() >= due) {
                return;
            }
            seen = changes.count();
        }
    }
}
