//! The agency's connection budget, and the connections inside it.
//!
//! INVARIANT: a connection goes back to the idle ones only by [`Lease::give_back`], after an answer that was read to the
//! server's own end of it. Any other end of a [`Lease`] closes the connection, which ends what runs there, so that no query
//! can ever see another one's rows. One on which anything waits unread is not taken up again either.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use wayleave_connector_api::ConnectorError;

use crate::SqlServerOptions;
use crate::driver::{Driver, Receiver, Session, TdsDriver};
use crate::session::{Server, set_up};

#[derive(Clone)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    driver: Box<dyn Driver>,
    options: SqlServerOptions,
    idle: Mutex<Vec<Connection>>,
    budget: Arc<Semaphore>,
}

struct Connection {
    session: Box<dyn Session>,
    server: Server,
    /// How many statements it has run.
    statements: u32,
}

/// Whether a leased connection was made for this lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Fresh,
    Reused,
}

/// A connection and its place in the budget.
pub(crate) struct Lease {
    connection: Connection,
    permit: OwnedSemaphorePermit,
    shared: Arc<Shared>,
    pub(crate) origin: Origin,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("options", &self.shared.options).finish_non_exhaustive()
    }
}

impl Pool {
    pub(crate) fn new(options: SqlServerOptions) -> Result<Self, ConnectorError> {
        let driver = Box::new(TdsDriver::new(options.clone())?);
        let budget = Arc::new(Semaphore::new(options.max_connections.min(Semaphore::MAX_PERMITS)));
        Ok(Self { shared: Arc::new(Shared { driver, options, idle: Mutex::default(), budget }) })
    }

    pub(crate) fn options(&self) -> &SqlServerOptions {
        &self.shared.options
    }

    /// An idle connection that still stands, or a new one.
    pub(crate) async fn lease(&self) -> Result<Lease, ConnectorError> {
        let options = &self.shared.options;
        let budget = Arc::clone(&self.shared.budget);
        let permit = match timeout(options.connect_timeout(), budget.acquire_owned()).await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_closed)) => return Err(ConnectorError::Cancelled),
            Err(_elapsed) => {
                return Err(ConnectorError::Budget {
                    budget: options.max_connections,
                    waited_ms: options.connect_timeout_ms,
                });
            }
        };
        let (connection, origin) = match self.shared.take_idle() {
            Some(connection) => (connection, Origin::Reused),
            None => (self.shared.connect().await?, Origin::Fresh),
        };
        Ok(Lease { connection, permit, shared: Arc::clone(&self.shared), origin })
    }

    /// Closes the idle connections: after one of them was found dead, the others most likely are.
    pub(crate) fn forget_idle(&self) {
        self.shared.idle().clear();
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
            if connection.session.is_idle() {
                return Some(connection);
            }
        }
        None
    }

    async fn connect(&self) -> Result<Connection, ConnectorError> {
        let connecting = async {
            let mut session = self.driver.connect().await?;
            let server =
                set_up(session.as_mut(), self.options.statement_timeout_ms).await.map_err(|error| match error {
                    ConnectorError::Lost { operator_detail } => ConnectorError::Unavailable { operator_detail },
                    other => other,
                })?;
            Ok(Connection { session, server, statements: 0 })
        };
        timeout(self.options.connect_timeout(), connecting).await.map_err(|_elapsed| ConnectorError::Unavailable {
            operator_detail: format!("no connection within {} ms", self.options.connect_timeout_ms),
        })?
    }
}

impl Lease {
    pub(crate) fn server(&self) -> &Server {
        &self.connection.server
    }

    /// A number that no other statement of this connection has.
    pub(crate) fn next_mark(&mut self) -> u32 {
        self.connection.statements = self.connection.statements.wrapping_add(1);
        self.connection.statements
    }

    /// Runs a batch to its end, and no longer than the agency allows: then its connection is closed.
    pub(crate) async fn run(&mut self, batch: &str, receiver: &mut dyn Receiver) -> Result<(), ConnectorError> {
        let timeout_ms = self.shared.options.statement_timeout_ms;
        let running = self.connection.session.run(batch, receiver);
        let outcome = if timeout_ms == 0 {
            running.await
        } else {
            timeout(Duration::from_millis(timeout_ms), running)
                .await
                .map_err(|_elapsed| ConnectorError::Timeout { timeout_ms })?
        };
        outcome.map_err(|error| match error {
            // The session waits for a lock no longer than for anything else.
            ConnectorError::Refused { sqlstate, .. } if sqlstate == "55P03" => ConnectorError::Timeout { timeout_ms },
            other => other,
        })
    }

    /// Makes the connection idle again. Only after everything on it was read to its end.
    pub(crate) fn give_back(self) {
        let Self { connection, permit, shared, .. } = self;
        shared.idle().push(connection);
        // Only now may another take the place, and with it this connection.
        drop(permit);
    }
}
