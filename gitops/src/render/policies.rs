//! What the API server is told to refuse: files of their own, which Flux applies before the
//! application, and with other rights.

use super::{kustomization, labels};
use crate::yaml::scalar;
use crate::{Admission, NamespaceUse, Release, Tree};

/// Renders the policies that the release asks for, with the Flux Kustomization that brings them.
pub(super) fn render(release: &Release) -> Tree {
    let mut tree = Tree::new();
    if !is_asked(release) {
        return tree;
    }
    let folder = folder(release);
    let files = release.trust.admission.iter().map(|admission| match admission {
        Admission::Digests => ("digests.yaml", digests(release)),
        Admission::Kyverno => ("signatures.yaml", signatures(release)),
    });
    let files: Vec<_> = files.collect();
    let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
    tree.put(format!("{folder}/kustomization.yaml"), kustomization(&names));
    for (name, text) in files {
        tree.put(format!("{folder}/{name}"), text);
    }
    tree.put(release.cluster_file(&name(release)), flux(release));
    tree
}

pub(super) fn is_asked(release: &Release) -> bool {
    !release.trust.admission.is_empty()
}

/// The name of the Flux Kustomization that brings them.
pub(crate) fn name(release: &Release) -> String {
    format!("{}-policies", release.app)
}

fn folder(release: &Release) -> String {
    format!("policies/{}/{}", release.app, release.env)
}

fn flux(release: &Release) -> String {
    let folder = folder(release);
    super::flux::kustomization(
        release,
        &name(release),
        &folder,
        "",
        "  wait: true\n  timeout: 1m0s\n",
    )
}

/// Every image by its digest. Kinds that make pods are held to it too, so that whoever applies them
/// is told, and not only a log.
fn digests(release: &Release) -> String {
    let name = scalar(&format!("{}-digests", release.app));
    let (namespace, labels) = (scalar(release.namespace.as_str()), labels(release, 4));
    format!(
        "# A tag can be moved; a digest names what was looked at.
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: {name}
  labels:
{labels}spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
      - apiGroups: ['']
        apiVersions: [v1]
        operations: [CREATE, UPDATE]
        resources: [pods, pods/ephemeralcontainers]
      - apiGroups: [apps]
        apiVersions: [v1]
        operations: [CREATE, UPDATE]
        resources: [deployments, statefulsets, daemonsets, replicasets]
      - apiGroups: [batch]
        apiVersions: [v1]
        operations: [CREATE, UPDATE]
        resources: [jobs]
  variables:
    - name: pod
      expression: \"object.kind == 'Pod' ? object.spec : object.spec.template.spec\"
    # A volume may bring an image, too; admission controllers that check signatures pass it over.
    - name: images
      expression: >-
        variables.pod.containers.map(it, it.?image.orValue(''))
        + variables.pod.?initContainers.orValue([]).map(it, it.?image.orValue(''))
        + variables.pod.?ephemeralContainers.orValue([]).map(it, it.?image.orValue(''))
        + variables.pod.?volumes.orValue([]).filter(it, has(it.image)).map(it, it.image.?reference.orValue(''))
    - name: loose
      expression: \"variables.images.filter(it, !it.matches('@sha256:[0-9a-f]{{64}}$'))\"
  validations:
    - expression: variables.loose.size() == 0
      messageExpression: \"'these images have no digest: ' + variables.loose.join(', ')\"
      reason: Forbidden
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {name}
  labels:
{labels}spec:
  policyName: {name}
  validationActions: [Deny]
  matchResources:
    namespaceSelector:
      matchLabels:
        kubernetes.io/metadata.name: {namespace}
"
    )
}

/// Every image of the namespace signed by one of the keys; where others live there too, the images
/// of the release's repository.
fn signatures(release: &Release) -> String {
    let name = scalar(&format!("{}-signatures", release.app));
    let (namespace, labels) = (scalar(release.namespace.as_str()), labels(release, 4));
    let image = &release.image.name;
    let images = match release.namespace_use {
        NamespaceUse::Own => vec!["*".to_owned()],
        NamespaceUse::Shared | NamespaceUse::Elsewhere => {
            vec![image.clone(), format!("{image}:*"), format!("{image}@*")]
        }
    };
    let images: String =
        images.iter().map(|it| format!("            - {}\n", scalar(it))).collect();
    let keys: String = release.trust.keys.iter().map(|key| entry(key)).collect();
    format!(
        "# Kyverno asks the registry for the signatures; what it cannot ask for is not let in.
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata:
  name: {name}
  labels:
{labels}spec:
  background: false
  webhookConfiguration:
    failurePolicy: Fail
    timeoutSeconds: 30
  rules:
    - name: signed
      match:
        any:
          - resources:
              kinds:
                - Pod
              namespaces:
                - {namespace}
      verifyImages:
        - type: SigstoreBundle
          imageReferences:
{images}          failureAction: Enforce
          required: true
          verifyDigest: true
          mutateDigest: false
          # By its type: else any statement of a key would be taken for its signature.
          attestations:
            - type: https://sigstore.dev/cosign/sign/v1
              attestors:
                - count: 1
                  entries:
{keys}"
    )
}

/// A key, without the services that `kit-rs sign` writes nothing to.
fn entry(key: &str) -> String {
    let pem = block(key, 26);
    format!(
        "                    - keys:
                        publicKeys: |-
{pem}                        signatureAlgorithm: sha256
                        rekor:
                          ignoreTlog: true
                        ctlog:
                          ignoreSCT: true
"
    )
}

/// The lines of a text, with the given indentation.
pub(super) fn block(text: &str, indent: usize) -> String {
    let pad = " ".repeat(indent);
    text.trim_end().lines().map(|line| format!("{pad}{line}\n")).collect()
}
