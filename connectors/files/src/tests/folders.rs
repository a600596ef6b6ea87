//! Folders as agencies leave them behind.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Int32Array, RecordBatch, TimestampNanosecondArray};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::parquet::arrow::ArrowWriter;
use futures::StreamExt;
use tempfile::TempDir;
use wayleave_connector_api::{Connector, ConnectorError, Statement, Table, TableName};
use wayleave_connector_testkit::contract::answer::{rows, run};

use crate::{CsvHeader, FilesConnector, FilesOptions};

fn options(path: &Path) -> FilesOptions {
    FilesOptions {
        path: path.to_owned(),
        csv_delimiter: b',',
        csv_header: CsvHeader::Present,
        max_connections: 2,
        statement_timeout_ms: 30_000,
        memory_bytes: FilesOptions::DEFAULT_MEMORY_BYTES,
    }
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    directory
}

fn connector(directory: &TempDir) -> FilesConnector {
    FilesConnector::new(options(directory.path()))
}

async fn table(connector: &FilesConnector, name: &str) -> Result<Option<Table>, ConnectorError> {
    connector.table(&TableName::new("files", name)).await
}

async fn types(connector: &FilesConnector, name: &str) -> Vec<DataType> {
    let table = table(connector, name).await.unwrap().unwrap();
    table.columns.iter().map(|column| column.column_type.readable().unwrap().clone()).collect()
}

/// All rows of a table, sorted.
async fn all(connector: &FilesConnector, name: &str) -> Vec<String> {
    let types = types(connector, name).await;
    let mut rows = rows(&run(connector, format!("SELECT * FROM \"files\".\"{name}\""), &types).await.unwrap());
    rows.sort_unstable();
    rows
}

#[tokio::test]
async fn every_kind_of_file_is_a_table_and_nothing_else_is() {
    let directory = folder(&[
        ("visits.csv", "id,day\n1,2024-02-29\n"),
        ("notes.jsonl", "{\"id\": 1, \"text\": \"a\"}\n"),
        ("more.ndjson", "{\"id\": 2}\n"),
        ("README.md", "no table"),
        (".hidden.csv", "id\n1\n"),
        ("_temporary.csv", "id\n1\n"),
        ("empty/readme.txt", "no table"),
        ("yearly/2023.CSV", "id\n1\n"),
        ("yearly/2024.csv", "id\n2\n"),
    ]);
    let connector = connector(&directory);
    let names: Vec<String> = connector.tables().await.unwrap().into_iter().map(|table| table.name.table).collect();
    assert_eq!(names, ["more", "notes", "visits", "yearly"]);
    assert_eq!(all(&connector, "visits").await, ["1|2024-02-29"]);
    assert_eq!(all(&connector, "notes").await, ["1|a"]);
    assert_eq!(all(&connector, "yearly").await, ["1", "2"]);
    assert_eq!(table(&connector, "hidden").await.unwrap(), None);
    assert_eq!(connector.table(&TableName::new("main", "visits")).await.unwrap(), None);
}

#[tokio::test]
async fn a_csv_value_is_never_changed_by_its_type() {
    let text = "key,number,amount,flag,day,at,word,nothing\n\
        0123456789,1,1.5,true,2024-02-29,2024-02-29T10:00:00,\"a, \"\"b\"\"\nc\",\n\
        9434765919,-20,2,false,2024-01-01,2024-01-01 10:00:00.5,,\n";
    let directory = folder(&[("t.csv", text)]);
    let connector = connector(&directory);
    let moment = DataType::Timestamp(TimeUnit::Microsecond, None);
    use DataType::{Boolean, Date32, Float64, Int64, Utf8};
    assert_eq!(types(&connector, "t").await, [Utf8, Int64, Float64, Boolean, Date32, moment, Utf8, Utf8]);
    assert_eq!(
        all(&connector, "t").await,
        [
            "0123456789|1|1.5|true|2024-02-29|2024-02-29T10:00:00|a, \"b\"\nc|NULL",
            "9434765919|-20|2.0|false|2024-01-01|2024-01-01T10:00:00.500|NULL|NULL",
        ]
    );
}

#[tokio::test]
async fn the_configuration_says_how_csv_is_written() {
    let directory = folder(&[("t.csv", "1;a\n2;b\n")]);
    let options = FilesOptions { csv_delimiter: b';', csv_header: CsvHeader::Absent, ..options(directory.path()) };
    let connector = FilesConnector::new(options);
    let described = table(&connector, "t").await.unwrap().unwrap();
    assert_eq!(
        described.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(),
        ["column_1", "column_2"]
    );
    assert_eq!(all(&connector, "t").await, ["1|a", "2|b"]);
}

#[tokio::test]
async fn what_changed_counts_from_the_next_query() {
    let directory = folder(&[("consents/1.csv", "id,ok\n1,true\n")]);
    let connector = connector(&directory);
    assert_eq!(all(&connector, "consents").await, ["1|true"]);
    fs::write(directory.path().join("consents/1.csv"), "id,ok\n1,false\n").unwrap();
    fs::write(directory.path().join("consents/2.csv"), "id,ok\n2,true\n").unwrap();
    assert_eq!(all(&connector, "consents").await, ["1|false", "2|true"]);
    fs::remove_file(directory.path().join("consents/1.csv")).unwrap();
    assert_eq!(all(&connector, "consents").await, ["2|true"]);
}

/// More rows than are read ahead of whoever takes them.
fn many(word: &str) -> String {
    (0..200_000).fold("id,word\n".to_owned(), |text, id| text + &format!("{id},{word}\n"))
}

fn words() -> Statement {
    let schema = Schema::new(vec![Field::new("word", DataType::Utf8, true)]);
    Statement {
        sql: "SELECT \"word\" FROM \"files\".\"t\"".to_owned(),
        schema: Arc::new(schema),
        query_id: String::new(),
    }
}

#[tokio::test]
async fn a_file_that_is_replaced_under_a_query_is_read_as_it_was() {
    let directory = folder(&[("t.csv", &many("old")), ("t.new", &many("new"))]);
    let connector = connector(&directory);
    let mut stream = connector.query(words()).await.unwrap();
    let mut found = rows(&stream.next().await.unwrap().unwrap());
    fs::rename(directory.path().join("t.new"), directory.path().join("t.csv")).unwrap();
    while let Some(batch) = stream.next().await {
        found.extend(rows(&batch.unwrap()));
    }
    assert_eq!(found.len(), 200_000);
    assert!(found.iter().all(|word| word == "old"));
    assert!(all(&connector, "t").await.iter().all(|row| row.ends_with("|new")));
}

#[tokio::test]
async fn a_file_that_is_written_to_under_a_query_fails_it() {
    let directory = folder(&[("t.csv", &many("old"))]);
    let mut stream = connector(&directory).query(words()).await.unwrap();
    stream.next().await.unwrap().unwrap();
    let mut file = fs::OpenOptions::new().append(true).open(directory.path().join("t.csv")).unwrap();
    file.write_all(b"1,secret\n").unwrap();
    drop(file);
    let error = loop {
        match stream.next().await.expect("the query ends as if nothing had happened") {
            Ok(batch) => assert!(rows(&batch).iter().all(|word| word == "old")),
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("`t.csv` was changed while it was read"), "{error:?}");
}

#[tokio::test]
async fn a_link_out_of_the_folder_is_refused_and_one_inside_is_followed() {
    let outside = folder(&[("secret.csv", "id\n1\n")]);
    let directory = folder(&[("here.csv", "id\n7\n"), ("inner/x.csv", "id\n8\n")]);
    let link = |target: &Path, name: &str| std::os::unix::fs::symlink(target, directory.path().join(name)).unwrap();
    link(&outside.path().join("secret.csv"), "leak.csv");
    link(outside.path(), "folder_leak");
    link(Path::new("here.csv"), "also_here.csv");
    let connector = connector(&directory);
    assert_eq!(all(&connector, "also_here").await, ["7"]);
    for name in ["leak", "folder_leak"] {
        let error = table(&connector, name).await.unwrap_err();
        assert!(matches!(&error, ConnectorError::Refused { sqlstate, .. } if sqlstate == "42501"), "{error:?}");
        let sql = format!("SELECT 1 FROM \"files\".\"{name}\"");
        let error = run(&connector, sql, &[DataType::Int64]).await.unwrap_err();
        assert!(matches!(&error, ConnectorError::Refused { sqlstate, .. } if sqlstate == "42501"), "{error:?}");
    }
    // Nor do the dots of a name lead anywhere.
    assert_eq!(table(&connector, "../secret").await.unwrap(), None);
}

#[tokio::test]
async fn a_broken_file_is_named_without_a_value() {
    let directory = folder(&[
        ("broken.parquet", "this is no Parquet"),
        ("lines.jsonl", "{\"id\": 1}\nsecret\n"),
        ("ragged.csv", "a,b\n1,2\nsecret\n"),
        ("mixed/1.csv", "a\n1\n"),
        ("mixed/2.csv", "secret\n1\n"),
        ("both.csv", "a\n1\n"),
        ("both.jsonl", "{\"a\": 1}\n"),
    ]);
    let connector = connector(&directory);
    for (name, file) in [
        ("broken", "`broken.parquet`"),
        ("lines", "`lines.jsonl`"),
        ("ragged", "`ragged.csv`"),
        ("mixed", "`2.csv`"),
        ("both", "`both`"),
    ] {
        let sql = format!("SELECT 1 FROM \"files\".\"{name}\"");
        for error in [table(&connector, name).await.unwrap_err(), run(&connector, sql, &[]).await.unwrap_err()] {
            let message = error.to_string();
            assert!(matches!(error, ConnectorError::Protocol { .. }), "{error:?}");
            assert!(message.contains(file) && !format!("{error:?}").contains("secret"), "{message}");
        }
    }
    // The others are read as ever.
    fs::write(directory.path().join("good.csv"), "a\n1\n").unwrap();
    assert_eq!(all(&connector, "good").await, ["1"]);
}

#[tokio::test]
async fn a_file_that_breaks_after_its_footer_was_read_is_named_too() {
    let directory = tempfile::tempdir().unwrap();
    let inner = directory.path().join("t");
    fs::create_dir(&inner).unwrap();
    for name in ["1.parquet", "2.parquet"] {
        write_parquet(&inner.join(name), &numbers());
    }
    // The pages are overwritten, and the footer stays.
    let path = inner.join("2.parquet");
    let mut bytes = fs::read(&path).unwrap();
    bytes[4..40].fill(0xff);
    fs::write(&path, bytes).unwrap();
    let error =
        run(&connector(&directory), "SELECT \"id\" FROM \"files\".\"t\"", &[DataType::Int32]).await.unwrap_err();
    assert!(error.to_string().contains("`2.parquet`"), "{error:?}");
}

fn numbers() -> RecordBatch {
    let schema = Schema::new(vec![Field::new("id", DataType::Int32, true)]);
    RecordBatch::try_new(Arc::new(schema), vec![Arc::new(Int32Array::from_iter_values(0..10_000))]).unwrap()
}

fn write_parquet(path: &Path, batch: &RecordBatch) {
    let mut writer = ArrowWriter::try_new(fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

#[tokio::test]
async fn what_has_no_counterpart_is_listed_and_the_rest_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let fields = vec![
        Field::new("at", DataType::Timestamp(TimeUnit::Nanosecond, None), true),
        Field::new("id", DataType::Int32, true),
    ];
    let at = TimestampNanosecondArray::from(vec![1_i64, 2]);
    let batch =
        RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![Arc::new(at), Arc::new(Int32Array::from(vec![1, 2]))]);
    write_parquet(&directory.path().join("t.parquet"), &batch.unwrap());
    let connector = connector(&directory);
    let described = table(&connector, "t").await.unwrap().unwrap();
    assert_eq!(described.columns[0].column_type.readable(), None);
    let found =
        run(&connector, "SELECT \"id\" FROM \"files\".\"t\" AS \"b\" ORDER BY \"id\"", &[DataType::Int32]).await;
    assert_eq!(rows(&found.unwrap()), ["1", "2"]);
    let hidden = run(&connector, "SELECT \"at\" FROM \"files\".\"t\"", &[DataType::Int64]).await;
    assert!(matches!(hidden, Err(ConnectorError::Refused { .. })), "{hidden:?}");
}

#[tokio::test]
async fn a_statement_that_outgrows_its_memory_fails_alone() {
    let directory = tempfile::tempdir().unwrap();
    write_parquet(&directory.path().join("t.parquet"), &numbers());
    let small = FilesOptions { memory_bytes: 50_000, ..options(directory.path()) };
    let connector = FilesConnector::new(small);
    let sql = "SELECT a.\"id\" FROM \"files\".\"t\" AS a ORDER BY a.\"id\" DESC";
    let error = run(&connector, sql, &[DataType::Int32]).await.unwrap_err();
    assert!(matches!(&error, ConnectorError::Refused { sqlstate, .. } if sqlstate == "53200"), "{error:?}");
    let count = run(&connector, "SELECT count(*) FROM \"files\".\"t\"", &[DataType::Int64]).await;
    assert_eq!(rows(&count.unwrap()), ["10000"]);
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_unavailable() {
    let connector = FilesConnector::new(options(Path::new("/no/such/folder")));
    assert!(matches!(connector.ping().await, Err(ConnectorError::Unavailable { .. })));
    assert!(matches!(connector.tables().await, Err(ConnectorError::Unavailable { .. })));
}
