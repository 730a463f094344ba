//! An object held against its type.

use std::collections::HashMap;
use std::sync::Mutex;

use regex::Regex;
use serde_json::{Map, Value};

use super::{Field, Rules, Schemas, Shape, Type, value};
use crate::flux::FluxVersion;

/// One thing that a schema has against an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Where, as a JSON pointer.
    pub(crate) pointer: String,
    /// What is wrong there.
    pub(crate) message: String,
}

/// Holds an object against the type of its kind, as this version of Flux has it. A patch need not be
/// whole, and may have kustomize's directives.
pub(crate) fn validate(
    schemas: &Schemas,
    of: &str,
    object: &Value,
    is_patch: bool,
    flux: FluxVersion,
) -> Vec<Fault> {
    let mut check = Check { schemas, is_patch, flux, is_custom: false, faults: Vec::new() };
    if schemas.get(of).is_none() {
        return Vec::new();
    }
    check.shape(&Shape::Named(""), Some(of), object, "", &Rules::default());
    check.faults
}

struct Check<'a> {
    schemas: &'a Schemas,
    is_patch: bool,
    flux: FluxVersion,
    is_custom: bool,
    faults: Vec<Fault>,
}

impl Check<'_> {
    fn fault(&mut self, pointer: &str, message: impl Into<String>) {
        self.faults.push(Fault { pointer: pointer.to_owned(), message: message.into() });
    }

    /// A value of a shape; `named` stands for a name that is only known now.
    fn shape(
        &mut self,
        shape: &Shape,
        named: Option<&str>,
        value: &Value,
        pointer: &str,
        rules: &Rules,
    ) {
        match (shape, value) {
            (Shape::List(inner), Value::Array(elements)) => {
                self.length(elements.len(), rules, pointer);
                let none = Rules::default();
                let rules = rules.items.as_deref().unwrap_or(&none);
                for (n, element) in elements.iter().enumerate() {
                    self.shape(inner, None, element, &format!("{pointer}/{n}"), rules);
                }
            }
            (Shape::Map(inner), Value::Object(map)) => {
                for (key, value) in map {
                    // A patch takes an entry away by null, and so does whoever leaves it empty.
                    if !value.is_null() {
                        let none = Rules::default();
                        self.shape(inner, None, value, &below(pointer, key), &none);
                    }
                }
            }
            (Shape::List(_), _) => {
                self.fault(pointer, format!("it is {}, and should be a list", value::word(value)));
            }
            (Shape::Map(_), _) => self.no_mapping(value, pointer),
            (Shape::Named(name), _) => {
                let name = named.unwrap_or(name);
                match (self.schemas.get(name), value) {
                    (Some(of), Value::Object(map)) => self.object(of, map, pointer),
                    (Some(_), _) => self.no_mapping(value, pointer),
                    (None, _) => match value::check(name, value) {
                        Some(should) => self.fault(
                            pointer,
                            format!("it is {}, and should be {should}", shown(value)),
                        ),
                        None => self.rules(rules, value, pointer),
                    },
                }
            }
        }
    }

    fn no_mapping(&mut self, value: &Value, pointer: &str) {
        self.fault(pointer, format!("it is {}, and should be a mapping", value::word(value)));
    }

    fn object(&mut self, of: &Type, map: &Map<String, Value>, pointer: &str) {
        let outer = std::mem::replace(&mut self.is_custom, of.is_custom);
        for (key, value) in map {
            let place = below(pointer, key);
            match of.fields.get(key.as_str()) {
                // What is null is not there.
                Some(_) if value.is_null() => {}
                Some(Field { rules, .. }) if rules.since.is_some_and(|since| since > self.flux) => {
                    let since = rules.since.unwrap_or_default();
                    let message = format!(
                        "Flux {} does not have this field, it came with {since}",
                        self.flux
                    );
                    self.fault(&place, message);
                }
                Some(Field { shape, rules, .. }) => self.shape(shape, None, value, &place, rules),
                None if self.is_patch && key.starts_with('$') => {}
                None => {
                    let meant = similar(key, of.fields.keys().copied());
                    let hint = meant.map(|it| format!(" (is {it} meant?)")).unwrap_or_default();
                    self.fault(&place, format!("there is no such field{hint}"));
                }
            }
        }
        let mut missing: Vec<&str> = of
            .fields
            .iter()
            .filter(|(key, field)| field.is_needed && map.get(**key).is_none_or(Value::is_null))
            .map(|(key, _)| *key)
            .collect();
        missing.sort_unstable();
        if !self.is_patch {
            for key in missing {
                self.fault(pointer, format!("{key} is missing"));
            }
        }
        self.is_custom = outer;
    }

    fn length(&mut self, n: usize, rules: &Rules, pointer: &str) {
        if rules.min_items.is_some_and(|min| n < min) || rules.max_items.is_some_and(|max| n > max)
        {
            let range = range(rules.min_items, rules.max_items);
            self.fault(pointer, format!("it has {n} elements, and should have {range}"));
        }
    }

    fn rules(&mut self, rules: &Rules, value: &Value, pointer: &str) {
        // To Go's types an empty text is one that is not there.
        let is_unset = !self.is_custom && value.as_str() == Some("");
        if !rules.r#enum.is_empty() && !rules.r#enum.contains(value) && !is_unset {
            let allowed: Vec<String> = rules.r#enum.iter().map(shown).collect();
            self.fault(
                pointer,
                format!("it is {}, and should be one of {}", shown(value), allowed.join(", ")),
            );
        }
        if let Some(since) = value.as_str().and_then(|text| rules.later.get(text))
            && *since > self.flux
        {
            let message =
                format!("{} came with Flux {since}, and this is for {}", shown(value), self.flux);
            self.fault(pointer, message);
        }
        if let (Some(pattern), Some(text)) = (&rules.pattern, value.as_str())
            && !matches(pattern, text)
        {
            self.fault(pointer, format!("{} does not match {pattern}", shown(value)));
        }
        if let Some(n) = value.as_str().map(|text| text.chars().count())
            && (rules.min_length.is_some_and(|min| n < min)
                || rules.max_length.is_some_and(|max| n > max))
        {
            let range = range(rules.min_length, rules.max_length);
            self.fault(pointer, format!("it has {n} characters, and should have {range}"));
        }
        if let Some(n) = value.as_f64() {
            if let Some(min) = rules.minimum.filter(|min| n < *min) {
                self.fault(pointer, format!("it is {value}, and should be {min} at least"));
            }
            if let Some(max) = rules.maximum.filter(|max| n > *max) {
                self.fault(pointer, format!("it is {value}, and should be {max} at most"));
            }
        }
    }
}

/// A value in a message, in its own quotes, and not for long.
fn shown(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = match value {
        Value::Array(_) | Value::Object(_) | Value::Null => return value::word(value).to_owned(),
        scalar => scalar.to_string(),
    };
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn range(min: Option<usize>, max: Option<usize>) -> String {
    match (min, max) {
        (Some(min), Some(max)) => format!("{min} to {max}"),
        (Some(min), None) => format!("{min} at least"),
        (None, max) => format!("{} at most", max.unwrap_or_default()),
    }
}

fn below(pointer: &str, key: &str) -> String {
    format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// Whether a text matches a pattern of a definition; each is compiled once.
fn matches(pattern: &str, text: &str) -> bool {
    static COMPILED: Mutex<Option<HashMap<String, Regex>>> = Mutex::new(None);
    let mut compiled = COMPILED.lock().expect("no holder panics");
    let compiled = compiled.get_or_insert_default();
    if !compiled.contains_key(pattern) {
        let regex = Regex::new(pattern).expect("a test compiles all of them");
        compiled.insert(pattern.to_owned(), regex);
    }
    compiled[pattern].is_match(text)
}

/// The name that was probably meant: the same but for letter case, or one letter away.
fn similar<'a>(key: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let is_near = |name: &str| {
        let (a, b): (Vec<char>, Vec<char>) = (key.chars().collect(), name.chars().collect());
        let same = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
        let (a, b) = (&a[same..], &b[same..]);
        a.get(1..) == Some(b) || b.get(1..) == Some(a) || (a.len() > 1 && a.get(1..) == b.get(1..))
    };
    let mut found: Vec<&str> =
        names.filter(|name| name.eq_ignore_ascii_case(key) || is_near(name)).collect();
    found.sort_unstable();
    found.first().copied()
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::super::schemas;
    use super::*;

    fn check(text: &str, is_patch: bool, expected: Expect) {
        let object = &crate::yaml::parse_all(text).unwrap()[0];
        let text = |key: &str| object[key].as_str().unwrap();
        let flux = FluxVersion::NEWEST;
        let of = schemas().kind(text("apiVersion"), text("kind"), flux).expect("a known kind");
        let lines: String = validate(schemas(), of, object, is_patch, flux)
            .into_iter()
            .map(|fault| format!("{}: {}\n", fault.pointer, fault.message))
            .collect();
        expected.assert_eq(&lines);
    }

    #[test]
    fn what_a_deployment_has_wrong_is_told_all_at_once() {
        check(
            "apiVersion: apps/v1
kind: Deployment
metadata: {name: a, labels: {x: 1}}
spec:
  replica: 2
  replicas: '2'
  template:
    spec:
      containers:
      - image: x
        imagePullPolicy: allways
        ports: [{containerPort: 99999999999}]
        resources: {limits: {memory: 64MB, cpu: 2}}
        securityContext: true
      volumes: {}
",
            false,
            expect![[r#"
                /metadata/labels/x: it is 1, and should be a text
                /spec/replica: there is no such field (is replicas meant?)
                /spec/replicas: it is "2", and should be a whole number of 32 bits
                /spec/template/spec/containers/0/imagePullPolicy: it is "allways", and should be one of "Always", "IfNotPresent", "Never"
                /spec/template/spec/containers/0/ports/0/containerPort: it is 99999999999, and should be a whole number of 32 bits
                /spec/template/spec/containers/0/resources/limits/memory: it is "64MB", and should be a quantity such as 250m, 64Mi or 2
                /spec/template/spec/containers/0/securityContext: it is a boolean, and should be a mapping
                /spec/template/spec/containers/0: name is missing
                /spec/template/spec/volumes: it is a mapping, and should be a list
                /spec: selector is missing
            "#]],
        );
    }

    #[test]
    fn fluxs_definitions_have_patterns_limits_and_what_is_needed() {
        check(
            "apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: a}
spec:
  interval: 5 minutes
  sourceRef: {kind: Git, name: x}
  targetNamespace: ''
  images: [{newTag: a}]
  deletionPolicy: ''
",
            false,
            expect![[r#"
                /spec/deletionPolicy: it is "", and should be one of "MirrorPrune", "Delete", "WaitForTermination", "Orphan"
                /spec/images/0: name is missing
                /spec/interval: "5 minutes" does not match ^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$
                /spec/sourceRef/kind: it is "Git", and should be one of "OCIRepository", "GitRepository", "Bucket", "ExternalArtifact"
                /spec/targetNamespace: it has 0 characters, and should have 1 to 63
                /spec: prune is missing
            "#]],
        );
    }

    #[test]
    fn what_is_null_or_empty_is_not_there() {
        check(
            "apiVersion: v1\nkind: Pod\nmetadata: {name: a, annotations: null}\nspec: {containers: [{name: c, imagePullPolicy: '', env: null}], dnsPolicy: ''}\n",
            false,
            expect![""],
        );
        check(
            "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: null}\n",
            false,
            expect![[r#"
                /spec: containers is missing
            "#]],
        );
    }

    #[test]
    fn what_a_version_of_flux_does_not_have_yet_is_told_with_the_one_that_has() {
        let kustomization = serde_json::json!({
            "metadata": {"name": "a"},
            "spec": {
                "interval": "5m", "prune": true, "sourceRef": {"kind": "GitRepository", "name": "a"},
                "buildMetadata": ["originAnnotations"], "deletionPolicy": "Delete",
            },
        });
        let said = |flux: &str| {
            let flux = flux.parse().unwrap();
            let api = "kustomize.toolkit.fluxcd.io/v1";
            let of = schemas().kind(api, "Kustomization", flux).unwrap();
            validate(schemas(), of, &kustomization, false, flux)
        };
        assert_eq!(said("2.9"), []);
        assert_eq!(said("2.8")[0].message, "Flux 2.8 does not have this field, it came with 2.9");
        let alert = |version: &str, flux: &str| {
            let api = format!("notification.toolkit.fluxcd.io/{version}");
            schemas().kind(&api, "Alert", flux.parse().unwrap()).is_some()
        };
        assert!(alert("v1", "2.10") && !alert("v1", "2.9") && alert("v1beta3", "2.10"));
        assert!(alert("v1beta2", "2.8") && !alert("v1beta2", "2.9"));
        let instead = schemas().instead_of(
            "kustomize.toolkit.fluxcd.io/v1beta2",
            "Kustomization",
            "2.8".parse().unwrap(),
        );
        assert_eq!(instead, ["kustomize.toolkit.fluxcd.io/v1"]);
    }

    #[test]
    fn a_patch_need_not_be_whole() {
        check(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {template: {spec: {containers: [{name: c, $patch: delete, imgae: x}]}}}\n",
            true,
            expect![[r#"
                /spec/template/spec/containers/0/imgae: there is no such field
            "#]],
        );
    }
}
