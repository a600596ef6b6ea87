//! An agency's seed as files in a folder, each table in the plainest format that keeps its values: JSON lines for texts and
//! whole numbers, CSV where dates and truths come along and every text stays one, Parquet for all else.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use arrow::json::LineDelimitedWriter;
use datafusion::parquet::arrow::ArrowWriter;
use rusqlite::types::Value;

/// The same text for files: what is in the schema `main` elsewhere is in theirs.
pub fn in_files(text: &str) -> String {
    [("main.", "files."), ("Main.", "Files."), ("\"main\"", "\"files\""), ("'main'", "'files'"), (" main ", " files ")]
        .into_iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// Writes every table that the seed makes into this folder.
pub fn write(folder: &Path, seed: &str) {
    std::fs::create_dir(folder).unwrap();
    let database = rusqlite::Connection::open_in_memory().unwrap();
    database.execute_batch(seed).unwrap();
    let mut names = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").unwrap();
    let names: Vec<String> = names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    for name in names {
        let batch = table(&database, &name);
        let file = |extension: &str| File::create(folder.join(format!("{name}.{extension}"))).unwrap();
        match format(&batch) {
            Format::JsonLines => {
                let mut writer = LineDelimitedWriter::new(file("jsonl"));
                writer.write(&batch).unwrap();
                writer.finish().unwrap();
            }
            Format::Csv => arrow::csv::Writer::new(file("csv")).write(&batch).unwrap(),
            Format::Parquet => {
                let mut writer = ArrowWriter::try_new(file("parquet"), batch.schema(), None).unwrap();
                writer.write(&batch).unwrap();
                writer.close().unwrap();
            }
        }
    }
}

enum Format {
    JsonLines,
    Csv,
    Parquet,
}

fn format(batch: &RecordBatch) -> Format {
    let all = |fits: fn(&ArrayRef) -> bool| batch.columns().iter().all(fits);
    if all(|column| matches!(column.data_type(), DataType::Utf8 | DataType::Int64)) {
        Format::JsonLines
    } else if all(|column| !matches!(column.data_type(), DataType::Decimal128(..)) && !is_read_otherwise(column)) {
        Format::Csv
    } else {
        Format::Parquet
    }
}

/// Whether these texts would be others in CSV: an empty one is NULL there, and a column of digits alone one of numbers.
fn is_read_otherwise(column: &ArrayRef) -> bool {
    let Some(texts) = column.as_any().downcast_ref::<StringArray>() else { return false };
    texts.iter().flatten().any(str::is_empty) || texts.iter().flatten().all(|text| text.parse::<i64>().is_ok())
}

fn table(database: &rusqlite::Connection, name: &str) -> RecordBatch {
    let mut statement = database.prepare(&format!("SELECT * FROM {name}")).unwrap();
    let fields: Vec<Field> = statement
        .columns()
        .map(|column| Field::new(column.name(), data_type(column.decl_type().unwrap()), true))
        .collect();
    let mut texts: Vec<Vec<Option<String>>> = vec![Vec::new(); fields.len()];
    let mut rows = statement.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        for (position, column) in texts.iter_mut().enumerate() {
            column.push(match row.get::<_, Value>(position).unwrap() {
                Value::Null => None,
                Value::Integer(number) => Some(number.to_string()),
                Value::Real(number) => Some(number.to_string()),
                Value::Text(text) => Some(text),
                Value::Blob(_) => panic!("no seed has bytes"),
            });
        }
    }
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let columns = texts.into_iter().zip(&fields).map(|(texts, field)| {
        let texts: ArrayRef = Arc::new(StringArray::from(texts));
        cast_with_options(&texts, field.data_type(), &strict).unwrap()
    });
    let columns = columns.collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

fn data_type(declared: &str) -> DataType {
    match declared {
        "INTEGER" => DataType::Int64,
        "BOOLEAN" => DataType::Boolean,
        "DATE" => DataType::Date32,
        "TIMESTAMP" => DataType::Timestamp(TimeUnit::Microsecond, None),
        "TEXT" => DataType::Utf8,
        "DECIMAL(10,2)" => DataType::Decimal128(10, 2),
        "DECIMAL(12,2)" => DataType::Decimal128(12, 2),
        other => panic!("no seed declares `{other}`"),
    }
}
