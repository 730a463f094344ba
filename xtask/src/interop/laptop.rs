//! `interop --only laptop`: the real `kubectl` and the real `flux` at `kit-rs gitops up`, with the
//! lines that the tutorial and everybody else types.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use fs_err as fs;

use crate::client::ask;
use crate::kube::{Api, Programs, Repository};
use crate::peers::run_quietly;
use crate::registries::{Registry, Shop};
use crate::release::{Release, model, release};
use crate::report::Report;

const PEER: &str = "kubectl 1.36.4 and flux 2.9.5 at `gitops up`";
/// The app and its namespace.
const APP: &str = "shop";
/// The longest that anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A cluster on this machine that follows a repository, and whoever asks it.
struct Laptop {
    api: Api,
    _up: Registry,
    _registry: Registry,
    repository: Repository,
    shop: Shop,
    releases: [Release; 2],
    kubectl: PathBuf,
    flux: PathBuf,
    kubeconfig: PathBuf,
}

pub(super) fn run(
    program: &Path,
    workspace: &Path,
    dir: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    let programs = Programs::new()?;
    let built = || anyhow::Ok((programs.kubernetes("kubectl")?, programs.flux()?));
    let (kubectl, flux) = match built() {
        Ok(built) => built,
        Err(error) => {
            report.skip(PEER, "everything that is typed", &format!("{error:#}"));
            return Ok(());
        }
    };
    let laptop = Laptop::start(program, workspace, dir, kubectl, flux)?;
    report.claim(PEER, "flux check, check --pre, version", || laptop.checked());
    report.claim(PEER, "flux get kustomizations -A, sources, events, tree and reconcile", || {
        laptop.followed()
    });
    report.claim(
        PEER,
        "kubectl get of every kind, wide, by label, by field, sorted; all, nodes, events",
        || laptop.got(),
    );
    report.claim(PEER, "kubectl describe of a pod, a Deployment, a Service and the node", || {
        laptop.described()
    });
    report.claim(
        PEER,
        "an update by commit, seen by `flux get -w`, `kubectl get -w`, `rollout status`, `wait` and `logs -f`",
        || laptop.watched(),
    );
    report.claim(PEER, "kubectl logs of a Deployment, a pod, its last lines", || laptop.logged());
    report.claim(PEER, "kubectl delete pod waits for its end, and another one comes", || {
        laptop.deleted()
    });
    report.claim(PEER, "kubectl annotate and label", || laptop.annotated());
    report.claim(PEER, "what Git says is not changed: scale, apply, restart, exec say so", || {
        laptop.refused()
    });
    report.claim(PEER, "kit-rs gitops port-forward, which kubectl is told to type", || {
        laptop.forwarded()
    });
    Ok(())
}

impl Laptop {
    fn start(
        program: &Path,
        workspace: &Path,
        dir: &Path,
        kubectl: PathBuf,
        flux: PathBuf,
    ) -> anyhow::Result<Self> {
        let shop = Shop::open(dir.to_owned(), program.to_owned())?;
        let registry = Registry::ours(program, &dir.join("registry"), "127.0.0.1:0", &[])?;
        let make = |version: &str| -> anyhow::Result<Release> {
            let folder = dir.join("models").join(version);
            model(workspace, &folder, version)?;
            release(&shop, &registry.address, &folder, version, program)
        };
        let releases = [make("one")?, make("two")?];
        let repository = Repository::start(dir)?;
        let (url, work) = (&repository.url, repository.work.display());
        for line in [
            format!("gitops bootstrap --url {url} --branch main --dir {work} --no-cluster"),
            format!("gitops render {} --app {APP} --dir {work}", releases[0].image),
        ] {
            shop.kit("home", &line)?;
        }
        let revision = repository.push()?;
        let source = format!("{url}={}", repository.bare.display());
        let up = Registry::up(program, dir, &source)?;
        let api = Api::new(&up.address);
        let path = "apis/kustomize.toolkit.fluxcd.io/v1/namespaces/flux-system/kustomizations";
        api.wait(&format!("{path}/{APP}-app"), PATIENCE, |it| {
            let conditions = it["status"]["conditions"].as_array().into_iter().flatten();
            let mut ready = conditions.filter(|it| it["type"] == "Ready");
            it["status"]["lastAppliedRevision"] == revision.as_str()
                && ready.any(|it| it["status"] == "True")
        })?;
        Ok(Self {
            api,
            _up: up,
            _registry: registry,
            repository,
            kubeconfig: dir.join("up/kubeconfig"),
            shop,
            releases,
            kubectl,
            flux,
        })
    }

    fn command(&self, program: &Path, line: &str) -> Command {
        let mut command = Command::new(program);
        command.args(line.split(' ')).current_dir(&self.shop.dir);
        command.env("KUBECONFIG", &self.kubeconfig).env("HOME", &self.shop.dir);
        command
    }

    /// What `kubectl` answers.
    fn kubectl(&self, line: &str) -> anyhow::Result<String> {
        run_quietly(&mut self.command(&self.kubectl, line))
    }

    /// What `flux` answers.
    fn flux(&self, line: &str) -> anyhow::Result<String> {
        run_quietly(&mut self.command(&self.flux, line))
    }

    /// What `kubectl` is told that it may not.
    fn refusal(&self, line: &str) -> anyhow::Result<String> {
        let output = self.command(&self.kubectl, line).output()?;
        ensure!(!output.status.success(), "`kubectl {line}` was done");
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn checked(&self) -> anyhow::Result<()> {
        for line in ["check --pre", "check --timeout=60s", "version"] {
            let told = self.flux(line)?;
            says(&told, &[])?;
        }
        Ok(())
    }

    fn followed(&self) -> anyhow::Result<()> {
        let commit = self.repository.git(&["rev-parse", "HEAD"])?;
        let revision = format!("main@sha1:{}", &commit[..8]);
        says(&self.flux("get kustomizations -A")?, &["shop-app", &revision, "Applied revision"])?;
        says(&self.flux("get sources git -A")?, &["flux-system", &revision, "stored artifact"])?;
        says(&self.flux("tree kustomization flux-system")?, &["Deployment/shop/shop"])?;
        says(&self.flux("trace deployment shop -n shop")?, &["shop-app", &commit[..40]])?;
        says(&self.flux("stats -A")?, &["Kustomization"])?;
        for line in
            ["reconcile source git flux-system", "reconcile kustomization shop-app --with-source"]
        {
            self.flux(&format!("{line} --timeout=60s"))?;
        }
        says(&self.flux("events -n flux-system")?, &["Kustomization/shop-app"])
    }

    fn got(&self) -> anyhow::Result<()> {
        let by_label = format!("-l app.kubernetes.io/name={APP}");
        for (line, words) in [
            ("get pods -A".to_owned(), &["1/1", "Running"][..]),
            (format!("get pods -n {APP} {by_label} -o wide"), &["this-machine", "127."]),
            (format!("get pods -n {APP} --field-selector status.phase=Running"), &["1/1"]),
            (format!("get pods -n {APP} --sort-by=.metadata.name -o name"), &["pod/shop-"]),
            (format!("get deploy,svc,sa,cm -n {APP} -o wide"), &["1/1", "8000/TCP"]),
            (
                format!("get all -n {APP}"),
                &["pod/", "service/", "deployment.apps/", "replicaset.apps/"],
            ),
            ("get nodes".to_owned(), &["this-machine", "Ready"]),
            ("get ns".to_owned(), &["shop", "Active"]),
            ("get gitrepo,ks -A".to_owned(), &["stored artifact", "Applied revision"]),
            ("get events -A".to_owned(), &["pod/shop-", "Started", "ReconciliationSucceeded"]),
            ("api-resources".to_owned(), &["deployments", "kustomizations"]),
            ("cluster-info".to_owned(), &["is running at"]),
        ] {
            says(&self.kubectl(&line)?, words).with_context(|| format!("kubectl {line}"))?;
        }
        let none = self.kubectl(&format!("get pods -n {APP} -l app.kubernetes.io/name!={APP}"))?;
        ensure!(none.trim().is_empty(), "{none}");
        Ok(())
    }

    fn described(&self) -> anyhow::Result<()> {
        for (line, words) in [
            (
                format!("describe pods -n {APP}"),
                &["Status:           Running", "8000/TCP", "/readyz", "Pulled", "Started"][..],
            ),
            (
                format!("describe deployment {APP} -n {APP}"),
                &["1 available", "NewReplicaSet:", "ScalingReplicaSet"],
            ),
            (format!("describe service {APP} -n {APP}"), &["8000/TCP"]),
            ("describe node".to_owned(), &["KubeletReady"]),
        ] {
            says(&self.kubectl(&line)?, words).with_context(|| format!("kubectl {line}"))?;
        }
        Ok(())
    }

    fn watched(&self) -> anyhow::Result<()> {
        let pods = self.follow(&self.kubectl, &format!("get pods -n {APP} -w"))?;
        let kustomizations = self.follow(&self.flux, "get kustomizations -A -w")?;
        let log = self.follow(&self.kubectl, &format!("logs -f deployment/{APP} -n {APP}"))?;
        for followed in [&pods, &kustomizations, &log] {
            followed.wait("the first lines", |text| !text.trim().is_empty())?;
        }
        let (image, work) = (&self.releases[1].image, self.repository.work.display());
        self.shop.kit("home", &format!("gitops bump {image} --app {APP} --dir {work}"))?;
        let revision = self.repository.push()?;
        let short = &revision[.."main@sha1:".len() + 8];
        kustomizations.wait("the new revision", |text| text.matches(short).count() >= 2)?;
        let rolled = self.kubectl(&format!("rollout status deployment/{APP} -n {APP}"))?;
        says(&rolled, &["successfully rolled out"])?;
        let history = self.kubectl(&format!("rollout history deployment/{APP} -n {APP}"))?;
        says(&history, &["\n1 ", "\n2 "])?;
        let wait = "wait --for=condition=Available --timeout=60s";
        says(&self.kubectl(&format!("{wait} deployment/{APP} -n {APP}"))?, &["condition met"])?;
        pods.wait("the old pod goes and the new one is there", |text| {
            text.contains("Terminating") && text.contains("ContainerCreating")
        })?;
        log.wait("the end of the old pod's log", |_| log.is_over())?;
        let answer = self.answer()?;
        ensure!(answer == self.releases[1].modelkit, "{answer} answers");
        Ok(())
    }

    fn logged(&self) -> anyhow::Result<()> {
        let whole = self.kubectl(&format!("logs deployment/{APP} -n {APP}"))?;
        says(&whole, &["http://127."])?;
        let pod = self.kubectl(&format!("get pods -n {APP} -o name"))?;
        let last = self.kubectl(&format!("logs {} -n {APP} --tail=1", pod.trim()))?;
        ensure!(whole.lines().last() == last.lines().next(), "{whole}\n{last}");
        Ok(())
    }

    fn deleted(&self) -> anyhow::Result<()> {
        let pods = || self.kubectl(&format!("get pods -n {APP} -o name"));
        let before = pods()?;
        self.kubectl(&format!("delete -n {APP} {} --timeout=100s", before.trim()))?;
        let rollout = format!("rollout status deployment/{APP} -n {APP} --timeout=100s");
        self.kubectl(&rollout)?;
        let after = pods()?;
        ensure!(!after.contains(before.trim()) && !after.trim().is_empty(), "{before} {after}");
        Ok(())
    }

    fn annotated(&self) -> anyhow::Result<()> {
        self.kubectl(&format!("annotate deployment {APP} -n {APP} seen=yes"))?;
        self.kubectl(&format!("label deployment {APP} -n {APP} tier=front"))?;
        let found = self.kubectl(&format!("get deploy -n {APP} -l tier=front -o name"))?;
        says(&found, &["deployment.apps/shop"])?;
        self.kubectl(&format!("annotate deployment {APP} -n {APP} seen-"))?;
        let line = format!("get deployment {APP} -n {APP} -o jsonpath={{.metadata.annotations}}");
        ensure!(!self.kubectl(&line)?.contains("seen"), "it is still there");
        Ok(())
    }

    fn refused(&self) -> anyhow::Result<()> {
        for (line, words) in [
            (format!("scale deployment/{APP} --replicas=2 -n {APP}"), &["Git"][..]),
            (format!("rollout restart deployment/{APP} -n {APP}"), &["Git"]),
            (format!("create configmap x -n {APP}"), &["Git"]),
            (format!("exec deployment/{APP} -n {APP} -- ls"), &["processes of this machine"]),
            (
                format!("port-forward service/{APP} 0:8000 -n {APP}"),
                &["kit-rs gitops port-forward"],
            ),
            (
                format!("logs deployment/{APP} -n {APP} --previous"),
                &["previous terminated container", "not found"],
            ),
            (format!("logs deployment/{APP} -n {APP} --timestamps"), &["timestamps"]),
            (format!("delete deployment {APP} -n {APP} --dry-run=server"), &["dryRun"]),
            (format!("delete deployment {APP} -n {APP} --cascade=orphan"), &["Orphan"]),
        ] {
            says(&self.refusal(&line)?, words).with_context(|| format!("kubectl {line}"))?;
        }
        Ok(())
    }

    fn forwarded(&self) -> anyhow::Result<()> {
        let server = self.api.url();
        for target in ["service", "deployment"] {
            let line =
                format!("gitops port-forward {target}/{APP} :http -n {APP} --server {server}");
            let mut command = self.shop.kit_command("home", &line);
            let forward = Followed::begin(&mut command, &self.shop.dir.join(target))?;
            forward.wait("the address", |text| text.contains("Forwarding from"))?;
            let said = forward.text();
            let address = said.split_whitespace().nth(2).context("it says an address")?;
            let answer = ask(&format!("http://{address}"), "I love it")?;
            ensure!(answer.digest == self.releases[1].modelkit, "{} answers", answer.digest);
        }
        Ok(())
    }

    /// The digest of the ModelKit that answers.
    fn answer(&self) -> anyhow::Result<String> {
        let line = format!("get service {APP} -n {APP} -o jsonpath={{.spec.clusterIP}}");
        Ok(ask(&format!("http://{}:8000", self.kubectl(&line)?.trim()), "I love it")?.digest)
    }

    fn follow(&self, program: &Path, line: &str) -> anyhow::Result<Followed> {
        let name = line.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        Followed::begin(&mut self.command(program, line), &self.shop.dir.join(name))
    }
}

/// A program that goes on saying something.
struct Followed {
    child: std::cell::RefCell<Child>,
    file: PathBuf,
}

impl Followed {
    fn begin(command: &mut Command, file: &Path) -> anyhow::Result<Self> {
        let out = fs::File::create(file)?.into_parts().0;
        crate::process::end_with_us(command);
        let child = command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out).spawn()?;
        Ok(Self { child: child.into(), file: file.to_owned() })
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.file).unwrap_or_default()
    }

    fn is_over(&self) -> bool {
        matches!(self.child.borrow_mut().try_wait(), Ok(Some(_)))
    }

    fn wait(&self, what: &str, holds: impl Fn(&str) -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !holds(&self.text()) {
            ensure!(Instant::now() < deadline, "{what} does not come:\n{}", self.text());
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        crate::process::end(self.child.get_mut(), Duration::from_secs(10));
    }
}

/// Whether a text has all words.
fn says(text: &str, words: &[&str]) -> anyhow::Result<()> {
    for word in words {
        ensure!(text.contains(word), "no {word:?} in\n{text}");
    }
    Ok(())
}
