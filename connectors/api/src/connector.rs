//! The trait that each database's crate implements.

use std::pin::Pin;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use futures::Stream;

use crate::{ConnectorError, Dialect, Divisible, Pseudonymiser, Table, TableName, TableSummary};

/// A result as it arrives. Dropping it cancels the statement at the source within a second and never leaves the
/// connection in a state in which another query could see this one's rows.
pub type BatchStream = Pin<Box<dyn Stream<Item = Result<RecordBatch, ConnectorError>> + Send>>;

/// SQL that our own generator wrote, and the schema in which its result must arrive.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    pub sql: String,
    pub schema: SchemaRef,
    /// What the source's own log may say of who asks: a query id, never a person's data.
    pub query_id: String,
}

/// What a reachable source says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerInfo {
    pub product: String,
    pub version: String,
    /// Whether the connection is encrypted; always true for an embedded database.
    pub encrypted: bool,
}

/// Which source a connector reads, and as whom. It is compared and never shown: it holds what the connector logs in with.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceIdentity(Vec<String>);

impl SourceIdentity {
    /// Everything by which two connectors of one kind could differ in what they may see.
    pub fn new(parts: impl IntoIterator<Item = String>) -> Self {
        Self(parts.into_iter().collect())
    }
}

impl std::fmt::Debug for SourceIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SourceIdentity(hidden)")
    }
}

/// One agency's database.
///
/// Every method opens what it needs lazily: making a connector never touches the source. No method may write to the
/// source, and each honours the agency's connection budget and statement timeout.
#[async_trait]
pub trait Connector: Send + Sync + std::fmt::Debug {
    fn dialect(&self) -> &dyn Dialect;

    /// The same for two connectors only where either may run a statement over what the other reads, and would be answered
    /// alike. `None` is never the same as another.
    fn source_identity(&self) -> Option<SourceIdentity> {
        None
    }

    /// Reaches the source and logs in.
    ///
    /// # Errors
    /// Whatever keeps the source from being read: unreachable, login refused, no trusted encryption, busy.
    async fn ping(&self) -> Result<ServerInfo, ConnectorError>;

    /// Every table and view that the login may see, system schemas left out: one round trip at any number of tables.
    async fn tables(&self) -> Result<Vec<TableSummary>, ConnectorError>;

    /// One table with its columns, keys and size; `None` where there is no such table. Names are compared exactly.
    async fn table(&self, name: &TableName) -> Result<Option<Table>, ConnectorError>;

    /// Runs a statement in a read-only transaction and streams its rows with back-pressure: the next batch is read when
    /// this one has been taken, and the whole result is never held.
    async fn query(&self, statement: Statement) -> Result<BatchStream, ConnectorError>;

    /// The same for a statement in which pseudonyms are made, with the secret of its join. It travels beside the statement's
    /// text, never in it. What declares no [`Dialect::in_pseudonyms`] is never asked.
    async fn query_pseudonymised(
        &self,
        statement: Statement,
        pseudonymiser: &Pseudonymiser,
    ) -> Result<BatchStream, ConnectorError> {
        let _ = (statement, pseudonymiser);
        Err(ConnectorError::Configuration { reason: "this kind of database makes no pseudonyms".to_owned() })
    }

    /// The same for a statement whose fragment is `divisible`, over several connections where that pays: all parts see one
    /// state of the source, their rows come in no order, and a failure of one is the failure of all. What does not divide
    /// reads the whole.
    async fn query_parts(&self, statement: Statement, divisible: Divisible) -> Result<BatchStream, ConnectorError> {
        drop(divisible);
        self.query(statement).await
    }

    /// Whether the source joins by looking up each row's partners, never by hashing: then a join of two large tables is
    /// cheaper made of their rows, which [`Connector::query_in_turn`] reads.
    fn joins_by_lookup(&self) -> bool {
        false
    }

    /// Two statements that see one state of the source. The second has rows only once the first was read to its end;
    /// dropping either stops both. Asked only of a source that joins by lookup.
    async fn query_in_turn(&self, statements: [Statement; 2]) -> Result<[BatchStream; 2], ConnectorError> {
        drop(statements);
        Err(ConnectorError::Protocol { reason: "it reads no two statements in turn".to_owned() })
    }
}
