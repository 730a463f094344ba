//! `images`: other names, tags and digests for the images of containers.

use regex::Regex;
use serde_json::Value;

use super::fields;
use super::file::Image;
use super::resource::Resource;
use crate::image::split_tag;
use crate::{Error, Result};

/// `images`: every image in a list called `containers` or `initContainers`, wherever it stands, and
/// image volumes.
pub(super) fn set(resources: &mut [Resource], image: &Image) -> Result<()> {
    // As in kustomize the name is a regular expression: a dot in it stands for any character.
    let pattern =
        format!("^{}(:[a-zA-Z0-9_.{{}}-]*)?(@[a-zA-Z0-9]+:[a-zA-Z0-9_.{{}}-]*)?$", image.name);
    let pattern = Regex::new(&pattern)
        .map_err(|error| Error::Kustomize { field: "images", message: error.to_string() })?;
    for resource in
        resources.iter_mut().filter(|resource| resource.object.kind() != "CustomResourceDefinition")
    {
        let value = resource.object.value_mut();
        let mut rewrite = |found: &mut Value| {
            if let Some(text) = found.as_str().filter(|text| pattern.is_match(text)) {
                *found = rewritten(text, image).into();
            }
        };
        in_containers(value, &mut rewrite);
        for pod in ["spec", "spec/template/spec"] {
            let path: Vec<&str> = pod.split('/').chain(["volumes", "image", "reference"]).collect();
            fields::each(value, &path, false, &mut rewrite);
        }
    }
    Ok(())
}

fn in_containers(value: &mut Value, rewrite: &mut dyn FnMut(&mut Value)) {
    match value {
        Value::Array(elements) => {
            elements.iter_mut().for_each(|element| in_containers(element, rewrite))
        }
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                in_containers(value, rewrite);
                let Value::Array(containers) = value else { continue };
                if key == "containers" || key == "initContainers" {
                    containers
                        .iter_mut()
                        .filter_map(|container| container.get_mut("image"))
                        .for_each(&mut *rewrite);
                }
            }
        }
        _ => {}
    }
}

/// A tag alone clears the digest, a digest alone the tag.
fn rewritten(text: &str, image: &Image) -> String {
    let (rest, digest) =
        text.split_once('@').map_or((text, None), |(rest, digest)| (rest, Some(digest)));
    let (name, tag) = split_tag(rest);
    let given = |text: &'_ str| (!text.is_empty()).then(|| text.to_owned());
    let (tag, digest) =
        match (given(&image.new_tag), given(&image.digest), given(&image.tag_suffix)) {
            (None, None, None) => (tag.map(str::to_owned), digest.map(str::to_owned)),
            (None, None, Some(suffix)) => {
                (Some(format!("{}{suffix}", tag.unwrap_or_default())), None)
            }
            (tag, digest, _) => (tag, digest),
        };
    let name = given(&image.new_name).unwrap_or_else(|| name.to_owned());
    let tag = tag.map_or(String::new(), |tag| format!(":{tag}"));
    let digest = digest.map_or(String::new(), |digest| format!("@{digest}"));
    format!("{name}{tag}{digest}")
}
