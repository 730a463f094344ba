//! Serving a router as it is, for the commands that have nothing else to do.

use std::future::IntoFuture as _;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use serde_json::json;

use crate::ui::Ui;

/// How long a transfer in flight may take to end after Ctrl-C.
const GRACE: Duration = Duration::from_secs(10);

/// Serves a router until Ctrl-C; the URL is the answer, so that port 0 can be asked for.
pub(super) fn serve(address: &str, router: Router, ui: &Ui) -> anyhow::Result<()> {
    let interrupt = ui.interrupt().clone();
    ui.serve(async {
        let listener = super::listen::bind(address).await?;
        let url = format!("http://{}", listener.local_addr()?);
        ui.answer(&url, &json!({ "url": url }))?;
        let asked = interrupt.clone();
        let server =
            axum::serve(listener, router).with_graceful_shutdown(async move { asked.wait().await }).into_future();
        let deadline = async {
            interrupt.wait().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            ended = server => ended.context("the server failed"),
            () = deadline => Ok(()),
        }
    })
}
