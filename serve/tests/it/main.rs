//! The server from outside: the router as a value, the accept loop over real sockets, the engine
//! against PyTorch.

#[cfg(feature = "engine")]
mod architectures;
mod engine;
mod fastapi;
mod protocols;
mod routes;
mod run;
mod support;
mod swap;
mod tasks;
