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

pub use checkpoint::{Encoded, Task, TensorProblem, Windows, to_safetensors};
pub use classifier::{Classifier, is_replaceable};
pub use dataset::{Columns, Dataset, Doubles, Example, ReadOptions, RowProblem, Split, Target};
pub use device::{DeviceKind, UnknownDevice};
pub use error::{Error, Result};
pub use evaluate::{
    Averages, Calibration, CalibrationBin, Evaluation, LabelScore, Mistake, MultiLabel, Regression,
    Scores, SingleLabel, ThresholdScore, evaluate,
};
pub use report::{About, DataSummary, EpochReport, Figures, Measured, Report};
pub use train::{ClassWeights, Event, Keep, Listener, TrainConfig, train};
