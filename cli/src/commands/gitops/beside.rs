//! What `gitops render` writes beside an app's Flux Kustomization, where it was asked for.

use std::path::Path;

use gitops::{
    Alert, ArgoCd, Branch, Chart, FluxVersion, GitUrl, ImagePolicy, Installed, Name, Release,
    SemverRange, Tree, installed,
};

use super::history::History;
use crate::failure::{WithHint as _, failure};
use crate::kind::Kind;
use crate::network::Network;
use crate::ui::Ui;

/// What else there is to be.
#[derive(clap::Args)]
pub(super) struct BesideArgs {
    /// The version of Flux that is to take it: newer fields and API versions are not written
    /// [default: that of the Flux in clusters/ENV/flux-system, else 2.10]
    #[arg(long, value_name = "VERSION")]
    flux_version: Option<FluxVersion>,
    /// Make the app an instance of this Helm chart, oci:// or https://HOST/PATH/CHART:VERSION, in the
    /// place of objects of our own: its source, and a HelmRelease with what follows from the model in
    /// the values that charts of `helm create` read
    #[arg(long, value_name = "URL:VERSION")]
    chart: Option<Chart>,
    /// Write Argo CD's Application too, argocd/ENV/APP.yaml, which takes the app from the
    /// repository at this URL
    #[arg(long, value_name = "REPO_URL")]
    argocd: Option<GitUrl>,
    /// Have Flux move the image to the newest of its tags in this range of versions, and commit
    /// that: ImageRepository, ImagePolicy, ImageUpdateAutomation
    #[arg(long, value_name = "RANGE")]
    image_policy: Option<SemverRange>,
    /// Have Flux look at once when somebody calls: the type of a Receiver, such as github, gitlab,
    /// harbor or generic
    #[arg(long, value_name = "TYPE")]
    receiver: Option<String>,
    /// Tell somebody what Flux did with the app: the type of a Provider, such as slack or github,
    /// and its address where that is no secret
    #[arg(long, value_name = "TYPE[=ADDRESS]")]
    alert: Option<Alert>,
}

impl BesideArgs {
    /// Writes into a release what was asked for.
    pub(super) fn fill(
        self,
        release: &mut Release,
        there: &Tree,
        dir: &Path,
        network: &Network,
        ui: &Ui,
    ) -> anyhow::Result<()> {
        let known = installed(there, &release.env).and_then(|it| it.version);
        release.flux = self.flux_version.or(known).unwrap_or_default();
        if let Some(repository) = self.argocd {
            let revision = branch(there, &release.env, dir)?;
            release.beside.argocd = Some(ArgoCd { repository, revision });
        }
        if let Some(range) = self.image_policy {
            let host = release.image.name.split('/').next().unwrap_or_default();
            let insecure = network.client(ui)?.is_plain(host)?;
            release.beside.image_policy = Some(ImagePolicy { range, insecure });
        }
        release.chart = self.chart;
        if let Some(chart) = release.chart.as_mut().filter(|chart| chart.is_oci()) {
            chart.insecure = network.client(ui)?.is_plain(chart.host())?;
        }
        release.beside.receiver = self.receiver;
        release.beside.alert = self.alert;
        Ok(())
    }
}

/// The branch that Flux follows, else the one that is checked out.
fn branch(there: &Tree, env: &Name, dir: &Path) -> anyhow::Result<Branch> {
    if let Some(branch) = gitops::sync(there, env)?.and_then(|sync| sync.branch) {
        return Ok(branch.parse()?);
    }
    let checked_out = History::of(dir).and_then(|history| history.branch());
    Ok(checked_out
        .hint("Argo CD follows a branch: run this in a Git repository, or `kit-rs gitops bootstrap` first")?
        .parse()?)
}

/// Refuses what the Flux of the repository would not reconcile, and says what else there is to do.
pub(super) fn ready(
    release: &Release,
    rendered: &Tree,
    there: &Tree,
    ui: &Ui,
) -> anyhow::Result<()> {
    match installed(there, &release.env) {
        Some(flux) => has_controllers(&flux, rendered)?,
        None if release.beside.image_policy.is_some() => ui.note(
            "Flux needs its image controllers: flux install \
             --components-extra=image-reflector-controller,image-automation-controller",
        ),
        None => {}
    }
    if release.beside.image_policy.is_some() {
        ui.note("Flux pushes commits: its key or token for the repository has to allow that");
    }
    for (secret, keys) in release.secrets() {
        ui.note(format_args!(
            "Flux reads the Secret {secret} in flux-system: kubectl --namespace flux-system create \
             secret generic {secret} {keys}"
        ));
    }
    Ok(())
}

fn has_controllers(flux: &Installed, rendered: &Tree) -> anyhow::Result<()> {
    let lacks: Vec<&str> = flux.lacks(rendered).into_iter().collect();
    if lacks.is_empty() {
        return Ok(());
    }
    let message = format!("the Flux in {} has no {}", flux.path, lacks.join(" and no "));
    let lacks = lacks.join(",");
    let next = match flux.path.ends_with("/flux-instance.yaml") {
        true => format!("kit-rs gitops bootstrap --form flux-instance --components-extra {lacks}"),
        false => format!(
            "flux install --export --components-extra={lacks} > FILE; kit-rs gitops bootstrap \
             --components-file FILE"
        ),
    };
    // One object of a kind that is not served stops all of the folder.
    Err(failure(Kind::Refused, message)).hint(next)
}
