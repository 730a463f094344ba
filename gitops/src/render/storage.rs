//! The container by which KServe brings ModelKits to any of its InferenceServices.

use super::deployment::secured;
use crate::yaml::scalar;
use crate::{Error, ImageRef, Name, Result, Tree};

/// What an InferenceService's `storageUri` begins with where a ModelKit is meant.
const SCHEME: &str = "kit://";

/// The ClusterStorageContainer of the server's `image`, which is named by digest, in the folder that
/// Flux watches of an environment. KServe then takes `storageUri: kit://HOST/REPOSITORY@sha256:…`.
///
/// # Errors
///
/// The image has no digest: every model of the cluster comes by it.
///
/// Source: `kserve:pkg/apis/serving/v1alpha1/storage_container_types.go`.
pub fn storage_container(env: &Name, image: &ImageRef, plain_http: bool) -> Result<Tree> {
    if image.digest.is_none() {
        let reason = "it is named by its digest, since every model of the cluster comes by it";
        return Err(Error::Grammar { what: "storage container", text: image.to_string(), reason });
    }
    let plain = if plain_http { "      - --plain-http\n" } else { "" };
    // Stands less deep than in a Deployment.
    let secured: String = secured()
        .lines()
        .map(|line| format!("{}\n", line.strip_prefix("      ").unwrap_or(line)))
        .collect();
    let text = format!(
        "apiVersion: serving.kserve.io/v1alpha1
kind: ClusterStorageContainer
metadata:
  name: kit-rs
  labels:
    app.kubernetes.io/name: kit-rs
    app.kubernetes.io/component: storage-container
spec:
  supportedUriFormats:
    - prefix: {SCHEME}
  workloadType: initContainer
  container:
    name: storage-initializer
    image: {image}
    imagePullPolicy: IfNotPresent
    # KServe adds what to bring and where to. What is brought is verified before a file is seen, and the
    # manifest beside it tells the server its digest.
    command:
      - /kit-rs
      - unpack
      - --with-manifest
      - --filter=kitfile,model
{plain}    resources:
      requests:
        cpu: 250m
        memory: 64Mi
      limits:
        cpu: \"2\"
        memory: 256Mi
{secured}",
        image = scalar(&image.to_string()),
    );
    let mut tree = Tree::new();
    tree.insert(&format!("clusters/{env}/kit-storage.yaml"), text)?;
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_comes_by_a_container_that_cannot_change() {
        let (env, digest) = ("dev".parse().unwrap(), "a".repeat(64));
        let image: ImageRef = format!("h/server@sha256:{digest}").parse().unwrap();
        let tree = storage_container(&env, &image, true).unwrap();
        let file = tree.get("clusters/dev/kit-storage.yaml").unwrap();
        let object: serde_json::Value = serde_yaml::from_str(file).unwrap();
        let container = &object["spec"]["container"];
        assert_eq!(container["image"], image.to_string());
        assert_eq!(container["command"][4], "--plain-http");
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
        assert!(storage_container(&env, &"h/server:1".parse().unwrap(), false).is_err());
    }
}
