#![doc = include_str!("../README.md")]

mod classifier;
mod dataset;
mod device;
mod distilbert;
mod error;
mod evaluate;
mod isa;
mod place;
mod random;
mod report;
mod train;
mod vectors;
mod weights;

pub use checkpoint::{TensorProblem, to_safetensors};
pub use classifier::{Classifier, is_replaceable};
pub use dataset::{Columns, Dataset, Example, ReadOptions, RowProblem, Split};
pub use device::{DeviceKind, UnknownDevice};
pub use error::{Error, Result};
pub use evaluate::{Calibration, CalibrationBin, Evaluation, LabelScore, Mistake, evaluate};
pub use report::{About, DataSummary, EpochReport, Measured, Report};
pub use train::{
    Audited, BrokenRecord, ClassWeights, Difference, Event, Keep, Link, Listener, Record,
    Retrained, TrainConfig, audit, drawn, retrain, train,
};
