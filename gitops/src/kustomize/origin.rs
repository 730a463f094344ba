//! Where objects come from and what changed them, as `buildMetadata` asks for
//! (api/resource/origin.go).

use super::load::texts_of;
use super::resources::Resources;
use crate::{OciArtifact, yaml};

/// Where an object comes from.
pub(super) const ANNOTATION: &str = "config.kubernetes.io/origin";
/// What changed it.
const TRANSFORMATIONS: &str = "alpha.config.kubernetes.io/transformations";

/// What kustomize and its relatives note for themselves while they work (api/resource/resource.go,
/// `BuildAnnotations`); none of it is printed.
const INTERNAL: [&str; 18] = [
    "internal.config.kubernetes.io/previousKinds",
    "internal.config.kubernetes.io/previousNames",
    "internal.config.kubernetes.io/prefixes",
    "internal.config.kubernetes.io/suffixes",
    "internal.config.kubernetes.io/previousNamespaces",
    "internal.config.kubernetes.io/allowNameChange",
    "internal.config.kubernetes.io/allowKindChange",
    "internal.config.kubernetes.io/refBy",
    "internal.config.kubernetes.io/generatorBehavior",
    "internal.config.kubernetes.io/needsHashSuffix",
    "internal.config.kubernetes.io/path",
    "internal.config.kubernetes.io/index",
    "internal.config.kubernetes.io/seqindent",
    "internal.config.kubernetes.io/id",
    "internal.config.kubernetes.io/annotations-migration-resource-id",
    "config.kubernetes.io/path",
    "config.kubernetes.io/index",
    "config.k8s.io/id",
];

/// Where an object, a generator or a transformer comes from.
#[derive(Clone, Debug, Default)]
pub(super) struct Origin {
    /// The file, from the folder that is built, or from the root of the artifact that it is in.
    pub(super) path: String,
    /// The artifact that it, or the file below, is in.
    artifact: Option<OciArtifact>,
    /// The file with the generator or transformer.
    configured_in: String,
    /// Its `apiVersion`, kind, name and namespace; empty where it has none.
    configured_by: [String; 4],
}

impl Origin {
    /// A file with objects.
    pub(super) fn of_file(path: String, artifact: Option<OciArtifact>) -> Self {
        Self { path, artifact, ..Self::default() }
    }

    /// What a plugin makes or changes.
    pub(super) fn of_plugin(configured_in: String, configured_by: [&str; 4]) -> Self {
        let configured_by = configured_by.map(str::to_owned);
        Self { configured_in, configured_by, ..Self::default() }
    }

    /// A field of a kustomization, by the plugin that it stands for.
    pub(super) fn of_field(file: String, artifact: Option<OciArtifact>, plugin: &str) -> Self {
        Self { artifact, ..Self::of_plugin(file, ["builtin", plugin, "", ""]) }
    }

    fn lines(&self) -> Vec<String> {
        let line = |key: &str, text: &str| format!("{key}: {}", yaml::printed(text));
        let mut lines = Vec::new();
        if !self.path.is_empty() {
            lines.push(line("path", &self.path));
        }
        if let Some(artifact) = &self.artifact {
            lines.push(line("repo", &artifact.repository_url()));
            lines.push(line("ref", &artifact.digest));
        }
        if !self.configured_in.is_empty() {
            lines.push(line("configuredIn", &self.configured_in));
        }
        let keys = ["apiVersion", "kind", "name", "namespace"];
        let by = keys.iter().zip(&self.configured_by).filter(|(_, text)| !text.is_empty());
        let by: Vec<String> = by.map(|(key, text)| format!("  {}", line(key, text))).collect();
        if !by.is_empty() {
            lines.push("configuredBy:".to_owned());
            lines.extend(by);
        }
        lines
    }

    /// The origin as an annotation has it.
    pub(super) fn text(&self) -> String {
        self.lines().iter().map(|line| format!("{line}\n")).collect()
    }

    fn as_element(&self) -> String {
        let lines = self.lines();
        let mark = |n: usize| if n == 0 { "- " } else { "  " };
        lines.iter().enumerate().map(|(n, line)| format!("{}{line}\n", mark(n))).collect()
    }
}

/// Notes a transformer at every object; one without an origin counts as made by it.
pub(super) fn note(resources: &mut Resources, by: &Origin) {
    for resource in resources.as_mut().iter_mut().filter(|resource| !resource.is_gone()) {
        let object = &mut resource.object;
        if object.annotation(ANNOTATION).is_none() {
            object.set_annotation(ANNOTATION, &by.text());
            continue;
        }
        let before = object.annotation(TRANSFORMATIONS).unwrap_or_default();
        let now = format!("{before}{}", by.as_element());
        object.set_annotation(TRANSFORMATIONS, &now);
    }
}

/// Takes the annotations away that were not asked for, and makes texts of all others.
pub(super) fn finish(resources: &mut Resources, asked: &[String]) {
    let is_asked = |word: &str| asked.iter().any(|it| it == word);
    let unwanted: Vec<&str> =
        [(ANNOTATION, "originAnnotations"), (TRANSFORMATIONS, "transformerAnnotations")]
            .into_iter()
            .filter(|(_, word)| !is_asked(word))
            .map(|(annotation, _)| annotation)
            .chain(INTERNAL)
            .collect();
    for resource in resources.as_mut() {
        if let Some(map) = resource
            .value_mut()
            .pointer_mut("/metadata/annotations")
            .and_then(serde_json::Value::as_object_mut)
        {
            unwanted.iter().for_each(|annotation| drop(map.remove(*annotation)));
        }
        let blanks = std::mem::take(&mut resource.blanks);
        texts_of(resource.value_mut(), "annotations", &blanks);
    }
}
