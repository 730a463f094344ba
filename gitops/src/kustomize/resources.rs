//! The objects of a build in their order, each with an identity of its own.

use std::collections::{HashMap, HashSet};

use super::resource::Resource;
use crate::{Error, Result};

/// The objects of a build in their order.
#[derive(Clone, Debug, Default)]
pub(super) struct Resources {
    list: Vec<Resource>,
    /// The identities of now; none when some may have changed.
    known: Option<HashSet<String>>,
    /// The places of objects by each name that they have or had; none when some may have changed.
    named: Option<HashMap<String, Vec<usize>>>,
}

impl Resources {
    pub(super) fn iter(&self) -> std::slice::Iter<'_, Resource> {
        self.list.iter()
    }

    pub(super) fn as_slice(&self) -> &[Resource] {
        &self.list
    }

    /// The objects to be changed, their identities too.
    pub(super) fn as_mut(&mut self) -> &mut Vec<Resource> {
        self.known = None;
        self.named = None;
        &mut self.list
    }

    /// Changes one object.
    pub(super) fn change<T>(&mut self, n: usize, by: impl FnOnce(&mut Resource) -> T) -> T {
        let resource = &mut self.list[n];
        let before = resource.id().key();
        let done = by(resource);
        if resource.is_gone() || resource.id().key() != before {
            self.known = None;
            self.named = None;
        }
        done
    }

    /// The places of the objects that have or had a name, in their order.
    pub(super) fn called(&mut self, name: &str) -> &[usize] {
        let list = &self.list;
        let named = self.named.get_or_insert_with(|| {
            let mut named: HashMap<String, Vec<usize>> = HashMap::new();
            for (n, resource) in list.iter().enumerate() {
                let mut names: Vec<&str> = resource.previous.iter().map(|it| &*it.name).collect();
                names.push(resource.object.name());
                names.sort_unstable();
                names.dedup();
                for name in names {
                    named.entry(name.to_owned()).or_default().push(n);
                }
            }
            named
        });
        named.get(name).map_or(&[], Vec::as_slice)
    }

    pub(super) fn into_vec(self) -> Vec<Resource> {
        self.list
    }

    /// Adds an object; its identity must be new.
    pub(super) fn append(&mut self, resource: Resource) -> Result<()> {
        let list = &self.list;
        let known = self.known.get_or_insert_with(|| list.iter().map(|it| it.id().key()).collect());
        if !known.insert(resource.id().key()) {
            return Err(twice(&resource));
        }
        self.named = None;
        self.list.push(resource);
        Ok(())
    }

    /// Adds objects in their order.
    pub(super) fn append_all(
        &mut self,
        resources: impl IntoIterator<Item = Resource>,
    ) -> Result<()> {
        resources.into_iter().try_for_each(|resource| self.append(resource))
    }

    /// Drops what patches have deleted.
    pub(super) fn drop_gone(&mut self) {
        if self.list.iter().any(Resource::is_gone) {
            self.as_mut().retain(|resource| !resource.is_gone());
        }
    }

    /// Checks that every identity is there once.
    pub(super) fn check(&mut self) -> Result<()> {
        let mut known = HashSet::with_capacity(self.list.len());
        match self.list.iter().find(|it| !known.insert(it.id().key())) {
            Some(again) => Err(twice(again)),
            None => {
                self.known = Some(known);
                Ok(())
            }
        }
    }
}

fn twice(resource: &Resource) -> Error {
    Error::Kustomize { field: "resources", message: format!("{} is there twice", resource.shown()) }
}
