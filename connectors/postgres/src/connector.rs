//! The connector: one agency's PostgreSQL server.

use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use wayleave_connector_api::{
    BatchStream, Connector, ConnectorError, Dialect, Divisible, Pseudonymiser, Rows, ServerInfo, SourceIdentity,
    Statement, Table, TableName, TableSummary,
};

use crate::decode::Decoder;
use crate::dialect::{INNER_PAD, OUTER_PAD};
use crate::parts::{self, Division, Extent};
use crate::pool::{Lease, Origin, Pool};
use crate::reading::{Sink, commit, copy};
use crate::{PostgresDialect, PostgresOptions, TlsMode, introspect};

/// One agency's PostgreSQL server.
#[derive(Debug)]
pub struct PostgresConnector {
    pool: Pool,
    dialect: PostgresDialect,
    identity: SourceIdentity,
}

impl PostgresConnector {
    /// Takes the settings apart and reads the certificates to trust. It touches no network.
    ///
    /// # Errors
    /// [`ConnectorError::Configuration`], which never repeats a part of the URL.
    pub fn new(options: PostgresOptions) -> Result<Self, ConnectorError> {
        let identity = options.identity()?;
        Ok(Self { pool: Pool::new(options)?, dialect: PostgresDialect, identity })
    }

    /// Asks something of the catalog. A connection that died while it was idle (the server was restarted) is replaced:
    /// nothing has been answered by then, so that asking again is safe.
    async fn ask<T>(
        &self,
        question: impl for<'a> Fn(&'a Lease) -> BoxFuture<'a, Result<T, ConnectorError>> + Send + Sync,
    ) -> Result<T, ConnectorError> {
        loop {
            let lease = self.pool.lease().await?;
            match question(&lease).await {
                Ok(answer) => {
                    lease.give_back();
                    return Ok(answer);
                }
                Err(ConnectorError::Lost { .. }) if lease.origin == Origin::Reused => self.pool.forget_idle(),
                Err(error) => return Err(error),
            }
        }
    }

    /// Begins a statement's transaction; an idle connection that died is replaced as in [`Self::ask`].
    async fn begin(&self, statement: &Statement, beside: Beside<'_>) -> Result<Begun, ConnectorError> {
        loop {
            let lease = self.pool.lease().await?;
            match begin_on(&lease, statement, beside).await {
                Ok((prepared, extent)) => return Ok(Begun { prepared, lease, extent }),
                Err(ConnectorError::Lost { .. }) if lease.origin == Origin::Reused => self.pool.forget_idle(),
                Err(error) => return Err(error),
            }
        }
    }
}

#[async_trait]
impl Connector for PostgresConnector {
    fn dialect(&self) -> &dyn Dialect {
        &self.dialect
    }

    fn source_identity(&self) -> Option<SourceIdentity> {
        Some(self.identity.clone())
    }

    async fn ping(&self) -> Result<ServerInfo, ConnectorError> {
        let version = self.ask(|lease| server_version(lease).boxed()).await?;
        let encrypted = self.pool.options().tls == TlsMode::Require;
        Ok(ServerInfo { product: "PostgreSQL".to_owned(), version, encrypted })
    }

    async fn tables(&self) -> Result<Vec<TableSummary>, ConnectorError> {
        self.ask(|lease| introspect::tables(lease).boxed()).await
    }

    async fn table(&self, name: &TableName) -> Result<Option<Table>, ConnectorError> {
        self.ask(|lease| {
            let name = name.clone();
            async move { introspect::table(lease, &name).await }.boxed()
        })
        .await
    }

    async fn query(&self, statement: Statement) -> Result<BatchStream, ConnectorError> {
        let decoder = Decoder::new(Arc::clone(&statement.schema))?;
        let Begun { prepared, lease, .. } = self.begin(&statement, Beside::Nothing).await?;
        Ok(Box::pin(Rows::read_by(|batches| read_whole(lease, prepared, decoder, Sink::new(batches)))))
    }

    async fn query_pseudonymised(
        &self,
        statement: Statement,
        pseudonymiser: &Pseudonymiser,
    ) -> Result<BatchStream, ConnectorError> {
        let decoder = Decoder::new(Arc::clone(&statement.schema))?;
        let Begun { prepared, lease, .. } = self.begin(&statement, Beside::Secret(pseudonymiser)).await?;
        Ok(Box::pin(Rows::read_by(|batches| read_whole(lease, prepared, decoder, Sink::new(batches)))))
    }

    async fn query_parts(&self, statement: Statement, divisible: Divisible) -> Result<BatchStream, ConnectorError> {
        let options = self.pool.options();
        if options.scan_connections.min(options.max_connections) < 2 {
            return self.query(statement).await;
        }
        let decoder = Decoder::new(Arc::clone(&statement.schema))?;
        let Begun { prepared, lease, extent } = self.begin(&statement, Beside::Extent(divisible.table())).await?;
        let planned = match extent {
            Some(extent) => {
                let joining = |first: &str| begin_sql(Isolation::Snapshot, first, &statement.query_id);
                Division::plan(lease, &self.pool, &statement, divisible, extent, joining).await?
            }
            None => Err(lease),
        };
        Ok(Box::pin(match planned {
            Ok(division) => Rows::read_by(|batches| division.run(decoder, batches)),
            Err(lease) => Rows::read_by(|batches| read_whole(lease, prepared, decoder, Sink::new(batches))),
        }))
    }
}

async fn server_version(lease: &Lease) -> Result<String, ConnectorError> {
    let row = lease.answer(lease.client()?.query_one("SELECT current_setting('server_version')", &[])).await?;
    row.try_get(0).map_err(|_| ConnectorError::Protocol { reason: "the server's version is no text".to_owned() })
}

/// A statement whose transaction is open.
struct Begun {
    prepared: tokio_postgres::Statement,
    lease: Lease,
    /// The size of the table that was asked for, where it can be divided.
    extent: Option<Extent>,
}

/// What goes to the server between a transaction's begin and its statement.
#[derive(Clone, Copy)]
enum Beside<'a> {
    Nothing,
    /// A question for a table's size.
    Extent(&'a TableName),
    /// What pseudonyms are made with, for this transaction alone.
    Secret(&'a Pseudonymiser),
}

/// What a transaction's statements see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Isolation {
    /// Each the latest state: enough for a single one.
    Statement,
    /// All the same state.
    Snapshot,
}

/// Opens a transaction, beginning with these settings.
fn begin_sql(isolation: Isolation, first: &str, query_id: &str) -> String {
    // All that reaches the agency's own log of who asks. The id is not trusted to be one.
    let id: String = query_id.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(40).collect();
    let level = match isolation {
        Isolation::Statement => "READ COMMITTED",
        Isolation::Snapshot => "REPEATABLE READ",
    };
    format!("BEGIN ISOLATION LEVEL {level} READ ONLY; {first}; SET LOCAL application_name = 'wayleave {id}'")
}

/// Opens the transaction and has the statement parsed, in one round trip, and a table's size told with it. Running it is
/// left to the reader: the server says nothing before it has eight kilobytes to send, and other sources shall not wait for
/// that.
async fn begin_on(
    lease: &Lease,
    statement: &Statement,
    beside: Beside<'_>,
) -> Result<(tokio_postgres::Statement, Option<Extent>), ConnectorError> {
    let begin = match beside {
        Beside::Nothing | Beside::Secret(_) => begin_sql(Isolation::Statement, "", &statement.query_id),
        Beside::Extent(table) => {
            let begin = begin_sql(Isolation::Snapshot, "", &statement.query_id);
            format!("{begin}; {}", parts::extent_sql(table))
        }
    };
    let copy = format!("COPY ({}) TO STDOUT (FORMAT binary)", statement.sql);
    let client = lease.client()?;
    // Polled, and so sent, in this order.
    let both = async { futures::try_join!(client.simple_query(&begin), client.prepare(&copy)) };
    let (answer, prepared) = lease.answer(both).await?;
    if let Beside::Secret(pseudonymiser) = beside {
        // COPY takes no parameters: they are settings of the transaction, so that no statement's text holds them.
        let (inner, outer) = (pseudonymiser.inner_pad(), pseudonymiser.outer_pad());
        let settings = "SELECT set_config($1, $2, true), set_config($3, $4, true)";
        lease.answer(client.query_one(settings, &[&INNER_PAD, &inner, &OUTER_PAD, &outer])).await?;
    }
    Ok((prepared, Extent::of(&answer)))
}

/// Ends well only where the whole result was read, the server said that it was complete, and the transaction ended.
async fn read_whole(
    lease: Lease,
    prepared: tokio_postgres::Statement,
    mut decoder: Decoder,
    mut sink: Sink,
) -> Result<(), ConnectorError> {
    copy(&lease, &prepared, &mut decoder, &mut sink).await?;
    let last = decoder.finish()?;
    drop(prepared);
    commit(lease).await?;
    match last {
        Some(batch) => sink.send(batch).await,
        None => Ok(()),
    }
}
