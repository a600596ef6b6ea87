//! Stopping a statement that another thread runs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use odbc_api::sys::{HStmt, SQLCancel};
use wayleave_connector_api::ConnectorError;

/// A cancel that comes before the driver has begun is lost: it is sent again.
const BETWEEN_CANCELS: Duration = Duration::from_millis(100);

/// One statement, from before it is sent until its last row was read.
#[derive(Debug)]
pub(crate) struct Control {
    pub timeout_ms: u64,
    /// `None` where it lies beyond what the clock can count.
    pub deadline: Option<Instant>,
    stopped: AtomicBool,
    running: Mutex<Option<Running>>,
    ended: Condvar,
}

/// The statement's handle. It is valid as long as it stands in [`Control`].
#[derive(Clone, Copy, Debug)]
struct Running(HStmt);

// SAFETY: ODBC lets any thread cancel a statement (SQLCancel, "canceling functions in multithread applications"), and nothing
// else is done with the handle here.
#[allow(unsafe_code, reason = "see above")]
unsafe impl Send for Running {}

impl Running {
    fn cancel(self) {
        // SAFETY: whoever calls holds the lock under which the handle is taken out before its statement is freed.
        #[allow(unsafe_code, reason = "odbc-api has no cancel")]
        let _ = unsafe { SQLCancel(self.0) };
    }
}

/// Takes the handle out when the statement ends, however it ends.
pub(crate) struct Armed<'a>(&'a Control);

impl Drop for Armed<'_> {
    fn drop(&mut self) {
        *self.0.running() = None;
        self.0.ended.notify_all();
    }
}

impl Control {
    pub(crate) fn new(timeout_ms: u64) -> Arc<Self> {
        Arc::new(Self {
            timeout_ms,
            deadline: Instant::now().checked_add(Duration::from_millis(timeout_ms)),
            stopped: AtomicBool::new(false),
            running: Mutex::new(None),
            ended: Condvar::new(),
        })
    }

    /// From here on the statement can be cancelled. It must outlive what is returned.
    pub(crate) fn arm(&self, statement: HStmt) -> Result<Armed<'_>, ConnectorError> {
        *self.running() = Some(Running(statement));
        let armed = Armed(self);
        self.check()?;
        Ok(armed)
    }

    /// Whether the statement may go on.
    pub(crate) fn check(&self) -> Result<(), ConnectorError> {
        if self.is_late() {
            return Err(ConnectorError::Timeout { timeout_ms: self.timeout_ms });
        }
        if self.stopped.load(Ordering::Acquire) { Err(ConnectorError::Cancelled) } else { Ok(()) }
    }

    pub(crate) fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Stops the statement from a thread of its own, for a driver may take its time over that.
    pub(crate) fn stop(self: &Arc<Self>) {
        self.stopped.store(true, Ordering::Release);
        if self.running().is_some() {
            let control = Arc::clone(self);
            std::thread::spawn(move || control.cancel_until_it_ends());
        }
    }

    fn cancel_until_it_ends(&self) {
        let mut running = self.running();
        while let Some(statement) = *running {
            statement.cancel();
            running = self.ended.wait_timeout(running, BETWEEN_CANCELS).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stops the statement when whoever waits for it goes away.
#[derive(Debug)]
pub(crate) struct StopOnDrop(pub(crate) Arc<Control>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}
