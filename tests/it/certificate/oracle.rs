//! The oracle: plain DataFusion over the released rows in memory. It knows nothing of Wayleave.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::{CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider};
use datafusion::common::DataFusionError;
use datafusion::datasource::MemTable;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::physical_plan::collect;
use datafusion::prelude::{SessionConfig, SessionContext};

use wayleave::engine::{as_meant, physical_rules_as_meant};

use super::case::World;
use super::kind::array;
use super::release::Released;

pub struct Oracle {
    context: SessionContext,
    /// The same tables with their rows the other way round: what depends on their order is no answer.
    reversed: SessionContext,
    pub released: Vec<Released>,
}

/// An answer's columns and rows.
#[derive(Clone, Debug)]
pub struct Answer {
    pub schema: SchemaRef,
    pub rows: Vec<Vec<Option<String>>>,
}

impl Oracle {
    pub fn new(world: &World, released: Vec<Released>) -> Self {
        let context = context(world, &released);
        let mut turned = released.clone();
        for table in &mut turned {
            table.rows.reverse();
        }
        Self { context, reversed: self::context(world, &turned), released }
    }

    pub async fn answer(&self, sql: &str) -> Result<Answer, String> {
        answer(&self.context, sql).await
    }

    pub async fn answer_of_reversed(&self, sql: &str) -> Result<Answer, String> {
        answer(&self.reversed, sql).await
    }
}

async fn answer(context: &SessionContext, sql: &str) -> Result<Answer, String> {
    let told = |error: DataFusionError| error.strip_backtrace();
    let plan = context.state().create_logical_plan(sql).await.map_err(told)?;
    let frame = context.execute_logical_plan(as_meant(plan).map_err(told)?).await.map_err(told)?;
    // The logical plan's own schema is that of before types were settled.
    let plan = frame.create_physical_plan().await.map_err(told)?;
    let schema = plan.schema();
    let batches = collect(plan, context.task_ctx()).await.map_err(told)?;
    Ok(Answer { schema, rows: text_rows(&batches) })
}

/// Every value as text.
pub fn text_rows(batches: &[RecordBatch]) -> Vec<Vec<Option<String>>> {
    use arrow::util::display::{ArrayFormatter, FormatOptions};
    let options = FormatOptions::default();
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<_> =
            batch.columns().iter().map(|column| (column, ArrayFormatter::try_new(column, &options).unwrap())).collect();
        rows.extend((0..batch.num_rows()).map(|row| {
            let value = |(column, format): &(&arrow::array::ArrayRef, ArrayFormatter<'_>)| {
                // A column of the type NULL has no validity of its own.
                let is_null = column.is_null(row) || *column.data_type() == arrow::datatypes::DataType::Null;
                (!is_null).then(|| format.value(row).to_string())
            };
            columns.iter().map(value).collect()
        }));
    }
    rows
}

fn context(world: &World, released: &[Released]) -> SessionContext {
    let mut config = SessionConfig::new().with_target_partitions(1);
    let options = config.options_mut();
    // SQL has to mean the same to both.
    options.sql_parser.dialect = datafusion::common::config::Dialect::PostgreSQL;
    options.sql_parser.parse_float_as_decimal = true;
    options.sql_parser.map_string_types_to_utf8view = false;
    options.optimizer.enable_topk_aggregation = false;
    let state = SessionStateBuilder::new_with_default_features().with_config(config);
    let state = state.with_physical_optimizer_rules(physical_rules_as_meant()).build();
    let context = SessionContext::new_with_state(state);
    let mut catalogs: BTreeMap<&str, Arc<MemoryCatalogProvider>> = BTreeMap::new();
    for agency in &world.agency {
        let catalog = Arc::new(MemoryCatalogProvider::new());
        catalog.register_schema(&agency.schema, Arc::new(MemorySchemaProvider::new())).unwrap();
        context.register_catalog(&agency.name, Arc::clone(&catalog) as Arc<dyn CatalogProvider>);
        catalogs.insert(&agency.name, catalog);
    }
    for table in released {
        let fields: Vec<Field> =
            table.columns.iter().map(|(name, data_type)| Field::new(name, data_type.clone(), true)).collect();
        let schema = Arc::new(Schema::new(fields));
        let columns = table.columns.iter().enumerate().map(|(position, (_, data_type))| {
            let texts: Vec<Option<String>> = table.rows.iter().map(|row| row[position].clone()).collect();
            array(data_type, &texts)
        });
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap();
        let rows = Arc::new(MemTable::try_new(schema, vec![vec![batch]]).unwrap());
        let schema: Arc<dyn SchemaProvider> = catalogs[table.agency.as_str()].schema(&table.schema).unwrap();
        schema.register_table(table.table.clone(), rows).unwrap();
    }
    context
}
