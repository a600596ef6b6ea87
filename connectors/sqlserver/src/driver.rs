//! What the connector needs of a TDS driver: to log in, and to run a batch whose rows are handed over cell by cell.
//!
//! INVARIANT: a [`Session`] is used again only after [`Session::run`] has ended well, and so after the server's own end of
//! the batch. After anything else it is dropped, which closes its connection: a driver that gave up in the middle could take
//! the rest of one answer for the next.

use async_trait::async_trait;
use wayleave_connector_api::ConnectorError;

mod tds;

pub(crate) use tds::TdsDriver;

/// Makes sessions with one server.
#[async_trait]
pub(crate) trait Driver: Send + Sync {
    /// # Errors
    /// Whatever keeps us from a session; never with a secret in it.
    async fn connect(&self) -> Result<Box<dyn Session>, ConnectorError>;
}

/// A connection that is logged in. Dropping it closes it.
#[async_trait]
pub(crate) trait Session: Send {
    /// Runs a batch to the server's own end of it.
    ///
    /// # Errors
    /// The first that the server sent, or the receiver's own.
    async fn run(&mut self, batch: &str, receiver: &mut dyn Receiver) -> Result<(), ConnectorError>;

    /// Whether the connection still stands, and holds nothing that nobody has read.
    fn is_idle(&self) -> bool;
}

/// Where the rows of a batch go.
#[async_trait]
pub(crate) trait Receiver: Send {
    /// The next result set begins, of so many columns.
    fn begin(&mut self, width: usize) -> Result<(), ConnectorError>;

    /// One field of the row, from the first column to the last.
    fn cell(&mut self, position: usize, cell: Cell<'_>) -> Result<(), ConnectorError>;

    fn end_row(&mut self) -> Result<Filled, ConnectorError>;

    /// Hands over what has been filled; nothing is read meanwhile.
    async fn hand_over(&mut self) -> Result<(), ConnectorError>;
}

/// Whether the rows so far are enough to be handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    No,
    Yes,
}

/// A field as it comes from the server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cell<'a> {
    Null,
    Bit(bool),
    Integer(i64),
    Float32(f32),
    Float64(f64),
    /// `unscaled × 10^-scale`.
    Decimal {
        unscaled: i128,
        scale: u8,
    },
    Text(&'a str),
    Binary(&'a [u8]),
    /// Days since 0001-01-01.
    Date(u32),
    /// Hundreds of nanoseconds since midnight.
    Time(u64),
    /// A day and a time of it; by the clock of UTC where the type knows zones.
    Moment {
        days: u32,
        ticks: u64,
    },
    /// Of a type that is never asked for.
    Other,
}

/// Rows that are few, whole.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub(crate) sets: Vec<Vec<Vec<OwnedCell>>>,
    row: Vec<OwnedCell>,
}

/// What a catalog answers with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum OwnedCell {
    Null,
    Integer(i64),
    Text(String),
    Other,
}

#[async_trait]
impl Receiver for Collected {
    fn begin(&mut self, _width: usize) -> Result<(), ConnectorError> {
        self.sets.push(Vec::new());
        Ok(())
    }

    fn cell(&mut self, _position: usize, cell: Cell<'_>) -> Result<(), ConnectorError> {
        self.row.push(match cell {
            Cell::Null => OwnedCell::Null,
            Cell::Bit(value) => OwnedCell::Integer(i64::from(value)),
            Cell::Integer(value) => OwnedCell::Integer(value),
            Cell::Text(value) => OwnedCell::Text(value.to_owned()),
            _ => OwnedCell::Other,
        });
        Ok(())
    }

    fn end_row(&mut self) -> Result<Filled, ConnectorError> {
        let row = std::mem::take(&mut self.row);
        match self.sets.last_mut() {
            Some(set) => set.push(row),
            None => return Err(ConnectorError::Protocol { reason: "a row came before its columns".to_owned() }),
        }
        Ok(Filled::No)
    }

    async fn hand_over(&mut self) -> Result<(), ConnectorError> {
        Ok(())
    }
}
