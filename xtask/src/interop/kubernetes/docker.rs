//! `image dockerfile`, and images that nobody has pushed, with a dockerd of this run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use fs_err as fs;

use super::PEER;
use super::world::{PATIENCE, World};
use crate::client::{Answer, ask};
use crate::kube::Daemon;
use crate::peers::{on_search_path, run_quietly};
use crate::registries::free_address;
use crate::release::Release;
use crate::report::Report;

pub(super) fn run(world: &World, server: &str, report: &mut Report) -> anyhow::Result<()> {
    let release = world.release(&world.open, "docked", |_| Ok(()))?;
    let ready = format!("{}/demo/kit/kit-rs:docked", world.open.address);
    report.claim(PEER, "an image that nobody has pushed is pulled by a node, and answers", || {
        let app = "unpushed";
        world.render(app, &ready, "")?;
        world.await_ready(app, &world.commit()?)?;
        let answer = world.ask(app)?;
        ensure!(answer.digest == release.modelkit, "{} answers", answer.digest);
        Ok(())
    });
    // Whoever installed it has said why it is not there.
    let Some(dockerd) = on_search_path("dockerd") else { return Ok(()) };
    let version = run_quietly(Command::new(&dockerd).arg("--version"))?;
    let version = version.split_whitespace().nth(2).unwrap_or_default().trim_end_matches(',');
    let peer = format!("Docker {version}");
    let docker = match Docker::start(world, &dockerd) {
        Ok(docker) => docker,
        Err(error) => {
            report.skip(&peer, "everything that it would judge", &format!("{error:#}"));
            return Ok(());
        }
    };
    let mut built = String::new();
    report.claim(&peer, "`docker push` brings a base into our registry", || {
        built = docker.base(world)?;
        Ok(())
    });
    report.claim(
        &peer,
        "what `image dockerfile` writes is built, ModelKit and base by digest",
        || {
            let dir = world.dir.join("docked");
            let (kit, dir) = (&release.kit, dir.display());
            world.kit(&format!(
                "image dockerfile {kit} --server {server} --base {built} --dir {dir}"
            ))?;
            docker.run(&format!("build --network=host -t docked:1 {dir}")).map(drop)
        },
    );
    report.claim(
        &peer,
        "its container answers with the ModelKit's digest, as nobody and with a read-only root, and ends when told",
        || docker.serves("docked:1", &release),
    );
    report.claim(
        &peer,
        "its container refuses another model than the one that was asked for",
        || {
            let other = format!("KIT_RS_EXPECT_DIGEST=sha256:{}", "0".repeat(64));
            let line = format!("run --rm --network=host --read-only -e {other} docked:1");
            let refused = docker.run(&line).err().map(|it| format!("{it:#}")).unwrap_or_default();
            ensure!(refused.contains(&release.modelkit), "it said {refused:?}");
            Ok(())
        },
    );
    report.claim(&peer, "`docker run` of an image that nobody has pushed answers", || {
        docker.serves(&ready.replace("/kit-rs:", "/basic:"), &release)
    });
    Ok(())
}

struct Docker {
    _daemon: Daemon,
    client: PathBuf,
    /// The parent of its containers' cgroups.
    cgroup: String,
}

impl Docker {
    /// Starts one whose sockets lie in this run's own /run, and its images below `world.dir`. It
    /// touches no network: containers have the one that is there.
    fn start(world: &World, dockerd: &Path) -> anyhow::Result<Self> {
        let dir = world.dir.join("docker");
        fs::create_dir_all(&dir)?;
        let cgroup = format!("/{}/docker", world.cgroup);
        let mut command = Command::new(dockerd);
        command.arg("--data-root").arg(dir.join("data")).arg("--storage-driver=vfs");
        command.args(["--bridge=none", "--iptables=false", "--ip-forward=false"]);
        command.args(["--exec-opt", "native.cgroupdriver=cgroupfs"]);
        command.arg(format!("--cgroup-parent={cgroup}"));
        let mut daemon = Daemon::start("dockerd", &mut command, &dir)?;
        let client = on_search_path("docker").context("dockerd has no docker beside it")?;
        daemon.await_ready(|| run_quietly(Command::new(&client).arg("version")).is_ok())?;
        Ok(Self { _daemon: daemon, client, cgroup })
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(&self.client);
        // Builds by the builder that every dockerd has in it.
        command.args(line.split_whitespace()).env("DOCKER_BUILDKIT", "0");
        command
    }

    fn run(&self, line: &str) -> anyhow::Result<String> {
        run_quietly(&mut self.command(line))
    }

    /// Pushes a base with a shell, in the place of one that the network would have; returns its name.
    fn base(&self, world: &World) -> anyhow::Result<String> {
        let root = world.dir.join("base");
        fs::create_dir_all(root.join("bin"))?;
        let busybox = on_search_path("busybox").context("there is no busybox")?;
        fs::copy(busybox, root.join("bin/busybox"))?;
        for applet in ["sh", "id"] {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(applet))?;
        }
        let archive = world.dir.join("base.tar");
        let mut tar = Command::new("tar");
        run_quietly(tar.arg("-cf").arg(&archive).arg("-C").arg(&root).arg("bin"))?;
        let name = format!("{}/demo/base:1", world.open.address);
        self.run(&format!("import {} {name}", archive.display()))?;
        self.run(&format!("push {name}"))?;
        Ok(name)
    }

    /// Runs an image until it has answered, and then ends it.
    fn serves(&self, image: &str, release: &Release) -> anyhow::Result<()> {
        let address = free_address()?;
        let (host, port) = address.split_once(':').unwrap_or_default();
        let line = format!(
            "run --name served --network=host --read-only --cap-drop=all \
             --security-opt=no-new-privileges --cgroup-parent={} -e KIT_RS_HOST={host} \
             -e KIT_RS_PORT={port} {image}",
            self.cgroup
        );
        let mut run = self.command(&line);
        run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        crate::process::end_with_us(&mut run);
        let mut child = run.spawn()?;
        let answered = until_answered(&address, &mut child);
        let logs = self.run("logs served").unwrap_or_default();
        let user = self.run("inspect --format {{.Config.User}} served").unwrap_or_default();
        let begun = Instant::now();
        let stopped = self.run("stop --time 30 served");
        let took = begun.elapsed();
        let status = self.run("inspect --format {{.State.ExitCode}} served");
        let _ = self.run("rm --force served");
        crate::process::end(&mut child, Duration::from_secs(10));
        let answer = answered.map_err(|error| anyhow::anyhow!("{error:#}\n{logs}"))?;
        ensure!(answer.digest == release.modelkit, "{} answers", answer.digest);
        ensure!(answer.label == "docked", "it says {}", answer.label);
        ensure!(user.trim().starts_with("65532"), "it runs as {user}");
        stopped?;
        let status = status?;
        ensure!(status.trim() == "0", "it ended with {status}, {took:?} after it was told to");
        Ok(())
    }
}

fn until_answered(address: &str, child: &mut std::process::Child) -> anyhow::Result<Answer> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = ask(&format!("http://{address}"), "I love it");
        if answer.is_ok() || child.try_wait()?.is_some() || Instant::now() > deadline {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
