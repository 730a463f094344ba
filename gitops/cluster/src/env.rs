//! The environment of a pod's process: the image's, overlaid with the Deployment's, overlaid with
//! the pod's own address.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use crate::spec::{Container, EnvFrom, KeyRef, Labels, Metadata, ResourceRef, ValueFrom};
use crate::{RuntimeConfig, quantity};

/// The variable by which the demo's server learns its address: what makes a pod of a plain process.
const HOST: &str = "KIT_RS_HOST";

/// Where programs are in an image that does not say so.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(crate) type Env = BTreeMap<String, String>;

/// The `data` of a Secret.
type Values = BTreeMap<String, Vec<u8>>;

/// Looks ConfigMaps and Secrets of the pod's namespace up by name.
pub(crate) struct Data<'a> {
    /// The `data` of a ConfigMap: its `binaryData` becomes no variable.
    pub(crate) config_map: &'a dyn Fn(&str) -> Option<Labels>,
    pub(crate) secret: &'a dyn Fn(&str) -> Option<Values>,
}

/// The environment of `container` in the pod of `metadata` at `address`; nothing of our own is in it.
/// The error is the message of a `CreateContainerConfigError`, as a kubelet has it.
pub(crate) fn environment(
    image: &RuntimeConfig,
    home: &str,
    container: &Container,
    metadata: &Metadata,
    address: Ipv4Addr,
    data: &Data<'_>,
) -> Result<Env, String> {
    // What a container runtime sets where the image does not.
    let mut env =
        Env::from([("HOME".to_owned(), home.to_owned()), ("PATH".to_owned(), PATH.to_owned())]);
    env.extend(image.env.iter().cloned());
    env.insert("HOSTNAME".to_owned(), metadata.name.clone());
    for from in &container.env_from {
        env.extend(all_keys(from, metadata, data)?);
    }
    for var in &container.env {
        let value = match &var.value_from {
            None => Some(var.value.clone().unwrap_or_default()),
            Some(from) => value(from, container, metadata, address, data)
                .map_err(|why| why.of_variable(&var.name))?,
        };
        if let Some(value) = value {
            let value = expand(&value, &env);
            env.insert(var.name.clone(), value);
        }
    }
    env.insert(HOST.to_owned(), address.to_string());
    Ok(env)
}

/// Why a variable has no value: a kubelet names it for some reasons, and not for others.
enum NoValue {
    Bare(String),
    Named(String),
}

impl NoValue {
    fn of_variable(self, name: &str) -> String {
        match self {
            Self::Bare(why) => why,
            Self::Named(why) => format!("env {name}: {why}"),
        }
    }
}

fn all_keys(from: &EnvFrom, metadata: &Metadata, data: &Data<'_>) -> Result<Env, String> {
    let (found, missing, is_optional) = match (&from.config_map_ref, &from.secret_ref) {
        (Some(it), _) => {
            let missing = format!("configmap \"{}\" not found", it.name);
            ((data.config_map)(&it.name), missing, it.optional)
        }
        (None, Some(it)) => {
            let found = (data.secret)(&it.name).map(|values| {
                let pairs = values.into_iter().map(|(key, bytes)| {
                    let value = text(&key, bytes, it, metadata)?;
                    Ok((key, value))
                });
                pairs.collect::<Result<Labels, String>>()
            });
            let missing = format!("secret \"{}\" not found", it.name);
            (found.transpose()?, missing, it.optional)
        }
        (None, None) => {
            return Err("envFrom: this stand-in knows configMapRef and secretRef".to_owned());
        }
    };
    match found {
        None if is_optional => Ok(Env::new()),
        None => Err(missing),
        Some(values) => Ok(values
            .into_iter()
            .map(|(key, value)| (format!("{}{key}", from.prefix), value))
            .collect()),
    }
}

fn value(
    from: &ValueFrom,
    container: &Container,
    metadata: &Metadata,
    address: Ipv4Addr,
    data: &Data<'_>,
) -> Result<Option<String>, NoValue> {
    if let Some(ResourceRef { container_name, resource, divisor }) = &from.resource_field_ref {
        if !container_name.is_empty() && *container_name != container.name {
            let why = "this stand-in knows a container's own resources";
            return Err(NoValue::Named(format!("resourceFieldRef: {why}")));
        }
        let told = quantity::field(container, resource, divisor).map_err(NoValue::Named)?;
        return Ok(Some(told.to_string()));
    }
    match (&from.field_ref, &from.config_map_key_ref, &from.secret_key_ref) {
        (Some(field), ..) => match field_value(&field.field_path, metadata, address) {
            None => Err(NoValue::Named(format!("unknown field {}", field.field_path))),
            known => Ok(known),
        },
        (_, Some(it), _) => {
            let found = (data.config_map)(&it.name).map(|mut values| values.remove(&it.key));
            of_key(found, it, ("configmap", "ConfigMap"), metadata)
        }
        (_, _, Some(it)) => {
            let found = (data.secret)(&it.name).map(|mut values| values.remove(&it.key));
            match of_key(found, it, ("secret", "Secret"), metadata)? {
                None => Ok(None),
                Some(bytes) => text(&it.key, bytes, it, metadata).map(Some).map_err(NoValue::Bare),
            }
        }
        _ => Err(NoValue::Named(
            "this stand-in knows fieldRef, resourceFieldRef, configMapKeyRef and secretKeyRef"
                .to_owned(),
        )),
    }
}

/// The value of a key, if it is there or need not be.
/// Source: kubernetes, pkg/kubelet/kubelet_pods.go, makeEnvironmentVariables.
fn of_key<T>(
    found: Option<Option<T>>,
    key: &KeyRef,
    (resource, kind): (&str, &str),
    metadata: &Metadata,
) -> Result<Option<T>, NoValue> {
    let KeyRef { name, key, optional } = key;
    match found {
        Some(Some(value)) => Ok(Some(value)),
        _ if *optional => Ok(None),
        None => Err(NoValue::Bare(format!("{resource} \"{name}\" not found"))),
        Some(None) => {
            let place = format!("{}/{name}", metadata.namespace);
            Err(NoValue::Bare(format!("couldn't find key {key} in {kind} {place}")))
        }
    }
}

/// A value of a Secret as a variable.
fn text(key: &str, bytes: Vec<u8>, of: &KeyRef, metadata: &Metadata) -> Result<String, String> {
    let text = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
    text.ok_or_else(|| {
        let place = format!("{}/{}", metadata.namespace, of.name);
        format!("key {key} of Secret {place} is no text, as an environment variable has to be")
    })
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
        let data = Data {
            config_map: &|name| {
                let data = || Labels::from([("level".to_owned(), "info".to_owned())]);
                (name == "settings").then(data)
            },
            secret: &|name| {
                let data = [("user", &b"me"[..]), ("blob", &[0xff])];
                let data = data.map(|(key, value)| (key.to_owned(), value.to_vec()));
                (name == "login").then(|| data.into())
            },
        };
        environment(
            &image,
            "/home/web",
            &spec::read(&container).unwrap(),
            &metadata,
            Ipv4Addr::new(127, 1, 2, 3),
            &data,
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
        let key = json!({"configMapKeyRef": {"name": "settings", "key": "no"}});
        let missing = built(json!({"env": [{"name": "S", "valueFrom": key}]}));
        assert_eq!(missing, Err("couldn't find key no in ConfigMap ml/settings".to_owned()));
    }

    #[test]
    fn secrets_are_read_and_what_is_missing_or_no_text_is_named() {
        let one = |key: Value| built(json!({"env": [{"name": "S", "valueFrom": key}]}));
        let secret = |name: &str, key: &str| {
            one(json!({"secretKeyRef": {"name": name, "key": key}})).map(|mut env| env.remove("S"))
        };
        assert_eq!(secret("login", "user"), Ok(Some("me".to_owned())));
        assert_eq!(secret("nobody", "user"), Err("secret \"nobody\" not found".to_owned()));
        let missing = "couldn't find key no in Secret ml/login".to_owned();
        assert_eq!(secret("login", "no"), Err(missing));
        let refusal = secret("login", "blob").unwrap_err();
        assert!(refusal.starts_with("key blob of Secret ml/login is no text"), "{refusal}");
        let optional = json!({"secretKeyRef": {"name": "nobody", "key": "a", "optional": true}});
        assert_eq!(one(optional).unwrap().get("S"), None);
        let from = |reference: Value| built(json!({"envFrom": [reference]}));
        let refusal = from(json!({"secretRef": {"name": "login"}})).unwrap_err();
        assert!(refusal.starts_with("key blob of Secret ml/login"), "{refusal}");
        let missing = from(json!({"secretRef": {"name": "nobody"}}));
        assert_eq!(missing, Err("secret \"nobody\" not found".to_owned()));
        assert!(from(json!({"secretRef": {"name": "nobody", "optional": true}})).is_ok());
        let refusal = one(json!({"fileKeyRef": {}})).unwrap_err();
        assert!(refusal.starts_with("env S: this stand-in knows fieldRef"), "{refusal}");
    }

    #[test]
    fn a_container_is_told_its_own_resources() {
        let told = |container: &str| {
            let field = json!({"containerName": container, "resource": "limits.cpu"});
            built(json!({
                "name": "server",
                "resources": {"limits": {"cpu": "1500m"}},
                "env": [{"name": "N", "valueFrom": {"resourceFieldRef": field}}],
            }))
        };
        assert_eq!(told("").unwrap()["N"], "2");
        assert_eq!(told("server").unwrap()["N"], "2");
        assert!(told("proxy").unwrap_err().starts_with("env N: resourceFieldRef: "));
    }
}
