//! Connections to one data source: how many, how they are made, and which are used again.
//!
//! INVARIANT: no connection ever commits, and one whose statement failed or was stopped is closed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use odbc_api::{Connection, ConnectionOptions, environment};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wayleave_connector_api::ConnectorError;

use crate::cancel::Control;
use crate::dialect::{Cuts, OdbcDialect, Told};
use crate::options::OdbcOptions;

#[derive(Debug)]
pub(crate) struct Pool {
    options: OdbcOptions,
    dialect: OdbcDialect,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Held>>,
}

/// A place in the budget.
#[derive(Debug)]
pub(crate) struct Lease {
    pool: Arc<Pool>,
    _permit: OwnedSemaphorePermit,
}

/// A connection. A driver may fail to close one that was lost, which is nobody's concern.
#[derive(Debug)]
struct Held(Option<Connection<'static>>);

impl Drop for Held {
    fn drop(&mut self) {
        let connection = self.0.take();
        let _ = catch_unwind(AssertUnwindSafe(move || drop(connection)));
    }
}

impl Pool {
    pub(crate) fn new(options: OdbcOptions, dialect: OdbcDialect) -> Arc<Self> {
        let permits = Arc::new(Semaphore::new(options.max_connections.min(Semaphore::MAX_PERMITS)));
        Arc::new(Self { options, dialect, permits, idle: Mutex::default() })
    }

    /// Waits for a place in the budget.
    pub(crate) async fn lease(self: &Arc<Self>) -> Result<Lease, ConnectorError> {
        let budget = self.options.max_connections;
        if budget == 0 {
            return Err(ConnectorError::Configuration { reason: "`max_connections` is 0".to_owned() });
        }
        let begun = Instant::now();
        let wait = Duration::from_millis(self.options.connect_timeout_ms);
        match tokio::time::timeout(wait, Arc::clone(&self.permits).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Lease { pool: Arc::clone(self), _permit: permit }),
            Ok(Err(_)) | Err(_) => Err(ConnectorError::Budget {
                budget,
                waited_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            }),
        }
    }

    pub(crate) fn control(&self) -> Arc<Control> {
        Control::new(self.options.statement_timeout_ms)
    }

    /// Runs short work on a connection, away from the threads that poll.
    pub(crate) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Connection<'static>) -> Result<T, ConnectorError> + Send + 'static,
    ) -> Result<T, ConnectorError> {
        let lease = self.lease().await?;
        let limit_ms = self.options.statement_timeout_ms;
        let working = tokio::task::spawn_blocking(move || lease.with(work));
        match tokio::time::timeout(Duration::from_millis(limit_ms), working).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(broken_off()),
            Err(_) => Err(ConnectorError::Timeout { timeout_ms: limit_ms }),
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Held>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// Works on a connection, which is kept where nothing went wrong.
    pub(crate) fn with<T>(
        self,
        work: impl FnOnce(&Connection<'static>) -> Result<T, ConnectorError>,
    ) -> Result<T, ConnectorError> {
        let kept = self.pool.idle().pop().filter(|held| held.0.as_ref().is_some_and(is_alive));
        let held = match kept {
            Some(held) => held,
            None => Held(Some(connect(&self.pool.options, &self.pool.dialect)?)),
        };
        let Some(connection) = &held.0 else { return Err(broken_off()) };
        let outcome = work(connection)?;
        if connection.rollback().is_ok() {
            self.pool.idle().push(held);
        }
        Ok(outcome)
    }
}

/// Whether an idle connection still answers: a rollback asks the server where there is something to roll back.
fn is_alive(connection: &Connection<'static>) -> bool {
    connection.is_dead().is_ok_and(|dead| !dead)
}

pub(crate) fn broken_off() -> ConnectorError {
    ConnectorError::Lost { operator_detail: "the driver broke off".to_owned() }
}

fn connect(options: &OdbcOptions, dialect: &OdbcDialect) -> Result<Connection<'static>, ConnectorError> {
    let seconds = options.connect_timeout_ms.div_ceil(1_000);
    let login = ConnectionOptions {
        login_timeout_sec: Some(u32::try_from(seconds).unwrap_or(u32::MAX)),
        ..ConnectionOptions::default()
    };
    let connection = environment()
        .and_then(|environment| environment.connect_with_connection_string(&options.connection_string, login))
        .map_err(|error| unavailable(&error))?;
    // What a statement does beside reading ends with its transaction, which nothing commits.
    connection.set_autocommit(false).map_err(|error| unavailable(&error))?;
    let quote = connection.identifier_quote_char().map_err(|error| unavailable(&error))?;
    let product = connection.database_management_system_name().map_err(|error| unavailable(&error))?;
    let cuts = if ["sqlite", "mysql", "mariadb"].iter().any(|name| product.to_ascii_lowercase().contains(name)) {
        Cuts::Limit
    } else {
        Cuts::Standard
    };
    let Some(quote) = quote else {
        return Err(ConnectorError::Configuration { reason: "the driver quotes no identifiers".to_owned() });
    };
    dialect.tell(Told { quote, cuts });
    Ok(connection)
}

/// Its code and first line, without what follows.
fn told(error: &odbc_api::Error) -> (String, String) {
    match error {
        odbc_api::Error::Diagnostics { record, .. } => {
            let text = record.to_string();
            (record.state.as_str().to_owned(), text.lines().next().unwrap_or_default().to_owned())
        }
        other => ("HY000".to_owned(), other.to_string().lines().next().unwrap_or_default().to_owned()),
    }
}

/// An error while a connection was being made.
fn unavailable(error: &odbc_api::Error) -> ConnectorError {
    let (state, operator_detail) = told(error);
    let text = operator_detail.to_ascii_lowercase();
    // Drivers differ in the code for this; psqlodbc has that of a failed connection.
    let is_login = state.starts_with("28") || text.contains("password") || text.contains("authentication");
    match state.as_str() {
        _ if is_login => ConnectorError::Authentication { operator_detail },
        "IM002" | "IM003" | "IM004" | "01000" => ConnectorError::Configuration {
            reason: "the driver manager finds no such data source or driver".to_owned(),
        },
        _ => ConnectorError::Unavailable { operator_detail },
    }
}

/// An error of a statement.
pub(crate) fn refusal(error: &odbc_api::Error, control: Option<&Control>) -> ConnectorError {
    if let Some(Err(stopped)) = control.map(Control::check) {
        return stopped;
    }
    let (state, operator_detail) = told(error);
    match state.as_str() {
        "HYT01" => ConnectorError::Lost { operator_detail },
        // Of PostgreSQL's driver, whose server was shut down.
        lost if lost.starts_with("08") || lost.starts_with("57P") => ConnectorError::Lost { operator_detail },
        _ => ConnectorError::Refused { sqlstate: state, operator_detail },
    }
}
