//! Where transformers find their fields: tables of field specs, those of kustomize and those of
//! `configurations` and `crds`.

mod crds;
mod specs;

use std::sync::{Arc, LazyLock};

use serde::Deserialize;

pub(super) use self::specs::{FieldSpec, Specs};
use super::decode;
use super::loader::Loader;
use crate::yaml::{self, Dialect};
use crate::{Error, Result};

/// All tables of one build, at one kustomization.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Config {
    pub(super) name_prefix: Specs,
    pub(super) name_suffix: Specs,
    pub(super) namespace: Specs,
    pub(super) common_labels: Specs,
    pub(super) labels: Specs,
    pub(super) template_labels: Specs,
    pub(super) common_annotations: Specs,
    pub(super) name_reference: Vec<NameReference>,
    pub(super) var_reference: Specs,
    pub(super) images: Specs,
    pub(super) replicas: Specs,
}

/// The fields that name objects of a kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct NameReference {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
    #[serde(rename = "fieldSpecs")]
    pub(super) referrers: Specs,
}

static DEFAULT: LazyLock<Arc<Config>> =
    LazyLock::new(|| Arc::new(Config::of_table(include_str!("defaults.txt"))));

impl Config {
    /// kustomize's own tables.
    pub(super) fn usual() -> Arc<Self> {
        DEFAULT.clone()
    }

    /// The tables of a kustomization: the usual ones and its `configurations`.
    pub(super) fn load(loader: &Loader<'_>, paths: &[String]) -> Result<Arc<Self>> {
        let mut own = Self::default();
        for path in paths {
            let read = parse(loader.text(path)?).map_err(|error| error.in_file(path))?;
            own = own.with(&read)?;
        }
        Self::merge(&Self::usual(), &Arc::new(own))
    }

    /// What the schemas of `crds` say of their fields.
    pub(super) fn of_crds(loader: &Loader<'_>, paths: &[String]) -> Result<Arc<Self>> {
        let mut all = Self::default();
        for path in paths {
            let text = loader.text(path)?;
            all = all.with(&crds::config(text).map_err(|error| error.in_file(path))?)?;
        }
        Ok(Arc::new(all))
    }

    /// Both tables together; nothing is copied where one has it all.
    pub(super) fn merge(one: &Arc<Self>, other: &Arc<Self>) -> Result<Arc<Self>> {
        if Arc::ptr_eq(one, other) || **other == Self::default() {
            return Ok(one.clone());
        }
        // Even into nothing it is merged field by field: one of a kind takes the place of the same
        // for any kind behind it.
        if **one == Self::default() && Arc::ptr_eq(other, &DEFAULT) {
            return Ok(other.clone());
        }
        one.with(other).map(Arc::new)
    }

    fn with(&self, other: &Self) -> Result<Self> {
        let mut all = Self {
            name_prefix: self.name_prefix.with(&other.name_prefix)?,
            name_suffix: self.name_suffix.with(&other.name_suffix)?,
            namespace: self.namespace.with(&other.namespace)?,
            common_labels: self.common_labels.with(&other.common_labels)?,
            labels: self.labels.with(&other.labels)?,
            template_labels: self.template_labels.with(&other.template_labels)?,
            common_annotations: self.common_annotations.with(&other.common_annotations)?,
            name_reference: self.name_reference.clone(),
            var_reference: self.var_reference.with(&other.var_reference)?,
            images: self.images.with(&other.images)?,
            replicas: self.replicas.with(&other.replicas)?,
        };
        for reference in &other.name_reference {
            all.refer(reference)?;
        }
        all.name_reference.sort_by_key(|it| specs::rank(&it.group, &it.version, &it.kind));
        Ok(all)
    }

    /// Adds the fields that name objects of a kind.
    fn refer(&mut self, reference: &NameReference) -> Result<()> {
        let is_same = |it: &&mut NameReference| {
            (&it.group, &it.version, &it.kind)
                == (&reference.group, &reference.version, &reference.kind)
        };
        match self.name_reference.iter_mut().find(is_same) {
            Some(there) => there.referrers = there.referrers.with(&reference.referrers)?,
            None => self.name_reference.push(reference.clone()),
        }
        Ok(())
    }

    fn of_table(text: &str) -> Self {
        let mut config = Self::default();
        let mut section = Vec::new();
        let given = |text: &str| if text == "-" { String::new() } else { text.to_owned() };
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                section = name.split(' ').collect();
                if let [_, group, version, kind] = section.as_slice() {
                    let [group, version, kind] = [group, version, kind].map(|it| given(it));
                    let referrers = Specs::default();
                    config.name_reference.push(NameReference { group, version, kind, referrers });
                }
                continue;
            }
            let mut words = line.split(' ');
            let mut next = || given(words.next().unwrap_or_default());
            let spec = FieldSpec {
                group: next(),
                version: next(),
                kind: next(),
                path: next(),
                create: next() == "create",
            };
            if let Some(specs) = config.section(section.first().copied().unwrap_or_default()) {
                specs.0.push(spec);
            }
        }
        for specs in [&mut config.common_labels, &mut config.var_reference] {
            specs.sort();
        }
        config.name_reference.iter_mut().for_each(|it| it.referrers.sort());
        config
    }

    fn section(&mut self, name: &str) -> Option<&mut Specs> {
        Some(match name {
            "namePrefix" => &mut self.name_prefix,
            "nameSuffix" => &mut self.name_suffix,
            "namespace" => &mut self.namespace,
            "commonLabels" => &mut self.common_labels,
            "templateLabels" => &mut self.template_labels,
            "commonAnnotations" => &mut self.common_annotations,
            "varReference" => &mut self.var_reference,
            "images" => &mut self.images,
            "replicas" => &mut self.replicas,
            "nameReference" => &mut self.name_reference.last_mut()?.referrers,
            _ => return None,
        })
    }
}

fn parse(text: &str) -> Result<Config> {
    let wrong = |message| Error::Kustomize { field: "configurations", message };
    match yaml::parse_as(text, Dialect::Json)?.into_iter().next() {
        None => Ok(Config::default()),
        Some(value) => decode::strictly(value).map_err(|error| wrong(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_whole() {
        let config = Config::usual();
        let n = |specs: &Specs| specs.0.len();
        let sizes = [
            n(&config.name_prefix),
            n(&config.name_suffix),
            n(&config.namespace),
            n(&config.common_labels),
            n(&config.template_labels),
            n(&config.common_annotations),
            n(&config.images),
            n(&config.replicas),
            n(&config.var_reference),
        ];
        assert_eq!(sizes, [1, 1, 3, 32, 10, 9, 6, 4, 72]);
        assert_eq!(config.name_reference.len(), 16);
        let n_referrers: usize = config.name_reference.iter().map(|it| n(&it.referrers)).sum();
        assert_eq!(n_referrers, 167);
    }

    #[test]
    fn what_is_merged_with_itself_stays() {
        let config = Config::usual();
        assert_eq!(config.with(&config).unwrap(), *config);
        let own = parse("namePrefix: [{path: spec/x, kind: Own}]\nnameReference:\n- kind: Own\n  fieldSpecs: [{kind: Z, path: spec/y}]\n").unwrap();
        let both = config.with(&own).unwrap();
        assert_eq!(both.name_prefix.0.len(), 2);
        assert_eq!(both.name_reference.len(), 17);
        let said = config
            .with(&parse("replicas: [{path: spec/replicas, kind: Deployment}]\n").unwrap())
            .unwrap_err();
        assert!(said.to_string().contains("spec/replicas"), "{said}");
    }
}
