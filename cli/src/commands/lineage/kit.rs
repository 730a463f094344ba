//! A ModelKit: who has signed it, what it says of itself, and what its model came from.

use kitfile::Kitfile;
use modelkit::ModelKit;
use registry::{Digest, Reference};
use serde_json::Value;
use trust::predicate_type;

use super::Way;
use super::fact::{Fact, Standing};
use super::served::text;
use crate::output::pinned;

/// Types of statements that are asked for, by their short names.
const STATEMENTS: [&str; 3] = ["slsaprovenance1", "cyclonedx", "evaluation"];

impl Way<'_> {
    pub(super) fn kit(&self, reference: &Reference, kit: &ModelKit) -> anyhow::Result<Fact> {
        let signatures = self.signatures(reference, kit.digest())?;
        let said = self.said(&signatures);
        let name = pinned(reference, kit.digest());
        let why = (
            Standing::Proven,
            "its documents have this digest, and name all that is in it by digest",
        );
        let kitfile: Value = serde_json::from_str(&kit.kitfile().to_json())?;
        let training = self.training(reference, kit, &kitfile, &said)?;
        let fact = Fact::new("ModelKit", name, why)
            .from(signatures)
            .from(training)
            .from(measured(kit.kitfile(), &kitfile, &said))
            .from(self.deployed(kit.digest().as_ref())?);
        Ok(fact)
    }

    /// Signatures and statements of the keys that count.
    pub(super) fn signatures(
        &self,
        reference: &Reference,
        digest: &Digest,
    ) -> anyhow::Result<Vec<Fact>> {
        if self.keys.is_empty() || reference.is_local() {
            return Ok(Vec::new());
        }
        let client = self.network.client(self.ui)?;
        self.ui.block_on(async {
            let mut facts = Vec::new();
            for key in &self.keys {
                let signed = (Standing::Signed, "the signature over this digest holds");
                match trust::verify(&client, reference, digest, key).await {
                    Ok(verified) => facts.push(Fact::new("signature of", &verified.key, signed)),
                    Err(trust::Error::Unsigned { .. }) => (),
                    Err(error) => return Err(error.into()),
                }
                for name in STATEMENTS {
                    let of_type = predicate_type(name).unwrap_or(name);
                    match trust::attestations(&client, reference, digest, key, of_type).await {
                        Ok(said) => {
                            let why = (Standing::Signed, format!("said by {}", key.fingerprint()));
                            let told = |it: &trust::Attestation| summary(of_type, &it.predicate);
                            facts.extend(
                                said.iter().map(|it| Fact::new("statement", told(it), why.clone())),
                            );
                        }
                        Err(trust::Error::Unattested { .. }) => (),
                        Err(error) => return Err(error.into()),
                    }
                }
            }
            Ok(facts)
        })
    }

    /// What a ModelKit's own words count for.
    fn said(&self, signatures: &[Fact]) -> (Standing, String) {
        match signatures.iter().find(|fact| fact.what == "signature of") {
            Some(fact) => {
                (Standing::Signed, format!("in the Kitfile, which {} has signed", fact.name))
            }
            None => (Standing::Declared, "in the Kitfile".to_owned()),
        }
    }
}

/// A statement in a few words.
fn summary(of_type: &str, predicate: &Value) -> String {
    match text(predicate, "/buildDefinition/buildType") {
        Some(build) => format!("{of_type}, {build}"),
        None => match predicate.pointer("/metrics/accuracy").and_then(Value::as_f64) {
            Some(accuracy) => format!("{of_type}, accuracy {accuracy:.4}"),
            None => of_type.to_owned(),
        },
    }
}

/// What the Kitfile says of how good the model is.
fn measured(kitfile: &Kitfile, json: &Value, said: &(Standing, String)) -> Vec<Fact> {
    let metrics = json.pointer("/model/parameters/metrics").and_then(Value::as_object);
    let Some(metrics) = metrics.filter(|_| kitfile.model.is_some()) else { return Vec::new() };
    let told: Vec<String> = metrics
        .iter()
        .filter(|(_, value)| value.is_number())
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    vec![Fact::new("evaluation", told.join(", "), said.clone())]
}
