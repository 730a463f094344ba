//! The environment of a pod's process: the image's, overlaid with the Deployment's, overlaid with
//! the pod's own address.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use crate::RuntimeConfig;
use crate::spec::{Container, EnvFrom, EnvVar, KeyRef, Labels, Metadata, ValueFrom};

/// The variable by which the demo's server learns its address: what makes a pod of a plain process.
const HOST: &str = "KIT_RS_HOST";

/// Where programs are in an image that does not say so.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(crate) type Env = BTreeMap<String, String>;

/// Looks the `data` of a ConfigMap in the pod's namespace up by name.
pub(crate) type ConfigMaps<'a> = &'a dyn Fn(&str) -> Option<Labels>;

/// The environment of `container` in the pod of `metadata` at `address`; nothing of our own is in it.
/// The error is the message of a `CreateContainerConfigError`.
pub(crate) fn environment(
    image: &RuntimeConfig,
    home: &str,
    container: &Container,
    metadata: &Metadata,
    address: Ipv4Addr,
    config_maps: ConfigMaps<'_>,
) -> Result<Env, String> {
    // What a container runtime sets where the image does not.
    let mut env =
        Env::from([("HOME".to_owned(), home.to_owned()), ("PATH".to_owned(), PATH.to_owned())]);
    env.extend(image.env.iter().cloned());
    env.insert("HOSTNAME".to_owned(), metadata.name.clone());
    for from in &container.env_from {
        env.extend(all_keys(from, config_maps)?);
    }
    for var in &container.env {
        if let Some(value) = value(var, metadata, address, config_maps)? {
            let value = expand(&value, &env);
            env.insert(var.name.clone(), value);
        }
    }
    env.insert(HOST.to_owned(), address.to_string());
    Ok(env)
}

fn all_keys(from: &EnvFrom, config_maps: ConfigMaps<'_>) -> Result<Env, String> {
    let Some(reference) = &from.config_map_ref else {
        return Err("envFrom: this stand-in knows configMapRef".to_owned());
    };
    match config_maps(&reference.name) {
        Some(data) => Ok(data
            .into_iter()
            .map(|(key, value)| (format!("{}{key}", from.prefix), value))
            .collect()),
        None if reference.optional => Ok(Env::new()),
        None => Err(format!("configmap \"{}\" not found", reference.name)),
    }
}

fn value(
    var: &EnvVar,
    metadata: &Metadata,
    address: Ipv4Addr,
    config_maps: ConfigMaps<'_>,
) -> Result<Option<String>, String> {
    match &var.value_from {
        None => Ok(Some(var.value.clone().unwrap_or_default())),
        Some(ValueFrom { field_ref: Some(field), .. }) => {
            field_value(&field.field_path, metadata, address)
                .map(Some)
                .ok_or_else(|| format!("env {}: unknown field {}", var.name, field.field_path))
        }
        Some(ValueFrom { config_map_key_ref: Some(key), .. }) => config_value(key, config_maps),
        Some(_) => {
            Err(format!("env {}: this stand-in knows fieldRef and configMapKeyRef", var.name))
        }
    }
}

fn config_value(key: &KeyRef, config_maps: ConfigMaps<'_>) -> Result<Option<String>, String> {
    let found = config_maps(&key.name).and_then(|data| data.get(&key.key).cloned());
    if found.is_none() && !key.optional {
        return Err(format!("couldn't find key {} in ConfigMap {}", key.key, key.name));
    }
    Ok(found)
}

fn field_value(path: &str, metadata: &Metadata, address: Ipv4Addr) -> Option<String> {
    let keyed = |prefix: &str, map: &Labels| {
        let key = path.strip_prefix(prefix)?.strip_suffix("']")?;
        Some(map.get(key).cloned().unwrap_or_default())
    };
    match path {
        "metadata.name" => Some(metadata.name.clone()),
        "metadata.namespace" => Some(metadata.namespace.clone()),
        "metadata.uid" => Some(metadata.uid.clone()),
        "status.podIP" => Some(address.to_string()),
        "status.hostIP" => Some(Ipv4Addr::LOCALHOST.to_string()),
        "spec.nodeName" => Some(crate::NODE.to_owned()),
        _ => keyed("metadata.labels['", &metadata.labels)
            .or_else(|| keyed("metadata.annotations['", &metadata.annotations)),
    }
}

/// Replaces `$(NAME)` by the value of a variable that is already there; `$$(NAME)` stays as
/// `$(NAME)`.
pub(crate) fn expand(text: &str, env: &Env) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(tail) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = tail;
            continue;
        }
        let name =
            rest.strip_prefix('(').and_then(|tail| tail.split_once(')')).map(|(name, _)| name);
        match name.and_then(|name| Some((name, env.get(name)?))) {
            Some((name, value)) => {
                expanded.push_str(value);
                rest = &rest[name.len() + 2..];
            }
            None => expanded.push('$'),
        }
    }
    expanded + rest
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::spec;

    fn built(container: Value) -> Result<Env, String> {
        let metadata: Metadata =
            spec::read(&json!({"name": "web-1", "namespace": "ml", "labels": {"app": "web"}}))
                .unwrap();
        let env = [("PORT".to_owned(), "8000".to_owned()), (HOST.to_owned(), "0.0.0.0".to_owned())];
        let image = RuntimeConfig { env: env.to_vec(), ..RuntimeConfig::default() };
        let config = |name: &str| {
            (name == "settings").then(|| Labels::from([("level".to_owned(), "info".to_owned())]))
        };
        environment(
            &image,
            "/home/web",
            &spec::read(&container).unwrap(),
            &metadata,
            Ipv4Addr::new(127, 1, 2, 3),
            &config,
        )
    }

    #[test]
    fn the_deployment_overrides_the_image_and_the_pod_overrides_both() {
        let env = built(json!({"env": [
            {"name": "PORT", "value": "9000"},
            {"name": "URL", "value": "http://$(IP):$(PORT)/$(NOBODY)/$$(PORT)"},
            {"name": "KIT_RS_HOST", "value": "0.0.0.0"},
            {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "APP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        ]}))
        .unwrap();
        assert_eq!(env["PORT"], "9000");
        // IP is defined after URL, so that it stays as written, as in Kubernetes.
        assert_eq!(env["URL"], "http://$(IP):9000/$(NOBODY)/$(PORT)");
        assert_eq!(env["KIT_RS_HOST"], "127.1.2.3");
        assert_eq!((&*env["POD"], &*env["APP"]), ("web-1", "web"));
        assert_eq!(env["IP"], "127.1.2.3");
        assert_eq!(env["HOME"], "/home/web");
    }

    #[test]
    fn config_maps_are_read_and_a_missing_one_is_named() {
        let env = built(json!({
            "envFrom": [{"prefix": "LOG_", "configMapRef": {"name": "settings"}}],
            "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "level"}}},
                    {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "no", "optional": true}}}],
        }))
        .unwrap();
        assert_eq!((&*env["LOG_level"], &*env["A"]), ("info", "info"));
        assert!(!env.contains_key("B"));
        let missing = built(json!({"envFrom": [{"configMapRef": {"name": "nobody"}}]}));
        assert_eq!(missing, Err("configmap \"nobody\" not found".to_owned()));
        assert!(built(json!({"env": [{"name": "S", "valueFrom": {"secretKeyRef": {}}}]})).is_err());
    }
}
