//! A result on its way: from a leased connection through the decoder to whoever takes the batches.

use arrow::array::RecordBatch;
use async_trait::async_trait;
use tokio::sync::mpsc;
use wayleave_connector_api::ConnectorError;

use crate::decode::Decoder;
use crate::driver::{Cell, Filled, Receiver};

/// Receives one marked statement, see `statement`.
pub(crate) struct Reading {
    mark: u32,
    place: Place,
    decoder: Decoder,
    batches: mpsc::Sender<RecordBatch>,
    rows: u64,
    /// What the last result says: how many rows there were, and of which statement.
    end: [Option<i64>; 2],
}

/// Which of the results is being received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Before,
    /// The first, which says of which statement this is.
    Mark,
    /// The same, once it has said so.
    Marked,
    Rows,
    End,
    Ended,
}

impl Reading {
    pub(crate) fn new(mark: u32, decoder: Decoder, batches: mpsc::Sender<RecordBatch>) -> Self {
        Self { mark, place: Place::Before, decoder, batches, rows: 0, end: [None, None] }
    }

    /// Whether the server has not even begun to answer.
    pub(crate) fn is_untouched(&self) -> bool {
        self.place == Place::Before
    }

    /// The rows since the last batch, once everything came as it had to.
    ///
    /// INVARIANT: a result is whole only where the server's own last row says so, with the number of rows and the mark.
    pub(crate) fn finish(mut self) -> Result<Option<RecordBatch>, ConnectorError> {
        let rows = i64::try_from(self.rows).ok();
        let expected = [rows, Some(i64::from(self.mark))];
        if self.place != Place::Ended || self.end != expected {
            return Err(ConnectorError::Protocol { reason: "a result ended without its end mark".to_owned() });
        }
        if self.decoder.is_empty() { Ok(None) } else { self.decoder.batch().map(Some) }
    }

    fn misplaced() -> ConnectorError {
        ConnectorError::Protocol { reason: "the results are not those of the statement".to_owned() }
    }
}

#[async_trait]
impl Receiver for Reading {
    fn begin(&mut self, width: usize) -> Result<(), ConnectorError> {
        let (next, expected) = match self.place {
            Place::Before => (Place::Mark, 1),
            Place::Marked => (Place::Rows, self.decoder.width()),
            Place::Rows => (Place::End, 2),
            Place::Mark | Place::End | Place::Ended => return Err(Self::misplaced()),
        };
        if width != expected {
            return Err(Self::misplaced());
        }
        self.place = next;
        Ok(())
    }

    fn cell(&mut self, position: usize, cell: Cell<'_>) -> Result<(), ConnectorError> {
        match (self.place, cell) {
            (Place::Rows, cell) => self.decoder.cell(position, cell),
            // INVARIANT: no row is decoded before the server has said that it is of this statement.
            (Place::Mark, Cell::Integer(mark)) if mark == i64::from(self.mark) => Ok(()),
            (Place::End, Cell::Integer(number)) => match self.end.get_mut(position) {
                Some(place) => {
                    *place = Some(number);
                    Ok(())
                }
                None => Err(Self::misplaced()),
            },
            _ => Err(Self::misplaced()),
        }
    }

    fn end_row(&mut self) -> Result<Filled, ConnectorError> {
        match self.place {
            Place::Mark => {
                self.place = Place::Marked;
                Ok(Filled::No)
            }
            Place::Rows => {
                self.rows += 1;
                Ok(self.decoder.end_row())
            }
            Place::End => {
                self.place = Place::Ended;
                Ok(Filled::No)
            }
            Place::Before | Place::Marked | Place::Ended => Err(Self::misplaced()),
        }
    }

    async fn hand_over(&mut self) -> Result<(), ConnectorError> {
        let batch = self.decoder.batch()?;
        self.batches.send(batch).await.map_err(|_gone| ConnectorError::Cancelled)
    }
}
