//! Which model answers a request, and which one is asked for a second opinion.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use crate::model::Model;

/// The models that are loaded. It is replaced as a whole, so that a request sees one state.
#[derive(Clone)]
pub(crate) struct Traffic {
    /// Answers whatever no other does.
    pub(crate) stable: Arc<Model>,
    pub(crate) canary: Option<Canary>,
    /// Is asked after the answer was given, when there is nothing else to do.
    pub(crate) shadow: Option<Arc<Model>>,
}

/// A model that answers a share of the requests.
#[derive(Clone)]
pub(crate) struct Canary {
    pub(crate) model: Arc<Model>,
    /// From 0 to 1.
    pub(crate) share: f64,
}

/// The part that a model plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Stable,
    Canary,
    Shadow,
}

impl Role {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Canary => "canary",
            Self::Shadow => "shadow",
        }
    }
}

/// Who answers, and who is asked afterwards.
pub(crate) struct Choice {
    pub(crate) model: Arc<Model>,
    pub(crate) role: Role,
    /// The other one, and the role whose doing is judged by comparing the two.
    pub(crate) second: Option<(Arc<Model>, Role)>,
}

impl Traffic {
    pub(crate) fn only(stable: Arc<Model>) -> Self {
        Self { stable, canary: None, shadow: None }
    }

    /// The models that still answer or are asked, and their roles.
    pub(crate) fn models(&self) -> impl Iterator<Item = (Role, &Arc<Model>)> {
        let canary = self.canary.as_ref().map(|canary| (Role::Canary, &canary.model));
        let shadow = self.shadow.as_ref().map(|shadow| (Role::Shadow, shadow));
        let others = canary.into_iter().chain(shadow).filter(|(_, model)| !model.has_failed());
        std::iter::once((Role::Stable, &self.stable)).chain(others)
    }

    /// The same request id always gets the same choice. A canary that has failed once gets no more
    /// requests.
    pub(crate) fn choose(&self, request_id: &[u8]) -> Choice {
        let stable = Arc::clone(&self.stable);
        match &self.canary {
            Some(Canary { model, share }) if !model.has_failed() && bucket(request_id) < *share => {
                Choice {
                    model: Arc::clone(model),
                    role: Role::Canary,
                    second: Some((stable, Role::Canary)),
                }
            }
            _ => {
                let shadow = self.shadow.as_ref().filter(|shadow| !shadow.has_failed());
                Choice {
                    model: stable,
                    role: Role::Stable,
                    second: shadow.map(|it| (Arc::clone(it), Role::Shadow)),
                }
            }
        }
    }
}

/// Where a request falls between 0 and 1.
fn bucket(request_id: &[u8]) -> f64 {
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(request_id);
    (hash >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ModelIdentity;
    use crate::testing::Lengths;

    #[test]
    fn a_canary_gets_its_share_until_it_fails() {
        let model = || Model::new(Lengths::default(), ModelIdentity::default());
        let (stable, canary, shadow) = (model(), model(), model());
        let traffic = Traffic {
            stable: Arc::clone(&stable),
            canary: Some(Canary { model: Arc::clone(&canary), share: 0.25 }),
            shadow: Some(Arc::clone(&shadow)),
        };
        let n_canary = || {
            let ids = (0..10_000).map(|n| format!("request-{n}"));
            ids.filter(|id| traffic.choose(id.as_bytes()).role == Role::Canary).count()
        };
        assert!((2300..2700).contains(&n_canary()), "{}", n_canary());
        assert_eq!(n_canary(), n_canary(), "the same requests");
        canary.fail();
        assert_eq!(n_canary(), 0);
        let choice = traffic.choose(b"x");
        assert!(
            Arc::ptr_eq(&choice.model, &stable) && matches!(choice.second, Some((_, Role::Shadow)))
        );
        shadow.fail();
        assert!(traffic.choose(b"x").second.is_none());
    }
}
