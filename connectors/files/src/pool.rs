//! How many statements run at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wayleave_connector_api::ConnectorError;

/// Longest wait for a place, where the statement timeout is not shorter still.
const LONGEST_BUDGET_WAIT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Pool {
    budget: usize,
    budget_wait: Duration,
    permits: Arc<Semaphore>,
}

impl Pool {
    pub(crate) fn new(budget: usize, statement_timeout_ms: u64) -> Self {
        Self::with_budget_wait(budget, LONGEST_BUDGET_WAIT.min(Duration::from_millis(statement_timeout_ms)))
    }

    pub(crate) fn with_budget_wait(budget: usize, budget_wait: Duration) -> Self {
        Self { budget, budget_wait, permits: Arc::new(Semaphore::new(budget.min(Semaphore::MAX_PERMITS))) }
    }

    /// Waits for a place in the budget.
    pub(crate) async fn lease(&self) -> Result<OwnedSemaphorePermit, ConnectorError> {
        if self.budget == 0 {
            return Err(ConnectorError::Configuration { reason: "`max_connections` is 0".to_owned() });
        }
        let begun = Instant::now();
        match tokio::time::timeout(self.budget_wait, Arc::clone(&self.permits).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(ConnectorError::Budget {
                budget: self.budget,
                waited_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            }),
        }
    }

    /// Places that somebody holds.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.budget - self.permits.available_permits()
    }
}
