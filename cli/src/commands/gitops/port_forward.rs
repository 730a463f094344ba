//! `kit-rs gitops port-forward`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use anyhow::{Context as _, bail};
use gitops::Name;
use gitops::selector::Selector;
use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use super::api::{Api, is_not_there};
use crate::failure::{WithHint as _, failure};
use crate::kind::Kind;
use crate::ui::Ui;

/// Reach a pod, a Deployment or a Service of the local cluster at a port of one's choice
///
/// `kubectl port-forward` speaks SPDY, which the local cluster does not: there, everything has an
/// address of this machine, and this forwards to it until Ctrl-C.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What answers: pod/NAME (or NAME), deployment/NAME or service/NAME
    target: Target,
    /// `[LOCAL:]REMOTE`, a number or the name of a port; LOCAL 0 (`:REMOTE`) takes a free one
    #[arg(required = true)]
    ports: Vec<Ports>,
    /// Its namespace
    #[arg(short, long, default_value = "default")]
    namespace: Name,
    /// Where to listen
    #[arg(long, default_value_t = Ipv4Addr::LOCALHOST.into())]
    address: IpAddr,
    /// The local cluster's API
    #[arg(
        long,
        value_name = "URL",
        env = "KIT_RS_SERVER",
        default_value = "http://127.0.0.1:8001"
    )]
    server: String,
}

/// A kind and a name.
#[derive(Clone)]
struct Target {
    kind: Of,
    name: String,
}

#[derive(Clone, Copy, PartialEq)]
enum Of {
    Pod,
    Deployment,
    Service,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, name) = text.split_once('/').unwrap_or(("pod", text));
        let kind = match kind {
            "pod" | "pods" | "po" => Of::Pod,
            "deployment" | "deployments" | "deploy" | "deployment.apps" => Of::Deployment,
            "service" | "services" | "svc" => Of::Service,
            other => return Err(format!("{other} is none of pod, deployment and service")),
        };
        Ok(Self { kind, name: name.to_owned() })
    }
}

/// A port here and one there.
#[derive(Clone)]
struct Ports {
    /// None where it is the same as there.
    local: Option<u16>,
    remote: String,
}

impl FromStr for Ports {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (local, remote) = match text.split_once(':') {
            None => (None, text),
            Some(("", remote)) => (Some(0), remote),
            Some((local, remote)) => {
                let port = local.parse().map_err(|_| format!("{local:?} is no port"))?;
                (Some(port), remote)
            }
        };
        if remote.is_empty() {
            return Err("which port of it?".to_owned());
        }
        Ok(Self { local, remote: remote.to_owned() })
    }
}

pub(super) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    let api = Api::new(Some(&args.server))?;
    let object = find(&args, &api, ui)?;
    let mut pairs = Vec::new();
    for ports in &args.ports {
        let there = address(args.target.kind, &object, &ports.remote)?;
        if !there.ip().is_loopback() {
            bail!("{there} is no address of this machine: kubectl port-forward reaches it");
        }
        pairs.push((ports.local.unwrap_or(there.port()), there));
    }
    ui.serve(forward(pairs, args.address, ui))
}

/// The object whose address is forwarded to: the Service, or a pod, which for a Deployment is one
/// that is ready.
fn find(args: &Args, api: &Api, ui: &Ui) -> anyhow::Result<Value> {
    let (namespace, name) = (&args.namespace, &args.target.name);
    let get = |path: &str| {
        api.get(path, ui).map_err(|error| match is_not_there(&error) {
            true => failure(Kind::NotFound, format!("there is no {name} in {namespace}")),
            false => error,
        })
    };
    match args.target.kind {
        Of::Service => get(&format!("/api/v1/namespaces/{namespace}/services/{name}")),
        Of::Pod => get(&format!("/api/v1/namespaces/{namespace}/pods/{name}")),
        Of::Deployment => {
            let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments/{name}");
            let deployment = get(&path)?;
            let labels = deployment["spec"]["selector"]["matchLabels"].as_object();
            let labels = labels.map(serde_json::Map::iter).into_iter().flatten();
            let pairs =
                labels.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
            let selector = Selector::parse(&pairs.collect::<Vec<_>>().join(","));
            let selector = selector.map_err(anyhow::Error::msg)?;
            let mut pods = get(&format!("/api/v1/namespaces/{namespace}/pods"))?;
            let pods = pods["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
            let ready = |pod: &Value| {
                let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
                selector.matches(pod.pointer("/metadata/labels"))
                    && conditions
                        .into_iter()
                        .any(|it| it["type"] == "Ready" && it["status"] == "True")
            };
            pods.into_iter()
                .find(ready)
                .with_context(|| format!("no pod of {name} is ready"))
                .hint("kit-rs gitops get pods says how they are")
        }
    }
}

/// Where a port of a Service or of a pod is.
fn address(kind: Of, object: &Value, port: &str) -> anyhow::Result<SocketAddr> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let name = text("/metadata/name");
    let (ip, number) = match kind {
        Of::Service => {
            let ports = object["spec"]["ports"].as_array().into_iter().flatten();
            let number = port.parse::<u64>().ok();
            let is_it = |it: &&Value| {
                it["name"] == port || number.is_some() && it["port"].as_u64() == number
            };
            let number = ports.into_iter().find(is_it).map(|it| it["port"].clone());
            (text("/spec/clusterIP"), number)
        }
        Of::Pod | Of::Deployment => {
            let containers = object["spec"]["containers"].as_array().into_iter().flatten();
            let ports = containers.filter_map(|it| it["ports"].as_array()).flatten();
            let mut named =
                ports.filter(|it| it["name"] == port).map(|it| it["containerPort"].clone());
            let number = port.parse::<u16>().ok().map(Value::from);
            (text("/status/podIP"), number.or(named.next()))
        }
    };
    let number = number.and_then(|it| it.as_u64()).and_then(|it| u16::try_from(it).ok());
    let number = number.with_context(|| format!("{name} has no port {port}"))?;
    let ip: IpAddr = ip.parse().with_context(|| format!("{name} has no address yet"))?;
    Ok(SocketAddr::new(ip, number))
}

async fn forward(pairs: Vec<(u16, SocketAddr)>, at: IpAddr, ui: &Ui) -> anyhow::Result<()> {
    let mut listeners = Vec::new();
    for (local, there) in pairs {
        let listener = TcpListener::bind((at, local))
            .await
            .with_context(|| format!("cannot listen on {at}:{local}"))
            .hint("choose another port: LOCAL:REMOTE")?;
        let here = listener.local_addr()?;
        ui.answer(
            format!("Forwarding from {here} -> {}", there.port()),
            &json!({"from": here, "port": there.port()}),
        )?;
        listeners.push((listener, there));
    }
    let mut tasks = tokio::task::JoinSet::new();
    for (listener, there) in listeners {
        tasks.spawn(accept(listener, there));
    }
    ui.interrupt().wait().await;
    tasks.shutdown().await;
    Ok(())
}

/// Connects whoever comes.
async fn accept(listener: TcpListener, there: SocketAddr) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((mut client, from)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        connections.spawn(async move {
            let connected = async {
                let mut server = TcpStream::connect(there).await?;
                copy_bidirectional(&mut client, &mut server).await
            };
            if let Err(error) = connected.await {
                tracing::warn!("the connection of {from} to {there}: {error}");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_numbers_or_names() {
        let read = |text: &str| text.parse::<Ports>().map(|it| (it.local, it.remote));
        assert_eq!(read("8000"), Ok((None, "8000".to_owned())));
        assert_eq!(read("80:http"), Ok((Some(80), "http".to_owned())));
        assert_eq!(read(":http"), Ok((Some(0), "http".to_owned())));
        for bad in ["", "80:", "x:80", "99999:80"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_address_is_that_of_the_port_that_is_meant() {
        let service = json!({
            "metadata": {"name": "web"},
            "spec": {"clusterIP": "127.1.0.1", "ports": [{"name": "http", "port": 80, "targetPort": 8000}]},
        });
        let at =
            |kind, object: &Value, port: &str| address(kind, object, port).map(|it| it.to_string());
        assert_eq!(at(Of::Service, &service, "http").unwrap(), "127.1.0.1:80");
        assert_eq!(at(Of::Service, &service, "80").unwrap(), "127.1.0.1:80");
        assert!(at(Of::Service, &service, "8000").is_err());
        let pod = json!({
            "metadata": {"name": "web-1"}, "status": {"podIP": "127.1.0.2"},
            "spec": {"containers": [{"ports": [{"name": "http", "containerPort": 8000}]}]},
        });
        assert_eq!(at(Of::Pod, &pod, "http").unwrap(), "127.1.0.2:8000");
        assert_eq!(at(Of::Deployment, &pod, "9000").unwrap(), "127.1.0.2:9000");
        assert!(at(Of::Pod, &pod, "metrics").is_err());
    }
}
