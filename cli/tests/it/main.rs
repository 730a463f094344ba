//! The program, run as a program.
//!
//! Sessions in a shell are compared with what stands in `tests/transcripts/` and in the guide. One
//! command writes both anew, and the guide's reference of flags with them:
//! `UPDATE_EXPECT=1 cargo test --package kit-cli`.
//!
//! Needed beside the program: Linux (each session has an address of its own in 127.0.0.0/8), bash,
//! coreutils, git and curl.

mod attacks;
mod deliveries;
mod guide;
mod hostile;
mod image;
mod packaging;
mod peer;
mod programs;
mod secrets;
mod session;
mod terminal;
mod transcript;
mod trust;
mod unheard;
mod verbs;
mod world;
