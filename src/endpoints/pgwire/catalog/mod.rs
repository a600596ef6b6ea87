//! PostgreSQL's catalogs, `pg_catalog` and `information_schema`, as clients ask them: over what one asker may see, and nothing
//! else.
//!
//! In: a question to catalogs, and what is released to whoever asks. Out: its answer. The question is translated to SQLite's
//! SQL and answered by a database in memory that holds the catalogs' rows and nothing of any agency: no question to the
//! catalogs can reach a source.

mod content;
mod definitions;
mod functions;
mod kept;
mod listing;
mod question;
mod translate;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use datafusion::arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int16Builder, Int32Builder, Int64Builder, ListBuilder, RecordBatch,
    StringBuilder,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use pgwire::api::Type;
use rusqlite::Connection;
use rusqlite::limits::Limit;
use rusqlite::types::Value;
use serde_json::Value as Json;

use super::values::ANNOUNCED;
use functions::World;
pub(super) use kept::{Asker, KeptCatalogs};
use listing::Listing;
pub(super) use question::Asked;
use translate::{Refusal, Translated, is_array, translate};

/// How long one question may take: the catalogs are small, and its reader waits.
const LONGEST: Duration = Duration::from_secs(30);
/// Rows of one answer.
const MOST_ROWS: usize = 1_000_000;
/// Bytes of one value.
const LONGEST_VALUE: i32 = 16 << 20;
/// Steps of SQLite between two looks at the clock.
const STEPS: i32 = 10_000;
/// By which tables of the catalogs are looked up, in the order of preference.
const LOOKED_UP_BY: [&str; 5] = ["oid", "attrelid", "objoid", "indrelid", "conrelid"];

/// The catalogs of one asker.
pub(super) struct Catalogs {
    database: Connection,
    world: Arc<World>,
    /// Relations that have their rows: each gets them when it is first asked for.
    filled: BTreeSet<(&'static str, &'static str)>,
}

/// What the catalogs have said.
#[derive(Debug)]
pub(super) struct Told {
    pub rows: RecordBatch,
    /// Settings that the question has made, by `set_config`.
    pub made: Vec<(String, String)>,
}

/// A question that cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unanswered {
    /// The SQLSTATE.
    pub code: &'static str,
    pub message: String,
}

impl From<Refusal> for Unanswered {
    fn from(refusal: Refusal) -> Self {
        Self { code: refusal.code, message: refusal.message }
    }
}

impl From<rusqlite::Error> for Unanswered {
    fn from(error: rusqlite::Error) -> Self {
        match error {
            rusqlite::Error::SqliteFailure(failure, message) => {
                let message = message.unwrap_or_else(|| failure.to_string());
                match failure.code {
                    rusqlite::ErrorCode::OperationInterrupted => cancelled(),
                    _ if message.starts_with("there is no relation") => Self { code: "42P01", message },
                    _ => Self { code: "22000", message },
                }
            }
            other => Self { code: "0A000", message: format!("the catalogs cannot be asked this: {other}") },
        }
    }
}

fn cancelled() -> Unanswered {
    Unanswered { code: "57014", message: "the question to the catalogs was cancelled, or took too long".to_owned() }
}

/// The types of a question's parameters, by number, and the columns of its answer; nothing is read for it.
///
/// # Errors
/// It names what is not there, or says what is not understood here.
pub(super) fn described(
    query: &datafusion::sql::sqlparser::ast::Query,
) -> Result<(BTreeMap<usize, Type>, SchemaRef), Unanswered> {
    let translated = translate(query)?;
    Ok((translated.parameters.clone(), schema_of(&translated)))
}

impl Catalogs {
    /// # Errors
    /// SQLite fails.
    fn new(listing: Arc<Listing>) -> Result<Self, Unanswered> {
        let database = Connection::open_in_memory()?;
        database.execute_batch(
            "ATTACH ':memory:' AS pg_catalog; ATTACH ':memory:' AS information_schema; PRAGMA case_sensitive_like = ON",
        )?;
        database.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 2)?;
        database.set_limit(Limit::SQLITE_LIMIT_LENGTH, LONGEST_VALUE)?;
        let world = Arc::new(World { listing, made: Mutex::default() });
        functions::register(&database, &world)?;
        Ok(Self { database, world, filled: BTreeSet::new() })
    }

    /// Answers a question; `cancel` ends it.
    ///
    /// # Errors
    /// It names what is not there, says what is not understood here, or takes too long.
    pub fn answer(
        &mut self,
        query: &datafusion::sql::sqlparser::ast::Query,
        cancel: Arc<AtomicBool>,
    ) -> Result<Told, Unanswered> {
        let translated = translate(query)?;
        for relation in &translated.relations {
            self.fill(*relation)?;
        }
        let until = Instant::now() + LONGEST;
        let is_over = move || cancel.load(Ordering::Relaxed) || Instant::now() > until;
        self.database.progress_handler(STEPS, Some(is_over))?;
        let rows = self.rows(&translated);
        let made = std::mem::take(&mut *self.world.made.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(Told { rows: rows?, made })
    }

    fn fill(&mut self, name: (&'static str, &'static str)) -> Result<(), Unanswered> {
        let Some(definition) = definitions::relation(Some(name.0), name.1) else { return Ok(()) };
        if !self.filled.insert(name) {
            return Ok(());
        }
        let table = format!("\"{}\".\"{}\"", name.0, name.1);
        let names: Vec<String> = definition.columns.iter().map(|(column, _)| format!("\"{column}\"")).collect();
        let marks = vec!["?"; names.len()].join(", ");
        let transaction = self.database.transaction()?;
        transaction.execute_batch(&format!("CREATE TABLE {table} ({})", names.join(", ")))?;
        {
            let mut insert = transaction.prepare(&format!("INSERT INTO {table} VALUES ({marks})"))?;
            for row in content::rows(definition, &self.world.listing) {
                insert.execute(rusqlite::params_from_iter(row))?;
            }
        }
        let key = LOOKED_UP_BY.iter().find(|key| definition.columns.iter().any(|(column, _)| column == *key));
        if let Some(key) = key {
            let index = format!("CREATE INDEX \"{}\".\"{}_by\" ON \"{}\"(\"{key}\")", name.0, name.1, name.1);
            transaction.execute_batch(&index)?;
        }
        Ok(transaction.commit()?)
    }

    fn rows(&self, translated: &Translated) -> Result<RecordBatch, Unanswered> {
        let mut statement = self.database.prepare(&translated.sql)?;
        let mut columns: Vec<Vec<Value>> = vec![Vec::new(); translated.columns.len()];
        let mut rows = statement.query([])?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            count += 1;
            if count > MOST_ROWS {
                let message = format!("an answer of the catalogs has {MOST_ROWS} rows at most");
                return Err(Unanswered { code: "54000", message });
            }
            for (at, column) in columns.iter_mut().enumerate() {
                column.push(row.get(at)?);
            }
        }
        let arrays = columns.into_iter().zip(&translated.columns).map(|(values, (_, of))| array(values, of));
        let options = datafusion::arrow::array::RecordBatchOptions::new().with_row_count(Some(count));
        RecordBatch::try_new_with_options(schema_of(translated), arrays.collect(), &options)
            .map_err(|error| Unanswered { code: "XX000", message: error.to_string() })
    }
}

/// An answer's columns, each with the type by which it is announced.
fn schema_of(translated: &Translated) -> SchemaRef {
    let fields = translated.columns.iter().map(|(name, of)| {
        let data_type = arrow_type(of);
        let announced = match &data_type {
            DataType::Utf8 if !is_text(of) => Type::TEXT,
            DataType::List(element) if *element.data_type() == DataType::Utf8 && !is_text_array(of) => Type::TEXT_ARRAY,
            _ => of.clone(),
        };
        let metadata = HashMap::from([(ANNOUNCED.to_owned(), announced.oid().to_string())]);
        Field::new(name, data_type, true).with_metadata(metadata)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn is_text(of: &Type) -> bool {
    matches!(*of, Type::TEXT | Type::VARCHAR | Type::NAME | Type::CHAR | Type::BPCHAR | Type::JSON)
}

fn is_text_array(of: &Type) -> bool {
    matches!(*of, Type::NAME_ARRAY | Type::VARCHAR_ARRAY | Type::CHAR_ARRAY)
}

/// What a column of this type is kept as; texts are what all else is shown as.
fn arrow_type(of: &Type) -> DataType {
    let list = |element: DataType| DataType::new_list(element, true);
    match *of {
        Type::BOOL => DataType::Boolean,
        Type::INT2 => DataType::Int16,
        Type::INT4 | Type::OID => DataType::Int32,
        Type::INT8 => DataType::Int64,
        Type::FLOAT8 => DataType::Float64,
        Type::INT2_VECTOR | Type::INT2_ARRAY => list(DataType::Int16),
        Type::OID_VECTOR | Type::OID_ARRAY | Type::INT4_ARRAY => list(DataType::Int32),
        Type::INT8_ARRAY => list(DataType::Int64),
        _ if is_array(of) => list(DataType::Utf8),
        _ => DataType::Utf8,
    }
}

fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(number) => Some(*number),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    }
}

fn shown(value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Integer(number) => Some(number.to_string()),
        Value::Real(number) => Some(number.to_string()),
        Value::Text(text) => Some(text),
        Value::Blob(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

/// Values of one column, as what its type is kept as.
fn array(values: Vec<Value>, of: &Type) -> ArrayRef {
    macro_rules! wholes {
        ($builder:ty, $kind:ty) => {{
            let mut builder = <$builder>::new();
            for value in &values {
                builder.append_option(whole(value).and_then(|number| <$kind>::try_from(number).ok()));
            }
            Arc::new(builder.finish())
        }};
    }
    macro_rules! lists {
        ($builder:ty, $element:expr) => {{
            let mut builder = ListBuilder::new(<$builder>::new());
            for value in values {
                let items = shown(value).and_then(|text| serde_json::from_str::<Vec<Json>>(&text).ok());
                for item in items.iter().flatten() {
                    builder.values().append_option($element(item));
                }
                builder.append(items.is_some());
            }
            Arc::new(builder.finish())
        }};
    }
    fn text_of(item: &Json) -> Option<String> {
        match item {
            Json::Null => None,
            Json::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }
    match arrow_type(of) {
        DataType::Boolean => {
            let mut builder = BooleanBuilder::new();
            for value in &values {
                builder.append_option(whole(value).map(|number| number != 0));
            }
            Arc::new(builder.finish())
        }
        DataType::Int16 => wholes!(Int16Builder, i16),
        DataType::Int32 => wholes!(Int32Builder, i32),
        DataType::Int64 => wholes!(Int64Builder, i64),
        DataType::Float64 => {
            let mut builder = Float64Builder::new();
            for value in values {
                builder.append_option(shown(value).and_then(|text| text.parse().ok()));
            }
            Arc::new(builder.finish())
        }
        DataType::List(element) => match element.data_type() {
            DataType::Int16 => lists!(Int16Builder, |item: &Json| item.as_i64().and_then(|n| i16::try_from(n).ok())),
            DataType::Int32 => lists!(Int32Builder, |item: &Json| item.as_i64().and_then(|n| i32::try_from(n).ok())),
            DataType::Int64 => lists!(Int64Builder, Json::as_i64),
            _ => lists!(StringBuilder, text_of),
        },
        _ => {
            let mut builder = StringBuilder::new();
            for value in values {
                builder.append_option(shown(value));
            }
            Arc::new(builder.finish())
        }
    }
}
