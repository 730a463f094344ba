//! Which connections there are, and which of them goes when there are too many.
//!
//! A new connection is let in when there is room, or when one that brings little can be closed for
//! it: so whoever opens many and neither reads nor writes keeps nobody out. One peer never has all
//! of them.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio::task::{AbortHandle, Id};

use super::limits::{DESCRIPTORS_APART, MEASURE, ROUND, SLOW};

/// The connections that are open.
pub(super) struct Connections {
    open: HashMap<Id, Connection>,
    /// How many of those are a peer's, so that letting one in costs the same whatever is open.
    n_of_peer: HashMap<IpAddr, usize>,
    most: usize,
    most_of_peer: usize,
    slow: Slow,
}

/// Which connections are slow, each peer's fastest first: found once in a [`ROUND`], not for each of
/// those that wait.
#[derive(Default)]
struct Slow {
    looked: Option<Instant>,
    of_peer: HashMap<IpAddr, Vec<(u64, Id)>>,
}

pub(super) struct Connection {
    peer: IpAddr,
    /// Bytes in both directions.
    moved: Arc<AtomicU64>,
    /// When it was last measured, and what it had moved then.
    measured: (Instant, u64),
    /// How much it moved between the last two times, in bytes a second; what came before does not
    /// count: the system takes megabytes for whoever does not read.
    rate: Option<u64>,
    task: AbortHandle,
}

impl Connection {
    /// Measures it, when enough time has gone by. What was measured long ago says nothing now.
    fn measure(&mut self) {
        let (since, before) = self.measured;
        let elapsed = since.elapsed();
        if elapsed < MEASURE {
            return;
        }
        let moved = self.moved.load(Ordering::Relaxed);
        let rate = || ((moved - before) as f64 / elapsed.as_secs_f64()) as u64;
        self.rate = (elapsed < 2 * MEASURE).then(rate);
        self.measured = (Instant::now(), moved);
    }

    /// How much it moves, if that is little.
    fn slow_rate(&self) -> Option<u64> {
        self.rate.filter(|rate| *rate < SLOW)
    }
}

impl Connections {
    /// Of so many at most, and of no more than the process may open files for.
    pub(super) fn new(most: usize) -> Self {
        let descriptors = descriptors().saturating_sub(DESCRIPTORS_APART);
        // Each of two fifths needs one for itself and one for what it sends or takes in; those that
        // wait need one each.
        let most = most.min(descriptors / 5 * 2).max(2);
        Self {
            open: HashMap::new(),
            n_of_peer: HashMap::new(),
            most,
            most_of_peer: (most * 3 / 4).max(1),
            slow: Slow::default(),
        }
    }

    /// How many may wait to be let in.
    pub(super) fn max_waiting(&self) -> usize {
        self.most / 2
    }

    /// Says whether a connection of this peer may come in; closes another one for it, if need be.
    pub(super) fn has_room(&mut self, peer: IpAddr) -> bool {
        let peer = network(peer);
        let n_of_peer = self.n_of_peer.get(&peer).copied().unwrap_or_default();
        let is_at_its_most = n_of_peer >= self.most_of_peer;
        if !is_at_its_most && self.open.len() < self.most {
            return true;
        }
        self.find_slow();
        while let Some((rate, id)) = self.slow.take(is_at_its_most.then_some(peer)) {
            let Some(slowest) = self.remove(id) else { continue };
            tracing::debug!(peer = %slowest.peer, rate, "a slow connection makes room");
            slowest.task.abort();
            return true;
        }
        false
    }

    /// Measures all, if that was not done a moment ago.
    fn find_slow(&mut self) {
        if self.slow.looked.is_some_and(|looked| looked.elapsed() < ROUND) {
            return;
        }
        self.slow = Slow { looked: Some(Instant::now()), of_peer: HashMap::new() };
        for (id, connection) in &mut self.open {
            connection.measure();
            if let Some(rate) = connection.slow_rate() {
                self.slow.of_peer.entry(connection.peer).or_default().push((rate, *id));
            }
        }
        let of_peers = self.slow.of_peer.values_mut();
        of_peers.for_each(|slow| slow.sort_unstable_by_key(|(rate, _)| Reverse(*rate)));
    }

    pub(super) fn add(&mut self, peer: IpAddr, moved: Arc<AtomicU64>, task: AbortHandle) {
        let (peer, id, measured) = (network(peer), task.id(), (Instant::now(), 0));
        self.open.insert(id, Connection { peer, moved, measured, rate: None, task });
        *self.n_of_peer.entry(peer).or_default() += 1;
    }

    pub(super) fn remove(&mut self, id: Id) -> Option<Connection> {
        let connection = self.open.remove(&id)?;
        let n_of_peer = self.n_of_peer.entry(connection.peer).or_default();
        *n_of_peer -= 1;
        if *n_of_peer == 0 {
            self.n_of_peer.remove(&connection.peer);
        }
        Some(connection)
    }
}

impl Slow {
    /// The slowest of a peer's, or of all.
    fn take(&mut self, peer: Option<IpAddr>) -> Option<(u64, Id)> {
        let slowest = |(peer, slow): (&IpAddr, &Vec<(u64, Id)>)| Some((slow.last()?.0, *peer));
        let peer = match peer {
            Some(peer) => peer,
            None => self.of_peer.iter().filter_map(slowest).min()?.1,
        };
        let slow = self.of_peer.get_mut(&peer)?;
        let taken = slow.pop();
        if slow.is_empty() {
            self.of_peer.remove(&peer);
        }
        taken
    }
}

/// How many file descriptors the process may have. What it may raise itself it raises, as other
/// servers do.
fn descriptors() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised =
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let most = if raised.is_ok() { limit.maximum } else { limit.current };
    most.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX)
}

/// What counts as one peer: an IPv4 address, or the 64 bits that an IPv6 host is given by its
/// network.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: u8) -> IpAddr {
        [127, 0, 0, n].into()
    }

    /// Adds a connection that can be measured, and has moved so many bytes.
    fn add(connections: &mut Connections, n: u8, bytes: u64) -> tokio::task::JoinHandle<()> {
        let task = tokio::spawn(std::future::pending());
        connections.add(peer(n), Arc::new(AtomicU64::new(bytes)), task.abort_handle());
        let connection = connections.open.get_mut(&task.id()).expect("it was added");
        connection.measured.0 -= MEASURE;
        task
    }

    /// After all were measured anew.
    fn has_room_now(connections: &mut Connections, n: u8) -> bool {
        connections.slow.looked = None;
        connections.has_room(peer(n))
    }

    #[tokio::test]
    async fn the_slowest_makes_room_and_who_moves_bytes_stays() {
        let mut connections = Connections::new(4);
        let [fast, slow, slowest, fourth] =
            [(1, 1 << 30), (1, 100), (1, 10), (2, 1 << 30)].map(|(n, bytes)| {
                assert!(connections.has_room(peer(n)));
                add(&mut connections, n, bytes)
            });
        assert!(has_room_now(&mut connections, 3));
        assert!(slowest.await.is_err_and(|error| error.is_cancelled()));
        let fifth = add(&mut connections, 3, 1 << 30);
        assert!(has_room_now(&mut connections, 1));
        assert!(slow.await.is_err_and(|error| error.is_cancelled()));
        let sixth = add(&mut connections, 1, 10);
        connections.open.get_mut(&sixth.id()).expect("it was added").measured.0 = Instant::now();
        assert!(!has_room_now(&mut connections, 3), "all are fast, or too young to say");
        // One that was fast, and moves nothing now.
        let connection = connections.open.get_mut(&fast.id()).expect("it was added");
        connection.measured.0 -= 3 * MEASURE;
        assert!(!has_room_now(&mut connections, 3), "what it did meanwhile is not known");
        let connection = connections.open.get_mut(&fast.id()).expect("it was added");
        connection.measured.0 -= MEASURE;
        assert!(!connections.has_room(peer(3)), "all were measured a moment ago");
        assert!(has_room_now(&mut connections, 3));
        assert!(fast.await.is_err_and(|error| error.is_cancelled()));
        for task in [fourth, fifth, sixth] {
            assert!(!task.is_finished());
            task.abort();
        }
    }

    #[tokio::test]
    async fn one_peer_never_has_all() {
        let mut connections = Connections::new(4);
        let tasks: Vec<_> = (0..3).map(|_| add(&mut connections, 1, 1 << 30)).collect();
        assert!(!connections.has_room(peer(1)));
        assert!(connections.has_room(peer(2)));
        connections.remove(tasks[0].id());
        assert!(connections.has_room(peer(1)));
        tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }

    #[test]
    fn a_peer_is_an_address_or_a_network() {
        let of = |text: &str| network(text.parse().expect("an address"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_eq!(of("2001:db8::1:2:3:4"), of("2001:db8::5"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8::1"));
    }
}
