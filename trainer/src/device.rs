//! What computes.

use std::fmt;
use std::str::FromStr;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

/// The backend of burn that computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum DeviceKind {
    /// burn's own CPU backend, the faster one.
    #[default]
    Flex,
    /// The CPU backend on the crate `ndarray`.
    NdArray,
    /// The first NVIDIA card.
    #[cfg(feature = "cuda")]
    Cuda,
    /// Any graphics card, over Vulkan, Metal or DirectX.
    #[cfg(feature = "wgpu")]
    Wgpu,
}

/// The name is none of the devices in this build.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no device {0:?} in this build: it has {known}", known = DeviceKind::names().join(", "))]
pub struct UnknownDevice(String);

impl DeviceKind {
    /// The devices of this build; `cuda` and `wgpu` are features of the same name.
    pub const ALL: &[Self] = &[
        Self::Flex,
        Self::NdArray,
        #[cfg(feature = "cuda")]
        Self::Cuda,
        #[cfg(feature = "wgpu")]
        Self::Wgpu,
    ];

    fn names() -> Vec<String> {
        Self::ALL.iter().map(ToString::to_string).collect()
    }

    /// Without automatic differentiation.
    pub(crate) fn device(self) -> Device {
        match self {
            Self::Flex => Device::flex(),
            #[expect(deprecated, reason = "named by this project's user; flex is the default")]
            Self::NdArray => Device::ndarray(),
            #[cfg(feature = "cuda")]
            Self::Cuda => Device::cuda(0),
            #[cfg(feature = "wgpu")]
            Self::Wgpu => Device::wgpu(burn::tensor::DeviceKind::DefaultDevice),
        }
    }
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flex => "flex",
            Self::NdArray => "ndarray",
            #[cfg(feature = "cuda")]
            Self::Cuda => "cuda",
            #[cfg(feature = "wgpu")]
            Self::Wgpu => "wgpu",
        })
    }
}

impl FromStr for DeviceKind {
    type Err = UnknownDevice;

    fn from_str(name: &str) -> Result<Self, UnknownDevice> {
        let found = Self::ALL.iter().find(|device| device.to_string() == name);
        found.copied().ok_or_else(|| UnknownDevice(name.to_owned()))
    }
}
