//! Connections to one file: how many, how they are opened, and how what runs on them is stopped.
//!
//! In: work for a connection. Out: its result, or why there is none. It never opens a file for writing, never creates
//! one, and never hands out a connection on which something else may still run or be interrupted.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::limits::Limit;
use rusqlite::{Connection, ErrorCode, InterruptHandle, OpenFlags};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wayleave_connector_api::ConnectorError;

use crate::{SqliteOptions, functions};

/// Longest wait for a connection of the budget, where the statement timeout is not shorter still.
const LONGEST_BUDGET_WAIT: Duration = Duration::from_secs(10);

/// Instructions of SQLite's virtual machine between two looks at the clock: some tens of microseconds.
const STEPS_BETWEEN_CHECKS: i32 = 4_000;

const BUSY_RETRY: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub(crate) struct Pool {
    options: SqliteOptions,
    budget_wait: Duration,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Opened>>,
}

#[derive(Debug)]
struct Opened {
    connection: Connection,
    file: Option<FileIdentity>,
}

/// A place in the budget, with its connection once it is open.
#[derive(Debug)]
pub(crate) struct Lease {
    pool: Arc<Pool>,
    opened: Option<Opened>,
    /// Declared last, so that the connection is closed before another may be opened in its place.
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    pub(crate) fn path(&self) -> &Path {
        &self.options.path
    }

    pub(crate) fn new(options: SqliteOptions) -> Arc<Self> {
        let budget_wait = LONGEST_BUDGET_WAIT.min(Duration::from_millis(options.statement_timeout_ms));
        Self::with_budget_wait(options, budget_wait)
    }

    pub(crate) fn with_budget_wait(options: SqliteOptions, budget_wait: Duration) -> Arc<Self> {
        let permits = Arc::new(Semaphore::new(options.max_connections.min(Semaphore::MAX_PERMITS)));
        Arc::new(Self { options, budget_wait, permits, idle: Mutex::new(Vec::new()) })
    }

    /// Waits for a place in the budget; it opens nothing.
    pub(crate) async fn lease(self: &Arc<Self>) -> Result<Lease, ConnectorError> {
        if self.options.max_connections == 0 {
            return Err(ConnectorError::Configuration { reason: "`max_connections` is 0".to_owned() });
        }
        let begun = Instant::now();
        let waiting = tokio::time::timeout(self.budget_wait, Arc::clone(&self.permits).acquire_owned());
        match waiting.await {
            Ok(Ok(permit)) => Ok(Lease { pool: Arc::clone(self), opened: None, _permit: permit }),
            Ok(Err(_)) | Err(_) => Err(ConnectorError::Budget {
                budget: self.options.max_connections,
                waited_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            }),
        }
    }

    pub(crate) fn control(&self) -> Arc<Control> {
        Arc::new(Control::new(self.options.statement_timeout_ms))
    }

    /// Runs short work on a connection, away from the threads that poll; dropping the future stops it.
    pub(crate) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, ConnectorError> {
        let mut lease = self.lease().await?;
        let control = self.control();
        let _stop = StopOnDrop(Arc::clone(&control));
        let running = tokio::task::spawn_blocking(move || {
            let outcome = lease
                .connect(&control)
                .and_then(|connection| work(connection).map_err(|error| refusal(error, &control)));
            lease.settle(&control, &outcome);
            outcome
        });
        running.await.unwrap_or_else(|_| Err(ConnectorError::Lost { operator_detail: "the reader ended".to_owned() }))
    }

    /// Places of the budget that nobody holds.
    #[cfg(test)]
    pub(crate) fn free(&self) -> usize {
        self.permits.available_permits()
    }

    #[cfg(test)]
    pub(crate) fn max_connections(&self) -> usize {
        self.options.max_connections
    }

    #[cfg(test)]
    pub(crate) fn idle_count(&self) -> usize {
        self.idle().len()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Opened>> {
        // The list is whole between any two of its operations, whoever panicked beside it.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// A connection that `control` governs from here on.
    pub(crate) fn connect(&mut self, control: &Arc<Control>) -> Result<&Connection, ConnectorError> {
        let path = std::path::absolute(&self.pool.options.path)
            .map_err(|error| ConnectorError::Configuration { reason: format!("`path` is no path: {error}") })?;
        let now = FileIdentity::of(&path);
        // A file that was replaced (a restored backup) must not be read through the old one's open handle.
        let kept = self.pool.idle().pop().filter(|opened| opened.file.is_some() && opened.file == now);
        let opened = match kept {
            Some(mut opened) => {
                control.govern(&mut opened.connection).map_err(|error| unavailable(&error, control))?;
                opened
            }
            None => {
                let connection = open(&path, control)?;
                Opened { connection, file: now }
            }
        };
        Ok(&self.opened.insert(opened).connection)
    }

    /// Ends the work: its connection is kept for the next one only if it did everything it was asked to.
    pub(crate) fn settle<T>(mut self, control: &Control, outcome: &Result<T, ConnectorError>) {
        // INVARIANT: nobody can interrupt a connection once it is back in the pool.
        control.disarm();
        if let (Some(opened), Ok(_), false) = (self.opened.take(), outcome, control.is_cancelled()) {
            self.pool.idle().push(opened);
        }
    }
}

fn open(path: &Path, control: &Arc<Control>) -> Result<Connection, ConnectorError> {
    let (connection, encoding) = open_and_look(path, control).map_err(|error| unavailable(&error, control))?;
    if encoding != "UTF-8" {
        // Its BINARY collation compares UTF-16 code units, so that neither order nor lengths would be ours.
        return Err(ConnectorError::Configuration { reason: format!("the database keeps its text in {encoding}") });
    }
    Ok(connection)
}

/// A connection that can only read, and the encoding of the database's text.
fn open_and_look(path: &Path, control: &Arc<Control>) -> rusqlite::Result<(Connection, String)> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    control.govern(&mut connection)?;
    // Read-only twice over: the file is opened so, and no statement may write to temporary tables either.
    connection.execute_batch("PRAGMA query_only = ON; PRAGMA trusted_schema = OFF")?;
    // A statement could otherwise name another file.
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    functions::register(&connection)?;
    // The first look into the file: it tells whether this is a database at all.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    let encoding = connection.query_row("PRAGMA encoding", [], |row| row.get(0))?;
    Ok((connection, encoding))
}

/// Which file a path led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileIdentity {
    device: u64,
    inode: u64,
}

impl FileIdentity {
    #[cfg(unix)]
    fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self { device: metadata.dev(), inode: metadata.ino() })
    }

    /// Where files have no stable identity, every statement opens its own connection.
    #[cfg(not(unix))]
    fn of(_path: &Path) -> Option<Self> {
        None
    }
}

/// Stops one statement: by its deadline, or because nobody waits for it any more.
pub(crate) struct Control {
    timeout_ms: u64,
    deadline: Option<Instant>,
    cancelled: AtomicBool,
    interrupt: Mutex<Option<InterruptHandle>>,
}

impl Control {
    fn new(timeout_ms: u64) -> Self {
        Self {
            timeout_ms,
            deadline: Instant::now().checked_add(Duration::from_millis(timeout_ms)),
            cancelled: AtomicBool::new(false),
            interrupt: Mutex::new(None),
        }
    }

    /// `None` where the deadline lies beyond what the clock can count.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub(crate) fn timeout(&self) -> ConnectorError {
        ConnectorError::Timeout { timeout_ms: self.timeout_ms }
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Stops what runs, now. The flag serves where the interrupt comes before the first step and is lost.
    pub(crate) fn stop(&self) {
        self.cancelled.store(true, Ordering::Release);
        if let Some(handle) = self.handle().as_ref() {
            handle.interrupt();
        }
    }

    fn govern(self: &Arc<Self>, connection: &mut Connection) -> rusqlite::Result<()> {
        *self.handle() = Some(connection.get_interrupt_handle());
        let control = Arc::clone(self);
        connection.progress_handler(STEPS_BETWEEN_CHECKS, Some(move || control.is_cancelled() || control.is_late()))?;
        let control = Arc::clone(self);
        connection.busy_handler(Some(move |_| {
            let again = !control.is_cancelled() && !control.is_late();
            if again {
                std::thread::sleep(BUSY_RETRY);
            }
            again
        }))
    }

    fn disarm(&self) {
        *self.handle() = None;
    }

    fn handle(&self) -> MutexGuard<'_, Option<InterruptHandle>> {
        self.interrupt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why a statement that failed with this code was stopped by us, if it was.
    fn stopped(&self, code: Option<ErrorCode>) -> Option<ConnectorError> {
        match code {
            Some(ErrorCode::OperationInterrupted | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                if self.is_cancelled() {
                    Some(ConnectorError::Cancelled)
                } else {
                    self.is_late().then(|| self.timeout())
                }
            }
            _ => None,
        }
    }
}

/// Stops the statement when whoever waits for it goes away.
pub(crate) struct StopOnDrop(pub(crate) Arc<Control>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// An error while a connection was being opened.
fn unavailable(error: &rusqlite::Error, control: &Control) -> ConnectorError {
    control
        .stopped(error.sqlite_error_code())
        .unwrap_or_else(|| ConnectorError::Unavailable { operator_detail: detail(error) })
}

/// An error of a statement before its first row.
pub(crate) fn refusal(error: rusqlite::Error, control: &Control) -> ConnectorError {
    let code = error.sqlite_error_code();
    if let Some(stopped) = control.stopped(code) {
        return stopped;
    }
    let operator_detail = detail(&error);
    let sqlstate = match code {
        Some(
            ErrorCode::CannotOpen
            | ErrorCode::NotADatabase
            | ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::DatabaseCorrupt
            | ErrorCode::SystemIoFailure
            | ErrorCode::PermissionDenied,
        ) => return ConnectorError::Unavailable { operator_detail },
        Some(ErrorCode::ReadOnly) => "25006",
        Some(ErrorCode::AuthorizationForStatementDenied) => "42501",
        Some(ErrorCode::TooBig) => "54000",
        Some(ErrorCode::OutOfMemory) => "53200",
        Some(_) if operator_detail == "integer overflow" => "22003",
        Some(_) => "42000",
        None => "HY000",
    };
    ConnectorError::Refused { sqlstate: sqlstate.to_owned(), operator_detail }
}

/// An error between two rows.
pub(crate) fn interruption(error: rusqlite::Error, control: &Control) -> ConnectorError {
    match refusal(error, control) {
        ConnectorError::Unavailable { operator_detail } => ConnectorError::Lost { operator_detail },
        other => other,
    }
}

/// What SQLite said, without the statement's text, which may hold subject keys.
fn detail(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        other => other.to_string(),
    }
}
