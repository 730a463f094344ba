//! What came of a tree, and the score.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use super::known;
use super::sides::Answer;

/// What came of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// Both built the same, or both refused.
    Conform,
    /// Different on purpose; see [`known`].
    Known,
    /// Ours says by name what it does not do.
    RefusedByName,
    /// Ours refuses for another reason what theirs builds.
    RefusedOtherwise,
    /// Ours built another thing.
    Wrong,
    /// Ours built what theirs refuses.
    Accepted,
    /// Ours broke down.
    Crash,
}

impl Verdict {
    /// Whether it is one that nobody should meet in use.
    pub(super) fn is_bad(self) -> bool {
        matches!(self, Self::Wrong | Self::Crash)
    }
}

/// A verdict with its reason, in words that trees with the same fault share.
#[derive(Clone, Debug)]
pub(super) struct Judgement {
    pub(super) verdict: Verdict,
    pub(super) reason: String,
}

/// Judges the answers to one tree.
pub(super) fn judge(name: &str, theirs: &Answer, ours: &Answer) -> Judgement {
    let (verdict, reason) = match (&theirs.documents, &ours.documents) {
        _ if ours.crashed() => (Verdict::Crash, ours.error.clone()),
        (None, None) => (Verdict::Conform, String::new()),
        (Some(_), None) if ours.error.contains("not supported") => {
            (Verdict::RefusedByName, kind_of(&ours.error))
        }
        (Some(_), None) => (Verdict::RefusedOtherwise, kind_of(&ours.error)),
        (None, Some(_)) => (Verdict::Accepted, kind_of(&theirs.error)),
        (Some(theirs), Some(ours)) => match difference(theirs, ours) {
            None => (Verdict::Conform, String::new()),
            Some(difference) => (Verdict::Wrong, difference),
        },
    };
    match verdict != Verdict::Conform && known::find(name, theirs, ours, &reason).is_some() {
        true => Judgement { verdict: Verdict::Known, reason },
        false => Judgement { verdict, reason },
    }
}

/// The first place where two lists of objects differ, without the names that only one tree has.
fn difference(theirs: &[Value], ours: &[Value]) -> Option<String> {
    let id = |object: &Value| {
        let text = |pointer| object.pointer(pointer).map(Value::to_string).unwrap_or_default();
        [text("/apiVersion"), text("/kind"), text("/metadata/namespace"), text("/metadata/name")]
    };
    for (theirs, ours) in theirs.iter().zip(ours) {
        if theirs != ours {
            let (a, b) = (id(theirs), id(ours));
            return Some(match a == b {
                true => format!("{} {}", a[1], first_place(theirs, ours, "").unwrap_or_default()),
                false if a[1] == b[1] => format!("another {}", a[1]),
                false => format!("{} where {} should be", b[1], a[1]),
            });
        }
    }
    (theirs.len() != ours.len())
        .then(|| format!("{} objects instead of {}", ours.len(), theirs.len()))
}

fn first_place(theirs: &Value, ours: &Value, path: &str) -> Option<String> {
    match (theirs, ours) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
            keys.into_iter().find_map(|key| {
                let path = format!("{path}/{key}");
                match (a.get(key), b.get(key)) {
                    (Some(a), Some(b)) => first_place(a, b, &path),
                    (Some(_), None) => Some(format!("{path}: missing")),
                    _ => Some(format!("{path}: too much")),
                }
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).find_map(|(a, b)| first_place(a, b, &format!("{path}[]")))
        }
        _ if theirs == ours => None,
        (Value::Array(_), Value::Array(_)) => Some(format!("{path}: another number of elements")),
        _ => Some(format!("{path}: another value")),
    }
}

/// An error's text without what is quoted in it, and of its causes the last one.
pub(super) fn kind_of(error: &str) -> String {
    let last = error.rsplit(": ").next().unwrap_or_default();
    let last = if last.len() < 20 { error } else { last };
    // What stands in braces is the tree's own, too.
    let last = match (last.find('{'), last.rfind('}')) {
        (Some(open), Some(close)) if open < close => {
            format!("{}…{}", &last[..open], &last[close + 1..])
        }
        _ => last.to_owned(),
    };
    let mut kind = String::new();
    let mut quote = None;
    for c in last.chars().filter(|c| *c != '\n').take(200) {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if "\"'`".contains(c) => {
                quote = Some(c);
                kind.push('…');
            }
            None => kind.push(c),
        }
    }
    kind
}

/// Verdicts counted, for each feature and altogether.
#[derive(Default)]
pub(super) struct Score {
    features: BTreeMap<String, BTreeMap<Verdict, usize>>,
    all: BTreeMap<Verdict, usize>,
}

impl Score {
    pub(super) fn count(&mut self, features: &[String], verdict: Verdict) {
        for feature in features {
            *self.features.entry(feature.clone()).or_default().entry(verdict).or_default() += 1;
        }
        *self.all.entry(verdict).or_default() += 1;
    }

    pub(super) fn n(&self, verdict: Verdict) -> usize {
        self.all.get(&verdict).copied().unwrap_or_default()
    }

    /// A line for each feature, and one for all.
    pub(super) fn table(&self, title: &str) -> String {
        let mut table = format!(
            "{title:34} {:>6} {:>8} {:>6} {:>8} {:>9} {:>6} {:>9} {:>6}\n",
            "n", "conform", "known", "refused", "refused", "WRONG", "accepted", "crash"
        );
        let _ = writeln!(
            table,
            "{:34} {:>6} {:>8} {:>6} {:>8} {:>9}",
            "", "", "", "", "by name", "otherwise"
        );
        let rows = self.features.iter().map(|(feature, counts)| (feature.as_str(), counts));
        for (feature, counts) in rows.chain([("all", &self.all)]) {
            let n = |verdict| counts.get(&verdict).copied().unwrap_or_default();
            let _ = writeln!(
                table,
                "{feature:34} {:>6} {:>8} {:>6} {:>8} {:>9} {:>6} {:>9} {:>6}",
                counts.values().sum::<usize>(),
                n(Verdict::Conform),
                n(Verdict::Known),
                n(Verdict::RefusedByName),
                n(Verdict::RefusedOtherwise),
                n(Verdict::Wrong),
                n(Verdict::Accepted),
                n(Verdict::Crash),
            );
        }
        table
    }
}
