//! What an environment runs, and whether another one may run it, too: is it ready there, and is the
//! model at least as good as the one whose place it takes.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Map, Value};

use crate::edit::{Bump, HELM_RELEASE, INFERENCE_SERVICE, folder_of};
use crate::kustomize::{self, Overlay};
use crate::render::deployment::CONTAINER;
use crate::render::{DELIVERY_ANNOTATION, MODELKIT_ANNOTATION, MODELKIT_DIGEST_ANNOTATION};
use crate::status::{Health, health};
use crate::{Error, ImageRef, Name, Object, ObjectId, Result, Tree, environments, layout};

/// What an application runs: its image, and the ModelKit in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pins {
    /// The Deployment, or the InferenceService, or the HelmRelease that makes one.
    pub deployment: ObjectId,
    /// The image.
    pub image: ImageRef,
    /// The ModelKit's reference.
    pub modelkit: Option<String>,
    /// The digest of the ModelKit's manifest.
    pub modelkit_digest: Option<String>,
    /// How the model comes to the pods, where it is not in the image.
    pub delivery: Option<String>,
    /// The ModelKit's mount face, where that is mounted.
    pub face: Option<ImageRef>,
}

impl Pins {
    /// Points an environment at the same.
    pub fn bump(&self, app: Name, env: Option<Name>) -> Bump {
        let (modelkit, modelkit_digest) = (self.modelkit.clone(), self.modelkit_digest.clone());
        let (image, face) = (self.image.clone(), self.face.clone());
        Bump { app, env, image, modelkit, modelkit_digest, face }
    }

    /// The object of a cluster that tells whether it serves. That of KServe is the Deployment that it
    /// makes: the InferenceService is ready as long as a pod of the former rollout serves.
    pub fn rollout(&self) -> ObjectId {
        let id = self.deployment.clone();
        match id.kind.as_str() {
            INFERENCE_SERVICE => ObjectId {
                group: "apps".to_owned(),
                version: "v1".to_owned(),
                kind: "Deployment".to_owned(),
                name: format!("{}-predictor", id.name),
                ..id
            },
            _ => id,
        }
    }

    /// Whether both are the same digests, whatever tags they go by.
    pub fn is_same(&self, other: &Self) -> bool {
        let face = |it: &Self| it.face.as_ref().and_then(|face| face.digest.clone());
        let key = |it: &Self| (it.image.digest.clone(), it.modelkit_digest.clone(), face(it));
        match (&self.image.digest, &other.image.digest) {
            (Some(_), Some(_)) => key(self) == key(other),
            _ => self == other,
        }
    }
}

/// What an application runs in an environment, as kustomize builds it of a tree.
pub fn pins(tree: &Tree, app: &Name, env: Option<&Name>) -> Result<Pins> {
    let folder = folder_of(tree, app, env)?;
    let objects = kustomize::build(tree, &folder, &Overlay::default())?;
    let runs = |it: &&Object| match it.kind() {
        "Deployment" | INFERENCE_SERVICE => true,
        HELM_RELEASE => image(it).is_some(),
        _ => false,
    };
    let deployments: Vec<&Object> = objects.iter().filter(runs).collect();
    let serves = |it: &&&Object| annotation(it, MODELKIT_DIGEST_ANNOTATION).is_some();
    let serving: Vec<&&Object> = deployments.iter().filter(serves).collect();
    let found = match (serving.as_slice(), deployments.as_slice()) {
        ([one], _) => one,
        ([], [one]) => one,
        ([], _) => {
            let what = format!("Deployment of {folder} that names a ModelKit");
            return Err(Error::NothingToSet { what });
        }
        _ => {
            let message = "several Deployments of it name a ModelKit".to_owned();
            return Err(Error::Kept { place: folder, message });
        }
    };
    let Some(image) = image(found) else {
        let what = format!("image of {} in {folder}", found.id());
        return Err(Error::NothingToSet { what });
    };
    let text = |key| annotation(found, key).map(str::to_owned);
    Ok(Pins {
        deployment: found.id(),
        image: image.parse()?,
        modelkit: text(MODELKIT_ANNOTATION),
        modelkit_digest: text(MODELKIT_DIGEST_ANNOTATION),
        delivery: text(DELIVERY_ANNOTATION),
        face: face(found).map(str::parse).transpose()?,
    })
}

/// Where a tree names a ModelKit, and where that could not be told.
#[derive(Debug, Default)]
pub struct Running {
    /// Each application that runs it, with its environment where it has some.
    pub places: Vec<(Name, Option<Name>)>,
    /// What does not build, and why.
    pub unknown: Vec<(Name, Option<Name>, Error)>,
}

/// Where a tree names this ModelKit.
pub fn running(tree: &Tree, modelkit_digest: &str) -> Running {
    let apps = tree.paths().filter_map(|path| path.strip_prefix("apps/")?.split_once('/'));
    let apps: BTreeSet<Name> = apps.filter_map(|(app, _)| app.parse().ok()).collect();
    let mut found = Running::default();
    for app in apps {
        let envs: Vec<Option<Name>> = match environments(tree, &app) {
            envs if envs.is_empty() => vec![None],
            envs => envs.iter().filter_map(|env| env.parse().ok()).map(Some).collect(),
        };
        for env in envs {
            match pins(tree, &app, env.as_ref()) {
                Ok(pins) if pins.modelkit_digest.as_deref() == Some(modelkit_digest) => {
                    found.places.push((app.clone(), env));
                }
                Err(error @ Error::Build { .. }) if !is_none(&error) => {
                    found.unknown.push((app.clone(), env, error));
                }
                // It serves another model, or none.
                Ok(_) | Err(_) => {}
            }
        }
    }
    found
}

/// Whether a folder is none that is built.
fn is_none(error: &Error) -> bool {
    match error {
        Error::Build { path, source } => {
            matches!(&**source, Error::Missing { path: missing } if missing == path)
        }
        _ => false,
    }
}

/// Why a Deployment of a cluster does not serve what it is to run; none where it does.
pub fn not_ready(live: &Object, pins: &Pins) -> Option<String> {
    let id = live.id();
    let runs = image(live).and_then(|image| image.parse::<ImageRef>().ok());
    let runs_it = runs
        .as_ref()
        .is_some_and(|image| image.name == pins.image.name && image.digest == pins.image.digest);
    if !runs_it {
        let image = runs.map_or("no image".to_owned(), |image| image.to_string());
        return Some(format!("{id} runs {image}"));
    }
    if annotation(live, MODELKIT_DIGEST_ANNOTATION) != pins.modelkit_digest.as_deref() {
        return Some(format!("{id} names another ModelKit"));
    }
    match health(live) {
        Health::Current => None,
        Health::NotFound => Some(format!("{id} is not there")),
        other => Some(format!("{id} is {}: {}", other.word(), other.reason())),
    }
}

/// The environments of an application that a cluster's Flux Kustomizations apply, by their paths.
pub fn applied(kustomizations: &Value, app: &Name) -> BTreeSet<String> {
    let items = kustomizations["items"].as_array().into_iter().flatten();
    let paths = items.filter_map(|it| it.pointer("/spec/path")?.as_str());
    let folder = format!("{}/overlays/", layout::app_folder(app));
    let envs = paths.filter_map(|path| path.trim_start_matches("./").strip_prefix(&*folder));
    envs.map(|env| env.trim_end_matches('/').to_owned()).collect()
}

/// How well a model does, as the Kitfile of its ModelKit or a statement about that says it.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// The digest of the labelled data that it was measured on, which it has not learnt from.
    pub data: String,
    /// Each number by its name.
    metrics: Map<String, Value>,
}

/// Why an evaluation does not let a model pass.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// There is none.
    Missing,
    /// A statement about it says no numbers, or not of which data.
    Unreadable,
    /// It was measured on data that the model has learnt from, or on nobody knows what.
    NotHeldOut,
    /// Each was measured on other data, so that their numbers cannot be compared.
    OtherData {
        /// That of the model.
        of: String,
        /// That of the one whose place it takes.
        before: String,
    },
    /// There is no number that both have.
    NothingInCommon,
    /// A number is worse.
    Worse {
        /// Its name.
        metric: String,
        /// That of the model.
        of: f64,
        /// That of the one whose place it takes.
        before: f64,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("it carries no evaluation"),
            Self::Unreadable => f.write_str(
                "a statement that it was evaluated has no `metrics`, or no `digest` of its `dataset`",
            ),
            Self::NotHeldOut => {
                f.write_str("its evaluation does not name data that was held out from the training")
            }
            Self::OtherData { of, before } => {
                write!(f, "it was evaluated on {of}, the one whose place it takes on {before}")
            }
            Self::NothingInCommon => {
                f.write_str("its evaluation has no number that the other one has, too")
            }
            Self::Worse { metric, of, before } => {
                write!(
                    f,
                    "its {metric} is {of}, and that of the one whose place it takes is {before}"
                )
            }
        }
    }
}

impl Evaluation {
    /// Reads `model.parameters` of a Kitfile.
    pub fn read(parameters: &Value) -> Result<Self, Refusal> {
        let metrics = parameters.get("metrics").and_then(Value::as_object);
        let metrics = metrics.filter(|it| !it.is_empty()).ok_or(Refusal::Missing)?;
        let data = metrics.get("data").and_then(Value::as_str).ok_or(Refusal::NotHeldOut)?;
        Ok(Self { data: data.to_owned(), metrics: metrics.clone() })
    }

    /// Reads the statements about a ModelKit that `kit-rs evaluate --attest` makes; `parameters` are
    /// those of its Kitfile, which says what the model has learnt from.
    pub fn stated<'a>(
        statements: impl IntoIterator<Item = &'a Value>,
        parameters: &Value,
    ) -> Result<Vec<Self>, Refusal> {
        let learnt = parameters.pointer("/dataset/digest").and_then(Value::as_str);
        let (mut known, mut held_out) = (false, Vec::new());
        for statement in statements {
            let data = statement.pointer("/dataset/digest").and_then(Value::as_str);
            let metrics = statement.get("metrics").and_then(Value::as_object);
            let (data, metrics) = data.zip(metrics).ok_or(Refusal::Unreadable)?;
            match learnt == Some(data) {
                true => known = true,
                false => held_out.push(Self { data: data.to_owned(), metrics: metrics.clone() }),
            }
        }
        match (held_out.is_empty(), known) {
            (false, _) => Ok(held_out),
            (true, true) => Err(Refusal::NotHeldOut),
            (true, false) => Err(Refusal::Missing),
        }
    }

    /// Whether a model of which all of this was measured may take the place of another one: on each
    /// data that both were measured on, and there has to be one.
    pub fn all_against(these: &[Self], before: &[Self], margin: f64) -> Result<(), Refusal> {
        let pairs = || these.iter().flat_map(|it| before.iter().map(move |was| (it, was)));
        let mut alike = pairs().filter(|(it, was)| it.data == was.data).peekable();
        match (alike.peek(), pairs().next()) {
            (Some(_), _) => alike.try_for_each(|(it, was)| it.against(was, margin)),
            (None, Some((it, was))) => it.against(was, margin),
            (None, None) => Err(Refusal::Missing),
        }
    }

    /// Whether a model may take another one's place: every number that both have is at least as
    /// good, but for this margin.
    pub fn against(&self, before: &Self, margin: f64) -> Result<(), Refusal> {
        if self.data != before.data {
            return Err(Refusal::OtherData { of: self.data.clone(), before: before.data.clone() });
        }
        let mut n_compared = 0;
        for (metric, value) in &self.metrics {
            let pair = value.as_f64().zip(before.metrics.get(metric).and_then(Value::as_f64));
            let Some((of, was)) = pair.filter(|_| counts(metric)) else { continue };
            n_compared += 1;
            let loss = if is_error(metric) { of - was } else { was - of };
            if loss > margin {
                return Err(Refusal::Worse { metric: metric.clone(), of, before: was });
            }
        }
        if n_compared == 0 { Err(Refusal::NothingInCommon) } else { Ok(()) }
    }
}

/// Whether a number says how good a model is. The loss is what the training made smaller; a model
/// can be right more often and have a larger one.
fn counts(metric: &str) -> bool {
    metric != "loss" && !metric.starts_with("n_")
}

/// Whether a smaller number is the better one.
fn is_error(metric: &str) -> bool {
    ["error", "mse", "rmse", "mae", "perplexity"].iter().any(|it| metric.ends_with(it))
}

/// The image of the container that serves, or of the only one; that in a chart's values.
fn image(deployment: &Object) -> Option<Cow<'_, str>> {
    if deployment.kind() == HELM_RELEASE {
        let of = |key: &str| deployment.at(&format!("/spec/values/image/{key}"))?.as_str();
        return Some(Cow::Owned(format!("{}:{}", of("repository")?, of("tag")?)));
    }
    let containers = pod(deployment)?.get("containers")?.as_array()?;
    let is_ours = |it: &&Value| it["name"] == CONTAINER || it["name"] == "kserve-container";
    let ours = containers.iter().find(is_ours);
    let only = || containers.first().filter(|_| containers.len() == 1);
    ours.or_else(only)?.get("image")?.as_str().map(Cow::Borrowed)
}

/// The mount face among the volumes of its pods.
fn face(deployment: &Object) -> Option<&str> {
    let volumes = pod(deployment)?.get("volumes")?.as_array()?;
    let model = volumes.iter().find(|volume| volume["name"] == "model")?;
    model.pointer("/image/reference")?.as_str()
}

fn annotation<'a>(deployment: &'a Object, key: &str) -> Option<&'a str> {
    let metadata = match deployment.kind() {
        INFERENCE_SERVICE => "/metadata/annotations",
        HELM_RELEASE => "/spec/values/podAnnotations",
        _ => "/spec/template/metadata/annotations",
    };
    deployment.at(metadata)?.get(key)?.as_str()
}

/// What the pods are made of.
fn pod(deployment: &Object) -> Option<&Value> {
    deployment.at(match deployment.kind() {
        INFERENCE_SERVICE => "/spec/predictor",
        _ => "/spec/template/spec",
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Layout, Release, render};

    fn digest(c: char) -> String {
        format!("sha256:{}", c.to_string().repeat(64))
    }

    fn tree(layout: Layout) -> Tree {
        let image = format!("h/runtime:1@{}", digest('1'));
        let mut release = Release::new("a".parse().unwrap(), image.parse().unwrap());
        release.layout = layout;
        release.modelkit = Some("h/kit:1".to_owned());
        release.modelkit_digest = Some(digest('a'));
        render(&release).unwrap()
    }

    #[test]
    fn of_kserve_the_deployment_that_it_makes_tells_the_rollout() {
        let image = format!("h/server:1@{}", digest('1'));
        let mut release = Release::new("a".parse().unwrap(), image.parse().unwrap());
        release.modelkit = Some("h/kit:1".to_owned());
        release.modelkit_digest = Some(digest('a'));
        let face = format!("h/kit:1-mount@{}", digest('f')).parse().unwrap();
        release.delivery = crate::Delivery::KServe { face };
        let pins = pins(&render(&release).unwrap(), &"a".parse().unwrap(), None).unwrap();
        assert_eq!(pins.deployment.to_string(), "InferenceService/a/a");
        assert_eq!(pins.rollout().to_string(), "Deployment/a/a-predictor");
        let live = |replicas: u32, updated: u32| {
            Object::from_value(json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "a-predictor", "namespace": "a", "generation": 2},
                "spec": {"replicas": 1, "template": {
                    "metadata": {"annotations": {MODELKIT_DIGEST_ANNOTATION: digest('a')}},
                    "spec": {"containers": [
                        {"name": "queue", "image": "h/other:1"},
                        {"name": "kserve-container", "image": image},
                    ]},
                }},
                "status": {
                    "observedGeneration": 2, "replicas": replicas, "updatedReplicas": updated,
                    "readyReplicas": 1, "availableReplicas": 1,
                    "conditions": [{"type": "Available", "status": "True"}],
                },
            }))
            .unwrap()
        };
        // The old pod alone, the old one beside the new one, the new one alone.
        assert!(not_ready(&live(1, 0), &pins).unwrap().contains("InProgress"));
        assert!(not_ready(&live(2, 1), &pins).unwrap().contains("InProgress"));
        assert_eq!(not_ready(&live(1, 1), &pins), None);
    }

    #[test]
    fn what_runs_is_read_from_what_is_built() {
        let app = "a".parse().unwrap();
        for layout in [Layout::Flat, Layout::Envs] {
            let pins = pins(&tree(layout), &app, None).unwrap();
            assert_eq!(pins.image.to_string(), format!("h/runtime:1@{}", digest('1')));
            assert_eq!(pins.modelkit_digest, Some(digest('a')));
            assert_eq!(pins.deployment.to_string(), "Deployment/a/a");
            let env = (layout == Layout::Envs).then(|| "dev".parse().unwrap());
            assert_eq!(running(&tree(layout), &digest('a')).places, [(app.clone(), env)]);
            assert_eq!(running(&tree(layout), &digest('b')).places, []);
        }
        // An overlay of another hand, that sets the image as kustomize does.
        let mut tree = tree(Layout::Envs);
        let path = "apps/a/overlays/dev/kustomization.yaml";
        let digest = digest('2');
        let text = tree.get(path).unwrap().to_owned()
            + &format!("images:\n  - name: h/runtime\n    digest: {digest}\n");
        tree.insert(path, text).unwrap();
        assert_eq!(pins(&tree, &app, None).unwrap().image.digest, Some(digest));
    }

    #[test]
    fn a_deployment_is_ready_at_these_digests_or_it_is_said_why_not() {
        let pins = pins(&tree(Layout::Flat), &"a".parse().unwrap(), None).unwrap();
        let live = |image: char, kit: char, ready: u32| {
            let image = format!("h/runtime:other@{}", digest(image));
            let value = json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "a", "namespace": "a", "generation": 2},
                "spec": {"replicas": 1, "template": {
                    "metadata": {"annotations": {(MODELKIT_DIGEST_ANNOTATION): digest(kit)}},
                    "spec": {"containers": [{"name": "model-runtime", "image": image}]},
                }},
                "status": {
                    "observedGeneration": 2, "replicas": 1, "updatedReplicas": 1,
                    "readyReplicas": ready, "availableReplicas": ready,
                    "conditions": [{"type": "Available", "status": "True"}, {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}],
                },
            });
            not_ready(&Object::from_value(value).unwrap(), &pins)
        };
        assert_eq!(live('1', 'a', 1), None);
        let other = live('2', 'a', 1).unwrap();
        assert!(other.starts_with("Deployment/a/a runs h/runtime:other@sha256:22"), "{other}");
        assert_eq!(live('1', 'b', 1).unwrap(), "Deployment/a/a names another ModelKit");
        let early = live('1', 'a', 0).unwrap();
        assert!(early.starts_with("Deployment/a/a is InProgress: "), "{early}");
    }

    #[test]
    fn a_chart_is_ready_when_its_release_is() {
        let image = format!("h/runtime:1@{}", digest('1'));
        let mut release = Release::new("a".parse().unwrap(), image.parse().unwrap());
        release.modelkit_digest = Some(digest('a'));
        release.chart = Some("oci://h/charts/x:1.x".parse().unwrap());
        let pins = pins(&render(&release).unwrap(), &release.app, None).unwrap();
        let live = |image: char, kit: char, ready: &str, seen: u32| {
            let value = json!({
                "apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease",
                "metadata": {"name": "a", "namespace": "a", "generation": 2},
                "spec": {"values": {
                    "image": {"repository": "h/runtime", "tag": format!("1@{}", digest(image))},
                    "podAnnotations": {(MODELKIT_DIGEST_ANNOTATION): digest(kit)},
                }},
                "status": {"observedGeneration": seen, "conditions": [
                    {"type": "Ready", "status": ready, "message": "upgrade failed"},
                ]},
            });
            not_ready(&Object::from_value(value).unwrap(), &pins)
        };
        assert_eq!(live('1', 'a', "True", 2), None);
        let other = live('2', 'a', "True", 2).unwrap();
        assert!(other.starts_with("HelmRelease/a/a runs h/runtime:1@sha256:22"), "{other}");
        assert_eq!(live('1', 'b', "True", 2).unwrap(), "HelmRelease/a/a names another ModelKit");
        let failed = live('1', 'a', "False", 2).unwrap();
        assert_eq!(failed, "HelmRelease/a/a is InProgress: upgrade failed");
        assert!(live('1', 'a', "True", 1).unwrap().contains("generation 2 is not seen yet"));
    }

    #[test]
    fn a_cluster_says_which_environments_it_applies() {
        let of = |path: &str| json!({"spec": {"path": path}});
        let list = json!({"items": [
            of("./clusters/dev"), of("./apps/a/overlays/dev"), of("apps/a/overlays/canary/"),
            of("./apps/ab/overlays/prod"), of("./apps/a"), {},
        ]});
        let app = "a".parse().unwrap();
        assert_eq!(applied(&list, &app), ["canary", "dev"].map(str::to_owned).into());
        assert_eq!(applied(&json!({}), &app), BTreeSet::new());
    }

    fn evaluation(metrics: Value) -> Evaluation {
        Evaluation::read(&json!({ "metrics": metrics })).unwrap()
    }

    #[test]
    fn a_model_takes_the_place_of_one_that_is_no_better() {
        let before =
            evaluation(json!({"data": "d", "accuracy": 0.8, "loss": 0.5, "n_examples": 9}));
        let judged = |metrics: Value, margin| {
            let judged = evaluation(metrics).against(&before, margin);
            judged.err().map(|refusal| refusal.to_string()).unwrap_or_default()
        };
        assert_eq!(
            judged(json!({"data": "d", "accuracy": 0.8, "loss": 0.9, "n_examples": 1}), 0.0),
            ""
        );
        assert_eq!(
            judged(json!({"data": "d", "accuracy": 0.79}), 0.0),
            "its accuracy is 0.79, and that of the one whose place it takes is 0.8"
        );
        assert_eq!(judged(json!({"data": "d", "accuracy": 0.79}), 0.02), "");
        assert_eq!(
            judged(json!({"data": "e", "accuracy": 0.9}), 0.0),
            "it was evaluated on e, the one whose place it takes on d"
        );
        assert_eq!(
            judged(json!({"data": "d", "f1": 0.9, "loss": 0.1}), 0.0),
            "its evaluation has no number that the other one has, too"
        );
        let rough = evaluation(json!({"data": "d", "rmse": 2.0}));
        assert!(evaluation(json!({"data": "d", "rmse": 2.1})).against(&rough, 0.0).is_err());
        assert!(evaluation(json!({"data": "d", "rmse": 1.9})).against(&rough, 0.0).is_ok());
    }

    #[test]
    fn of_what_was_measured_all_has_to_be_no_worse() {
        let on =
            |data: &str, accuracy: f64| evaluation(json!({"data": data, "accuracy": accuracy}));
        let judged = |these: &[Evaluation], before: &[Evaluation]| {
            let judged = Evaluation::all_against(these, before, 0.0);
            judged.err().map(|refusal| refusal.to_string()).unwrap_or_default()
        };
        let before = [on("d", 0.8), on("e", 0.7)];
        assert_eq!(judged(&[on("d", 0.8), on("f", 0.1)], &before), "");
        let worse = judged(&[on("d", 0.9), on("e", 0.6)], &before);
        assert_eq!(worse, "its accuracy is 0.6, and that of the one whose place it takes is 0.7");
        let other = judged(&[on("f", 0.9)], &before);
        assert_eq!(other, "it was evaluated on f, the one whose place it takes on d");
        // Measured twice on the same data: the better number counts for none of them.
        assert!(judged(&[on("d", 0.9), on("d", 0.7)], &before).contains("0.7"));
        assert_eq!(judged(&[], &before), "it carries no evaluation");
    }

    #[test]
    fn a_statement_counts_that_was_made_on_what_the_model_has_not_learnt_from() {
        let parameters = json!({"dataset": {"digest": "learnt"}});
        let said = |data: &str| json!({"metrics": {"accuracy": 1}, "dataset": {"digest": data}});
        let read = |statements: &[Value]| Evaluation::stated(statements, &parameters);
        let both = read(&[said("learnt"), said("test")]).unwrap();
        let data: Vec<&str> = both.iter().map(|it| it.data.as_str()).collect();
        assert_eq!(data, ["test"]);
        assert_eq!(read(&[said("learnt")]), Err(Refusal::NotHeldOut));
        assert_eq!(read(&[]), Err(Refusal::Missing));
        for broken in [json!({"metrics": {"accuracy": 1}}), json!({"dataset": {"digest": "test"}})]
        {
            assert_eq!(read(&[said("test"), broken]), Err(Refusal::Unreadable));
        }
    }

    #[test]
    fn what_is_no_evaluation_is_told_from_one_on_known_examples() {
        let read = |parameters: Value| Evaluation::read(&parameters).unwrap_err();
        assert_eq!(read(json!(null)), Refusal::Missing);
        assert_eq!(read(json!({"metrics": {}})), Refusal::Missing);
        assert_eq!(read(json!({"metrics": {"accuracy": 1}})), Refusal::NotHeldOut);
    }
}
