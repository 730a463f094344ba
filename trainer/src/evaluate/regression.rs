//! The answer is a figure.
//!
//! Figures are those of `mean_squared_error`, `mean_absolute_error`, `root_mean_squared_error` and
//! `r2_score` in scikit-learn, and of `pearsonr` and `spearmanr` in SciPy.

use serde::{Deserialize, Serialize};

use super::mistakes::{Mistake, Wrong, worst};
use super::ranks::ranks;
use crate::dataset::Example;

/// How a classifier does whose answer is a figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Regression {
    /// The mean of the squared errors.
    pub mse: f64,
    /// Its root, in the units of the figure.
    pub rmse: f64,
    /// The mean of the errors without their signs.
    pub mae: f64,
    /// The share of the variance that is explained; none of a single example.
    pub r2: Option<f64>,
    /// The correlation; none where either side is always the same.
    pub pearson: Option<f64>,
    /// That of the ranks.
    pub spearman: Option<f64>,
}

/// Compares figures with those that are right.
pub(super) fn measure(logits: &[Vec<f32>], examples: &[Example]) -> Regression {
    let given: Vec<f64> = logits.iter().map(|row| f64::from(row[0])).collect();
    let right: Vec<f64> = examples.iter().map(|example| example.target.value()).collect();
    let n = examples.len() as f64;
    let errors = || given.iter().zip(&right).map(|(given, right)| given - right);
    let mse = errors().map(|error| error * error).sum::<f64>() / n;
    Regression {
        mse,
        rmse: mse.sqrt(),
        mae: errors().map(f64::abs).sum::<f64>() / n,
        r2: r2(mse * n, &right),
        pearson: correlation(&given, &right),
        spearman: correlation(&ranks(&given), &ranks(&right)),
    }
}

/// Those with the largest errors.
pub(super) fn mistakes(logits: &[Vec<f32>], examples: &[Example]) -> Vec<Mistake> {
    worst(examples, |n, example| {
        let (given, right) = (f64::from(logits[n][0]), example.target.value());
        let error = (given - right).abs();
        (error > 0.0).then(|| Wrong {
            label: right.to_string(),
            given: format!("{given:.4}"),
            score: error,
            by: error,
        })
    })
}

/// As scikit-learn has it where all figures are the same.
fn r2(squared_errors: f64, right: &[f64]) -> Option<f64> {
    let (_, squares) = spread(right);
    match right.len() {
        0 | 1 => None,
        _ if squares > 0.0 => Some(1.0 - squared_errors / squares),
        _ => Some(if squared_errors == 0.0 { 1.0 } else { 0.0 }),
    }
}

/// The distances from the mean, and the sum of their squares.
fn spread(values: &[f64]) -> (Vec<f64>, f64) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let distances: Vec<f64> = values.iter().map(|value| value - mean).collect();
    let squares = distances.iter().map(|distance| distance * distance).sum();
    (distances, squares)
}

fn correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    let is_constant = |values: &[f64]| values.iter().all(|value| *value == values[0]);
    if a.len() < 2 || is_constant(a) || is_constant(b) {
        return None;
    }
    let ((a, a_squares), (b, b_squares)) = (spread(a), spread(b));
    let product: f64 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
    Some((product / (a_squares.sqrt() * b_squares.sqrt())).clamp(-1.0, 1.0))
}
