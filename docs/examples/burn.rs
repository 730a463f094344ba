//! Serves the trainer's own classifier, on burn, until Ctrl-C: `cargo run --release -p kit-docs
//! --example burn -- DIR`.

use std::error::Error;
use std::path::PathBuf;

use serve::{BoxError, ModelIdentity, Predictor, Prepared, ServeOptions};
use tokio::net::TcpListener;
use trainer::{Classifier, DeviceKind};

struct OnBurn(Classifier);

impl Predictor for OnBurn {
    type Input = String;

    fn labels(&self) -> &[String] {
        self.0.labels()
    }

    fn prepare(&self, text: &str) -> Result<Prepared<String>, BoxError> {
        let n_tokens = self.0.tokenize(&[text])?.first().map_or(0, Vec::len);
        Ok(Prepared { input: text.to_owned(), n_tokens, truncated: false })
    }

    fn predict(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, BoxError> {
        Ok(self.0.classify(texts)?)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let dir = PathBuf::from(std::env::args_os().nth(1).ok_or("say the model folder")?);
    let classifier = Classifier::load(&dir, DeviceKind::Flex)?;
    let listener = TcpListener::bind("127.0.0.1:8000").await?;
    let (router, handle) =
        serve::server(OnBurn(classifier), ModelIdentity::default(), ServeOptions::default());
    serve::run(listener, router, handle, async { drop(tokio::signal::ctrl_c().await) }).await?;
    Ok(())
}
