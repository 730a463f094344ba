//! Labels and annotations that somebody with kubectl has set on a live object: they stay when the
//! object is applied anew, and `managedFields` says whose they are, as after a server-side apply.

use serde_json::{Map, Value, json};

/// Whoever sets them here.
const MANAGER: &str = "kubectl";
const MAPS: [&str; 2] = ["labels", "annotations"];

/// Lays a merge patch over an object's labels and annotations; says what else it would change.
/// Source: RFC 7386.
pub(crate) fn annotate(object: &mut Value, patch: &Value) -> Result<(), String> {
    let fields = patch.as_object().ok_or("a merge patch is an object")?;
    let metadata = patch["metadata"].as_object();
    // Clients name what they mean, and ask for the version that they have seen.
    let same = |field: &str, value: &Value| value == &object["metadata"][field];
    let other = fields.keys().find(|key| *key != "metadata").or_else(|| {
        let known =
            |(key, value): &(&String, &Value)| !MAPS.contains(&key.as_str()) && !same(key, value);
        metadata.into_iter().flatten().find(known).map(|(key, _)| key)
    });
    if let Some(other) = other {
        return Err(format!("`{other}`: only labels and annotations are changed here"));
    }
    for map in MAPS {
        let asked = &patch["metadata"][map];
        for (key, value) in asked.as_object().into_iter().flatten() {
            match value {
                Value::Null => remove(&mut object["metadata"][map], key),
                Value::String(_) => object["metadata"][map][key] = value.clone(),
                _ => return Err(format!("`{key}` is no text")),
            }
            note(object, map, key, !value.is_null());
        }
    }
    Ok(())
}

/// What was set on `live` stays on `desired`, but for what is desired itself.
pub(crate) fn keep(desired: &mut Value, live: &Value) {
    for map in MAPS {
        for key in keys(live, map) {
            if desired["metadata"][map].get(&key).is_none() {
                desired["metadata"][map][&key] = live["metadata"][map][&key].clone();
                note(desired, map, &key, true);
            }
        }
    }
}

/// The keys of a map that somebody else has set.
fn keys(object: &Value, map: &str) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    let owned = entries.filter(|it| it["manager"] == MANAGER);
    let owned = owned.filter_map(|it| it["fieldsV1"]["f:metadata"][format!("f:{map}")].as_object());
    let names = owned.flat_map(Map::keys).filter_map(|key| key.strip_prefix("f:"));
    names.map(str::to_owned).collect()
}

fn note(object: &mut Value, map: &str, key: &str, is_set: bool) {
    let fields = &mut object["metadata"]["managedFields"];
    if !fields.is_array() {
        *fields = json!([{
            "manager": MANAGER, "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:metadata": {}},
        }]);
    }
    let owned = &mut fields[0]["fieldsV1"]["f:metadata"][format!("f:{map}")];
    match is_set {
        true => owned[format!("f:{key}")] = json!({}),
        false => remove(owned, &format!("f:{key}")),
    }
}

fn remove(map: &mut Value, key: &str) {
    if let Some(map) = map.as_object_mut() {
        map.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_by_hand_stays_until_it_is_taken_away_or_desired() {
        let mut live = json!({"metadata": {"name": "a", "annotations": {"ours": "1"}}});
        let set = json!({"metadata": {"name": "a", "annotations": {"by/hand": "x"}}});
        annotate(&mut live, &set).unwrap();
        let mut next = json!({"metadata": {"name": "a"}});
        keep(&mut next, &live);
        assert_eq!(next["metadata"]["annotations"], json!({"by/hand": "x"}));
        let mut desired = json!({"metadata": {"annotations": {"by/hand": "y"}}});
        keep(&mut desired, &next);
        assert_eq!(desired["metadata"]["annotations"], json!({"by/hand": "y"}));
        annotate(&mut next, &json!({"metadata": {"annotations": {"by/hand": null}}})).unwrap();
        let mut last = json!({"metadata": {}});
        keep(&mut last, &next);
        assert_eq!(last, json!({"metadata": {}}));
    }

    #[test]
    fn nothing_else_can_be_changed() {
        let mut live = json!({"metadata": {"name": "a", "resourceVersion": "7"}, "spec": {}});
        let before = live.clone();
        for patch in [
            json!({"spec": {"replicas": 2}}),
            json!({"metadata": {"name": "b"}}),
            json!({"metadata": {"resourceVersion": "6"}}),
            json!({"metadata": {"labels": {"a": 1}}}),
            json!([]),
        ] {
            assert!(annotate(&mut live, &patch).is_err(), "{patch}");
        }
        assert_eq!(live, before);
        annotate(&mut live, &json!({"metadata": {"resourceVersion": "7"}})).unwrap();
        assert_eq!(live, before);
    }
}
