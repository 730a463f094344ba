//! Packing and unpacking, from the outside.

mod golden;
mod hostile;
mod image;
mod packing;
mod parents;
mod project;
mod reading;
mod unpacking;
