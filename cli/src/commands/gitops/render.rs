//! `kit-rs gitops render`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use gitops::{Name, Release, SecretName, Tree};
use registry::Reference;

use crate::failure::{WithHint as _, asked_wrongly};
use crate::network::Network;
use crate::steps::trusted::TrustArgs;
use crate::ui::Ui;

/// Write the app that runs an image, and the Flux Kustomization that points at it
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The runtime image; what it serves and how large it is are read from it
    image: Reference,
    /// The app: the folder apps/APP, and the namespace
    #[arg(long)]
    app: Name,
    /// Name of Deployment and Service [default: APP]
    #[arg(long)]
    name: Option<Name>,
    /// The namespace; one that is not APP may be shared, and Flux never deletes it [default: APP]
    #[arg(long)]
    namespace: Option<Name>,
    /// The environment: the folder clusters/ENV
    #[arg(long, default_value = "dev")]
    env: Name,
    /// How many pods serve
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(..=INT32))]
    replicas: u32,
    /// The Secret for a private registry
    #[arg(long, value_name = "NAME")]
    pull_secret: Option<SecretName>,
    /// How many seconds a rollout may go without progress before it has failed; Flux applies what
    /// repairs it after that [default: what the weights need, 120 at least]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=INT32))]
    progress_deadline: Option<u32>,
    /// How many seconds a request may take; how long a pod may take to go follows from it
    #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=INT32))]
    request_timeout: u32,
    /// The repository's working tree
    #[arg(long, default_value = ".", value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    network: Network,
}

/// The largest number of most fields.
const INT32: i64 = i32::MAX as i64;

pub(super) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    let trusted = args.trust.read(ui)?;
    let described = super::release::describe(&args.image, &trusted, &args.network, ui)?;
    if described.runtime.modelkit_digest.is_none() {
        return Err(anyhow::anyhow!(
            "the image {} says of no ModelKit that it serves it",
            args.image
        ))
        .hint("make one that does: kit-rs image build MODELKIT -t IMAGE");
    }
    let mut release = Release::new(args.app, described.image);
    release.env = args.env;
    release.replicas = args.replicas;
    release.pull_secret = args.pull_secret;
    release.modelkit = described.runtime.modelkit;
    release.modelkit_digest = described.runtime.modelkit_digest;
    release.weight_bytes = described.runtime.model_bytes;
    if let Some(name) = args.name {
        release.name = name;
    }
    if let Some(namespace) = args.namespace {
        release.namespace = namespace;
    }
    if let Some(seconds) = args.progress_deadline {
        release.progress_deadline = Some(Duration::from_secs(seconds.into()));
    }
    release.request_timeout = Duration::from_secs(args.request_timeout.into());
    let there = if args.dir.is_dir() { Tree::read(&args.dir)? } else { Tree::new() };
    release.place(&there).hint(
        "give this app another --namespace; or have Flux keep that one, with this in its metadata: \
         annotations: {kustomize.toolkit.fluxcd.io/prune: disabled}",
    )?;
    let violations = release.violations();
    if !violations.is_empty() {
        let lines: Vec<String> = violations.iter().map(|it| option(&release, it)).collect();
        return Err(asked_wrongly(lines.join("\n")));
    }
    let rendered = gitops::render(&release)?;
    check(&rendered, there, ui)?;
    super::written::write(&rendered, &args.dir, ui)
}

/// A violation by the option that it came from.
fn option(release: &Release, violation: &gitops::Violation) -> String {
    let gitops::Violation { field, value, reason } = violation;
    let option = match *field {
        // What nobody gave is the app's name.
        "name" | "namespace" if *value == release.app.as_str() => "app".to_owned(),
        field => field.replace('_', "-"),
    };
    let more = match option == "app" && *field != "app" {
        true => format!(" (give another --{field})"),
        false => String::new(),
    };
    format!("--{option} {value}: {reason}{more}")
}

/// Refuses to write what Flux would refuse, seen together with what is there.
fn check(rendered: &Tree, mut whole: Tree, ui: &Ui) -> anyhow::Result<()> {
    whole.merge(rendered.clone());
    let warnings = gitops::check(&whole, None).context("the repository would not deploy")?;
    for warning in warnings {
        ui.warn(warning);
    }
    ui.no_warnings()
}
