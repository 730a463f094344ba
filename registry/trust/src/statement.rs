//! in-toto statements: what is said of which digests (in-toto/attestation, `spec/v1/statement.md`).

use std::collections::BTreeMap;

use registry::content::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, Result};

const TYPE: &str = "https://in-toto.io/Statement/v1";
/// Of the same form, and what `cosign attest` 3.1 writes.
const FORMER_TYPE: &str = "https://in-toto.io/Statement/v0.1";
/// What cosign says by a signature without anything further.
pub(crate) const SIGNED: &str = "https://sigstore.dev/cosign/sign/v1";
/// As many as cosign looks at.
const MAX_SUBJECTS: usize = 1024;

/// Something that is said of digests.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Statement {
    #[serde(rename = "_type")]
    of_type: String,
    pub(crate) subject: Vec<Subject>,
    predicate_type: String,
    #[serde(default)]
    pub(crate) predicate: Value,
}

/// What it is said of.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Subject {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) name: String,
    pub(crate) digest: BTreeMap<String, String>,
}

impl Statement {
    /// One about a digest, of which the algorithm and the hexadecimal digits are given.
    pub(crate) fn new(
        name: &str,
        (algorithm, hex): (&str, &str),
        predicate_type: &str,
        predicate: Value,
    ) -> Self {
        let digest = BTreeMap::from([(algorithm.to_owned(), hex.to_owned())]);
        Self {
            of_type: TYPE.to_owned(),
            subject: vec![Subject { name: name.to_owned(), digest }],
            predicate_type: predicate_type.to_owned(),
            predicate,
        }
    }

    pub(crate) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("it becomes JSON")
    }

    /// Reads one that makes this kind of statement.
    pub(crate) fn parse(payload: &[u8], predicate_type: &str) -> Result<Self> {
        let statement: Self = serde_json::from_slice(payload)
            .map_err(|error| Error::refused(format!("it signs no statement: {error}")))?;
        if ![TYPE, FORMER_TYPE].contains(&statement.of_type.as_str()) {
            let refused = format!("it signs a statement of the type {:?}", statement.of_type);
            return Err(Error::refused(refused));
        }
        if statement.predicate_type != predicate_type {
            return Err(Error::refused(format!(
                "it says {:?} and not {predicate_type:?}",
                statement.predicate_type
            )));
        }
        if statement.subject.len() > MAX_SUBJECTS {
            return Err(Error::refused("it speaks of too much at once"));
        }
        Ok(statement)
    }

    /// Whether it speaks of this digest.
    pub(crate) fn is_about(&self, digest: &Digest) -> bool {
        let (algorithm, hex) = (digest.algorithm().as_ref(), digest.digest());
        self.subject.iter().any(|it| it.digest.get(algorithm).is_some_and(|it| it == hex))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_types_of_statements_are_read_and_no_other() {
        let parsed = |of_type: &str| {
            let text = format!(
                r#"{{"_type": "https://in-toto.io/{of_type}", "subject": [], "predicateType": "p", "predicate": 1}}"#
            );
            Statement::parse(text.as_bytes(), "p").map(|statement| statement.predicate)
        };
        for of_type in ["Statement/v1", "Statement/v0.1"] {
            assert_eq!(parsed(of_type).expect("read"), 1);
        }
        assert!(parsed("Statement/v2").is_err());
    }
}
