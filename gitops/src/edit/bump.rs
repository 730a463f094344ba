//! Points an app of a repository at another image, in every file that names it.

use serde_json::Value;

use super::splice::Edits;
use super::{
    delivered, descend, each_container, image_name, is_yaml, not_editable, set_kustomize_image,
};
use crate::render::{MODELKIT_ANNOTATION, MODELKIT_DIGEST_ANNOTATION, chart};
use crate::yaml::{Node, documents};
use crate::{Error, ImageRef, Name, Object, Result, Tree, environments, layout};

/// A new release of an application that is already in the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bump {
    /// The application: the folder `apps/<app>`.
    pub app: Name,
    /// The environment whose overlay is pointed at it; none where there is only one, or where the
    /// application is laid out flat.
    pub env: Option<Name>,
    /// The new image.
    pub image: ImageRef,
    /// The new ModelKit's reference.
    pub modelkit: Option<String>,
    /// The new ModelKit's digest.
    pub modelkit_digest: Option<String>,
    /// The new ModelKit's mount face, where it is mounted.
    pub face: Option<ImageRef>,
}

/// Points an application at a new image and ModelKit, and returns the files that change: none when
/// it is there already.
///
/// Set are images with the new image's name (or the only container's), annotations with the
/// ModelKit, values of environment variables that carried the ModelKit's old reference or digest,
/// the mount face that is a volume, the version label, and that of a release of KServe's.
pub fn bump(tree: &Tree, bump: &Bump) -> Result<Tree> {
    let folder = folder_of(tree, &bump.app, bump.env.as_ref())? + "/";
    let mut changed = Tree::new();
    let mut found = false;
    for (path, text) in tree.iter().filter(|(path, _)| path.starts_with(&folder) && is_yaml(path)) {
        let (new, has_image) = bump_file(text, bump).map_err(|error| error.in_file(path))?;
        found |= has_image;
        if new != text {
            changed.put(path.to_owned(), new);
        }
    }
    match found {
        true => Ok(changed),
        false if tree.has_folder(folder.trim_end_matches('/')) => {
            Err(Error::NothingToSet { what: format!("image {} in {folder}", bump.image.name) })
        }
        false => Err(Error::Missing { path: folder }),
    }
}

/// The folder that says what an application runs, in this environment.
pub fn folder_of(tree: &Tree, app: &Name, env: Option<&Name>) -> Result<String> {
    let envs = environments(tree, app);
    let folder = layout::app_folder(app);
    let kept = |message: String| Err(Error::Kept { place: folder.clone(), message });
    match (env, envs.first()) {
        (None, None) => Ok(folder),
        (Some(_), None) if !tree.has_folder(&folder) => Err(Error::Missing { path: folder + "/" }),
        (Some(_), None) => {
            kept("it is laid out flat, so all environments run the same files".to_owned())
        }
        (Some(env), Some(_)) if !envs.contains(env.as_str()) => {
            Err(Error::Missing { path: layout::overlay(app, env) + "/" })
        }
        (Some(env), Some(_)) => Ok(layout::overlay(app, env)),
        (None, Some(only)) if envs.len() == 1 => Ok(format!("{folder}/overlays/{only}")),
        (None, Some(_)) => {
            let names: Vec<&str> = envs.iter().map(String::as_str).collect();
            kept(format!("it has several environments: name one of {}", names.join(", ")))
        }
    }
}

fn bump_file(text: &str, bump: &Bump) -> Result<(String, bool)> {
    let documents = documents(text)?;
    let mut edits = Edits::new(text);
    for document in &documents {
        let before = edits.found;
        for image in images_to_bump(document, &bump.image)? {
            edits.set(image, &bump.image.to_string(), "the image")?;
        }
        set_kustomize_image(document, &bump.image.name, &bump.image, &mut edits)?;
        if edits.found > before {
            bump_metadata(document, bump, &mut edits)?;
            delivered::set_face(document, bump, &mut edits)?;
        }
        bump_values(document, bump, &mut edits)?;
    }
    let found = edits.found > 0;
    for document in &documents {
        delivered::set_release(document, bump, &mut edits)?;
    }
    Ok((edits.apply(), found))
}

/// Images of the same name; where there is none, the image of the only container.
fn images_to_bump<'a>(document: &'a Node, new: &ImageRef) -> Result<Vec<&'a Node>> {
    let mut images = Vec::new();
    each_container(document, &mut |container| {
        images.extend(container.entry("image"));
        Ok(())
    })?;
    let is_named = |image: &&Node| image.text().is_some_and(|text| image_name(text) == new.name);
    match images.iter().any(is_named) {
        true => Ok(images.into_iter().filter(is_named).collect()),
        false if images.len() == 1 => Ok(images),
        false => Ok(Vec::new()),
    }
}

/// The values of a HelmRelease, as the charts of `helm create` read them.
fn bump_values(document: &Node, bump: &Bump, edits: &mut Edits<'_>) -> Result<()> {
    let Some(values) = delivered::values(document) else { return Ok(()) };
    let at = |path: &[&str]| descend(values, path);
    let (Some(repository), Some(tag)) = (at(&["image", "repository"]), at(&["image", "tag"]))
    else {
        return Ok(());
    };
    let kits = [
        (MODELKIT_ANNOTATION, &bump.modelkit),
        (MODELKIT_DIGEST_ANNOTATION, &bump.modelkit_digest),
    ]
    .map(|(key, new)| (key, at(&["podAnnotations", key]), new));
    // There may be other charts beside it.
    let serves = kits.iter().any(|(_, annotation, _)| annotation.is_some());
    if !serves && repository.text() != Some(&*bump.image.name) {
        return Ok(());
    }
    edits.set(repository, &bump.image.name, "the image")?;
    edits.set(tag, &chart::tag(&bump.image), "the image")?;
    for (key, annotation, new) in kits {
        let Some(annotation) = annotation else { continue };
        match new {
            Some(new) => edits.set(annotation, new, key)?,
            None => return Err(not_editable(annotation, key, NO_MODELKIT)),
        }
    }
    Ok(())
}

pub(super) const NO_MODELKIT: &str = "the new image does not say which ModelKit it serves";

/// Brings what names the ModelKit up to date: annotations, environment, version label.
fn bump_metadata<'a>(document: &'a Node, bump: &Bump, edits: &mut Edits<'_>) -> Result<()> {
    for (key, new) in
        [(MODELKIT_ANNOTATION, &bump.modelkit), (MODELKIT_DIGEST_ANNOTATION, &bump.modelkit_digest)]
    {
        let path = [delivered::metadata(document), &["annotations", key]].concat();
        let Some(annotation) = descend(document, &path) else { continue };
        let Some(new) = new else {
            return Err(not_editable(annotation, key, NO_MODELKIT));
        };
        let old = annotation.text().unwrap_or_default();
        let mut carriers: Vec<&'a Node> = Vec::new();
        each_container(document, &mut |container| {
            let variables = container.entry("env").map_or(&[][..], Node::elements);
            carriers.extend(
                variables
                    .iter()
                    .filter_map(|variable| variable.entry("value"))
                    .filter(|value| value.text() == Some(old)),
            );
            Ok(())
        })?;
        for node in carriers.into_iter().chain([annotation]) {
            edits.set(node, new, key)?;
        }
    }
    set_version(document, bump, edits)
}

/// The version label, of the Deployment and of its pods.
fn set_version(document: &Node, bump: &Bump, edits: &mut Edits<'_>) -> Result<()> {
    let Some(version) = delivered::version(document, bump) else { return Ok(()) };
    for path in [&["metadata"][..], delivered::metadata(document)] {
        let label: Vec<_> =
            path.iter().copied().chain(["labels", "app.kubernetes.io/version"]).collect();
        if let Some(node) = descend(document, &label) {
            edits.set(node, &version, "the version label")?;
        }
    }
    Ok(())
}

/// The memory limits of an application, in bytes, that are below what a model's weights need: a
/// bump leaves them as they are.
pub fn small_memory(
    tree: &Tree,
    app: &Name,
    env: Option<&Name>,
    weight_bytes: u64,
) -> Vec<(String, u64)> {
    let needed = crate::memory(weight_bytes) << 20;
    let limit = |container: &Value| bytes(container.pointer("/resources/limits/memory")?.as_str()?);
    let of = |list| too_small(tree, app, env, needed, list, limit);
    // KServe's pods stand elsewhere, and of a chart its values.
    let serves = |values: &Value| {
        let annotations = values.get("podAnnotations").and_then(Value::as_object);
        annotations.is_some_and(|it| it.contains_key(MODELKIT_DIGEST_ANNOTATION))
    };
    let of_chart = |values: &Value| limit(values).filter(|_| serves(values));
    let charts = too_small(tree, app, env, needed, "/spec/values", of_chart);
    [of("/spec/template/spec/containers"), of("/spec/predictor/containers"), charts].concat()
}

/// The limits below what is needed, in bytes, of what stands at a place of an application's objects,
/// or of all elements of the list there.
pub(super) fn too_small(
    tree: &Tree,
    app: &Name,
    env: Option<&Name>,
    needed: u64,
    place: &str,
    limit: impl Fn(&Value) -> Option<u64>,
) -> Vec<(String, u64)> {
    let Ok(folder) = folder_of(tree, app, env).map(|folder| folder + "/") else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (path, text) in tree.iter().filter(|(path, _)| path.starts_with(&folder) && is_yaml(path)) {
        for object in Object::parse_all(text).unwrap_or_default() {
            let elements = match object.at(place) {
                Some(Value::Array(elements)) => elements.as_slice(),
                one => one.map(std::slice::from_ref).unwrap_or_default(),
            };
            let limits = elements.iter().filter_map(&limit).filter(|limit| *limit < needed);
            found.extend(limits.map(|limit| (path.to_owned(), limit)));
        }
    }
    found
}

/// The bytes of a quantity as people write memory: `448Mi`, `1G`.
pub(crate) fn bytes(quantity: &str) -> Option<u64> {
    let digits = quantity.find(|c: char| !c.is_ascii_digit()).unwrap_or(quantity.len());
    let unit = match &quantity[digits..] {
        "" => 1,
        "k" => 1000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        _ => return None,
    };
    quantity[..digits].parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Release, render};

    fn digest(c: char) -> String {
        format!("sha256:{}", c.to_string().repeat(64))
    }

    fn release() -> Release {
        let image = format!("127.0.0.1:5000/demo/runtime:1.0.0@{}", digest('1'));
        let mut release = Release::new("distilbert".parse().unwrap(), image.parse().unwrap());
        release.modelkit = Some("127.0.0.1:5000/demo/kit:1.0.0".to_owned());
        release.modelkit_digest = Some(digest('a'));
        release.environment.insert("MODEL".to_owned(), "127.0.0.1:5000/demo/kit:1.0.0".to_owned());
        release.environment.insert("OTHER".to_owned(), "1.0.0".to_owned());
        release
    }

    fn rendered(release: &Release) -> Tree {
        render(release).unwrap()
    }

    fn to(version: &str, image: char, kit: char) -> Bump {
        Bump {
            app: "distilbert".parse().unwrap(),
            env: None,
            image: format!("127.0.0.1:5000/demo/runtime:{version}@{}", digest(image))
                .parse()
                .unwrap(),
            modelkit: Some(format!("127.0.0.1:5000/demo/kit:{version}")),
            modelkit_digest: Some(digest(kit)),
            face: None,
        }
    }

    #[test]
    fn a_bump_makes_what_a_new_release_would_render() {
        let tree = rendered(&release());
        let bump_to = to("1.0.1", '2', 'b');
        let changed = bump(&tree, &bump_to).unwrap();
        assert_eq!(changed.paths().collect::<Vec<_>>(), ["apps/distilbert/deployment.yaml"]);
        let mut next = release();
        next.image = bump_to.image;
        next.modelkit = bump_to.modelkit;
        next.modelkit_digest = bump_to.modelkit_digest;
        next.environment.insert("MODEL".to_owned(), "127.0.0.1:5000/demo/kit:1.0.1".to_owned());
        let mut bumped = tree;
        bumped.merge(changed);
        assert_eq!(bumped, rendered(&next));
    }

    #[test]
    fn a_bump_of_what_kserve_runs_is_a_release_of_its_own() {
        let face = |c: char| -> ImageRef {
            format!("127.0.0.1:5000/demo/kit@{}", digest(c)).parse().unwrap()
        };
        for layout in [crate::Layout::Flat, crate::Layout::Envs] {
            let of = |image: char, kit: char, version: &str| {
                let mut release = release();
                release.environment.clear();
                release.layout = layout;
                release.delivery = crate::Delivery::KServe { face: face(kit) };
                let name = format!("127.0.0.1:5000/demo/runtime:{version}@{}", digest(image));
                release.image = name.parse().unwrap();
                release.modelkit = Some(format!("127.0.0.1:5000/demo/kit:{version}"));
                release.modelkit_digest = Some(digest(kit));
                release
            };
            let mut tree = rendered(&of('1', 'a', "1.0.0"));
            let bump_to = Bump { face: Some(face('b')), ..to("1.0.1", '2', 'b') };
            let changed = bump(&tree, &bump_to).unwrap();
            assert!(changed.paths().any(|path| path.ends_with("/poddisruptionbudget.yaml")));
            tree.merge(changed);
            assert_eq!(tree, rendered(&of('2', 'b', "1.0.1")));
        }
    }

    #[test]
    fn a_bump_to_what_is_there_changes_nothing() {
        assert!(bump(&rendered(&release()), &to("1.0.0", '1', 'a')).unwrap().is_empty());
    }

    #[test]
    fn an_image_without_a_modelkit_does_not_take_the_place_of_one_with() {
        let mut other = to("1.0.1", '2', 'b');
        (other.modelkit, other.modelkit_digest) = (None, None);
        let error = bump(&rendered(&release()), &other).unwrap_err();
        let said = crate::error::chain(&error);
        assert!(said.contains("the new image does not say which ModelKit it serves"), "{said}");
        let mut plain = release();
        (plain.modelkit, plain.modelkit_digest) = (None, None);
        assert_eq!(bump(&rendered(&plain), &other).unwrap().len(), 1);
    }

    #[test]
    fn the_version_is_the_new_one_also_where_the_tag_is_none_for_a_label() {
        for tag in [None, Some("_x"), Some("1.0.")] {
            let mut other = to("1.0.1", '2', 'b');
            other.image.tag = tag.map(str::to_owned);
            let changed = bump(&rendered(&release()), &other).unwrap();
            let text = changed.get("apps/distilbert/deployment.yaml").unwrap();
            assert_eq!(text.matches("app.kubernetes.io/version: '222222222222'").count(), 2);
        }
    }

    #[test]
    fn memory_that_a_larger_model_does_not_fit_in_is_found() {
        let tree = rendered(&release());
        let app = "distilbert".parse().unwrap();
        assert_eq!(small_memory(&tree, &app, None, 0), []);
        let found = small_memory(&tree, &app, None, 267_832_560);
        assert_eq!(found, [("apps/distilbert/deployment.yaml".to_owned(), 192 << 20)]);
        assert_eq!(
            ["1G", "2Gi", "3k", "7", "1e3", "x"].map(bytes),
            [Some(1_000_000_000), Some(2 << 30), Some(3000), Some(7), None, None]
        );
    }

    #[test]
    fn an_application_or_image_that_is_not_there_is_an_error() {
        let mut other = to("1.0.1", '2', 'b');
        other.app = "nobody".parse().unwrap();
        assert_eq!(
            bump(&rendered(&release()), &other).unwrap_err().to_string(),
            "apps/nobody/ is not in the tree"
        );
        let mut tree = Tree::new();
        tree.insert("apps/distilbert/service.yaml", "kind: Service\n").unwrap();
        let error = bump(&tree, &to("1.0.1", '2', 'b')).unwrap_err().to_string();
        assert_eq!(
            error,
            "there is no image 127.0.0.1:5000/demo/runtime in apps/distilbert/ to set"
        );
    }

    #[test]
    fn a_bump_of_an_environment_changes_one_file_and_makes_what_would_be_rendered() {
        let mut release = release();
        release.layout = crate::Layout::Envs;
        release.environment.clear();
        let mut tree = rendered(&release);
        let mut prod = release.clone();
        prod.env = "prod".parse().unwrap();
        tree.merge(rendered(&prod));
        let mut to = to("1.0.1", '2', 'b');
        let several = bump(&tree, &to).unwrap_err().to_string();
        assert_eq!(several, "apps/distilbert: it has several environments: name one of dev, prod");
        to.env = Some("staging".parse().unwrap());
        let missing = bump(&tree, &to).unwrap_err().to_string();
        assert_eq!(missing, "apps/distilbert/overlays/staging/ is not in the tree");
        to.env = Some("prod".parse().unwrap());
        let changed = bump(&tree, &to).unwrap();
        let paths: Vec<_> = changed.paths().collect();
        assert_eq!(paths, ["apps/distilbert/overlays/prod/release.yaml"]);
        (prod.image, prod.modelkit, prod.modelkit_digest) =
            (to.image, to.modelkit, to.modelkit_digest);
        tree.merge(changed);
        let mut expected = rendered(&release);
        expected.merge(rendered(&prod));
        assert_eq!(tree, expected);
        let flat = bump(
            &rendered(&self::release()),
            &Bump { env: prod.env.into(), ..self::to("2", '3', 'c') },
        );
        assert_eq!(
            flat.unwrap_err().to_string(),
            "apps/distilbert: it is laid out flat, so all environments run the same files"
        );
    }
}
