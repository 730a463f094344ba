//! The objects of the cluster, as an API server keeps them: with uid, generation, resourceVersion
//! and status, and with what changed last.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use gitops::get::timestamp;
use gitops::{Object, ObjectId};
use serde_json::{Value, json};

use crate::changes::{Changes, locked};
use crate::spec::Labels;
use crate::volume::from_base64;
use crate::{Result, foreign};

/// Group, kind, namespace and name: versions are views of one object.
type Key = (String, String, String, String);

/// How many changes are kept for those who watch. Whoever saw less looks at everything again.
const HISTORY: usize = 1024;

/// All objects. Pods are the kubelet's, and are here as they were seen last.
pub(crate) struct Store {
    content: Mutex<Content>,
    /// Held from before the pods are looked at until they are seen here: an older look would take
    /// back what a newer one has told.
    looking: Mutex<()>,
    changes: Arc<Changes>,
}

#[derive(Default)]
struct Content {
    objects: BTreeMap<Key, Object>,
    /// By namespace and name.
    pods: BTreeMap<(String, String), Arc<Value>>,
    version: u64,
    history: VecDeque<Change>,
}

/// What changed with one version: an object came, became another one, or went.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) version: u64,
    pub(crate) before: Option<Arc<Value>>,
    pub(crate) after: Option<Arc<Value>>,
}

impl Store {
    /// A store with the namespaces that every cluster with Flux has.
    pub(crate) fn new(changes: Arc<Changes>) -> Result<Self> {
        let store = Self { content: Mutex::default(), looking: Mutex::default(), changes };
        for name in ["default", "flux-system", "kube-system"] {
            store.apply(&Object::from_value(json!({
                "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name},
            }))?)?;
        }
        Ok(store)
    }

    pub(crate) fn find(&self, id: &ObjectId) -> Option<Object> {
        locked(&self.content).objects.get(&key(id)).cloned()
    }

    /// All objects of a kind, by namespace and name.
    pub(crate) fn list(&self, group: &str, kind: &str) -> Vec<Object> {
        let content = locked(&self.content);
        let of_kind = |(key, _): &(&Key, &Object)| key.0 == group && key.1 == kind;
        content.objects.iter().filter(of_kind).map(|(_, object)| object.clone()).collect()
    }

    /// All objects but pods.
    pub(crate) fn all(&self) -> Vec<Object> {
        locked(&self.content).objects.values().cloned().collect()
    }

    /// All objects, the kubelet's `pods` of now among them, and the version that this is.
    pub(crate) fn snapshot(&self, pods: impl FnOnce() -> Vec<Value>) -> (u64, Vec<Value>) {
        let _turn = locked(&self.looking);
        let pods = pods();
        let mut content = locked(&self.content);
        content.see(pods);
        let objects = content.objects.values().map(|object| object.value().clone());
        let pods = content.pods.values().map(|pod| Value::clone(pod));
        (content.version, objects.chain(pods).collect())
    }

    /// What changed after a version, the kubelet's `pods` of now among it; none where that is no
    /// longer known.
    pub(crate) fn changes_since(
        &self,
        version: u64,
        pods: impl FnOnce() -> Vec<Value>,
    ) -> Option<Vec<Change>> {
        let _turn = locked(&self.looking);
        let pods = pods();
        let mut content = locked(&self.content);
        content.see(pods);
        let forgotten = content.history.front().map_or(content.version, |it| it.version - 1);
        let is_known = (forgotten..=content.version).contains(&version);
        let after = |change: &&Change| change.version > version;
        is_known.then(|| content.history.iter().filter(after).cloned().collect())
    }

    /// An object as it was given, without what the cluster itself added to its spec.
    pub(crate) fn find_applied(&self, id: &ObjectId) -> Option<Object> {
        let object = self.find(id)?;
        if object.kind() != "Service" || !has_own_address(object.value()) {
            return Some(object);
        }
        let mut value = object.into_value();
        value["spec"].as_object_mut()?.remove("clusterIP");
        Object::from_value(value).ok()
    }

    pub(crate) fn has_namespace(&self, name: &str) -> bool {
        let key = (String::new(), "Namespace".to_owned(), String::new(), name.to_owned());
        locked(&self.content).objects.contains_key(&key)
    }

    /// The data of a ConfigMap.
    pub(crate) fn config_map(&self, namespace: &str, name: &str) -> Option<Labels> {
        let key = (String::new(), "ConfigMap".to_owned(), namespace.to_owned(), name.to_owned());
        let content = locked(&self.content);
        let data = content.objects.get(&key)?.at("/data").cloned();
        Some(data.and_then(|data| serde_json::from_value(data).ok()).unwrap_or_default())
    }

    /// The data of a ConfigMap or a Secret, as bytes.
    pub(crate) fn data(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Option<BTreeMap<String, Vec<u8>>> {
        let key = (String::new(), kind.to_owned(), namespace.to_owned(), name.to_owned());
        let content = locked(&self.content);
        let object = content.objects.get(&key)?;
        let is_secret = kind == "Secret";
        // Of a Secret, what is given as text counts more.
        let fields = [("/data", is_secret), ("/binaryData", true), ("/stringData", false)];
        let mut data = BTreeMap::new();
        for (field, is_encoded) in fields {
            let values = object.at(field).and_then(Value::as_object);
            let texts =
                values.into_iter().flatten().filter_map(|(key, it)| Some((key, it.as_str()?)));
            data.extend(texts.map(|(key, text)| {
                let bytes = match is_encoded {
                    true => from_base64(text),
                    false => text.as_bytes().to_vec(),
                };
                (key.clone(), bytes)
            }));
        }
        Some(data)
    }

    /// Creates the object, or replaces all of it but its status and what the server itself had set.
    /// Says whether anything changed.
    pub(crate) fn apply(&self, desired: &Object) -> Result<bool> {
        let mut content = locked(&self.content);
        let key = key(&desired.id());
        let version = content.version + 1;
        let live = content.objects.get(&key);
        let next = Object::from_value(match live {
            None => created(desired.value().clone(), version),
            Some(live) => updated(desired.value().clone(), live.value()),
        })?;
        if live == Some(&next) {
            return Ok(false);
        }
        content.put(key, next)?;
        drop(content);
        self.changes.notify();
        Ok(true)
    }

    /// Changes an object where it is, as its controller does; nothing happens when it is gone.
    pub(crate) fn change(&self, id: &ObjectId, change: impl FnOnce(&mut Value)) -> Result<()> {
        let mut content = locked(&self.content);
        let Some(live) = content.objects.get(&key(id)) else {
            return Ok(());
        };
        let mut value = live.value().clone();
        change(&mut value);
        if value == *live.value() {
            return Ok(());
        }
        content.put(key(id), Object::from_value(value)?)?;
        drop(content);
        self.changes.notify();
        Ok(())
    }

    /// Lays a merge patch over the labels and annotations of an object, as somebody with kubectl
    /// might; returns the object, or why not.
    pub(crate) fn annotate(&self, id: &ObjectId, patch: &Value) -> Result<Value, String> {
        let mut answer = Err("not found".to_owned());
        let changed = self.change(id, |object| {
            let mut next = object.clone();
            answer = foreign::annotate(&mut next, patch).map(|()| {
                *object = next;
                object.clone()
            });
        });
        changed.map_err(|error| error.to_string())?;
        answer
    }

    /// Sets the status of an object.
    pub(crate) fn set_status(&self, id: &ObjectId, status: Value) -> Result<()> {
        self.change(id, |object| object["status"] = status)
    }

    /// Removes an object, and a namespace with all that is in it; says whether it was there.
    pub(crate) fn delete(&self, id: &ObjectId) -> bool {
        let is_gone = {
            let mut content = locked(&self.content);
            if id.kind == "Namespace" && id.group.is_empty() {
                let inside: Vec<Key> =
                    content.objects.keys().filter(|key| key.2 == id.name).cloned().collect();
                for key in inside {
                    content.remove(&key);
                }
            }
            content.remove(&key(id))
        };
        self.changes.notify();
        is_gone
    }
}

impl Content {
    fn put(&mut self, key: Key, object: Object) -> Result<()> {
        let value = Arc::new(self.versioned(object.into_value()));
        let before = self.objects.insert(key, Object::from_value(Value::clone(&value))?);
        self.note(before.map(|object| Arc::new(object.into_value())), Some(value));
        Ok(())
    }

    fn remove(&mut self, key: &Key) -> bool {
        let gone = self.objects.remove(key);
        let is_gone = gone.is_some();
        if let Some(object) = gone {
            let last = self.versioned(object.into_value());
            self.note(Some(Arc::new(last)), None);
        }
        is_gone
    }

    /// Takes the pods of now in the place of those that were seen before.
    fn see(&mut self, pods: Vec<Value>) {
        let mut gone = std::mem::take(&mut self.pods);
        for pod in pods {
            let text = |field: &str| pod["metadata"][field].as_str().unwrap_or_default().to_owned();
            let key = (text("namespace"), text("name"));
            let before = gone.remove(&key);
            let pod = match &before {
                Some(before) if is_same(before, &pod) => Arc::clone(before),
                _ => {
                    let pod = Arc::new(self.versioned(pod));
                    self.note(before, Some(Arc::clone(&pod)));
                    pod
                }
            };
            self.pods.insert(key, pod);
        }
        for pod in gone.into_values() {
            let last = self.versioned(Value::clone(&pod));
            self.note(Some(Arc::new(last)), None);
        }
    }

    /// The object with the next version.
    fn versioned(&mut self, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        object
    }

    fn note(&mut self, before: Option<Arc<Value>>, after: Option<Arc<Value>>) {
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(Change { version: self.version, before, after });
    }
}

/// Whether a pod is as it was seen: only the store gives it a version.
fn is_same(seen: &Value, pod: &Value) -> bool {
    let fields = |value: &Value, name: &str| value.get(name).cloned();
    let metadata = |value: &Value| {
        let mut metadata = value["metadata"].clone();
        metadata.as_object_mut().map(|it| it.remove("resourceVersion"));
        metadata
    };
    ["spec", "status"].iter().all(|name| fields(seen, name) == fields(pod, name))
        && metadata(seen) == metadata(pod)
}

fn key(id: &ObjectId) -> Key {
    (id.group.clone(), id.kind.clone(), id.namespace.clone(), id.name.clone())
}

fn created(mut object: Value, version: u64) -> Value {
    object["metadata"]["uid"] = uid(version).into();
    object["metadata"]["generation"] = 1.into();
    object["metadata"]["creationTimestamp"] = timestamp(SystemTime::now()).into();
    // What is applied says nothing of how it is: only controllers do.
    object.as_object_mut().and_then(|object| object.remove("status"));
    if object["kind"] == "Namespace" {
        object["status"] = json!({"phase": "Active"});
    }
    object
}

/// `desired` in the place of `live`: the server's own fields stay, and another spec is another
/// generation.
fn updated(mut desired: Value, live: &Value) -> Value {
    let address = has_own_address(live).then(|| &live["spec"]["clusterIP"]);
    if let (Some(address), Some(spec)) =
        (address, desired.get_mut("spec").and_then(Value::as_object_mut))
    {
        spec.entry("clusterIP").or_insert_with(|| address.clone());
    }
    let generation = live["metadata"]["generation"].as_u64().unwrap_or(1);
    let next = generation + u64::from(content_of(&desired) != content_of(live));
    for field in ["uid", "creationTimestamp", "resourceVersion"] {
        desired["metadata"][field] = live["metadata"][field].clone();
    }
    desired["metadata"]["generation"] = next.into();
    foreign::keep(&mut desired, live);
    match (live.get("status"), desired.as_object_mut()) {
        (Some(status), Some(desired)) => drop(desired.insert("status".to_owned(), status.clone())),
        (None, Some(desired)) => drop(desired.remove("status")),
        (_, None) => {}
    }
    desired
}

/// Whether a Service has an address that was given to it here: no other cluster gives loopback
/// addresses.
fn has_own_address(service: &Value) -> bool {
    let address = service.pointer("/spec/clusterIP").and_then(Value::as_str);
    address
        .and_then(|address| address.parse::<Ipv4Addr>().ok())
        .is_some_and(|address| address.is_loopback())
}

/// Everything but metadata and status.
fn content_of(object: &Value) -> Vec<(&String, &Value)> {
    let fields = object.as_object().into_iter().flatten();
    fields.filter(|(name, _)| !matches!(name.as_str(), "metadata" | "status")).collect()
}

/// A name for this very object, which its successors of the same name do not share.
fn uid(version: u64) -> String {
    format!("00000000-0000-4000-8000-{version:012x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> Store {
        Store::new(Arc::default()).unwrap()
    }

    fn object(replicas: u64, label: &str) -> Object {
        Object::from_value(json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "default", "labels": {"l": label}},
            "spec": {"replicas": replicas},
        }))
        .unwrap()
    }

    #[test]
    fn only_another_spec_is_another_generation() {
        let store = store();
        let id = object(1, "a").id();
        let generation = || store.find(&id).unwrap().at("/metadata/generation").unwrap().clone();
        assert!(store.apply(&object(1, "a")).unwrap());
        assert!(!store.apply(&object(1, "a")).unwrap());
        store.set_status(&id, json!({"replicas": 1})).unwrap();
        assert!(store.apply(&object(1, "b")).unwrap());
        assert_eq!(generation(), 1);
        assert!(store.apply(&object(2, "b")).unwrap());
        assert_eq!(generation(), 2);
        assert_eq!(store.find(&id).unwrap().at("/status/replicas"), Some(&json!(1)));
    }

    #[test]
    fn what_changed_is_known_for_a_while() {
        let store = store();
        let (before, _) = store.snapshot(Vec::new);
        store.apply(&object(1, "a")).unwrap();
        let pod = |phase: &str| {
            vec![json!({"kind": "Pod", "metadata": {"name": "p"}, "status": {"phase": phase}})]
        };
        let told = |version: u64, pods: Vec<Value>| -> Vec<String> {
            let changes = store.changes_since(version, || pods).expect("it is known");
            let word = |change: &Change| match (&change.before, &change.after) {
                (None, Some(it)) => format!("+{}", it["kind"]),
                (Some(_), Some(it)) => format!("~{}", it["kind"]),
                (Some(it), _) => format!("-{}", it["kind"]),
                (None, None) => "nothing".to_owned(),
            };
            changes.iter().map(word).collect()
        };
        let (deployment, pod_kind) = (r#""Deployment""#, r#""Pod""#);
        let expected = [format!("+{deployment}"), format!("+{pod_kind}")];
        assert_eq!(told(before, pod("Pending")), expected);
        let (seen, objects) = store.snapshot(|| pod("Pending"));
        assert_eq!(objects.last().unwrap()["metadata"]["resourceVersion"], seen.to_string());
        assert_eq!(told(seen, pod("Pending")), [""; 0]);
        assert_eq!(told(seen, pod("Running")), [format!("~{pod_kind}")]);
        store.delete(&object(1, "a").id());
        let all = [format!("~{pod_kind}"), format!("-{deployment}"), format!("-{pod_kind}")];
        assert_eq!(told(seen, Vec::new()), all);
        for n in 0..HISTORY as u64 {
            store.apply(&object(n + 2, "a")).unwrap();
        }
        assert!(store.changes_since(seen, Vec::new).is_none());
        assert!(store.changes_since(u64::MAX, Vec::new).is_none());
    }

    #[test]
    fn the_status_of_a_manifest_is_dropped() {
        let store = store();
        let mut given = object(1, "a");
        given.set_status(json!({"replicas": 7}));
        for _ in 0..2 {
            store.apply(&given).unwrap();
            assert_eq!(store.find(&given.id()).unwrap().at("/status"), None);
        }
        store.set_status(&given.id(), json!({"replicas": 1})).unwrap();
        assert!(!store.apply(&given).unwrap());
        assert_eq!(store.find(&given.id()).unwrap().at("/status/replicas"), Some(&json!(1)));
    }

    #[test]
    fn a_successor_of_the_same_name_has_another_uid() {
        let store = store();
        let uid = || store.list("apps", "Deployment")[0].at("/metadata/uid").unwrap().clone();
        store.apply(&object(1, "a")).unwrap();
        let first = uid();
        assert!(store.delete(&object(1, "a").id()));
        assert!(!store.delete(&object(1, "a").id()));
        store.apply(&object(1, "a")).unwrap();
        assert_ne!(uid(), first);
    }

    #[test]
    fn an_address_that_the_server_gave_stays() {
        let store = store();
        let service = |spec: Value| {
            Object::from_value(json!({
                "apiVersion": "v1", "kind": "Service",
                "metadata": {"name": "web", "namespace": "default"}, "spec": spec,
            }))
            .unwrap()
        };
        store.apply(&service(json!({"ports": []}))).unwrap();
        let id = service(json!({})).id();
        store.change(&id, |object| object["spec"]["clusterIP"] = "127.1.128.1".into()).unwrap();
        store.apply(&service(json!({"ports": [{"port": 80}]}))).unwrap();
        let live = store.find(&id).unwrap();
        assert_eq!(live.at("/spec/clusterIP"), Some(&json!("127.1.128.1")));
        assert_eq!(live.at("/spec/ports/0/port"), Some(&json!(80)));
        let applied = store.find_applied(&id).unwrap();
        assert_eq!(applied.at("/spec"), Some(&json!({"ports": [{"port": 80}]})));
    }
}
