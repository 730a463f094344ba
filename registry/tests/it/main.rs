//! The integration tests of this crate, as one binary.

#[cfg(all(feature = "client", feature = "server"))]
mod client;
#[cfg(all(feature = "client", feature = "server"))]
mod faults;
#[cfg(all(feature = "hub", feature = "server"))]
mod hub;
#[cfg(all(feature = "client", feature = "server"))]
mod kill;
mod layout;
#[cfg(all(feature = "hub", feature = "server"))]
mod quirks;

#[cfg(feature = "server")]
mod server;
