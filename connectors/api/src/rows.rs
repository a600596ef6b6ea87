//! The batches of a result from a reader that runs as a task of its own.

use std::pin::Pin;
use std::task::{Context, Poll};

use arrow::array::RecordBatch;
use futures::Stream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::ConnectorError;

/// Batches that wait for the consumer, beside the one that is being read.
const BATCHES_AHEAD: usize = 2;

/// The result's batches, then how the reader ended. Dropping it ends the reader.
#[derive(Debug)]
pub struct Rows {
    receiver: mpsc::Receiver<RecordBatch>,
    /// `None` once its end was told.
    reader: Option<JoinHandle<Result<(), ConnectorError>>>,
}

impl Rows {
    /// Runs the reader as a task of its own, so that reading and decoding go on while the consumer works.
    pub fn read_by<F>(reader: impl FnOnce(mpsc::Sender<RecordBatch>) -> F) -> Self
    where
        F: Future<Output = Result<(), ConnectorError>> + Send + 'static,
    {
        let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
        Self { receiver, reader: Some(tokio::spawn(reader(sender))) }
    }
}

impl Stream for Rows {
    type Item = Result<RecordBatch, ConnectorError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.receiver.poll_recv(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Some(batch)) => return Poll::Ready(Some(Ok(batch))),
            Poll::Ready(None) => {}
        }
        let Some(reader) = self.reader.as_mut() else { return Poll::Ready(None) };
        let ended = std::task::ready!(Pin::new(reader).poll(context));
        self.reader = None;
        Poll::Ready(match ended {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(Err(error)),
            // INVARIANT: a reader that broke off never looks like a short, successful result.
            Err(_panicked) => Some(Err(ConnectorError::broken_off())),
        })
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        if let Some(reader) = &self.reader {
            // Its lease goes with it, which cancels the statement and closes the connection.
            reader.abort();
        }
    }
}
