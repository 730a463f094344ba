//! What is to run: an image, its place and its size.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::flux::FluxVersion;
use crate::rules::{self, Rule};
use crate::{
    Admission, Beside, Chart, Component, Delivery, ImageRef, Layout, Name, OciSource, SecretName,
    Source, Spread, Trust, Violation, delivery, render, times,
};

/// What is to run where: the facts from which [`crate::render`] makes objects.
///
/// [`Release::new`] fills in what suits a model server; all fields can be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// The application: the folder `apps/<app>` and the Flux Kustomization `<app>-app`.
    pub app: Name,
    /// The name of Deployment, Service and ServiceAccount.
    pub name: Name,
    /// The namespace.
    pub namespace: Name,
    /// Whose namespace it is.
    pub namespace_use: NamespaceUse,
    /// The environment whose folder `clusters/<env>` Flux watches.
    pub env: Name,
    /// The runtime image; that of the server alone, unless the model is baked into it.
    pub image: ImageRef,
    /// How the model reaches the pods.
    pub delivery: Delivery,
    /// The ModelKit that is served, `registry/repository:tag`; for the reader only, where it is baked
    /// into the image.
    pub modelkit: Option<String>,
    /// The ModelKit's manifest digest.
    pub modelkit_digest: Option<String>,
    /// How many bytes of weights are loaded; memory and times follow from it.
    pub weight_bytes: u64,
    /// How many pods serve.
    pub replicas: u32,
    /// The port in the container and of the Service.
    pub port: u16,
    /// Further environment variables of the container.
    pub environment: BTreeMap<String, String>,
    /// The Secret of type `kubernetes.io/dockerconfigjson` for a private registry.
    pub pull_secret: Option<SecretName>,
    /// How long a request may take; how long a pod may take to go follows from it.
    pub request_timeout: Duration,
    /// How long a pod may take to load the model; none: what its weights need.
    pub startup: Option<Duration>,
    /// How long a rollout may go without progress: image pull and startup together; none: what the
    /// weights need.
    pub progress_deadline: Option<Duration>,
    /// How often Flux compares the cluster with the repository.
    pub interval: Duration,
    /// How soon Flux tries again after a failure.
    pub retry_interval: Duration,
    /// How the repository is laid out.
    pub layout: Layout,
    /// What keeps several pods apart.
    pub spread: Spread,
    /// What this environment adds to the base; of [`Layout::Envs`] only.
    pub components: BTreeSet<Component>,
    /// How many pods an autoscaler may make of [`Release::replicas`]; with [`Component::Hpa`] only.
    pub max_replicas: Option<u32>,
    /// Whether Flux applies the application as an account that may do no more than that; of
    /// [`Layout::Envs`] only.
    pub is_tenant: bool,
    /// What Flux takes the files from; none: the Git repository that it was bootstrapped from.
    pub source: Option<Source>,
    /// The chart that the objects come from; none: they are rendered here.
    pub chart: Option<Chart>,
    /// What there is beside the objects and the Kustomization.
    pub beside: Beside,
    /// The version of Flux that is to take it.
    pub flux: FluxVersion,
    /// Whose signatures the cluster asks for.
    pub trust: Trust,
}

/// Whose namespace an application is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NamespaceUse {
    /// The application's own, which comes and goes with it.
    #[default]
    Own,
    /// Rendered with the application, and never deleted by Flux: others may live there.
    Shared,
    /// Rendered by others.
    Elsewhere,
}

impl Release {
    /// A release with one replica on port 8000 in a namespace named after the application.
    pub fn new(app: Name, image: ImageRef) -> Self {
        Self {
            name: app.clone(),
            namespace: app.clone(),
            namespace_use: NamespaceUse::Own,
            app,
            env: "dev".parse().expect("dev is a name"),
            image,
            delivery: Delivery::Baked,
            modelkit: None,
            modelkit_digest: None,
            weight_bytes: 0,
            replicas: 1,
            port: 8000,
            environment: BTreeMap::new(),
            pull_secret: None,
            request_timeout: times::REQUEST,
            startup: None,
            progress_deadline: None,
            interval: Duration::from_secs(300),
            retry_interval: Duration::from_secs(60),
            layout: Layout::Flat,
            spread: Spread::Nodes,
            components: BTreeSet::new(),
            max_replicas: None,
            is_tenant: false,
            source: None,
            chart: None,
            beside: Beside::default(),
            flux: FluxVersion::NEWEST,
            trust: Trust::default(),
        }
    }

    /// Every value that Kubernetes or Flux would refuse, or take for another one.
    pub fn violations(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        let mut hold = |field, value: &dyn std::fmt::Display, rule: Rule| {
            found.extend(rule.err().map(|reason| Violation {
                field,
                value: value.to_string(),
                reason: reason.to_owned(),
            }));
        };
        hold("app", &self.app, app(self.app.as_str()));
        hold("name", &self.name, rules::service(self.name.as_str()));
        hold("namespace", &self.namespace, rules::own_namespace(self.namespace.as_str()));
        hold("image", &self.image, image(&self.image));
        for text in [&self.modelkit, &self.modelkit_digest].into_iter().flatten() {
            hold("modelkit", text, rules::text(text));
        }
        hold("delivery", &self.delivery.name(), delivery::rule(self));
        let too_large = self.weight_bytes > u64::from(u32::MAX) << 20;
        let is_loadable = if too_large { Err("no machine has so much memory") } else { Ok(()) };
        hold("weight_bytes", &self.weight_bytes, is_loadable);
        let are_awaited = || match rules::seconds(self.progress_deadline()).is_ok() {
            true => rules::span(self.timeout())
                .map_err(|_| "Flux would wait for all of them for longer than it can count"),
            false => Ok(()),
        };
        let replicas = int32(self.replicas.into()).and_then(|()| are_awaited());
        hold("replicas", &self.replicas, replicas);
        hold("port", &self.port, if self.port == 0 { Err("a port is 1 to 65535") } else { Ok(()) });
        for (name, value) in &self.environment {
            hold("environment", &name.escape_debug(), rules::variable(name));
            hold("environment", name, rules::text(value));
            let own = crate::render::delivery::own_variables(&self.delivery);
            let is_free = !own.contains(&name.as_str());
            hold("environment", name, is_free.then_some(()).ok_or("the delivery sets it"));
        }
        for (field, time, rule) in [
            ("request_timeout", self.request_timeout, rules::seconds as fn(Duration) -> Rule),
            ("request_timeout", times::grace(self.request_timeout), rules::seconds),
            ("startup", self.startup(), rules::seconds),
            ("progress_deadline", self.progress_deadline(), rules::seconds),
            ("interval", self.interval, rules::span),
            ("retry_interval", self.retry_interval, rules::span),
        ] {
            hold(field, &format_args!("{}s", time.as_secs_f64()), rule(time));
        }
        let most = self.max_replicas.map_or("is not given".to_owned(), |n| n.to_string());
        hold("max_replicas", &most, self.scaling());
        let is_flat = self.layout == Layout::Flat;
        let of_envs = |is_asked: bool| match is_flat && is_asked {
            true => Err("it needs the layout envs"),
            false => Ok(()),
        };
        for component in &self.components {
            hold("component", component, of_envs(true));
        }
        hold("tenant", &"is asked for", of_envs(self.is_tenant));
        let needs_key = self.trust.admission.contains(&Admission::Kyverno);
        let has_keys = match needs_key && self.trust.keys.is_empty() {
            true => Err("it needs a key, to ask for its signature"),
            false => Ok(()),
        };
        hold("admission", &Admission::Kyverno, has_keys);
        let policies = rules::label_value(&render::policies::name(self));
        let is_named = match self.trust.admission.is_empty() {
            false => policies.map_err(|_| "with it the app has at most 54 characters"),
            true => Ok(()),
        };
        hold("admission", &self.app, is_named);
        let is_bucket = matches!(self.source, Some(Source::Bucket(_)));
        let is_checked = match is_bucket && !self.trust.keys.is_empty() {
            true => Err("Flux checks no signatures of a bucket: take oci://…"),
            false => Ok(()),
        };
        hold("require_key", &"is asked for", is_checked);
        let is_followed = matches!(self.delivery, Delivery::Runtime { .. });
        let is_told = match self.trust.checks_model {
            true if is_followed && self.trust.keys.is_empty() => {
                Err("a tag is followed: without a key there is nothing to check")
            }
            true if !is_followed && self.modelkit_digest.is_none() => {
                Err("nobody says which ModelKit the image serves")
            }
            true if self.chart.is_some() => Err("the chart makes the Deployment itself"),
            true if self.beside.image_policy.is_some() => {
                Err("image automation moves the image, and the digest that is checked would stay")
            }
            _ => Ok(()),
        };
        hold("check_model", &"is asked for", is_told);
        let fits = match self.startup() > self.progress_deadline() {
            true => Err("it is longer than a rollout may go without progress"),
            false => Ok(()),
        };
        hold("startup", &format_args!("{}s", self.startup().as_secs()), fits);
        if let Some(Source::Oci(source)) = &self.source {
            hold("source", source, versions(source));
        }
        found.extend(render::chart::violations(self));
        found.extend(render::beside::violations(self));
        found.dedup_by(|a, b| (a.field, &a.reason) == (b.field, &b.reason));
        found
    }

    /// Whether an autoscaler can make as many pods as it is told.
    fn scaling(&self) -> Rule {
        match (self.components.contains(&Component::Hpa), self.max_replicas) {
            (false, None) => Ok(()),
            (false, Some(_)) => Err("only an autoscaler heeds it, the component hpa"),
            (true, None) => Err("the component hpa needs to know how many pods there may be"),
            (true, Some(_)) if self.replicas == 0 => Err("an autoscaler keeps one pod at least"),
            (true, Some(most)) if most < self.replicas => Err("it is less than the replicas"),
            (true, Some(most)) => int32(most.into()),
        }
    }

    /// The Secrets of Flux' namespace that [`Release::beside`] needs beside those that are named,
    /// and how `kubectl create secret generic` is told what is in them.
    pub fn secrets(&self) -> Vec<(String, &'static str)> {
        render::beside::secrets(self)
    }

    /// Whether there are several pods, or may be, and they are not a chart's to keep.
    pub(crate) fn is_replicated(&self) -> bool {
        let may_be = self.replicas > 1 || self.components.contains(&Component::Hpa);
        may_be && self.chart.is_none()
    }

    /// How long a pod may take to load the model.
    pub fn startup(&self) -> Duration {
        let longest = self.progress_deadline.unwrap_or(Duration::MAX);
        let needed = || match self.delivery {
            // The model is on its way while the server already runs.
            Delivery::Runtime { .. } => times::startup_with_pull(self.weight_bytes),
            _ => times::startup(self.weight_bytes),
        };
        self.startup.unwrap_or_else(|| needed().min(longest))
    }

    /// How long a rollout may go without progress.
    pub fn progress_deadline(&self) -> Duration {
        let shortest = self.startup.unwrap_or_default();
        self.progress_deadline.unwrap_or_else(|| times::progress(self.weight_bytes).max(shortest))
    }

    /// How long Flux waits for health.
    pub fn timeout(&self) -> Duration {
        let n_pods = self.max_replicas.map_or(self.replicas, |most| most.max(self.replicas));
        let one_by_one = |progress| times::one_by_one(progress, n_pods);
        times::health(match self.delivery {
            _ if self.chart.is_some() => times::helm(self.helm_timeout()),
            Delivery::KServe { .. } => {
                one_by_one(self.progress_deadline().max(delivery::KSERVE_PROGRESS))
            }
            _ => one_by_one(self.progress_deadline()),
        })
    }

    /// How long one action of Helm may take: it waits for all pods.
    pub(crate) fn helm_timeout(&self) -> Duration {
        times::by_quarters(self.progress_deadline(), self.replicas)
    }

    /// The memory that a pod has, in MiB: what it asks for and where it is killed are the same, so
    /// that no neighbour's need takes it away.
    pub fn memory(&self) -> u64 {
        memory(self.weight_bytes.saturating_mul(self.delivery.n_loaded()))
    }
}

/// What a server needs beside its weights, in MiB. What clients can make it hold is bounded by 64
/// MiB of bodies, as much of the texts in them, and 64 MiB of heads (`ServeOptions`); with a tiny
/// model, bodies made to hurt took it to 156 MB.
pub const MEMORY_BESIDE_WEIGHTS: u64 = 192;

/// The memory for a model, in MiB, a multiple of 32, so that a small change of the model changes no
/// resources.
///
/// Measured: DistilBERT (256 MiB of weights, f32) under 64 clients with texts of 512 tokens has a
/// peak of 219 MB, as its word embeddings stay in their file; it lives with 224Mi, and is killed
/// with 160Mi. Here it gets 448Mi.
pub fn memory(weight_bytes: u64) -> u64 {
    (weight_bytes.div_ceil(1 << 20) + MEMORY_BESIDE_WEIGHTS).next_multiple_of(32)
}

/// The Kustomization is `<app>-app`, and Flux puts its name into a label.
fn app(app: &str) -> Rule {
    rules::label_value(&format!("{app}-app")).map_err(|_| "it has at most 59 characters")
}

fn image(image: &ImageRef) -> Rule {
    rules::image_name(&image.name)?;
    image.tag.as_deref().map_or(Ok(()), rules::tag)?;
    image.digest.as_deref().map_or(Ok(()), rules::digest)
}

/// An artifact of a registry is followed by exactly one of a digest, a tag and a range.
fn versions(source: &OciSource) -> Rule {
    let ImageRef { tag, digest, .. } = &source.artifact;
    match (&source.semver, tag.is_some() || digest.is_some()) {
        (None, false) => {
            Err("it has a tag, which Flux follows, or a digest, or there is a --semver")
        }
        (Some(_), true) => Err("it has a tag or a digest, and --semver says another one"),
        _ => Ok(()),
    }
}

fn int32(n: u64) -> Rule {
    if n > rules::INT32 { Err("it is more than 2147483647") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release() -> Release {
        Release::new("a".parse().unwrap(), "i".parse().unwrap())
    }

    #[test]
    fn memory_follows_from_the_weights() {
        let mut release = release();
        assert_eq!(release.memory(), 192);
        release.weight_bytes = 1;
        assert_eq!(release.memory(), 224);
        release.weight_bytes = 267_832_560;
        assert_eq!(release.memory(), 448);
        release.weight_bytes = u64::MAX;
        assert!(release.memory() > 1 << 40);
    }

    #[test]
    fn flux_waits_for_as_many_pods_as_there_may_be() {
        let mut release = release();
        let minute = Duration::from_secs(60);
        release.progress_deadline = Some(3 * minute);
        let mut waits = |replicas, max_replicas| {
            (release.replicas, release.max_replicas) = (replicas, max_replicas);
            release.timeout()
        };
        assert_eq!(waits(1, None), 4 * minute);
        assert_eq!(waits(0, None), 4 * minute);
        assert_eq!(waits(3, None), 10 * minute);
        assert_eq!(waits(2, Some(6)), 19 * minute);
    }

    /// What is wrong with a release once it was changed.
    fn refused(change: impl FnOnce(&mut Release)) -> Vec<&'static str> {
        let mut release = release();
        change(&mut release);
        release.violations().into_iter().map(|violation| violation.field).collect()
    }

    #[test]
    fn what_the_api_server_would_refuse_or_turn_over_is_named() {
        let name = |text: &str| text.parse::<Name>().unwrap();
        assert_eq!(refused(|_| ()), [""; 0]);
        assert_eq!(refused(|r| r.replicas = 3_000_000_000), ["replicas"]);
        assert_eq!(refused(|r| r.replicas = 2_147_483_647), ["replicas"]);
        assert_eq!(refused(|r| r.replicas = 20_000_000), [""; 0]);
        assert_eq!(refused(|r| r.port = 0), ["port"]);
        assert_eq!(refused(|r| r.name = name("1a")), ["name"]);
        assert_eq!(refused(|r| r.app = name(&"x".repeat(60))), ["app"]);
        assert_eq!(refused(|r| r.app = name(&"x".repeat(59))), [""; 0]);
        assert_eq!(refused(|r| r.namespace = name("kube-system")), ["namespace"]);
        let seconds = Duration::from_secs;
        assert_eq!(
            refused(|r| r.progress_deadline = Some(seconds(99_999_999_999))),
            ["progress_deadline"]
        );
        assert_eq!(refused(|r| r.interval = Duration::ZERO), ["interval"]);
        assert_eq!(refused(|r| r.retry_interval = Duration::MAX), ["retry_interval"]);
        assert_eq!(refused(|r| r.request_timeout = seconds(rules::INT32)), ["request_timeout"]);
        assert_eq!(refused(|r| r.request_timeout = Duration::ZERO), ["request_timeout"]);
        assert_eq!(refused(|r| r.weight_bytes = 1 << 53), ["weight_bytes"]);
        assert_eq!(
            refused(|r| {
                (r.startup, r.progress_deadline) = (Some(seconds(61)), Some(seconds(60)));
            }),
            ["startup"]
        );
        assert_eq!(
            refused(|r| drop(r.environment.insert("1A".to_owned(), "\0".to_owned()))),
            ["environment", "environment"]
        );
        assert_eq!(refused(|r| r.image.name = "A b".to_owned()), ["image"]);
        assert_eq!(refused(|r| r.modelkit = Some("a\0".to_owned())), ["modelkit"]);
    }

    #[test]
    fn times_that_are_given_take_the_others_along() {
        let mut release = release();
        release.progress_deadline = Some(Duration::from_secs(15));
        assert_eq!((release.startup().as_secs(), release.timeout().as_secs()), (15, 75));
        release.progress_deadline = None;
        release.startup = Some(Duration::from_secs(600));
        assert_eq!(release.progress_deadline().as_secs(), 600);
        assert!(release.violations().is_empty());
    }
}
