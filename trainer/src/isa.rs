//! The instructions that compute, and what they have to do with the weights' bits.

use crate::device::DeviceKind;

/// What the processor can: the level of the x86-64 psABI, or the architecture.
pub(crate) fn instruction_set() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        if !(has!("avx2") && has!("fma")) {
            return "x86-64";
        }
        let is_v4 = has!("avx512f")
            && has!("avx512bw")
            && has!("avx512cd")
            && has!("avx512dq")
            && has!("avx512vl");
        if is_v4 { "x86-64-v4" } else { "x86-64-v3" }
    }
    #[cfg(not(target_arch = "x86_64"))]
    std::env::consts::ARCH
}

/// The least instruction set with the same bits. On flex every sum has an order of its own,
/// whatever the width of the vectors, so that all that counts is whether a product is fused with
/// the sum that it goes into.
pub(crate) fn bits_of(kind: DeviceKind, instruction_set: &str) -> &str {
    match (kind, instruction_set) {
        (DeviceKind::Flex, "x86-64-v4") => "x86-64-v3",
        _ => instruction_set,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wider_vectors_change_nothing_on_flex_and_may_on_others() {
        assert_eq!(bits_of(DeviceKind::Flex, "x86-64-v4"), bits_of(DeviceKind::Flex, "x86-64-v3"));
        assert_ne!(bits_of(DeviceKind::Flex, "x86-64-v4"), bits_of(DeviceKind::Flex, "x86-64"));
        assert_ne!(
            bits_of(DeviceKind::NdArray, "x86-64-v4"),
            bits_of(DeviceKind::NdArray, "x86-64-v3")
        );
    }
}
