//! The Deployment controller: pods of the present template come, those of former ones go, and the
//! status says how far it is.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gitops::Object;
use serde_json::{Value, json};

use crate::address::Addresses;
use crate::changes::Changes;
use crate::condition::{self, Condition};
use crate::error::chain;
use crate::event::Events;
use crate::kubelet::Kubelet;
use crate::pod::{Pod, Stop};
use crate::rollout::{self, Counts};
use crate::spec::{self, Deployment, Metadata};
use crate::store::Store;
use crate::{Isolation, Result, admission};

/// The label by which the pods of one template are told from those of another.
const HASH: &str = "pod-template-hash";

/// Keeps every Deployment of the store true.
pub(crate) struct Deployments {
    store: Arc<Store>,
    kubelet: Arc<Kubelet>,
    addresses: Arc<Addresses>,
    changes: Arc<Changes>,
    events: Events,
    isolation: Isolation,
    /// By the Deployment's uid.
    rollouts: BTreeMap<String, Rollout>,
    n_started: u64,
}

/// How far the rollout of one template is.
#[derive(Debug)]
struct Rollout {
    hash: String,
    /// The furthest point so far, and when it was reached.
    reached: (Counts, usize),
    at: Instant,
    complete: bool,
    /// Why no pod could be started.
    failure: Option<String>,
}

/// A Deployment and its pods.
struct Observed<'a> {
    object: &'a Value,
    deployment: Deployment,
    hash: String,
    new: Vec<Arc<Pod>>,
    old: Vec<Arc<Pod>>,
    leaving: Vec<Arc<Pod>>,
}

impl Deployments {
    pub(crate) fn new(
        store: Arc<Store>,
        kubelet: Arc<Kubelet>,
        addresses: Arc<Addresses>,
        changes: Arc<Changes>,
        events: Events,
        isolation: Isolation,
    ) -> Self {
        Self {
            isolation,
            store,
            kubelet,
            addresses,
            changes,
            events,
            rollouts: BTreeMap::new(),
            n_started: 0,
        }
    }

    /// One look at everything.
    pub(crate) fn sync(&mut self) -> Result<()> {
        let mut objects = self.store.list("apps", "Deployment");
        objects.retain(|object| !admission::is_flux_component(object));
        let pods = self.kubelet.pods();
        let mut uids = Vec::new();
        for object in &objects {
            // What cannot be read is refused on its way in.
            if let Ok(deployment) = spec::read::<Deployment>(object.value()) {
                uids.push(deployment.metadata.uid.clone());
                let observed = Observed::new(object.value(), deployment, &pods);
                self.sync_one(object, &observed)?;
            }
        }
        for pod in pods.iter().filter(|pod| !uids.contains(&pod.owner.1)) {
            pod.stop(Stop::Drain);
        }
        self.rollouts.retain(|uid, _| uids.contains(uid));
        Ok(())
    }

    fn sync_one(&mut self, object: &Object, observed: &Observed<'_>) -> Result<()> {
        let metadata = &observed.deployment.metadata;
        if !self.rollouts.contains_key(&metadata.uid) {
            self.announce(&observed.deployment);
        }
        let rollout = self
            .rollouts
            .entry(metadata.uid.clone())
            .or_insert_with(|| Rollout::new(&observed.hash));
        if rollout.hash != observed.hash {
            *rollout = Rollout::new(&observed.hash);
        }
        let (new, old) = (observed.count(&observed.new), observed.count(&observed.old));
        rollout.note(new, old, observed.deployment.spec.replicas);
        let step = rollout::step(&observed.deployment.spec, new, old, observed.leaving.len());
        end(&observed.new, step.end_new);
        end(&observed.old, step.end_old);
        let failure =
            (0..step.start).find_map(|_| self.start(observed).err().map(|error| chain(&error)));
        let rollout = self.rollouts.get_mut(&metadata.uid).expect("inserted above");
        if failure.is_some() && rollout.failure != failure {
            self.events.tell(subject(metadata), failure.clone().unwrap_or_default());
        }
        rollout.failure = failure;
        self.store.set_status(&object.id(), observed.status(rollout))
    }

    fn announce(&self, deployment: &Deployment) {
        let unenforced = admission::unenforced(deployment, self.isolation);
        if !unenforced.is_empty() {
            let message = format!("its pods do not enforce: {}", unenforced.join(", "));
            self.events.tell(subject(&deployment.metadata), message);
        }
    }

    fn start(&mut self, observed: &Observed<'_>) -> Result<()> {
        let template = &observed.deployment.spec.template;
        let owner = &observed.deployment.metadata;
        self.n_started += 1;
        let suffix = readable(&(&owner.uid, self.n_started), 5);
        let mut metadata = Metadata {
            name: format!("{}-{}-{suffix}", owner.name, observed.hash),
            namespace: owner.namespace.clone(),
            uid: format!("00000000-0000-4000-8001-{:012x}", self.n_started),
            ..template.metadata.clone()
        };
        metadata.labels.insert(HASH.to_owned(), observed.hash.clone());
        let ports =
            template.spec.containers.iter().flat_map(|c| &c.ports).map(|port| port.container_port);
        let address = self.addresses.pod(&ports.collect::<Vec<_>>())?;
        let owner = (owner.name.clone(), owner.uid.clone());
        let changes = Arc::clone(&self.changes);
        match Pod::new(metadata, owner, observed.hash.clone(), &template.spec, address, changes) {
            Some(pod) => self.kubelet.start(pod),
            None => Ok(()),
        }
    }
}

impl<'a> Observed<'a> {
    fn new(object: &'a Value, deployment: Deployment, pods: &[Arc<Pod>]) -> Self {
        let hash = readable(&Canonical(&object["spec"]["template"]), 10);
        let mine = pods.iter().filter(|pod| pod.owner.1 == deployment.metadata.uid).cloned();
        let (leaving, living): (Vec<_>, Vec<_>) = mine.partition(|pod| pod.state().stop.is_some());
        let (new, old) = living.into_iter().partition(|pod| pod.template_hash == hash);
        Self { object, deployment, hash, new, old, leaving }
    }

    fn count(&self, pods: &[Arc<Pod>]) -> Counts {
        let min_ready = Duration::from_secs(self.deployment.spec.min_ready_seconds);
        let states: Vec<_> = pods.iter().map(|pod| pod.state()).collect();
        Counts {
            total: pods.len(),
            ready: states.iter().filter(|state| state.is_ready()).count(),
            available: states.iter().filter(|state| state.is_available(min_ready)).count(),
        }
    }

    fn status(&self, rollout: &Rollout) -> Value {
        let (new, old) = (self.count(&self.new), self.count(&self.old));
        let spec = &self.deployment.spec;
        let available = new.available + old.available;
        let mut conditions = vec![available_condition(available, spec), self.progressing(rollout)];
        if let Some(failure) = &rollout.failure {
            conditions.push(Condition::new("ReplicaFailure", "True", "FailedCreate", failure));
        }
        json!({
            "observedGeneration": self.deployment.metadata.generation,
            "replicas": new.total + old.total,
            "updatedReplicas": new.total,
            "readyReplicas": new.ready + old.ready,
            "availableReplicas": available,
            "unavailableReplicas": spec.replicas.saturating_sub(available),
            "conditions": condition::list(self.object, conditions),
        })
    }

    fn progressing(&self, rollout: &Rollout) -> Condition {
        let set = format!("ReplicaSet \"{}-{}\"", self.deployment.metadata.name, self.hash);
        let deadline = Duration::from_secs(self.deployment.spec.progress_deadline_seconds);
        if rollout.complete {
            let message = format!("{set} has successfully progressed.");
            return Condition::new("Progressing", "True", "NewReplicaSetAvailable", message);
        }
        if rollout.at.elapsed() < deadline {
            return Condition::new(
                "Progressing",
                "True",
                "ReplicaSetUpdated",
                format!("{set} is progressing."),
            );
        }
        // Kubernetes stops at the first sentence; whoever reads it then wants to know the second.
        let why = self
            .new
            .iter()
            .find_map(|pod| Some(format!(" {}: {}", pod.metadata.name, pod.state().trouble()?)));
        let message = format!("{set} has timed out progressing.{}", why.unwrap_or_default());
        Condition::new("Progressing", "False", "ProgressDeadlineExceeded", message)
    }
}

impl Rollout {
    fn new(hash: &str) -> Self {
        let reached = (Counts::default(), usize::MAX);
        Self { hash: hash.to_owned(), reached, at: Instant::now(), complete: false, failure: None }
    }

    /// Progress is another new pod, another one that became ready or available, or another old one
    /// gone.
    fn note(&mut self, new: Counts, old: Counts, replicas: usize) {
        let (best, n_old) = self.reached;
        let further = new.total > best.total
            || new.ready > best.ready
            || new.available > best.available
            || old.total < n_old;
        if further {
            let max = |a: usize, b: usize| a.max(b);
            let best = Counts {
                total: max(new.total, best.total),
                ready: max(new.ready, best.ready),
                available: max(new.available, best.available),
            };
            self.reached = (best, old.total.min(n_old));
            self.at = Instant::now();
        }
        self.complete |= new.total == replicas && new.available == replicas && old.total == 0;
    }
}

fn available_condition(available: usize, spec: &spec::DeploymentSpec) -> Condition {
    let enough = available >= rollout::min_available(spec);
    match enough {
        true => Condition::new(
            "Available",
            "True",
            "MinimumReplicasAvailable",
            "Deployment has minimum availability.",
        ),
        false => Condition::new(
            "Available",
            "False",
            "MinimumReplicasUnavailable",
            "Deployment does not have minimum availability.",
        ),
    }
}

fn subject(deployment: &Metadata) -> String {
    format!("deployment {}/{}", deployment.namespace, deployment.name)
}

/// Ends `n` of the pods: those that are not ready first, then the youngest.
fn end(pods: &[Arc<Pod>], n: usize) {
    let mut order: Vec<_> = pods.iter().collect();
    order.sort_by_key(|pod| (pod.state().is_ready(), std::cmp::Reverse(pod.metadata.uid.clone())));
    for pod in order.into_iter().take(n) {
        pod.stop(Stop::Drain);
    }
}

/// `length` letters that Kubernetes uses in such names: none that could spell a word.
fn readable(value: &impl Hash, length: usize) -> String {
    const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    let mut rest = hasher.finish();
    let mut next = || {
        let letter = LETTERS[(rest % 27) as usize];
        rest /= 27;
        char::from(letter)
    };
    (0..length).map(|_| next()).collect()
}

/// A JSON value that hashes alike whatever the order of its keys.
struct Canonical<'a>(&'a Value);

impl Hash for Canonical<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.0 {
            Value::Object(map) => {
                let sorted: BTreeMap<_, _> = map.iter().collect();
                state.write_usize(sorted.len());
                for (key, value) in sorted {
                    key.hash(state);
                    Canonical(value).hash(state);
                }
            }
            Value::Array(list) => {
                state.write_usize(list.len());
                list.iter().for_each(|value| Canonical(value).hash(state));
            }
            scalar => scalar.to_string().hash(state),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_hash_depends_on_the_values_and_not_on_the_order() {
        let hash = |text: &str| readable(&Canonical(&serde_json::from_str(text).unwrap()), 10);
        assert_eq!(hash(r#"{"a": 1, "b": [1, 2]}"#), hash(r#"{"b": [1, 2], "a": 1}"#));
        assert_ne!(hash(r#"{"a": 1, "b": [1, 2]}"#), hash(r#"{"a": 1, "b": [2, 1]}"#));
        assert_ne!(hash(r#"{"a": 1}"#), hash(r#"{"a": "1"}"#));
    }

    #[test]
    fn progress_is_what_was_not_reached_before() {
        let counts = |total, ready| Counts { total, ready, available: ready };
        let mut rollout = Rollout::new("h");
        rollout.note(counts(1, 0), counts(1, 1), 1);
        let begun = rollout.at;
        // A pod that crashes and comes back is no progress.
        rollout.note(counts(0, 0), counts(1, 1), 1);
        rollout.note(counts(1, 0), counts(1, 1), 1);
        assert_eq!(rollout.at, begun);
        assert!(!rollout.complete);
        rollout.note(counts(1, 1), counts(0, 0), 1);
        assert!(rollout.at > begun && rollout.complete);
    }
}
