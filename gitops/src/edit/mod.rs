//! Edits that keep every comment and every other byte.

mod blank;
mod bump;
mod delivered;
mod splice;

pub(crate) use blank::blanked;
pub(crate) use bump::bytes;
pub use bump::{Bump, bump, folder_of, small_memory};
pub use delivered::small_volumes;
pub(crate) use delivered::{HELM_RELEASE, INFERENCE_SERVICE};
pub(crate) use splice::{Edits, not_editable};

use crate::image::split_tag;
use crate::yaml::{Data, Node, documents};
use crate::{ImageRef, Result};

/// Sets the image of containers: those with that container name, or whose image has that name; in a
/// `kustomization.yaml`, entries of `images` with that name.
///
/// Fails when there is nothing to set. An image that already is the wanted one counts as set.
pub fn set_image(text: &str, container_or_image_name: &str, new: &ImageRef) -> Result<String> {
    let documents = documents(text)?;
    let mut edits = Edits::new(text);
    for document in &documents {
        each_container(document, &mut |container| {
            let Some(image) = container.entry("image") else { return Ok(()) };
            let name = container.entry("name").and_then(Node::text);
            if [name, image.text().map(image_name)].contains(&Some(container_or_image_name)) {
                edits.set(image, &new.to_string(), "the image")?;
            }
            Ok(())
        })?;
        set_kustomize_image(document, container_or_image_name, new, &mut edits)?;
    }
    edits.finish(|| format!("image of {container_or_image_name:?}"))
}

/// Sets the scalar at a path of keys in the text's first document that has it; a number steps into
/// a list, and so does `name=value`, to the element with that entry.
pub fn set_scalar(text: &str, path: &[&str], value: &str) -> Result<String> {
    let documents = documents(text)?;
    let mut edits = Edits::new(text);
    if let Some(node) = documents.iter().find_map(|document| descend(document, path)) {
        edits.set(node, value, &path.join("."))?;
    }
    edits.finish(|| path.join("."))
}

/// Sets `newName`, `newTag` and `digest` of a kustomization's `images`, as far as they stand there.
fn set_kustomize_image(
    document: &Node,
    name: &str,
    new: &ImageRef,
    edits: &mut Edits<'_>,
) -> Result<()> {
    let is_kustomization =
        document.entry("kind").is_none_or(|kind| kind.text() == Some("Kustomization"));
    let Some(images) = document.entry("images").filter(|_| is_kustomization) else { return Ok(()) };
    for image in images.elements() {
        let named = [image.entry("name"), image.entry("newName")]
            .into_iter()
            .flatten()
            .any(|node| node.text() == Some(name));
        if !named {
            continue;
        }
        let (tag, digest) = (image.entry("newTag"), image.entry("digest"));
        let values = [
            (image.entry("newName"), Some(&new.name)),
            (tag, new.tag.as_ref()),
            (digest, new.digest.as_ref()),
        ];
        if tag.is_none() && digest.is_none()
            || values[1..].iter().any(|(node, value)| node.is_some() != value.is_some())
        {
            return Err(not_editable(
                image,
                "the image",
                "newTag and digest must stand there exactly as the new image has them",
            ));
        }
        for (node, value) in values {
            if let (Some(node), Some(value)) = (node, value) {
                edits.set(node, value, "the image")?;
            }
        }
    }
    Ok(())
}

/// Visits every element of every list called `containers` or `initContainers`.
fn each_container<'a>(node: &'a Node, visit: &mut dyn FnMut(&'a Node) -> Result<()>) -> Result<()> {
    match &node.data {
        Data::Mapping(entries) => {
            for (key, value) in entries {
                if matches!(key.text(), Some("containers" | "initContainers")) {
                    value.elements().iter().try_for_each(&mut *visit)?;
                }
                each_container(value, visit)?;
            }
        }
        Data::Sequence(elements) => {
            for element in elements {
                each_container(element, visit)?;
            }
        }
        Data::Scalar { .. } | Data::Alias(_) => {}
    }
    Ok(())
}

pub(crate) fn descend<'a>(node: &'a Node, path: &[&str]) -> Option<&'a Node> {
    let Some((step, rest)) = path.split_first() else { return Some(node) };
    let next = match (&node.data, step.split_once('=')) {
        (Data::Mapping(_), _) => node.entry(step),
        (Data::Sequence(elements), Some((key, value))) => {
            elements.iter().find(|element| element.entry(key).and_then(Node::text) == Some(value))
        }
        (Data::Sequence(elements), None) => {
            step.parse::<usize>().ok().and_then(|n| elements.get(n))
        }
        (Data::Scalar { .. } | Data::Alias(_), _) => None,
    };
    descend(next?, rest)
}

fn is_yaml(path: &str) -> bool {
    path.ends_with(".yaml") || path.ends_with(".yml")
}

/// An image's name, without tag and digest.
fn image_name(image: &str) -> &str {
    split_tag(image.split('@').next().unwrap_or(image)).0
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::Error;

    const DEPLOYMENT: &str = "# É: a comment with more bytes than characters
kind: Deployment # keep
spec:
    template:
        spec:
            initContainers: [{name: init, image: 'host:5000/a/init:1' }] # flow
            containers:
            -   name: server   # odd   spacing
                image:   \"host:5000/a/server:1.0.0\"   # {\"$imagepolicy\": \"x:y\"}
            -   image: host:5000/a/server
                name: twin
                env:
                - {name: A, value: x}
---
image: not this one
";

    fn check(name: &str, new: &str, changed: Expect) {
        let edited = set_image(DEPLOYMENT, name, &new.parse().unwrap()).unwrap();
        let lines = DEPLOYMENT
            .lines()
            .zip(edited.lines())
            .filter(|(old, new)| old != new)
            .map(|(_, new)| format!("{}\n", new.trim_start()));
        changed.assert_eq(&lines.collect::<String>());
        assert_eq!(
            (edited.lines().count(), edited.ends_with('\n')),
            (DEPLOYMENT.lines().count(), true)
        );
    }

    #[test]
    fn an_image_is_set_by_container_or_by_image_name_and_nothing_else_changes() {
        check(
            "server",
            "h/s:2",
            expect![[r#"
                                image:   "h/s:2"   # {"$imagepolicy": "x:y"}
            "#]],
        );
        check(
            "host:5000/a/server",
            "host:5000/a/server:2",
            expect![[r#"
                image:   "host:5000/a/server:2"   # {"$imagepolicy": "x:y"}
                -   image: host:5000/a/server:2
            "#]],
        );
        check(
            "init",
            "i:9",
            expect![[r#"
                            initContainers: [{name: init, image: 'i:9' }] # flow
            "#]],
        );
        check("server", "host:5000/a/server:1.0.0", expect![""]);
    }

    #[test]
    fn an_image_that_is_not_there_is_an_error() {
        let error = set_image(DEPLOYMENT, "nobody", &"a:1".parse().unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "there is no image of \"nobody\" to set");
    }

    #[test]
    fn a_kustomizations_image_is_set_in_its_parts() {
        let text = "images:\n- name: server\n  newName: h/s # here\n  newTag: '1'\n- name: other\n  newTag: '1'\n";
        let edited = set_image(text, "server", &"h/t:2".parse().unwrap()).unwrap();
        assert_eq!(
            edited,
            "images:\n- name: server\n  newName: h/t # here\n  newTag: '2'\n- name: other\n  newTag: '1'\n"
        );
        let error =
            set_image(text, "server", &format!("h/t:2@sha256:{}", "0".repeat(64)).parse().unwrap())
                .unwrap_err();
        assert!(matches!(error, Error::NotEditable { line: 2, .. }), "{error}");
    }

    #[test]
    fn a_scalar_is_set_in_its_own_quotes() {
        let check = |path: &[&str], value: &str, expected: &str| {
            let edited = set_scalar(DEPLOYMENT, path, value).unwrap();
            assert_eq!(
                edited
                    .lines()
                    .find(|line| !DEPLOYMENT.lines().any(|old| old == *line))
                    .unwrap()
                    .trim(),
                expected
            );
        };
        let containers = ["spec", "template", "spec", "containers"];
        check(&["kind"], "DaemonSet", "kind: DaemonSet # keep");
        check(&["kind"], "yes", "kind: 'yes' # keep");
        check(
            &[&containers[..], &["1", "env", "name=A", "value"]].concat(),
            "a: b",
            "- {name: A, value: 'a: b'}",
        );
        check(
            &[&containers[..], &["name=server", "image"]].concat(),
            "it's",
            "image:   \"it's\"   # {\"$imagepolicy\": \"x:y\"}",
        );
        assert!(set_scalar(DEPLOYMENT, &["spec", "replicas"], "1").is_err());
    }

    #[test]
    fn what_cannot_be_edited_in_place_is_refused() {
        for text in [
            "a: |\n  x\n",
            "a: >\n  x\n",
            "a:\n",
            "a: &x y\nb: *x\n",
            "a: [x]\n",
            "a: x\n  y\n",
            "a: !!str x\n",
        ] {
            assert!(
                matches!(set_scalar(text, &["a"], "z"), Err(Error::NotEditable { .. })),
                "{text:?}"
            );
        }
        assert!(set_scalar("a: &x y\nb: *x\n", &["b"], "z").is_err());
    }

    #[test]
    fn what_was_set_is_read_back() {
        for value in [
            "", " ", "x", "yes", "a: b", "#", "'", "\"", "a\nb", "é", "\\", "{", "0644", "a #b",
            "\t", "a,b", "a}", "]",
        ] {
            for text in [
                "k: old # c\n",
                "k: 'old' # c\n",
                "k: \"old\" # c\n",
                "{k: old, l: 1} # c\n",
                "- x\n- k: old\n",
            ] {
                let path: &[&str] = if text.starts_with('-') { &["1", "k"] } else { &["k"] };
                let edited = set_scalar(text, path, value).unwrap();
                let read = &crate::yaml::parse_all(&edited).unwrap()[0];
                let read = if read.is_array() { &read[1]["k"] } else { &read["k"] };
                assert_eq!(read, value, "{edited:?}");
                assert_eq!(edited.contains("# c"), text.contains("# c"), "{edited:?}");
            }
        }
    }
}
