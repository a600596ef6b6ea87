//! Batches in the schema that was promised.

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::SchemaRef;
use wayleave_connector_api::ConnectorError;

/// The batch with each column as exactly the promised type; a value that is none of it is an error, and never another value.
pub(crate) fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ConnectorError> {
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let columns: Vec<ArrayRef> = schema
        .fields()
        .iter()
        .zip(batch.columns())
        .enumerate()
        .map(|(index, (field, column))| {
            if column.data_type() == field.data_type() {
                return Ok(ArrayRef::clone(column));
            }
            cast_with_options(column, field.data_type(), &CastOptions { safe: false, ..CastOptions::default() })
                .map_err(|_| ConnectorError::Decode { position: index + 1, expected: field.data_type().to_string() })
        })
        .collect::<Result<_, _>>()?;
    if columns.len() != schema.fields().len() {
        return Err(ConnectorError::Protocol {
            reason: format!("{} columns came, and {} were expected", columns.len(), schema.fields().len()),
        });
    }
    RecordBatch::try_new_with_options(SchemaRef::clone(schema), columns, &options)
        .map_err(|_| ConnectorError::Protocol { reason: "a column without NULL has one".to_owned() })
}
