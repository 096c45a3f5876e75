//! The tap: a TCP proxy between the bridge and one service. It keeps the bytes that the service sent, and it can hold
//! everything up, as a network does that neither delivers nor refuses.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::STUCK;

/// What one connection brought from the service.
type Bytes = Arc<Mutex<Vec<u8>>>;

/// A proxy to one HTTP endpoint. Dropping it closes its listener.
pub struct Tap {
    url: String,
    frozen: watch::Sender<bool>,
    /// Turns true when bytes are first held up.
    holding: watch::Receiver<bool>,
    /// Each connection's bytes from the service.
    received: Arc<Mutex<Vec<Bytes>>>,
    _listener: JoinSet<()>,
}

impl Tap {
    /// Starts a proxy to `upstream`, an `http://host:port` URL.
    pub async fn start(upstream: &str) -> Self {
        let target = upstream.strip_prefix("http://").expect("a plain HTTP endpoint").to_owned();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port can be bound");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let (frozen, frozen_now) = watch::channel(false);
        let (holds, holding) = watch::channel(false);
        let hold = Hold { frozen: frozen_now, holds };
        let received = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, target, hold, received.clone()));
        Tap { url, frozen, holding, received, _listener: tasks }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on no byte passes, in either direction; connections stay open.
    pub fn freeze(&self) {
        self.frozen.send_replace(true);
    }

    /// Waits until bytes are held up.
    pub async fn held_up(&self) {
        let waiting =
            tokio::time::timeout(STUCK, self.holding.clone().wait_for(|yes| *yes)).await.map(|_| ());
        waiting.expect("somebody sends something");
    }

    /// Whether the service ever sent these bytes, one after another.
    pub fn received(&self, needle: &[u8]) -> bool {
        let connections = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        connections.iter().any(|bytes| {
            let bytes = bytes.lock().unwrap_or_else(PoisonError::into_inner);
            bytes.windows(needle.len().max(1)).any(|window| window == needle)
        })
    }
}

#[derive(Clone)]
struct Hold {
    frozen: watch::Receiver<bool>,
    holds: watch::Sender<bool>,
}

impl Hold {
    /// Waits until bytes may pass; false when the tap is gone.
    async fn pass(&mut self) -> bool {
        if *self.frozen.borrow() {
            self.holds.send_replace(true);
        }
        self.frozen.wait_for(|frozen| !*frozen).await.is_ok()
    }
}

async fn accept(listener: TcpListener, target: String, hold: Hold, received: Arc<Mutex<Vec<Bytes>>>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let Ok(service) = TcpStream::connect(&target).await else { continue };
        let bytes = Arc::new(Mutex::new(Vec::new()));
        received.lock().unwrap_or_else(PoisonError::into_inner).push(bytes.clone());
        let (from_client, to_client) = client.into_split();
        let (from_service, to_service) = service.into_split();
        connections.spawn(copy(from_client, to_service, hold.clone(), None));
        connections.spawn(copy(from_service, to_client, hold.clone(), Some(bytes)));
    }
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut hold: Hold,
    keep: Option<Bytes>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let bytes = &buffer[..count];
        if let Some(keep) = &keep {
            keep.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        }
        if !hold.pass().await || to.write_all(bytes).await.is_err() {
            return;
        }
    }
    // The other side has closed; so does this one.
    let _already_closed = to.shutdown().await;
}
