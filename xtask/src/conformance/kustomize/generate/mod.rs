//! Trees made of a seed: bases, variants, overlays and components with whatever fields come out.
//!
//! All files are JSON, which is YAML too, so that a failing tree can be made smaller value by value.

mod fields;
mod objects;
mod plugins;
mod random;

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use self::random::Random;
use super::Case;
use super::sides::Files;

/// A tree on its way.
struct Maker {
    random: Random,
    files: Files,
    features: BTreeSet<&'static str>,
}

/// The tree with a number.
pub(super) fn tree(seed: u64, number: u64) -> Case {
    let mut maker =
        Maker { random: Random::new(seed, number), files: Files::new(), features: BTreeSet::new() };
    maker.base("base");
    let path = match maker.random.below(6) {
        0 => "base",
        1 | 2 => {
            // Two variants of one base meet in one build.
            maker.overlay("dev", &["../base"]);
            maker.overlay("prod", &["../base"]);
            maker.overlay("overlay", &["../dev", "../prod"]);
            "overlay"
        }
        3 => {
            maker.base("other");
            maker.overlay("overlay", &["../base", "../other"]);
            "overlay"
        }
        _ => {
            maker.overlay("overlay", &["../base"]);
            "overlay"
        }
    };
    Case {
        name: format!("seed-{seed}-{number}"),
        features: maker.features.iter().map(|it| (*it).to_owned()).collect(),
        files: maker.files,
        path,
    }
}

impl Maker {
    fn base(&mut self, folder: &str) {
        let objects: Vec<Value> =
            (0..1 + self.random.below(4)).map(|_| objects::any(&mut self.random)).collect();
        self.write(&format!("{folder}/objects.yaml"), &objects);
        self.kustomization(folder, &["objects.yaml"]);
    }

    fn overlay(&mut self, folder: &str, bases: &[&str]) {
        let mut resources = bases.to_vec();
        if self.random.one_in(3) {
            let object = objects::any(&mut self.random);
            self.write(&format!("{folder}/more.yaml"), &[object]);
            resources.push("more.yaml");
        }
        self.kustomization(folder, &resources);
    }

    fn kustomization(&mut self, folder: &str, resources: &[&str]) {
        let mut file = Map::new();
        file.insert("resources".to_owned(), json!(resources));
        for _ in 0..self.random.below(4) {
            self.field(folder, &mut file);
        }
        if self.random.one_in(8) {
            self.component(folder, &mut file);
        }
        self.write(&format!("{folder}/kustomization.yaml"), &[Value::Object(file)]);
    }

    fn component(&mut self, folder: &str, file: &mut Map<String, Value>) {
        let mut component = Map::new();
        component.insert("apiVersion".to_owned(), "kustomize.config.k8s.io/v1alpha1".into());
        component.insert("kind".to_owned(), "Component".into());
        let beside = format!("{folder}-component");
        if self.random.one_in(2) {
            let object = objects::any(&mut self.random);
            self.write(&format!("{beside}/objects.yaml"), &[object]);
            component.insert("resources".to_owned(), json!(["objects.yaml"]));
        }
        for _ in 0..=self.random.below(2) {
            self.field(&beside, &mut component);
        }
        self.write(&format!("{beside}/kustomization.yaml"), &[Value::Object(component)]);
        self.features.insert("components");
        file.insert("components".to_owned(), json!([format!("../{beside}")]));
    }

    fn write(&mut self, path: &str, documents: &[Value]) {
        let texts: Vec<String> = documents
            .iter()
            .map(|it| serde_json::to_string_pretty(it).unwrap_or_default())
            .collect();
        self.files.insert(path.to_owned(), texts.join("\n---\n"));
    }
}
