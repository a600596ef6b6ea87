//! Answers of a connector, and how they are shown and compared.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Array, RecordBatch};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::StreamExt;
use wayleave_connector_api::{
    Audience, Connector, ConnectorError, Fragment, Relation, Statement, render_fragment, render_policy_conjuncts,
};

/// Nullable columns `c1`, `c2`, … of these types.
pub fn schema(types: &[DataType]) -> SchemaRef {
    let fields: Vec<Field> = types
        .iter()
        .enumerate()
        .map(|(index, data_type)| Field::new(format!("c{}", index + 1), data_type.clone(), true))
        .collect();
    Arc::new(Schema::new(fields))
}

pub fn statement(sql: impl Into<String>, types: &[DataType]) -> Statement {
    Statement { sql: sql.into(), schema: schema(types), query_id: "q-1".to_owned() }
}

/// The whole result of a statement in one batch.
///
/// # Errors
/// What the connector says.
pub async fn run(
    connector: &dyn Connector,
    sql: impl Into<String>,
    types: &[DataType],
) -> Result<RecordBatch, ConnectorError> {
    let mut stream = connector.query(statement(sql, types)).await?;
    let mut batches = Vec::new();
    while let Some(batch) = stream.next().await {
        batches.push(batch?);
    }
    Ok(concat_batches(&schema(types), &batches).unwrap())
}

/// The statement of a fragment, with the types of its outputs.
pub fn fragment_statement(connector: &dyn Connector, root: Relation, keys: Option<&[String]>) -> Statement {
    let types: Vec<DataType> = root.outputs().into_iter().map(|output| output.data_type).collect();
    let fragment = Fragment { root, schema: schema(&types) };
    let dialect = connector.dialect();
    let sql = render_fragment(dialect, &fragment, keys, Audience::Source);
    for scan in fragment.root.scans() {
        for conjunct in render_policy_conjuncts(dialect, scan) {
            assert!(sql.contains(&conjunct), "{conjunct} is not in {sql}");
        }
    }
    statement(sql, &types)
}

/// A fragment's answer in one batch.
pub async fn answer(connector: &dyn Connector, root: Relation, keys: Option<&[String]>) -> RecordBatch {
    let Statement { sql, schema, .. } = fragment_statement(connector, root, keys);
    let types: Vec<DataType> = schema.fields().iter().map(|field| field.data_type().clone()).collect();
    run(connector, sql.clone(), &types).await.unwrap_or_else(|error| {
        let detail = error.operator_detail().unwrap_or_default();
        panic!("{error} ({detail}) in {}", sql.chars().take(4_000).collect::<String>())
    })
}

/// Every value as Arrow writes it; `None` for NULL.
pub fn shown(array: &dyn Array) -> Vec<Option<String>> {
    // Arrow writes instants of a named zone only with a table of zones; of an offset, always.
    let offset = match array.data_type() {
        DataType::Timestamp(unit, Some(_)) => Some(DataType::Timestamp(*unit, Some("+00:00".into()))),
        _ => None,
    };
    let shifted = offset.map(|data_type| cast(array, &data_type).unwrap());
    let array = shifted.as_deref().unwrap_or(array);
    let formatter = ArrayFormatter::try_new(array, &FormatOptions::default()).unwrap();
    let nulls = array.logical_nulls();
    let is_valid = |index| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(index));
    (0..array.len()).map(|index| is_valid(index).then(|| formatter.value(index).to_string())).collect()
}

/// The rows, each as its values joined by `|`.
pub fn rows(batch: &RecordBatch) -> Vec<String> {
    let columns: Vec<Vec<Option<String>>> = batch.columns().iter().map(|column| shown(column)).collect();
    (0..batch.num_rows())
        .map(|row| {
            let values: Vec<&str> = columns.iter().map(|column| column[row].as_deref().unwrap_or("NULL")).collect();
            values.join("|")
        })
        .collect()
}

/// Waits until the condition holds, and fails the test where it does not within the deadline.
pub async fn eventually<F: Future<Output = bool>>(what: &str, within: Duration, condition: impl Fn() -> F) {
    let begun = Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < within, "{what} did not come within {within:?}");
        tokio::task::yield_now().await;
    }
}
