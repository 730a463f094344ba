//! `spec.postBuild`: values for the variables in what was built.

use serde_json::Value;

use crate::flux::substitute::{Unset, Variables, substitute};
use crate::flux::{Kustomization, ValuesFrom};
use crate::yaml::{self, Dialect};
use crate::{BoxError, Error, Object, ObjectId, Result};

/// An object with this label or annotation, `disabled`, stays as it is.
const SUBSTITUTE: &str = "kustomize.toolkit.fluxcd.io/substitute";

/// Finds an object of the cluster.
pub type Find<'a> = dyn Fn(&ObjectId) -> Result<Option<Object>, BoxError> + 'a;

/// Puts values in the place of variables.
pub(super) fn run(
    kustomization: &Kustomization,
    objects: &mut [Object],
    find: &Find<'_>,
) -> Result<()> {
    let post_build = &kustomization.post_build;
    let Some(first) = objects.first() else { return Ok(()) };
    let failed = |name: &str, reason| Error::PostBuild { name: name.to_owned(), reason };
    let variables =
        variables(kustomization, find).map_err(|reason| failed(first.name(), reason))?;
    if variables.is_empty() && !post_build.always {
        return Ok(());
    }
    let unset = if post_build.is_partial { Unset::Kept } else { Unset::Refused };
    for object in objects {
        let is_disabled = [object.label(SUBSTITUTE), object.annotation(SUBSTITUTE)];
        if !is_disabled.contains(&Some("disabled")) {
            substituted(object, &variables, unset)
                .map_err(|reason| Error::PostBuild { name: object.name().to_owned(), reason })?;
        }
    }
    Ok(())
}

/// The objects from which values would come and which are not there.
pub(crate) fn missing<'a>(
    kustomization: &'a Kustomization,
    find: &Find<'_>,
) -> Vec<&'a ValuesFrom> {
    let is_missing =
        |from: &&ValuesFrom| !matches!(find(&from.id(&kustomization.namespace)), Ok(Some(_)));
    kustomization.post_build.substitute_from.iter().filter(is_missing).collect()
}

fn variables(kustomization: &Kustomization, find: &Find<'_>) -> Result<Variables, String> {
    let post_build = &kustomization.post_build;
    let mut variables = Variables::new();
    for from in &post_build.substitute_from {
        let ValuesFrom { kind, name, optional } = from;
        let failed = |reason: String| format!("substitute from '{kind}/{name}' error: {reason}");
        let found = find(&from.id(&kustomization.namespace));
        match found.map_err(|error| failed(crate::error::chain(&*error)))? {
            Some(object) => values(&object, &mut variables).map_err(failed)?,
            None if *optional || post_build.is_partial => {}
            None => return Err(failed(format!("{}s \"{name}\" not found", kind.to_lowercase()))),
        }
    }
    for (name, value) in &post_build.substitute {
        variables.insert(name.clone(), value.replace('\n', ""));
    }
    Ok(variables)
}

/// The values of a ConfigMap or Secret, each on one line.
fn values(object: &Object, variables: &mut Variables) -> Result<(), String> {
    let is_secret = object.kind() == "Secret";
    for (field, is_encoded) in [("/data", is_secret), ("/stringData", false)] {
        for (name, value) in object.at(field).and_then(Value::as_object).into_iter().flatten() {
            let text = value.as_str().unwrap_or_default();
            let value = match is_encoded {
                true => decoded(text).ok_or_else(|| format!("{name} is not base64 of a text"))?,
                false => text.to_owned(),
            };
            variables.insert(name.clone(), value.replace('\n', ""));
        }
    }
    Ok(())
}

fn decoded(text: &str) -> Option<String> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut n_bits) = (Vec::new(), 0_u32, 0);
    for byte in text.bytes().filter(|b| !b.is_ascii_whitespace() && *b != b'=') {
        let digit = ALPHABET.iter().position(|it| *it == byte)?;
        bits = bits << 6 | digit as u32;
        n_bits += 6;
        if n_bits >= 8 {
            n_bits -= 8;
            bytes.push((bits >> n_bits) as u8);
            bits &= (1 << n_bits) - 1;
        }
    }
    String::from_utf8(bytes).ok()
}

fn substituted(object: &mut Object, variables: &Variables, unset: Unset) -> Result<(), String> {
    let text = object.to_yaml();
    if !text.contains('$') {
        return Ok(());
    }
    let made = substitute(&text, variables, unset)
        .map_err(|wrong| format!("variable substitution failed: {wrong}"))?;
    let mut documents =
        yaml::parse_as(&made, Dialect::Json).map_err(|error| format!("YAMLToJSON: {error}"))?;
    let value = documents.pop().unwrap_or_default();
    *object = Object::from_value(value).map_err(|error| error.to_string())?;
    Ok(())
}
