//! `images`: other names, tags and digests for the images of containers.

use regex::Regex;
use serde_json::Value;

use super::config::Specs;
use super::fields::{Made, each};
use super::file::Image;
use super::resources::Resources;
use crate::image::split_tag;

/// `images`: every image in a list called `containers` or `initContainers`, wherever it stands, and
/// those that field specs mean.
pub(super) fn set(resources: &mut Resources, image: &Image, specs: &Specs) -> Result<(), String> {
    // As in kustomize the name is a regular expression: a dot in it stands for any character.
    let pattern =
        format!("^{}(:[a-zA-Z0-9_.{{}}-]*)?(@[a-zA-Z0-9]+:[a-zA-Z0-9_.{{}}-]*)?$", image.name);
    let pattern = Regex::new(&pattern).map_err(|error| error.to_string())?;
    // A suffix must not be added twice to an image that both ways lead to.
    let only_suffix = image.new_tag.is_empty() && image.digest.is_empty();
    let is_done = |path: &str| {
        let in_lists = ["/containers[]/image", "/initContainers[]/image"];
        only_suffix && in_lists.iter().any(|list| path.ends_with(list))
    };
    for resource in resources
        .as_mut()
        .iter_mut()
        .filter(|resource| resource.object.kind() != "CustomResourceDefinition")
    {
        let rewrite = |found: &mut Value| {
            if let Some(text) = found.as_str().filter(|text| pattern.is_match(text)) {
                *found = rewritten(text, image).into();
            }
        };
        in_containers(resource.value_mut(), &mut { rewrite });
        let specs = specs.of(&resource.id());
        for spec in specs.into_iter().filter(|spec| !is_done(&spec.path)) {
            // What is no image on the way, as in the volumes of a PodSecurityPolicy, is left alone.
            let _ = each(resource.value_mut(), spec, Made::Nothing, &mut |found| {
                rewrite(found);
                Ok(())
            });
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
