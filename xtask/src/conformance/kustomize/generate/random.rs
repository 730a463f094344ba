//! Random choices that a seed and a number fix.

use serde_json::Value;

/// SplitMix64, and the objects that were made so far, so that what names an object mostly finds it.
pub(super) struct Random {
    state: u64,
    seen: Vec<Seen>,
}

/// An object that was made.
#[derive(Clone)]
pub(super) struct Seen {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) name: String,
}

impl Random {
    pub(super) fn new(seed: u64, number: u64) -> Self {
        let state = seed.wrapping_mul(0x2545_F491_4F6C_DD1D) ^ number;
        let mut random = Self { state, seen: Vec::new() };
        random.state = random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub(super) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(super) fn of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }

    /// One of some texts.
    pub(super) fn text(&mut self, choices: &[&str]) -> Value {
        (*self.of(choices)).into()
    }

    /// Puts a key into a mapping once in so many times.
    pub(super) fn maybe(&mut self, n: usize, map: &mut Value, key: &str, value: Value) {
        if self.one_in(n) {
            map[key] = value;
        }
    }

    /// Keeps an object in mind.
    pub(super) fn see(&mut self, object: &Value) {
        let text = |pointer| {
            object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        self.seen.push(Seen {
            api_version: text("/apiVersion"),
            kind: text("/kind"),
            name: text("/metadata/name"),
        });
    }

    /// An object of one of these kinds, one that was made where there is any; now and then another.
    pub(super) fn object(&mut self, kinds: &[(&str, &str)]) -> Seen {
        let there: Vec<Seen> = self
            .seen
            .iter()
            .filter(|seen| kinds.iter().any(|(_, kind)| seen.kind == *kind))
            .cloned()
            .collect();
        if !there.is_empty() && !self.one_in(12) {
            return self.of(&there).clone();
        }
        let (api_version, kind) = *self.of(kinds);
        let name = (*self.of(&super::objects::NAMES)).to_owned();
        Seen { api_version: api_version.to_owned(), kind: kind.to_owned(), name }
    }

    /// Whether there is an object of one of these kinds.
    pub(super) fn has(&self, kinds: &[(&str, &str)]) -> bool {
        self.seen.iter().any(|seen| kinds.iter().any(|(_, kind)| seen.kind == *kind))
    }
}
