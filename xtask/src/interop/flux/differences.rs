//! What our cluster says otherwise than the real Flux, and why that stays.

/// Of a case, what is compared only up to a place, and why.
struct Difference {
    case: &'static str,
    /// What of a line that begins with `Ready` or `history` stands behind this is not compared.
    up_to: &'static str,
    why: &'static str,
}

const DIFFERENCES: [Difference; 3] = [
    Difference {
        case: "bad-yaml",
        up_to: "a.yaml:",
        why: "our reader of YAML says line and column, and in its own words; Go's says a line that is one too few",
    },
    Difference {
        case: "no-kind",
        up_to: "a.yaml:",
        why: "we say which field is missing, where kustomize says that metadata are",
    },
    Difference {
        case: "missing-resource",
        up_to: "kustomize build failed:",
        why: "we name the file that is not there once, where kustomize tries it as a folder, too",
    },
];

/// Leaves out what is not compared of a case.
pub(super) fn compared(case: &str, said: &str) -> String {
    let Some(it) = DIFFERENCES.iter().find(|it| it.case == case) else { return said.to_owned() };
    let cut = |line: &str| match line.split_once(it.up_to) {
        Some((before, _)) if ["Ready ", "history "].iter().any(|it| line.starts_with(it)) => {
            format!("{before}{}", it.up_to)
        }
        _ => line.to_owned(),
    };
    said.lines().map(cut).collect::<Vec<_>>().join("\n")
}

/// The same of an event, whose message is that of `Ready`.
pub(super) fn of_event(case: &str, line: &str) -> String {
    match DIFFERENCES.iter().find(|it| it.case == case).and_then(|it| line.split_once(it.up_to)) {
        Some((before, _)) => before.to_owned(),
        None => line.to_owned(),
    }
}

/// Why not all of a case is compared.
pub(super) fn why(case: &str) -> Option<&'static str> {
    DIFFERENCES.iter().find(|it| it.case == case).map(|it| it.why)
}
