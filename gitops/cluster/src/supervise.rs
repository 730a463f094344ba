//! The life of one container of a pod: pulled, started, probed, started again, and in the end
//! drained.

use std::thread;
use std::time::Duration;

use fs_err as fs;

use crate::backoff::Backoff;
use crate::clock::Moment;
use crate::ending::Ending;
use crate::env::{Data, environment, expand};
use crate::error::chain;
use crate::image::Unpacked;
use crate::kubelet::Kubelet;
use crate::notice::{self, Notice};
use crate::pod::{Pod, Role, State, Stop};
use crate::probe::Probes;
use crate::process::{Launch, Process, exit_code, tail};
use crate::volume::Volumes;
use crate::{Error, Result};

/// Why a container does not run: what kubectl shows in a word, and what there is to say.
pub(crate) type Trouble = (&'static str, String);

/// The least pause after an attempt that started nothing.
const PAUSE: Duration = Duration::from_secs(1);

impl Kubelet {
    /// Runs a container again and again until the pod is told to go; what only runs first, until it
    /// succeeds.
    pub(crate) fn keep(&self, pod: &Pod, n: usize) {
        let mut backoff = Backoff::default();
        let is_init = pod.look(|state| state.containers[n].role == Role::Init);
        while !pod.is_told_to_go() {
            let begun = Moment::now();
            let attempt = self.attempt(pod, n);
            let pause = backoff.after(Moment::now().since(begun));
            match attempt {
                Ok((0, _)) if is_init => {
                    let name = &pod.containers[n].name;
                    return self.events.tell(pod.subject(), format!("{name} is done"));
                }
                Ok((_, how)) => self.wait(pod, n, ("CrashLoopBackOff", how), pause),
                Err(why) => self.wait(pod, n, why, pause.max(PAUSE)),
            }
        }
    }

    /// Records an event of a pod, for `kubectl describe`.
    fn record(&self, pod: &Pod, kind: &'static str, reason: &str, message: &str) {
        // A pod lives without its events, too.
        let _ = notice::of_pod(&self.store, pod, &Notice { kind, reason, message });
    }

    /// Says why a container does not run, and waits before the next attempt, or until the pod is
    /// told to go.
    pub(crate) fn wait(&self, pod: &Pod, n: usize, (reason, message): Trouble, pause: Duration) {
        if pod.is_told_to_go() {
            return;
        }
        let is_main = pod.look(|state| state.containers[n].role == Role::Main);
        let init = if is_main { "" } else { "Init:" };
        self.events.tell(pod.subject(), format!("{init}{reason}: {message}"));
        let why = if reason == "CrashLoopBackOff" { "BackOff" } else { "Failed" };
        self.record(pod, "Warning", why, &message);
        // One that is started again at once has ended, and waits for nothing.
        if !pause.is_zero() {
            pod.update(|state| state.containers[n].waiting = Some((reason, message)));
            pod.wait(Some(Moment::now() + pause), |state| state.stop.is_some());
        }
    }

    /// Brings what a container needs, and runs it once: its exit code and how it came to that.
    fn attempt(&self, pod: &Pod, n: usize) -> Result<(i32, String), Trouble> {
        let container = &pod.containers[n];
        // What is mounted comes before what runs.
        let mut mounted = pod.volumes.iter().filter_map(|volume| {
            let is_mounted = container.volume_mounts.iter().any(|it| it.name == volume.name);
            volume.image.as_ref().filter(|_| is_mounted)
        });
        let image = mounted
            .try_for_each(|image| self.images.pull(&image.reference).map(drop))
            .and_then(|()| self.images.pull(&container.image))
            .map_err(|error| ("ErrImagePull", pod.about(n, &chain(&error))))?;
        let pulled = format!("Successfully pulled image \"{}\"", container.image);
        self.record(pod, "Normal", "Pulled", &pulled);
        if pod.is_told_to_go() {
            return Err(("Terminating", String::new()));
        }
        let launch = self
            .launch(pod, n, &image)
            .map_err(|why| ("CreateContainerConfigError", pod.about(n, &why)))?;
        self.run(pod, n, &launch)
            .map_err(|error| ("RunContainerError", pod.about(n, &chain(&error))))
    }

    /// How a container of the pod is started.
    fn launch(&self, pod: &Pod, n: usize, image: &Unpacked) -> Result<Launch, String> {
        let container = &pod.containers[n];
        let (config, security) = (&image.config, pod.security(container));
        let complain = |error: Error| chain(&error);
        let account = image.account(&config.user).map_err(complain)?;
        let uid = security.run_as_user.unwrap_or(account.uid);
        if uid == 0 && security.run_as_non_root == Some(true) {
            return Err("container has runAsNonRoot and image will run as root".to_owned());
        }
        let namespace = &pod.metadata.namespace;
        let data = Data {
            config_map: &|name| self.store.config_map(namespace, name),
            secret: &|name| self.store.data("Secret", namespace, name),
        };
        let env = environment(config, &account.home, container, &pod.metadata, pod.address, &data)?;
        // The Deployment's command replaces the image's arguments, too.
        let (command, args) = match (&container.command[..], &container.args[..]) {
            ([], []) => (&config.entrypoint[..], &config.command[..]),
            ([], args) => (&config.entrypoint[..], args),
            own => own,
        };
        let mut argv = command.iter().chain(args).map(|word| expand(word, &env));
        let argv0 = argv.next().ok_or("neither the image nor the Deployment names a command")?;
        let working_dir = container.working_dir.as_deref().unwrap_or(&config.working_dir);
        let volumes = Volumes { images: &self.images, store: &self.store, dir: &self.volumes_dir };
        Ok(Launch {
            isolation: self.isolation,
            rootfs: image.rootfs.clone(),
            program: image.program(&argv0, &env["PATH"]).map_err(complain)?,
            args: argv.collect(),
            working_dir: image.within(working_dir).map_err(complain)?,
            user: (uid, security.run_as_group.unwrap_or(account.gid)),
            volumes: volumes.of(pod, container, image)?,
            log: self.log_file(pod, n),
            env,
        })
    }

    /// Runs the process until it ends, by itself or because it must.
    fn run(&self, pod: &Pod, n: usize, launch: &Launch) -> Result<(i32, String)> {
        let written = || fs::metadata(&launch.log).map_or(0, |it| it.len());
        let log_from = written();
        let mut process = Process::start(launch)?;
        let now = Moment::now();
        let mut probes = Probes::new(&pod.containers[n], pod.address, now);
        let at_start = probes.at_start();
        pod.update_at(now, |state| {
            let it = &mut state.containers[n];
            it.run(process.pid(), now, log_from);
            at_start.into_iter().for_each(|finding| it.found(finding));
        });
        let started = format!("started as process {} on {}", process.pid(), pod.address);
        self.events.tell(pod.subject(), pod.about(n, &started));
        let started = format!("Started container {}", pod.containers[n].name);
        self.record(pod, "Normal", "Started", &started);
        let watch = process.watch();
        let ended = thread::scope(|scope| {
            let named = |name: &str| thread::Builder::new().name(name.to_owned());
            let watching = named("watch").spawn_scoped(scope, || {
                watch.await_end();
                pod.update(|state| state.containers[n].exited = true);
            });
            let probing = match probes.next_due() {
                None => Ok(()),
                Some(_) => {
                    let probe = || self.probe(pod, n, &mut probes);
                    named("probe").spawn_scoped(scope, probe).map(drop)
                }
            };
            let ended = watching.map(drop).and(probing).map_err(Error::from);
            let ended = ended.and_then(|()| self.supervise(pod, n, &mut process));
            if ended.is_err() {
                // Those who wait for its end go home.
                process.kill();
            }
            let code = ended.as_ref().copied().unwrap_or(-1);
            let now = Moment::now();
            // The prober's sign to stop, too.
            let log_to = written();
            pod.update_at(now, |state| state.containers[n].end(code, now, log_to));
            ended
        });
        let code = ended?;
        let how = pod.look(|state| state.containers[n].dead.clone()).unwrap_or_else(|| {
            let whose = match pod.containers.len() {
                1 => "the process",
                _ => &pod.containers[n].name,
            };
            format!("{whose} ended with exit code {code}: {}", tail(&launch.log, log_from, 3))
        });
        Ok((code, how))
    }

    fn probe(&self, pod: &Pod, n: usize, probes: &mut Probes) {
        let over = |state: &State| {
            let it = &state.containers[n];
            it.pid.is_none() || it.exited || it.dead.is_some()
        };
        while let Some(due) = probes.next_due() {
            if pod.wait(Some(due), over) {
                return;
            }
            for finding in probes.run_due(Moment::now()) {
                let (was_ready, state) = pod.update(|state| {
                    let was_ready = state.is_ready();
                    state.containers[n].found(finding);
                    (was_ready, state.clone())
                });
                match state.is_ready() {
                    is_ready if is_ready == was_ready => {}
                    true => self.events.tell(pod.subject(), "ready"),
                    false => {
                        let trouble = state.trouble().unwrap_or_default();
                        self.record(pod, "Warning", "Unhealthy", &trouble);
                        self.events.tell(pod.subject(), format!("not ready: {trouble}"));
                    }
                }
            }
        }
    }

    /// Sleeps until the process has ended, and ends it when it must; the exit code.
    /// Services stopped sending connections before that begins.
    fn supervise(&self, pod: &Pod, n: usize, process: &mut Process) -> Result<i32> {
        let must_end = |state: &State| state.stop.is_some() || state.containers[n].dead.is_some();
        pod.wait(None, |state| state.containers[n].exited || must_end(state));
        let mut ending = None;
        loop {
            let (has_exited, stop, since, is_turn) = pod.look(|state| {
                let it = &state.containers[n];
                // One that is only restarted waits for nobody.
                let is_turn = state.stop.is_none() || state.is_turn_of(n);
                (it.exited, state.stop, state.stopped_at, is_turn)
            });
            if has_exited {
                return process.exit().map(exit_code).map_err(Error::from);
            }
            let now = Moment::now();
            let ending = ending.get_or_insert_with(|| {
                let stopping = format!("Stopping container {}", pod.containers[n].name);
                self.record(pod, "Normal", "Killing", &stopping);
                let hook = pod.containers[n].lifecycle.pre_stop.as_ref();
                let sleep = hook.and_then(|hook| hook.sleep.as_ref()).map_or(0, |it| it.seconds);
                // All containers of a pod that goes share its grace period.
                Ending::new(since.unwrap_or(now), pod.grace, Duration::from_secs(sleep))
            });
            if let Some(signal) = ending.step(now, stop.unwrap_or(Stop::Drain), is_turn) {
                process.signal(signal);
            }
            pod.wait(ending.due(), |state| {
                let turn = state.stop.is_none() || state.is_turn_of(n);
                state.containers[n].exited || state.stop != stop || turn != is_turn
            });
        }
    }
}
