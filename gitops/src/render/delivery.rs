//! What a delivery adds to the pods: how the model comes there, and how the server is told.
//!
//! With environments, what stays the same stands in the base, and what the model decides in the patch
//! of each environment; kustomize puts the elements of a patch's lists before those of the base.

use super::deployment::{quoted, secured};
use crate::delivery::registry_port;
use crate::yaml::scalar;
use crate::{Delivery, Layout, Release};

/// The name of the volume with the model, and of the container that fills it.
const MODEL: &str = "model";
/// The variables that carry the ModelKit's reference and its digest; the server knows them.
const REFERENCE: &str = "KIT_RS_MODELKIT";
const DIGEST: &str = "KIT_RS_EXPECT_DIGEST";

/// Which text of a Deployment is written, or of what makes one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// What all environments share.
    Base,
    /// What one environment has for itself.
    Overlay,
}

impl Part {
    /// The part that the file of the application's folder, or of its base, is.
    pub(super) fn of_deployment(release: &Release) -> Self {
        match release.layout {
            Layout::Flat => Self::Whole,
            Layout::Envs => Self::Base,
        }
    }

    /// Whether what the model decides is in it.
    pub(super) fn has_model(self) -> bool {
        self != Self::Base
    }

    /// Whether what stays the same is in it.
    pub(super) fn has_rest(self) -> bool {
        self != Self::Overlay
    }
}

/// The variables that the model decides.
pub(super) fn variables(release: &Release, part: Part) -> String {
    let pinned = |release: &Release| {
        [(DIGEST, release.modelkit_digest.clone()), (REFERENCE, release.modelkit.clone())]
    };
    let variables = match &release.delivery {
        Delivery::Baked => [(DIGEST, None), (REFERENCE, None)],
        // What follows a tag serves another digest tomorrow.
        Delivery::Runtime { .. } => [(DIGEST, None), (REFERENCE, release.modelkit.clone())],
        _ => pinned(release),
    };
    let line = |(name, value): (&str, Option<String>)| {
        let value = value?;
        Some(format!("            - name: {name}\n              value: {}\n", quoted(&value)))
    };
    match part.has_model() {
        true => variables.into_iter().filter_map(line).collect(),
        false => String::new(),
    }
}

/// The names of the variables that a delivery needs for itself.
pub(crate) fn own_variables(delivery: &Delivery) -> &'static [&'static str] {
    match delivery {
        Delivery::Baked => &[],
        _ => &[DIGEST, REFERENCE, "KIT_RS_HOME", "DOCKER_CONFIG"],
    }
}

/// The variables that stay the same: where the layout lies, and where the credentials.
pub(super) fn fixed_variables(release: &Release) -> Vec<(&'static str, String)> {
    let follows = matches!(release.delivery, Delivery::Runtime { .. });
    let layout = follows.then(|| ("KIT_RS_HOME", "/layout".to_owned()));
    layout.into_iter().chain(credentials(release).then(docker_config)).collect()
}

fn docker_config() -> (&'static str, String) {
    ("DOCKER_CONFIG", "/registry".to_owned())
}

/// Whether the pod itself needs the registry's credentials, beside the node.
fn credentials(release: &Release) -> bool {
    release.delivery.asks_registry().is_some() && release.pull_secret.is_some()
}

/// What the server is started with.
pub(super) fn args(release: &Release) -> String {
    let mut args = match &release.delivery {
        Delivery::Baked => return String::new(),
        Delivery::Runtime { watch, .. } => vec![
            "serve".to_owned(),
            format!("$({REFERENCE})"),
            format!("--watch={}", watch.as_secs()),
            // The layout is this server's own: it keeps what is served, and no more.
            "--tidy".to_owned(),
        ],
        _ => vec!["serve".to_owned(), format!("/{MODEL}")],
    };
    if matches!(release.delivery, Delivery::Runtime { plain_http: true, .. }) {
        args.push("--plain-http".to_owned());
    }
    list("args", &args)
}

fn list(field: &str, texts: &[String]) -> String {
    let lines: String =
        texts.iter().map(|text| format!("            - {}\n", scalar(text))).collect();
    format!("          {field}:\n{lines}")
}

/// Where the server has its volumes.
pub(super) fn mounts(release: &Release) -> String {
    let mut mounts = match release.delivery {
        Delivery::Baked => return String::new(),
        Delivery::Runtime { .. } => [("layout", false), ("tmp", false)].to_vec(),
        _ => [(MODEL, true)].to_vec(),
    };
    if matches!(release.delivery, Delivery::Runtime { .. }) && credentials(release) {
        mounts.push(("registry", true));
    }
    mounted(&mounts)
}

fn mounted(mounts: &[(&str, bool)]) -> String {
    let one = |(name, read_only): &(&str, bool)| {
        let read_only = if *read_only { "              readOnly: true\n" } else { "" };
        format!("            - name: {name}\n              mountPath: /{name}\n{read_only}")
    };
    format!("          volumeMounts:\n{}", mounts.iter().map(one).collect::<String>())
}

/// The volumes of the pod.
pub(super) fn volumes(release: &Release, part: Part) -> String {
    let empty = |name: &str, mebibytes: u64| {
        format!(
            "        - name: {name}\n          emptyDir:\n            sizeLimit: {mebibytes}Mi\n"
        )
    };
    let disk = release.delivery.disk(release.weight_bytes);
    let mut volumes = match &release.delivery {
        _ if !part.has_model() => String::new(),
        Delivery::Baked => String::new(),
        Delivery::ImageVolume { face } | Delivery::KServe { face } => format!(
            "        - name: {MODEL}
          # The ModelKit's mount face: a manifest over its own blobs that a node can mount.
          image:
            reference: {}
            pullPolicy: IfNotPresent
",
            scalar(&face.to_string())
        ),
        Delivery::Init { .. } => empty(MODEL, disk),
        // The archives of what is served and of what takes its place, and the files of both.
        Delivery::Runtime { .. } => empty("layout", disk / 2) + &empty("tmp", disk / 2),
    };
    if let (true, true, Some(secret)) =
        (part.has_rest(), credentials(release), &release.pull_secret)
    {
        volumes += &format!(
            "        - name: registry
          secret:
            secretName: {}
            items:
              - key: .dockerconfigjson
                path: config.json
",
            scalar(secret.as_str())
        );
    }
    match volumes.as_str() {
        "" => volumes,
        volumes => format!("      volumes:\n{volumes}"),
    }
}

/// The container that brings the model before the server starts.
pub(super) fn init(release: &Release, part: Part) -> String {
    let Delivery::Init { plain_http } = &release.delivery else { return String::new() };
    let image = scalar(&release.image.to_string());
    let model = match part.has_model() {
        true => format!("          image: {image}\n"),
        false => String::new(),
    };
    let rest = match part.has_rest() {
        true => {
            let mut args = vec![
                "unpack".to_owned(),
                format!("$({REFERENCE})@$({DIGEST})"),
                format!("--dir=/{MODEL}"),
                "--filter=kitfile,model".to_owned(),
                "--with-manifest".to_owned(),
            ];
            if *plain_http {
                args.push("--plain-http".to_owned());
            }
            let registry = credentials(release).then_some(("registry", true));
            let mounts: Vec<_> = [(MODEL, false)].into_iter().chain(registry).collect();
            format!(
                "          imagePullPolicy: IfNotPresent
          terminationMessagePolicy: FallbackToLogsOnError
{}{}",
                list("args", &args),
                mounted(&mounts)
            )
        }
        false => String::new(),
    };
    let fixed = credentials(release) && part.has_rest();
    let fixed = fixed.then(docker_config).map_or(String::new(), |(name, value)| {
        format!("            - name: {name}\n              value: {}\n", quoted(&value))
    });
    let env = match variables(release, part) + &fixed {
        nothing if nothing.is_empty() => nothing,
        env => format!("          env:\n{env}"),
    };
    let secured = if part.has_rest() { secured() } else { "" };
    let why = match part.has_rest() {
        true => {
            "        # Brings the ModelKit of this digest and no other, verified before a file is seen.\n"
        }
        false => "",
    };
    format!(
        "      initContainers:
{why}        - name: {MODEL}
{model}{rest}{env}{}{secured}",
        resources(release, part)
    )
}

/// What the init container takes: no more than the server, so that the pod needs no more for it.
/// Measured: unpacking 256 MiB of weights has its peak at 41 MB.
fn resources(release: &Release, part: Part) -> String {
    let disk = disk(release, part);
    let memory = match part.has_model() {
        true => format!("              memory: {}Mi\n", release.memory()),
        false => String::new(),
    };
    let cpu = |text: &str| match part.has_rest() {
        true => format!("              cpu: {text}\n"),
        false => String::new(),
    };
    let (request, limit) = (cpu("250m"), cpu("\"2\""));
    let (disk_request, disk_limit) = disk;
    format!(
        "          resources:
            requests:
{request}{memory}{disk_request}            limits:
{limit}{memory}{disk_limit}"
    )
}

/// What a container may write: the log, and the volumes on the pod's own disk.
pub(super) fn disk(release: &Release, part: Part) -> (String, String) {
    let disk = release.delivery.disk(release.weight_bytes);
    // What the model does not decide is the same in all environments.
    let is_here = if disk == 0 { part.has_rest() } else { part.has_model() };
    let line = |log: u64| match is_here {
        true => format!("              ephemeral-storage: {}Mi\n", log + disk),
        false => String::new(),
    };
    (line(64), line(128))
}

/// Where the pods may go out to: to nobody, unless they bring the model themselves.
pub(super) fn egress(release: &Release) -> String {
    let Some(plain_http) = release.delivery.asks_registry() else {
        let why = match release.delivery {
            Delivery::Baked => "The model is in the image",
            _ => "The node mounts the model",
        };
        return format!("  # {why}: there is nobody that the server has to ask.\n  egress: []\n");
    };
    let port = registry_port(release.modelkit.as_deref().unwrap_or_default(), plain_http);
    format!(
        "  # The model comes from its registry, whose address the cluster's DNS knows; add `to` to say
  # where both are.
  egress:
    - ports:
        - port: 53
          protocol: UDP
        - port: 53
          protocol: TCP
        - port: {port}
          protocol: TCP
"
    )
}
