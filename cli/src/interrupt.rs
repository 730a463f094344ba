//! Ctrl-C: the work at hand is told once, and ends by itself with nothing half-done.

use std::future::Future;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use crate::failure::Interrupted;

/// What is told when a transfer was interrupted.
pub(crate) const GOES_ON: &str = "the same command goes on where it was";

/// Whether the user wants the command to end.
#[derive(Clone, Default)]
pub(crate) struct Interrupt {
    asked: Arc<AtomicBool>,
    notify: Arc<Notify>,
}

impl Interrupt {
    /// Listens for SIGINT and SIGTERM from now on; a second one ends the process at once.
    pub(crate) fn listen(runtime: &tokio::runtime::Runtime) -> Self {
        let interrupt = Self::default();
        let heard = interrupt.clone();
        runtime.spawn(async move {
            signal().await;
            heard.asked.store(true, Ordering::SeqCst);
            heard.notify.notify_waiters();
            signal().await;
            std::process::exit(130);
        });
        interrupt
    }

    /// For callbacks of long plain work.
    pub(crate) fn flow(&self) -> ControlFlow<()> {
        if self.asked.load(Ordering::SeqCst) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    /// Runs a future until it ends or the user wants it to.
    pub(crate) async fn or<T>(
        &self,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        tokio::select! {
            biased;
            () = self.wait() => Err(Interrupted.into()),
            result = work => result,
        }
    }

    /// Resolves when the user wants the command to end.
    pub(crate) async fn wait(&self) {
        let notified = self.notify.notified();
        tokio::pin!(notified);
        notified.as_mut().enable();
        if self.flow().is_continue() {
            notified.await;
        }
    }
}

#[cfg(unix)]
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => (),
        _ = terminate.recv() => (),
    }
}

#[cfg(not(unix))]
async fn signal() {
    let _ = tokio::signal::ctrl_c().await;
}
