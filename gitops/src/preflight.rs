//! Whether a cluster can take what is written here: what `flux check` asks, from the API's documents.

use serde_json::Value;

/// The oldest Kubernetes that Flux 2.9 takes: `kubernetesConstraints` of `flux check` 2.9.5.
const KUBERNETES: (u64, u64) = (1, 33);

/// The controllers and the definitions (name, version) that what is written here needs.
const CONTROLLERS: [&str; 2] = ["source-controller", "kustomize-controller"];
const DEFINITIONS: [(&str, &str); 2] = [
    ("gitrepositories.source.toolkit.fluxcd.io", "v1"),
    ("kustomizations.kustomize.toolkit.fluxcd.io", "v1"),
];

/// What a cluster has, as its API tells it; none where there is nothing of the kind.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// `/version`.
    pub version: Value,
    /// The Deployments of the namespace `flux-system`.
    pub deployments: Value,
    /// The CustomResourceDefinitions.
    pub definitions: Value,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// Whether it is as it should be.
    pub is_right: bool,
    /// What it is, in the words of `flux check` where it has some.
    pub what: String,
}

impl Looked {
    fn new(is_right: bool, what: impl Into<String>) -> Self {
        Self { is_right, what: what.into() }
    }
}

/// Looks whether the cluster is new enough, and whether Flux is there, of which version, and ready.
pub fn preflight(facts: &Facts) -> Vec<Looked> {
    let mut looked = vec![kubernetes(&facts.version)];
    let deployments = items(&facts.deployments);
    looked.push(distribution(&deployments));
    for name in CONTROLLERS {
        looked.push(controller(name, &deployments));
    }
    let definitions = items(&facts.definitions);
    for (name, version) in DEFINITIONS {
        looked.push(definition(name, version, &definitions));
    }
    looked
}

fn kubernetes(version: &Value) -> Looked {
    let text = version["gitVersion"].as_str().unwrap_or_default().trim_start_matches('v');
    let mut numbers = text.split(['.', '-', '+']).map(str::parse::<u64>);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
        return Looked::new(false, "Kubernetes version can't be determined");
    };
    let (least_major, least_minor) = KUBERNETES;
    let range = format!(">={least_major}.{least_minor}.0-0");
    match (major, minor) >= KUBERNETES {
        true => Looked::new(true, format!("Kubernetes {text} {range}")),
        false => Looked::new(false, format!("Kubernetes version {text} does not match {range}")),
    }
}

fn distribution(deployments: &[&Value]) -> Looked {
    let of_flux = deployments.iter().find(|it| label(it, "app.kubernetes.io/part-of") == "flux");
    let Some(of_flux) = of_flux else {
        return Looked::new(
            false,
            "no controllers found in the 'flux-system' namespace with the label selector 'app.kubernetes.io/part-of=flux'",
        );
    };
    match label(of_flux, "app.kubernetes.io/version") {
        "" => Looked::new(true, "distribution: flux, which does not say its version"),
        version => Looked::new(true, format!("distribution: flux-{version}")),
    }
}

fn controller(name: &str, deployments: &[&Value]) -> Looked {
    let Some(found) = deployments.iter().find(|it| it["metadata"]["name"] == name) else {
        return Looked::new(false, format!("{name}: deployment is missing"));
    };
    let image = found["spec"]["template"]["spec"]["containers"][0]["image"].as_str();
    let image = image.map(|image| format!(" ({image})")).unwrap_or_default();
    let conditions = found["status"]["conditions"].as_array().into_iter().flatten();
    let is_ready =
        conditions.filter(|it| it["type"] == "Available").any(|it| it["status"] == "True");
    match is_ready {
        true => Looked::new(true, format!("{name}: deployment ready{image}")),
        false => Looked::new(false, format!("{name}: deployment not ready{image}")),
    }
}

fn definition(name: &str, version: &str, definitions: &[&Value]) -> Looked {
    let found = definitions.iter().find(|it| it["metadata"]["name"] == name);
    let versions = found.and_then(|it| it["spec"]["versions"].as_array()).into_iter().flatten();
    let is_served = versions.filter(|it| it["served"] == true).any(|it| it["name"] == version);
    match (found.is_some(), is_served) {
        (_, true) => Looked::new(true, format!("{name}/{version}")),
        (true, false) => Looked::new(false, format!("{name} does not serve {version}")),
        (false, _) => Looked::new(false, format!("{name} is missing")),
    }
}

fn items(list: &Value) -> Vec<&Value> {
    list["items"].as_array().into_iter().flatten().collect()
}

fn label<'a>(object: &'a Value, key: &str) -> &'a str {
    object["metadata"]["labels"][key].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn controller(name: &str, available: &str) -> Value {
        json!({
            "metadata": {"name": name, "labels": {"app.kubernetes.io/part-of": "flux", "app.kubernetes.io/version": "v2.9.5"}},
            "spec": {"template": {"spec": {"containers": [{"image": format!("ghcr.io/fluxcd/{name}:v1.9.6")}]}}},
            "status": {"conditions": [{"type": "Available", "status": available}]},
        })
    }

    fn definition(name: &str, version: &str) -> Value {
        json!({"metadata": {"name": name}, "spec": {"versions": [{"name": version, "served": true}]}})
    }

    fn facts() -> Facts {
        let definitions: Vec<Value> =
            DEFINITIONS.iter().map(|(name, version)| definition(name, version)).collect();
        Facts {
            version: json!({"gitVersion": "v1.36.4"}),
            deployments: json!({"items": CONTROLLERS.map(|name| controller(name, "True"))}),
            definitions: json!({ "items": definitions }),
        }
    }

    fn wrong(facts: &Facts) -> Vec<String> {
        preflight(facts).into_iter().filter(|it| !it.is_right).map(|it| it.what).collect()
    }

    #[test]
    fn a_cluster_with_flux_has_all_that_is_needed() {
        let what: Vec<String> = preflight(&facts()).into_iter().map(|it| it.what).collect();
        assert_eq!(
            what,
            [
                "Kubernetes 1.36.4 >=1.33.0-0",
                "distribution: flux-v2.9.5",
                "source-controller: deployment ready (ghcr.io/fluxcd/source-controller:v1.9.6)",
                "kustomize-controller: deployment ready (ghcr.io/fluxcd/kustomize-controller:v1.9.6)",
                "gitrepositories.source.toolkit.fluxcd.io/v1",
                "kustomizations.kustomize.toolkit.fluxcd.io/v1",
            ]
        );
        assert!(wrong(&facts()).is_empty());
    }

    #[test]
    fn what_is_too_old_missing_or_not_ready_is_named() {
        for (version, expected) in [
            ("v1.32.9+k3s1", "Kubernetes version 1.32.9+k3s1 does not match >=1.33.0-0"),
            ("", "Kubernetes version can't be determined"),
        ] {
            let facts = Facts { version: json!({"gitVersion": version}), ..facts() };
            assert_eq!(wrong(&facts), [expected]);
        }
        for version in ["v1.33.0", "v1.36.0-rc.1", "v2.0.0", "v1.34+"] {
            let facts = Facts { version: json!({"gitVersion": version}), ..facts() };
            assert!(wrong(&facts).is_empty(), "{version}");
        }
        let none = Facts { version: json!({"gitVersion": "v1.36.4"}), ..Facts::default() };
        assert_eq!(wrong(&none).len(), 5);
        let old = Facts {
            deployments: json!({"items": [controller("source-controller", "False"), controller("kustomize-controller", "True")]}),
            definitions: json!({"items": [definition(DEFINITIONS[0].0, "v1beta2"), definition(DEFINITIONS[1].0, "v1")]}),
            ..facts()
        };
        assert_eq!(
            wrong(&old),
            [
                "source-controller: deployment not ready (ghcr.io/fluxcd/source-controller:v1.9.6)",
                "gitrepositories.source.toolkit.fluxcd.io does not serve v1",
            ]
        );
    }
}
