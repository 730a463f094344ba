//! What is wrong with a tensor.

use std::fmt;

/// A tensor that does not fit the model.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TensorProblem {
    /// The model needs it, and it is not there.
    Missing(String),
    /// It is there, and the model has no place for it.
    Unused(String),
    /// It is there twice, under one name or under an old and a new one.
    Duplicate(String),
    /// It has another shape than the model needs.
    Shape {
        /// The tensor's name.
        name: String,
        /// What the model needs.
        expected: Vec<usize>,
        /// What the file has.
        found: Vec<usize>,
    },
    /// Its elements are not floating-point numbers.
    ElementType {
        /// The tensor's name.
        name: String,
        /// The elements' type.
        found: String,
    },
}

impl fmt::Display for TensorProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => write!(f, "{name} is missing"),
            Self::Unused(name) => write!(f, "{name} is unknown"),
            Self::Duplicate(name) => write!(f, "{name} is there twice"),
            Self::Shape { name, expected, found } => {
                write!(f, "{name} has shape {found:?} instead of {expected:?}")
            }
            Self::ElementType { name, found } => write!(f, "{name} has elements of type {found}"),
        }
    }
}
