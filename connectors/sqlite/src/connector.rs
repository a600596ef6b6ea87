//! The connector: one SQLite file, read as an agency's database.

use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use futures::stream;
use rusqlite::Connection;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use wayleave_connector_api::{
    BatchStream, Connector, ConnectorError, Dialect, Pseudonymiser, ServerInfo, SourceIdentity, Statement, Table,
    TableName, TableSummary,
};

use crate::decode::RowDecoder;
use crate::in_turn::query_in_turn;
use crate::pool::{Control, Lease, Pool, StopOnDrop, interruption, refusal};
use crate::{SqliteDialect, SqliteOptions, introspect};

/// Rows of the first batch: few, so that they are there early.
const FIRST_BATCH_ROWS: usize = 256;

const BATCH_ROWS: usize = 8_192;

/// Batches that wait to be taken before reading pauses.
pub(crate) const BATCHES_AHEAD: usize = 2;

/// Reads one SQLite file.
#[derive(Debug)]
pub struct SqliteConnector {
    pub(crate) pool: Arc<Pool>,
    dialect: SqliteDialect,
}

impl SqliteConnector {
    /// A connector for this file, which it does not touch before it is asked something.
    pub fn new(options: SqliteOptions) -> Self {
        Self::over(Pool::new(options))
    }

    pub(crate) fn over(pool: Arc<Pool>) -> Self {
        Self { pool, dialect: SqliteDialect }
    }
}

#[async_trait]
impl Connector for SqliteConnector {
    fn dialect(&self) -> &dyn Dialect {
        &self.dialect
    }

    /// The file itself, wherever links to it stand.
    fn source_identity(&self) -> Option<SourceIdentity> {
        let file = std::fs::canonicalize(self.pool.path()).ok()?;
        Some(SourceIdentity::new(["sqlite".to_owned(), file.to_str()?.to_owned()]))
    }

    async fn ping(&self) -> Result<ServerInfo, ConnectorError> {
        self.pool.run(|connection| connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))).await?;
        Ok(ServerInfo { product: "SQLite".to_owned(), version: rusqlite::version().to_owned(), encrypted: true })
    }

    async fn tables(&self) -> Result<Vec<TableSummary>, ConnectorError> {
        self.pool.run(introspect::tables).await
    }

    async fn table(&self, name: &TableName) -> Result<Option<Table>, ConnectorError> {
        let name = name.clone();
        self.pool.run(move |connection| introspect::table(connection, &name)).await
    }

    async fn query(&self, statement: Statement) -> Result<BatchStream, ConnectorError> {
        self.answer(statement, None).await
    }

    async fn query_pseudonymised(
        &self,
        statement: Statement,
        pseudonymiser: &Pseudonymiser,
    ) -> Result<BatchStream, ConnectorError> {
        self.answer(statement, Some(pseudonymiser.clone())).await
    }

    /// It has no hash join: each row's partners are looked up in an index, one row after the other.
    fn joins_by_lookup(&self) -> bool {
        true
    }

    async fn query_in_turn(&self, statements: [Statement; 2]) -> Result<[BatchStream; 2], ConnectorError> {
        query_in_turn(&self.pool, statements).await
    }
}

impl SqliteConnector {
    async fn answer(
        &self,
        statement: Statement,
        pseudonymiser: Option<Pseudonymiser>,
    ) -> Result<BatchStream, ConnectorError> {
        let lease = self.pool.lease().await?;
        let control = self.pool.control();
        let stop = StopOnDrop(Arc::clone(&control));
        let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
        let (ready, prepared) = oneshot::channel();
        let reader = tokio::task::spawn_blocking(move || {
            let secret = pseudonymiser.as_ref().map(Pseudonymiser::secret);
            read(lease, &control, Asked { statement: &statement, secret }, &sender, ready)
        });
        if prepared.await.is_err() {
            return Err(match outcome(reader).await {
                Err(error) => error,
                Ok(()) => ConnectorError::Protocol { reason: "the statement ended before it began".to_owned() },
            });
        }
        let reading = Reading { receiver, reader: Some(reader), _stop: stop };
        Ok(Box::pin(stream::unfold(reading, Reading::next)))
    }
}

/// A result on its way, from the side of whoever takes it.
struct Reading {
    receiver: mpsc::Receiver<RecordBatch>,
    reader: Option<JoinHandle<Result<(), ConnectorError>>>,
    _stop: StopOnDrop,
}

impl Reading {
    async fn next(mut self) -> Option<(Result<RecordBatch, ConnectorError>, Self)> {
        if let Some(batch) = self.receiver.recv().await {
            return Some((Ok(batch), self));
        }
        // INVARIANT: a result has ended only when its reader says so; one that failed or panicked closes the channel too.
        match outcome(self.reader.take()?).await {
            Ok(()) => None,
            Err(error) => Some((Err(error), self)),
        }
    }
}

async fn outcome(reader: JoinHandle<Result<(), ConnectorError>>) -> Result<(), ConnectorError> {
    match reader.await {
        Ok(outcome) => outcome,
        Err(_) => Err(ConnectorError::Lost { operator_detail: "the reader of the result broke off".to_owned() }),
    }
}

/// A statement, and what is bound to its one parameter where it has one.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub statement: &'a Statement,
    pub secret: Option<&'a [u8]>,
}

/// Runs on a thread of its own, from opening to the last row.
fn read(
    mut lease: Lease,
    control: &Arc<Control>,
    asked: Asked<'_>,
    sender: &mpsc::Sender<RecordBatch>,
    ready: oneshot::Sender<()>,
) -> Result<(), ConnectorError> {
    let outcome = lease.connect(control).and_then(|connection| read_rows(connection, control, asked, sender, ready));
    lease.settle(control, &outcome);
    outcome
}

pub(crate) fn read_rows(
    connection: &Connection,
    control: &Control,
    asked: Asked<'_>,
    sender: &mpsc::Sender<RecordBatch>,
    ready: oneshot::Sender<()>,
) -> Result<(), ConnectorError> {
    let Asked { statement, secret } = asked;
    refuse_what_is_no_query(&statement.sql)?;
    let mut decoder = RowDecoder::new(&statement.schema)?;
    let mut prepared = connection.prepare(&statement.sql).map_err(|error| refusal(error, control))?;
    if !prepared.readonly() || prepared.column_count() == 0 {
        return Err(no_query());
    }
    decoder.check_width(prepared.column_count())?;
    // Without pseudonyms to look for there is no place for it.
    if let Some(secret) = secret.filter(|_| prepared.parameter_count() > 0) {
        prepared.raw_bind_parameter(1, secret).map_err(|error| refusal(error, control))?;
    }
    // One statement is one read transaction: it sees the database as it stood at its first step.
    let mut rows = prepared.raw_query();
    // A receiver that has gone away shows at the first send.
    let _ = ready.send(());
    let mut batch_rows = FIRST_BATCH_ROWS;
    while let Some(row) = rows.next().map_err(|error| interruption(error, control))? {
        decoder.push(row)?;
        if decoder.len() >= batch_rows {
            send(sender, control, decoder.finish()?)?;
            batch_rows = BATCH_ROWS;
        }
    }
    if decoder.len() > 0 {
        send(sender, control, decoder.finish()?)?;
    }
    Ok(())
}

/// Waits until the batch has a place in the channel: here reading pauses while nobody takes what was read. The read
/// transaction stays open meanwhile and holds up the agency's writers, so the deadline counts here as well.
fn send(sender: &mpsc::Sender<RecordBatch>, control: &Control, batch: RecordBatch) -> Result<(), ConnectorError> {
    let sending = sender.send(batch);
    let sent = match control.deadline() {
        Some(deadline) => Handle::current()
            .block_on(async { tokio::time::timeout_at(deadline.into(), sending).await })
            .map_err(|_| control.timeout())?,
        None => Handle::current().block_on(sending),
    };
    sent.map_err(|_| ConnectorError::Cancelled)
}

/// The generator writes queries and nothing else; a PRAGMA that only reads would pass SQLite's own test.
fn refuse_what_is_no_query(sql: &str) -> Result<(), ConnectorError> {
    let word = sql.split_whitespace().next().unwrap_or_default();
    if ["SELECT", "WITH", "VALUES"].iter().any(|query| word.eq_ignore_ascii_case(query)) {
        Ok(())
    } else {
        Err(no_query())
    }
}

fn no_query() -> ConnectorError {
    ConnectorError::Refused {
        sqlstate: "25006".to_owned(),
        operator_detail: "only a query may run on this connection".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt};

    use super::*;

    #[tokio::test]
    async fn a_reader_that_panics_is_no_empty_result() {
        let options = SqliteOptions { path: "unused".into(), max_connections: 1, statement_timeout_ms: 1_000 };
        let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
        let reader = tokio::task::spawn_blocking(move || {
            drop(sender);
            panic!("a decoder's mistake")
        });
        let reading = Reading { receiver, reader: Some(reader), _stop: StopOnDrop(Pool::new(options).control()) };
        let mut stream = Box::pin(stream::unfold(reading, Reading::next));
        assert!(matches!(stream.next().await, Some(Err(ConnectorError::Lost { .. }))));
        assert!(stream.next().now_or_never().flatten().is_none());
    }
}
