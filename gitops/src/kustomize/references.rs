//! References from object to object follow a name or namespace that changed
//! (api/filters/nameref/nameref.go).

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::config::{Config, FieldSpec, NameReference};
use super::fields::{self, Made, each};
use super::resource::{Id, Previous, Resource};
use super::resources::Resources;
use crate::{Error, ObjectId, Result};

/// Renames references to objects whose name or namespace changed during the build.
pub(super) fn fix(resources: &mut Resources, config: &Config) -> Result<()> {
    let targets = Targets::new(resources.as_slice());
    for resource in resources.as_mut() {
        let referrer = Referrer::new(resource)?;
        for reference in &config.name_reference {
            for spec in reference.referrers.of(&resource.original()) {
                let search = Search { targets: &targets, referrer: &referrer, reference, spec };
                each(resource.value_mut(), spec, Made::Nothing, &mut |found| search.set(found))
                    .map_err(|reason| Error::Kustomize {
                        field: "nameReference",
                        message: format!("{}: {reason}", referrer.shown),
                    })?;
            }
        }
    }
    Ok(())
}

/// What may be referred to, as it is called when the search begins.
struct Targets {
    all: Vec<Target>,
    /// By each name that one had before.
    by_name: HashMap<String, Vec<usize>>,
    /// By the namespace in which one was at first.
    by_namespace: HashMap<String, Vec<usize>>,
}

struct Target {
    shown: ObjectId,
    /// As [`Id::namespace`].
    namespace: String,
    is_cluster_scoped: bool,
    previous: Vec<Previous>,
    prefixes: Vec<String>,
    suffixes: Vec<String>,
}

impl Targets {
    fn new(resources: &[Resource]) -> Self {
        let mut targets =
            Self { all: Vec::new(), by_name: HashMap::new(), by_namespace: HashMap::new() };
        for (n, resource) in resources.iter().enumerate() {
            let id = resource.id();
            let names: HashSet<&str> = resource.previous.iter().map(|it| &*it.name).collect();
            for name in names {
                targets.by_name.entry(name.to_owned()).or_default().push(n);
            }
            let original = resource.original().namespace.to_owned();
            targets.by_namespace.entry(original).or_default().push(n);
            targets.all.push(Target {
                shown: resource.shown(),
                namespace: id.namespace.to_owned(),
                is_cluster_scoped: id.is_cluster_scoped(),
                previous: resource.previous.clone(),
                prefixes: resource.prefixes.clone(),
                suffixes: resource.suffixes.clone(),
            });
        }
        targets
    }
}

impl Target {
    fn was_of(&self, group: &str, version: &str, kind: &str) -> bool {
        self.previous.iter().any(|it| {
            let id = Id {
                group: &self.shown.group,
                version: &self.shown.version,
                kind: &it.kind,
                namespace: &it.namespace,
                name: &it.name,
            };
            id.is_of(group, version, kind)
        })
    }

    fn original_namespace(&self) -> &str {
        self.previous.first().map_or(&self.namespace, |it| &it.namespace)
    }
}

struct Referrer {
    shown: ObjectId,
    namespace: String,
    is_cluster_scoped: bool,
    prefixes: Vec<String>,
    suffixes: Vec<String>,
    /// Group and kind of a binding's role.
    role: Option<(String, String)>,
    /// Where the accounts of a binding are.
    account_namespaces: HashSet<String>,
}

impl Referrer {
    fn new(resource: &Resource) -> Result<Self> {
        let id = resource.id();
        let text = |pointer| resource.object.at(pointer).and_then(Value::as_str).map(str::to_owned);
        let role = || Some((text("/roleRef/apiGroup")?, text("/roleRef/kind")?));
        Ok(Self {
            shown: resource.shown(),
            namespace: id.namespace.to_owned(),
            is_cluster_scoped: id.is_cluster_scoped(),
            prefixes: resource.prefixes.clone(),
            suffixes: resource.suffixes.clone(),
            role: role(),
            account_namespaces: match id.kind {
                "RoleBinding" if !id.is_cluster_scoped() => account_namespaces(resource)?,
                _ => HashSet::new(),
            },
        })
    }

    /// Whether an object in a namespace, or in none, can be referred to at all.
    fn reaches(&self, target: &Target) -> bool {
        self.is_cluster_scoped
            || target.is_cluster_scoped
            || target.namespace == self.namespace
            || self.account_namespaces.contains(&target.shown.namespace)
    }
}

fn account_namespaces(binding: &Resource) -> Result<HashSet<String>> {
    let subjects = binding.object.at("/subjects").and_then(Value::as_array);
    let accounts = subjects
        .into_iter()
        .flatten()
        .filter(|it| it.get("kind").is_some_and(|kind| kind == "ServiceAccount"));
    accounts
        .filter_map(|account| account.get("namespace"))
        .map(|namespace| {
            namespace.as_str().map(str::to_owned).ok_or_else(|| Error::Kustomize {
                field: "nameReference",
                message: format!("the namespace of a subject of {} is blank", binding.shown()),
            })
        })
        .collect()
}

struct Search<'a> {
    targets: &'a Targets,
    referrer: &'a Referrer,
    reference: &'a NameReference,
    spec: &'a FieldSpec,
}

impl Search<'_> {
    fn set(&self, found: &mut Value) -> Result<(), String> {
        match found {
            Value::Null => Ok(()),
            Value::Array(elements) => elements.iter_mut().try_for_each(|element| match element {
                Value::Array(_) => Err("a list stands in a list of names".to_owned()),
                element => self.set(element),
            }),
            Value::Object(_) => self.set_mapping(found),
            scalar => {
                let name = fields::text(scalar);
                if let Some(target) = self.target(&name, None)?
                    && target.shown.name != name
                {
                    *scalar = target.shown.name.as_str().into();
                }
                Ok(())
            }
        }
    }

    /// A mapping with `name` and `namespace`: both follow the target.
    fn set_mapping(&self, found: &mut Value) -> Result<(), String> {
        let name = found.get("name").map(fields::text);
        let name = name.ok_or_else(|| format!("{}: there is no name", self.spec.path))?;
        let within = found.get("namespace").map(fields::text);
        let Some(target) = self.target(&name, Some(within.as_deref()))? else { return Ok(()) };
        found["name"] = target.shown.name.as_str().into();
        if !target.shown.namespace.is_empty() {
            found["namespace"] = target.shown.namespace.as_str().into();
        }
        Ok(())
    }

    /// The object that was called so; none when nothing that changed was. Of a mapping, the
    /// namespace that it names counts, and candidates must agree in theirs.
    fn target(&self, name: &str, mapping: Option<Option<&str>>) -> Result<Option<&Target>, String> {
        let Some(called) = self.targets.by_name.get(name) else { return Ok(None) };
        let mut candidates: Vec<&Target> =
            called.iter().map(|n| &self.targets.all[*n]).filter(|it| self.fits(it)).collect();
        if let Some(Some(within)) = mapping {
            let was_there = self.targets.by_namespace.get(within).into_iter().flatten();
            let mut was_there = was_there.map(|n| &self.targets.all[*n]);
            match was_there.any(|it| self.referrer.reaches(it)) {
                true => candidates.retain(|it| it.original_namespace() == within),
                false => candidates.retain(|it| it.namespace == within),
            }
        }
        if candidates.len() > 1 {
            candidates.retain(|it| self.has_same_affixes(it, true));
        }
        if candidates.len() > 1 {
            candidates.retain(|it| self.has_same_affixes(it, false));
        }
        let Some((first, rest)) = candidates.split_first() else { return Ok(None) };
        let differs = |other: &&&Target| {
            other.shown.name != first.shown.name
                || mapping.is_some() && other.shown.namespace != first.shown.namespace
        };
        match rest.iter().find(differs) {
            None => Ok(Some(first)),
            Some(other) => {
                Err(format!("{} could mean {} or {}", self.spec.path, first.shown, other.shown))
            }
        }
    }

    fn fits(&self, target: &Target) -> bool {
        let NameReference { group, version, kind, .. } = self.reference;
        let is_role = match &self.referrer.role {
            Some((group, kind)) if self.spec.path.ends_with("roleRef/name") => {
                target.was_of(group, "", kind)
            }
            _ => true,
        };
        let is_near = self.referrer.is_cluster_scoped
            || target.is_cluster_scoped
            || target.shown.kind == "ServiceAccount"
            || target.namespace == self.referrer.namespace;
        self.referrer.reaches(target) && is_near && is_role && target.was_of(group, version, kind)
    }

    /// Whether both went through the same kustomizations: the shorter list of affixes ends the
    /// longer. Empty ones may fit all.
    fn has_same_affixes(&self, target: &Target, allow_empty: bool) -> bool {
        let ends = |a: &[String], b: &[String]| match (a.is_empty(), b.is_empty()) {
            (false, false) => a.ends_with(b) || b.ends_with(a),
            (a, b) => allow_empty || a == b,
        };
        ends(&target.prefixes, &self.referrer.prefixes)
            && ends(&target.suffixes, &self.referrer.suffixes)
    }
}
