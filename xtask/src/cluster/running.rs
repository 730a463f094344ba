//! The cluster as a whole: its controllers are started, asked, and ended.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use fs_err as fs;
use gitops::{Object, ObjectId};

use super::{
    KustomizationInfo, Log, Options, POLL, PodInfo, TICK,
    address::Addresses,
    api::Api,
    bell::{Bell, locked},
    deployment::Deployments,
    flux::Flux,
    http::Server,
    image::ImageStore,
    kubelet::Kubelet,
    pod::Stop,
    service::Services,
    source::Sources,
    store::Store,
};

/// A running cluster. Dropping it kills everything; [`Cluster::stop`] drains first.
pub(crate) struct Cluster {
    store: Arc<Store>,
    kubelet: Arc<Kubelet>,
    bell: Arc<Bell>,
    flux: Arc<Flux>,
    services: Arc<Mutex<Services>>,
    server: Option<Server>,
    closing: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Cluster {
    /// Starts an empty cluster, which begins at once to follow its sources.
    pub(crate) fn start(options: Options) -> Result<Self> {
        fs::create_dir_all(&options.state_dir)?;
        // Pods have working directories of their own, so that a relative folder would mean
        // something else to them.
        let state_dir = fs::canonicalize(&options.state_dir)?;
        let bell = Arc::new(Bell::default());
        let store = Arc::new(Store::new(Arc::clone(&bell))?);
        let images = ImageStore::new(state_dir.join("images"), options.images)?;
        let kubelet = Kubelet::new(
            images,
            Arc::clone(&store),
            state_dir.join("pods"),
            Arc::clone(&options.log),
        )?;
        let kubelet = Arc::new(kubelet);
        let sources = Sources::new(
            options.sources,
            options.root,
            state_dir.join("sources"),
            Arc::clone(&store),
        )?;
        let (sources, log) = (Arc::new(sources), options.log);
        let flux = Arc::new(Flux::new(
            Arc::clone(&store),
            Arc::clone(&sources),
            Arc::clone(&bell),
            Arc::clone(&log),
        ));
        let addresses = Arc::new(Addresses::new(&state_dir));
        let services = Services::new(
            Arc::clone(&store),
            Arc::clone(&kubelet),
            Arc::clone(&addresses),
            Arc::clone(&log),
        );
        let api = Api { store: Arc::clone(&store), kubelet: Arc::clone(&kubelet) };
        let server = Some(Server::start(move |target| api.answer(target))?);
        let (services, closing, threads) =
            (Arc::new(Mutex::new(services)), Arc::default(), Vec::new());
        let mut cluster = Self { store, kubelet, bell, flux, services, server, closing, threads };
        cluster.control(addresses, sources, &log)?;
        Ok(cluster)
    }

    /// Starts the controllers, each kind in a thread of its own so that none waits for another.
    fn control(
        &mut self,
        addresses: Arc<Addresses>,
        sources: Arc<Sources>,
        log: &Log,
    ) -> Result<()> {
        let (store, bell) = (Arc::clone(&self.store), Arc::clone(&self.bell));
        let mut deployments =
            Deployments::new(store, Arc::clone(&self.kubelet), addresses, bell, Arc::clone(log));
        let (flux, services, kubelet) =
            (Arc::clone(&self.flux), Arc::clone(&self.services), Arc::clone(&self.kubelet));
        self.spawn("source", Pace::Every(POLL), log, move || sources.sync())?;
        self.spawn("flux", Pace::WithChanges, log, move || flux.sync())?;
        self.spawn("deployment", Pace::WithChanges, log, move || deployments.sync())?;
        self.spawn("service", Pace::WithChanges, log, move || {
            kubelet.reap();
            locked(&services).sync()
        })
    }

    /// Runs `look` at that pace until the cluster closes, in a thread of its own.
    fn spawn(
        &mut self,
        name: &'static str,
        pace: Pace,
        log: &Log,
        mut look: impl FnMut() -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let (bell, closing, log) =
            (Arc::clone(&self.bell), Arc::clone(&self.closing), Arc::clone(log));
        let work = move || {
            let mut said = String::new();
            while !closing.load(Ordering::Acquire) {
                let seen = bell.rung();
                let complaint =
                    look().err().map_or_else(String::new, |error| format!("{name}: {error:#}"));
                if !complaint.is_empty() && complaint != said {
                    log(&complaint);
                }
                said = complaint;
                pace.wait(&bell, seen, &closing);
            }
        };
        self.threads.push(thread::Builder::new().name(name.to_owned()).spawn(work)?);
        Ok(())
    }

    /// Where the read-only Kubernetes API is: `http://127.0.0.1:PORT`.
    pub(crate) fn api_url(&self) -> String {
        self.server.as_ref().map(Server::url).unwrap_or_default()
    }

    /// Waits until a Flux Kustomization (`name` or `namespace/name`) has applied `revision` and all
    /// is healthy. Fails at once when Flux gives that revision up, with Flux' own words.
    pub(crate) fn wait_ready(
        &self,
        kustomization: &str,
        revision: &str,
        timeout: Duration,
    ) -> Result<()> {
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
            Some(info) => {
                bail!(
                    "kustomization {kustomization} is not ready: {}: {}{}",
                    info.reason,
                    info.message,
                    self.troubles()
                )
            }
            None => bail!("there is no kustomization {kustomization}{}", self.troubles()),
        }
    }

    /// A line for each pod that is not ready.
    fn troubles(&self) -> String {
        let pods = self.kubelet.pods();
        let pods = pods.iter().map(|pod| pod.info()).filter(|pod| !pod.ready);
        pods.map(|pod| format!("\n  pod {pod}")).collect()
    }

    /// Waits until `holds`; looks whenever something changed. Says whether it came to hold in time.
    pub(crate) fn wait_until(
        &self,
        timeout: Duration,
        mut holds: impl FnMut(&Self) -> bool,
    ) -> bool {
        let deadline = Instant::now() + timeout;
        loop {
            let seen = self.bell.rung();
            if holds(self) {
                return true;
            }
            let rest = deadline.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return false;
            }
            self.bell.wait(seen, rest.min(TICK));
        }
    }

    /// How a Flux Kustomization (`name` in flux-system, or `namespace/name`) is.
    pub(crate) fn kustomization(&self, kustomization: &str) -> Option<KustomizationInfo> {
        let (namespace, name) =
            kustomization.split_once('/').unwrap_or(("flux-system", kustomization));
        self.flux.info(namespace, name)
    }

    /// Where clients reach a port of a Service (`namespace/name`): its proxy then knows of every
    /// pod that is ready by now.
    pub(crate) fn service_url(&self, service: &str, port: u16) -> Result<String> {
        let (namespace, name) = service.split_once('/').context("a service is namespace/name")?;
        locked(&self.services).sync()?;
        let services = self.store.list("", "Service");
        let found =
            services.iter().find(|object| object.namespace() == namespace && object.name() == name);
        let address = found.and_then(|object| object.at("/spec/clusterIP")?.as_str());
        match address {
            Some(address) => Ok(format!("http://{address}:{port}")),
            None => bail!("there is no service {service} with an address"),
        }
    }

    /// The pods of a namespace, by name.
    pub(crate) fn pods(&self, namespace: &str) -> Vec<PodInfo> {
        let pods = self.kubelet.pods();
        pods.iter()
            .filter(|pod| pod.metadata.namespace == namespace)
            .map(|pod| pod.info())
            .collect()
    }

    /// All stored objects; pods are not among them.
    pub(crate) fn objects(&self) -> Vec<Object> {
        self.store.all()
    }

    /// Removes an object behind Flux' back, as somebody with kubectl might; says whether it was
    /// there.
    pub(crate) fn delete_object(&self, id: &ObjectId) -> bool {
        match id.kind.as_str() {
            "Pod" => self.kubelet.find(&id.namespace, &id.name).is_some_and(|pod| {
                pod.stop(Stop::Drain);
                true
            }),
            _ => self.store.delete(id),
        }
    }

    /// Ends everything in order: controllers, then pods with their preStop and grace period.
    pub(crate) fn stop(mut self) {
        self.close(Stop::Drain);
    }

    fn close(&mut self, how: Stop) {
        self.closing.store(true, Ordering::Release);
        self.bell.ring();
        // A thread that waits without the bell, such as for git, is waited for.
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

/// How often a controller looks.
#[derive(Clone, Copy, Debug)]
enum Pace {
    Every(Duration),
    /// When something changed, and at least every [`TICK`].
    WithChanges,
}

impl Pace {
    fn wait(self, bell: &Bell, seen: u64, closing: &AtomicBool) {
        match self {
            Self::WithChanges => {
                // A breath, so that several changes at once are one look.
                thread::sleep(TICK / 20);
                bell.wait(seen, TICK);
            }
            Self::Every(period) => {
                let deadline = Instant::now() + period;
                while Instant::now() < deadline && !closing.load(Ordering::Acquire) {
                    bell.wait(bell.rung(), deadline.saturating_duration_since(Instant::now()));
                }
            }
        }
    }
}
