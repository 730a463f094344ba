//! The Kubernetes API as `kubectl`, `flux` and `kit-rs gitops get` ask for it: lists, tables,
//! watches, selectors, logs, and labels and annotations that are set by hand. It changes nothing
//! else but by `DELETE`, since Git says what runs; whoever asks for more is told so.
//!
//! Source: <https://kubernetes.io/docs/reference/using-api/api-concepts/>.

mod form;
mod logs;
mod query;
mod remove;
mod table;
mod watch;

use std::sync::{Arc, Mutex};

use gitops::ObjectId;
use serde_json::{Value, json};

use self::form::Form;
use self::logs::Reading;
use self::query::Query;
use self::watch::Watch;
use crate::changes::{Changes, locked};
use crate::discovery::{self, Resource};
use crate::http::{Answer, Request};
use crate::kubelet::Kubelet;
use crate::node;
use crate::service::Services;
use crate::store::Store;

/// Answers from the store and the kubelet.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) store: Arc<Store>,
    pub(crate) kubelet: Arc<Kubelet>,
    pub(crate) services: Arc<Mutex<Services>>,
    pub(crate) changes: Arc<Changes>,
}

/// What is at a path.
#[derive(Debug, PartialEq)]
struct Place<'a> {
    group: &'a str,
    version: &'a str,
    /// None where it is not said; the empty one is that of objects without one.
    namespace: Option<&'a str>,
    plural: &'a str,
    name: Option<&'a str>,
    /// `log`, `status`, …
    sub: Option<&'a str>,
}

impl Api {
    pub(crate) fn answer(&self, request: &Request) -> Answer {
        match self.answered(request) {
            Ok(answer) | Err(answer) => answer,
        }
    }

    fn answered(&self, request: &Request) -> Result<Answer, Answer> {
        let query = Query::parse(&request.query).map_err(|why| failure(400, "BadRequest", &why))?;
        let parts: Vec<_> = request.path.trim_matches('/').split('/').collect();
        match (request.method.as_str(), &parts[..]) {
            ("GET", ["version"]) => return Ok(document(&version())),
            ("GET", ["livez" | "readyz" | "healthz"]) => {
                return Ok(Answer::Whole(200, "text/plain", "ok".to_owned()));
            }
            ("GET", ["api"]) => return Ok(document(&discovery::core_versions())),
            ("GET", ["apis"]) => return Ok(document(&discovery::groups(&self.resources()))),
            ("GET", ["api", "v1"]) => {
                return Ok(document(&discovery::list(&self.resources(), "", "v1")));
            }
            ("GET", ["apis", group, version]) => {
                return Ok(document(&discovery::list(&self.resources(), group, version)));
            }
            _ => {}
        }
        let place = Place::parse(&parts).ok_or_else(|| not_found(&request.path))?;
        match (request.method.as_str(), place.sub) {
            ("GET", Some("log")) if place.plural == "pods" => self.log(&place, &query),
            (_, Some("portforward")) => {
                let why = "pods have addresses of this machine here: `kit-rs gitops port-forward`";
                Err(failure(501, "NotImplemented", why))
            }
            (_, Some("exec" | "attach")) => {
                let why =
                    "pods are processes of this machine here: their pids are in `containerID`";
                Err(failure(501, "NotImplemented", why))
            }
            (method, Some(sub)) if method == "GET" || place.name.is_none() => {
                Err(not_found(&format!("{}/{sub}", place.plural)))
            }
            ("GET", None) => self.read(&place, query, request),
            ("DELETE", None) => self.remove(&place, &request.body),
            ("PATCH", None) => self.patch(&place, request),
            _ => Err(failure(405, "MethodNotAllowed", "what runs is said in Git, and not here")),
        }
    }

    /// One object, a list of them, or what changes of it.
    fn read(&self, place: &Place<'_>, query: Query, request: &Request) -> Result<Answer, Answer> {
        let resource = self.resource(place)?;
        if let Some(path) = query.fields.unknown(&resource) {
            let why = format!("field label not supported: {path}");
            return Err(failure(400, "BadRequest", &why));
        }
        let form = Form::accepted(&request.accept).ok_or_else(|| {
            let why = "only JSON is spoken here, as objects, their metadata, or a table";
            failure(406, "NotAcceptable", why)
        })?;
        if resource.kind == "Service" {
            // Whoever learns where a Service is finds its proxies there, with the pods of now.
            let _ = locked(&self.services).sync();
        }
        if query.watch {
            if place.name.is_some() {
                let why = "lists are watched; metadata.name selects one object of it";
                return Err(failure(400, "BadRequest", why));
            }
            let namespace = place.namespace.map(str::to_owned);
            let watch = Watch { resource, namespace, query, form };
            let api = self.clone();
            return Ok(Answer::Flow(JSON, Box::new(move |sink| watch.run(&api, sink))));
        }
        let (version, mut objects) = self.store.snapshot(|| self.pods());
        objects.retain(|it| resource.has(it) && in_namespace(it, place.namespace));
        let Some(name) = place.name else {
            objects.retain(|object| query.selects(object));
            return Ok(document(&form.list(&resource, &objects, &query, Some(version))));
        };
        objects.retain(|object| object["metadata"]["name"] == name);
        match (objects.pop(), form) {
            (None, _) => Err(absent(&resource, name)),
            (Some(object), Form::Table) => {
                Ok(document(&form.list(&resource, &[object], &query, None)))
            }
            (Some(object), _) => Ok(document(&form.one(object))),
        }
    }

    /// Lays a merge patch over the labels and annotations of an object.
    fn patch(&self, place: &Place<'_>, request: &Request) -> Result<Answer, Answer> {
        let id = self.named(place)?;
        let media_type = request.content_type.split(';').next().unwrap_or_default().trim();
        if !["application/merge-patch+json", "application/strategic-merge-patch+json"]
            .contains(&media_type)
        {
            let why = format!(
                "Git says what runs: of patches only merge patches are taken, and no {media_type}"
            );
            return Err(failure(415, "UnsupportedMediaType", &why));
        }
        if self.store.find(&id).is_none() {
            return Err(not_found(&format!("{} \"{}\"", place.plural, id.name)));
        }
        let patch = serde_json::from_str(&request.body)
            .map_err(|error| failure(400, "BadRequest", &format!("no merge patch: {error}")))?;
        let patched = self.store.annotate(&id, &patch);
        let patched = patched
            .map_err(|why| failure(405, "MethodNotAllowed", &format!("Git says what runs: {why}")));
        Ok(document(&patched?))
    }

    /// The one object that a path means, there or not.
    fn named(&self, place: &Place<'_>) -> Result<ObjectId, Answer> {
        let Some(name) = place.name else {
            let why = "one object at a time is changed here";
            return Err(failure(405, "MethodNotAllowed", why));
        };
        Ok(ObjectId {
            group: place.group.to_owned(),
            version: place.version.to_owned(),
            kind: self.resource(place)?.kind,
            namespace: place.namespace.unwrap_or_default().to_owned(),
            name: name.to_owned(),
        })
    }

    fn log(&self, place: &Place<'_>, query: &Query) -> Result<Answer, Answer> {
        let (namespace, name) =
            (place.namespace.unwrap_or_default(), place.name.unwrap_or_default());
        let absent = || not_found(&format!("pods \"{name}\""));
        let pod = self.kubelet.find(namespace, name).ok_or_else(absent)?;
        let log = self
            .kubelet
            .log_of(&pod, query.container.as_deref(), query.previous)
            .map_err(|why| failure(400, "BadRequest", &why))?;
        let reading = Reading::new(log, pod, query)
            .map_err(|why| failure(500, "InternalError", &why.to_string()))?;
        Ok(Answer::Flow("text/plain", Box::new(move |sink| reading.write(sink))))
    }

    fn resource(&self, place: &Place<'_>) -> Result<Resource, Answer> {
        let resources = self.resources();
        let mut found =
            resources.into_iter().filter(|it| it.is(place.group, place.version, place.plural));
        found.next().ok_or_else(|| not_found("the requested resource"))
    }

    fn resources(&self) -> Vec<Resource> {
        discovery::resources(&self.store.all())
    }

    /// The pods of now.
    fn pods(&self) -> Vec<Value> {
        self.kubelet.pods().iter().map(|pod| pod.object()).collect()
    }
}

impl<'a> Place<'a> {
    fn parse(parts: &[&'a str]) -> Option<Self> {
        let (group, version, rest) = match *parts {
            ["api", version, ref rest @ ..] => ("", version, rest),
            ["apis", group, version, ref rest @ ..] => (group, version, rest),
            _ => return None,
        };
        let of = |namespace, plural, name, sub| {
            Some(Self { group, version, namespace, plural, name, sub })
        };
        match *rest {
            ["namespaces", namespace, plural] if plural != "status" => {
                of(Some(namespace), plural, None, None)
            }
            ["namespaces", namespace, plural, name] => {
                of(Some(namespace), plural, Some(name), None)
            }
            ["namespaces", namespace, plural, name, sub] => {
                of(Some(namespace), plural, Some(name), Some(sub))
            }
            [plural] => of(None, plural, None, None),
            // Objects without a namespace.
            [plural, name] => of(Some(""), plural, Some(name), None),
            [plural, name, sub] => of(Some(""), plural, Some(name), Some(sub)),
            _ => None,
        }
    }
}

fn version() -> Value {
    json!({
        "major": "1",
        "minor": "36",
        "gitVersion": node::VERSION,
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}

fn in_namespace(object: &Value, namespace: Option<&str>) -> bool {
    namespace
        .is_none_or(|wanted| object["metadata"]["namespace"].as_str().unwrap_or_default() == wanted)
}

const JSON: &str = "application/json";

fn document(value: &Value) -> Answer {
    Answer::Whole(200, JSON, value.to_string())
}

fn absent(resource: &Resource, name: &str) -> Answer {
    not_found(&format!("{} \"{name}\"", resource.qualified()))
}

fn not_found(what: &str) -> Answer {
    failure(404, "NotFound", &format!("{what} not found"))
}

fn failure(code: u16, reason: &str, message: &str) -> Answer {
    Answer::Whole(code, JSON, failed(code, reason, message).to_string())
}

/// The Status of what failed.
fn failed(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    })
}
