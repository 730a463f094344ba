//! What a request asks for beside its path: which objects, from when on, and in what form.

use std::time::Duration;

use gitops::selector::Selector;
use serde_json::Value;
use url::form_urlencoded;

use crate::discovery::Resource;

/// Parameters that would change the answer, and that are not heeded here. Lists are whole, so that
/// `limit` needs no heed.
const UNHEEDED: [&str; 7] = [
    "continue",
    "dryRun",
    "gracePeriodSeconds",
    "sinceSeconds",
    "sinceTime",
    "stream",
    "timestamps",
];

/// The parameters of a request.
#[derive(Debug, Default)]
pub(super) struct Query {
    pub(super) watch: bool,
    /// The version that a watch begins after; none: it begins with all that is there.
    pub(super) version: Option<u64>,
    /// A watch says first what is there, and then that this was all.
    pub(super) initial: bool,
    pub(super) bookmarks: bool,
    pub(super) timeout: Option<Duration>,
    pub(super) labels: Selector,
    pub(super) fields: Fields,
    /// How much of each object goes into the rows of a table: `None`, `Metadata` or `Object`.
    pub(super) include: String,
    pub(super) container: Option<String>,
    /// The log of the run before.
    pub(super) previous: bool,
    pub(super) follow: bool,
    /// Only so many of the last lines, and not more than so many bytes.
    pub(super) tail: Option<usize>,
    pub(super) limit: Option<u64>,
}

impl Query {
    /// Reads what stands behind the `?`; the error is what the client is told.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut query = Self { include: "Metadata".to_owned(), ..Self::default() };
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            let (name, value) = (&*name, &*value);
            let is_true = !["false", "0"].contains(&value);
            if value.is_empty() {
                continue;
            }
            match name {
                "watch" => query.watch = is_true,
                "follow" => query.follow = is_true,
                "sendInitialEvents" => query.initial = is_true,
                "allowWatchBookmarks" => query.bookmarks = is_true,
                "previous" => query.previous = is_true,
                "timestamps" if !is_true => {}
                "resourceVersion" => query.version = Some(number(name, value)?),
                "timeoutSeconds" => {
                    query.timeout = Some(Duration::from_secs(number(name, value)?));
                }
                "labelSelector" => query.labels = Selector::parse(value)?,
                "fieldSelector" => query.fields = Fields::parse(value)?,
                "includeObject" => value.clone_into(&mut query.include),
                "container" => query.container = Some(value.to_owned()),
                "tailLines" => query.tail = Some(number(name, value)?),
                "limitBytes" => query.limit = Some(number(name, value)?),
                "stream" if value == "All" => {}
                _ if UNHEEDED.contains(&name) => {
                    return Err(format!("this stand-in knows no {name}"));
                }
                "resourceVersionMatch" if value == "Exact" => {
                    return Err("this stand-in knows no former versions".to_owned());
                }
                _ => {}
            }
        }
        query.version = query.version.filter(|version| *version > 0 && !query.initial);
        Ok(query)
    }

    /// Whether an object is among those that are asked for.
    pub(super) fn selects(&self, object: &Value) -> bool {
        self.labels.matches(object.pointer("/metadata/labels")) && self.fields.hold(object)
    }
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{name}: {value:?} is no number"))
}

/// A field selector: `metadata.name=a,status.phase!=Running`.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<(String, bool, String)>);

impl Fields {
    fn parse(text: &str) -> Result<Self, String> {
        let parts = text.split(',').filter(|part| !part.is_empty());
        let term = |part: &str| {
            let (path, is_equal, value) = match (part.split_once("!="), part.split_once('=')) {
                (Some((path, value)), _) => (path, false, value),
                (None, Some((path, value))) => (path, true, value.trim_start_matches('=')),
                (None, None) => return Err(format!("invalid field selector: {part:?}")),
            };
            Ok((path.trim().to_owned(), is_equal, value.trim().to_owned()))
        };
        parts.map(term).collect::<Result<_, _>>().map(Self)
    }

    /// The first field by which objects of a kind cannot be selected.
    pub(super) fn unknown(&self, resource: &Resource) -> Option<&str> {
        let more: &[&str] = match resource.kind.as_str() {
            "Pod" => &[
                "spec.nodeName",
                "spec.restartPolicy",
                "spec.schedulerName",
                "spec.serviceAccountName",
                "spec.hostNetwork",
                "status.phase",
                "status.podIP",
                "status.nominatedNodeName",
            ],
            "Event" => &[
                "involvedObject.kind",
                "involvedObject.namespace",
                "involvedObject.name",
                "involvedObject.uid",
                "involvedObject.apiVersion",
                "involvedObject.resourceVersion",
                "involvedObject.fieldPath",
                "reason",
                "reportingComponent",
                "source",
                "type",
            ],
            "Secret" => &["type"],
            "Namespace" => &["status.phase"],
            "Node" => &["spec.unschedulable"],
            _ => &[],
        };
        let is_known = |path: &str| {
            ["metadata.name", "metadata.namespace"].contains(&path) || more.contains(&path)
        };
        self.0.iter().map(|(path, ..)| path.as_str()).find(|path| !is_known(path))
    }

    fn hold(&self, object: &Value) -> bool {
        self.0.iter().all(|(path, is_equal, value)| {
            let path = if path == "source" { "source.component" } else { path };
            let found = path.split('.').try_fold(object, |it, field| it.get(field));
            let found = match found {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Bool(truth)) => truth.to_string(),
                _ => String::new(),
            };
            (found == *value) == *is_equal
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_asked_for_is_heeded_or_refused() {
        let query = Query::parse(
            "watch=true&labelSelector=app%3Dweb&fieldSelector=metadata.name%3Dp%2Cstatus.phase!%3DFailed\
             &resourceVersion=7&timeoutSeconds=9&limit=500&follow=false&previous=false&continue=\
             &container=false",
        )
        .unwrap();
        assert!(!query.previous && Query::parse("previous=true").unwrap().previous);
        assert_eq!(query.container.as_deref(), Some("false"));
        assert!(query.watch && !query.follow && query.version == Some(7));
        assert_eq!(query.timeout, Some(Duration::from_secs(9)));
        let pod = |name: &str, phase: &str| json!({"metadata": {"name": name, "labels": {"app": "web"}}, "status": {"phase": phase}});
        assert!(query.selects(&pod("p", "Running")));
        assert!(!query.selects(&pod("p", "Failed")));
        assert!(!query.selects(&pod("q", "Running")));
        for bad in ["sinceSeconds=5", "dryRun=All", "resourceVersion=x", "labelSelector=a+b"] {
            assert!(Query::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Query::parse("resourceVersion=0").unwrap().version, None);
    }
}
