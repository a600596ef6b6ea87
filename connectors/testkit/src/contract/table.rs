//! Tables of the suite: what is in them, and how they become SQL and Arrow.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array, Float32Array, Float64Array,
    Int16Array, Int32Array, Int64Array, RecordBatch, StringArray, Time64MicrosecondArray, TimestampMicrosecondArray,
    new_null_array,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Schema};
use wayleave_connector_api::{Dialect, Value};

use super::Kind;
use super::fixture::Fixture;

/// Rows of one INSERT.
const ROWS_A_STATEMENT: usize = 200;

#[derive(Clone, Debug)]
pub struct TableSpec {
    pub name: String,
    pub columns: Vec<ColumnSpec>,
    pub primary_key: Vec<String>,
    pub unique_keys: Vec<Vec<String>>,
    pub rows: Vec<Vec<Value>>,
}

#[derive(Clone, Debug)]
pub struct ColumnSpec {
    pub name: String,
    pub kind: Kind,
    pub nullable: bool,
}

impl TableSpec {
    /// A table whose columns may be NULL, without keys.
    pub fn new(name: &str, columns: &[(&str, Kind)]) -> Self {
        let columns =
            columns.iter().map(|(name, kind)| ColumnSpec { name: (*name).to_owned(), kind: *kind, nullable: true });
        Self {
            name: name.to_owned(),
            columns: columns.collect(),
            primary_key: Vec::new(),
            unique_keys: Vec::new(),
            rows: Vec::new(),
        }
    }

    #[must_use]
    pub fn with(mut self, row: impl IntoIterator<Item = Value>) -> Self {
        self.rows.push(row.into_iter().collect());
        self
    }

    /// Its rows as they should arrive, in the types that the fixture declares.
    pub fn arriving(&self, fixture: &dyn Fixture) -> RecordBatch {
        let mut fields = Vec::new();
        let mut columns = Vec::new();
        for (index, column) in self.columns.iter().enumerate() {
            let declared = fixture.declare(column.kind).unwrap();
            let values: Vec<Value> = self.rows.iter().map(|row| row[index].clone()).collect();
            fields.push(Field::new(&column.name, declared.arrives.clone(), true));
            columns.push(array(&values, &column.kind.data_type(), &declared.arrives));
        }
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
    }

    /// The statements that make it, for a database that speaks ordinary SQL.
    pub fn sql(&self, fixture: &dyn Fixture, dialect: &dyn Dialect, schema: &str) -> Vec<String> {
        let quote = |name: &str| dialect.quote_identifier(name);
        let list = |names: &[String]| names.iter().map(|name| quote(name)).collect::<Vec<_>>().join(", ");
        let table = format!("{}.{}", quote(schema), quote(&self.name));
        let mut parts: Vec<String> = self
            .columns
            .iter()
            .map(|column| {
                let declared = fixture.declare(column.kind).unwrap();
                let null = if column.nullable { "" } else { " NOT NULL" };
                format!("{} {}{null}", quote(&column.name), declared.sql)
            })
            .collect();
        if !self.primary_key.is_empty() {
            parts.push(format!("PRIMARY KEY ({})", list(&self.primary_key)));
        }
        parts.extend(self.unique_keys.iter().map(|key| format!("UNIQUE ({})", list(key))));
        let mut statements = vec![format!("CREATE TABLE {table} ({})", parts.join(", "))];
        for rows in self.rows.chunks(ROWS_A_STATEMENT) {
            let rows: Vec<String> = rows
                .iter()
                .map(|row| {
                    let values: Vec<String> = row.iter().map(|value| dialect.literal(value)).collect();
                    format!("({})", values.join(", "))
                })
                .collect();
            statements.push(format!("INSERT INTO {table} VALUES {}", rows.join(", ")));
        }
        statements
    }
}

/// These values as an array of the type `arrives`; each is of the type `from` or NULL.
pub fn array(values: &[Value], from: &DataType, arrives: &DataType) -> ArrayRef {
    macro_rules! collect {
        ($array:ty, $variant:pat => $value:expr) => {
            Arc::new(
                values
                    .iter()
                    .map(|value| match value {
                        $variant => Some($value),
                        _ => None,
                    })
                    .collect::<$array>(),
            )
        };
    }
    let array: ArrayRef = match from {
        DataType::Boolean => collect!(BooleanArray, Value::Boolean(value) => *value),
        DataType::Int16 => collect!(Int16Array, Value::Int16(value) => *value),
        DataType::Int32 => collect!(Int32Array, Value::Int32(value) => *value),
        DataType::Int64 => collect!(Int64Array, Value::Int64(value) => *value),
        DataType::Float32 => collect!(Float32Array, Value::Float32(value) => *value),
        DataType::Float64 => collect!(Float64Array, Value::Float64(value) => *value),
        DataType::Decimal128(precision, scale) => {
            let numbers = values.iter().map(|value| match value {
                Value::Decimal128 { unscaled, .. } => Some(*unscaled),
                _ => None,
            });
            Arc::new(numbers.collect::<Decimal128Array>().with_precision_and_scale(*precision, *scale).unwrap())
        }
        DataType::Decimal256(precision, scale) => {
            let numbers = values.iter().map(|value| match value {
                Value::Decimal256 { unscaled, .. } => Some(*unscaled),
                _ => None,
            });
            Arc::new(numbers.collect::<Decimal256Array>().with_precision_and_scale(*precision, *scale).unwrap())
        }
        DataType::Utf8 => {
            let texts = values.iter().map(|value| match value {
                Value::Text(text) => Some(text.as_str()),
                _ => None,
            });
            Arc::new(texts.collect::<StringArray>())
        }
        DataType::Binary => {
            let bytes = values.iter().map(|value| match value {
                Value::Binary(bytes) => Some(bytes.as_slice()),
                _ => None,
            });
            Arc::new(bytes.collect::<BinaryArray>())
        }
        DataType::Date32 => collect!(Date32Array, Value::Date(days) => *days),
        DataType::Time64(_) => collect!(Time64MicrosecondArray, Value::Time(microseconds) => *microseconds),
        DataType::Timestamp(_, zone) => {
            let moments = values.iter().map(|value| match value {
                Value::Timestamp { microseconds, .. } => Some(*microseconds),
                _ => None,
            });
            Arc::new(moments.collect::<TimestampMicrosecondArray>().with_timezone_opt(zone.clone()))
        }
        other => new_null_array(other, values.len()),
    };
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(&array, arrives, &options).unwrap()
}

/// The value as a constant of the type in which its column arrives.
pub fn constant(value: &Value, arrives: &DataType) -> Value {
    let whole = match value {
        Value::Int16(number) => Some(i64::from(*number)),
        Value::Int32(number) => Some(i64::from(*number)),
        Value::Int64(number) => Some(*number),
        _ => None,
    };
    match (value, whole, arrives) {
        (Value::Null(_), _, _) => Value::Null(arrives.clone()),
        (_, Some(number), DataType::Int64) => Value::Int64(number),
        (_, Some(number), DataType::Int32) => Value::Int32(i32::try_from(number).unwrap()),
        (_, Some(number), DataType::Int16) => Value::Int16(i16::try_from(number).unwrap()),
        (Value::Float32(number), _, DataType::Float64) => Value::Float64(f64::from(*number)),
        _ => value.clone(),
    }
}
