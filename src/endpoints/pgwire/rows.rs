//! Rows under way: a result as it comes, sent as far as the client asks for it.

use std::ops::Range;

use bytes::BytesMut;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use futures::{SinkExt, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;

use super::values::{Formats, RowWriter};
use super::wire::{Fault, Socket, gone};
use crate::error::Error;

/// Rows are written as many bytes at a time.
const WRITTEN_AT_ONCE: usize = 64 << 10;

/// Rows under way. Dropping them cancels at the sources.
pub(super) struct Rows {
    pub schema: SchemaRef,
    batches: SendableRecordBatchStream,
    batch: Option<(RecordBatch, usize)>,
    is_over: bool,
}

/// How far rows have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// To their end.
    All { rows: usize },
    /// To as many as were asked for.
    Some { rows: usize },
}

impl Rows {
    pub fn new(batches: SendableRecordBatchStream) -> Self {
        Self { schema: batches.schema(), batches, batch: None, is_over: false }
    }

    /// Sends rows as they come, at most as many.
    ///
    /// # Errors
    /// The rows fail or are cancelled, or nobody is there to read them.
    pub async fn send(
        &mut self,
        socket: &mut Socket,
        cancels: &mut watch::Receiver<u64>,
        formats: &Formats,
        most: Option<usize>,
    ) -> Result<Sent, Fault> {
        // What is announced goes before what is written past the buffer of messages.
        socket.flush().await?;
        cancels.mark_unchanged();
        let mut out = BytesMut::with_capacity(2 * WRITTEN_AT_ONCE);
        let mut count = 0;
        let sent = loop {
            if most.is_some_and(|most| count >= most) {
                break Sent::Some { rows: count };
            }
            let Some((batch, from)) = self.batch.take() else {
                if self.is_over {
                    break Sent::All { rows: count };
                }
                let next = tokio::select! {
                    biased;
                    _ = cancels.changed() => return Err(Error::Cancelled.into()),
                    next = self.batches.next() => next,
                    () = gone(socket) => return Err(Fault::Gone(std::io::ErrorKind::UnexpectedEof.into())),
                };
                match next.transpose().map_err(Error::from)? {
                    Some(batch) => self.batch = Some((batch, 0)),
                    None => self.is_over = true,
                }
                // The first rows do not wait for the last.
                if !out.is_empty() {
                    socket.get_mut().write_all(&out).await?;
                    out.clear();
                }
                continue;
            };
            let until = most.map_or(batch.num_rows(), |most| batch.num_rows().min(from + most - count));
            let mut row = from;
            while row < until {
                row = write_rows(&batch, formats, row..until, &mut out)?;
                if out.len() >= WRITTEN_AT_ONCE {
                    socket.get_mut().write_all(&out).await?;
                    out.clear();
                    if cancels.has_changed().unwrap_or(true) {
                        return Err(Error::Cancelled.into());
                    }
                }
            }
            count += until - from;
            if until < batch.num_rows() {
                self.batch = Some((batch, until));
            }
        };
        socket.get_mut().write_all(&out).await?;
        Ok(sent)
    }
}

/// Writes rows until there are as many bytes as are written at once; returns the row to go on from.
fn write_rows(batch: &RecordBatch, formats: &Formats, rows: Range<usize>, out: &mut BytesMut) -> Result<usize, Fault> {
    let writer =
        RowWriter::new(batch, formats).map_err(|_| Fault::error("22000", "a value cannot be written as its type"))?;
    let mut next = rows.start;
    while next < rows.end && out.len() < WRITTEN_AT_ONCE {
        writer.write(next, out);
        next += 1;
    }
    Ok(next)
}
