//! A TCP proxy that breaks connections when it is told to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Leads to a server, until it is cut; dropping it closes everything.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    /// Bytes that the server may still send on all connections together; negative is without end.
    left: AtomicI64,
    /// Changes when the connections that are open must end.
    cut: watch::Sender<u64>,
}

impl Proxy {
    /// Listens on a port of its own.
    ///
    /// # Errors
    /// The system's refusal: no port is free.
    pub async fn start(server: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr().unwrap_or(server);
        let shared = Arc::new(Shared { left: AtomicI64::new(-1), cut: watch::channel(0).0 });
        let own = Arc::clone(&shared);
        let listening = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let shared = Arc::clone(&own);
                let cut = shared.cut.subscribe();
                tokio::spawn(async move {
                    if let Ok(server) = TcpStream::connect(server).await {
                        shared.lead(client, server, cut).await;
                    }
                });
            }
        });
        Ok(Self { address, shared, listening })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets so many more bytes of the server's through, and ends all connections then.
    pub fn cut_after(&self, bytes: u32) {
        self.shared.left.store(i64::from(bytes), Ordering::SeqCst);
        if bytes == 0 {
            self.shared.end_all();
        }
    }

    /// Lets everything through again.
    pub fn restore(&self) {
        self.shared.end_all();
        self.shared.left.store(-1, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
        self.shared.end_all();
    }
}

impl Shared {
    fn end_all(&self) {
        self.cut.send_modify(|cut| *cut += 1);
    }

    async fn lead(&self, mut client: TcpStream, mut server: TcpStream, mut cut: watch::Receiver<u64>) {
        let (mut from_client, mut to_client) = client.split();
        let (mut from_server, mut to_server) = server.split();
        let asks = tokio::io::copy(&mut from_client, &mut to_server);
        let answers = async {
            let mut buffer = vec![0; 16 << 10];
            while let Ok(count @ 1..) = from_server.read(&mut buffer).await {
                let allowed = self.take(count);
                let bytes = buffer.get(..allowed).unwrap_or_default();
                if to_client.write_all(bytes).await.is_err() || allowed < count {
                    self.end_all();
                    return;
                }
            }
        };
        tokio::select! {
            _ = asks => {}
            () = answers => {}
            _ = cut.changed() => {}
        }
    }

    /// How many of these bytes may pass.
    fn take(&self, count: usize) -> usize {
        let wanted = i64::try_from(count).unwrap_or(i64::MAX);
        let before = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| (left >= 0).then(|| (left - wanted).max(0)));
        before.map_or(count, |left| usize::try_from(left.min(wanted)).unwrap_or(count))
    }
}
