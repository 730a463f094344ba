//! What a cluster costs that has nothing to do: starts Deployments of a program that only answers
//! its probes, waits until all are ready, and prints the share of a core that the cluster itself
//! takes, and whatever it has run meanwhile.
//!
//! ```text
//! cargo run --release -p kit-cluster --example idle -- 50 60
//! ```
#![expect(clippy::print_stdout, reason = "it is a program that prints a figure")]
#![expect(clippy::disallowed_methods, reason = "its pods are told by their environment what to be")]

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, thread};

use fs_err as fs;
use kit_cluster::{BoxError, Cluster, Images, Options, RuntimeConfig};

/// An image of this very program.
struct Myself;

impl Images for Myself {
    fn unpack(&self, _: &str, into: &Path) -> Result<RuntimeConfig, BoxError> {
        fs::copy(env::current_exe()?, into.join("idle"))?;
        let maps = fs::read_to_string("/proc/self/maps")?;
        for folder in ["lib", "lib64"] {
            fs::create_dir(into.join(folder))?;
            let files = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
            for library in files.map(Path::new) {
                let name = library.file_name().unwrap_or_default();
                if name.to_string_lossy().contains(".so") {
                    fs::copy(library, into.join(folder).join(name))?;
                }
            }
        }
        Ok(RuntimeConfig {
            entrypoint: vec!["/idle".to_owned()],
            env: vec![("LD_LIBRARY_PATH".to_owned(), "/lib".to_owned())],
            user: "65532:65532".to_owned(),
            ..RuntimeConfig::default()
        })
    }
}

fn main() -> Result<(), BoxError> {
    if let Ok(host) = env::var("KIT_RS_HOST") {
        return answer_probes(&host);
    }
    let numbers: Vec<u64> = env::args().skip(1).map(|it| it.parse()).collect::<Result<_, _>>()?;
    let (n, seconds) = match numbers[..] {
        [] => (50, 60),
        [n, seconds] => (n, seconds),
        _ => return Err("how many Deployments, and for how many seconds?".into()),
    };
    let dir = tempfile::tempdir()?;
    let url = "https://git.example.com/demo/ml-infra";
    let mut options = Options::new(dir.path().join("state"), Arc::new(Myself));
    options.sources.insert(url.to_owned(), commit(dir.path(), n)?);
    let cluster = Cluster::start(options)?;
    let ready = |cluster: &Cluster| cluster.pods("default").iter().filter(|pod| pod.ready).count();
    let n_pods = usize::try_from(n)?;
    if !cluster.wait_until(Duration::from_secs(300), |cluster| ready(cluster) == n_pods) {
        return Err(format!("{} of {n} pods are ready", ready(&cluster)).into());
    }
    // What was under way ends.
    thread::sleep(Duration::from_secs(5));
    let (begun, before) = (Instant::now(), used()?);
    thread::sleep(Duration::from_secs(seconds));
    let (used, elapsed) = (used()? - before, begun.elapsed().as_secs_f64());
    let threads = fs::read_dir("/proc/self/task")?.count();
    println!("{n} idle Deployments: {:.2} % of a core, {threads} threads", used / elapsed * 100.0);
    Ok(())
}

/// Says yes to everybody.
fn answer_probes(host: &str) -> Result<(), BoxError> {
    for client in TcpListener::bind((host, 8000))?.incoming() {
        let mut client = client?;
        let _ = client.read(&mut [0; 1024])?;
        client.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")?;
    }
    Ok(())
}

/// The seconds of a core that this process has used, and those of its children that have ended.
fn used() -> Result<f64, BoxError> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').ok_or("no name in /proc/self/stat")?;
    let fields = fields.split_whitespace().skip(11).take(4).map(str::parse::<u64>);
    let ticks: u64 = fields.collect::<Result<Vec<_>, _>>()?.into_iter().sum();
    // USER_HZ is 100 on every architecture that has Linux programs.
    Ok(ticks as f64 / 100.0)
}

/// A repository of `n` Deployments, each with a Service.
fn commit(dir: &Path, n: u64) -> Result<PathBuf, BoxError> {
    let git = |args: &[&str]| -> Result<(), BoxError> {
        let who = ["-c", "user.name=Idle", "-c", "user.email=idle@example.com"];
        let is_done = Command::new("git").args(who).args(args).current_dir(dir).status()?.success();
        if is_done { Ok(()) } else { Err(format!("git {args:?} failed").into()) }
    };
    git(&["init", "--quiet", "--bare", "--initial-branch=main", "infra.git"])?;
    git(&["clone", "--quiet", "infra.git", "work"])?;
    let folder = dir.join("work/clusters/dev");
    fs::create_dir_all(&folder)?;
    for n in 0..n {
        let objects = OBJECTS.replace("NAME", &format!("idle-{n}"));
        fs::write(folder.join(format!("{n}.yaml")), objects)?;
    }
    git(&["-C", "work", "add", "--all"])?;
    git(&["-C", "work", "commit", "--quiet", "--message", "idle"])?;
    git(&["-C", "work", "push", "--quiet", "origin", "HEAD:main"])?;
    Ok(dir.join("infra.git"))
}

const OBJECTS: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, namespace: default}
spec:
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      containers:
      - name: idle
        image: idle:1
        ports: [{name: http, containerPort: 8000}]
        readinessProbe: {httpGet: {path: /readyz, port: http}}
        livenessProbe: {httpGet: {path: /livez, port: http}}
---
apiVersion: v1
kind: Service
metadata: {name: NAME, namespace: default}
spec:
  selector: {app: NAME}
  ports: [{port: 80, targetPort: http}]
";
