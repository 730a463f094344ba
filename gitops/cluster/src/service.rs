//! Services: each has an address of its own, and at its ports a small TCP proxy over the ready
//! pods. Like kube-proxy's, it chooses a pod for each connection and knows nothing of what flows
//! through it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use gitops::Object;
use serde_json::json;

use crate::Result;
use crate::address::Addresses;
use crate::changes::locked;
use crate::event::Events;
use crate::kubelet::Kubelet;
use crate::spec::{self, Amount, Labels, Service, ServicePort};
use crate::store::Store;

/// How long a pod may take to accept a connection before another one is tried.
const CONNECT: Duration = Duration::from_secs(1);

/// Keeps a proxy for each port of each Service that has ready pods.
pub(crate) struct Services {
    store: Arc<Store>,
    kubelet: Arc<Kubelet>,
    addresses: Arc<Addresses>,
    connections: Arc<Connections>,
    events: Events,
    /// Uids of those for which there was no address.
    without_address: BTreeSet<String>,
    proxies: BTreeMap<SocketAddr, Proxy>,
    /// Those of which it was said that they cannot be opened.
    shut: BTreeSet<SocketAddr>,
}

/// Where the connections of a proxy go.
#[derive(Clone, Debug)]
struct Target {
    service: String,
    namespace: String,
    selector: Labels,
    port: ServicePort,
}

impl Services {
    pub(crate) fn new(
        store: Arc<Store>,
        kubelet: Arc<Kubelet>,
        addresses: Arc<Addresses>,
        events: Events,
    ) -> Self {
        let (without_address, proxies, shut) = (BTreeSet::new(), BTreeMap::new(), BTreeSet::new());
        Self {
            store,
            kubelet,
            addresses,
            connections: Arc::default(),
            events,
            without_address,
            proxies,
            shut,
        }
    }

    /// Whether a port could not be opened, and should be tried again.
    pub(crate) fn has_shut(&self) -> bool {
        !self.shut.is_empty()
    }

    /// One look at everything: proxies come, go, and learn new targets.
    pub(crate) fn sync(&mut self) -> Result<()> {
        let mut wanted = BTreeMap::new();
        for object in self.store.list("", "Service") {
            // What cannot be read is refused on its way in.
            let Ok(service) = spec::read::<Service>(object.value()) else { continue };
            let Some(address) = self.address(&object, &service)? else { continue };
            for port in &service.spec.ports {
                let selector = service.spec.selector.clone();
                let target = Target {
                    service: subject(&service),
                    namespace: service.metadata.namespace.clone(),
                    selector,
                    port: port.clone(),
                };
                // Without a ready pod nobody listens, so that a connection is refused.
                if !target.backends(&self.kubelet).is_empty() {
                    wanted.insert(SocketAddr::from((address, port.port)), target);
                }
            }
        }
        self.proxies.retain(|at, _| wanted.contains_key(at));
        self.shut.retain(|at| wanted.contains_key(at));
        for (at, target) in wanted {
            self.open(at, target);
        }
        self.connections.reap();
        Ok(())
    }

    /// Closes all proxies; what flows through them goes on.
    pub(crate) fn close(&mut self) {
        self.proxies.clear();
    }

    /// Ends what flows.
    pub(crate) fn end_connections(&self) {
        self.connections.end();
    }

    fn address(&mut self, object: &Object, service: &Service) -> Result<Option<Ipv4Addr>> {
        if let Some(known) = object.at("/spec/clusterIP").and_then(|address| address.as_str()) {
            // "None": a headless Service, which has DNS names only, and those are not provided.
            return Ok(known.parse().ok());
        }
        if self.without_address.contains(&service.metadata.uid) {
            return Ok(None);
        }
        let ports: Vec<_> = service.spec.ports.iter().map(|port| port.port).collect();
        match self.addresses.service(&ports) {
            Ok(address) => {
                self.store
                    .change(&object.id(), |object| object["spec"]["clusterIP"] = json!(address))?;
                Ok(Some(address))
            }
            Err(why) => {
                // Said once; asking at each tick would not help.
                self.without_address.insert(service.metadata.uid.clone());
                self.events.tell(subject(service), why.to_string());
                Ok(None)
            }
        }
    }

    fn open(&mut self, at: SocketAddr, target: Target) {
        if let Some(proxy) = self.proxies.get(&at) {
            *locked(&proxy.target) = target;
            return;
        }
        let service = target.service.clone();
        match Proxy::open(at, target, &self.kubelet, &self.connections) {
            Ok(proxy) => {
                self.proxies.insert(at, proxy);
                self.shut.remove(&at);
                self.events.tell(service, format!("listens on {at}"));
            }
            Err(error) if self.shut.insert(at) => {
                self.events.tell(service, format!("cannot listen on {at}: {error}"));
            }
            Err(_) => {}
        }
    }
}

fn subject(service: &Service) -> String {
    format!("service {}/{}", service.metadata.namespace, service.metadata.name)
}

impl Target {
    /// The addresses of the ready pods.
    fn backends(&self, kubelet: &Kubelet) -> Vec<SocketAddr> {
        let same = Amount::Number(self.port.port);
        let wanted = self.port.target_port.as_ref().unwrap_or(&same);
        let pods = kubelet.endpoints(&self.namespace, &self.selector);
        pods.iter().filter_map(|pod| Some((pod.address, pod.port(wanted)?).into())).collect()
    }
}

/// A listening port of a Service. Dropping it closes it; connections that it accepted go on.
struct Proxy {
    at: SocketAddr,
    target: Arc<Mutex<Target>>,
    closed: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    fn open(
        at: SocketAddr,
        target: Target,
        kubelet: &Arc<Kubelet>,
        connections: &Arc<Connections>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(at)?;
        let target = Arc::new(Mutex::new(target));
        let closed = Arc::new(AtomicBool::new(false));
        let (aim, end) = (Arc::clone(&target), Arc::clone(&closed));
        let (kubelet, connections) = (Arc::clone(kubelet), Arc::clone(connections));
        let work = move || accept(&listener, &end, &aim, &kubelet, &connections);
        let thread = thread::Builder::new().name(format!("service {at}")).spawn(work)?;
        Ok(Self { at, target, closed, thread: Some(thread) })
    }
}

/// Takes clients until `closed`; each goes to another pod than the one before.
fn accept(
    listener: &TcpListener,
    closed: &AtomicBool,
    target: &Mutex<Target>,
    kubelet: &Arc<Kubelet>,
    connections: &Connections,
) {
    for (turn, client) in listener.incoming().enumerate() {
        if closed.load(Ordering::Acquire) {
            return;
        }
        match client {
            Ok(client) => {
                let (target, kubelet) = (locked(target).clone(), Arc::clone(kubelet));
                connections.serve(client, move || connect(&target.backends(&kubelet), turn));
            }
            // Out of file descriptors, most likely: give others the time to close some.
            Err(_) => thread::sleep(Duration::from_millis(50)),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Release);
        // Nothing but a connection wakes a thread out of accept.
        if TcpStream::connect_timeout(&self.at, CONNECT).is_ok() {
            let _ = self.thread.take().map(JoinHandle::join);
        }
    }
}

/// A connection to one of the backends, each tried once, beginning with another one each time.
fn connect(backends: &[SocketAddr], first: usize) -> Option<TcpStream> {
    let n = backends.len();
    (0..n).find_map(|i| {
        TcpStream::connect_timeout(&backends[(first.wrapping_add(i)) % n], CONNECT).ok()
    })
}

/// The connections that are open, so that they can be ended.
#[derive(Default)]
struct Connections(Mutex<Vec<Connection>>);

type Slot = Arc<Mutex<Option<Arc<TcpStream>>>>;

struct Connection {
    client: Arc<TcpStream>,
    /// Set once a pod was found.
    pod: Slot,
    /// Told to end, perhaps before a pod was found.
    over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Connections {
    /// Carries bytes between `client` and the stream that `connect` finds, in a thread of its own.
    fn serve(
        &self,
        client: TcpStream,
        connect: impl FnOnce() -> Option<TcpStream> + Send + 'static,
    ) {
        self.reap();
        let client = Arc::new(client);
        let (pod, over) = (Slot::default(), Arc::new(AtomicBool::new(false)));
        let (ours, slot, told) = (Arc::clone(&client), Arc::clone(&pod), Arc::clone(&over));
        let work = move || {
            if let Some(stream) = connect().map(Arc::new) {
                *locked(&slot) = Some(Arc::clone(&stream));
                if !told.load(Ordering::Acquire) {
                    carry(&ours, &stream);
                }
                end(&stream);
            }
            end(&ours);
        };
        let named = thread::Builder::new().name("connection".to_owned());
        // Without a thread the client is dropped here, which closes it.
        if let Ok(thread) = named.spawn(work) {
            locked(&self.0).push(Connection { client, pod, over, thread });
        }
    }

    fn reap(&self) {
        let mut connections = locked(&self.0);
        let (over, open) =
            std::mem::take(&mut *connections).into_iter().partition(|c| c.thread.is_finished());
        *connections = open;
        drop(connections);
        Vec::into_iter(over).for_each(|connection: Connection| drop(connection.thread.join()));
    }

    /// Ends all connections.
    fn end(&self) {
        let connections = std::mem::take(&mut *locked(&self.0));
        for connection in connections {
            connection.over.store(true, Ordering::Release);
            end(&connection.client);
            if let Some(pod) = &*locked(&connection.pod) {
                end(pod);
            }
            let _ = connection.thread.join();
        }
    }
}

/// Carries bytes both ways until both sides have ended.
fn carry(client: &TcpStream, pod: &TcpStream) {
    let _ = (client.set_nodelay(true), pod.set_nodelay(true));
    thread::scope(|scope| {
        scope.spawn(|| copy(client, pod));
        copy(pod, client);
    });
}

/// Carries all bytes from one side to the other, and the end of them, too.
fn copy(from: &TcpStream, to: &TcpStream) {
    match io::copy(&mut &*from, &mut &*to) {
        Ok(_) => drop(to.shutdown(Shutdown::Write)),
        Err(_) => {
            end(from);
            end(to);
        }
    }
}

fn end(stream: &TcpStream) {
    let _ = stream.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    #[test]
    fn a_backend_that_refuses_is_passed_over() {
        let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let here = TcpListener::bind("127.0.0.1:0").unwrap();
        let backends = [gone, here.local_addr().unwrap()];
        for first in [0, 1, usize::MAX] {
            let stream = connect(&backends, first).unwrap();
            assert_eq!(stream.peer_addr().unwrap(), backends[1]);
        }
        assert!(connect(&[gone], 0).is_none());
        assert!(connect(&[], 3).is_none());
    }

    #[test]
    fn bytes_and_their_end_go_both_ways() {
        let pod = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = pod.local_addr().unwrap();
        let door = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(door.local_addr().unwrap()).unwrap();
        let connections = Connections::default();
        connections.serve(door.accept().unwrap().0, move || TcpStream::connect(to).ok());
        let mut server = pod.accept().unwrap().0;
        client.write_all(b"question").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut heard = String::new();
        server.read_to_string(&mut heard).unwrap();
        server.write_all(b"answer").unwrap();
        drop(server);
        let mut answered = String::new();
        client.read_to_string(&mut answered).unwrap();
        assert_eq!((&*heard, &*answered), ("question", "answer"));
        connections.end();
    }

    #[test]
    fn ending_cuts_connections_that_would_stay_open() {
        let pod = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = pod.local_addr().unwrap();
        let door = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(door.local_addr().unwrap()).unwrap();
        let connections = Connections::default();
        connections.serve(door.accept().unwrap().0, move || TcpStream::connect(to).ok());
        let _held = pod.accept().unwrap();
        connections.end();
        assert!(matches!(client.read(&mut [0]), Ok(0) | Err(_)));
    }
}
