//! `kit-rs serve`.

mod admin;
mod follow;
mod loader;
#[cfg(feature = "otel")]
mod otel;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use registry::{Digest, Reference};
use serde_json::json;
use serve::engine::{EngineOptions, ZeroShot};
use serve::{Handle, ServeOptions};

use self::follow::Follower;
use self::loader::Loader;
use crate::env;
use crate::failure::{asked_wrongly, failure};
use crate::kind::Kind;
use crate::network::Network;
use crate::steps::model::ModelFolder;
use crate::steps::trusted::TrustArgs;
use crate::steps::windows::WindowArgs;
use crate::steps::{listen, model};
use crate::ui::Ui;

/// Serve a model over HTTP
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A model folder, a folder with a Kitfile, or a ModelKit (pulled when it is not local)
    #[arg(value_name = "REF|DIR")]
    model: String,
    /// Address to listen on; :: is every one, of IPv6 and of IPv4
    #[arg(long, default_value = "127.0.0.1", env = "KIT_RS_HOST")]
    host: String,
    /// Port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 8000, env = "KIT_RS_PORT")]
    port: u16,
    /// The reference that the model is known by
    #[arg(long, env = "KIT_RS_MODELKIT", hide = true)]
    reference: Option<String>,
    /// What the Open Inference Protocol calls the model [default: the Kitfile's package, else
    /// "model"]
    #[arg(long, value_name = "NAME")]
    model_name: Option<String>,
    /// Let pages of this origin ask, such as `https://app.example`, or of any with * (repeatable)
    #[arg(long, value_name = "ORIGIN", value_parser = origin)]
    cors_origin: Vec<String>,
    /// Where spans go, as OTLP over HTTP (JSON), for example http://127.0.0.1:4318
    #[cfg(feature = "otel")]
    #[arg(long, value_name = "URL", env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    otlp_endpoint: Option<String>,
    #[command(flatten)]
    zero_shot: ZeroShotArgs,
    #[command(flatten)]
    windows: WindowArgs,
    #[command(flatten)]
    limits: Limits,
    #[command(flatten)]
    reload: Reload,
    /// Serve no other ModelKit than the one of this digest, or none at all
    #[arg(
        long,
        help_heading = "Trust",
        value_name = "DIGEST",
        env = "KIT_RS_EXPECT_DIGEST",
        value_parser = registry::content::parse_digest,
        conflicts_with_all = ["watch", "admin", "canary", "shadow"]
    )]
    expect_digest: Option<Digest>,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    network: Network,
}

/// Labels of one's own, over a model of inference.
#[derive(clap::Args)]
#[command(next_help_heading = "Zero-shot")]
struct ZeroShotArgs {
    /// Tell these labels apart, by a model that tells entailment from contradiction
    #[arg(long, value_name = "LABEL,...", value_delimiter = ',')]
    labels: Vec<String>,
    /// What follows from a text where a label is right; {} stands for the label
    #[arg(long, value_name = "TEXT", requires = "labels", default_value = "This example is {}.")]
    hypothesis: String,
    /// Let each label be right or wrong for itself
    #[arg(long, requires = "labels")]
    multi_label: bool,
}

impl ZeroShotArgs {
    fn asked(&self) -> Option<ZeroShot> {
        let Self { labels, hypothesis, multi_label } = self;
        (!labels.is_empty()).then(|| ZeroShot {
            labels: labels.iter().map(|label| label.trim().to_owned()).collect(),
            hypothesis: hypothesis.clone(),
            multi_label: *multi_label,
        })
    }

    fn check(&self) -> anyhow::Result<()> {
        let mut seen = BTreeSet::new();
        for label in self.labels.iter().map(|label| label.trim()) {
            if label.is_empty() || !seen.insert(label) {
                return Err(asked_wrongly(format!(
                    "--labels has `{label}` twice, or an empty one"
                )));
            }
        }
        match self.hypothesis.contains("{}") {
            true => Ok(()),
            false => Err(asked_wrongly("--hypothesis has no {}, where the label would stand")),
        }
    }
}

/// Threads, limits and times.
#[derive(clap::Args)]
#[command(next_help_heading = "Limits")]
struct Limits {
    /// Threads that compute [default: the processors that this process may use]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Keep each of them on a processor of its own (for whoever owns the processors)
    #[arg(long)]
    pin: bool,
    /// Longest wait before a request is computed; one that would wait longer gets 429
    #[arg(long, default_value_t = 1000, value_name = "MILLISECONDS")]
    max_queue_wait: u64,
    /// Longest time from a request to its answer; beyond it 504
    #[arg(long, default_value_t = 60, value_name = "SECONDS", env = "KIT_RS_REQUEST_TIMEOUT")]
    request_timeout: u64,
    /// Connections at the same time
    #[arg(long, default_value_t = 4096, value_name = "N")]
    max_connections: usize,
    /// After SIGTERM: seconds in which requests are still accepted, while not ready
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    drain_delay: u64,
    /// From SIGTERM: seconds until whatever has no answer gets 503
    #[arg(long, default_value_t = 65, value_name = "SECONDS", env = "KIT_RS_DRAIN_TIMEOUT")]
    drain_timeout: u64,
}

/// Other models, and the same one's next version.
#[derive(clap::Args)]
#[command(next_help_heading = "Reload")]
struct Reload {
    /// Look every so many seconds whether the tag names another ModelKit, and serve that one
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "30", value_parser = clap::value_parser!(u64).range(1..))]
    watch: Option<u64>,
    /// Keep of the local layout what is served, and nothing else: for a layout that is this server's
    /// own, as in a pod
    #[arg(long, requires = "watch")]
    tidy: bool,
    /// Address of the admin routes (POST /admin/reload and more); only loopback addresses, unless
    /// $KIT_RS_ADMIN_TOKEN is set
    #[arg(long, value_name = "HOST:PORT")]
    admin: Option<String>,
    /// The bearer token that the admin routes ask for
    #[arg(long, env = "KIT_RS_ADMIN_TOKEN", hide = true, hide_env_values = true)]
    admin_token: Option<String>,
    /// Another ModelKit that answers a share of the requests, for example demo:v2=5%
    #[arg(long, value_name = "REF=PERCENT%", value_parser = canary)]
    canary: Option<(Reference, f64)>,
    /// Another ModelKit that is asked the same when there is nothing else to do; metrics tell how
    /// often it disagrees
    #[arg(long, value_name = "REF")]
    shadow: Option<Reference>,
}

impl Reload {
    /// Whether other models may be asked for: only they need a layout, and a container may have no
    /// place for one.
    fn is_wanted(&self) -> bool {
        self.watch.is_some()
            || self.admin.is_some()
            || self.canary.is_some()
            || self.shadow.is_some()
    }
}

/// `REF=5%`: the reference and a share from 0 to 1.
fn canary(text: &str) -> Result<(Reference, f64), String> {
    let (reference, percent) =
        text.rsplit_once('=').ok_or("write REF=PERCENT%, for example demo:v2=5%")?;
    let share = admin::share(percent)
        .ok_or_else(|| format!("`{percent}` is not a percentage from 0% to 100%"))?;
    let reference: Reference =
        reference.parse().map_err(|error| format!("`{reference}` is not a reference: {error}"))?;
    Ok((reference.or_latest(), share))
}

/// An origin as a browser says it: without a path, and in small letters.
fn origin(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_origin = rest.is_some_and(|host| {
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/')
    });
    match text == "*" || is_origin {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("an origin is a scheme and a host, such as https://app.example".to_owned()),
    }
}

pub(crate) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    check(&args)?;
    if args.reload.admin_token.is_some() {
        env::hold_secrets();
    }
    let trusted = args.trust.read(ui)?;
    // Bound first, so that probes are answered while the model is still on its way.
    let mut args = args;
    let name = args.model_name.take().or_else(|| model::package_name(Path::new(&args.model)));
    let cors_origins = std::mem::take(&mut args.cors_origin);
    let options = ServeOptions { cors_origins, ..serve_options(&args.limits, name) };
    let (handle, address, running) = ui.serve(start(&args, options, ui))?;
    let folder = model::open(&args.model, &trusted, &args.network, ui)?;
    let root = Path::new(&args.model);
    if root.is_dir() {
        // A runtime image has the model beside files of its own, which nobody has signed.
        let is_whole = root.join(trust::model::SIGNATURE).is_file();
        trusted.require_folder(if is_whole { root } else { &folder.dir }, ui)?;
    }
    expected(&args, &folder)?;
    let engine = EngineOptions {
        n_threads: args.limits.threads,
        pin: args.limits.pin,
        zero_shot: args.zero_shot.asked(),
        windows: args.windows.asked(),
    };
    let (model, identity) = loader::load(folder, args.reference.take(), &engine)?;
    let digest = identity.digest.clone();
    ui.serve(async {
        let swapped = handle.swap(model, identity).await;
        swapped.context("the model does not pass its first trial")?;
        let mut admin = None;
        if args.reload.is_wanted() {
            let loader = Loader::new(&args.network, trusted, engine, ui)?;
            admin = follow(&args, &Follower::new(handle.clone(), loader), ui).await?;
        }
        let mut document = json!({ "url": format!("http://{address}"), "digest": digest });
        if let Some(admin) = admin {
            document["admin"] = format!("http://{admin}").into();
        }
        ui.answer(format_args!("http://{address}"), &document)?;
        running.await.context("the server broke off")?.context("the server failed")
    })
}

/// Refuses another model than the one that is asked for.
fn expected(args: &Args, folder: &ModelFolder) -> anyhow::Result<()> {
    let Some(expected) = &args.expect_digest else { return Ok(()) };
    let is_it = folder.digest.as_ref().is_some_and(|found| *found == expected.to_string());
    if is_it {
        return Ok(());
    }
    let found = folder.digest.as_deref().unwrap_or("no ModelKit");
    let refused = format!("{} is {found}, and {expected} was asked for", args.model);
    Err(failure(Kind::Untrusted, refused))
}

/// Listens, and serves in the background what there is: nothing yet.
async fn start(
    args: &Args,
    options: ServeOptions,
    ui: &Ui,
) -> anyhow::Result<(Handle, std::net::SocketAddr, tokio::task::JoinHandle<std::io::Result<()>>)> {
    let listener = listen::bind_host(&args.host, args.port).await?;
    let address = listener.local_addr()?;
    let (router, handle) = serve::server_without_model(options);
    #[cfg(feature = "otel")]
    if let Some(endpoint) = &args.otlp_endpoint {
        otel::export(&handle, endpoint)?;
    }
    let interrupt = ui.interrupt().clone();
    let running = tokio::spawn(serve::run(listener, router, handle.clone(), async move {
        interrupt.wait().await
    }));
    Ok((handle, address, running))
}

/// Brings the other models, and begins to watch and to listen for orders; returns where.
async fn follow(
    args: &Args,
    follower: &Arc<Follower>,
    ui: &Ui,
) -> anyhow::Result<Option<std::net::SocketAddr>> {
    let Reload { watch, tidy, admin, admin_token, canary, shadow } = &args.reload;
    if let Some((reference, share)) = canary {
        follower
            .canary(reference, *share)
            .await
            .with_context(|| format!("cannot bring the canary {reference}"))?;
    }
    if let Some(reference) = shadow {
        let reference = reference.clone().or_latest();
        follower
            .shadow(&reference)
            .await
            .with_context(|| format!("cannot bring the shadow {reference}"))?;
    }
    if let Some(seconds) = watch {
        let reference: Reference = args.model.parse()?;
        tokio::spawn(Arc::clone(follower).watch(
            reference.or_latest(),
            Duration::from_secs(*seconds),
            *tidy,
        ));
    }
    let Some(address) = admin else { return Ok(None) };
    let address = admin::start(address, admin_token.clone(), Arc::clone(follower)).await?;
    ui.note(format_args!("admin routes on http://{address}"));
    Ok(Some(address))
}

/// What can be told before anything is loaded.
fn check(args: &Args) -> anyhow::Result<()> {
    if args.reload.watch.is_some() {
        let watched: Option<Reference> = args.model.parse().ok();
        let is_tag = watched.is_some_and(|reference| reference.or_latest().digest().is_none());
        let others = args.reload.canary.is_some() || args.reload.shadow.is_some();
        if args.reload.tidy && others {
            return Err(asked_wrongly("--tidy would take the canary or the shadow away"));
        }
        if Path::new(&args.model).is_dir() || !is_tag {
            return Err(asked_wrongly(format!(
                "--watch follows a tag, and `{}` is none",
                args.model
            )));
        }
    }
    if args.limits.threads == Some(0) {
        return Err(asked_wrongly("--threads 0 could not compute anything"));
    }
    if args.windows.asked().is_some() && args.zero_shot.asked().is_some() {
        return Err(asked_wrongly("--windows: with --labels a text is compared as a whole"));
    }
    if args.model_name.as_ref().is_some_and(String::is_empty) {
        return Err(asked_wrongly("--model-name is empty"));
    }
    args.zero_shot.check()
}

fn serve_options(limits: &Limits, model_name: Option<String>) -> ServeOptions {
    let defaults = ServeOptions::default();
    ServeOptions {
        model_name: model_name.unwrap_or(defaults.model_name),
        max_queue_wait: Duration::from_millis(limits.max_queue_wait),
        request_timeout: Duration::from_secs(limits.request_timeout),
        max_connections: limits.max_connections,
        drain_delay: Duration::from_secs(limits.drain_delay),
        drain_timeout: Duration::from_secs(limits.drain_timeout),
        ..ServeOptions::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `gitops render` tells a server is what one has that is told nothing.
    #[cfg(feature = "full")]
    #[test]
    fn the_times_of_a_server_are_those_that_are_rendered() {
        use gitops::times;
        let options = ServeOptions::default();
        assert_eq!(options.request_timeout, times::REQUEST);
        assert_eq!(options.drain_timeout, times::drain(times::REQUEST));
        assert!(options.body_timeout < options.request_timeout);
        assert!(options.drain_delay < times::MARGIN);
        // What clients can make it hold, in MiB: bodies, their texts, and heads of 16 KiB.
        let heads = options.max_connections * 16 / 1024;
        let held = ((2 * options.max_buffered_bytes) >> 20) + heads;
        assert_eq!(held as u64, gitops::MEMORY_BESIDE_WEIGHTS);
    }

    #[test]
    fn an_origin_is_a_scheme_and_a_host() {
        assert_eq!(origin("https://App.example:8443").unwrap(), "https://app.example:8443");
        assert_eq!(origin("*").unwrap(), "*");
        for bad in ["", "app.example", "https://", "https://app.example/", "ftp://app.example"] {
            assert!(origin(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_canary_is_a_reference_and_a_share() {
        let (reference, share) = canary("localhost:5000/demo/sentiment:v2=5%").unwrap();
        assert_eq!(
            (reference.to_string().as_str(), share),
            ("localhost:5000/demo/sentiment:v2", 0.05)
        );
        for bad in [
            "demo:v2",
            "demo:v2=",
            "demo:v2=5",
            "demo:v2=101%",
            "demo:v2=-1%",
            "=5%",
            "demo:v2=NaN%",
        ] {
            assert!(canary(bad).is_err(), "{bad}");
        }
    }
}
