//! What one session can name: agencies as catalogs, released relations as tables, and nothing else.
//!
//! Every name is answered alike whether it exists or not: the refusal of a table that is there and the refusal of one that
//! is not cannot be told apart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, CatalogProviderList, SchemaProvider, TableProvider};
use datafusion::common::{DataFusionError, TableReference};
use datafusion::datasource::TableType;
use datafusion::execution::SessionState;

use crate::error::Error;
use crate::names::QualifiedTable;
use crate::policy::{Policy, ReleasedTable};
use crate::session::Session;

/// The catalog that holds the views, and the short names of agencies.
pub(super) const HOME: &str = "wayleave";
/// The schema of the views.
pub(super) const UNIFIED: &str = "unified";

/// A session's names. Each table is released once a query, however often it is named.
#[derive(Debug)]
pub(super) struct SessionNames {
    policy: Arc<Policy>,
    session: Session,
    planner: SessionState,
    released: Mutex<BTreeMap<QualifiedTable, Arc<ReleasedTable>>>,
    /// Why tables could not be released ahead, to be told to who asks for them first.
    failed: Mutex<BTreeMap<QualifiedTable, Error>>,
    pub views: BTreeMap<String, Arc<dyn TableProvider>>,
}

impl SessionNames {
    pub fn new(policy: Arc<Policy>, session: Session, planner: SessionState) -> Self {
        Self { policy, session, planner, released: Mutex::default(), failed: Mutex::default(), views: BTreeMap::new() }
    }

    /// The same names with views; what was released stays released.
    pub fn with_views(self: &Arc<Self>, views: BTreeMap<String, Arc<dyn TableProvider>>) -> Self {
        Self {
            policy: Arc::clone(&self.policy),
            session: self.session.clone(),
            planner: self.planner.clone(),
            released: Mutex::new(self.released()),
            failed: Mutex::default(),
            views,
        }
    }

    pub fn session(&self) -> &Session {
        &self.session
    }

    /// What has been released so far.
    pub fn released(&self) -> BTreeMap<QualifiedTable, Arc<ReleasedTable>> {
        self.released.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub async fn release(&self, name: &QualifiedTable) -> Result<Arc<ReleasedTable>, Error> {
        if let Some(table) = self.released.lock().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Ok(Arc::clone(table));
        }
        if let Some(error) = self.failed.lock().unwrap_or_else(PoisonError::into_inner).remove(name) {
            return Err(error);
        }
        let table = Arc::new(self.policy.release(&self.session, name, &self.planner).await?);
        self.released.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), Arc::clone(&table));
        Ok(table)
    }

    /// Releases the tables that a statement names, ahead of the planner, which asks for one after the other: agencies are asked
    /// beside each other, each of them one question at a time.
    pub async fn release_ahead(&self, names: Vec<QualifiedTable>) {
        let mut by_agency: BTreeMap<String, Vec<QualifiedTable>> = BTreeMap::new();
        for name in names {
            by_agency.entry(name.agency.clone()).or_default().push(name);
        }
        if by_agency.len() < 2 {
            return;
        }
        let releases = by_agency.into_values().map(|tables| async move {
            for table in tables {
                if let Err(error) = self.release(&table).await {
                    self.failed.lock().unwrap_or_else(PoisonError::into_inner).insert(table, error);
                }
            }
        });
        futures::future::join_all(releases).await;
    }

    /// The tables that these references name, as far as they name one.
    pub fn tables_named(&self, references: &[TableReference]) -> Vec<QualifiedTable> {
        let mut named: Vec<QualifiedTable> = Vec::new();
        for reference in references {
            let found = match (reference.catalog().filter(|catalog| *catalog != HOME), reference.schema()) {
                (Some(agency), Some(schema)) => Some(QualifiedTable::new(agency, schema, reference.table())),
                (None, Some(agency)) if agency != UNIFIED => self.short_name(agency, reference.table()),
                _ => None,
            };
            named.extend(found.filter(|found| !named.contains(found)));
        }
        named
    }

    /// The tables that `agency.table` may mean, or `"agency.schema".table`: the two parts of a name that clients write who
    /// know of databases with schemas only.
    fn in_two_parts(&self, first: &str, table: &str) -> Vec<QualifiedTable> {
        let is_first = |name: &QualifiedTable| match first.strip_prefix(&name.agency) {
            Some("") => true,
            Some(rest) => rest.strip_prefix('.') == Some(&name.schema),
            None => false,
        };
        let mut found = self.entitled();
        found.retain(|entitled| entitled.table == table && is_first(entitled));
        found
    }

    fn short_name(&self, agency: &str, table: &str) -> Option<QualifiedTable> {
        match self.in_two_parts(agency, table).as_slice() {
            [only] => Some(only.clone()),
            _ => None,
        }
    }

    fn entitled(&self) -> Vec<QualifiedTable> {
        self.policy.entitled_tables(&self.session).into_iter().map(|(table, _)| table).collect()
    }

    fn not_released(&self, table: String) -> Error {
        Error::TableNotReleased {
            table,
            organisation: self.session.organisation.clone(),
            role: self.session.role.clone(),
            purpose: self.session.purpose.clone(),
        }
    }
}

fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// The list of catalogs, as DataFusion asks for it.
#[derive(Debug)]
pub(super) struct Catalogs(pub Arc<SessionNames>);

impl CatalogProviderList for Catalogs {
    fn register_catalog(&self, _: String, _: Arc<dyn CatalogProvider>) -> Option<Arc<dyn CatalogProvider>> {
        None
    }

    fn catalog_names(&self) -> Vec<String> {
        let agencies: BTreeSet<String> = self.0.entitled().into_iter().map(|table| table.agency).collect();
        std::iter::once(HOME.to_owned()).chain(agencies).collect()
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        let names = Arc::clone(&self.0);
        Some(if name == HOME {
            Arc::new(HomeCatalog(names))
        } else {
            Arc::new(AgencyCatalog { names, agency: name.to_owned() })
        })
    }
}

#[derive(Debug)]
struct HomeCatalog(Arc<SessionNames>);

impl CatalogProvider for HomeCatalog {
    fn schema_names(&self) -> Vec<String> {
        vec![UNIFIED.to_owned()]
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        let names = Arc::clone(&self.0);
        Some(if name == UNIFIED {
            Arc::new(Views(names))
        } else {
            Arc::new(ShortNames { names, agency: name.to_owned() })
        })
    }
}

#[derive(Debug)]
struct Views(Arc<SessionNames>);

#[async_trait]
impl SchemaProvider for Views {
    fn table_names(&self) -> Vec<String> {
        self.0.views.keys().cloned().collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        match self.0.views.get(name) {
            Some(view) => Ok(Some(Arc::clone(view))),
            // `generate_series(1, 3)` is asked for as if it were a table first.
            None if self.0.planner.table_functions().contains_key(name) => Ok(None),
            None => Err(external(self.0.not_released(format!("{UNIFIED}.{name}")))),
        }
    }

    fn table_exist(&self, name: &str) -> bool {
        self.0.views.contains_key(name)
    }
}

/// `health.patients` for `health.public.patients`, where only one schema has a released table of that name, and
/// `"health.public".patients`.
#[derive(Debug)]
struct ShortNames {
    names: Arc<SessionNames>,
    agency: String,
}

#[async_trait]
impl SchemaProvider for ShortNames {
    fn table_names(&self) -> Vec<String> {
        Vec::new()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        match self.names.in_two_parts(&self.agency, name).as_slice() {
            [only] => Ok(Some(self.names.release(only).await.map_err(external)?)),
            [] => Err(external(self.names.not_released(format!("{}.{name}", self.agency)))),
            [first, ..] => Err(external(Error::Plan {
                message: format!("`{}.{name}` names several tables: write `{first}` or another in full", self.agency),
            })),
        }
    }

    fn table_exist(&self, name: &str) -> bool {
        !self.names.in_two_parts(&self.agency, name).is_empty()
    }
}

#[derive(Debug)]
struct AgencyCatalog {
    names: Arc<SessionNames>,
    agency: String,
}

impl CatalogProvider for AgencyCatalog {
    fn schema_names(&self) -> Vec<String> {
        let tables = self.names.entitled();
        let schemas: BTreeSet<String> =
            tables.into_iter().filter(|table| table.agency == self.agency).map(|table| table.schema).collect();
        schemas.into_iter().collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        let names = Arc::clone(&self.names);
        Some(Arc::new(AgencySchema { names, agency: self.agency.clone(), schema: name.to_owned() }))
    }
}

#[derive(Debug)]
struct AgencySchema {
    names: Arc<SessionNames>,
    agency: String,
    schema: String,
}

#[async_trait]
impl SchemaProvider for AgencySchema {
    fn table_names(&self) -> Vec<String> {
        let tables = self.names.entitled();
        tables
            .into_iter()
            .filter(|table| table.agency == self.agency && table.schema == self.schema)
            .map(|table| table.table)
            .collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        let name = QualifiedTable::new(&self.agency, &self.schema, name);
        Ok(Some(self.names.release(&name).await.map_err(external)?))
    }

    // A listing needs no word from the agency, which may be down.
    async fn table_type(&self, _name: &str) -> Result<Option<TableType>, DataFusionError> {
        Ok(Some(TableType::View))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.table_names().iter().any(|table| table == name)
    }
}
