//! The catalogs of PostgreSQL as the endpoint tells them: what one may see, and nothing else.

use std::time::{Duration, Instant};

use crate::served::{Served, rows_of, told};

const LISTED: &str = "SELECT n.nspname, c.relname, a.attname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                      JOIN pg_attribute a ON a.attrelid = c.oid WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') \
                      ORDER BY 1, 2, a.attnum";
const OF_THE_STANDARD: &str = "SELECT table_schema, table_name, column_name FROM information_schema.columns \
                               WHERE table_schema NOT IN ('pg_catalog', 'information_schema') \
                               ORDER BY table_schema, table_name, ordinal_position";

#[tokio::test]
async fn only_what_the_asker_may_see_is_listed() {
    let served = Served::new().await;
    let sam = served.sam().await;
    let lea = served
        .connect(&served.settings(
            "lea",
            "options='-c wayleave.purpose=safeguarding -c wayleave.case=CASE-7 -c wayleave.reason=found'",
        ))
        .await
        .unwrap();
    let mut lists = Vec::new();
    for (client, session) in [(&sam, "social_worker"), (&lea, "safeguarding_lead")] {
        let session = served.world.session(session);
        let mut expected = Vec::new();
        for table in served.world.engine.released_tables(&session).await.unwrap() {
            let schema = if table.agency == "wayleave" { table.schema } else { table.agency };
            let columns =
                table.columns.into_iter().map(|(column, _)| vec![schema.clone(), table.table.clone(), column]);
            expected.extend(columns);
        }
        expected.sort_by(|one, other| one[..2].cmp(&other[..2]));
        assert!(expected.len() > 5);
        assert_eq!(rows_of(&client.simple_query(LISTED).await.unwrap()), expected);
        assert_eq!(rows_of(&client.simple_query(OF_THE_STANDARD).await.unwrap()), expected);
        lists.push(expected);
    }
    assert_ne!(lists[0], lists[1]);
    // Every name that is listed is one that can be asked.
    for row in &lists[0] {
        let sql = format!("SELECT \"{}\" FROM \"{}\".\"{}\" LIMIT 1", row[2], row[0], row[1]);
        sam.simple_query(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    // Another purpose, another list, on the same connection.
    sam.batch_execute("SET wayleave.purpose = 'no-such-purpose'").await.unwrap();
    assert_eq!(rows_of(&sam.simple_query(LISTED).await.unwrap()), Vec::<Vec<String>>::new());
}

#[tokio::test]
async fn without_a_purpose_nothing_is_listed_but_who_one_is() {
    let served = Served::new().await;
    let lea = served.connect(&served.settings("lea", "")).await.unwrap();
    assert_eq!(rows_of(&lea.simple_query(LISTED).await.unwrap()), Vec::<Vec<String>>::new());
    let who = "SELECT current_user, current_database(), current_schema()";
    assert_eq!(rows_of(&lea.simple_query(who).await.unwrap()), [["lea", "wayleave", "unified"]]);
    let roles = "SELECT rolname, rolsuper FROM pg_roles ORDER BY 1";
    assert_eq!(rows_of(&lea.simple_query(roles).await.unwrap()), [["lea", "f"], ["wayleave", "f"]]);
}

#[tokio::test]
async fn an_edit_of_a_policy_shows_in_the_next_list() {
    let served = Served::new().await;
    served.world.engine.follow_policies();
    let sam = served.sam().await;
    let columns = "SELECT attname FROM pg_attribute WHERE attrelid = 'health.patients'::regclass ORDER BY attnum";
    let has_postcode = |rows: Vec<Vec<String>>| rows.iter().any(|row| row[0] == "postcode");
    assert!(has_postcode(rows_of(&sam.simple_query(columns).await.unwrap())));
    let file = served.world.directory().join("policies/agreements/joint-needs.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let edited = text.replace("\"sex\", \"postcode\", ", "\"sex\", ").replace("mask.postcode = \"outward\"\n", "");
    std::fs::write(&file, edited).unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    // A question of data puts the edit in force; the list follows at once.
    loop {
        let _ = sam.simple_query("SELECT count(*) FROM health.patients").await;
        if !has_postcode(rows_of(&sam.simple_query(columns).await.unwrap())) {
            break;
        }
        assert!(Instant::now() < until, "the list never followed the policy");
    }
}

#[tokio::test]
async fn the_catalogs_are_not_joined_with_agencies_and_say_what_they_do_not_know() {
    let served = Served::new().await;
    let sam = served.sam().await;
    for (sql, state, says) in [
        ("SELECT 1 FROM health.patients, pg_catalog.pg_class", "0A000", "not both at once"),
        ("SELECT * FROM pg_catalog.pg_nothing", "42P01", "`pg_nothing`"),
        ("SELECT nothing FROM pg_class", "42703", "`nothing`"),
        ("SELECT pg_sleep_for('1') FROM pg_class", "42883", "`pg_sleep_for`"),
        ("SELECT 'nothing.there'::regclass", "42P01", "`nothing.there`"),
        ("SELECT DISTINCT ON (relkind) relname FROM pg_class", "0A000", "DISTINCT ON"),
        ("SELECT relname FROM pg_class WHERE relname ~ '('", "22000", "pattern"),
        ("SELECT * FROM generate_series(1, 1000000000), pg_class", "22000", "elements at most"),
    ] {
        let error = sam.simple_query(sql).await.unwrap_err();
        let (code, message, hint) = told(&error);
        assert_eq!(code, state, "{sql}: {message}");
        assert!(format!("{message} {hint}").contains(says), "{sql}: {message}");
    }
    assert_eq!(rows_of(&sam.simple_query("SELECT 1").await.unwrap()), [["1"]]);
}

#[tokio::test]
async fn a_question_to_the_catalogs_can_be_cancelled() {
    let served = Served::new().await;
    let sam = served.sam().await;
    let cancel = sam.cancel_token();
    let canceller = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        cancel.cancel_query(tokio_postgres::NoTls).await
    });
    let endless = "SELECT count(*) FROM pg_attribute a, pg_attribute b, pg_attribute c";
    let started = Instant::now();
    let error = sam.simple_query(endless).await.unwrap_err();
    assert_eq!(told(&error).0, "57014");
    assert!(started.elapsed() < Duration::from_secs(20));
    canceller.await.unwrap().unwrap();
    assert_eq!(rows_of(&sam.simple_query("SELECT current_schema()").await.unwrap()), [["unified"]]);
}

#[tokio::test]
async fn settings_are_made_by_a_function_too() {
    let served = Served::new().await;
    let sam = served.sam().await;
    let set = "SELECT set_config('wayleave.case', 'C-7', false), current_setting('wayleave.purpose')";
    assert_eq!(rows_of(&sam.simple_query(set).await.unwrap()), [["C-7", "joint-needs-assessment"]]);
    assert_eq!(rows_of(&sam.simple_query("SHOW wayleave.case").await.unwrap()), [["C-7"]]);
    let wrong = sam.simple_query("SELECT set_config('wayleave.role', 'root', false)").await.unwrap_err();
    assert_eq!(told(&wrong).0, "22023");
}

#[tokio::test]
async fn parameters_of_the_catalogs_have_the_types_that_they_are_cast_to() {
    let served = Served::new().await;
    let sam = served.sam().await;
    let sql = "SELECT relname, relnatts, relhasindex, oid FROM pg_class WHERE relname = $1 AND oid > $2::oid";
    let prepared = sam.prepare(sql).await.unwrap();
    let types: Vec<&str> = prepared.columns().iter().map(|column| column.type_().name()).collect();
    assert_eq!(types, ["name", "int2", "bool", "oid"]);
    let row = sam.query_one(&prepared, &[&"patients", &16_000_u32]).await.unwrap();
    assert_eq!((row.get::<_, &str>(0), row.get::<_, bool>(2)), ("patients", false));
    assert!(row.get::<_, u32>(3) > 16_384);
    let arrays = sam.query_one("SELECT current_schemas(true), ARRAY[1, NULL, 3] FROM pg_am", &[]).await.unwrap();
    assert_eq!(arrays.get::<_, Vec<String>>(0), ["pg_catalog", "unified"]);
    assert_eq!(arrays.get::<_, Vec<Option<i32>>>(1), [Some(1), None, Some(3)]);
}

#[tokio::test]
async fn cursors_and_savepoints_are_those_of_a_transaction() {
    let served = Served::new().await;
    let sam = served.sam().await;
    let outside = sam.simple_query("DECLARE c CURSOR FOR SELECT 1").await.unwrap_err();
    assert_eq!(told(&outside).0, "25P01");
    sam.batch_execute("BEGIN; SAVEPOINT a").await.unwrap();
    sam.batch_execute("DECLARE c CURSOR FOR SELECT value FROM generate_series(1, 5) ORDER BY value").await.unwrap();
    assert_eq!(rows_of(&sam.simple_query("FETCH 2 FROM c").await.unwrap()), [["1"], ["2"]]);
    assert_eq!(rows_of(&sam.simple_query("FETCH FORWARD ALL FROM c").await.unwrap()), [["3"], ["4"], ["5"]]);
    assert_eq!(rows_of(&sam.simple_query("FETCH c").await.unwrap()), Vec::<Vec<String>>::new());
    let again = sam.simple_query("DECLARE c CURSOR FOR SELECT 1").await.unwrap_err();
    assert_eq!(told(&again).0, "42P03");
    assert_eq!(told(&sam.simple_query("SELECT 1").await.unwrap_err()).0, "25P02");
    sam.batch_execute("ROLLBACK TO SAVEPOINT a; CLOSE c").await.unwrap();
    assert_eq!(told(&sam.simple_query("FETCH c").await.unwrap_err()).0, "34000");
    sam.batch_execute(
        "ROLLBACK; BEGIN; DECLARE held CURSOR WITH HOLD FOR SELECT 7; DECLARE gone CURSOR FOR SELECT 8; COMMIT",
    )
    .await
    .unwrap();
    assert_eq!(rows_of(&sam.simple_query("FETCH ALL FROM held").await.unwrap()), [["7"]]);
    assert_eq!(told(&sam.simple_query("FETCH gone").await.unwrap_err()).0, "34000");
    assert_eq!(told(&sam.simple_query("SAVEPOINT a").await.unwrap_err()).0, "25P01");
}
