//! The node: keeps each pod's process alive, probed, and in the end drained.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use fs_err as fs;
use rustix::process::Signal;

use crate::changes::locked;
use crate::env::{environment, expand};
use crate::error::chain;
use crate::event::Events;
use crate::image::{ImageStore, Unpacked};
use crate::pod::{Pod, State, Stop};
use crate::probe::Probes;
use crate::process::{Launch, Process, exit_code, tail};
use crate::spec::{Container, Labels, Metadata, selects};
use crate::store::Store;
use crate::volume::Volumes;
use crate::{Error, Isolation, Result};

/// How often a process is looked at.
pub(crate) const TICK: Duration = Duration::from_millis(50);
/// The longest pause between restarts. The kubelet's begin at 10 s and grow to 5 min: too long to
/// watch.
const MAX_BACKOFF: Duration = Duration::from_secs(30);
/// A run of this length is a success, after which the pauses begin anew.
const GOOD_RUN: Duration = Duration::from_secs(60);

/// Each pod and the thread that it lives in, by namespace and name.
type Pods = BTreeMap<(String, String), (Arc<Pod>, JoinHandle<()>)>;

/// All pods of the one node.
pub(crate) struct Kubelet {
    pub(crate) images: ImageStore,
    store: Arc<Store>,
    log_dir: PathBuf,
    /// A folder for each volume of each pod, as long as the pod lives.
    volumes_dir: PathBuf,
    isolation: Isolation,
    pub(crate) events: Events,
    pods: Mutex<Pods>,
}

impl Kubelet {
    pub(crate) fn new(
        images: ImageStore,
        store: Arc<Store>,
        state_dir: &Path,
        isolation: Isolation,
        events: Events,
    ) -> Result<Self> {
        let (log_dir, volumes_dir) = (state_dir.join("pods"), state_dir.join("volumes"));
        fs::create_dir_all(&log_dir)?;
        let pods = Mutex::default();
        Ok(Self { images, store, log_dir, volumes_dir, isolation, events, pods })
    }

    /// Brings a pod to life, in a thread of its own.
    pub(crate) fn start(self: &Arc<Self>, pod: Pod) -> Result<()> {
        let pod = Arc::new(pod);
        let key = (pod.metadata.namespace.clone(), pod.metadata.name.clone());
        let (kubelet, living) = (Arc::clone(self), Arc::clone(&pod));
        let thread = thread::Builder::new().name(pod.metadata.name.clone()).spawn(move || {
            kubelet.live(&living);
            let _ = fs::remove_dir_all(kubelet.volumes_dir.join(&living.metadata.uid));
            living.update(|state| state.finished = true);
        })?;
        locked(&self.pods).insert(key, (pod, thread));
        Ok(())
    }

    /// Every pod that is there, also those that are on their way out.
    pub(crate) fn pods(&self) -> Vec<Arc<Pod>> {
        locked(&self.pods).values().map(|(pod, _)| Arc::clone(pod)).collect()
    }

    pub(crate) fn find(&self, namespace: &str, name: &str) -> Option<Arc<Pod>> {
        let key = (namespace.to_owned(), name.to_owned());
        locked(&self.pods).get(&key).map(|(pod, _)| Arc::clone(pod))
    }

    /// Where a container of a pod writes to; the error says which ones there are.
    pub(crate) fn log_of(&self, pod: &Pod, container: Option<&str>) -> Result<PathBuf, String> {
        let init = container.filter(|container| *container != pod.container.name);
        if let Some(name) = init
            && pod.init.iter().all(|container| container.name != name)
        {
            let pod = &pod.metadata.name;
            return Err(format!("container {name} is not valid for pod {pod}"));
        }
        Ok(self.log_file(&pod.metadata, init))
    }

    /// Where the pod's process writes to, or one of those that run before it.
    pub(crate) fn log_file(&self, pod: &Metadata, init: Option<&str>) -> PathBuf {
        let init = init.map_or(String::new(), |name| format!("_{name}"));
        self.log_dir.join(format!("{}_{}{init}.log", pod.namespace, pod.name))
    }

    /// The ready pods that a Service with `selector` stands for.
    pub(crate) fn endpoints(&self, namespace: &str, selector: &Labels) -> Vec<Arc<Pod>> {
        if selector.is_empty() {
            return Vec::new();
        }
        let mut pods = self.pods();
        pods.retain(|pod| {
            let metadata = &pod.metadata;
            metadata.namespace == namespace
                && selects(selector, &metadata.labels)
                && pod.state().is_ready()
        });
        pods
    }

    /// Forgets the pods that have ended.
    pub(crate) fn reap(&self) {
        let ended: Vec<_> = {
            let mut pods = locked(&self.pods);
            let (ended, living) = std::mem::take(&mut *pods)
                .into_iter()
                .partition(|(_, (pod, _))| pod.state().finished);
            *pods = living;
            BTreeMap::into_values(ended).collect()
        };
        for (pod, thread) in ended {
            let _ = thread.join();
            self.events.tell(pod.subject(), "gone");
        }
    }

    /// Ends all pods and waits for them.
    pub(crate) fn stop_all(&self, how: Stop) {
        let pods = std::mem::take(&mut *locked(&self.pods));
        for (pod, _) in pods.values() {
            pod.stop(how);
        }
        for (_, thread) in pods.into_values() {
            let _ = thread.join();
        }
    }

    fn live(&self, pod: &Pod) {
        let mut pause = Duration::from_secs(1);
        let image = loop {
            // What is mounted comes before what runs.
            let mut volumes = pod.volumes.iter().filter_map(|volume| volume.image.as_ref());
            let pulled = volumes
                .try_for_each(|image| self.images.pull(&image.reference).map(drop))
                .and_then(|()| self.images.pull(&pod.container.image));
            match pulled {
                _ if pod.state().stop.is_some() => return,
                Ok(image) => break image,
                Err(error) => self.wait(pod, "ErrImagePull", chain(&error), &mut pause),
            }
        };
        if !self.initialize(pod) {
            return;
        }
        let mut pause = Duration::ZERO;
        while pod.state().stop.is_none() {
            let begun = Instant::now();
            let (reason, message) = match self.launch(pod, &pod.container, &image) {
                Err(error) => ("CreateContainerConfigError", error),
                Ok(launch) => match self.run(pod, &launch) {
                    Err(error) => ("RunContainerError", chain(&error)),
                    Ok(end) => ("CrashLoopBackOff", end),
                },
            };
            if begun.elapsed() > GOOD_RUN {
                pause = Duration::ZERO;
            }
            self.wait(pod, reason, message, &mut pause);
        }
    }

    /// Waits before the next attempt: not at all the first time, then 1 s, 2 s, 4 s, … or until the
    /// pod is told to go.
    pub(crate) fn wait(
        &self,
        pod: &Pod,
        reason: &'static str,
        message: String,
        pause: &mut Duration,
    ) {
        if pod.state().stop.is_some() {
            return;
        }
        self.events.tell(pod.subject(), format!("{reason}: {message}"));
        pod.update(|state| state.waiting = Some((reason, message)));
        pod.wait(*pause, |state| state.stop.is_some());
        *pause = (*pause * 2).clamp(Duration::from_secs(1), MAX_BACKOFF);
    }

    /// How a container of the pod is started.
    pub(crate) fn launch(
        &self,
        pod: &Pod,
        container: &Container,
        image: &Unpacked,
    ) -> Result<Launch, String> {
        let (config, security) = (&image.config, pod.security(container));
        let complain = |error: Error| chain(&error);
        let account = image.account(&config.user).map_err(complain)?;
        let uid = security.run_as_user.unwrap_or(account.uid);
        if uid == 0 && security.run_as_non_root == Some(true) {
            return Err("container has runAsNonRoot and image will run as root".to_owned());
        }
        let config_maps = |name: &str| self.store.config_map(&pod.metadata.namespace, name);
        let env = environment(
            config,
            &account.home,
            container,
            &pod.metadata,
            pod.address,
            &config_maps,
        )?;
        // The Deployment's command replaces the image's arguments, too.
        let (command, args) = match (&container.command[..], &container.args[..]) {
            ([], []) => (&config.entrypoint[..], &config.command[..]),
            ([], args) => (&config.entrypoint[..], args),
            own => own,
        };
        let mut argv = command.iter().chain(args).map(|word| expand(word, &env));
        let argv0 = argv.next().ok_or("neither the image nor the Deployment names a command")?;
        let init = Some(container.name.as_str()).filter(|name| *name != pod.container.name);
        let working_dir = container.working_dir.as_deref().unwrap_or(&config.working_dir);
        Ok(Launch {
            isolation: self.isolation,
            rootfs: image.rootfs.clone(),
            program: image.program(&argv0, &env["PATH"]).map_err(complain)?,
            args: argv.collect(),
            working_dir: image.within(working_dir).map_err(complain)?,
            user: (uid, security.run_as_group.unwrap_or(account.gid)),
            volumes: self.volumes().of(pod, container, image)?,
            log: self.log_file(&pod.metadata, init),
            env,
        })
    }

    fn volumes(&self) -> Volumes<'_> {
        Volumes { images: &self.images, store: &self.store, dir: &self.volumes_dir }
    }

    /// Runs the process until it ends, by itself or because it must. Says how it ended.
    fn run(&self, pod: &Pod, launch: &Launch) -> Result<String> {
        let mut process = Process::start(launch)?;
        let mut probes = Probes::new(&pod.container, pod.address);
        pod.update(|state| state.run(process.pid()));
        let started = format!("started as process {} on {}", process.pid(), pod.address);
        self.events.tell(pod.subject(), started);
        for finding in probes.at_start() {
            pod.found(finding);
        }
        let ended = thread::scope(|scope| {
            scope.spawn(|| self.probe(pod, &mut probes));
            let ended = self.supervise(pod, &mut process);
            // The prober's sign to stop, too.
            pod.update(|state| state.end(ended.as_ref().copied().unwrap_or(-1)));
            ended
        });
        Ok(match (ended?, pod.state().dead) {
            (_, Some(why)) => why,
            (code, None) => {
                format!("the process ended with exit code {code}: {}", tail(&launch.log, 3))
            }
        })
    }

    fn probe(&self, pod: &Pod, probes: &mut Probes) {
        let over = |state: &State| state.pid.is_none() || state.dead.is_some();
        while let Some(due) = probes.next_due() {
            if pod.wait(due.saturating_duration_since(Instant::now()), over) {
                return;
            }
            for finding in probes.run_due() {
                let was_ready = pod.state().is_ready();
                pod.found(finding);
                match pod.state() {
                    state if state.is_ready() == was_ready => {}
                    state if state.is_ready() => self.events.tell(pod.subject(), "ready"),
                    state => {
                        let trouble = state.trouble().unwrap_or_default();
                        self.events.tell(pod.subject(), format!("not ready: {trouble}"));
                    }
                }
            }
        }
    }

    /// Watches the process until it has ended; the exit code.
    fn supervise(&self, pod: &Pod, process: &mut Process) -> Result<i32> {
        loop {
            if let Some(status) = process.ended()? {
                return Ok(exit_code(status));
            }
            if pod.wait(TICK, |state| state.stop.is_some() || state.dead.is_some()) {
                return self.drain(pod, process);
            }
        }
    }

    /// preStop, then SIGTERM, then the rest of the grace period, then SIGKILL.
    /// The Services stopped sending connections before this begins.
    fn drain(&self, pod: &Pod, process: &mut Process) -> Result<i32> {
        let begun = Instant::now();
        let hook = pod.container.lifecycle.pre_stop.as_ref();
        let hook = hook.filter(|_| pod.state().stop != Some(Stop::Terminate));
        let sleep = hook.and_then(|hook| hook.sleep.as_ref()).map_or(0, |sleep| sleep.seconds);
        if let Some(code) = await_end(pod, process, Duration::from_secs(sleep).min(pod.grace))? {
            return Ok(code);
        }
        process.signal(Signal::TERM);
        // As the kubelet: a hook that used the whole period up leaves two seconds.
        let rest = pod.grace.saturating_sub(begun.elapsed()).max(Duration::from_secs(2));
        if let Some(code) = await_end(pod, process, rest)? {
            return Ok(code);
        }
        process.signal(Signal::KILL);
        loop {
            if let Some(status) = process.ended()? {
                return Ok(exit_code(status));
            }
            thread::sleep(TICK / 10);
        }
    }
}

/// Waits for the process to end by itself, but only for `at_most`, and not at all when the pod is
/// to be killed.
pub(crate) fn await_end(
    pod: &Pod,
    process: &mut Process,
    at_most: Duration,
) -> Result<Option<i32>> {
    let deadline = Instant::now() + at_most;
    loop {
        if let Some(status) = process.ended()? {
            return Ok(Some(exit_code(status)));
        }
        let rest = deadline.saturating_duration_since(Instant::now());
        let killed = pod.wait(rest.min(TICK), |state| state.stop == Some(Stop::Kill));
        if killed || rest.is_zero() {
            return Ok(None);
        }
    }
}

impl State {
    /// Notes that the container runs now.
    fn run(&mut self, pid: u32) {
        if self.last_exit.is_some() {
            self.restarts += 1;
        }
        self.pid = Some(pid);
        self.running_since = Some(SystemTime::now());
        (self.waiting, self.dead, self.failing) = (None, None, None);
    }

    /// Notes that the container has ended.
    fn end(&mut self, code: i32) {
        self.last_exit = Some((code, SystemTime::now()));
        (self.pid, self.ready_since, self.started) = (None, None, false);
    }
}
