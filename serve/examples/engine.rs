//! Serves a DistilBERT classifier from a Hugging Face model folder until Ctrl-C: `cargo run
//! --release --example engine -- DIR`.

use std::error::Error;
use std::path::PathBuf;

use kit_serve::engine::{Engine, EngineOptions};
use kit_serve::{ModelIdentity, ServeOptions};
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let dir = PathBuf::from(std::env::args_os().nth(1).ok_or("say the model folder")?);
    let listener = TcpListener::bind("127.0.0.1:8000").await?;
    let engine = Engine::load(&dir, &EngineOptions::default())?;
    let (router, handle) =
        kit_serve::server(engine, ModelIdentity::default(), ServeOptions::default());
    kit_serve::run(listener, router, handle, async { drop(tokio::signal::ctrl_c().await) }).await?;
    Ok(())
}
