//! Checks of passwords: slow by design, so few at once, and the newest first. A flood of wrong
//! logins then keeps nobody out: whoever comes waits for a check that runs, not for the flood.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use tokio::sync::oneshot;

use super::Failure;
use super::limits::MAX_LOGINS;

/// Who is checked, and who waits for that.
#[derive(Debug)]
pub(super) struct Checks(Mutex<State>);

#[derive(Debug)]
struct State {
    n_free: usize,
    waiting: VecDeque<oneshot::Sender<Turn>>,
}

/// The leave to check one password; whoever waits gets it next.
#[derive(Debug)]
pub(super) struct Turn(Option<Arc<Checks>>);

impl Default for Checks {
    /// Half of the processors: strangers must not fill the machine.
    fn default() -> Self {
        let n_processors = thread::available_parallelism().map_or(1, usize::from);
        Self::new((n_processors / 2).clamp(1, 4))
    }
}

impl Checks {
    fn new(n_free: usize) -> Self {
        Self(Mutex::new(State { n_free, waiting: VecDeque::new() }))
    }

    /// Waits for a turn. The one who has waited longest is sent away when too many wait.
    pub(super) async fn turn(self: &Arc<Self>) -> Result<Turn, Failure> {
        let waiting = {
            let mut state = self.lock();
            if state.n_free > 0 {
                state.n_free -= 1;
                return Ok(Turn(Some(self.clone())));
            }
            let (sender, receiver) = oneshot::channel();
            state.waiting.push_back(sender);
            if state.waiting.len() > MAX_LOGINS {
                state.waiting.pop_front();
            }
            receiver
        };
        waiting.await.map_err(|_| Failure::too_many("too many log in at once"))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a turn that ended to the newest who waits.
    fn pass_on(self: &Arc<Self>) {
        loop {
            let newest = {
                let mut state = self.lock();
                let Some(newest) = state.waiting.pop_back() else {
                    state.n_free += 1;
                    return;
                };
                newest
            };
            match newest.send(Turn(Some(self.clone()))) {
                Ok(()) => return,
                // Who waited has gone away: the turn is not lost.
                Err(mut returned) => drop(returned.0.take()),
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(checks) = self.0.take() {
            checks.pass_on();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn the_newest_has_the_next_turn_and_no_turn_is_lost() {
        let checks = Arc::new(Checks::new(1));
        let first = checks.turn().await.expect("it is free");
        let mut flood: Vec<_> = (0..MAX_LOGINS).map(|_| Box::pin(checks.turn())).collect();
        assert!(flood.iter_mut().all(|it| it.now_or_never().is_none()));
        let mut gone = Box::pin(checks.turn());
        assert!((&mut gone).now_or_never().is_none());
        let oldest = (&mut flood[0]).now_or_never().expect("it does not wait any more");
        assert!(oldest.is_err_and(|failure| failure.is(super::super::Code::TooMany)));
        let mut newest = Box::pin(checks.turn());
        assert!((&mut newest).now_or_never().is_none());
        drop((gone, first));
        let turn = newest.now_or_never().expect("it is next").expect("it has the turn");
        drop((flood, turn));
        checks.turn().now_or_never().expect("all turns came back").expect("it is free");
    }
}
