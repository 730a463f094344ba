//! `kit-rs gitops render`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::ValueEnum;
use gitops::flux::FLUX_CONTENT;
use gitops::{
    Component, Name, OciSource, Release, Rendered, SecretName, SemverRange, Source, Tree,
};
use registry::Reference;

use super::beside::BesideArgs;
use crate::failure::{WithHint as _, asked_wrongly, failure};
use crate::kind::Kind;
use crate::network::Network;
use crate::steps::trusted::TrustArgs;
use crate::ui::Ui;

/// Write the app that runs an image, and the Flux Kustomization that points at it
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The runtime image; what it serves and how large it is are read from it, unless --delivery says
    /// that the model comes otherwise
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
    /// Whether all environments run the files of apps/APP (flat), or each has an overlay in
    /// apps/APP/overlays/ENV that pins its own image and ModelKit
    #[arg(long, value_enum, default_value_t = Layout::Flat)]
    layout: Layout,
    /// What this environment adds to apps/APP/base (repeatable, or with commas): an autoscaler, a
    /// ServiceMonitor, a GPU
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = component())]
    component: Vec<Component>,
    /// How many pods an autoscaler may make of --replicas
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=INT32))]
    max_replicas: Option<u32>,
    /// What several pods do not share where it can be had: nodes, or zones too
    #[arg(long, value_enum, default_value_t = Spread::Nodes)]
    spread: Spread,
    /// Have Flux apply the app as an account of its own, which may do no more than the app needs
    #[arg(long)]
    tenant: bool,
    /// Have Flux take the files from this artifact (oci://HOST/REPO:TAG), or this bucket
    /// (bucket://ENDPOINT/BUCKET), in the place of Git; `kit-rs gitops push` makes artifacts
    #[arg(long, value_name = "URL")]
    source: Option<Source>,
    /// Have Flux follow the newest version in this range of the artifact's tags, which --source then
    /// does not name
    #[arg(long, value_name = "RANGE", requires = "source")]
    semver: Option<SemverRange>,
    /// Have Flux take this layer of the artifact, by its media type [default: the first one; without
    /// a value that of `pack --with-manifests`]
    #[arg(long, value_name = "MEDIA_TYPE", requires = "source", num_args = 0..=1, require_equals = true,
          default_missing_value = FLUX_CONTENT)]
    layer_selector: Option<String>,
    /// The Secret in the namespace flux-system by which Flux reads a private --source
    #[arg(long, value_name = "NAME", requires = "source")]
    source_secret: Option<SecretName>,
    /// Write apps/APP/base anew where other environments build it, too
    #[arg(long)]
    replace_base: bool,
    /// Write anew, and remove, files of the app that somebody has changed since they were rendered
    #[arg(long)]
    overwrite: bool,
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
    delivery: super::delivered::DeliveryArgs,
    #[command(flatten)]
    asked: super::asked::AskedArgs,
    #[command(flatten)]
    beside: BesideArgs,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    network: Network,
}

/// How the repository is laid out.
#[derive(Clone, Copy, ValueEnum)]
enum Layout {
    Flat,
    Envs,
}

/// What keeps pods apart.
#[derive(Clone, Copy, ValueEnum)]
enum Spread {
    Nodes,
    Zones,
}

/// Reads the name of a component.
fn component() -> impl clap::builder::TypedValueParser<Value = Component> {
    use clap::builder::TypedValueParser as _;
    clap::builder::PossibleValuesParser::new(Component::ALL.map(Component::name)).map(|name| {
        let mut all = Component::ALL.into_iter();
        all.find(|component| component.name() == name).expect("one of the possible values")
    })
}

/// The largest number of most fields.
const INT32: i64 = i32::MAX as i64;

pub(super) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    let trusted = args.trust.read(ui)?;
    let described = super::release::describe(&args.image, &trusted, &args.network, ui)?;
    let source = args.source.map(|source| {
        let insecure = args.network.client(ui)?.is_plain(source.host())?;
        match source.with(insecure, args.source_secret) {
            Source::Oci(source) => {
                let (semver, layer) = (args.semver, args.layer_selector);
                anyhow::Ok(Source::Oci(OciSource { semver, layer, ..source }))
            }
            Source::Bucket(_) if args.semver.is_some() || args.layer_selector.is_some() => Err(
                asked_wrongly("--semver and --layer-selector are of an artifact: --source oci://…"),
            ),
            bucket => Ok(bucket),
        }
    });
    let mut release = Release::new(args.app, described.image.clone());
    args.delivery.complete(&mut release, described, &trusted, &args.network, ui)?;
    release.layout = match args.layout {
        Layout::Flat => gitops::Layout::Flat,
        Layout::Envs => gitops::Layout::Envs,
    };
    release.spread = match args.spread {
        Spread::Nodes => gitops::Spread::Nodes,
        Spread::Zones => gitops::Spread::Zones,
    };
    release.components = args.component.into_iter().collect();
    release.max_replicas = args.max_replicas;
    release.is_tenant = args.tenant;
    release.source = source.transpose()?;
    release.trust = args.asked.trust(&args.trust)?;
    release.env = args.env;
    release.replicas = args.replicas;
    release.pull_secret = args.pull_secret;
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
    args.beside.fill(&mut release, &there, &args.dir, &args.network, ui)?;
    match release.place(&there) {
        Err(error @ gitops::Error::NotShared { .. }) => Err(error).hint(
            "give this app another --namespace; or have Flux keep that one, with this in its metadata: \
             annotations: {kustomize.toolkit.fluxcd.io/prune: disabled}",
        ),
        placed => placed.hint("--layout envs and --layout flat are the two there are"),
    }?;
    let violations = release.violations();
    if !violations.is_empty() {
        let lines: Vec<String> = violations.iter().map(|it| option(&release, it)).collect();
        return Err(asked_wrongly(lines.join("\n")));
    }
    let rendered = gitops::render(&release)?;
    let disturbed = release.changes_for_others(&rendered, &there);
    if let (Some(path), false) = (disturbed.first(), args.replace_base) {
        let message =
            format!("{path} is another one already, and other environments build it, too");
        return Err(failure(Kind::Exists, message)).hint(
            "give the options that the app was rendered with; --replace-base changes all environments",
        );
    }
    if release.components.contains(&Component::Gpu) {
        ui.note("a GPU is reserved for each pod; kit-rs's own server computes on the processor");
    }
    super::beside::ready(&release, &rendered, &there, ui)?;
    let mut rendered = release.rendered(rendered, &there)?;
    let changed = std::mem::take(&mut rendered.changed);
    if !changed.is_empty() && !args.overwrite {
        let message = format!("changed by somebody since it was rendered: {}", changed.join(", "));
        return Err(failure(Kind::Exists, message)).hint(
            "commit what is there, and say --overwrite: `git diff` then shows what was yours, to be \
             put back, best as files of other names",
        );
    }
    let is_written = |path: &String| rendered.files.get(path).is_some();
    rendered.gone.extend(changed.into_iter().filter(|path| !is_written(path)));
    rendered.gone.sort();
    for path in &rendered.left {
        ui.note(format_args!("{path} is not of this rendering, and stays"));
    }
    check(&rendered, there.clone(), ui)?;
    super::written::write_rendered(&rendered, &there, &args.dir, ui)
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
fn check(rendered: &Rendered, mut whole: Tree, ui: &Ui) -> anyhow::Result<()> {
    whole.merge(rendered.files.clone());
    for path in &rendered.gone {
        whole.remove(path);
    }
    let warnings = gitops::check(&whole, None).context("the repository would not deploy")?;
    for warning in warnings {
        ui.warn(warning);
    }
    ui.no_warnings()
}
