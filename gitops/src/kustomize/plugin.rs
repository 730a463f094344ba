//! Generators and transformers in files of their own, of the kinds that kustomize has built in.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::config::Specs;
use super::file::{Generator, GeneratorOptions, Image, Patch, PatchOptions, Replicas, Selector};
use super::generate::{self, Kind};
use super::loader::Loader;
use super::names::{Namespace, Side, Subjects};
use super::resource::Resource;
use super::transformer::{Transformer, ValueTarget};
use super::{decode, patch, replacements};
use crate::yaml::{self, Dialect};
use crate::{Error, Object, Result};

/// The objects that a generator makes, and what it does with those that are there.
pub(super) fn generate(
    loader: &Loader<'_>,
    plugin: &Resource,
) -> Result<(Resource, super::file::Behavior)> {
    match kind(plugin, "generators")? {
        kind @ ("ConfigMapGenerator" | "SecretGenerator") => {
            let metadata: Metadata = read(plugin)?;
            let mut generator: Generator = read(plugin)?;
            for (own, given) in [
                (&mut generator.name, metadata.metadata.name),
                (&mut generator.namespace, metadata.metadata.namespace),
            ] {
                if own.is_empty() {
                    *own = given;
                }
            }
            let kind = match kind {
                "ConfigMapGenerator" => Kind::ConfigMap,
                _ => Kind::Secret,
            };
            let made = generate::object(loader, kind, &generator, &GeneratorOptions::default())?;
            Ok((made, generator.behavior))
        }
        "IAMPolicyGenerator" => {
            let made = account(&read(plugin)?).map_err(|reason| wrong(plugin, reason))?;
            Ok((made, super::file::Behavior::Create))
        }
        kind => Err(Error::Unsupported { field: format!("generators: {kind}") }),
    }
}

/// The transformers of a plugin; `PrefixSuffixTransformer` has two.
pub(super) fn transformers(loader: &Loader<'_>, plugin: &Resource) -> Result<Vec<Transformer>> {
    let needs_specs = |specs: Option<Specs>| {
        specs.ok_or_else(|| wrong(plugin, "there are no fieldSpecs".to_owned()))
    };
    let one = match kind(plugin, "transformers")? {
        "PrefixTransformer" => {
            let Affixes { prefix, field_specs, .. } = read(plugin)?;
            Transformer::Affix {
                affix: prefix,
                side: Side::Prefix,
                specs: needs_specs(field_specs)?,
            }
        }
        "SuffixTransformer" => {
            let Affixes { suffix, field_specs, .. } = read(plugin)?;
            Transformer::Affix {
                affix: suffix,
                side: Side::Suffix,
                specs: needs_specs(field_specs)?,
            }
        }
        "PrefixSuffixTransformer" => {
            let Affixes { prefix, suffix, field_specs } = read(plugin)?;
            let specs = needs_specs(field_specs)?;
            return Ok(vec![
                Transformer::Affix { affix: prefix, side: Side::Prefix, specs: specs.clone() },
                Transformer::Affix { affix: suffix, side: Side::Suffix, specs },
            ]);
        }
        "NamespaceTransformer" => {
            let of: NamespaceFields = read(plugin)?;
            let metadata: Metadata = read(plugin)?;
            Transformer::Namespace(Namespace {
                namespace: metadata.metadata.namespace,
                specs: of.field_specs,
                unset_only: of.unset_only,
                subjects: of.set_role_binding_subjects,
            })
        }
        "LabelTransformer" => {
            let Texts { labels, field_specs, .. } = read(plugin)?;
            Transformer::Labels { labels, specs: field_specs }
        }
        "AnnotationsTransformer" => {
            let Texts { annotations, field_specs, .. } = read(plugin)?;
            Transformer::Annotations { annotations, specs: field_specs }
        }
        "ImageTagTransformer" => {
            let ImageFields { image_tag, field_specs } = read(plugin)?;
            Transformer::Image { image: image_tag, specs: field_specs }
        }
        "ReplicaCountTransformer" => {
            let ReplicaFields { replica, field_specs } = read(plugin)?;
            Transformer::Replicas { replicas: replica, specs: field_specs }
        }
        "PatchTransformer" => {
            let PatchFields { path, patch, target, options, .. } = read(plugin)?;
            let patch = Patch { path, patch, target, options };
            Transformer::Patch(patch::prepare(loader, &patch)?)
        }
        "PatchJson6902Transformer" => {
            let PatchFields { path, json_op, target, options, .. } = read(plugin)?;
            let patch = Patch { path, patch: json_op, target, options };
            Transformer::Patch(patch::prepare_json(loader, &patch)?)
        }
        "PatchStrategicMergeTransformer" => {
            let Merges { paths, patches } = read(plugin)?;
            Transformer::Merges(patch::prepare_merges(loader, &paths, &patches)?)
        }
        "ReplacementTransformer" => {
            let Replacements { replacements } = read(plugin)?;
            Transformer::Replacements(replacements::read(loader, &replacements)?)
        }
        "ValueAddTransformer" => values(loader, plugin)?,
        "HashTransformer" => Transformer::Hash,
        kind => return Err(Error::Unsupported { field: format!("transformers: {kind}") }),
    };
    Ok(vec![one])
}

fn values(loader: &Loader<'_>, plugin: &Resource) -> Result<Transformer> {
    let Values { value, mut targets, target_file_path } = read(plugin)?;
    if !target_file_path.is_empty() {
        let text = loader.text(&target_file_path)?;
        let document = yaml::parse_as(text, Dialect::Json)?.into_iter().next();
        let more: Values = decode::loosely(document.unwrap_or_default())
            .map_err(|error| wrong(plugin, error.to_string()).in_file(&target_file_path))?;
        targets.extend(more.targets);
    }
    let value = match value.trim() {
        "" => loader.folder.rsplit('/').next().unwrap_or_default().to_owned(),
        value => value.to_owned(),
    };
    match targets.as_slice() {
        [] => Err(wrong(plugin, "there is no target".to_owned())),
        all if all.iter().any(|it| it.field_path.is_empty()) => {
            Err(wrong(plugin, "a target has no fieldPath".to_owned()))
        }
        all if all.iter().any(|it| it.file_path_position < 0) => {
            Err(wrong(plugin, "a filePathPosition is negative".to_owned()))
        }
        _ => Ok(Transformer::Values { value, targets }),
    }
}

/// The ServiceAccount of Kubernetes that stands for one of Google's cloud.
fn account(policy: &Policy) -> Result<Resource, String> {
    if policy.cloud != "gke" {
        return Err(format!("the cloud {:?} is not known", policy.cloud));
    }
    let Service { name, namespace } = &policy.kubernetes_service;
    let Account { name: account, project_id } = &policy.service_account;
    let email = format!("{account}@{project_id}.iam.gserviceaccount.com");
    let mut object = json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"annotations": {"iam.gke.io/gcp-service-account": email}, "name": name},
    });
    if !namespace.is_empty() {
        object["metadata"]["namespace"] = namespace.as_str().into();
    }
    Object::of_kustomize(object).map(Resource::new)
}

/// The kind of a plugin that is built in; others would be programs or containers.
fn kind<'a>(plugin: &'a Resource, field: &str) -> Result<&'a str> {
    match plugin.object.api_version() {
        "builtin" => Ok(plugin.object.kind()),
        other => Err(Error::Unsupported {
            field: format!("{field}: {} of {other}, which is not built in", plugin.object.kind()),
        }),
    }
}

fn read<T: DeserializeOwned>(plugin: &Resource) -> Result<T> {
    decode::loosely(plugin.value().clone()).map_err(|error| wrong(plugin, error.to_string()))
}

fn wrong(plugin: &Resource, message: String) -> Error {
    Error::Kustomize { field: "transformers", message: format!("{}: {message}", plugin.shown()) }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    metadata: Names,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Names {
    name: String,
    namespace: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Affixes {
    prefix: String,
    suffix: String,
    field_specs: Option<Specs>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NamespaceFields {
    field_specs: Specs,
    unset_only: bool,
    set_role_binding_subjects: Subjects,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Texts {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    field_specs: Specs,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ImageFields {
    image_tag: Image,
    field_specs: Specs,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ReplicaFields {
    replica: Replicas,
    field_specs: Specs,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PatchFields {
    path: String,
    patch: String,
    json_op: String,
    target: Option<Selector>,
    options: PatchOptions,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Merges {
    paths: Vec<String>,
    patches: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Replacements {
    replacements: Vec<replacements::Entry>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Values {
    value: String,
    targets: Vec<ValueTarget>,
    target_file_path: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Policy {
    cloud: String,
    kubernetes_service: Service,
    service_account: Account,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Service {
    name: String,
    namespace: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Account {
    name: String,
    project_id: String,
}
