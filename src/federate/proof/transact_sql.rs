//! What SQL Server could read in another way than the parser of the proof.

/// Whether a text of SQL Server's means the same to the parser. A double quote is what the session says, a backslash at the
/// end of a line joins it with the next one inside a text, and a comment may hide a part: our generator writes none of them.
pub(super) fn reads_one_way(sql: &str) -> bool {
    if sql.contains("\\\n") || sql.contains("\\\r") || sql.contains('\0') {
        return false;
    }
    let mut closing = None;
    let mut previous = ' ';
    for character in sql.chars() {
        match (closing, character) {
            // A doubled one ends a text or a name and begins the next: what follows is quoted either way.
            (Some(open), _) if open == character => closing = None,
            (Some(_), _) => {}
            (None, '\'') => closing = Some('\''),
            (None, '[') => closing = Some(']'),
            (None, ']') if previous == ']' => closing = Some(']'),
            (None, '"' | ';') => return false,
            (None, '*') if previous == '/' => return false,
            (None, '-') if previous == '-' => return false,
            (None, _) => {}
        }
        previous = if closing.is_some() { ' ' } else { character };
    }
    closing.is_none()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
    use wayleave_connector_api::{
        Audience, Collation, Column, ColumnType, CompareOp, Connector, DatePart, DateUnit, Existence, Expr, Form,
        Fragment, KeyDisclosure, KeyFormat, KeySlot, Mask, NullsOrder, Probe, Relation, Scan, ScanReason, Scheme,
        SetKind, SortDirection, SortKey, TableName, TextFunction, TrimSide, Value, render_fragment,
        render_policy_conjuncts,
    };
    use wayleave_connector_sqlserver::{Login, SqlServerConnector, SqlServerOptions, TlsMode};

    use super::super::{Agency, Error, Obligation, Origin, Prover};
    use super::*;

    fn prove(sql: &str, agency: &Agency, origins: &[Origin], obligations: &[Obligation]) -> Result<(), Error> {
        Prover::new(obligations).prove(sql, agency, origins)
    }

    fn connector() -> Arc<dyn Connector> {
        let options = SqlServerOptions {
            url: "sqlserver://nobody:x@localhost/none".to_owned(),
            login: Login::Password,
            tls: TlsMode::Disable,
            ca_file: None,
            max_connections: 1,
            connect_timeout_ms: 1,
            statement_timeout_ms: 1,
        };
        Arc::new(SqlServerConnector::new(options).unwrap())
    }

    fn column(name: &str, source_type: &str, data_type: DataType) -> Column {
        Column {
            name: name.to_owned(),
            source_type: source_type.to_owned(),
            column_type: ColumnType::Readable(data_type),
            nullable: true,
            collation: Collation::Loose,
        }
    }

    fn columns() -> Vec<Column> {
        vec![
            column("na]me", "varchar(30) COLLATE SQL_Latin1_General_CP1_CI_AS", DataType::Utf8),
            column("flag", "bit", DataType::Boolean),
            column("at", "datetime2(3)", DataType::Timestamp(TimeUnit::Microsecond, None)),
            column("n", "int", DataType::Int32),
        ]
    }

    fn scan(policy: Vec<Expr>) -> Scan {
        Scan {
            table: TableName::new("dbo", "pati]ents"),
            columns: columns(),
            outputs: (0..4).map(Expr::Column).collect(),
            policy,
            lookups: Vec::new(),
            keys: None,
            reason: ScanReason::Released { agreement: "A".to_owned() },
        }
    }

    fn policy() -> Vec<Expr> {
        let boxed = |index: usize| Box::new(Expr::Column(index));
        let text = |text: &str| Expr::Literal(Value::Text(text.to_owned()));
        let of_text = |function| Expr::OfText { function, expr: boxed(0) };
        let date = |microseconds| Expr::Literal(Value::Timestamp { microseconds, zoned: false });
        let format = |form| KeyFormat { scheme: Scheme::NhsNumber, form, assured: false };
        let key = |form| Expr::CanonicalKey { expr: boxed(0), format: format(form) };
        let texts = ["O'Brien", "back\\slash", "back\\\nslash", "'", "--", "/* 1 */", "[x]", "日本", ""];
        let mut policy: Vec<Expr> = texts.iter().map(|value| Expr::equal(Expr::Column(0), text(value))).collect();
        let probe = Probe {
            table: TableName::new("dbo", "consents"),
            columns: vec![column("k", "nvarchar(12) COLLATE Latin1_General_CI_AS", DataType::Utf8)],
            predicates: vec![Expr::equal(
                Expr::CanonicalKey { expr: boxed(0), format: format(Form::Spaced) },
                Expr::Outer(0),
            )],
        };
        policy.extend([
            Expr::Column(1),
            Expr::Not(boxed(1)),
            Expr::InList { expr: boxed(0), list: texts.map(|t| Value::Text(t.to_owned())).to_vec(), negated: false },
            Expr::InList { expr: boxed(0), list: vec![Value::Text("a".to_owned())], negated: true },
            Expr::InList { expr: boxed(3), list: vec![Value::Int32(-1), Value::Int32(2)], negated: true },
            Expr::Like { expr: boxed(0), pattern: "50\\%[a]%".to_owned(), negated: true },
            Expr::IsNotNull(Box::new(key(Form::Mixed))),
            Expr::IsNotNull(Box::new(key(Form::Spaced))),
            Expr::compare(CompareOp::Less, Expr::DateOf(boxed(0)), Expr::Literal(Value::Date(-1))),
            Expr::compare(CompareOp::Greater, Expr::Column(2), date(-1)),
            Expr::equal(of_text(TextFunction::Trim(TrimSide::Both)), text("x")),
            Expr::equal(of_text(TextFunction::Left(-3)), text("x")),
            Expr::equal(of_text(TextFunction::Replace { from: "\\".to_owned(), to: "'".to_owned() }), text("x")),
            Expr::equal(of_text(TextFunction::Position("a".to_owned())), Expr::Literal(Value::Int32(1))),
            Expr::equal(Expr::Mask { expr: boxed(0), mask: Mask::OutwardPostcode }, text("TQ1")),
            Expr::equal(Expr::Mask { expr: boxed(0), mask: Mask::LastCharacters(3) }, text("***abc")),
            Expr::equal(Expr::DatePart { part: DatePart::Week, expr: boxed(2) }, Expr::Literal(Value::Int32(1))),
            Expr::equal(Expr::Truncate { to: DateUnit::Week, expr: boxed(2) }, date(0)),
            Expr::Exists { probe: Box::new(probe), existence: Existence::Forbidden },
        ]);
        policy
    }

    fn written(connector: &Arc<dyn Connector>, root: Relation) -> String {
        let fields: Vec<Field> = root
            .outputs()
            .into_iter()
            .enumerate()
            .map(|(place, output)| Field::new(format!("c{place}"), output.data_type, true))
            .collect();
        let fragment = Fragment { root, schema: Arc::new(Schema::new(fields)) };
        let keys: Vec<String> = (0..300).map(|n| format!("k{n}")).collect();
        render_fragment(connector.dialect(), &fragment, Some(&keys), Audience::Source)
    }

    #[test]
    fn each_expression_of_policys_is_found_again_and_missed_where_it_lacks() {
        let connector = connector();
        let agency = Agency::new("health", None, Arc::clone(&connector), BTreeMap::new());
        let full = scan(policy());
        let conjuncts = render_policy_conjuncts(connector.dialect(), &full);
        let obligations = [Obligation {
            agency: "health".to_owned(),
            table: full.table.clone(),
            conjuncts: conjuncts.clone(),
            guards: Vec::new(),
        }];
        let sql = written(&connector, Relation::Scan(Box::new(full)));
        prove(&sql, &agency, &[], &obligations).unwrap_or_else(|error| panic!("{error:?}: {sql}"));
        for index in 0..conjuncts.len() {
            let mut fewer = policy();
            fewer.remove(index);
            let sql = written(&connector, Relation::Scan(Box::new(scan(fewer))));
            assert!(prove(&sql, &agency, &[], &obligations).is_err(), "{index}: {sql}");
        }
    }

    #[test]
    fn every_shape_is_proven_with_its_policy_and_not_without() {
        let connector = connector();
        let agency = Agency::new("health", None, Arc::clone(&connector), BTreeMap::new());
        let demanded = vec![Expr::Column(1)];
        let conjuncts = render_policy_conjuncts(connector.dialect(), &scan(demanded.clone()));
        let obligations =
            [Obligation { agency: "health".to_owned(), table: scan(Vec::new()).table, conjuncts, guards: Vec::new() }];
        let key = SortKey { expr: Expr::Column(3), direction: SortDirection::Descending, nulls: NullsOrder::First };
        let shapes: Vec<Box<dyn Fn(Relation) -> Relation>> = vec![
            Box::new(|input| input),
            Box::new(|input| Relation::Sort { input: Box::new(input), keys: vec![key.clone()], fetch: Some(5) }),
            Box::new(|input| Relation::Limit { input: Box::new(input), skip: 3, fetch: Some(5) }),
            Box::new(|input| Relation::SetOperation {
                left: Box::new(input.clone()),
                right: Box::new(input),
                kind: SetKind::Except,
            }),
            Box::new(|input| Relation::Aggregate {
                input: Box::new(input),
                groups: vec![Expr::Column(0)],
                aggregates: Vec::new(),
            }),
            Box::new(|input| Relation::MarkJoin {
                left: Box::new(input.clone()),
                right: Box::new(input),
                on: vec![Expr::equal(Expr::Column(0), Expr::Column(4))],
            }),
        ];
        let proven = |sql: &str| prove(sql, &agency, &[], &obligations).is_ok();
        for shape in shapes {
            for keys in [None, Some(KeySlot { column: 0, format: None, disclosure: KeyDisclosure::Plain, number: 0 })] {
                let of = |policy| Relation::Scan(Box::new(Scan { keys: keys.clone(), ..scan(policy) }));
                let good = written(&connector, shape(of(demanded.clone())));
                assert!(proven(&good), "{good}");
                assert!(!proven(&written(&connector, shape(of(Vec::new())))), "{good}");
            }
        }
    }

    #[test]
    fn what_a_session_could_read_otherwise_is_refused() {
        assert!(reads_one_way("SELECT N'it''s; -- \"x\"' AS [a]]b /* \"] FROM [dbo].[t]"));
        for sql in [
            "SELECT \"x\"",
            "SELECT 1 -- x",
            "SELECT 1 /* x */",
            "SELECT 1; SELECT 2",
            "SELECT 'a\\\nb'",
            "SELECT 'open",
            "SELECT [open",
        ] {
            assert!(!reads_one_way(sql), "{sql}");
        }
    }

    #[test]
    fn only_a_plain_number_of_rows_is_taken() {
        let connector = connector();
        let agency = Agency::new("health", None, connector, BTreeMap::new());
        let obligations = [Obligation {
            agency: "health".to_owned(),
            table: TableName::new("dbo", "t"),
            conjuncts: Vec::new(),
            guards: Vec::new(),
        }];
        let proven = |sql: &str| prove(sql, &agency, &[], &obligations).is_ok();
        let from = "[b].[x] AS [c1] FROM [dbo].[t] AS [b]";
        assert!(proven(&format!("SELECT TOP (5) {from}")));
        assert!(!proven(&format!("SELECT TOP (5) PERCENT {from}")));
        assert!(!proven(&format!("SELECT TOP (5) WITH TIES {from}")));
        assert!(!proven(&format!("SELECT TOP (SELECT 1) {from}")));
        let json = |json: &str| {
            format!("SELECT {from} WHERE [b].[x] IN (SELECT [j].[k] FROM OPENJSON({json}) WITH ([k] int '$') AS [j])")
        };
        assert!(proven(&json("N'[1]'")));
        assert!(!proven(&json("(SELECT [s].[x] FROM [dbo].[staff] AS [s])")));
        assert!(!proven(&format!("{} FOR JSON AUTO", json("N'[1]'"))));
        assert!(!proven(&format!("SELECT [x].[k] AS [c1] FROM OPENROWSET(BULK 'x') AS [x], {from}")));
    }
}
