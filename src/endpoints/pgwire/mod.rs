//! PostgreSQL's protocol, version 3.0.
//!
//! In: connections. Out: for each a login, and then answers of the engine, row by row as they come, with what is withheld as
//! notices and every refusal with its SQLSTATE. Messages are read and written by the crate `pgwire`; what they do is here,
//! because a row must never wait for the last, and a login proves more than a password.

mod arrays;
mod catalog;
mod certificates;
mod commands;
mod connection;
mod declared;
mod login;
mod obey;
mod parameters;
mod rows;
mod transaction;
mod values;
mod wire;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::config::ServeConfig;
use crate::engine::Engine;
use crate::error::Error;
use crate::identity::UsersInForce;
use certificates::Certificates;
use connection::{Connection, tell};
use login::{Failures, Wish};
use wire::Fault;

/// How long a login may take: whoever waits longer only holds a place.
const LONGEST_LOGIN: Duration = Duration::from_secs(30);

/// How long running queries may take to end once the server is to stop.
const LONGEST_STOP: Duration = Duration::from_secs(10);

/// The endpoint of PostgreSQL's protocol.
pub struct PostgresEndpoint {
    listener: TcpListener,
    shared: Arc<Shared>,
    places: Arc<Semaphore>,
}

impl std::fmt::Debug for PostgresEndpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresEndpoint").finish_non_exhaustive()
    }
}

/// What all connections share.
struct Shared {
    engine: Arc<Engine>,
    users: UsersInForce,
    certificates: Option<Certificates>,
    failures: Failures,
    running: Mutex<HashMap<i32, Running>>,
    next_pid: AtomicI32,
}

/// A connection that may be told to end what it runs.
struct Running {
    secret: i32,
    cancel: watch::Sender<u64>,
}

impl PostgresEndpoint {
    /// Reads users and certificate, and listens.
    ///
    /// # Errors
    /// [`Error::Files`] for users and certificate, [`Error::File`] where nobody can listen at the address.
    pub async fn open(engine: Arc<Engine>, config: &ServeConfig) -> Result<Self, Error> {
        let users = UsersInForce::open(config.users.clone())?;
        let certificates = config.postgres.certificate.clone().map(Certificates::open).transpose()?;
        let address = config.postgres.listen;
        let listener = TcpListener::bind(address).await.map_err(|source| Error::File {
            action: format!("nobody can listen at {address}"),
            source: Arc::new(source),
        })?;
        let shared = Shared {
            engine,
            users,
            certificates,
            failures: Failures::default(),
            running: Mutex::new(HashMap::new()),
            next_pid: AtomicI32::new(1),
        };
        let places = Arc::new(Semaphore::new(config.postgres.max_connections));
        Ok(Self { listener, shared: Arc::new(shared), places })
    }

    /// Where it listens; the port is the system's choice where the configuration says 0.
    ///
    /// # Errors
    /// The system does not say it.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` says so; then running queries have a while to end, and are cancelled after it.
    pub async fn run(self, stop: watch::Receiver<bool>) {
        let mut connections = JoinSet::new();
        let mut stopping = stop.clone();
        loop {
            let accepted = tokio::select! {
                biased;
                () = stopped(&mut stopping) => break,
                accepted = self.listener.accept() => accepted,
                // Those that have ended leave nothing behind; one that panicked has harmed itself alone.
                Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            };
            let Ok((stream, peer)) = accepted else {
                // Out of file descriptors, say: others will end.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let place = Arc::clone(&self.places).try_acquire_owned();
            let (shared, stop) = (Arc::clone(&self.shared), stop.clone());
            connections.spawn(async move {
                let is_full = place.is_err();
                // A client that has gone, or has been told why, is no failure of the server.
                let _ = shared.serve(stream, peer, stop, is_full).await;
                drop(place);
            });
        }
        drop(self.listener);
        let ended = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(LONGEST_STOP, ended).await.is_err() {
            connections.shutdown().await;
        }
    }
}

impl Shared {
    async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        stop: watch::Receiver<bool>,
        is_full: bool,
    ) -> Result<(), Fault> {
        stream.set_nodelay(true)?;
        let too_slow = || Fault::Gone(std::io::ErrorKind::TimedOut.into());
        let wish = tokio::time::timeout(LONGEST_LOGIN, login::open(stream, &self)).await.map_err(|_| too_slow())??;
        let (mut socket, startup) = match wish {
            None => return Ok(()),
            Some(Wish::Cancel { pid, secret }) => {
                self.cancel(pid, secret);
                return Ok(());
            }
            Some(Wish::Start(socket, startup)) => (socket, startup),
        };
        if is_full {
            return tell(&mut socket, Fault::fatal("53300", "there are too many connections")).await;
        }
        let login = login::log_in(&mut socket, startup, peer.ip(), &self);
        let login = match tokio::time::timeout(LONGEST_LOGIN, login).await.map_err(|_| too_slow())? {
            Ok(login) => login,
            Err(fault) => return tell(&mut socket, fault).await,
        };
        let Some(secret) = login::secret() else {
            return tell(&mut socket, Fault::fatal("58000", "the machine gives no random numbers")).await;
        };
        let pid = self.next_pid.fetch_add(1, Ordering::Relaxed);
        let (cancel, cancels) = watch::channel(0);
        self.running().insert(pid, Running { secret, cancel });
        let registered = Registered { shared: Arc::clone(&self), pid };
        login::greet(&mut socket, pid, secret).await?;
        Connection::new(Arc::clone(&self), socket, login, cancels).run(stop).await;
        drop(registered);
        Ok(())
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<i32, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever knows the number and its secret may end what runs there.
    fn cancel(&self, pid: i32, secret: i32) {
        if let Some(running) = self.running().get(&pid).filter(|running| running.secret == secret) {
            running.cancel.send_modify(|count| *count += 1);
        }
    }
}

/// Waits until the server is to stop.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stopping| *stopping).await;
}

/// Takes a connection out of the list when it ends, however it does.
struct Registered {
    shared: Arc<Shared>,
    pid: i32,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.shared.running().remove(&self.pid);
    }
}
