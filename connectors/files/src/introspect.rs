//! What a folder holds: its tables, their files and columns.
//!
//! Hidden files and files of other kinds are left out. A link that leads out of the folder is listed and refused.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use chrono::{DateTime, Utc};
use datafusion::parquet::arrow::parquet_to_arrow_schema;
use datafusion::parquet::file::reader::{FileReader, SerializedFileReader};
use wayleave_connector_api::{
    Collation, Column, ColumnType, ConnectorError, Table, TableKind, TableName, TableSummary,
};

use crate::FilesOptions;
use crate::infer::{self, Could, CsvForm};
use crate::store::Opened;
use crate::types::column_type;

/// The one schema of a folder.
pub(crate) const SCHEMA: &str = "files";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Parquet,
    Csv,
    JsonLines,
}

impl Format {
    fn of(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?;
        let known =
            [("parquet", Self::Parquet), ("csv", Self::Csv), ("jsonl", Self::JsonLines), ("ndjson", Self::JsonLines)];
        known.into_iter().find(|(name, _)| extension.eq_ignore_ascii_case(name)).map(|(_, format)| format)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Parquet => "Parquet",
            Self::Csv => "CSV",
            Self::JsonLines => "JSON lines",
        }
    }
}

/// A table's opened files, and the types that they give its columns.
#[derive(Debug)]
pub(crate) struct OpenTable {
    pub format: Format,
    pub files: Vec<Opened>,
    pub schema: Schema,
}

/// Every table with its paths.
fn listed(folder: &Path) -> Result<BTreeMap<String, Vec<PathBuf>>, ConnectorError> {
    let mut tables: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for path in entries(folder)? {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if Format::of(&path).is_some() {
            if let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()) {
                tables.entry(stem.to_owned()).or_default().push(path);
            }
        } else if path.is_dir() {
            let inner: Vec<PathBuf> = entries(&path)?.into_iter().filter(|path| Format::of(path).is_some()).collect();
            if !inner.is_empty() {
                tables.entry(name.to_owned()).or_default().extend(inner);
            }
        }
    }
    Ok(tables)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, ConnectorError> {
    let entries = fs::read_dir(folder).map_err(|error| unavailable(&error))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| unavailable(&error))?.path();
        let hidden = path.file_name().and_then(|name| name.to_str()).is_none_or(|name| name.starts_with(['.', '_']));
        if !hidden {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn unavailable(error: &std::io::Error) -> ConnectorError {
    ConnectorError::Unavailable { operator_detail: error.to_string() }
}

pub(crate) fn check(folder: &Path) -> Result<(), ConnectorError> {
    entries(folder).map(|_entries| ())
}

pub(crate) fn tables(folder: &Path) -> Result<Vec<TableSummary>, ConnectorError> {
    let tables = listed(folder)?.into_keys();
    Ok(tables
        .map(|table| TableSummary { name: TableName::new(SCHEMA, table), kind: TableKind::Table, row_estimate: None })
        .collect())
}

/// One table, described by its files as they are now.
pub(crate) fn table(options: &FilesOptions, name: &TableName) -> Result<Option<Table>, ConnectorError> {
    if name.schema != SCHEMA {
        return Ok(None);
    }
    let Some(opened) = open(options, &name.table)? else { return Ok(None) };
    let columns = opened.schema.fields().iter().map(|field| Column {
        name: field.name().clone(),
        source_type: field.data_type().to_string(),
        column_type: column_type(field.data_type()),
        nullable: true,
        collation: Collation::Binary,
    });
    Ok(Some(Table {
        name: name.clone(),
        kind: TableKind::Table,
        columns: columns.collect(),
        primary_key: Vec::new(),
        unique_keys: Vec::new(),
        row_estimate: None,
    }))
}

/// Opens every file of a table; `None` where there is no such table.
pub(crate) fn open(options: &FilesOptions, table: &str) -> Result<Option<OpenTable>, ConnectorError> {
    let Some(paths) = listed(&options.path)?.remove(table) else { return Ok(None) };
    let formats: Vec<Format> = paths.iter().filter_map(|path| Format::of(path)).collect();
    let Some(format) = formats.first().copied() else { return Ok(None) };
    if formats.iter().any(|other| *other != format) {
        return Err(wrong(format!("the table `{table}` has files of several kinds")));
    }
    let folder = fs::canonicalize(&options.path).map_err(|error| unavailable(&error))?;
    let files = paths.iter().map(|path| open_inside(&folder, path)).collect::<Result<Vec<_>, _>>()?;
    let schema = common_schema(options, format, &files)?;
    Ok(Some(OpenTable { format, files, schema }))
}

/// The schema of one file alone.
pub(crate) fn schema_of(options: &FilesOptions, format: Format, file: &Opened) -> Result<Schema, ConnectorError> {
    common_schema(options, format, std::slice::from_ref(file))
}

fn common_schema(options: &FilesOptions, format: Format, files: &[Opened]) -> Result<Schema, ConnectorError> {
    match format {
        Format::Csv => csv_schema(files, CsvForm { delimiter: options.csv_delimiter, header: options.csv_header }),
        Format::Parquet | Format::JsonLines => same_schema(files, format),
    }
}

/// Opens a file that is where its name says, or where a link inside the folder leads inside the folder.
fn open_inside(folder: &Path, path: &Path) -> Result<Opened, ConnectorError> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let outside = || ConnectorError::Refused {
        sqlstate: "42501".to_owned(),
        operator_detail: format!("the file `{name}` is no file inside the folder"),
    };
    let real = fs::canonicalize(path).map_err(|error| unavailable(&error))?;
    if !real.starts_with(folder) {
        return Err(outside());
    }
    let file = File::open(&real).map_err(|error| unavailable(&error))?;
    let opened = file.metadata().map_err(|error| unavailable(&error))?;
    // What was opened is what the checked path still names: nobody has put a link in its place.
    let named = fs::symlink_metadata(&real).map_err(|error| unavailable(&error))?;
    if !opened.is_file() || (opened.dev(), opened.ino()) != (named.dev(), named.ino()) {
        return Err(outside());
    }
    let modified = opened.modified().map(DateTime::<Utc>::from).unwrap_or_default();
    Ok(Opened { name, size: opened.len(), modified, file: Arc::new(file) })
}

pub(crate) fn wrong(reason: String) -> ConnectorError {
    ConnectorError::Protocol { reason }
}

pub(crate) fn broken(file: &Opened, format: Format, reason: &str) -> ConnectorError {
    wrong(format!("the file `{}` cannot be read as {}: {reason}", file.name, format.name()))
}

fn csv_schema(files: &[Opened], form: CsvForm) -> Result<Schema, ConnectorError> {
    let mut columns: Option<Vec<(String, Could)>> = None;
    for file in files {
        let found = infer::csv(&file.file, form).map_err(|reason| broken(file, Format::Csv, &reason))?;
        columns = Some(match columns {
            None => found,
            Some(columns) => {
                let names =
                    |columns: &[(String, Could)]| columns.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
                if names(&columns) != names(&found) {
                    return Err(broken(file, Format::Csv, "its columns are not those of the table's other files"));
                }
                let pairs = columns.into_iter().zip(found);
                pairs.map(|((name, one), (_, other))| (name, one.and(other))).collect()
            }
        });
    }
    let fields = columns.unwrap_or_default().into_iter();
    Ok(Schema::new(fields.map(|(name, could)| Field::new(name, could.data_type(), true)).collect::<Vec<_>>()))
}

fn same_schema(files: &[Opened], format: Format) -> Result<Schema, ConnectorError> {
    let mut schema: Option<Vec<(String, DataType)>> = None;
    for file in files {
        let found = match format {
            Format::Parquet => parquet_schema(file),
            Format::Csv | Format::JsonLines => infer::json(&file.file),
        };
        let found = found.map_err(|reason| broken(file, format, &reason))?;
        let found: Vec<(String, DataType)> =
            found.fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect();
        match &schema {
            Some(schema) if *schema != found => {
                return Err(broken(file, format, "its columns are not those of the table's other files"));
            }
            Some(_) => {}
            None => schema = Some(found),
        }
    }
    let fields = schema.unwrap_or_default().into_iter().map(|(name, data_type)| Field::new(name, data_type, true));
    Ok(Schema::new(fields.collect::<Vec<_>>()))
}

fn parquet_schema(file: &Opened) -> Result<Schema, String> {
    let wrong = |_: datafusion::parquet::errors::ParquetError| "its footer is broken".to_owned();
    let copy = file.file.try_clone().map_err(|error| error.kind().to_string())?;
    let reader = SerializedFileReader::new(copy).map_err(wrong)?;
    let metadata = reader.metadata().file_metadata();
    parquet_to_arrow_schema(metadata.schema_descr(), metadata.key_value_metadata()).map_err(wrong)
}

/// The schema in which the columns that can be read arrive.
pub(crate) fn arriving(schema: &Schema) -> Schema {
    let fields = schema.fields().iter().filter_map(|field| match column_type(field.data_type()) {
        ColumnType::Readable(data_type) => Some(Field::new(field.name(), data_type, true)),
        ColumnType::Unreadable { .. } => None,
    });
    Schema::new(fields.collect::<Vec<_>>())
}
