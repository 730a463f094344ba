//! The paths and documents of the Kubernetes API, for `kit-rs gitops get` and for kubectl's `get`,
//! `logs`, `annotate`, `label` and `delete --wait=false`. It knows no watch, no selectors, no tables
//! and no other way to change anything, since Git says what runs; whoever asks for them is told so.

use std::sync::{Arc, Mutex};

use gitops::{Object, ObjectId};
use serde_json::{Value, json};

use crate::changes::locked;
use crate::discovery::{self, Resource};
use crate::http::Answer;
use crate::kubelet::Kubelet;
use crate::pod::Stop;
use crate::service::Services;
use crate::store::Store;

/// Answers from the store and the kubelet.
pub(crate) struct Api {
    pub(crate) store: Arc<Store>,
    pub(crate) kubelet: Arc<Kubelet>,
    pub(crate) services: Arc<Mutex<Services>>,
}

impl Api {
    /// The answer to `GET target`, `DELETE target`, or `PATCH target` with a body.
    pub(crate) fn answer(&self, method: &str, target: &str, body: &str) -> Answer {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if let Some(unknown) = unknown_parameter(query) {
            return failure(400, "BadRequest", &format!("this stand-in knows no {unknown}"));
        }
        let parts: Vec<_> = path.trim_matches('/').split('/').collect();
        match parts[..] {
            _ if method == "DELETE" => self.remove(&parts),
            _ if method == "PATCH" => self.patch(&parts, body),
            ["version"] => document(version()),
            ["livez" | "readyz" | "healthz"] => (200, "text/plain", "ok".to_owned()),
            ["api"] => document(discovery::core_versions()),
            ["apis"] => document(discovery::groups(&self.resources())),
            ["api", "v1"] => document(discovery::list(&self.resources(), "", "v1")),
            ["apis", group, version] => {
                document(discovery::list(&self.resources(), group, version))
            }
            ["api", "v1", "namespaces", namespace, "pods", name, "log"] => {
                self.log(namespace, name, query)
            }
            ["api", "v1", ref rest @ ..] => self.resource("", "v1", rest),
            ["apis", group, version, ref rest @ ..] => self.resource(group, version, rest),
            _ => not_found(path),
        }
    }

    fn resource(&self, group: &str, version: &str, rest: &[&str]) -> Answer {
        let (namespace, plural, name) = match *rest {
            ["namespaces", namespace, plural] => (Some(namespace), plural, None),
            ["namespaces", namespace, plural, name] => (Some(namespace), plural, Some(name)),
            [plural] => (None, plural, None),
            // Objects without a namespace.
            [plural, name] => (Some(""), plural, Some(name)),
            _ => return not_found(&rest.join("/")),
        };
        let resources = self.resources();
        let Some(resource) = resources.iter().find(|resource| resource.is(group, version, plural))
        else {
            return not_found("the requested resource");
        };
        if resource.kind == "Service" {
            // Whoever learns where a Service is finds its proxies there, with the pods of now.
            let _ = locked(&self.services).sync();
        }
        let mut items = self.objects();
        items.retain(|object| resource.has(object) && in_namespace(object, namespace));
        match name {
            None => document(self.list(resource, items)),
            Some(name) => match items.into_iter().find(|object| object["metadata"]["name"] == name)
            {
                Some(object) => document(object),
                None => not_found(&format!("{plural} \"{name}\"")),
            },
        }
    }

    /// Removes the object at a path, behind Flux' back.
    fn remove(&self, parts: &[&str]) -> Answer {
        match self.place(parts) {
            Err(answer) => answer,
            Ok(id) if self.delete(&id) => {
                document(json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}))
            }
            Ok(id) => not_found(&id.to_string()),
        }
    }

    /// Lays a merge patch over the labels and annotations of the object at a path.
    fn patch(&self, parts: &[&str], body: &str) -> Answer {
        let id = match self.place(parts) {
            Ok(id) => id,
            Err(answer) => return answer,
        };
        if self.store.find(&id).is_none() {
            return not_found(&id.to_string());
        }
        let patch = match serde_json::from_str(body) {
            Ok(patch) => patch,
            Err(error) => return failure(400, "BadRequest", &format!("no merge patch: {error}")),
        };
        match self.store.annotate(&id, &patch) {
            Ok(object) => document(object),
            Err(why) => failure(405, "MethodNotAllowed", &format!("Git says what runs: {why}")),
        }
    }

    /// Which object is at a path, there or not.
    fn place(&self, parts: &[&str]) -> Result<ObjectId, Answer> {
        let (group, version, rest) = match *parts {
            ["api", version, ref rest @ ..] => ("", version, rest),
            ["apis", group, version, ref rest @ ..] => (group, version, rest),
            _ => return Err(not_found(&parts.join("/"))),
        };
        let (namespace, plural, name) = match *rest {
            ["namespaces", namespace, plural, name] => (namespace, plural, name),
            [plural, name] => ("", plural, name),
            _ => {
                let why = "one object at a time is changed here";
                return Err(failure(405, "MethodNotAllowed", why));
            }
        };
        let resources = self.resources();
        let known = resources.iter().find(|resource| resource.is(group, version, plural));
        let known = known.ok_or_else(|| not_found(&format!("{plural} \"{name}\"")))?;
        Ok(ObjectId {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: known.kind.clone(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }

    /// Removes an object, as somebody with kubectl might; says whether it was there.
    pub(crate) fn delete(&self, id: &ObjectId) -> bool {
        match id.kind.as_str() {
            "Pod" => self.kubelet.find(&id.namespace, &id.name).is_some_and(|pod| {
                pod.stop(Stop::Drain);
                true
            }),
            _ => self.store.delete(id),
        }
    }

    fn resources(&self) -> Vec<Resource> {
        discovery::resources(&self.store.all())
    }

    fn objects(&self) -> Vec<Value> {
        let stored = self.store.all().into_iter().map(Object::into_value);
        stored.chain(self.kubelet.pods().iter().map(|pod| pod.object())).collect()
    }

    fn list(&self, resource: &Resource, items: Vec<Value>) -> Value {
        json!({
            "kind": format!("{}List", resource.kind),
            "apiVersion": resource.api_version(),
            "metadata": {"resourceVersion": self.store.version().to_string()},
            "items": items,
        })
    }

    fn log(&self, namespace: &str, name: &str, query: &str) -> Answer {
        let container = query.split('&').find_map(|pair| pair.strip_prefix("container="));
        match self.kubelet.log_of(namespace, name, container) {
            Some(log) => (200, "text/plain", log),
            None => not_found(&format!("pods \"{name}\"")),
        }
    }
}

fn version() -> Value {
    json!({
        "major": "1",
        "minor": "36",
        "gitVersion": concat!("v1.36.0-kit-rs.", env!("CARGO_PKG_VERSION")),
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}

fn in_namespace(object: &Value, namespace: Option<&str>) -> bool {
    namespace
        .is_none_or(|wanted| object["metadata"]["namespace"].as_str().unwrap_or_default() == wanted)
}

/// A parameter that would change the answer, and that is not heeded here. Lists are short, so that
/// `limit` needs no heed.
fn unknown_parameter(query: &str) -> Option<&str> {
    let names = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .filter(|(_, value)| !value.is_empty());
    names.map(|(name, _)| name).find(|name| {
        ["watch", "labelSelector", "fieldSelector", "continue", "follow"].contains(name)
    })
}

fn document(value: Value) -> Answer {
    (200, "application/json", value.to_string())
}

fn not_found(what: &str) -> Answer {
    failure(404, "NotFound", &format!("{what} not found"))
}

fn failure(code: u16, reason: &str, message: &str) -> Answer {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "message": message, "reason": reason, "code": code,
    });
    (code, "application/json", status.to_string())
}
