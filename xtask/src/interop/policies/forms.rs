//! Repositories in all forms that `gitops bootstrap` and `gitops render` write.

use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;

use crate::peers::run_quietly;
use crate::registries::Shop;

/// The form that most policies have something to ask of.
pub(super) const MANY: &str = "three replicas";

/// The image that all forms run; the program in it is never started.
const IMAGE: &str = "registry.example/demo/runtime:1.0.0";

/// What is rendered, after `gitops bootstrap` with the first words.
const FORMS: [(&str, &str, &[&str]); 8] = [
    ("the default", "", &["--app sentiment"]),
    (MANY, "", &["--app sentiment --replicas 3"]),
    ("no replicas", "", &["--app sentiment --replicas 0"]),
    (
        "all options",
        "--path clusters/prod --secret-ref flux-system",
        &[
            "--app sentiment --name classifier --namespace ml --env prod --replicas 2 --pull-secret pull --progress-deadline 900 --request-timeout 600",
        ],
    ),
    (
        "two apps in one namespace",
        "",
        &["--app first --namespace ml", "--app second --namespace ml --replicas 2"],
    ),
    (
        "Flux' components in the repository",
        "--components-file ../components.yaml",
        &["--app sentiment"],
    ),
    ("names that look like numbers", "", &["--app 12 --name on --namespace 12-ns"]),
    (
        "environments",
        "",
        &[
            "--app sentiment --namespace sentiment-dev --layout envs",
            "--app sentiment --namespace sentiment-prod --layout envs --env prod --replicas 3 --max-replicas 6 --component hpa,gpu --spread zones --tenant",
        ],
    ),
];

/// A repository of one form.
pub(super) struct Form {
    pub(super) name: &'static str,
    pub(super) repository: PathBuf,
    /// Where the objects lie as a cluster gets them: there too, or built.
    pub(super) objects: PathBuf,
}

/// Writes all of them.
pub(super) fn render(shop: &Shop) -> anyhow::Result<Vec<Form>> {
    image(shop)?;
    fs::write(
        shop.dir.join("components.yaml"),
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: flux-system\n  labels:\n    app.kubernetes.io/part-of: flux\n",
    )?;
    let mut repositories = Vec::new();
    for (n, (name, bootstrap, apps)) in FORMS.into_iter().enumerate() {
        let repository = shop.dir.join(format!("form-{n}"));
        fs::create_dir_all(&repository)?;
        let git = |line: &str| {
            run_quietly(Command::new("git").arg("-C").arg(&repository).args(line.split(' ')))
        };
        git("init --quiet --initial-branch=main")?;
        let within = |line: String| {
            let mut command = shop.kit_command("home", &line);
            run_quietly(command.current_dir(&repository))
        };
        within(format!(
            "gitops bootstrap --no-cluster --url https://git.example.com/demo/infra.git --branch main {bootstrap}"
        ))?;
        for app in apps {
            within(format!("gitops render {IMAGE} {app}"))?;
        }
        let objects = built(shop, n, &repository)?.unwrap_or_else(|| repository.clone());
        repositories.push(Form { name, repository, objects });
    }
    Ok(repositories)
}

/// Builds the overlays of a repository that has them, for judges that build nothing.
fn built(shop: &Shop, n: usize, repository: &Path) -> anyhow::Result<Option<PathBuf>> {
    let overlays = repository.join("apps/sentiment/overlays");
    if !overlays.is_dir() {
        return Ok(None);
    }
    let folder = shop.dir.join(format!("built-{n}"));
    fs::create_dir_all(folder.join("apps"))?;
    for overlay in fs::read_dir(&overlays)? {
        let env = overlay?.file_name().to_string_lossy().into_owned();
        let line =
            format!("gitops build apps/sentiment/overlays/{env} --dir {}", repository.display());
        fs::write(folder.join(format!("apps/{env}.yaml")), shop.kit("home", &line)?)?;
    }
    Ok(Some(folder))
}

/// An image of a small ModelKit, in the local layout.
fn image(shop: &Shop) -> anyhow::Result<()> {
    let model = shop.dir.join("model");
    fs::create_dir_all(&model)?;
    fs::write(model.join("model.safetensors"), vec![0; 1 << 16])?;
    fs::write(
        model.join("Kitfile"),
        "manifestVersion: 1.0.0\npackage: {name: sentiment}\nmodel: {path: model.safetensors}\n",
    )?;
    let runtime = shop.dir.join("runtime");
    fs::write(&runtime, "#!/bin/sh\n")?;
    executable(&runtime)?;
    shop.kit("home", "pack model -t demo/sentiment:1.0.0")?;
    shop.kit("home", &format!("image build demo/sentiment:1.0.0 -t {IMAGE} --runtime runtime"))?;
    Ok(())
}

fn executable(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?)
}
