//! What a connector brings to the suite.

use std::net::SocketAddr;
use std::sync::Arc;

use arrow::datatypes::DataType;
use async_trait::async_trait;
use wayleave_connector_api::{Collation, Connector};

use super::Kind;
use super::table::TableSpec;

/// One kind of database, as its connector's own tests make it.
#[async_trait]
pub trait Fixture: Send + Sync {
    /// Its column in the matrix.
    fn name(&self) -> &'static str;

    /// How a column of this kind is declared, and how it arrives; `None` where the database has no such type, which
    /// [`Fixture::cannot`] explains as `"type <kind>"`.
    fn declare(&self, kind: Kind) -> Option<Declared>;

    /// Further types of its own.
    fn own_types(&self) -> Vec<OwnType> {
        Vec::new()
    }

    /// What it cannot do. Everything else it can, and each of these is proven.
    fn cannot(&self) -> &'static [Cannot] {
        &[]
    }

    /// A new database of this name, which is used once, with these tables.
    async fn database(&self, name: &str, tables: &[TableSpec]) -> Box<dyn Database>;

    /// `None` where nothing travels over a network.
    fn network(&self) -> Option<&dyn Network> {
        None
    }
}

/// A database with tables, and whoever may write to it.
#[async_trait]
pub trait Database: Send + Sync {
    /// The schema in which its tables are.
    fn schema(&self) -> String;

    fn connector(&self, settings: Settings) -> Arc<dyn Connector>;

    /// Runs statements in the database's own SQL as its owner.
    async fn execute(&self, sql: &str);

    /// Statements, each of which would change or make something if a connector could write: table `kept` has a column
    /// `id` and one row, 1.
    fn writes(&self) -> Vec<String>;

    /// How many statements of our connectors run in this database at the moment.
    async fn running(&self) -> usize;
}

/// How the servers of a fixture are reached, rightly and wrongly.
#[async_trait]
pub trait Network: Send + Sync {
    /// Where the server listens on which [`Fixture::database`] makes databases.
    async fn address(&self) -> SocketAddr;

    /// A connector to this database over that address, which leads to the server and may break in between.
    async fn over(&self, database: &str, address: SocketAddr, settings: Settings) -> Arc<dyn Connector>;

    /// Connectors with a wrong password and with no such user.
    async fn wrong_logins(&self) -> Vec<Arc<dyn Connector>>;

    /// A connector that demands encryption.
    async fn encrypted(&self, trust: Trust) -> Arc<dyn Connector>;
}

/// What a connector that demands encryption finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// A certificate of the authority that it trusts, made out to the host that it asks for.
    Right,
    /// One of another authority.
    OtherAuthority,
    /// One made out to another host.
    OtherHost,
    /// A server that encrypts nothing.
    Plain,
}

/// What a connector may use, and how long it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    pub max_connections: usize,
    pub statement_timeout_ms: u64,
    /// For a free connection of the budget.
    pub budget_wait_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { max_connections: 4, statement_timeout_ms: 120_000, budget_wait_ms: 10_000 }
    }
}

/// A type as one database declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// As it stands in a table's definition (`text COLLATE "C"`).
    pub sql: String,
    pub arrives: DataType,
    pub collation: Collation,
}

impl Declared {
    /// A type that arrives as the kind itself.
    pub fn new(kind: Kind, sql: &str) -> Self {
        Self { sql: sql.to_owned(), arrives: kind.data_type(), collation: Collation::Binary }
    }

    #[must_use]
    pub fn arriving(self, arrives: DataType) -> Self {
        Self { arrives, ..self }
    }

    #[must_use]
    pub fn collated(self, collation: Collation) -> Self {
        Self { collation, ..self }
    }
}

/// A type that only this database has.
#[derive(Clone, Debug)]
pub struct OwnType {
    pub sql: &'static str,
    /// `None` where it cannot be read.
    pub arrives: Option<DataType>,
    /// Values in the database's SQL, and how Arrow writes what arrives.
    pub values: Vec<(&'static str, &'static str)>,
}

/// Something that a connector leaves to us or has no use for.
#[derive(Clone, Copy, Debug)]
pub struct Cannot {
    /// Names of cases and behaviours; `*` stands for anything.
    pub what: &'static [&'static str],
    /// For expressions, to the letter what the dialect says.
    pub why: &'static str,
}

impl Cannot {
    pub fn covers(&self, name: &str) -> bool {
        self.what.iter().any(|pattern| matches(pattern, name))
    }
}

pub(super) fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => name == pattern,
        Some((start, rest)) => name
            .strip_prefix(start)
            .is_some_and(|name| (0..=name.len()).any(|place| name.get(place..).is_some_and(|end| matches(rest, end)))),
    }
}

/// Why the fixture says that it cannot do this.
pub(super) fn excuses(fixture: &dyn Fixture, name: &str) -> Vec<&'static str> {
    fixture.cannot().iter().filter(|cannot| cannot.covers(name)).map(|cannot| cannot.why).collect()
}
