#![doc = include_str!("../README.md")]

mod architecture;
mod config;
mod convert;
mod distance;
mod error;
mod folder;
mod golden;
mod keys;
mod names;
mod network;
mod tensors;
mod tokenizer;

pub use architecture::Architecture;
pub use config::{Config, Task};
pub use convert::to_safetensors;
pub use distance::{bucket, frequencies};
pub use error::{Clipped, Error, Few, Result};
pub use folder::{Checkpoint, write};
pub use golden::golden;
pub use network::{
    Activation, Attention, Block, Convolution, Disentangled, Dropouts, Head, Initializer, Network,
    Pooling, Positions, Rotary,
};
pub use tensors::{Tensor, TensorProblem, Tensors};
pub use tokenizer::{Cut, Encoded, Tokenizer, TokenizerFiles, Windower, Windows};
