//! Loops over `f32`, with the instructions that the processor has.

/// Runs a loop with the widest vectors that the processor has. Values are computed each by itself
/// or summed in a fixed order, and no product is fused with a sum, so that the bits are the same
/// for any width.
#[inline(always)]
pub(crate) fn vectors<R>(work: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(work)
}
