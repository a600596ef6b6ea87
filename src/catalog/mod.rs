//! The agencies and what their databases say of themselves.
//!
//! In: connectors and the subject keys that the configuration declares. Out: tables with columns, read when they are first
//! asked for and kept for a while. A dead agency fails only what asks for it. Nothing here says what may be seen.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use wayleave_connector_api::{
    Connector, ConnectorError, Dialect, KeyFormat, ServerInfo, Table, TableName, TableSummary,
};

/// How long a table's description is believed before the source is asked again.
const KEPT_FOR: Duration = Duration::from_secs(300);

/// A column that says whom a row is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectColumn {
    pub column: String,
    pub format: KeyFormat,
}

/// One agency: its name (the catalog's), its connector, and what it has told of its tables.
#[derive(Debug)]
pub struct Agency {
    pub name: String,
    pub title: Option<String>,
    pub connector: Arc<dyn Connector>,
    pub subjects: BTreeMap<TableName, SubjectColumn>,
    described: Mutex<HashMap<TableName, Described>>,
}

/// What a source said of a name, and when: a table, or that there is none.
type Described = (Instant, Option<Arc<Table>>);

impl Agency {
    pub fn new(
        name: impl Into<String>,
        title: Option<String>,
        connector: Arc<dyn Connector>,
        subjects: BTreeMap<TableName, SubjectColumn>,
    ) -> Self {
        Self { name: name.into(), title, connector, subjects, described: Mutex::new(HashMap::new()) }
    }

    /// Whether a statement of either could read the other's tables as well: the same source, by the same login.
    pub fn shares_source_with(&self, other: &Agency) -> bool {
        let own = self.connector.source_identity();
        own.is_some() && own == other.connector.source_identity()
    }

    pub fn dialect(&self) -> &dyn Dialect {
        self.connector.dialect()
    }

    /// One table's description, from memory where it is fresh; `None` where the source has no such table.
    ///
    /// # Errors
    /// Whatever keeps the source from being read.
    pub async fn table(&self, name: &TableName) -> Result<Option<Arc<Table>>, ConnectorError> {
        if let Some((read, table)) = self.described.lock().await.get(name)
            && read.elapsed() < KEPT_FOR
        {
            return Ok(table.clone());
        }
        let table = self.connector.table(name).await?.map(Arc::new);
        self.described.lock().await.insert(name.clone(), (Instant::now(), table.clone()));
        Ok(table)
    }

    /// Forgets every description, so that the next question reads it anew.
    pub async fn refresh(&self) {
        self.described.lock().await.clear();
    }

    /// Every table that the agency's login may see: for the operator, never for an asker.
    ///
    /// # Errors
    /// Whatever keeps the source from being read.
    pub async fn tables(&self) -> Result<Vec<TableSummary>, ConnectorError> {
        self.connector.tables().await
    }

    /// # Errors
    /// Whatever keeps the source from being reached.
    pub async fn ping(&self) -> Result<ServerInfo, ConnectorError> {
        self.connector.ping().await
    }
}

/// Every configured agency by name.
#[derive(Clone, Debug, Default)]
pub struct Agencies(BTreeMap<String, Arc<Agency>>);

impl Agencies {
    pub fn new(agencies: impl IntoIterator<Item = Agency>) -> Self {
        Self(agencies.into_iter().map(|agency| (agency.name.clone(), Arc::new(agency))).collect())
    }

    pub fn get(&self, name: &str) -> Option<&Arc<Agency>> {
        self.0.get(name)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Agency>> {
        self.0.values()
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}
