//! Flux' Kustomization: which folder of which source is applied, how, and how often.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::parse_duration;
use crate::{Error, Object, ObjectId, Result, kustomize, tree};

/// A `Kustomization` of `kustomize.toolkit.fluxcd.io/v1`: which folder of a source becomes objects
/// of the cluster, and how.
///
/// Fields whose meaning the reconciler here does not implement are an error that names them, never
/// ignored.
#[derive(Clone, Debug)]
pub struct Kustomization {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// The folder within the source, normalised; empty for the root. Nothing leads out of the
    /// source: a `..` at its root stays there, as in Flux.
    pub path: String,
    /// Where the files come from.
    pub source: SourceRef,
    /// How often the cluster is compared with the source.
    pub interval: Duration,
    /// How soon a failure is tried again.
    pub retry_interval: Duration,
    /// How long to wait for health; half a minute at least.
    pub timeout: Duration,
    /// Whether objects that left the source leave the cluster.
    pub prune: bool,
    /// Whether to wait until all objects are healthy.
    pub wait: bool,
    /// Whether it is to be left alone.
    pub suspend: bool,
    /// Kustomizations (`namespace`, `name`) that must be ready first.
    pub depends_on: Vec<(String, String)>,
    /// Objects to wait for, where `wait` is false.
    pub health_checks: Vec<ObjectId>,
    /// Labels and annotations for every object.
    pub common_labels: BTreeMap<String, String>,
    /// The same for annotations.
    pub common_annotations: BTreeMap<String, String>,
    /// What is laid over the files when they are built.
    pub overlay: kustomize::Overlay,
    /// What happens to the objects after that.
    pub post_build: PostBuild,
    /// The account with whose rights Flux applies; none: with its own. Whoever knows no rights can
    /// only say so.
    pub account: Option<String>,
}

/// Values for the variables in objects that were built.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PostBuild {
    /// Values by name; they count more than the others.
    pub substitute: BTreeMap<String, String>,
    /// ConfigMaps and Secrets of the Kustomization's namespace whose data are values, a later one
    /// over an earlier one.
    pub substitute_from: Vec<ValuesFrom>,
    /// Whether variables are looked for where there are no values at all.
    pub always: bool,
    /// Whether an expression stays as it is for whose variable there is no value: who does not see
    /// the cluster cannot know whether it has one. To Flux it is an error.
    pub is_partial: bool,
}

/// An object whose data are values.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValuesFrom {
    /// `ConfigMap` or `Secret`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Whether it may be missing.
    #[serde(default)]
    pub optional: bool,
}

impl ValuesFrom {
    /// The object in a namespace.
    pub(crate) fn id(&self, namespace: &str) -> ObjectId {
        ObjectId {
            group: String::new(),
            version: "v1".to_owned(),
            kind: self.kind.clone(),
            namespace: namespace.to_owned(),
            name: self.name.clone(),
        }
    }
}

/// What a Kustomization takes its files from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SourceRef {
    /// `GitRepository`, `OCIRepository` or another.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its namespace; empty for the Kustomization's own.
    #[serde(default)]
    pub namespace: String,
    /// The API version, where one is named.
    #[serde(default)]
    pub api_version: Option<String>,
}

/// The field with the account.
const ACCOUNT: &str = "serviceAccountName";

impl Kustomization {
    /// Reads the object as a Flux Kustomization, if it is one.
    pub fn read(object: &Object) -> Result<Option<Self>> {
        let Some((read, beyond)) = Self::read_partly(object)? else { return Ok(None) };
        // By whose rights it is applied changes nothing of what is applied.
        match beyond.into_iter().find(|field| *field != ACCOUNT) {
            Some(field) => Err(Error::FluxField { id: Box::new(object.id()), field }),
            None => Ok(Some(read)),
        }
    }

    /// Reads the object as far as its fields are followed here, and names those of its `spec` that
    /// are set and are not.
    pub fn read_partly(object: &Object) -> Result<Option<(Self, Vec<&'static str>)>> {
        let id = object.id();
        if (id.group.as_str(), id.kind.as_str()) != ("kustomize.toolkit.fluxcd.io", "Kustomization")
        {
            return Ok(None);
        }
        let spec: Spec = spec(object)?;
        let beyond = spec.unsupported();
        match Self::new(id, spec) {
            Ok(read) => Ok(Some((read, beyond))),
            Err(error) => Err(refused(object, error.to_string())),
        }
    }

    fn new(id: ObjectId, spec: Spec) -> Result<Self> {
        let interval = parse_duration(&spec.interval)?;
        let or =
            |text: &Option<String>, default| text.as_deref().map_or(Ok(default), parse_duration);
        // Without a timeout Flux waits half a minute less than the interval, and never less than
        // half a minute.
        let half_minute = Duration::from_secs(30);
        let namespace = |given: Option<String>| given.unwrap_or_else(|| id.namespace.clone());
        Ok(Self {
            path: tree::confine(spec.path.as_deref().unwrap_or_default()),
            source: SourceRef {
                namespace: namespace(
                    Some(spec.source_ref.namespace.clone()).filter(|n| !n.is_empty()),
                ),
                ..spec.source_ref
            },
            retry_interval: or(&spec.retry_interval, interval)?,
            timeout: or(&spec.timeout, interval.saturating_sub(half_minute))?.max(half_minute),
            interval,
            prune: spec.prune,
            wait: spec.wait,
            suspend: spec.suspend,
            depends_on: spec
                .depends_on
                .into_iter()
                .map(|d| (namespace(d.namespace), d.name))
                .collect(),
            health_checks: spec.health_checks.into_iter().map(HealthCheck::id).collect(),
            common_labels: spec.common_metadata.labels,
            common_annotations: spec.common_metadata.annotations,
            overlay: kustomize::Overlay {
                namespace: spec.target_namespace,
                name_prefix: spec.name_prefix,
                name_suffix: spec.name_suffix,
                images: spec.images,
                patches: spec.patches,
                components: spec.components,
                ignore_missing_components: spec.ignore_missing_components,
                as_they_came: true,
            },
            post_build: spec
                .post_build
                .map_or_else(|| Ok(PostBuild::default()), SpecOfPostBuild::read)?,
            account: spec.service_account_name,
            name: id.name,
            namespace: id.namespace,
        })
    }
}

/// Reads an object of this group and kind, if it is one.
pub(super) fn read_spec<T: DeserializeOwned>(
    object: &Object,
    group: &str,
    kind: &str,
) -> Result<Option<(ObjectId, T)>> {
    let id = object.id();
    match (id.group.as_str(), id.kind.as_str()) == (group, kind) {
        true => Ok(Some((id, spec(object)?))),
        false => Ok(None),
    }
}

/// Refuses the first field that is set.
pub(super) fn refuse_fields(id: &ObjectId, fields: &[(bool, &'static str)]) -> Result<()> {
    match fields.iter().find(|(set, _)| *set) {
        Some((_, field)) => Err(Error::FluxField { id: Box::new(id.clone()), field }),
        None => Ok(()),
    }
}

/// Reads `spec` strictly.
fn spec<T: DeserializeOwned>(object: &Object) -> Result<T> {
    let spec = object.at("/spec").cloned().unwrap_or(Value::Null);
    serde_json::from_value(spec).map_err(|error| refused(object, format!("spec: {error}")))
}

fn refused(object: &Object, message: String) -> Error {
    Error::Flux { id: Box::new(object.id()), message }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Spec {
    interval: String,
    prune: bool,
    source_ref: SourceRef,
    path: Option<String>,
    retry_interval: Option<String>,
    timeout: Option<String>,
    #[serde(default)]
    wait: bool,
    #[serde(default)]
    suspend: bool,
    #[serde(default)]
    depends_on: Vec<Dependency>,
    #[serde(default)]
    health_checks: Vec<HealthCheck>,
    #[serde(default)]
    common_metadata: CommonMetadata,
    target_namespace: Option<String>,
    name_prefix: Option<String>,
    name_suffix: Option<String>,
    #[serde(default)]
    images: Vec<kustomize::Image>,
    #[serde(default)]
    patches: Vec<kustomize::Patch>,
    #[serde(default)]
    force: bool,
    build_metadata: Option<Value>,
    #[serde(default)]
    components: Vec<String>,
    decryption: Option<Value>,
    deletion_policy: Option<Value>,
    health_check_exprs: Option<Value>,
    ignore: Option<Value>,
    #[serde(default)]
    ignore_missing_components: bool,
    kube_config: Option<Value>,
    post_build: Option<SpecOfPostBuild>,
    service_account_name: Option<String>,
}

impl Spec {
    /// The fields that are set and that change what Flux does in a way the reconciler here does not
    /// follow.
    fn unsupported(&self) -> Vec<&'static str> {
        let fields = [
            (self.force, "force"),
            (self.build_metadata.is_some(), "buildMetadata"),
            (self.decryption.is_some(), "decryption"),
            (self.depends_on.iter().any(|other| other.ready_expr.is_some()), "dependsOn.readyExpr"),
            (
                self.deletion_policy.as_ref().is_some_and(|policy| policy != "MirrorPrune"),
                "deletionPolicy",
            ),
            (self.health_check_exprs.is_some(), "healthCheckExprs"),
            (self.ignore.is_some(), "ignore"),
            (self.kube_config.is_some(), "kubeConfig"),
            (self.service_account_name.is_some(), ACCOUNT),
        ];
        fields.into_iter().filter(|(set, _)| *set).map(|(_, field)| field).collect()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Dependency {
    name: String,
    namespace: Option<String>,
    ready_expr: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SpecOfPostBuild {
    #[serde(default)]
    substitute: BTreeMap<String, String>,
    #[serde(default)]
    substitute_from: Vec<ValuesFrom>,
    #[serde(default)]
    substitute_strategy: String,
}

impl SpecOfPostBuild {
    fn read(self) -> Result<PostBuild> {
        let wrong = |what, text, reason| Error::Grammar { what, text, reason };
        let is_known = |from: &&ValuesFrom| !["ConfigMap", "Secret"].contains(&&*from.kind);
        if let Some(other) = self.substitute_from.iter().find(is_known) {
            let text = other.kind.clone();
            return Err(wrong("kind of substituteFrom", text, "it is ConfigMap or Secret"));
        }
        let always = match self.substitute_strategy.as_str() {
            "" | "WithVariables" => false,
            "Always" => true,
            _ => {
                let (what, reason) = ("substituteStrategy", "it is WithVariables or Always");
                return Err(wrong(what, self.substitute_strategy, reason));
            }
        };
        Ok(PostBuild {
            substitute: self.substitute,
            substitute_from: self.substitute_from,
            always,
            is_partial: false,
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct HealthCheck {
    #[serde(default)]
    api_version: String,
    kind: String,
    name: String,
    #[serde(default)]
    namespace: String,
}

impl HealthCheck {
    fn id(self) -> ObjectId {
        // Flux takes one without a version for a workload.
        let given = if self.api_version.is_empty() { "apps/v1" } else { &self.api_version };
        let (group, version) = given.split_once('/').unwrap_or(("", given));
        ObjectId {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: self.kind,
            namespace: self.namespace,
            name: self.name,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct CommonMetadata {
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(spec: &str) -> Result<Kustomization> {
        let text = format!(
            "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {{name: a, namespace: flux-system}}\nspec: {{prune: true, sourceRef: {{kind: GitRepository, name: flux-system}}, {spec}}}\n"
        );
        Kustomization::read(&text.parse().unwrap()).map(|read| read.expect("is one"))
    }

    #[test]
    fn what_is_left_out_is_as_flux_has_it() {
        let read = read("interval: 5m, path: ./apps/a/").unwrap();
        assert_eq!(
            (read.path.as_str(), read.source.namespace.as_str(), read.wait),
            ("apps/a", "flux-system", false)
        );
        assert_eq!(
            (read.timeout, read.retry_interval),
            (Duration::from_secs(270), Duration::from_secs(300))
        );
    }

    #[test]
    fn no_path_leads_out_and_no_wait_is_shorter_than_half_a_minute() {
        for (path, expected) in
            [("../x", "x"), ("/apps/./a", "apps/a"), ("a/../../b", "b"), ("..", ""), ("", "")]
        {
            let read = read(&format!("interval: 5m, path: '{path}'")).unwrap();
            assert_eq!(read.path, expected, "{path}");
        }
        for (times, seconds) in [
            ("interval: 5m, timeout: 1s", 30),
            ("interval: 40s", 30),
            ("interval: 5m, timeout: 31s", 31),
        ] {
            assert_eq!(read(times).unwrap().timeout, Duration::from_secs(seconds), "{times}");
        }
    }

    #[test]
    fn a_health_check_without_a_version_is_of_a_workload() {
        let read = read("interval: 5m, healthChecks: [{kind: Deployment, name: a}, {apiVersion: v1, kind: Pod, name: b}]").unwrap();
        let versions: Vec<_> = read.health_checks.iter().map(ObjectId::api_version).collect();
        assert_eq!(versions, ["apps/v1", "v1"]);
    }

    #[test]
    fn a_field_that_is_unknown_or_not_supported_is_named() {
        for (spec, expected) in [
            (
                "interval: 5m, paths: ./apps",
                "Kustomization/flux-system/a: spec: unknown field `paths`",
            ),
            (
                "interval: 5m, kubeConfig: {}",
                "Kustomization/flux-system/a: spec.kubeConfig is not supported",
            ),
            (
                "interval: 5m, postBuild: {substituteFrom: [{kind: Pod, name: b}]}",
                "Kustomization/flux-system/a: \"Pod\" is not a kind of substituteFrom",
            ),
            (
                "interval: 5m, dependsOn: [{name: b, readyExpr: 'true'}]",
                "Kustomization/flux-system/a: spec.dependsOn.readyExpr is not supported",
            ),
            ("path: ./apps", "Kustomization/flux-system/a: spec: missing field `interval`"),
        ] {
            let error = read(spec).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
