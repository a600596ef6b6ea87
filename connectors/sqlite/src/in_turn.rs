//! Two statements in one read transaction, the second after the first: both see the same state of the database.

use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::stream;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};
use wayleave_connector_api::{BatchStream, ConnectorError, Statement};

use crate::connector::{Asked, BATCHES_AHEAD, read_rows};
use crate::pool::{Control, Pool, StopOnDrop, refusal};

/// The rows of both. The second has none before the first was read to its end; dropping either stops both.
pub(crate) async fn query_in_turn(
    pool: &Arc<Pool>,
    statements: [Statement; 2],
) -> Result<[BatchStream; 2], ConnectorError> {
    let mut lease = pool.lease().await?;
    let control = pool.control();
    let stop = Arc::new(StopOnDrop(Arc::clone(&control)));
    let [first, second] = statements;
    let (first, first_rows) = Part::of(first, &stop);
    let (second, second_rows) = Part::of(second, &stop);
    tokio::task::spawn_blocking(move || {
        let read = match lease.connect(&control) {
            Ok(connection) => read_both(connection, &control, first, second),
            Err(error) => Err(first.refuse(error)),
        };
        let (outcome, last) = match read {
            Ok(last) => (Ok(()), Some(last)),
            Err(error) => (Err(error), None),
        };
        lease.settle(&control, &outcome);
        // Who has all the rows drops both, and that stops whatever is still done on the connection: so it is said last.
        if let Some(last) = last {
            last.say_so();
        }
    });
    Ok([first_rows, second_rows])
}

/// One of the statements, from the side of the thread that reads.
struct Part {
    statement: Statement,
    batches: mpsc::Sender<RecordBatch>,
    ended: oneshot::Sender<Result<(), ConnectorError>>,
}

/// One that was read to its end, which is still to be said.
struct Read(oneshot::Sender<Result<(), ConnectorError>>);

impl Read {
    fn say_so(self) {
        // Who has gone need not be told.
        let _ = self.0.send(Ok(()));
    }
}

/// The same from the side of whoever takes the rows.
struct Rows {
    batches: mpsc::Receiver<RecordBatch>,
    ended: Option<oneshot::Receiver<Result<(), ConnectorError>>>,
    _stop: Arc<StopOnDrop>,
}

impl Part {
    fn of(statement: Statement, stop: &Arc<StopOnDrop>) -> (Self, BatchStream) {
        let (batches, receiver) = mpsc::channel(BATCHES_AHEAD);
        let (ended, ending) = oneshot::channel();
        let rows = Rows { batches: receiver, ended: Some(ending), _stop: Arc::clone(stop) };
        (Self { statement, batches, ended }, Box::pin(stream::unfold(rows, Rows::next)))
    }

    /// Reads it to its end; where it fails, whoever takes the rows is told.
    fn read(self, connection: &Connection, control: &Control) -> Result<Read, ConnectorError> {
        let (ready, _prepared) = oneshot::channel();
        let asked = Asked { statement: &self.statement, secret: None };
        match read_rows(connection, control, asked, &self.batches, ready) {
            Ok(()) => Ok(Read(self.ended)),
            Err(error) => Err(self.refuse(error)),
        }
    }

    /// Ends without a row more; what is left to say here is that it did.
    fn refuse(self, error: ConnectorError) -> ConnectorError {
        let _ = self.ended.send(Err(error));
        broken_off()
    }
}

impl Rows {
    async fn next(mut self) -> Option<(Result<RecordBatch, ConnectorError>, Self)> {
        if let Some(batch) = self.batches.recv().await {
            return Some((Ok(batch), self));
        }
        // INVARIANT: a result has ended only when its reader says so; one that failed or panicked closes the channel too.
        match self.ended.take()?.await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some((Err(error), self)),
            Err(_) => Some((Err(broken_off()), self)),
        }
    }
}

fn broken_off() -> ConnectorError {
    ConnectorError::Lost { operator_detail: "the reader of the result broke off".to_owned() }
}

/// Gives the second.
fn read_both(connection: &Connection, control: &Control, first: Part, second: Part) -> Result<Read, ConnectorError> {
    let run = |sql: &str| connection.execute_batch(sql).map_err(|error| refusal(error, control));
    if let Err(error) = run("BEGIN") {
        return Err(first.refuse(error));
    }
    first.read(connection, control)?.say_so();
    let second = second.read(connection, control)?;
    run("COMMIT")?;
    Ok(second)
}
