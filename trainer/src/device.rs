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
}

/// The name is none of the devices in this build.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no device {0:?}: use flex or ndarray")]
pub struct UnknownDevice(String);

impl DeviceKind {
    /// Without automatic differentiation.
    pub(crate) fn device(self) -> Device {
        match self {
            Self::Flex => Device::flex(),
            #[expect(deprecated, reason = "named by this project's user; flex is the default")]
            Self::NdArray => Device::ndarray(),
        }
    }
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flex => "flex",
            Self::NdArray => "ndarray",
        })
    }
}

impl FromStr for DeviceKind {
    type Err = UnknownDevice;

    fn from_str(name: &str) -> Result<Self, UnknownDevice> {
        match name {
            "flex" => Ok(Self::Flex),
            "ndarray" => Ok(Self::NdArray),
            _ => Err(UnknownDevice(name.to_owned())),
        }
    }
}
