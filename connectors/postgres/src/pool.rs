//! The agency's connection budget, the connections inside it, and what a driver's error means.
//!
//! INVARIANT: a connection goes back to the idle ones only by [`Lease::give_back`], after a result that was read to its
//! end. Any other end of a [`Lease`] cancels what runs there and closes the connection, so that no query can ever see
//! another one's rows.

use std::error::Error as _;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::error::{DbError, SqlState};
use tokio_postgres::{CancelToken, Client, Config, NoTls};
use wayleave_connector_api::ConnectorError;

use crate::PostgresOptions;
use crate::tls::Tls;

/// How long a cancelled statement's place in the budget stays taken while the request to cancel is on its way.
const CANCEL_DEADLINE: Duration = Duration::from_secs(5);
/// How much later than the server's own statement timeout we stop waiting for a server that says nothing at all.
pub(crate) const SILENCE_GRACE: Duration = Duration::from_secs(5);

/// Set once a connection. `pg_temp` last and no schema of the agency's at all: an operator or a function of ours can
/// only be PostgreSQL's own.
const SESSION: &str = "SET default_transaction_read_only = on; SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'; \
    SET intervalstyle = 'postgres'; SET extra_float_digits = 3; SET application_name = 'wayleave'; \
    SET search_path = pg_catalog, pg_temp; SET standard_conforming_strings = on; SET backslash_quote = off; \
    SET transform_null_equals = off; SET array_nulls = on";

/// A backend that computes notices within a second that we are gone, however we went. Servers before version 14 and some
/// platforms have no such setting: there the request to cancel does it alone.
const NOTICE_OUR_END: &str = "SET client_connection_check_interval = '1s'";

#[derive(Clone)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    config: Config,
    tls: Tls,
    options: PostgresOptions,
    idle: Mutex<Vec<Connection>>,
    budget: Arc<Semaphore>,
    /// How many wait for a place in the budget.
    waiting: watch::Sender<usize>,
}

struct Connection {
    client: Client,
    cancel: CancelToken,
    /// Owns the socket: ending it closes the connection.
    driver: JoinHandle<Result<(), tokio_postgres::Error>>,
    runtime: Handle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Left to itself the driver would first wait for the rest of what was asked.
        self.driver.abort();
    }
}

/// Whether a leased connection was made for this lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Fresh,
    Reused,
}

/// A connection and its place in the budget.
pub(crate) struct Lease {
    connection: Option<(Connection, OwnedSemaphorePermit)>,
    shared: Arc<Shared>,
    pub(crate) origin: Origin,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("options", &self.shared.options).finish_non_exhaustive()
    }
}

impl Pool {
    pub(crate) fn new(options: PostgresOptions) -> Result<Self, ConnectorError> {
        let config = options.driver_config()?;
        let tls = Tls::new(&options)?;
        let budget = Arc::new(Semaphore::new(options.max_connections.min(Semaphore::MAX_PERMITS)));
        let waiting = watch::Sender::new(0);
        Ok(Self { shared: Arc::new(Shared { config, tls, options, idle: Mutex::default(), budget, waiting }) })
    }

    pub(crate) fn options(&self) -> &PostgresOptions {
        &self.shared.options
    }

    /// An idle connection that is still open, or a new one.
    pub(crate) async fn lease(&self) -> Result<Lease, ConnectorError> {
        let permit = match Arc::clone(&self.shared.budget).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_taken) => self.wait_for_permit().await?,
        };
        self.lease_with(permit).await
    }

    /// The same without waiting for a place in the budget: `None` where all are taken.
    pub(crate) async fn lease_spare(&self) -> Result<Option<Lease>, ConnectorError> {
        match Arc::clone(&self.shared.budget).try_acquire_owned() {
            Ok(permit) => self.lease_with(permit).await.map(Some),
            Err(_taken) => Ok(None),
        }
    }

    /// How many wait for a place. Who holds one that he could do without gives it back when there are any.
    pub(crate) fn waiting(&self) -> watch::Receiver<usize> {
        self.shared.waiting.subscribe()
    }

    async fn wait_for_permit(&self) -> Result<OwnedSemaphorePermit, ConnectorError> {
        let _waiting = Waiting::begin(&self.shared.waiting);
        let budget = Arc::clone(&self.shared.budget);
        match timeout(self.shared.options.connect_timeout(), budget.acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_closed)) => Err(ConnectorError::Cancelled),
            Err(_elapsed) => Err(ConnectorError::Budget {
                budget: self.shared.options.max_connections,
                waited_ms: self.shared.options.connect_timeout_ms,
            }),
        }
    }

    async fn lease_with(&self, permit: OwnedSemaphorePermit) -> Result<Lease, ConnectorError> {
        let shared = Arc::clone(&self.shared);
        let (connection, origin) = match shared.take_idle() {
            Some(connection) => (connection, Origin::Reused),
            None => (shared.connect().await?, Origin::Fresh),
        };
        Ok(Lease { connection: Some((connection, permit)), shared, origin })
    }

    /// Closes the idle connections: after one of them was found dead, the others most likely are.
    pub(crate) fn forget_idle(&self) {
        self.shared.idle().clear();
    }
}

/// One who waits for a place in the budget, counted until he has it or gives up.
struct Waiting<'a>(&'a watch::Sender<usize>);

impl<'a> Waiting<'a> {
    fn begin(count: &'a watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
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
            if !connection.client.is_closed() && !connection.driver.is_finished() {
                return Some(connection);
            }
        }
        None
    }

    async fn connect(&self) -> Result<Connection, ConnectorError> {
        let limit = self.options.connect_timeout();
        let unavailable = || ConnectorError::Unavailable {
            operator_detail: format!("no connection within {} ms", self.options.connect_timeout_ms),
        };
        let (client, driver) = timeout(limit, async {
            match &self.tls {
                Tls::Off => self.config.connect(NoTls).await.map(|(client, driver)| (client, tokio::spawn(driver))),
                Tls::On(tls) => {
                    self.config.connect(tls.clone()).await.map(|(client, driver)| (client, tokio::spawn(driver)))
                }
            }
        })
        .await
        .map_err(|_elapsed| unavailable())?
        .map_err(|error| connect_error(&error))?;
        let connection = Connection { cancel: client.cancel_token(), client, driver, runtime: Handle::current() };
        let session = format!("{SESSION}; SET statement_timeout = {}", self.options.statement_timeout_ms);
        let (set, checked) = timeout(limit, async {
            futures::join!(connection.client.batch_execute(&session), connection.client.batch_execute(NOTICE_OUR_END))
        })
        .await
        .map_err(|_elapsed| unavailable())?;
        set.map_err(|error| connect_error(&error))?;
        match checked {
            Err(error) if error.as_db_error().is_none() => return Err(connect_error(&error)),
            Ok(()) | Err(_) => {}
        }
        Ok(connection)
    }
}

impl Lease {
    /// # Errors
    /// None in a lease that has not ended.
    pub(crate) fn client(&self) -> Result<&Client, ConnectorError> {
        match &self.connection {
            Some((connection, _)) => Ok(&connection.client),
            None => Err(ConnectorError::Protocol { reason: "the connection was given back".to_owned() }),
        }
    }

    /// The server's own limit for a statement; 0 is none.
    pub(crate) fn timeout_ms(&self) -> u64 {
        self.shared.options.statement_timeout_ms
    }

    /// Makes the connection idle again. Only after every result on it was read to its end.
    pub(crate) fn give_back(mut self) {
        if let Some((connection, permit)) = self.connection.take() {
            self.shared.idle().push(connection);
            // Only now may another take the place, and with it this connection.
            drop(permit);
        }
    }

    /// Waits for the server, but not for one that has gone silent.
    pub(crate) async fn answer<T>(
        &self,
        reply: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, ConnectorError> {
        let started = Instant::now();
        let timeout_ms = self.shared.options.statement_timeout_ms;
        let outcome = if timeout_ms == 0 {
            reply.await
        } else {
            timeout(Duration::from_millis(timeout_ms).saturating_add(SILENCE_GRACE), reply)
                .await
                .map_err(|_elapsed| ConnectorError::Timeout { timeout_ms })?
        };
        outcome.map_err(|error| statement_error(&error, timeout_ms, started))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some((connection, permit)) = self.connection.take() else { return };
        // A backend that waits for us to read ends by the closed socket, one that computes by the request to cancel.
        let (cancel, runtime) = (connection.cancel.clone(), connection.runtime.clone());
        drop(connection);
        let tls = self.shared.tls.clone();
        runtime.spawn(async move {
            let _sent = timeout(CANCEL_DEADLINE, async {
                match tls {
                    Tls::Off => cancel.cancel_query(NoTls).await,
                    Tls::On(tls) => cancel.cancel_query(tls).await,
                }
            })
            .await;
            drop(permit);
        });
    }
}

/// What kept us from a session.
fn connect_error(error: &tokio_postgres::Error) -> ConnectorError {
    let operator_detail = detail_of(error);
    if let Some(refusal) = error.as_db_error() {
        let code = refusal.code().code();
        return match code.get(..2) {
            Some("28") => ConnectorError::Authentication { operator_detail },
            // Too many connections, still starting, shutting down.
            Some("53" | "57" | "08") => ConnectorError::Unavailable { operator_detail },
            _ => ConnectorError::Refused { sqlstate: code.to_owned(), operator_detail },
        };
    }
    // The driver keeps the kind of its errors to itself; its text is the only sign.
    let kind = error.to_string();
    if kind.starts_with("error performing TLS handshake") {
        ConnectorError::Tls { operator_detail }
    } else if kind.starts_with("authentication error") || kind.starts_with("invalid configuration") {
        ConnectorError::Authentication { operator_detail }
    } else {
        ConnectorError::Unavailable { operator_detail }
    }
}

/// What ended a statement that was `started` then.
pub(crate) fn statement_error(error: &tokio_postgres::Error, timeout_ms: u64, started: Instant) -> ConnectorError {
    let operator_detail = detail_of(error);
    let Some(refusal) = error.as_db_error() else {
        let kind = error.to_string();
        if kind.starts_with("error parsing") || kind.starts_with("unexpected message") {
            return ConnectorError::Protocol { reason: "a message that does not belong there".to_owned() };
        }
        return ConnectorError::Lost { operator_detail };
    };
    let code = refusal.code();
    if *code == SqlState::QUERY_CANCELED {
        // The code is the same whether a timeout or an operator's hand did it, and the message is in the server's language.
        let ran = started.elapsed().saturating_add(Duration::from_millis(50));
        let timed_out = timeout_ms > 0 && ran >= Duration::from_millis(timeout_ms);
        return if timed_out { ConnectorError::Timeout { timeout_ms } } else { ConnectorError::Cancelled };
    }
    if code.code().starts_with("57P") || code.code().starts_with("08") {
        return ConnectorError::Lost { operator_detail };
    }
    ConnectorError::Refused { sqlstate: code.code().to_owned(), operator_detail }
}

/// The driver's words and those behind them. A refusal's detail line may quote a row's values, so it stays out.
fn detail_of(error: &tokio_postgres::Error) -> String {
    if let Some(refusal) = error.as_db_error() {
        return refusal_text(refusal);
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

fn refusal_text(refusal: &DbError) -> String {
    format!("{}: {}", refusal.severity(), refusal.message())
}
