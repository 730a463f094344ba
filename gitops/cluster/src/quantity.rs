//! Quantities of cpu and memory: how they are written, and what follows from them.

use serde_json::Value;

use crate::spec::Container;

/// The billionths that a quantity such as `250m`, `1.5Gi` or `1e3` is.
/// Source: apimachinery, pkg/api/resource/quantity.go; none for what is no quantity, or too large.
pub(crate) fn billionths(quantity: &Value) -> Option<i128> {
    let text = match quantity {
        Value::String(text) => text.clone(),
        number => number.is_number().then(|| number.to_string())?,
    };
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(&text);
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') || whole.len() + fraction.len() == 0 {
        return None;
    }
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let exponent = 9 - i32::try_from(fraction.len()).ok()?;
    let (binary, decimal) = match suffix {
        "n" => (0, -9),
        "u" => (0, -6),
        "m" => (0, -3),
        "" => (0, 0),
        "k" => (0, 3),
        "M" => (0, 6),
        "G" => (0, 9),
        "T" => (0, 12),
        "P" => (0, 15),
        "E" => (0, 18),
        "Ki" => (10, 0),
        "Mi" => (20, 0),
        "Gi" => (30, 0),
        "Ti" => (40, 0),
        "Pi" => (50, 0),
        "Ei" => (60, 0),
        other => (0, other.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    let digits = digits.checked_mul(1 << binary)?;
    let exponent = exponent.checked_add(decimal)?;
    let power = 10i128.checked_pow(exponent.unsigned_abs())?;
    let value = match exponent >= 0 {
        true => digits.checked_mul(power)?,
        false => digits.checked_add(power - 1)? / power,
    };
    Some(if text.starts_with('-') { -value } else { value })
}

/// What `resourceFieldRef` stands for: `resource` of a container (`limits.memory`, …) in units of
/// `divisor`, rounded up. A request that is not set is the limit, as an API server fills it in.
pub(crate) fn field(
    container: &Container,
    resource: &str,
    divisor: &Value,
) -> Result<i128, String> {
    let (list, name) = resource.split_once('.').unwrap_or((resource, ""));
    let set = |list: &str| container.resources.as_ref().map(|it| &it[list][name]);
    let found = set(list).filter(|it| !it.is_null());
    let found = found.or_else(|| set("limits").filter(|it| list == "requests" && !it.is_null()));
    let Some(found) = found else {
        let why = "and what the node has is not told here";
        return Err(format!("the container sets no {resource}, {why}"));
    };
    let number = |it: &Value| billionths(it).ok_or_else(|| format!("{it} is no quantity"));
    let divisor = if divisor.is_null() { number(&1.into())? } else { number(divisor)? };
    // "0" is the same as none.
    let divisor = if divisor <= 0 { 1_000_000_000 } else { divisor };
    Ok((number(found)? + divisor - 1).div_euclid(divisor))
}

/// `status.qosClass` of a pod of these containers.
/// Source: kubernetes, pkg/apis/core/v1/helper/qos.
pub(crate) fn qos_class<'a>(containers: impl Iterator<Item = &'a Container>) -> &'static str {
    let (mut is_guaranteed, mut is_best_effort) = (true, true);
    for container in containers {
        for name in ["cpu", "memory"] {
            let set = |list: &str| {
                let value = container.resources.as_ref().map(|it| &it[list][name]);
                value.and_then(billionths).filter(|it| *it > 0)
            };
            let limit = set("limits");
            let request = set("requests").or(limit);
            is_best_effort &= limit.is_none() && request.is_none();
            is_guaranteed &= limit.is_some() && request == limit;
        }
    }
    match (is_best_effort, is_guaranteed) {
        (true, _) => "BestEffort",
        (_, true) => "Guaranteed",
        _ => "Burstable",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::spec;

    #[test]
    fn quantities_are_numbers_with_a_suffix() {
        let one = 1_000_000_000;
        for (text, expected) in [
            (json!("250m"), Some(one / 4)),
            (json!("1.5Gi"), Some(3 * (one << 29))),
            (json!(2), Some(2 * one)),
            (json!("1e3"), Some(1000 * one)),
            (json!("1E"), Some(one * 10i128.pow(18))),
            (json!(".5"), Some(one / 2)),
            (json!("-1k"), Some(-1000 * one)),
            (json!("1.0001n"), Some(2)),
            (json!("64MB"), None),
            (json!("1.2.3"), None),
            (json!(""), None),
            (json!("1e999"), None),
            (json!(null), None),
        ] {
            assert_eq!(billionths(&text), expected, "{text}");
        }
    }

    fn container(resources: Value) -> Container {
        spec::read(&json!({"name": "a", "resources": resources})).unwrap()
    }

    #[test]
    fn resources_are_told_in_units_rounded_up() {
        let it = container(json!({"limits": {"cpu": "1500m", "memory": "64Mi"}}));
        assert_eq!(field(&it, "limits.cpu", &Value::Null), Ok(2));
        assert_eq!(field(&it, "limits.cpu", &json!("1m")), Ok(1500));
        assert_eq!(field(&it, "requests.memory", &json!("1Ki")), Ok(65536));
        assert_eq!(field(&it, "limits.memory", &json!("0")), Ok(64 << 20));
        let refusal = field(&it, "limits.ephemeral-storage", &Value::Null).unwrap_err();
        assert!(refusal.contains("sets no limits.ephemeral-storage"), "{refusal}");
    }

    #[test]
    fn the_class_of_a_pod_follows_from_all_its_containers() {
        let all = json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m"}});
        let (all, some) = (container(all), container(json!({"limits": {"memory": "1Gi"}})));
        let none = container(json!({}));
        let class = |of: &[&Container]| qos_class(of.iter().copied());
        assert_eq!(class(&[&all]), "Guaranteed");
        assert_eq!(class(&[&none, &none]), "BestEffort");
        assert_eq!(class(&[&all, &none]), "Burstable");
        assert_eq!(class(&[&some]), "Burstable");
    }
}
