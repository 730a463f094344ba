//! Serving a router as it is, for the commands that have nothing else to do.

use axum::Router;
use registry::server::{ListenOptions, run};
use serde_json::json;

use crate::ui::Ui;

/// Serves a router until Ctrl-C, and does something beside it; the URL is the answer, so that port
/// 0 can be asked for.
pub(super) fn serve(
    address: &str,
    router: Router,
    options: ListenOptions,
    beside: impl Future<Output = ()>,
    ui: &Ui,
) -> anyhow::Result<()> {
    let interrupt = ui.interrupt().clone();
    ui.serve(async {
        let listener = super::listen::bind(address).await?;
        let scheme = if options.tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr()?);
        ui.answer(&url, &json!({ "url": url }))?;
        tokio::select! {
            () = run(listener, router, options, async move { interrupt.wait().await }) => Ok(()),
            () = beside => Ok(()),
        }
    })
}
