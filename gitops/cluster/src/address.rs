//! Addresses of their own for pods and Services, out of this machine's 127.0.0.0/8.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::Mutex;

use crate::changes::locked;
use crate::{Error, Result};

/// Hands out loopback addresses in a fixed order.
/// Each cluster has a /16 of its own, chosen by its state folder; never 127.0.0.0/16, where
/// everybody else listens, and none that another cluster has.
#[derive(Debug)]
pub(crate) struct Addresses {
    network: u8,
    /// Listens so that other clusters see that the network is taken.
    _claim: Option<TcpListener>,
    pods: Mutex<u16>,
    services: Mutex<u16>,
}

/// How many addresses are tried for one pod or Service before giving up.
const ATTEMPTS: usize = 32;
/// Where a cluster that has 127.N.0.0/16 listens: 127.N.255.255, which is nobody's otherwise.
const CLAIM: u16 = 7255;

impl Addresses {
    pub(crate) fn new(state_dir: &Path) -> Self {
        let mut hasher = DefaultHasher::new();
        state_dir.hash(&mut hasher);
        let first = (hasher.finish() % 254) as u8;
        let mut networks = (0..254).map(|n| ((u16::from(first) + n) % 254) as u8 + 1);
        let claimed = networks.find_map(|network| {
            let claim = TcpListener::bind((Ipv4Addr::new(127, network, 255, 255), CLAIM)).ok()?;
            Some((network, Some(claim)))
        });
        // Where all are taken, or nothing can be, each address is still looked at.
        let (network, _claim) = claimed.unwrap_or((first + 1, None));
        Self { network, _claim, pods: Mutex::new(0), services: Mutex::new(0) }
    }

    /// The next pod address (`127.N.0-127.x`) on which nobody listens at `ports` yet.
    pub(crate) fn pod(&self, ports: &[u16]) -> Result<Ipv4Addr> {
        self.free(&self.pods, 0, ports)
    }

    /// The next Service address (`127.N.128-255.x`) on which nobody listens at `ports` yet.
    pub(crate) fn service(&self, ports: &[u16]) -> Result<Ipv4Addr> {
        self.free(&self.services, 128, ports)
    }

    fn free(&self, counter: &Mutex<u16>, half: u8, ports: &[u16]) -> Result<Ipv4Addr> {
        let mut taken = String::new();
        for _ in 0..ATTEMPTS {
            let address = self.next(counter, half);
            let problem = ports
                .iter()
                .find_map(|port| Some((port, TcpListener::bind((address, *port)).err()?)));
            let Some((port, error)) = problem else { return Ok(address) };
            taken = format!("cannot listen at {address}:{port}: {error}");
            // A port below 1024 without the right to it, for one, is the same at every address.
            if error.kind() != io::ErrorKind::AddrInUse {
                return Err(Error::Address { problem: taken });
            }
        }
        let problem = format!(
            "{taken}, as at {} addresses before; does something listen on 0.0.0.0?",
            ATTEMPTS - 1
        );
        Err(Error::Address { problem })
    }

    fn next(&self, counter: &Mutex<u16>, half: u8) -> Ipv4Addr {
        let mut counter = locked(counter);
        // 254 hosts in each of 128 subnets, then from the start again.
        *counter = *counter % (128 * 254) + 1;
        let index = *counter - 1;
        Ipv4Addr::new(127, self.network, half + (index / 254) as u8, (index % 254) as u8 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_differ_and_come_in_the_same_order() {
        let one = Addresses::new(Path::new("/a"));
        let first = one.pod(&[]).unwrap();
        let two = Addresses::new(Path::new("/a"));
        assert_ne!(first.octets()[1], two.pod(&[]).unwrap().octets()[1], "the network is taken");
        assert_ne!(first, one.pod(&[]).unwrap());
        assert_ne!(one.service(&[]).unwrap(), one.pod(&[]).unwrap());
        assert!(first.is_loopback() && first.octets()[1] != 0);
        drop(one);
        assert_eq!(first, Addresses::new(Path::new("/a")).pod(&[]).unwrap());
    }

    #[test]
    fn an_address_with_the_port_taken_is_passed_over() {
        let address = Addresses::new(Path::new("/b")).pod(&[]).unwrap();
        let other = TcpListener::bind((address, 0)).unwrap();
        let port = other.local_addr().unwrap().port();
        assert_ne!(address, Addresses::new(Path::new("/b")).pod(&[port]).unwrap());
        let everywhere = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = everywhere.local_addr().unwrap().port();
        let refusal = Addresses::new(Path::new("/b")).pod(&[port]).unwrap_err();
        assert!(refusal.to_string().contains("0.0.0.0"), "{refusal}");
    }
}
