//! Events as objects, which `kubectl get events` shows: the same again is counted, and of each
//! object the newest are kept.

use std::time::{Duration, SystemTime};

use gitops::get::{parse_timestamp, timestamp};
use gitops::{Object, ObjectId};
use serde_json::{Value, json};

use crate::Result;
use crate::pod::Pod;
use crate::spec::Metadata;
use crate::store::Store;

/// How many different ones are kept of an object, and for how long, as in a real cluster.
const KEPT: usize = 30;
const LIFETIME: Duration = Duration::from_secs(3600);

/// One event: `Normal` or `Warning`, why in a word, and what happened.
pub(crate) struct Notice<'a> {
    pub(crate) kind: &'static str,
    pub(crate) reason: &'a str,
    pub(crate) message: &'a str,
}

/// Records what the kubelet tells of a pod.
pub(crate) fn of_pod(store: &Store, pod: &Pod, notice: &Notice<'_>) -> Result<()> {
    let Metadata { name, namespace, uid, .. } = &pod.metadata;
    let about = Object::from_value(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "uid": uid},
    }))?;
    record(store, "kubelet", &about, notice)
}

/// Records what the kustomize-controller tells.
pub(crate) fn of_kustomization(
    store: &Store,
    about: &Object,
    notice: &gitops::reconcile::Notice,
) -> Result<()> {
    let kind = if notice.is_warning { "Warning" } else { "Normal" };
    let notice = Notice { kind, reason: notice.reason, message: &notice.message };
    record(store, "kustomize-controller", about, &notice)
}

/// Records that something happened to an object.
pub(crate) fn record(
    store: &Store,
    component: &str,
    about: &Object,
    notice: &Notice<'_>,
) -> Result<()> {
    let now = SystemTime::now();
    let uid = about.at("/metadata/uid").cloned().unwrap_or_default();
    let mut of_it = store.list("", "Event");
    for old in of_it.iter().filter(|it| is_over(it.value(), now)) {
        store.delete(&old.id());
    }
    let now = timestamp(now);
    of_it.retain(|it| it.at("/involvedObject/uid") == Some(&uid));
    let same = of_it.iter().find(|it| {
        let is = |field: &str, text: &str| it.value()[field] == text;
        is("type", notice.kind) && is("reason", notice.reason) && is("message", notice.message)
    });
    if let Some(same) = same {
        return store.change(&same.id(), |event| {
            event["count"] = (event["count"].as_u64().unwrap_or(1) + 1).into();
            event["lastTimestamp"] = now.into();
        });
    }
    of_it.sort_by_key(|it| number(it.value()));
    let too_many = (of_it.len() + 1).saturating_sub(KEPT);
    for old in of_it.iter().take(too_many) {
        store.delete(&old.id());
    }
    let next = of_it.last().map_or(0, |it| number(it.value()) + 1);
    let ObjectId { name, namespace, .. } = about.id();
    // Those of the whole cluster stand in `default`, as in a real one.
    let place = if namespace.is_empty() { "default".to_owned() } else { namespace.clone() };
    let event = Object::from_value(json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": format!("{name}.{}.{next:x}", short(&uid)), "namespace": place},
        "involvedObject": {
            "apiVersion": about.value()["apiVersion"], "kind": about.kind(), "name": name,
            "namespace": namespace, "uid": uid,
        },
        "type": notice.kind,
        "reason": notice.reason,
        "message": notice.message,
        "count": 1,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "source": {"component": component},
        "reportingComponent": component,
        "reportingInstance": "",
    }))?;
    store.apply(&event).map(drop)
}

/// Whether it was told for the last time too long ago.
fn is_over(event: &Value, now: SystemTime) -> bool {
    let told = event["lastTimestamp"].as_str().and_then(parse_timestamp);
    told.and_then(|told| now.duration_since(told).ok()).is_some_and(|since| since > LIFETIME)
}

/// Which event of its object it is, by its name.
fn number(event: &Value) -> u64 {
    let name = event["metadata"]["name"].as_str().unwrap_or_default();
    let last = name.rsplit('.').next().unwrap_or_default();
    u64::from_str_radix(last, 16).unwrap_or(0)
}

/// The end of a uid, which tells an object from its predecessors of the same name.
fn short(uid: &Value) -> String {
    let uid = uid.as_str().unwrap_or_default();
    uid.rsplit('-').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn told(store: &Store) -> Vec<String> {
        let line = |it: &Object| {
            let it = it.value();
            format!("{} {} {}x{}", it["type"], it["reason"], it["message"], it["count"])
        };
        store.list("", "Event").iter().map(line).collect()
    }

    #[test]
    fn an_event_lives_for_an_hour() {
        let event = json!({"lastTimestamp": "2026-01-01T00:00:00Z"});
        let after = |seconds| {
            parse_timestamp("2026-01-01T00:00:00Z").unwrap() + Duration::from_secs(seconds)
        };
        assert!(!is_over(&event, after(3600)));
        assert!(is_over(&event, after(3601)));
    }

    #[test]
    fn the_same_again_is_counted_and_the_oldest_go() {
        let store = Store::new(Arc::default()).unwrap();
        let about = store.list("", "Namespace")[0].clone();
        let say = |message: &str| {
            let notice = Notice { kind: "Normal", reason: "Told", message };
            record(&store, "test", &about, &notice).unwrap();
        };
        say("one");
        say("one");
        say("two");
        assert_eq!(told(&store), [r#""Normal" "Told" "one"x2"#, r#""Normal" "Told" "two"x1"#]);
        for n in 0..2 * KEPT {
            say(&n.to_string());
        }
        let told = told(&store);
        assert_eq!(told.len(), KEPT);
        assert!(told.iter().any(|it| it.contains(&format!("\"{}\"", 2 * KEPT - 1))), "{told:?}");
        assert!(!told.iter().any(|it| it.contains("one")), "{told:?}");
    }
}
