//! One statement's own DataFusion session: it knows the folder's tables and nothing else, and writes nothing.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList, SchemaProvider, Session,
    TableProvider,
};
use datafusion::common::Result;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::file_format::json::JsonFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::DataFusionError;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::{SessionConfig, SessionContext};
use wayleave_connector_api::ConnectorError;

use crate::introspect::{self, Format, OpenTable, SCHEMA};
use crate::options::CsvHeader;
use crate::store::{FileStore, Opened};
use crate::{FilesOptions, functions};

const CATALOG: &str = "agency";

/// Rows of a batch.
const BATCH_ROWS: usize = 8_192;

/// What a statement has opened, so that a failure can be traced to its file.
pub(crate) type Used = Arc<Mutex<Vec<(Format, Vec<Opened>)>>>;

/// What every session is made from: it takes a while to make, and holds nothing of any agency.
fn base() -> &'static SessionState {
    static BASE: OnceLock<SessionState> = OnceLock::new();
    BASE.get_or_init(|| {
        let mut config = SessionConfig::new()
            .with_batch_size(BATCH_ROWS)
            .with_information_schema(false)
            .with_create_default_catalog_and_schema(false)
            .with_default_catalog_and_schema(CATALOG, SCHEMA);
        config.options_mut().sql_parser.map_string_types_to_utf8view = false;
        config.options_mut().execution.parquet.schema_force_view_types = false;
        let context = SessionContext::new_with_state(
            SessionStateBuilder::new().with_config(config).with_default_features().build(),
        );
        functions::register(&context);
        context.state()
    })
}

/// A session for one statement.
///
/// # Errors
/// Where no session can be made at all.
pub(crate) fn session(options: &FilesOptions, used: Used) -> Result<SessionContext> {
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(GreedyMemoryPool::new(options.memory_bytes)))
        // Rows of an agency's are on no disk but its own.
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
        .build_arc()?;
    let catalog = MemoryCatalogProvider::new();
    catalog.register_schema(SCHEMA, Arc::new(Folder { options: options.clone(), used }))?;
    let catalogs = MemoryCatalogProviderList::new();
    catalogs.register_catalog(CATALOG.to_owned(), Arc::new(catalog));
    let state = SessionStateBuilder::new_from_existing(base().clone())
        .with_runtime_env(runtime)
        .with_catalog_list(Arc::new(catalogs))
        .build();
    Ok(SessionContext::new_with_state(state))
}

/// The tables of a folder, opened when a statement names them.
#[derive(Debug)]
struct Folder {
    options: FilesOptions,
    used: Used,
}

#[async_trait]
impl SchemaProvider for Folder {
    fn table_names(&self) -> Vec<String> {
        introspect::tables(&self.options.path)
            .map(|tables| tables.into_iter().map(|table| table.name.table).collect())
            .unwrap_or_default()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let (options, name) = (self.options.clone(), name.to_owned());
        let opening = tokio::task::spawn_blocking(move || introspect::open(&options, &name));
        let opened = opening.await.map_err(|error| DataFusionError::External(Box::new(error)))?;
        let Some(table) = opened.map_err(|error| DataFusionError::External(Box::new(error)))? else { return Ok(None) };
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.push((table.format, table.files.clone()));
        let number = used.len();
        Ok(Some(Arc::new(FilesTable::new(table, number, &self.options))))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.table_names().iter().any(|table| table == name)
    }
}

/// One table over its opened files.
#[derive(Debug)]
pub(crate) struct FilesTable {
    schema: SchemaRef,
    format: Arc<dyn FileFormat>,
    store: Arc<FileStore>,
    store_url: String,
}

impl FilesTable {
    pub(crate) fn new(table: OpenTable, number: usize, options: &FilesOptions) -> Self {
        let format: Arc<dyn FileFormat> = match table.format {
            Format::Parquet => Arc::new(ParquetFormat::default().with_force_view_types(false)),
            Format::Csv => Arc::new(
                CsvFormat::default()
                    .with_delimiter(options.csv_delimiter)
                    .with_has_header(options.csv_header == CsvHeader::Present)
                    .with_newlines_in_values(true),
            ),
            Format::JsonLines => Arc::new(JsonFormat::default()),
        };
        Self {
            schema: Arc::new(introspect::arriving(&table.schema)),
            format,
            store: Arc::new(FileStore::new(table.files)),
            store_url: format!("folder://table{number}"),
        }
    }
}

#[async_trait]
impl TableProvider for FilesTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let url = ObjectStoreUrl::parse(&self.store_url)?;
        state.runtime_env().register_object_store(url.as_ref(), Arc::<FileStore>::clone(&self.store));
        let source = self.format.file_source(TableSchema::from(Arc::clone(&self.schema)));
        let files = self.store.objects().into_iter().map(PartitionedFile::new_from_meta);
        let groups = files.map(|file| FileGroup::new(vec![file])).collect();
        let config = FileScanConfigBuilder::new(url, source)
            .with_file_groups(groups)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        self.format.create_physical_plan(state, config).await
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }
}

/// The connector's error inside DataFusion's, where one of ours caused it.
pub(crate) fn own_error(error: &DataFusionError) -> Option<ConnectorError> {
    let DataFusionError::External(inner) = error.find_root() else { return None };
    Some(match inner.downcast_ref::<ConnectorError>()? {
        ConnectorError::Unavailable { operator_detail } => {
            ConnectorError::Unavailable { operator_detail: operator_detail.clone() }
        }
        ConnectorError::Refused { sqlstate, operator_detail } => {
            ConnectorError::Refused { sqlstate: sqlstate.clone(), operator_detail: operator_detail.clone() }
        }
        ConnectorError::Timeout { timeout_ms } => ConnectorError::Timeout { timeout_ms: *timeout_ms },
        other => ConnectorError::Protocol {
            reason: match other {
                ConnectorError::Protocol { reason } => reason.clone(),
                other => other.to_string(),
            },
        },
    })
}
