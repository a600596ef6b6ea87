use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema};
use wayleave_connector_api::{
    Audience, Collation, Column, ColumnType, Connector, Divisible, Form, Fragment, KeyDisclosure, KeyFormat, KeySlot,
    Relation, Scan, ScanReason, Scheme, Slice, render_fragment, render_policy_conjuncts,
};
use wayleave_connector_files::{CsvHeader, FilesConnector, FilesOptions};
use wayleave_connector_mysql::{MysqlConnector, MysqlOptions};
use wayleave_connector_postgres::{PostgresConnector, PostgresOptions, TlsMode};
use wayleave_connector_sqlite::{SqliteConnector, SqliteOptions};

use super::*;

fn prove(sql: &str, agency: &Agency, origins: &[Origin], obligations: &[Obligation]) -> Result<(), Error> {
    Prover::new(obligations).prove(sql, agency, origins)
}

/// `patients` must carry two conjuncts, the register `consents` one.
fn proven(sql: &str) -> bool {
    let options = SqliteOptions { path: "none.db".into(), max_connections: 1, statement_timeout_ms: 1 };
    let agency = Agency::new("health", None, Arc::new(SqliteConnector::new(options)), BTreeMap::new());
    let obligation = |table: &str, conjuncts: &[&str]| Obligation {
        agency: "health".to_owned(),
        table: TableName::new("main", table),
        conjuncts: conjuncts.iter().map(|&conjunct| conjunct.to_owned()).collect(),
        guards: Vec::new(),
    };
    let obligations = [
        obligation("patients", &[r#"(NOT "b"."deceased")"#, CONSENT]),
        obligation("consents", &[r#"("b"."status" = 'withdrawn')"#]),
    ];
    prove(sql, &agency, &[], &obligations).is_ok()
}

/// A register may stand in a released value as policy has written it, over the table that it guards, and in no other way.
#[test]
fn a_register_in_a_value_is_policys_own() {
    let options = SqliteOptions { path: "none.db".into(), max_connections: 1, statement_timeout_ms: 1 };
    let agency = Agency::new("health", None, Arc::new(SqliteConnector::new(options)), BTreeMap::new());
    let guard = r#"(NOT EXISTS (SELECT 1 FROM "main"."adopted" AS "p1" WHERE ("p1"."id" = "b"."id")))"#;
    let obligation = |table: &str, guards: Vec<String>| Obligation {
        agency: "health".to_owned(),
        table: TableName::new("main", table),
        conjuncts: vec![r#"(NOT "b"."deceased")"#.to_owned()],
        guards,
    };
    let obligations = [obligation("patients", vec![guard.to_owned()]), obligation("notes", Vec::new())];
    let proven = |sql: &str| prove(sql, &agency, &[], &obligations).is_ok();
    let over = |table: &str, value: &str| {
        format!(r#"SELECT {value} AS "c1" FROM "main"."{table}" AS "b" WHERE (NOT "b"."deceased")"#)
    };
    let hidden = format!(r#"(CASE WHEN {guard} THEN "b"."id" END)"#);
    assert!(proven(&over("patients", &hidden)));
    assert!(proven(&format!("{} AND ({hidden} = 'x')", over("patients", &hidden))));
    // Over another table, turned round, with another condition, or on its own.
    assert!(!proven(&over("notes", &hidden)));
    assert!(!proven(&over("patients", &hidden.replace("NOT EXISTS", "EXISTS"))));
    assert!(!proven(&over("patients", &hidden.replace(r#"("p1"."id" = "b"."id")"#, r#"("p1"."id" = 'x')"#))));
    assert!(!proven(&over("patients", r#"(SELECT "p1"."id" FROM "main"."adopted" AS "p1")"#)));
    assert!(!proven(&format!(r#"SELECT {hidden} FROM ({}) AS "b""#, over("patients", r#""b"."id""#))));
}

#[test]
fn in_a_shared_server_each_table_carries_its_own_agencys_policy() {
    let options = SqliteOptions { path: "none.db".into(), max_connections: 1, statement_timeout_ms: 1 };
    let agency = Agency::new("health", None, Arc::new(SqliteConnector::new(options)), BTreeMap::new());
    let obligation = |agency: &str, table: &str, conjunct: &str| Obligation {
        agency: agency.to_owned(),
        table: TableName::new("main", table),
        conjuncts: vec![conjunct.to_owned()],
        guards: Vec::new(),
    };
    let origin = |agency: &str, table: &str| Origin {
        agency: agency.to_owned(),
        table: format!("main.{table}"),
        agreement: "A".to_owned(),
        disclose_keys_to: BTreeMap::new(),
        join_at_source_with: std::collections::BTreeSet::new(),
    };
    let obligations = [
        obligation("health", "patients", r#"("b"."shared" = 1)"#),
        obligation("social", "clients", r#"("b"."open" = 1)"#),
        // Another agreement of the query, under which the running agency shares a table of that name.
        obligation("health", "clients", r#"("b"."k" = 'anything')"#),
    ];
    let origins = [origin("health", "patients"), origin("social", "clients")];
    let joined = |left: &str, right: &str| {
        format!(
            r#"SELECT 1 AS "c1" FROM (SELECT 1 AS "c1" FROM "main"."patients" AS "b" WHERE {left}) AS "t1" JOIN (SELECT 1 AS "c1" FROM "main"."clients" AS "b" WHERE {right}) AS "t2" ON 1 = 1"#
        )
    };
    let proven = |sql: &str| prove(sql, &agency, &origins, &obligations).is_ok();
    assert!(proven(&joined(r#"("b"."shared" = 1)"#, r#"("b"."open" = 1)"#)));
    assert!(!proven(&joined(r#"("b"."shared" = 1)"#, r#"("b"."shared" = 1)"#)));
    assert!(!proven(&joined(r#"("b"."shared" = 1)"#, r#"("b"."k" = 'anything')"#)));
    assert!(!proven(&joined("1 = 1", r#"("b"."open" = 1)"#)));
    // Alone, a statement may not read another agency's table at all.
    let sql = joined(r#"("b"."shared" = 1)"#, r#"("b"."open" = 1)"#);
    assert!(prove(&sql, &agency, &origins[..1], &obligations).is_err());
}

const CONSENT: &str = r#"NOT EXISTS (SELECT 1 FROM "main"."consents" AS "p1" WHERE ("p1"."k" = "b"."k"))"#;

fn scan(conjuncts: &[&str]) -> String {
    format!(r#"SELECT "b"."k" AS "c1" FROM "main"."patients" AS "b" WHERE {}"#, conjuncts.join(" AND "))
}

fn released() -> String {
    scan(&[r#"(NOT "b"."deceased")"#, CONSENT])
}

#[test]
fn a_scan_with_all_its_conjuncts_is_proven_wherever_it_stands() {
    let released = released();
    assert!(proven(&released));
    assert!(proven(&scan(&[r#"(NOT "b"."deceased")"#, CONSENT, r#"("b"."k" IN ('1'))"#])));
    assert!(proven(&format!(r#"SELECT count(*) AS "c1" FROM ({released}) AS "t1" GROUP BY "t1"."c1""#)));
    assert!(proven(&format!(r#"SELECT 1 AS "c1" FROM ({released}) AS "t1" JOIN ({released}) AS "t2" ON 1 = 1"#)));
    assert!(proven(&format!("SELECT * FROM ({released} UNION ALL {released}) AS t")));
    assert!(proven(r#"SELECT "b"."k" AS "c1" FROM "main"."consents" AS "b" WHERE ("b"."status" = 'withdrawn')"#));
}

#[test]
fn one_slice_of_a_table_carries_what_the_whole_does() {
    let options = PostgresOptions {
        url: "postgres://nobody@localhost/none".to_owned(),
        tls: TlsMode::Disable,
        ca_file: None,
        max_connections: 1,
        connect_timeout_ms: 1,
        statement_timeout_ms: 1,
        scan_connections: 1,
        divide_from_bytes: 1,
    };
    let connector: Arc<dyn Connector> = Arc::new(PostgresConnector::new(options).unwrap());
    let deceased = Column {
        name: "deceased".to_owned(),
        source_type: "boolean".to_owned(),
        column_type: ColumnType::Readable(DataType::Boolean),
        nullable: true,
        collation: Collation::Binary,
    };
    let scan = |policy: Vec<wayleave_connector_api::Expr>| Scan {
        table: TableName::new("public", "patients"),
        columns: vec![deceased.clone()],
        outputs: vec![wayleave_connector_api::Expr::Column(0)],
        policy,
        lookups: Vec::new(),
        keys: None,
        reason: ScanReason::Released { agreement: "A".to_owned() },
    };
    let demanded = scan(vec![wayleave_connector_api::Expr::Not(Box::new(wayleave_connector_api::Expr::Column(0)))]);
    let conjuncts = render_policy_conjuncts(connector.dialect(), &demanded);
    let obligations =
        [Obligation { agency: "health".to_owned(), table: demanded.table.clone(), conjuncts, guards: Vec::new() }];
    let agency = Agency::new("health", None, Arc::clone(&connector), BTreeMap::new());
    let slices = [Slice::FIRST_PAGE, Slice { from_page: 7, until_page: None }];
    let proven = |scan: &Scan| {
        let root = Relation::Scan(Box::new(scan.clone()));
        let schema = Arc::new(Schema::new(vec![Field::new("deceased", DataType::Boolean, true)]));
        let divisible = Divisible::new(connector.dialect(), &Fragment { root, schema }).unwrap();
        slices.map(|slice| {
            let sql = divisible.sql(connector.dialect(), slice);
            assert!(sql.contains(r#""b".ctid >= '("#), "{sql}");
            // Joined to policy's conjuncts in any other way than by AND, it would not do.
            assert!(prove(&sql.replace(" AND (\"b\".ctid", " OR (\"b\".ctid"), &agency, &[], &obligations).is_err());
            prove(&sql, &agency, &[], &obligations).is_ok()
        })
    };
    assert_eq!(proven(&demanded), [true, true]);
    assert_eq!(proven(&scan(Vec::new())), [false, false]);
}

/// Everything that MariaDB's dialect writes is read again to the letter, and nothing that a session could read otherwise.
#[test]
fn in_mariadb_each_expression_of_policys_is_found_again() {
    use wayleave_connector_api::{
        CompareOp, DatePart, DateUnit, Expr, Form, KeyFormat, Mask, Scheme, TextFunction, TrimSide, Value,
    };
    let options = MysqlOptions {
        url: "mysql://u@localhost/d".to_owned(),
        tls: wayleave_connector_mysql::TlsMode::Disable,
        ca_file: None,
        max_connections: 1,
        connect_timeout_ms: 1,
        statement_timeout_ms: 1,
    };
    let connector: Arc<dyn Connector> = Arc::new(MysqlConnector::new(options).unwrap());
    let column = |name: &str, source_type: &str, data_type: DataType| Column {
        name: name.to_owned(),
        source_type: source_type.to_owned(),
        column_type: ColumnType::Readable(data_type),
        nullable: true,
        collation: if source_type.contains("collate") { Collation::Loose } else { Collation::Binary },
    };
    let moment = DataType::Timestamp(datafusion::arrow::datatypes::TimeUnit::Microsecond, None);
    let columns = vec![
        column("na`me", "varchar(30) collate latin1_swedish_ci", DataType::Utf8),
        column("flag", "tinyint(1)", DataType::Boolean),
        column("at", "datetime", moment.clone()),
        column("n", "int(11)", DataType::Int32),
    ];
    let boxed = |index: usize| Box::new(Expr::Column(index));
    let text = |text: &str| Expr::Literal(Value::Text(text.to_owned()));
    let of_text = |function| Expr::OfText { function, expr: boxed(0) };
    let key = |form| Expr::CanonicalKey {
        expr: boxed(0),
        format: KeyFormat { scheme: Scheme::NhsNumber, form, assured: false },
    };
    let date = |microseconds| Expr::Literal(Value::Timestamp { microseconds, zoned: false });
    let texts = ["O'Brien", "back\\slash", "'", "\0", "--", "/*! 1 */", "#", "日本"];
    let mut policy: Vec<Expr> = texts.iter().map(|value| Expr::equal(Expr::Column(0), text(value))).collect();
    policy.extend([
        Expr::Column(1),
        Expr::Not(boxed(1)),
        Expr::InList {
            expr: boxed(0),
            list: texts.iter().map(|t| Value::Text((*t).to_owned())).collect(),
            negated: false,
        },
        Expr::InList { expr: boxed(3), list: vec![Value::Int32(-1), Value::Int32(2)], negated: true },
        Expr::Like { expr: boxed(0), pattern: "50\\%!_%".to_owned(), negated: true },
        Expr::IsNotNull(Box::new(key(Form::Mixed))),
        Expr::IsNotNull(Box::new(key(Form::Spaced))),
        Expr::compare(CompareOp::Less, Expr::DateOf(boxed(0)), Expr::Literal(Value::Date(-1))),
        Expr::compare(CompareOp::Greater, Expr::Column(2), date(-1)),
        Expr::equal(of_text(TextFunction::Trim(TrimSide::Both)), text("x")),
        Expr::equal(of_text(TextFunction::Substring { start: -2, length: Some(5) }), text("x")),
        Expr::equal(of_text(TextFunction::Left(-3)), text("x")),
        Expr::equal(of_text(TextFunction::Replace { from: "\\".to_owned(), to: "'".to_owned() }), text("x")),
        Expr::equal(of_text(TextFunction::Position("a".to_owned())), Expr::Literal(Value::Int32(1))),
        Expr::equal(Expr::Mask { expr: boxed(0), mask: Mask::OutwardPostcode }, text("TQ1")),
        Expr::equal(Expr::Mask { expr: boxed(0), mask: Mask::LastCharacters(3) }, text("***abc")),
        Expr::equal(Expr::DatePart { part: DatePart::Week, expr: boxed(2) }, Expr::Literal(Value::Int32(1))),
        Expr::equal(Expr::Truncate { to: DateUnit::Quarter, expr: boxed(2) }, date(0)),
        Expr::equal(Expr::Truncate { to: DateUnit::Week, expr: boxed(2) }, date(0)),
        Expr::equal(Expr::Coalesce(vec![Expr::Column(2), Expr::Literal(Value::Null(moment))]), date(0)),
        Expr::equal(
            Expr::Arithmetic {
                op: wayleave_connector_api::ArithmeticOp::Divide,
                left: Box::new(Expr::Widen { expr: boxed(3), to: DataType::Int64 }),
                right: Box::new(Expr::Literal(Value::Int64(-2))),
                data_type: DataType::Int64,
            },
            Expr::Literal(Value::Int64(-3)),
        ),
        Expr::equal(
            Expr::Widen { expr: boxed(3), to: DataType::Decimal128(12, 2) },
            Expr::Literal(Value::Decimal128 { unscaled: -150, precision: 12, scale: 2 }),
        ),
        Expr::equal(Expr::Concat(vec![Expr::Column(0), Expr::Widen { expr: boxed(3), to: DataType::Utf8 }]), text("x")),
    ]);
    // A register that is asked by its distinct keys.
    let probe = wayleave_connector_api::Probe {
        table: TableName::new("main", "regi`ster"),
        columns: columns.clone(),
        predicates: vec![
            Expr::equal(
                key(Form::Hyphenated),
                Expr::CanonicalKey {
                    expr: Box::new(Expr::Outer(0)),
                    format: KeyFormat { scheme: Scheme::NhsNumber, form: Form::Spaced, assured: false },
                },
            ),
            Expr::Column(1),
        ],
    };
    let existence = wayleave_connector_api::Existence::Forbidden;
    policy.push(Expr::Exists { probe: Box::new(probe), existence });
    let scan = |policy: Vec<Expr>| Scan {
        table: TableName::new("main", "pati`ents"),
        columns: columns.clone(),
        outputs: vec![Expr::Column(0)],
        policy,
        lookups: Vec::new(),
        keys: None,
        reason: ScanReason::Released { agreement: "A".to_owned() },
    };
    let agency = Agency::new("health", None, Arc::clone(&connector), BTreeMap::new());
    let schema = Arc::new(Schema::new(vec![Field::new("c1", DataType::Utf8, true)]));
    let sql_of = |scan: Scan| {
        let fragment = Fragment { root: Relation::Scan(Box::new(scan)), schema: Arc::clone(&schema) };
        wayleave_connector_api::render_fragment(
            connector.dialect(),
            &fragment,
            None,
            wayleave_connector_api::Audience::Source,
        )
    };
    let full = scan(policy.clone());
    let obligation = |conjuncts: Vec<String>| Obligation {
        agency: "health".to_owned(),
        table: full.table.clone(),
        conjuncts,
        guards: Vec::new(),
    };
    let conjuncts = render_policy_conjuncts(connector.dialect(), &full);
    let sql = sql_of(full.clone());
    prove(&sql, &agency, &[], &[obligation(conjuncts.clone())]).unwrap_or_else(|error| panic!("{error:?}: {sql}"));
    for index in 0..policy.len() {
        let mut fewer = policy.clone();
        fewer.remove(index);
        let sql = sql_of(scan(fewer));
        assert!(prove(&sql, &agency, &[], &[obligation(conjuncts.clone())]).is_err(), "{index}: {sql}");
    }
    let plain = sql_of(scan(Vec::new()));
    let bare = |sql: &str| prove(sql, &agency, &[], &[obligation(Vec::new())]).is_ok();
    assert!(bare(&plain));
    for added in [
        " WHERE `b`.`c` = '\\'",
        " WHERE `b`.`c` = \"x\"",
        " /*! FOR UPDATE */",
        " -- x",
        " # x",
        " WHERE 1 = 1 /* x */",
    ] {
        assert!(!bare(&format!("{plain}{added}")), "{added}");
    }
}

/// Where keys or their pseudonyms narrow a scan, before and after they are known.
#[test]
fn keys_and_pseudonyms_narrow_what_policy_leaves_and_nothing_else() {
    let text = |name: &str| Column {
        name: name.to_owned(),
        source_type: "text".to_owned(),
        column_type: ColumnType::Readable(DataType::Utf8),
        nullable: true,
        collation: Collation::Binary,
    };
    let postgres = PostgresOptions {
        url: "postgres://nobody@localhost/none".to_owned(),
        tls: TlsMode::Disable,
        ca_file: None,
        max_connections: 1,
        connect_timeout_ms: 1,
        statement_timeout_ms: 1,
        scan_connections: 1,
        divide_from_bytes: 1,
    };
    let sqlite = SqliteOptions { path: "none.db".into(), max_connections: 1, statement_timeout_ms: 1 };
    let files = FilesOptions {
        path: "none".into(),
        csv_delimiter: b',',
        csv_header: CsvHeader::Present,
        max_connections: 1,
        statement_timeout_ms: 1,
        memory_bytes: FilesOptions::DEFAULT_MEMORY_BYTES,
    };
    let connectors: [Arc<dyn Connector>; 3] = [
        Arc::new(PostgresConnector::new(postgres).unwrap()),
        Arc::new(SqliteConnector::new(sqlite)),
        Arc::new(FilesConnector::new(files)),
    ];
    for connector in connectors {
        for (scheme, assured) in [(Scheme::NhsNumber, false), (Scheme::NhsNumber, true), (Scheme::Opaque, false)] {
            for disclosure in [KeyDisclosure::Plain, KeyDisclosure::Pseudonymised] {
                let format = KeyFormat { scheme, form: Form::Spaced, assured };
                // No pseudonyms go where none can be made.
                if disclosure == KeyDisclosure::Pseudonymised
                    && connector.dialect().in_pseudonyms("k", format, None).is_none()
                {
                    assert_eq!(connector.dialect().name(), "datafusion");
                    continue;
                }
                let scan = Scan {
                    table: TableName::new("public", "patients"),
                    columns: vec![text("nhs"), text("shared")],
                    outputs: vec![wayleave_connector_api::Expr::Column(0)],
                    policy: vec![wayleave_connector_api::Expr::equal(
                        wayleave_connector_api::Expr::Column(1),
                        wayleave_connector_api::Expr::text("yes"),
                    )],
                    lookups: Vec::new(),
                    keys: Some(KeySlot { column: 0, format: Some(format), disclosure, number: 0 }),
                    reason: ScanReason::Released { agreement: "A".to_owned() },
                };
                let conjuncts = render_policy_conjuncts(connector.dialect(), &scan);
                let obligation = Obligation {
                    agency: "health".to_owned(),
                    table: scan.table.clone(),
                    conjuncts,
                    guards: Vec::new(),
                };
                let agency = Agency::new("health", None, Arc::clone(&connector), BTreeMap::new());
                let schema = Arc::new(Schema::new(vec![Field::new("nhs", DataType::Utf8, true)]));
                let keys: Vec<String> = (0..100).map(|key| format!("{key:064}")).collect();
                for (known, policy) in [(None, true), (Some(keys.as_slice()), true), (None, false)] {
                    let mut scan = scan.clone();
                    if !policy {
                        scan.policy.clear();
                    }
                    let fragment = Fragment { root: Relation::Scan(Box::new(scan)), schema: Arc::clone(&schema) };
                    let sql = render_fragment(connector.dialect(), &fragment, known, Audience::Source);
                    let proven = prove(&sql, &agency, &[], std::slice::from_ref(&obligation)).is_ok();
                    assert_eq!(proven, policy, "{disclosure:?}: {sql}");
                    let weakened =
                        sql.replace("= 'yes') AND", "= 'yes') OR").replace("'yes'::text) AND", "'yes'::text) OR");
                    assert_eq!(weakened != sql, policy, "{sql}");
                    assert!(prove(&weakened, &agency, &[], std::slice::from_ref(&obligation)).is_err(), "{weakened}");
                }
            }
        }
    }
}

#[test]
fn a_long_list_is_one_text_and_no_table() {
    let listed = |call: &str| format!(r#""b"."k" IN (SELECT value FROM {call})"#);
    let with = |call: &str| scan(&[r#"(NOT "b"."deceased")"#, CONSENT, &listed(call)]);
    assert!(proven(&with(r#"json_each('["1","2"]')"#)));
    // Anything but a text that stands there might read what policy does not release.
    assert!(!proven(&with(r#"json_each("b"."k")"#)));
    assert!(!proven(&with(r#"json_each((SELECT "k" FROM "main"."patients"))"#)));
    assert!(!proven(&with("json_tree('[1]')")));
    assert!(!proven(&scan(&[CONSENT, &listed("json_each('[1]')")])));
}

#[test]
fn a_scan_that_lacks_a_conjunct_is_not() {
    assert!(!proven(&scan(&[CONSENT])));
    assert!(!proven(&scan(&[r#"(NOT "b"."deceased")"#])));
    assert!(!proven(r#"SELECT "b"."k" AS "c1" FROM "main"."patients" AS "b""#));
    assert!(!proven(&format!(r#"SELECT * FROM ({}) AS t JOIN "main"."patients" AS "b" ON 1 = 1"#, released())));
    assert!(!proven(&format!(r#"SELECT * FROM ({} UNION ALL {}) AS t"#, released(), scan(&[CONSENT]))));
}

#[test]
fn a_conjunct_that_does_not_hold_for_every_row_is_none() {
    let weakened = r#"((NOT "b"."deceased") OR 1 = 1)"#;
    assert!(!proven(&scan(&[weakened, CONSENT])));
    assert!(!proven(&format!(
        r#"SELECT "b"."k" AS "c1" FROM "main"."patients" AS "b" WHERE (NOT "b"."deceased") OR {CONSENT}"#
    )));
    let as_output = format!(r#"SELECT {CONSENT} AS "c1" FROM "main"."patients" AS "b" WHERE (NOT "b"."deceased")"#);
    assert!(!proven(&as_output));
    // The conjuncts would speak of the other table here.
    assert!(!proven(&format!(
        r#"SELECT 1 FROM "main"."patients" AS "x", "main"."consents" AS "b" WHERE (NOT "b"."deceased") AND {CONSENT}"#
    )));
}

#[test]
fn a_table_in_a_subquery_of_the_users_must_carry_its_own() {
    let inner = r#"EXISTS (SELECT 1 FROM "main"."patients" AS "b" WHERE 1 = 1)"#;
    assert!(!proven(&scan(&[r#"(NOT "b"."deceased")"#, CONSENT, inner])));
    let good = format!("EXISTS (SELECT 1 FROM ({}) AS t)", released());
    assert!(proven(&scan(&[r#"(NOT "b"."deceased")"#, CONSENT, &good])));
    assert!(!proven(&format!(
        r#"SELECT (SELECT max("b"."k") FROM "main"."patients" AS "b") AS "c1" FROM ({}) AS t"#,
        released()
    )));
}

/// Each shape of SQL with a scan in every place where one may stand: proven with its policy, and not without.
#[test]
fn no_shape_hides_a_scan_without_its_policy() {
    let good = released();
    let bad = scan(&[CONSENT]);
    let shapes = [
        "SELECT row_number() OVER (PARTITION BY t.c1 ORDER BY t.c1) AS c1 FROM (@) AS t",
        "SELECT c1 FROM (SELECT c1, sum(c1) OVER (ORDER BY c1 ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS c2 FROM (@) AS t) AS u",
        "SELECT count(*) OVER (PARTITION BY EXISTS (SELECT 1 FROM (@) AS u)) AS c1 FROM (#) AS t",
        "SELECT count(*) OVER (ORDER BY (SELECT max(c1) FROM (@) AS u)) AS c1 FROM (#) AS t",
        "SELECT count(*) OVER w AS c1 FROM (#) AS t WINDOW w AS (PARTITION BY EXISTS (SELECT 1 FROM (@) AS u))",
        "SELECT c1 FROM (# INTERSECT @) AS t",
        "SELECT c1 FROM (@ EXCEPT #) AS t",
        "SELECT c1 FROM (# EXCEPT @) AS t",
        "SELECT t.c1 FROM (#) AS t JOIN (#) AS u ON EXISTS (SELECT 1 FROM (@) AS v WHERE v.c1 = t.c1)",
        "SELECT t.c1 FROM (#) AS t LEFT JOIN (@) AS u ON t.c1 = u.c1",
        "SELECT t.c1 FROM (#) AS t WHERE t.c1 NOT IN (SELECT c1 FROM (@) AS u)",
        "SELECT t.c1 FROM (#) AS t WHERE t.c1 = 1 OR EXISTS (SELECT 1 FROM (@) AS u WHERE u.c1 = t.c1)",
        "SELECT EXISTS (SELECT 1 FROM (@) AS u) AS c1 FROM (#) AS t",
        "SELECT t.c1 FROM (#) AS t CROSS JOIN (SELECT max(u.c1) AS c1 FROM (@) AS u) AS v",
        "SELECT t.c1 FROM (#) AS t ORDER BY EXISTS (SELECT 1 FROM (@) AS u) LIMIT 3 OFFSET 1",
        "SELECT t.c1 FROM (#) AS t LIMIT (SELECT count(*) FROM (@) AS u)",
        "SELECT t.c1, count(*) AS c2 FROM (@) AS t GROUP BY t.c1 HAVING count(*) > 0",
        "SELECT t.c1 FROM (#) AS t GROUP BY t.c1 HAVING EXISTS (SELECT 1 FROM (@) AS u)",
    ];
    for shape in shapes {
        let shape = shape.replace('#', &good);
        assert!(proven(&shape.replace('@', &good)), "{shape}");
        assert!(!proven(&shape.replace('@', &bad)), "{shape}");
        assert!(!proven(&shape.replace('@', r#"SELECT "b"."k" AS "c1" FROM "main"."patients" AS "b""#)), "{shape}");
    }
}

#[test]
fn clauses_that_are_never_written_are_refused() {
    let released = released();
    assert!(!proven(&released.replace(" FROM ", " INTO stolen FROM ")));
    assert!(!proven(&format!("{released} FOR UPDATE")));
    assert!(!proven(&format!("SELECT * FROM ({released}) AS t, LATERAL (SELECT 1 FROM main.patients AS b) AS u")));
}

#[test]
fn what_policy_did_not_name_is_refused() {
    assert!(!proven(r#"SELECT 1 AS "c1" FROM "main"."staff" AS "b""#));
    assert!(!proven(r#"SELECT 1 AS "c1" FROM "patients" AS "b""#));
    assert!(!proven("DELETE FROM main.patients"));
    assert!(!proven(&format!("{}; SELECT 1", released())));
    assert!(!proven(&format!("WITH x AS ({}) SELECT * FROM x", released())));
    assert!(!proven("no sql"));
}
