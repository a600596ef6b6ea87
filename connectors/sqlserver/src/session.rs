//! What is said once to each new connection, and what the server says of itself.

use wayleave_connector_api::ConnectorError;

use crate::driver::{Collected, OwnedCell, Session};

/// What of the database the session rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) version: String,
    pub(crate) isolation: Isolation,
}

/// What one statement sees while others write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// The state of the database when it began, and no lock is taken.
    Snapshot,
    /// The same, by the database's own default.
    ReadCommittedSnapshot,
    /// Each row as it is when it comes to be read, and writers wait for readers as readers for writers.
    ReadCommitted,
}

/// The least that has everything the dialect writes: that of SQL Server 2016.
const LEAST_COMPATIBILITY: i64 = 130;

/// Whatever the login's and the database's own defaults are. The language goes first: it brings a date format along.
const SETTINGS: &str = "SET LANGUAGE us_english; SET DATEFORMAT ymd; SET DATEFIRST 7; \
    SET ANSI_NULLS ON; SET ANSI_PADDING ON; SET ANSI_WARNINGS ON; SET ARITHABORT ON; SET CONCAT_NULL_YIELDS_NULL ON; \
    SET QUOTED_IDENTIFIER ON; SET NUMERIC_ROUNDABORT OFF; SET IMPLICIT_TRANSACTIONS OFF; SET NOCOUNT ON; SET ROWCOUNT 0; \
    SET TEXTSIZE -1; SET DEADLOCK_PRIORITY LOW;";

const DATABASE: &str = "SELECT CAST(SERVERPROPERTY('ProductVersion') AS nvarchar(128)) AS [version], \
    CAST([d].[snapshot_isolation_state] AS int) AS [snapshots], \
    CAST([d].[is_read_committed_snapshot_on] AS int) AS [versions], \
    CAST([d].[compatibility_level] AS int) AS [compatibility] \
    FROM sys.databases AS [d] WHERE [d].[database_id] = DB_ID();";

/// Sets a new session up.
pub(crate) async fn set_up(session: &mut dyn Session, statement_timeout_ms: u64) -> Result<Server, ConnectorError> {
    let lock_timeout = match i32::try_from(statement_timeout_ms) {
        Ok(0) | Err(_) => -1,
        Ok(milliseconds) => milliseconds,
    };
    let mut collected = Collected::default();
    session.run(&format!("{SETTINGS} SET LOCK_TIMEOUT {lock_timeout};\n{DATABASE}"), &mut collected).await?;
    let server = described(&collected)?;
    let level = match server.isolation {
        Isolation::Snapshot => "SNAPSHOT",
        Isolation::ReadCommittedSnapshot | Isolation::ReadCommitted => "READ COMMITTED",
    };
    let mut nothing = Collected::default();
    session.run(&format!("SET TRANSACTION ISOLATION LEVEL {level};"), &mut nothing).await?;
    Ok(server)
}

fn described(collected: &Collected) -> Result<Server, ConnectorError> {
    let unexpected = || ConnectorError::Protocol { reason: "the server says nothing of its database".to_owned() };
    let row = collected.sets.first().and_then(|rows| rows.first()).ok_or_else(unexpected)?;
    let [
        OwnedCell::Text(version),
        OwnedCell::Integer(snapshots),
        OwnedCell::Integer(versions),
        OwnedCell::Integer(compatibility),
    ] = row.as_slice()
    else {
        return Err(unexpected());
    };
    if *compatibility < LEAST_COMPATIBILITY {
        return Err(ConnectorError::Configuration {
            reason: format!(
                "the database's compatibility level is {compatibility}; {LEAST_COMPATIBILITY}, that of SQL Server 2016, is \
                 the least that can be read"
            ),
        });
    }
    let isolation = match (snapshots, versions) {
        (1, _) => Isolation::Snapshot,
        (_, 1) => Isolation::ReadCommittedSnapshot,
        _ => Isolation::ReadCommitted,
    };
    Ok(Server { version: version.clone(), isolation })
}

impl Server {
    /// The version, with what its operator should know of how it is read.
    pub(crate) fn words(&self) -> String {
        match self.isolation {
            Isolation::Snapshot | Isolation::ReadCommittedSnapshot => self.version.clone(),
            Isolation::ReadCommitted => format!("{} (read without snapshots)", self.version),
        }
    }
}
