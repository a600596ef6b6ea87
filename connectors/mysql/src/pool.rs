//! The agency's connection budget, the connections inside it, and what a driver's error means.
//!
//! INVARIANT: a connection goes back to the idle ones only by [`Lease::give_back`], after a result that was read to its
//! end. Any other end of a [`Lease`] closes the connection and has the server kill what runs there, so that no query can
//! ever see another one's rows.

use std::error::Error as _;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, DriverError, Error, IoError, Opts, ServerError};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use wayleave_connector_api::ConnectorError;

use crate::session::Server;
use crate::{MysqlOptions, tls};

/// How long a killed statement's place in the budget stays taken while the request to kill it is on its way.
const CANCEL_DEADLINE: Duration = Duration::from_secs(5);
/// The server's clock and its count of seconds do not tick together.
const START_TOLERANCE_SECONDS: u64 = 1;
/// How much later than the server's own statement timeout we stop waiting for a server that says nothing at all.
const SILENCE_GRACE: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    driver_options: Opts,
    options: MysqlOptions,
    idle: Mutex<Vec<Connection>>,
    budget: Arc<Semaphore>,
}

struct Connection {
    driver: Conn,
    server: Server,
    /// When the server was started, in its own seconds: from then on it counts its connections.
    started: i64,
    runtime: Handle,
}

/// Whether a leased connection was made for this lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Fresh,
    Reused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Running {
    Nothing,
    Statement,
}

/// A connection and its place in the budget.
pub(crate) struct Lease {
    connection: Option<(Connection, OwnedSemaphorePermit)>,
    shared: Arc<Shared>,
    pub(crate) origin: Origin,
    /// Whether the server may be running a statement here.
    running: Running,
}

/// How long the server may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// 0 is for ever.
    timeout_ms: u64,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("options", &self.shared.options).finish_non_exhaustive()
    }
}

impl Pool {
    pub(crate) fn new(options: MysqlOptions) -> Result<Self, ConnectorError> {
        let driver_options = options.driver_options()?.ssl_opts(tls::settings(&options)?).into();
        let budget = Arc::new(Semaphore::new(options.max_connections.min(Semaphore::MAX_PERMITS)));
        Ok(Self { shared: Arc::new(Shared { driver_options, options, idle: Mutex::default(), budget }) })
    }

    pub(crate) fn options(&self) -> &MysqlOptions {
        &self.shared.options
    }

    /// An idle connection that is still open, or a new one.
    pub(crate) async fn lease(&self) -> Result<Lease, ConnectorError> {
        let budget = Arc::clone(&self.shared.budget);
        let permit = match timeout(self.shared.options.connect_timeout(), budget.acquire_owned()).await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_closed)) => return Err(ConnectorError::Cancelled),
            Err(_elapsed) => {
                return Err(ConnectorError::Budget {
                    budget: self.shared.options.max_connections,
                    waited_ms: self.shared.options.connect_timeout_ms,
                });
            }
        };
        let shared = Arc::clone(&self.shared);
        let (connection, origin) = match shared.take_idle() {
            Some(connection) => (connection, Origin::Reused),
            None => (shared.connect().await?, Origin::Fresh),
        };
        Ok(Lease { connection: Some((connection, permit)), shared, origin, running: Running::Nothing })
    }

    /// Closes the idle connections: after one of them was found dead, the others most likely are.
    pub(crate) fn forget_idle(&self) {
        let forgotten = std::mem::take(&mut *self.shared.idle());
        forgotten.into_iter().for_each(Connection::close);
    }
}

impl Connection {
    /// Closes the socket at once. Left to itself the driver would first read the rest of what was asked.
    fn close(self) {
        // It takes the connection for ended before it does anything else, so that what is left of it is dropped.
        let _ended = self.driver.disconnect().now_or_never();
    }
}

impl Shared {
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        // A list of connections cannot be left half changed, whatever panicked.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle();
        while let Some(connection) = idle.pop() {
            if !connection.driver.is_disconnected() {
                return Some(connection);
            }
        }
        None
    }

    async fn connect(&self) -> Result<Connection, ConnectorError> {
        let connecting = async {
            let mut driver = Conn::new(self.driver_options.clone()).await.map_err(|error| connect_error(&error))?;
            let (version, started) = identity(&mut driver).await.map_err(|error| connect_error(&error))?;
            let server = Server::parse(&version)?;
            let session = server.session_sql(self.options.statement_timeout_ms);
            driver.query_drop(session).await.map_err(|error| connect_error(&error))?;
            Ok(Connection { driver, server, started, runtime: Handle::current() })
        };
        timeout(self.options.connect_timeout(), connecting).await.unwrap_or_else(|_elapsed| {
            Err(ConnectorError::Unavailable {
                operator_detail: format!("no connection within {} ms", self.options.connect_timeout_ms),
            })
        })
    }
}

/// A server's version, and when it was started.
async fn identity(driver: &mut Conn) -> Result<(String, i64), Error> {
    let question = "SELECT version(), unix_timestamp(); SHOW GLOBAL STATUS LIKE 'Uptime'";
    let mut results = driver.query_iter(question).await?;
    let version: Vec<(String, i64)> = results.collect().await?;
    let uptime: Vec<(String, i64)> = results.collect().await?;
    results.drop_result().await?;
    let (version, now) = version.into_iter().next().unwrap_or_default();
    let (_, uptime) = uptime.into_iter().next().unwrap_or_default();
    Ok((version, now.saturating_sub(uptime)))
}

impl Shared {
    /// Ends a connection of a server that was started then. One that was started again counts from one, as does another
    /// behind the same name: there the number is somebody else's.
    async fn kill(&self, id: u32, started: i64) -> Result<(), ConnectorError> {
        let mut messenger = match self.take_idle() {
            Some(idle) => idle,
            None => self.connect().await?,
        };
        let is_same = started.abs_diff(messenger.started) <= START_TOLERANCE_SECONDS;
        let told = if is_same { messenger.driver.query_drop(format!("KILL {id}")).await } else { Ok(()) };
        match told {
            // It may have ended meanwhile by itself.
            Ok(()) | Err(Error::Server(_)) => self.idle().push(messenger),
            Err(_) => messenger.close(),
        }
        Ok(())
    }
}

impl Lease {
    /// # Errors
    /// None in a lease that has not ended.
    pub(crate) fn driver(&mut self) -> Result<&mut Conn, ConnectorError> {
        match &mut self.connection {
            Some((connection, _)) => Ok(&mut connection.driver),
            None => Err(given_back()),
        }
    }

    pub(crate) fn server(&self) -> Result<&Server, ConnectorError> {
        self.connection.as_ref().map(|(connection, _)| &connection.server).ok_or_else(given_back)
    }

    /// From now on the server may be running a statement, which has to be ended where this lease ends otherwise.
    pub(crate) fn runs(&mut self) {
        self.running = Running::Statement;
    }

    /// Tells that the server has closed the connection, so that nothing runs there.
    pub(crate) fn is_lost(&mut self) {
        self.running = Running::Nothing;
    }

    pub(crate) fn patience(&self) -> Patience {
        Patience { timeout_ms: self.shared.options.statement_timeout_ms }
    }

    /// Makes the connection idle again. Only after every result on it was read to its end.
    pub(crate) fn give_back(mut self) {
        if let Some((connection, permit)) = self.connection.take() {
            self.shared.idle().push(connection);
            // Only now may another take the place, and with it this connection.
            drop(permit);
        }
    }
}

impl Patience {
    /// Waits for the server, but not for one that has gone silent.
    pub(crate) async fn answer<T>(self, reply: impl Future<Output = Result<T, Error>>) -> Result<T, ConnectorError> {
        let started = Instant::now();
        let mut reply = std::pin::pin!(reply);
        let outcome = match reply.as_mut().now_or_never() {
            // Most rows are here already, and a timer for each would cost more than the row.
            Some(outcome) => outcome,
            None if self.timeout_ms == 0 => reply.await,
            None => timeout(Duration::from_millis(self.timeout_ms).saturating_add(SILENCE_GRACE), reply)
                .await
                .map_err(|_elapsed| ConnectorError::Timeout { timeout_ms: self.timeout_ms })?,
        };
        outcome.map_err(|error| statement_error(&error, self.timeout_ms, started))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some((connection, permit)) = self.connection.take() else { return };
        let (id, runtime) = (connection.driver.id(), connection.runtime.clone());
        let started = connection.started;
        let is_running = self.running == Running::Statement;
        // A server that waits for us to read ends by the closed socket, one that computes by being told.
        connection.close();
        if !is_running {
            return;
        }
        let shared = Arc::clone(&self.shared);
        runtime.spawn(async move {
            let _killed = timeout(CANCEL_DEADLINE, shared.kill(id, started)).await;
            drop(permit);
        });
    }
}

fn given_back() -> ConnectorError {
    ConnectorError::Protocol { reason: "the connection was given back".to_owned() }
}

/// What kept us from a session.
fn connect_error(error: &Error) -> ConnectorError {
    let operator_detail = detail_of(error);
    match error {
        Error::Server(refusal) => match refusal.code {
            // Access denied, by password, by plugin, to the database; the account is locked; its password has expired.
            1044 | 1045 | 1698 | 1862 | 3118 | 4151 => ConnectorError::Authentication { operator_detail },
            // `require_secure_transport`
            3159 => ConnectorError::Tls { operator_detail },
            // Too many connections, starting, shutting down, blocked after errors.
            1040 | 1053 | 1129 | 1203 | 1226 => ConnectorError::Unavailable { operator_detail },
            _ if refusal.state.starts_with("28") => ConnectorError::Authentication { operator_detail },
            _ if refusal.state.starts_with("08") => ConnectorError::Unavailable { operator_detail },
            _ => ConnectorError::Refused { sqlstate: refusal.state.clone(), operator_detail },
        },
        Error::Io(IoError::Tls(_)) | Error::Driver(DriverError::NoClientSslFlagFromServer) => {
            ConnectorError::Tls { operator_detail }
        }
        Error::Io(IoError::Io(cause)) if cause.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => {
            ConnectorError::Tls { operator_detail }
        }
        Error::Driver(DriverError::UnknownAuthPlugin { .. } | DriverError::MysqlOldPasswordDisabled) => {
            ConnectorError::Authentication { operator_detail }
        }
        Error::Io(_) | Error::Driver(_) | Error::Other(_) | Error::Url(_) => {
            ConnectorError::Unavailable { operator_detail }
        }
    }
}

/// What ended a statement that was `started` then.
fn statement_error(error: &Error, timeout_ms: u64, started: Instant) -> ConnectorError {
    let operator_detail = detail_of(error);
    match error {
        Error::Server(refusal) => match refusal.code {
            // `max_statement_time`, `max_execution_time`
            1969 | 3024 => ConnectorError::Timeout { timeout_ms },
            // Interrupted, by a timeout of the server's in some of its states, or by an operator's hand.
            1317 => {
                let ran = started.elapsed().saturating_add(Duration::from_millis(50));
                let timed_out = timeout_ms > 0 && ran >= Duration::from_millis(timeout_ms);
                if timed_out { ConnectorError::Timeout { timeout_ms } } else { ConnectorError::Cancelled }
            }
            // Killed, shutting down.
            1053 | 1927 => ConnectorError::Lost { operator_detail },
            _ if refusal.state.starts_with("08") => ConnectorError::Lost { operator_detail },
            _ => ConnectorError::Refused { sqlstate: refusal.state.clone(), operator_detail },
        },
        Error::Io(_) | Error::Driver(DriverError::ConnectionClosed) => ConnectorError::Lost { operator_detail },
        Error::Driver(_) | Error::Other(_) | Error::Url(_) => {
            ConnectorError::Protocol { reason: "a message that does not belong there".to_owned() }
        }
    }
}

/// The driver's words and those behind them; of its own errors only the kind, since some hold a packet or a row.
fn detail_of(error: &Error) -> String {
    match error {
        Error::Server(ServerError { code, message, .. }) => format!("error {code}: {message}"),
        Error::Driver(
            DriverError::UnexpectedPacket { .. } | DriverError::FromRow { .. } | DriverError::FromValue { .. },
        ) => "a message that does not belong there".to_owned(),
        other => {
            let mut text = other.to_string();
            let mut source = other.source();
            while let Some(cause) = source {
                text.push_str(": ");
                text.push_str(&cause.to_string());
                source = cause.source();
            }
            text
        }
    }
}
