//! What goes wrong, and what must not.

use arrow::array::AsArray;
use arrow::datatypes::Int32Type;
use wayleave_tds_server::{Acknowledgement, Fault, PacketSplit, RequestKind};

use super::*;

const MANY: &str = "SELECT [b].[k] AS [c1], [b].[v] AS [c2] FROM [dbo].[many] AS [b]";

fn many_types() -> [DataType; 2] {
    [DataType::Int32, DataType::Utf8]
}

/// Ten thousand rows of a hundred characters.
fn many() -> Arc<Server> {
    let server = server("CREATE TABLE [dbo].[many] ([k] int NOT NULL, [v] nvarchar(200) NULL);");
    let text = "x".repeat(100);
    for start in 0..10 {
        let rows: Vec<String> = (0..1_000).map(|row| format!("({}, N'{text}')", start * 1_000 + row)).collect();
        server.execute_ddl(&format!("INSERT INTO [dbo].[many] VALUES {};", rows.join(", "))).unwrap();
    }
    server
}

/// The session in which each query of this connector ran.
fn sessions_of_queries(server: &Server) -> Vec<u16> {
    let marked = |text: &str| text.starts_with("/* wayleave");
    server.log().requests().iter().filter(|entry| marked(&entry.text)).map(|entry| entry.session).collect()
}

#[tokio::test]
async fn no_row_of_one_query_reaches_the_next_however_the_first_ended() {
    let server = many();
    let late = Acknowledgement::Late(Duration::from_millis(200));
    for acknowledgement in [Acknowledgement::InResponse, Acknowledgement::OwnMessage, late] {
        server.faults().acknowledge(acknowledgement);
        let reader = connector(&server, |options| options.max_connections = 1);
        server.log().clear();
        for round in 0..5 {
            let mut stream = reader.query(statement(MANY, schema(&many_types()))).await.unwrap();
            stream.next().await.unwrap().unwrap();
            drop(stream);
            let sql = format!("SELECT CAST({round} AS int) AS [c1]");
            let batch = collect(&reader, &sql, &[DataType::Int32]).await.unwrap();
            assert_eq!(batch.column(0).as_primitive::<Int32Type>().values(), &[round]);
        }
        let sessions = sessions_of_queries(&server);
        // Abandoned, then the next; which may be used again, since it came to its end.
        for pair in sessions.chunks(2) {
            assert_ne!(pair[0], pair[1], "{sessions:?}");
        }
        // Nothing is ever cancelled by a message whose answer could be taken for another.
        assert!(!server.log().requests().iter().any(|entry| entry.kind == RequestKind::Attention));
    }
}

#[tokio::test]
async fn a_whole_answer_leaves_its_connection_for_the_next() {
    let server = many();
    let reader = connector(&server, |options| options.max_connections = 1);
    for _ in 0..3 {
        assert_eq!(collect(&reader, MANY, &many_types()).await.unwrap().num_rows(), 10_000);
    }
    let sessions = sessions_of_queries(&server);
    assert!(sessions.iter().all(|session| *session == sessions[0]), "{sessions:?}");
}

#[tokio::test]
async fn a_connection_that_breaks_in_a_row_is_no_short_result() {
    let server = many();
    let reader = connector(&server, |_| {});
    for rows in [0, 1, 5_000, 9_999] {
        server.faults().order("[many]", Fault::DisconnectAfterRows(rows));
        let outcome = collect(&reader, MANY, &many_types()).await;
        assert!(matches!(outcome, Err(ConnectorError::Lost { .. })), "{rows}: {outcome:?}");
    }
    assert_eq!(collect(&reader, MANY, &many_types()).await.unwrap().num_rows(), 10_000);
}

#[tokio::test]
async fn an_error_after_some_rows_is_no_short_result_either() {
    let server = many();
    let reader = connector(&server, |_| {});
    server.faults().order("[many]", Fault::ErrorAfterRows(5_000));
    let outcome = collect(&reader, MANY, &many_types()).await;
    assert!(matches!(outcome, Err(ConnectorError::Refused { .. })), "{outcome:?}");
    assert_eq!(collect(&reader, MANY, &many_types()).await.unwrap().num_rows(), 10_000);
}

#[tokio::test]
async fn a_server_that_falls_silent_is_left_when_time_is_up() {
    let server = many();
    let reader = connector(&server, |options| options.statement_timeout_ms = 2_000);
    reader.ping().await.unwrap();
    for fault in [Fault::StallAfterRows(10), Fault::StallDeafAfterRows(10)] {
        server.faults().order("[many]", fault);
        let outcome = collect(&reader, MANY, &many_types()).await;
        assert!(matches!(outcome, Err(ConnectorError::Timeout { timeout_ms: 2_000 })), "{outcome:?}");
        server.faults().release();
    }
    let batch = collect(&reader, "SELECT CAST(7 AS int) AS [c1]", &[DataType::Int32]).await.unwrap();
    assert_eq!(batch.column(0).as_primitive::<Int32Type>().values(), &[7]);
}

#[tokio::test]
async fn packets_may_end_anywhere() {
    let server = many();
    for split in [PacketSplit::Payload(7), PacketSplit::Payload(513), PacketSplit::Writes(3)] {
        server.faults().split_packets(split);
        let reader = connector(&server, |_| {});
        let sql = "SELECT TOP (500) [b].[k] AS [c1], [b].[v] AS [c2] FROM [dbo].[many] AS [b]";
        let batch = collect(&reader, sql, &many_types()).await.unwrap_or_else(|error| panic!("{split:?}: {error:?}"));
        assert_eq!(batch.num_rows(), 500);
        let long = "x".repeat(100);
        assert!(batch.column(1).as_string::<i32>().iter().all(|text| text == Some(&long)));
    }
}

#[tokio::test]
async fn a_server_of_another_name_or_full_says_so() {
    let server = server("");
    let url = server.url().replace("/care", "/nowhere");
    let elsewhere = SqlServerConnector::new(options(&url)).unwrap();
    assert!(matches!(elsewhere.ping().await, Err(ConnectorError::Refused { sqlstate, .. }) if sqlstate == "3D000"));
    let full = Server::start(Options { greatest_connections: Some(0), ..Options::default() }).unwrap();
    assert!(matches!(connector(&full, |_| {}).ping().await, Err(ConnectorError::Unavailable { .. })));
}

#[tokio::test]
async fn a_lock_that_is_not_given_is_a_timeout() {
    let server = many();
    let reader = connector(&server, |_| {});
    let message = "Lock request time out period exceeded.".to_owned();
    server.faults().order("[many]", Fault::Error { number: 1222, class: 16, state: 51, message });
    let outcome = collect(&reader, MANY, &many_types()).await;
    assert!(matches!(outcome, Err(ConnectorError::Timeout { .. })), "{outcome:?}");
}

#[tokio::test]
async fn what_a_refusal_quotes_of_a_row_is_left_out() {
    let server = many();
    let reader = connector(&server, |_| {});
    let message = "Conversion failed when converting the nvarchar value '943 476 5919' to data type int.".to_owned();
    server.faults().order("[many]", Fault::Error { number: 245, class: 16, state: 1, message });
    let error = collect(&reader, MANY, &many_types()).await.unwrap_err();
    assert!(matches!(&error, ConnectorError::Refused { sqlstate, .. } if sqlstate == "22018"), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("943"), "{error:?}");
    eventually("the end of its connection", || server.connections() == 0).await;
}
