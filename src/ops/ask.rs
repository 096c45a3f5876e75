//! Asks a running worker's HTTP listener how it is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::machine::{Machine, timeout};

/// What a worker says of itself is a line for each trouble.
const MOST_ANSWER_BYTES: usize = 1024 * 1024;

/// A listener's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: StatusCode,
    pub text: String,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    #[error("nobody answers at {address}: {cause}; is the worker running, and with this [http] listen?")]
    Unreachable { address: SocketAddr, cause: String },
    #[error("no answer from {address} within {} ms", limit.as_millis())]
    Timeout { address: SocketAddr, limit: Duration },
}

/// A GET of this path from the listener at this address.
pub async fn ask(
    machine: &dyn Machine,
    listen: SocketAddr,
    path: &'static str,
    limit: Duration,
) -> Result<Answer, NoAnswer> {
    let address = reachable(listen);
    let unreachable = |cause: String| NoAnswer::Unreachable { address, cause };
    match timeout(machine, limit, get(machine, address, path)).await {
        Some(answer) => answer.map_err(|error| unreachable(error.to_string())),
        None => Err(NoAnswer::Timeout { address, limit }),
    }
}

async fn get(
    machine: &dyn Machine,
    address: SocketAddr,
    path: &'static str,
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the connection; its failure is the request's, too.
    let _connection = machine.spawn(Box::pin(async move { drop(connection.await) }));
    let request = Request::get(path).header(header::HOST, address.to_string()).body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MOST_ANSWER_BYTES).collect().await?.to_bytes();
    Ok(Answer { status, text: String::from_utf8_lossy(&body).into_owned() })
}

/// Where a listener of this machine can be called: one that listens everywhere, at the loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_everywhere_is_called_at_the_loopback() {
        for (listen, called) in [
            ("0.0.0.0:9464", "127.0.0.1:9464"),
            ("[::]:9464", "[::1]:9464"),
            ("10.0.0.1:80", "10.0.0.1:80"),
            ("127.0.0.1:1", "127.0.0.1:1"),
        ] {
            let listen: SocketAddr = listen.parse().expect("an address");
            assert_eq!(reachable(listen).to_string(), called);
        }
    }
}
