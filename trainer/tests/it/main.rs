//! The trainer against PyTorch's own figures, and against its promises.

mod cancel;
mod dataset;
mod fixture;
mod folder;
mod keys;
mod learning;
mod parity;
mod proof;
mod repeat;
mod served;
mod tasks;
