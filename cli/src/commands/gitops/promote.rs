//! `kit-rs gitops promote`.

use std::fmt;
use std::path::PathBuf;

use anyhow::Context as _;
use gitops::edit::Bump;
use gitops::promote::{Evaluation, Pins, applied, not_ready, pins};
use gitops::{Name, Object};
use registry::Reference;

use super::api::{Api, is_not_there};
use super::evaluated::Evaluators;
use super::history::{History, Message};
use crate::failure::{WithHint as _, asked_wrongly, failure};
use crate::kind::Kind;
use crate::network::Network;
use crate::steps::trusted::{TrustArgs, Trusted};
use crate::ui::Ui;

/// Have an environment run what another one runs, if it is ready there and no worse
///
/// The digests of image and ModelKit are copied, and every other byte stays. Refused is what does
/// not serve in the first environment at this very digest, and a ModelKit whose own evaluation (the
/// metrics in its Kitfile, as `kit-rs train` writes them) is missing, worse than that of the one
/// whose place it takes, or measured on other data.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The app: the folder apps/APP
    app: Name,
    /// The environment that runs it
    #[arg(long, value_name = "ENV")]
    from: Name,
    /// The environment that is to run it
    #[arg(long, value_name = "ENV")]
    to: Name,
    /// Take the evaluations that the holder of this key has signed (a public key in PEM, repeatable),
    /// as `kit-rs evaluate --attest` brings them, in the place of what Kitfiles say
    #[arg(long, value_name = "FILE")]
    evaluated_by: Vec<PathBuf>,
    /// How much worse a metric may be
    #[arg(long, default_value_t = 0.0, value_name = "X")]
    margin: f64,
    /// Promote it whatever speaks against it, and say why: it becomes a trailer of the commit
    #[arg(long, value_name = "REASON")]
    force: Option<String>,
    /// Do not ask the first environment's cluster whether it is ready there
    #[arg(long)]
    no_cluster: bool,
    /// The context of kubectl for the first environment's cluster [default: the current one]
    #[arg(long, value_name = "NAME", conflicts_with = "server")]
    context: Option<String>,
    /// The Kubernetes API (plain HTTP) of the first environment's cluster [default: ask kubectl]
    #[arg(long, value_name = "URL", env = "KIT_RS_SERVER")]
    server: Option<String>,
    /// Commit the change, with trailers that name the digests
    #[arg(long)]
    commit: bool,
    /// The repository's working tree
    #[arg(long, default_value = ".", value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    network: Network,
}

pub(super) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    let Args { app, from, to, .. } = &args;
    if from == to {
        return Err(asked_wrongly("--from and --to are the same environment"));
    }
    if !(0.0..=1.0).contains(&args.margin) {
        return Err(asked_wrongly("--margin is from 0 to 1"));
    }
    if args.force.as_ref().is_some_and(|reason| reason.trim().is_empty()) {
        return Err(asked_wrongly("--force wants a reason"));
    }
    let tree = super::bases::read(&args.dir, &args.network, ui)?;
    let of = |env: &Name| {
        pins(&tree, app, Some(env)).with_context(|| format!("cannot tell what {app} runs in {env}"))
    };
    let (named, old) = (of(from)?, of(to)?);
    if named.delivery.as_deref() == Some("runtime") {
        let message = format!("{app} follows a tag: no commit says which model {from} runs");
        return Err(failure(Kind::Invalid, message))
            .hint("render it with another --delivery, which names the model by digest");
    }
    let evaluators = Evaluators::read(&args.evaluated_by)?;
    let trusted = args.trust.read(ui)?;
    let new = of_image(&named, &trusted, &args.network, ui)?;
    if new.image.digest.is_none() || new.modelkit_digest.is_none() {
        let message = format!("{app} in {from} names its image or its ModelKit without a digest");
        return Err(failure(Kind::Invalid, message))
            .hint(format!("kit-rs gitops bump IMAGE --app {app} --env {from} pins both"));
    }
    let bump = new.bump(app.clone(), Some(to.clone()));
    let changed = gitops::edit::bump(&tree, &bump)
        .with_context(|| format!("cannot point {app} in {to} at {}", new.image))?;
    if changed.is_empty() {
        ui.note("it is there already");
        return super::written::write(&changed, &args.dir, ui);
    }
    let weights = judge(&args, [&named, &new, &old], (&trusted, &evaluators), ui)?;
    super::bump::warn_of_size(&tree, app, Some(to), weights, ui);
    ui.no_warnings()?;
    let message = args.commit.then(|| message(&args, &bump)).transpose()?;
    super::written::write_as(&changed, &tree, &args.dir, message.as_ref(), ui)
}

fn message(args: &Args, bump: &Bump) -> anyhow::Result<Message> {
    let Args { app, from, to, .. } = args;
    let head = History::of(&args.dir)?.head()?;
    let message = Message::new(format!("Promote {app} from {from} to {to}"), bump)
        .with("Promoted-From", &format!("{from}@{head}"));
    Ok(match &args.force {
        Some(reason) => message.with("Promotion-Forced", reason),
        None => message,
    })
}

/// What an app runs, with the ModelKit that its image says it serves where none is named beside it:
/// so it is where Flux moves the image.
fn of_image(pins: &Pins, trusted: &Trusted, network: &Network, ui: &Ui) -> anyhow::Result<Pins> {
    if pins.modelkit_digest.is_some() || !pins.image.is_pinned() {
        return Ok(pins.clone());
    }
    let image: Reference = pins.image.to_string().parse()?;
    let runtime = super::release::describe(&image, trusted, network, ui)?.runtime;
    let (modelkit, modelkit_digest) = (runtime.modelkit, runtime.modelkit_digest);
    Ok(Pins { modelkit, modelkit_digest, ..pins.clone() })
}

/// Refuses what speaks against it, unless that is to be passed over; returns how many bytes of
/// weights the image loads. Given are what is named in the first environment, with what its image
/// says besides, and what the other one runs.
fn judge(
    args: &Args,
    [named, new, old]: [&Pins; 3],
    (trusted, evaluators): (&Trusted, &Evaluators),
    ui: &Ui,
) -> anyhow::Result<u64> {
    let mut against = Vec::new();
    if !args.no_cluster {
        against.extend(in_cluster(args, named, ui)?);
    }
    let image: Reference = new.image.to_string().parse()?;
    let runtime = super::release::describe(&image, trusted, &args.network, ui)?.runtime;
    let mut weights = runtime.model_bytes;
    if new.delivery.is_some() {
        let (why, bytes) = super::delivered::judge(new, trusted, &args.network, ui)?;
        against.extend(why);
        weights = bytes;
    } else if runtime.modelkit_digest != new.modelkit_digest {
        // Its evaluation would be that of another model.
        let says = runtime.modelkit_digest.as_deref().unwrap_or("none");
        against.push(format!("the image serves another ModelKit than is named: {says}"));
    }
    against.extend(evaluated(args, [new, old], (trusted, evaluators), ui)?);
    if against.is_empty() {
        return Ok(weights);
    }
    if args.force.is_some() {
        against.iter().for_each(|why| ui.note(format_args!("promoted although {why}")));
        return Ok(weights);
    }
    let Args { app, from, to, .. } = args;
    let message = format!("{app} is not promoted from {from} to {to}: {}", against.join("; "));
    Err(failure(Kind::Refused, message))
        .hint("--force REASON promotes it all the same, and the commit says so")
}

/// Why the first environment's cluster does not serve it.
fn in_cluster(args: &Args, new: &Pins, ui: &Ui) -> anyhow::Result<Option<String>> {
    let api = Api::of(args.server.as_deref(), args.context.as_deref())?;
    let id = &new.rollout();
    let (version, namespace, name) = (id.api_version(), &id.namespace, &id.name);
    let kinds = format!("{}s", id.kind.to_ascii_lowercase());
    if let Some(why) = elsewhere(args, &api, ui) {
        return Ok(Some(why));
    }
    match api.get(&format!("/apis/{version}/namespaces/{namespace}/{kinds}/{name}"), ui) {
        Ok(live) => Ok(not_ready(&Object::from_value(live)?, new)),
        Err(error) if is_not_there(&error) => Ok(Some(format!("{id} is not there"))),
        Err(error) => Err(error)
            .context(format!("cannot ask the cluster of {}; --no-cluster asks none", args.from))
            .hint("--context and --server name the cluster"),
    }
}

/// Why a cluster is not that of the first environment: environments are called alike in theirs, so
/// what is ready in another one's would be taken for it.
fn elsewhere(args: &Args, api: &Api, ui: &Ui) -> Option<String> {
    let Args { app, from, .. } = args;
    // Where it cannot be told, as without Flux, the object itself is all that there is to ask.
    let list = api.get("/apis/kustomize.toolkit.fluxcd.io/v1/kustomizations", ui).ok()?;
    let envs = applied(&list, app);
    if envs.is_empty() || envs.contains(from.as_str()) {
        return None;
    }
    let envs: Vec<String> = envs.into_iter().collect();
    let envs = envs.join(" and ");
    Some(format!(
        "the cluster that was asked applies {app} of {envs} (--context names that of {from})"
    ))
}

/// Why the model's own evaluation does not let it pass.
fn evaluated(
    args: &Args,
    [new, old]: [&Pins; 2],
    (trusted, evaluators): (&Trusted, &Evaluators),
    ui: &Ui,
) -> anyhow::Result<Option<String>> {
    let read = |pins: &Pins| evaluators.evaluations(pins, trusted, &args.network, ui);
    let evaluations = match read(new)? {
        Ok(evaluations) => evaluations,
        Err(why) => return Ok(Some(why)),
    };
    let uncomparable =
        |why: &dyn fmt::Display| format!("what {} runs now cannot be compared: {why}", args.to);
    let old = match of_image(old, trusted, &args.network, ui) {
        Ok(old) => old,
        Err(error) => return Ok(Some(uncomparable(&format_args!("{error:#}")))),
    };
    // The first release there takes nobody's place.
    if old.modelkit_digest.is_none() || old.modelkit_digest == new.modelkit_digest {
        return Ok(None);
    }
    Ok(match read(&old)? {
        Ok(before) => Evaluation::all_against(&evaluations, &before, args.margin)
            .err()
            .map(|why| why.to_string()),
        Err(why) => Some(uncomparable(&why)),
    })
}
