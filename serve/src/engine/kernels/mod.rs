//! The inner loops. Everything here exists once in plain Rust and again per instruction set, chosen
//! at run time and tested against the plain one.
//!
//! A place is left for narrower types: an [`Isa`] is a table of tiles, and a tile says nothing
//! about how its panel was made.

mod elementwise;
mod grid;
mod product;

pub(super) use self::elementwise::{
    activate, add_and_norm, attend_first, multiply_by, norm, softmax,
};
pub(super) use self::grid::{Block, Grid};
pub(super) use self::product::{Isa, LINE, Line, Rows};
