//! Clients of other hands over the endpoint: what they ask to know what there is, and what they read.

use std::path::{Path, PathBuf};
use std::process::Output;

use tokio::process::Command;

use crate::harness::servers;
use crate::served::{PASSWORD, Served};

fn of_project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// What `tests/run` has installed.
fn installed(path: &str) -> PathBuf {
    let found = Path::new(env!("CARGO_TARGET_TMPDIR")).join("..").join(path);
    assert!(found.exists(), "{} is missing: `tests/run` makes it", found.display());
    found
}

fn succeeded(output: &Output) {
    let said = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat();
    assert!(output.status.success(), "{said}");
}

#[tokio::test]
async fn psql_lists_and_describes_what_is_released() {
    let served = Served::new().await;
    let settings = served.settings("sam", "");
    let shown = |commands: &'static [&'static str]| {
        let (served, settings) = (&served, settings.clone());
        async move {
            let output = served.psql(&settings, commands).await;
            succeeded(&output);
            String::from_utf8(output.stdout).unwrap()
        }
    };
    assert_eq!(shown(&["\\d"]).await, "unified|clients|view|wayleave\n");
    let tables = shown(&["\\dt *.*"]).await;
    assert!(tables.contains("health|patients|table|wayleave") && !tables.contains("police"), "{tables}");
    let patients = shown(&["\\d+ health.patients"]).await;
    assert!(patients.contains("dob|date||||plain") && !patients.contains("deceased"), "{patients}");
    assert!(shown(&["\\dt+ health.*"]).await.contains("released under"));
    assert!(shown(&["\\d unified.clients"]).await.contains("nhs_number|text"));
    for command in [
        "\\dn+",
        "\\l+",
        "\\du",
        "\\dv",
        "\\df",
        "\\dT+",
        "\\di",
        "\\ds",
        "\\dm",
        "\\dE",
        "\\dp health.*",
        "\\db",
        "\\dx",
        "\\dC",
        "\\do",
        "\\da",
        "\\dO",
        "\\dD",
        "\\dL",
        "\\dew",
        "\\des",
        "\\det",
        "\\dF",
        "\\dc",
        "\\dX",
        "\\dy",
        "\\dA",
        "\\dRp",
        "\\dRs",
        "\\drds",
        "\\ddp",
        "\\dconfig",
        "\\dPt",
        "\\z",
        "\\sv unified.clients",
        "\\d pg_class",
        "\\d+ information_schema.columns",
    ] {
        succeeded(&served.psql(&settings, &[command]).await);
    }
}

#[tokio::test]
async fn psql_completes_names() {
    let served = Served::new().await;
    let mut command = Command::new(installed("python/bin/python"));
    command.arg(of_project("tests/clients/completion.py")).arg(served.settings("sam", ""));
    succeeded(&command.output().await.unwrap());
}

#[tokio::test]
async fn libraries_of_python_read_and_reflect() {
    let served = Served::new().await;
    let mut command = Command::new(installed("python/bin/python"));
    command.arg(of_project("tests/clients/libraries.py")).arg(served.address.port().to_string()).arg(PASSWORD);
    succeeded(&command.output().await.unwrap());
}

#[tokio::test]
async fn the_jdbc_driver_reads_and_tells_metadata() {
    let served = Served::new().await;
    let mut command = Command::new("java");
    command.args(["-cp", "/usr/share/java/postgresql.jar"]).arg(of_project("tests/clients/Jdbc.java"));
    succeeded(&command.arg(served.address.port().to_string()).arg(PASSWORD).output().await.unwrap());
}

#[tokio::test]
async fn node_postgres_reads() {
    let served = Served::new().await;
    let mut command = Command::new("node");
    command.env("NODE_PATH", installed("node/node_modules")).arg(of_project("tests/clients/node.js"));
    succeeded(&command.arg(served.address.port().to_string()).arg(PASSWORD).output().await.unwrap());
}

#[tokio::test]
async fn foreign_tables_of_postgresql_are_imported_and_read() {
    let served = Served::new().await;
    let port = served.address.port();
    let [server, _] = servers();
    server.create_database("foreign_client").await.unwrap();
    let import = format!(
        "CREATE EXTENSION postgres_fdw;
         CREATE SERVER wayleave FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '{port}', dbname 'wayleave');
         CREATE USER MAPPING FOR CURRENT_USER SERVER wayleave OPTIONS (user 'sam', password '{PASSWORD}');
         CREATE SCHEMA health;
         IMPORT FOREIGN SCHEMA health FROM SERVER wayleave INTO health;
         ANALYZE health.patients;"
    );
    server.execute("foreign_client", &import).await.unwrap();
    let asked = "SELECT p.nhs_number, p.name, e.kind FROM health.patients p JOIN health.encounters e USING (nhs_number) ORDER BY 1, 2, 3";
    let found = server.query_rows("foreign_client", asked).await.unwrap();
    let expected = served.world.rows(&served.world.session("social_worker"), asked).await.unwrap();
    let found: Vec<Vec<String>> = found
        .into_iter()
        .map(|row| row.into_iter().map(|value| value.unwrap_or("NULL".to_owned())).collect())
        .collect();
    assert!(!expected.is_empty());
    assert_eq!(found, expected);
    let written = server.execute("foreign_client", "INSERT INTO health.patients (name) VALUES ('x')").await;
    assert!(written.unwrap_err().contains("not allowed"));
}

/// The statements of a file of questions, each to the end of its line.
fn questions(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("--")).collect();
    let statements = lines.join("\n");
    statements
        .split(";\n")
        .map(|sql| sql.trim().trim_end_matches(';').to_owned())
        .filter(|sql| !sql.is_empty())
        .collect()
}

#[tokio::test]
async fn what_dashboards_and_tools_ask_first_is_answered() {
    let served = Served::new().await;
    let files = std::fs::read_dir(of_project("tests/clients/recorded")).unwrap();
    let mut count = 0;
    for file in files {
        let file = file.unwrap().path();
        let client = served.sam().await;
        for sql in questions(&file) {
            let told = client.simple_query(&sql).await;
            assert!(told.is_ok(), "{}: {sql}\n{:?}", file.display(), told.err());
            let prepared = client.prepare(&sql).await;
            assert!(prepared.is_ok(), "{}: {sql}\n{:?}", file.display(), prepared.err());
            count += 1;
        }
    }
    assert!(count > 40, "{count}");
}

#[tokio::test]
async fn the_catalogs_answer_as_those_of_postgresql_do() {
    let served = Served::new().await;
    let (url, driver) = tokio_postgres::connect(&servers()[0].url("postgres"), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(driver);
    let client = served.sam().await;
    for sql in questions(&of_project("tests/clients/as-postgresql.sql")) {
        let shown = |answer: Vec<tokio_postgres::SimpleQueryMessage>| {
            let rows = answer.into_iter().filter_map(|message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => {
                    let columns: Vec<String> = row.columns().iter().map(|column| column.name().to_owned()).collect();
                    let values: Vec<Option<String>> = (0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect();
                    Some((columns, values))
                }
                _ => None,
            });
            rows.collect::<Vec<_>>()
        };
        let expected = shown(url.simple_query(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error}")));
        let found = shown(client.simple_query(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error}")));
        assert!(!expected.is_empty(), "{sql}");
        assert_eq!(found, expected, "{sql}");
    }
}
