//! Where images come from and what takes them: a private registry, a volume, podman; and the end of
//! an app.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::ensure;
use fs_err as fs;

use super::PEER;
use super::serving::APP;
use super::world::{PATIENCE, World, container};
use crate::client::ask;
use crate::peers::{on_search_path, run_quietly};
use crate::registries::{digest_of, free_address};
use crate::report::Report;

pub(super) fn run(world: &World, report: &mut Report) -> anyhow::Result<()> {
    report.claim(
        PEER,
        "an image of a private registry is pulled with --pull-secret, and not without the Secret",
        || private(world),
    );
    report.claim(
        PEER,
        "an image of `image build --for volume` is mounted, and the runtime serves it",
        || volume(world),
    );
    report.claim(PEER, "an app that leaves Git leaves the cluster, and no other does", || {
        world.repository.remove("clusters/dev/closed-app.yaml")?;
        world.repository.remove("apps/closed")?;
        let revision = world.commit()?;
        let deadline = Instant::now() + PATIENCE;
        while world.plane.api.find("api/v1/namespaces/closed")?.is_some() {
            ensure!(Instant::now() < deadline, "the namespace is still there");
            std::thread::sleep(Duration::from_millis(200));
        }
        world.await_ready(APP, &revision)?;
        world.ask(APP).map(drop)
    });
    Ok(())
}

fn private(world: &World) -> anyhow::Result<()> {
    let app = "closed";
    let release = world.release(&world.closed, "closed", |_| Ok(()))?;
    world.render(app, &release.image, "--pull-secret regcred")?;
    let revision = world.commit()?;
    let path = format!("api/v1/namespaces/{app}/pods");
    world.plane.api.wait(&path, PATIENCE, |pods| {
        let reason = &container(&pods["items"][0])["state"]["waiting"]["reason"];
        ["ErrImagePull", "ImagePullBackOff"].iter().any(|it| reason == it)
    })?;
    let server = &world.closed.address;
    world.kubectl(&format!(
        "create secret docker-registry regcred -n {app} --docker-server={server} --docker-username=user --docker-password=secret"
    ))?;
    world.kubectl(&format!("delete pods -n {app} --all --wait=false"))?;
    world.await_alone(app)?;
    let answer = world.ask(app)?;
    ensure!(answer.digest == release.modelkit, "{} answers", answer.digest);
    // Flux may have given the release up before the Secret was there.
    world.await_healed(app, &revision)
}

fn volume(world: &World) -> anyhow::Result<()> {
    let release = world.release(&world.open, "mounted", |_| Ok(()))?;
    let volume = format!("{}/demo/volume:1", world.open.address);
    world.kit(&format!("image build {} -t {volume} --for volume", release.kit))?;
    let volume = format!("{volume}@{}", digest_of(&world.kit(&format!("push {volume}"))?)?);
    let program = format!("{}/demo/runtime:one", world.open.address);
    let app = "mounted";
    world.render(app, &program, "")?;
    world.edit(app, |text| {
        let mounted = "          command: [/kit-rs]\n          args: [serve, /m]\n          volumeMounts:\n            - {name: model, mountPath: /m, readOnly: true}\n";
        let text = text.replacen("          ports:\n", &format!("{mounted}          ports:\n"), 1);
        let volumes =
            format!("      volumes:\n        - name: model\n          image: {{reference: '{volume}'}}\n");
        text.replacen("      containers:\n", &format!("{volumes}      containers:\n"), 1)
    })?;
    world.await_ready(app, &world.commit()?)?;
    let answer = world.ask(app)?;
    // What the image itself holds answers with another label.
    ensure!(answer.label == "mounted", "it says {}", answer.label);
    ensure!(answer.digest == release.modelkit, "the answer carries {:?}", answer.digest);
    Ok(())
}

/// `podman run` takes the image.
pub(super) fn podman(world: &World, report: &mut Report) {
    let Some(podman) = on_search_path("podman") else { return };
    let version = run_quietly(Command::new(&podman).arg("--version")).unwrap_or_default();
    let peer = version.trim().replace(" version", "");
    report.claim(&peer, "runs the image, as nobody and with a read-only root", || {
        run_in_podman(world, &podman)
    });
}

fn run_in_podman(world: &World, podman: &Path) -> anyhow::Result<()> {
    let image = format!("{}/demo/runtime:two", world.open.address);
    let address = free_address()?;
    let (host, port) = address.split_once(':').unwrap_or_default();
    let state = world.dir.join("podman");
    let mut run = Command::new(podman);
    run.arg("--root").arg(state.join("root")).arg("--runroot").arg(state.join("run"));
    run.args(["--storage-driver=vfs", "--cgroup-manager=cgroupfs", "--runtime=runc"]);
    run.args(["run", "--rm", "--read-only", "--network=host", "--tls-verify=false"]);
    run.args(["--cap-drop=all", "--ulimit=nofile=1024:1024", "--ulimit=nproc=4000:4000"]);
    run.arg(format!("--cgroup-parent=/{}/podman", world.cgroup));
    run.arg(format!("--env=KIT_RS_HOST={host}")).arg(format!("--env=KIT_RS_PORT={port}"));
    let log = world.dir.join("podman.log");
    let file = fs::File::create(&log)?.into_parts().0;
    run.arg(&image).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    crate::process::end_with_us(&mut run);
    let mut child = run.spawn()?;
    let deadline = Instant::now() + PATIENCE;
    let answered = loop {
        let answer = ask(&format!("http://{address}"), "I love it");
        let ended = child.try_wait()?;
        if answer.is_ok() || ended.is_some() || Instant::now() > deadline {
            break answer;
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    crate::process::end(&mut child, Duration::from_secs(30));
    let answer = answered.map_err(|error| {
        anyhow::anyhow!("{error:#}\n{}", fs::read_to_string(&log).unwrap_or_default())
    })?;
    ensure!(answer.label == "two", "it says {}", answer.label);
    Ok(())
}
