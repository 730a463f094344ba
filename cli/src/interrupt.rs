//! Ctrl-C: the work at hand is told once, and ends by itself with nothing half-done.

use std::future::Future;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use crate::failure::interrupted;

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
        // Heard from here on, not only when the task has its turn.
        let mut signals = runtime.block_on(async { Signals::listen() });
        runtime.spawn(async move {
            signals.next().await;
            heard.asked.store(true, Ordering::SeqCst);
            heard.notify.notify_waiters();
            signals.next().await;
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
            () = self.wait() => Err(interrupted()),
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

/// SIGINT and SIGTERM, where they can be listened for.
#[cfg(unix)]
struct Signals(Vec<tokio::signal::unix::Signal>);

#[cfg(unix)]
impl Signals {
    fn listen() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = [SignalKind::interrupt(), SignalKind::terminate()];
        Self(kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect())
    }

    async fn next(&mut self) {
        std::future::poll_fn(|context| {
            let mut comes = self.0.iter_mut().map(|signal| signal.poll_recv(context).is_ready());
            match comes.any(|comes| comes) {
                true => std::task::Poll::Ready(()),
                false => std::task::Poll::Pending,
            }
        })
        .await;
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> Self {
        Self
    }

    async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}
