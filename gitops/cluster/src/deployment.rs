//! The Deployment controller: pods of the present template come, those of former ones go, and the
//! status says how far it is.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gitops::Object;
use serde_json::{Value, json};

use crate::address::Addresses;
use crate::changes::Changes;
use crate::clock::Moment;
use crate::condition::{self, Condition};
use crate::error::chain;
use crate::event::Events;
use crate::hash::{Canonical, readable};
use crate::kubelet::Kubelet;
use crate::notice::{self, Notice};
use crate::pod::{Owner, Pod, State, Stop};
use crate::rollout::{self, Counts};
use crate::spec::{self, Deployment, Metadata};
use crate::store::Store;
use crate::{Isolation, Result, admission, replica_set};

/// The label by which the pods of one template are told from those of another.
const HASH: &str = "pod-template-hash";

/// How soon a pod is tried again that could not be started.
const AGAIN: Duration = Duration::from_secs(1);

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
    at: Moment,
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

    /// One look at everything; says when the next one is due, whatever changes until then.
    pub(crate) fn sync(&mut self, now: Moment) -> Result<Option<Moment>> {
        let mut objects = self.store.list("apps", "Deployment");
        objects.retain(|object| !admission::is_flux_component(object));
        let pods = self.kubelet.pods();
        let (mut uids, mut due) = (Vec::new(), None);
        for object in &objects {
            // What cannot be read is refused on its way in.
            if let Ok(deployment) = spec::read::<Deployment>(object.value()) {
                uids.push(deployment.metadata.uid.clone());
                let observed = Observed::new(object.value(), deployment, &pods);
                due = self.sync_one(object, &observed, now)?.into_iter().chain(due).min();
            }
        }
        for pod in pods.iter().filter(|pod| !uids.contains(&pod.owner.deployment)) {
            pod.stop(Stop::Drain);
        }
        self.rollouts.retain(|uid, _| uids.contains(uid));
        replica_set::sweep(&self.store, &uids);
        Ok(due)
    }

    fn sync_one(
        &mut self,
        object: &Object,
        observed: &Observed<'_>,
        now: Moment,
    ) -> Result<Option<Moment>> {
        let metadata = &observed.deployment.metadata;
        if !self.rollouts.contains_key(&metadata.uid) {
            self.announce(&observed.deployment);
        }
        let rollout = self
            .rollouts
            .entry(metadata.uid.clone())
            .or_insert_with(|| Rollout::new(&observed.hash, now));
        if rollout.hash != observed.hash {
            *rollout = Rollout::new(&observed.hash, now);
        }
        let count = |pods: &[Arc<Pod>]| observed.count(pods, now);
        let (new, old) = (count(&observed.new), count(&observed.old));
        rollout.note(new, old, observed.deployment.spec.replicas, now);
        let step = rollout::step(&observed.deployment.spec, new, old, observed.leaving.len());
        end(&observed.new, step.end_new);
        end(&observed.old, step.end_old);
        let wanted = new.total + step.start - step.end_new;
        let of_hash = |hash: &str| {
            let all = observed.new.iter().chain(&observed.old);
            count(&all.filter(|pod| pod.template_hash == hash).cloned().collect::<Vec<_>>())
        };
        let set = replica_set::show(&self.store, object, (HASH, &observed.hash), wanted, of_hash)?;
        let start = |_| self.start(observed, set.clone()).err().map(|error| chain(&error));
        let failure = (0..step.start).find_map(start);
        if failure.is_none() {
            self.tell_scaled(
                object,
                &observed.hash,
                new.total,
                new.total + step.start - step.end_new,
            );
        }
        if let Some(pod) = observed.old.first() {
            self.tell_scaled(object, &pod.template_hash, old.total, old.total - step.end_old);
        }
        let rollout = self.rollouts.get_mut(&metadata.uid).expect("inserted above");
        if failure.is_some() && rollout.failure != failure {
            self.events.tell(subject(metadata), failure.clone().unwrap_or_default());
        }
        rollout.failure = failure;
        self.store.set_status(&object.id(), observed.status(rollout, now))?;
        Ok(observed.due(rollout, now))
    }

    /// Records an event as the deployment controller words it; its ReplicaSets are the templates of
    /// pods here.
    fn tell_scaled(&self, deployment: &Object, hash: &str, from: usize, to: usize) {
        let how = match to.cmp(&from) {
            Ordering::Greater => "up",
            Ordering::Less => "down",
            Ordering::Equal => return,
        };
        let set = format!("{}-{hash}", deployment.name());
        let message = format!("Scaled {how} replica set {set} from {from} to {to}");
        let notice = Notice { kind: "Normal", reason: "ScalingReplicaSet", message: &message };
        // A Deployment works without its events, too.
        let _ = notice::record(&self.store, "deployment-controller", deployment, &notice);
    }

    fn announce(&self, deployment: &Deployment) {
        let unenforced = admission::unenforced(deployment, self.isolation);
        if !unenforced.is_empty() {
            let message = format!("its pods do not enforce: {}", unenforced.join(", "));
            self.events.tell(subject(&deployment.metadata), message);
        }
    }

    fn start(&mut self, observed: &Observed<'_>, set: (String, String)) -> Result<()> {
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
            template.spec.all_containers().flat_map(|c| &c.ports).map(|port| port.container_port);
        let address = self.addresses.pod(&ports.collect::<Vec<_>>())?;
        let owner = Owner { deployment: owner.uid.clone(), set };
        let changes = Arc::clone(&self.changes);
        let spec = (&template.spec, &observed.object["spec"]["template"]["spec"]);
        let hash = observed.hash.clone();
        self.kubelet.start(Pod::new(metadata, owner, hash, spec, address, changes))
    }
}

impl<'a> Observed<'a> {
    fn new(object: &'a Value, deployment: Deployment, pods: &[Arc<Pod>]) -> Self {
        let hash = readable(&Canonical(&object["spec"]["template"]), 10);
        // Those that have ended are nobody's any more.
        let is_mine = |pod: &&Arc<Pod>| {
            pod.owner.deployment == deployment.metadata.uid && pod.look(|state| !state.finished)
        };
        let mine = pods.iter().filter(is_mine).cloned();
        let (leaving, living): (Vec<_>, Vec<_>) = mine.partition(|pod| pod.is_told_to_go());
        let (new, old) = living.into_iter().partition(|pod| pod.template_hash == hash);
        Self { object, deployment, hash, new, old, leaving }
    }

    fn min_ready(&self) -> Duration {
        Duration::from_secs(self.deployment.spec.min_ready_seconds)
    }

    fn count(&self, pods: &[Arc<Pod>], now: Moment) -> Counts {
        let min_ready = self.min_ready();
        let n = |is: &dyn Fn(&State) -> bool| pods.iter().filter(|pod| pod.look(is)).count();
        Counts {
            total: pods.len(),
            ready: n(&|state| state.is_ready()),
            available: n(&|state| state.is_available(min_ready, now)),
        }
    }

    /// When time alone changes something: a ready pod becomes available, the deadline of the
    /// rollout is over, or a pod that could not be started is tried again.
    fn due(&self, rollout: &Rollout, now: Moment) -> Option<Moment> {
        let pods = self.new.iter().chain(&self.old);
        let ready = pods.filter_map(|pod| pod.look(|state| state.ready_since()));
        let available = ready.map(|since| since + self.min_ready());
        let deadline = (!rollout.complete).then(|| self.deadline(rollout));
        let again = rollout.failure.as_ref().map(|_| now + AGAIN);
        available.chain(deadline).chain(again).filter(|due| *due > now).min()
    }

    fn deadline(&self, rollout: &Rollout) -> Moment {
        rollout.at + Duration::from_secs(self.deployment.spec.progress_deadline_seconds)
    }

    fn status(&self, rollout: &Rollout, now: Moment) -> Value {
        let (new, old) = (self.count(&self.new, now), self.count(&self.old, now));
        let spec = &self.deployment.spec;
        let available = new.available + old.available;
        let progressing = self.progressing(rollout, now);
        let mut conditions = vec![available_condition(available, spec), progressing];
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

    fn progressing(&self, rollout: &Rollout, now: Moment) -> Condition {
        let set = format!("ReplicaSet \"{}-{}\"", self.deployment.metadata.name, self.hash);
        if rollout.complete {
            let message = format!("{set} has successfully progressed.");
            return Condition::new("Progressing", "True", "NewReplicaSetAvailable", message);
        }
        if now < self.deadline(rollout) {
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
    fn new(hash: &str, at: Moment) -> Self {
        let reached = (Counts::default(), usize::MAX);
        Self { hash: hash.to_owned(), reached, at, complete: false, failure: None }
    }

    /// Progress is another new pod, another one that became ready or available, or another old one
    /// gone.
    fn note(&mut self, new: Counts, old: Counts, replicas: usize, now: Moment) {
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
            self.at = now;
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
    order.sort_by_key(|pod| {
        (pod.look(|state| state.is_ready()), std::cmp::Reverse(pod.metadata.uid.clone()))
    });
    for pod in order.into_iter().take(n) {
        pod.stop(Stop::Drain);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Finding;

    #[test]
    fn progress_is_what_was_not_reached_before() {
        let counts = |total, ready| Counts { total, ready, available: ready };
        let begun = Moment::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut rollout = Rollout::new("h", begun);
        rollout.note(counts(1, 0), counts(1, 1), 1, at(1));
        // A pod that crashes and comes back is no progress.
        rollout.note(counts(0, 0), counts(1, 1), 1, at(2));
        rollout.note(counts(1, 0), counts(1, 1), 1, at(3));
        assert_eq!(rollout.at, at(1));
        assert!(!rollout.complete);
        rollout.note(counts(1, 1), counts(0, 0), 1, at(4));
        assert!(rollout.at == at(4) && rollout.complete);
    }

    /// A Deployment of one replica with its pod, which does not live.
    struct Bench {
        object: Value,
        pod: Arc<Pod>,
        begun: Moment,
    }

    impl Bench {
        fn new(spec: &Value) -> Self {
            let template = json!({"spec": {"containers": [{"name": "server", "image": "i"}]}});
            let mut object = json!({"metadata": {"name": "web", "uid": "u"}, "spec": spec});
            object["spec"]["selector"] = json!({});
            object["spec"]["template"] = template.clone();
            let read: Deployment = spec::read(&object).unwrap();
            let hash = readable(&Canonical(&template), 10);
            let metadata = Metadata { name: "web-1".to_owned(), ..Metadata::default() };
            let spec = (&read.spec.template.spec, &template["spec"]);
            let owner = Owner { deployment: "u".to_owned(), ..Owner::default() };
            let address = std::net::Ipv4Addr::LOCALHOST;
            let pod = Pod::new(metadata, owner, hash, spec, address, Arc::default());
            Self { object, pod: Arc::new(pod), begun: Moment::now() }
        }

        fn at(&self, seconds: u64) -> Moment {
            self.begun + Duration::from_secs(seconds)
        }

        /// One look of the controller that far after the beginning: the conditions' reasons, how many
        /// pods are available, and after how many seconds it looks again.
        fn look(&self, rollout: &mut Rollout, seconds: u64) -> (String, Value, Option<u64>) {
            let now = self.at(seconds);
            let deployment = spec::read(&self.object).unwrap();
            let observed = Observed::new(&self.object, deployment, &[Arc::clone(&self.pod)]);
            let (new, old) =
                (observed.count(&observed.new, now), observed.count(&observed.old, now));
            rollout.note(new, old, 1, now);
            let status = observed.status(rollout, now);
            let reasons = status["conditions"].as_array().unwrap().iter();
            let reasons: Vec<_> = reasons.map(|it| it["reason"].as_str().unwrap()).collect();
            let due = observed.due(rollout, now);
            let due = due.map(|due| due.since(self.begun).as_secs());
            (reasons.join(" "), status["availableReplicas"].clone(), due)
        }
    }

    #[test]
    fn a_rollout_without_progress_is_given_up_at_its_deadline() {
        let bench = Bench::new(&json!({"progressDeadlineSeconds": 600}));
        let mut rollout = Rollout::new("h", bench.begun);
        let waiting = "MinimumReplicasUnavailable ReplicaSetUpdated".to_owned();
        assert_eq!(bench.look(&mut rollout, 5), (waiting.clone(), 0.into(), Some(605)));
        assert_eq!(bench.look(&mut rollout, 604), (waiting, 0.into(), Some(605)));
        let given_up = "MinimumReplicasUnavailable ProgressDeadlineExceeded".to_owned();
        assert_eq!(bench.look(&mut rollout, 605), (given_up, 0.into(), None));
        // It is not too late for the pod.
        bench.pod.update_at(bench.at(700), |state| {
            state.containers[0].run(7, bench.at(700), 0);
            state.containers[0].found(Finding::Ready);
        });
        let complete = "MinimumReplicasAvailable NewReplicaSetAvailable".to_owned();
        assert_eq!(bench.look(&mut rollout, 700), (complete, 1.into(), None));
    }

    #[test]
    fn a_ready_pod_is_available_after_the_seconds_that_it_must_stay_so() {
        let bench = Bench::new(&json!({"minReadySeconds": 30}));
        let mut rollout = Rollout::new("h", bench.begun);
        bench.pod.update_at(bench.at(10), |state| {
            state.containers[0].run(7, bench.at(10), 0);
            state.containers[0].found(Finding::Ready);
        });
        let waiting = "MinimumReplicasUnavailable ReplicaSetUpdated".to_owned();
        assert_eq!(bench.look(&mut rollout, 10), (waiting.clone(), 0.into(), Some(40)));
        assert_eq!(bench.look(&mut rollout, 39), (waiting, 0.into(), Some(40)));
        let complete = "MinimumReplicasAvailable NewReplicaSetAvailable".to_owned();
        assert_eq!(bench.look(&mut rollout, 40), (complete, 1.into(), None));
    }
}
