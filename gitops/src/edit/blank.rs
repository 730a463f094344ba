//! A file without what a bump sets in it: two that are the same so differ in nothing else.

use super::splice::Edits;
use super::{delivered, descend, each_container};
use crate::render::{MODELKIT_ANNOTATION, MODELKIT_DIGEST_ANNOTATION};
use crate::yaml::{Node, documents};

/// The text with a blank in each place that [`super::bump`] may set; one that is no YAML as it is.
pub(crate) fn blanked(text: &str) -> String {
    let Ok(documents) = documents(text) else { return text.to_owned() };
    let mut edits = Edits::new(text);
    for document in &documents {
        blank_containers(document, &mut edits);
        blank_metadata(document, &mut edits);
        for image in document.entry("images").map_or(&[][..], Node::elements) {
            let parts = ["newName", "newTag", "digest"].map(|key| image.entry(key));
            parts.into_iter().flatten().for_each(|part| edits.blank(part));
        }
        let others = [delivered::face(document), delivered::release(document)];
        others.into_iter().flatten().for_each(|place| edits.blank(place));
        let values = delivered::values(document);
        for path in [
            ["image", "repository"],
            ["image", "tag"],
            ["podAnnotations", MODELKIT_ANNOTATION],
            ["podAnnotations", MODELKIT_DIGEST_ANNOTATION],
        ] {
            if let Some(value) = values.and_then(|values| descend(values, &path)) {
                edits.blank(value);
            }
        }
    }
    edits.apply()
}

/// Images, and variables that carry what the annotations do.
fn blank_containers(document: &Node, edits: &mut Edits<'_>) {
    let kits: Vec<&str> = annotations(document).into_iter().filter_map(Node::text).collect();
    let mut places = Vec::new();
    let visited = each_container(document, &mut |container| {
        places.extend(container.entry("image"));
        let variables = container.entry("env").map_or(&[][..], Node::elements);
        let values = variables.iter().filter_map(|variable| variable.entry("value"));
        places.extend(values.filter(|value| value.text().is_some_and(|it| kits.contains(&it))));
        Ok(())
    });
    debug_assert!(visited.is_ok(), "nothing is refused above");
    places.into_iter().for_each(|place| edits.blank(place));
}

/// The annotations that name the ModelKit, and the version labels.
fn blank_metadata(document: &Node, edits: &mut Edits<'_>) {
    let of_pods = delivered::metadata(document);
    let version = ["labels", "app.kubernetes.io/version"];
    let versions = [&["metadata"][..], of_pods]
        .into_iter()
        .filter_map(|metadata| descend(document, &[metadata, &version].concat()));
    versions.chain(annotations(document)).for_each(|node| edits.blank(node));
}

fn annotations(document: &Node) -> Vec<&Node> {
    let of_pods = delivered::metadata(document);
    [MODELKIT_ANNOTATION, MODELKIT_DIGEST_ANNOTATION]
        .into_iter()
        .filter_map(|key| descend(document, &[of_pods, &["annotations", key]].concat()))
        .collect()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    /// Repositories have digests of such texts: whoever blanks another place has theirs called
    /// changed.
    #[test]
    fn what_a_bump_sets_is_blank_and_nothing_else() {
        let text = "# é
kind: Deployment
metadata:
  labels: {app.kubernetes.io/version: '1.0', app.kubernetes.io/name: a}
spec:
  replicas: 1
  template:
    metadata:
      labels:
        app.kubernetes.io/version: 1.0.0 # {\"$imagepolicy\": \"x:y:tag\"}
      annotations:
        kitops.ml/modelkit: \"h/kit:1\"
        kitops.ml/delivery: image-volume
    spec:
      initContainers:
        - {name: model, image: 'h/server:1'}
      containers:
        - image: h/server:1 # {\"$imagepolicy\": \"x:y\"}
          env:
            - {name: MODEL, value: h/kit:1}
            - {name: OTHER, value: h/kit:2}
      volumes:
        - name: model
          image: {reference: h/face:1}
---
kind: HelmRelease
spec:
  values:
    replicaCount: 1
    image: {repository: h/server, tag: 1@x, pullPolicy: Always}
    podAnnotations: {kitops.ml/modelkit-digest: sha256:a, mine: b}
---
images:
- {name: server, newName: h/s, newTag: '1'}
---
kind: PodDisruptionBudget
spec: {selector: {matchLabels: {kitops.ml/release: '0', mine: a}}}
";
        expect![[r##"
            # é
            kind: Deployment
            metadata:
              labels: {app.kubernetes.io/version: _, app.kubernetes.io/name: a}
            spec:
              replicas: 1
              template:
                metadata:
                  labels:
                    app.kubernetes.io/version: _ # {"$imagepolicy": "x:y:tag"}
                  annotations:
                    kitops.ml/modelkit: _
                    kitops.ml/delivery: image-volume
                spec:
                  initContainers:
                    - {name: model, image: _}
                  containers:
                    - image: _ # {"$imagepolicy": "x:y"}
                      env:
                        - {name: MODEL, value: _}
                        - {name: OTHER, value: h/kit:2}
                  volumes:
                    - name: model
                      image: {reference: _}
            ---
            kind: HelmRelease
            spec:
              values:
                replicaCount: 1
                image: {repository: _, tag: _, pullPolicy: Always}
                podAnnotations: {kitops.ml/modelkit-digest: _, mine: b}
            ---
            images:
            - {name: server, newName: _, newTag: _}
            ---
            kind: PodDisruptionBudget
            spec: {selector: {matchLabels: {kitops.ml/release: _, mine: a}}}
        "##]]
        .assert_eq(&blanked(text));
        assert_eq!(blanked("a: [\n"), "a: [\n");
    }
}
