//! A result on its way: from a leased connection through the decoder to [`Rows`](wayleave_connector_api::Rows).

use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use futures::{FutureExt, StreamExt};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use wayleave_connector_api::ConnectorError;

use crate::decode::Decoder;
use crate::pool::{Lease, SILENCE_GRACE, statement_error};

/// What a reader that is wanted elsewhere holds at most, to read to an end before it goes.
const HELD_BYTES: usize = 32 << 20;

/// Reads one `COPY` to its end. Batches that became full go on; the rows of the last one stay in the decoder.
///
/// The driver reads no further while nobody takes what it has: the server waits with the rest.
pub(crate) async fn copy(
    lease: &Lease,
    prepared: &tokio_postgres::Statement,
    decoder: &mut Decoder,
    sink: &mut Sink,
) -> Result<(), ConnectorError> {
    let timeout_ms = lease.timeout_ms();
    let started = Instant::now();
    let mut rows = Box::pin(lease.answer(lease.client()?.copy_out(prepared)).await?);
    let mut full = Vec::new();
    loop {
        // Most chunks are here already, and a timer for each row would cost more than the row.
        let next = match rows.next().now_or_never() {
            Some(next) => next,
            None if timeout_ms == 0 => rows.next().await,
            None => timeout(Duration::from_millis(timeout_ms).saturating_add(SILENCE_GRACE), rows.next())
                .await
                .map_err(|_elapsed| ConnectorError::Timeout { timeout_ms })?,
        };
        let Some(chunk) = next else { break };
        decoder.feed(&chunk.map_err(|error| statement_error(&error, timeout_ms, started))?, &mut full)?;
        for batch in full.drain(..) {
            sink.send(batch).await?;
        }
    }
    decoder.end_of_copy()
}

/// Ends the transaction of results that were read to their end, and with it the lease.
///
/// A failure after the last row leaves the transaction aborted, in which COMMIT alone would go through.
pub(crate) async fn commit(lease: Lease) -> Result<(), ConnectorError> {
    lease.answer(lease.client()?.batch_execute("SELECT 1; COMMIT")).await?;
    lease.give_back();
    Ok(())
}

/// Where a reader's batches go.
pub(crate) struct Sink {
    batches: mpsc::Sender<RecordBatch>,
    /// How many wait for the reader's connection, where it can be given back early.
    wanted: Option<watch::Receiver<usize>>,
    held: Vec<RecordBatch>,
    held_bytes: usize,
}

impl Sink {
    pub(crate) fn new(batches: mpsc::Sender<RecordBatch>) -> Self {
        Self { batches, wanted: None, held: Vec::new(), held_bytes: 0 }
    }

    /// A sink that holds batches back as soon as others wait for the reader's connection and nobody takes them: the reader
    /// comes to its end all the same. [`Sink::flush`] hands them on.
    pub(crate) fn yielding(batches: mpsc::Sender<RecordBatch>, wanted: watch::Receiver<usize>) -> Self {
        Self { wanted: Some(wanted), ..Self::new(batches) }
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.as_ref().is_some_and(|wanted| *wanted.borrow() > 0)
    }

    pub(crate) async fn send(&mut self, batch: RecordBatch) -> Result<(), ConnectorError> {
        if let Some(wanted) = &mut self.wanted
            && self.held.is_empty()
        {
            let wanted = async { wanted.wait_for(|count| *count > 0).await.is_ok() };
            tokio::select! {
                biased;
                place = self.batches.reserve() => {
                    place.map_err(|_gone| ConnectorError::Cancelled)?.send(batch);
                    return Ok(());
                }
                _ = wanted => {}
            }
        }
        if self.wanted.is_some() && self.held_bytes < HELD_BYTES {
            self.held_bytes = self.held_bytes.saturating_add(batch.get_array_memory_size());
            self.held.push(batch);
            return Ok(());
        }
        self.flush().await?;
        self.batches.send(batch).await.map_err(|_gone| ConnectorError::Cancelled)
    }

    pub(crate) async fn flush(&mut self) -> Result<(), ConnectorError> {
        self.held_bytes = 0;
        for batch in self.held.drain(..) {
            self.batches.send(batch).await.map_err(|_gone| ConnectorError::Cancelled)?;
        }
        Ok(())
    }
}
