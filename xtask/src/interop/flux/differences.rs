//! What our cluster says otherwise than the real Flux, and why that stays.

/// A case, and the reason why both need not agree.
pub(super) const DIFFERENCES: [(&str, &str); 0] = [];

/// The reason, where there is one.
pub(super) fn reason(case: &str) -> Option<&'static str> {
    DIFFERENCES.iter().find(|(name, _)| *name == case).map(|(_, reason)| *reason)
}
