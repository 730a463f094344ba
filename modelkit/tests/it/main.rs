//! Packing and unpacking, from the outside.

mod compare;
mod files;
mod golden;
mod hostile;
mod image;
mod kitops;
mod modelpack;
mod packing;
mod parents;
mod project;
mod reading;
mod reuse;
mod unpacking;
