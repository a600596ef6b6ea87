//! Text cases of T-SQL: what it answers, and what SQL Server refuses and with which number.
//!
//! A file is a list of cases with an empty line between two. `rows` and the statement, `----`, then a line a row with
//! ` | ` between values; or `refuse <number>` and the statement; or `ok` and a statement that only has to pass.
//! `version <year>` before a case starts the server anew as that product.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test stops where it fails"
)]

use std::fmt::Write as _;
use std::path::Path;

use tiberius::{AuthMethod, Client, ColumnData, Config, EncryptionLevel};
use tokio::net::TcpStream;
use tokio_util::compat::{Compat, TokioAsyncWriteCompatExt};
use wayleave_tds_server::{Encryption, Options, Server, Version};

async fn connect(server: &Server) -> Client<Compat<TcpStream>> {
    let mut config = Config::new();
    config.host("127.0.0.1");
    config.port(server.port());
    config.authentication(AuthMethod::sql_server("wayleave", "Passw0rd!"));
    config.encryption(EncryptionLevel::NotSupported);
    let socket = TcpStream::connect(config.get_addr()).await.unwrap();
    Client::connect(config, socket.compat_write()).await.unwrap()
}

fn start(version: Version) -> Server {
    let server =
        Server::start(Options { version, encryption: Encryption::NotSupported, ..Options::default() }).unwrap();
    let seed = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tsql/seed.sql")).unwrap();
    for statement in seed.split("\nGO\n") {
        server.execute_ddl(statement).unwrap();
    }
    server
}

fn shown(value: &ColumnData<'_>) -> String {
    let or_null = |text: Option<String>| text.unwrap_or_else(|| "NULL".to_owned());
    match value {
        ColumnData::U8(number) => or_null(number.map(|number| number.to_string())),
        ColumnData::I16(number) => or_null(number.map(|number| number.to_string())),
        ColumnData::I32(number) => or_null(number.map(|number| number.to_string())),
        ColumnData::I64(number) => or_null(number.map(|number| number.to_string())),
        ColumnData::F32(number) => or_null(number.map(|number| number.to_string())),
        ColumnData::F64(number) => or_null(number.map(|number| number.to_string())),
        ColumnData::Bit(bit) => or_null(bit.map(|bit| u8::from(bit).to_string())),
        ColumnData::String(text) => or_null(text.as_ref().map(|text| format!("'{text}'"))),
        ColumnData::Guid(guid) => or_null(guid.map(|guid| guid.to_string())),
        ColumnData::Numeric(number) => or_null(number.map(|number| number.to_string())),
        ColumnData::Binary(bytes) => or_null(bytes.as_ref().map(|bytes| {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("0x{digits}")
        })),
        other => format!("{other:?}"),
    }
}

async fn run(client: &mut Client<Compat<TcpStream>>, sql: &str) -> Result<String, (u32, String)> {
    let outcome = async { client.simple_query(sql).await?.into_results().await }.await;
    match outcome {
        Ok(results) => {
            let mut text = String::new();
            for row in results.iter().flatten() {
                let values: Vec<String> = row.cells().map(|(_, value)| shown(value)).collect();
                writeln!(text, "{}", values.join(" | ")).unwrap();
            }
            Ok(text)
        }
        Err(tiberius::error::Error::Server(token)) => Err((token.code(), token.message().to_owned())),
        Err(other) => panic!("{sql}: {other}"),
    }
}

async fn check(file: &str) {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tsql").join(file)).unwrap();
    let mut server = start(Version::Sql2022);
    let mut client = connect(&server).await;
    let mut failures = Vec::new();
    let mut cases = 0;
    for case in text.split("\n\n") {
        let lines: Vec<&str> = case.lines().filter(|line| !line.starts_with('#')).collect();
        let Some((head, body)) = lines.split_first() else { continue };
        if let Some(year) = head.strip_prefix("version ") {
            let version = match year {
                "2016" => Version::Sql2016,
                "2017" => Version::Sql2017,
                "2019" => Version::Sql2019,
                "2022" => Version::Sql2022,
                "2025" => Version::Sql2025,
                _ => panic!("{year}"),
            };
            server = start(version);
            client = connect(&server).await;
            continue;
        }
        cases += 1;
        if let Some(number) = head.strip_prefix("refuse ") {
            let sql = body.join("\n");
            match run(&mut client, &sql).await {
                Err((found, _)) if found.to_string() == number => {}
                outcome => failures.push(format!("{sql}\n  expected error {number}, got {outcome:?}")),
            }
        } else if *head == "ok" {
            let sql = body.join("\n");
            if let Err(error) = run(&mut client, &sql).await {
                failures.push(format!("{sql}\n  {error:?}"));
            }
        } else {
            assert_eq!(*head, "rows", "{case}");
            let split = body.iter().position(|line| *line == "----").unwrap_or_else(|| panic!("no ----: {case}"));
            let (sql, expected) = (body[..split].join("\n"), body[split + 1..].join("\n"));
            match run(&mut client, &sql).await {
                Ok(found) if found.trim_end() == expected.trim_end() => {}
                outcome => failures.push(format!(
                    "{sql}\n  expected:\n{expected}\n  got:\n{}",
                    outcome.unwrap_or_else(|error| format!("{error:?}"))
                )),
            }
        }
    }
    assert!(cases > 5, "{file} holds {cases} cases");
    drop(server);
    assert!(failures.is_empty(), "{} of {cases} cases of {file}:\n\n{}", failures.len(), failures.join("\n\n"));
}

#[tokio::test]
async fn refused() {
    check("refused.txt").await;
}

#[tokio::test]
async fn versions() {
    check("versions.txt").await;
}

#[tokio::test]
async fn expressions() {
    check("expressions.txt").await;
}

#[tokio::test]
async fn text() {
    check("text.txt").await;
}

#[tokio::test]
async fn queries() {
    check("queries.txt").await;
}

#[tokio::test]
async fn moments() {
    check("moments.txt").await;
}

#[tokio::test]
async fn statements() {
    check("statements.txt").await;
}

#[tokio::test]
async fn catalog() {
    check("catalog.txt").await;
}
