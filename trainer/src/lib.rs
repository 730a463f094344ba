//! Turns labelled text and a Hugging Face checkpoint into a fine-tuned classifier and a report of
//! how it went.
//!
//! It knows nothing of HTTP, registries and Kitfiles: a model folder goes in, a model folder comes
//! out.
//!
//! ```rust
#![doc = include_str!("../examples/train.rs")]
//! ```
//!
//! In reading order:
//! - [`Dataset`], [`Example`], [`Split`]: labelled text, read and divided.
//! - [`Classifier`]: a checkpoint, its tokenizer and its labels; loaded and saved strictly.
//! - [`train`], [`TrainConfig`], [`Event`]: fine-tuning that repeats to the byte; [`train_kept`], [`Keep`]: that goes on after a kill.
//! - [`evaluate`], [`Evaluation`]: what the classifier gets right.
//! - [`Report`]: everything needed to tell how a model came to be.

mod classifier;
mod dataset;
mod device;
mod distilbert;
mod error;
mod evaluate;
mod isa;
mod random;
mod report;
mod train;
mod vectors;
mod weights;

pub use checkpoint::TensorProblem;
pub use classifier::{Classifier, is_replaceable};
pub use dataset::{Columns, Dataset, Example, RowProblem, Split};
pub use device::{DeviceKind, UnknownDevice};
pub use error::{Error, Result};
pub use evaluate::{
    Calibration, CalibrationBin, Evaluation, LabelScore, Mistake, evaluate, evaluate_told,
};
pub use report::{DataSummary, EpochReport, Measured, Report};
pub use train::{ClassWeights, Event, Keep, TrainConfig, train, train_kept};
