//! Field specs: which field of which kind.

use serde::Deserialize;

use crate::kustomize::resource::Id;
use crate::kustomize::sort;
use crate::{Error, Result};

/// A field of the objects of a kind; group, version and kind may be empty for any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(in crate::kustomize) struct FieldSpec {
    pub(in crate::kustomize) group: String,
    pub(in crate::kustomize) version: String,
    pub(in crate::kustomize) kind: String,
    /// Keys with `/` between them; `\/` is a slash of a key, `key[]` a list.
    pub(in crate::kustomize) path: String,
    /// Whether it is made where it is missing.
    pub(in crate::kustomize) create: bool,
}

impl FieldSpec {
    pub(in crate::kustomize) fn is_of(&self, id: &Id<'_>) -> bool {
        id.is_of(&self.group, &self.version, &self.kind)
    }
}

/// Several field specs, none twice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(in crate::kustomize) struct Specs(pub(in crate::kustomize) Vec<FieldSpec>);

impl Specs {
    pub(in crate::kustomize) fn iter(&self) -> std::slice::Iter<'_, FieldSpec> {
        self.0.iter()
    }

    /// Those of an object.
    pub(in crate::kustomize) fn of(&self, id: &Id<'_>) -> Vec<&FieldSpec> {
        self.0.iter().filter(|spec| spec.is_of(id)).collect()
    }

    /// Both together. A field that is there stays; it must agree in whether it is made.
    pub(in crate::kustomize) fn with(&self, other: &Self) -> Result<Self> {
        let mut all = self.clone();
        for spec in &other.0 {
            match all.0.iter().find(|there| covers(spec, there)) {
                None => all.0.push(spec.clone()),
                Some(there) if there.create == spec.create => {}
                Some(_) => {
                    let message = format!(
                        "{} of kind {:?} is said to be made where it is missing, and not to be",
                        spec.path, spec.kind
                    );
                    return Err(Error::Kustomize { field: "fieldSpecs", message });
                }
            }
        }
        all.sort();
        Ok(all)
    }

    pub(super) fn sort(&mut self) {
        self.0.sort_by_cached_key(|it| rank(&it.group, &it.version, &it.kind));
    }
}

/// Whether a spec means the kind of another one, and its path.
fn covers(spec: &FieldSpec, there: &FieldSpec) -> bool {
    let fits = |wanted: &str, has: &str| wanted.is_empty() || wanted == has;
    spec.path == there.path
        && fits(&spec.group, &there.group)
        && fits(&spec.version, &there.version)
        && fits(&spec.kind, &there.kind)
}

/// The order of kinds (`resid.Gvk.IsLessThan`).
pub(super) fn rank(group: &str, version: &str, kind: &str) -> (i64, String) {
    sort::rank_of_kind(group, version, kind)
}
