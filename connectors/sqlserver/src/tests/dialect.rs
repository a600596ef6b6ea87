//! Each expression's text, by the letter where a trap is behind it.

use arrow::datatypes::{DataType, TimeUnit};
use wayleave_connector_api::{
    Aggregate, AggregateFunction, ArithmeticOp, Calculation, Collation, CompareOp, Comparison, Cut, DatePart, DateUnit,
    Dialect, Expr, Form, Frame, FrameBound, FrameUnits, KeyFormat, Mask, NullsOrder, Operand, OutputColumn, Scheme,
    SortDirection, SortKey, Support, TextFunction, TextPart, TrimSide, Unknown, Value, WindowCall, WindowFunction,
};

use super::parses;
use crate::SqlServerDialect;

const D: SqlServerDialect = SqlServerDialect;

fn column(data_type: DataType, source_type: &str) -> OutputColumn {
    OutputColumn {
        source_type: Some(source_type.to_owned()),
        collation: Collation::Loose,
        ..OutputColumn::computed(data_type)
    }
}

fn text_column(source_type: &str) -> OutputColumn {
    column(DataType::Utf8, source_type)
}

fn expression(sql: &str) {
    parses(&format!("SELECT {sql} AS [c1] FROM [dbo].[t] AS [b]"));
}

fn condition(sql: &str) {
    parses(&format!("SELECT 1 AS [c1] FROM [dbo].[t] AS [b] WHERE ({sql})"));
}

fn equal(left: &str, left_output: &OutputColumn, right: &Value) -> String {
    let right_output = OutputColumn::computed(right.data_type());
    let sql = D.compare(Comparison {
        op: CompareOp::Equal,
        left,
        right: &D.literal(right),
        left_operand: Operand { output: left_output, literal: None },
        right_operand: Operand { output: &right_output, literal: Some(right) },
    });
    condition(&sql);
    sql
}

#[test]
fn names_and_constants_cannot_be_left() {
    assert_eq!(D.quote_identifier("a]b [c"), "[a]]b [c]");
    parses(&format!("SELECT 1 AS [c1] FROM [dbo].{} AS [b]", D.quote_identifier("x]; DROP TABLE [y")));
    let text = |text: &str| {
        let sql = D.literal(&Value::Text(text.to_owned()));
        expression(&sql);
        sql.replace(" COLLATE Latin1_General_100_BIN2)", "").replacen('(', "", 1)
    };
    assert_eq!(text("it's"), "N'it''s'");
    assert_eq!(text(""), "N''");
    assert_eq!(text("a\\b"), "N'a\\b'");
    // A backslash at the end of a line would join the two, and a NUL end the statement.
    assert_eq!(text("a\\\nb"), "(N'a\\' + N'\nb')");
    assert_eq!(text("a\\\r\nb"), "(N'a\\' + N'\r\nb')");
    assert_eq!(text("a\0b"), "(N'a' + NCHAR(0) + N'b')");
    assert_eq!(text("\0"), "NCHAR(0)");
    let long = format!("{}\0", "x".repeat(5_000));
    assert!(text(&long).starts_with("(CAST(N'' AS nvarchar(max)) + N'xxx"));
}

#[test]
fn every_constant_has_the_type_that_it_has_here() {
    for (value, expected) in [
        (Value::Int16(-3), "CAST(-3 AS smallint)"),
        (Value::Int32(i32::MIN), "CAST(-2147483648 AS int)"),
        (Value::Int64(i64::MIN), "CAST(-9223372036854775808 AS bigint)"),
        (Value::Boolean(true), "CAST(1 AS bit)"),
        (Value::Decimal128 { unscaled: -1250, precision: 6, scale: 2 }, "CAST(-12.50 AS decimal(6,2))"),
        (Value::Binary(vec![0, 255]), "CAST(0x00FF AS varbinary(max))"),
        (Value::Date(-719_162), "CAST('0001-01-01' AS date)"),
        (Value::Time(1), "CAST('00:00:00.000001' AS time(6))"),
        (Value::Timestamp { microseconds: 1, zoned: false }, "CAST('1970-01-01T00:00:00.000001' AS datetime2(6))"),
        (
            Value::Timestamp { microseconds: -1, zoned: true },
            "CAST('1969-12-31T23:59:59.999999+00:00' AS datetimeoffset(6))",
        ),
        (Value::Null(DataType::Int64), "CAST(NULL AS bigint)"),
    ] {
        assert_eq!(D.literal(&value), expected);
        assert_eq!(D.expr_support(&Expr::Literal(value), &[]), Support::Exact);
        expression(expected);
    }
    for value in [
        Value::Date(-719_163),
        Value::Date(i32::MAX),
        Value::Timestamp { microseconds: i64::MAX, zoned: false },
        Value::Float64(f64::NAN),
        Value::Float32(1.5),
        Value::Null(DataType::Duration(TimeUnit::Second)),
    ] {
        assert!(matches!(D.expr_support(&Expr::Literal(value.clone()), &[]), Support::Local { .. }), "{value:?}");
        expression(&D.literal(&value));
    }
}

#[test]
fn text_is_equal_by_its_units_and_its_length_and_its_own_collation_finds_it() {
    let reads = Value::Text("it's".to_owned());
    assert_eq!(
        equal("[t1].[c1]", &text_column("nvarchar(20) COLLATE Latin1_General_CI_AS"), &reads),
        "[t1].[c1] = N'it''s' AND ([t1].[c1] COLLATE Latin1_General_100_BIN2) = N'it''s' AND DATALENGTH([t1].[c1]) = 8"
    );
    // A national constant would turn the column into the other kind, and keep its index from serving.
    assert_eq!(
        equal("[t1].[c1]", &text_column("varchar(20) COLLATE Latin1_General_CI_AS"), &reads),
        "[t1].[c1] = 'it''s' AND (CAST([t1].[c1] AS nvarchar(20)) COLLATE Latin1_General_100_BIN2) = N'it''s' \
         AND DATALENGTH(CAST([t1].[c1] AS nvarchar(20))) = 8"
    );
    // What its code page may not have is compared as Unicode alone.
    assert_eq!(
        equal("[t1].[c1]", &text_column("varchar(20) COLLATE Latin1_General_CI_AS"), &Value::Text("Ł".to_owned())),
        "(CAST([t1].[c1] AS nvarchar(20)) COLLATE Latin1_General_100_BIN2) = N'Ł' \
         AND DATALENGTH(CAST([t1].[c1] AS nvarchar(20))) = 2"
    );
    // The blanks that fill a column of fixed length up are no part of the value.
    assert!(
        equal("[t1].[c1]", &text_column("char(9) COLLATE Latin1_General_CI_AS"), &reads)
            .contains("DATALENGTH(RTRIM(CAST([t1].[c1] AS nvarchar(9)))) = 8")
    );
    let computed = OutputColumn::computed(DataType::Utf8);
    assert_eq!(
        equal("[t1].[c1]", &computed, &reads),
        "([t1].[c1] COLLATE Latin1_General_100_BIN2) = N'it''s' AND DATALENGTH([t1].[c1]) = 8"
    );
}

#[test]
fn columns_of_one_collation_meet_in_it_and_others_do_not() {
    let between = |left: &str, right: &str| {
        let (left, right) = (text_column(left), text_column(right));
        let sql = D.compare(Comparison {
            op: CompareOp::Equal,
            left: "[b].[k]",
            right: "[p1].[k]",
            left_operand: Operand { output: &left, literal: None },
            right_operand: Operand { output: &right, literal: None },
        });
        condition(&sql);
        sql
    };
    let own = "[b].[k] = [p1].[k] AND ";
    assert!(between("nvarchar(9) COLLATE A", "nvarchar(20) COLLATE A").starts_with(own));
    assert!(!between("nvarchar(9) COLLATE A", "nvarchar(9) COLLATE B").starts_with(own));
    assert!(!between("nvarchar(9) COLLATE A", "varchar(9) COLLATE A").starts_with(own));
    assert!(!between("nvarchar(9)", "nvarchar(9)").starts_with(own));
}

#[test]
fn unequal_texts_and_bytes_say_so_in_either_way() {
    let compare = |op, output: &OutputColumn| {
        let operand = Operand { output, literal: None };
        let sql =
            D.compare(Comparison { op, left: "[x]", right: "[y]", left_operand: operand, right_operand: operand });
        condition(&sql);
        sql
    };
    let text = OutputColumn::computed(DataType::Utf8);
    let bytes = OutputColumn::computed(DataType::Binary);
    assert_eq!(
        compare(CompareOp::NotEqual, &text),
        "([x] COLLATE Latin1_General_100_BIN2) <> ([y] COLLATE Latin1_General_100_BIN2) OR DATALENGTH([x]) <> DATALENGTH([y])"
    );
    assert_eq!(compare(CompareOp::Equal, &bytes), "[x] = [y] AND DATALENGTH([x]) = DATALENGTH([y])");
    assert_eq!(compare(CompareOp::Less, &OutputColumn::computed(DataType::Int32)), "[x] < [y]");
}

#[test]
fn a_mark_at_its_end_tells_texts_apart() {
    let key = |output: &OutputColumn| {
        let key = D.distinct_key("[t1].[c1]", output).unwrap();
        expression(&key);
        expression(&D.of_distinct_key(&key));
        key
    };
    assert_eq!(key(&text_column("nvarchar(20) COLLATE A")), "(([t1].[c1] + N'.') COLLATE Latin1_General_100_BIN2)");
    assert_eq!(
        key(&text_column("varchar(20) COLLATE A")),
        "((CAST([t1].[c1] AS nvarchar(20)) + N'.') COLLATE Latin1_General_100_BIN2)"
    );
    // Where nothing says that one more character fits, `+` would cut it off.
    assert_eq!(
        key(&text_column("nvarchar(4000) COLLATE A")),
        "((CAST([t1].[c1] AS nvarchar(max)) + N'.') COLLATE Latin1_General_100_BIN2)"
    );
    let text = OutputColumn::computed(DataType::Utf8);
    assert_eq!(
        D.distinct_key(&D.literal(&Value::Text("it's".to_owned())), &text).unwrap(),
        "(N'it''s.' COLLATE Latin1_General_100_BIN2)"
    );
    assert_eq!(D.distinct_key("[x]", &OutputColumn::computed(DataType::Int32)), None);
}

#[test]
fn a_list_is_written_out_or_read_from_json() {
    let in_texts = |output: &OutputColumn, texts: &[String]| {
        let sql = D.column_in_texts("[b].[k]", output, texts);
        condition(&sql);
        sql
    };
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let nvarchar = text_column("nvarchar(12) COLLATE Latin1_General_CI_AS");
    let varchar = text_column("varchar(12) COLLATE Latin1_General_CI_AS");
    assert_eq!(in_texts(&nvarchar, &[]), "1 = 0");
    assert_eq!(
        in_texts(&nvarchar, &owned(&["a", "it's"])),
        "[b].[k] IN (N'a', N'it''s') AND (([b].[k] + N'.') COLLATE Latin1_General_100_BIN2) IN (N'a.', N'it''s.')"
    );
    assert!(in_texts(&varchar, &owned(&["a"])).starts_with("[b].[k] IN ('a') AND "));
    assert!(!in_texts(&varchar, &owned(&["é"])).contains("[b].[k] IN "));
    let many: Vec<String> = (0..500).map(|n| format!("k\"{n}\n")).collect();
    let sql = in_texts(&varchar, &many);
    assert!(
        sql.starts_with("[b].[k] IN (SELECT [j].[k] COLLATE Latin1_General_CI_AS FROM OPENJSON(N'[\"k\\\"0\\u000a\","),
        "{sql}"
    );
    assert!(
        sql.contains(") WITH ([k] varchar(6) '$') AS [j]) AND ((CAST([b].[k] AS nvarchar(12)) + N'.') COLLATE"),
        "{sql}"
    );
    assert!(sql.contains("IN (SELECT (([j].[k] + N'.') COLLATE Latin1_General_100_BIN2) FROM OPENJSON("), "{sql}");
    // Only what a value of its type would be written as can be equal to one.
    let integers = owned(&["7", "07", "x", "300", "-1"]);
    assert_eq!(in_texts(&column(DataType::Int16, "tinyint"), &integers), "[b].[k] IN (CAST(7 AS tinyint))");
    assert_eq!(
        in_texts(&column(DataType::Int32, "int"), &integers),
        "[b].[k] IN (CAST(7 AS int), CAST(300 AS int), CAST(-1 AS int))"
    );
    assert_eq!(
        in_texts(&column(DataType::Decimal128(10, 0), "numeric(10,0)"), &owned(&["9434765919", "94347659190"])),
        "[b].[k] IN (CAST(9434765919 AS decimal(10,0)))"
    );
    let id = "6F9619FF-8B86-D011-B42D-00C04FC964FF";
    assert_eq!(
        in_texts(&text_column("uniqueidentifier"), &owned(&[id, &id.to_lowercase()])),
        format!("[b].[k] IN (CAST('{id}' AS uniqueidentifier))")
    );
}

#[test]
fn like_has_no_sets_and_half_characters_are_no_wildcard() {
    let like = |pattern: &str| {
        let sql = D.like("[x]", pattern);
        condition(&sql);
        sql
    };
    assert_eq!(like("a[b]%"), "[x] LIKE N'a\\[b]%' ESCAPE N'\\'");
    assert_eq!(like("100\\%"), "[x] LIKE N'100\\%' ESCAPE N'\\'");
    assert_eq!(like("a\\"), "[x] LIKE N'a\\\\' ESCAPE N'\\'");
    assert_eq!(like("a_b"), "[x] LIKE N'a%b' ESCAPE N'\\'");
    let input = [text_column("nvarchar(20) COLLATE A")];
    let support = |pattern: &str, negated| {
        let expr = Expr::Like { expr: Box::new(Expr::Column(0)), pattern: pattern.to_owned(), negated };
        D.support(&expr, &input)
    };
    assert_eq!(support("a%", false), Support::Exact);
    assert!(matches!(support("a_", false), Support::Superset { .. }));
    assert!(matches!(support("a_", true), Support::Local { .. }));
    assert_eq!(support("a\\_", true), Support::Exact);
    assert!(matches!(support(&"a".repeat(2_000), false), Support::Local { .. }));
}

#[test]
fn a_column_is_read_without_losing_digits() {
    let read = |data_type, source_type: &str| {
        let sql = D.read_column("[b].[x]", &column(data_type, source_type));
        expression(&sql);
        sql
    };
    assert_eq!(read(DataType::Decimal128(19, 4), "money"), "CAST([b].[x] AS decimal(19,4))");
    assert_eq!(read(DataType::Int16, "tinyint"), "CAST([b].[x] AS smallint)");
    let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
    assert_eq!(read(micros, "datetime"), "CAST([b].[x] AS datetime2(3))");
    assert_eq!(read(DataType::Utf8, "xml"), "(CAST([b].[x] AS nvarchar(max)) COLLATE Latin1_General_100_BIN2)");
    assert_eq!(read(DataType::Utf8, "varchar(5) COLLATE A"), "[b].[x]");
    assert_eq!(read(DataType::Int32, "int"), "[b].[x]");
    let delivered = |source_type: &str| D.deliver("[b].[x]", &text_column(source_type), &DataType::Utf8);
    assert_eq!(delivered("nvarchar(9) COLLATE A"), "[b].[x]");
    assert_eq!(delivered("varchar(9000) COLLATE A"), "CAST([b].[x] AS nvarchar(max))");
    assert_eq!(delivered("nchar(9) COLLATE A"), "RTRIM([b].[x])");
    assert_eq!(D.deliver("[x]", &OutputColumn::computed(DataType::Int32), &DataType::Int64), "CAST([x] AS bigint)");
}

#[test]
fn predicates_and_values_are_two_things() {
    assert_eq!(
        D.truth_of("([x] > [y])", Unknown::Possible),
        "CAST(CASE WHEN ([x] > [y]) THEN 1 WHEN NOT ([x] > [y]) THEN 0 END AS bit)"
    );
    expression(&D.truth_of("([x] > [y])", Unknown::Possible));
    assert_eq!(D.predicate_of("[x]"), "([x] = 1)");
    assert_eq!(
        D.truth_of("([x] IS NULL)", Unknown::Impossible),
        "CAST(CASE WHEN ([x] IS NULL) THEN 1 ELSE 0 END AS bit)"
    );
}

#[test]
fn rows_are_cut_where_transact_sql_cuts_them() {
    let cut = |fetch, skip, ordered| {
        let sql = D.cut(Cut { fetch, skip, ordered });
        let order = if ordered { " ORDER BY [b].[k] ASC" } else { "" };
        parses(&format!("SELECT {}[b].[k] AS [c1] FROM [dbo].[t] AS [b]{order}{}", sql.start, sql.end));
        (sql.start, sql.end)
    };
    let both = |start: &str, end: &str| (start.to_owned(), end.to_owned());
    assert_eq!(cut(Some(5), 0, true), both("TOP (5) ", ""));
    assert_eq!(cut(Some(5), 2, true), both("", " OFFSET 2 ROWS FETCH NEXT 5 ROWS ONLY"));
    assert_eq!(cut(None, 2, true), both("", " OFFSET 2 ROWS"));
    assert_eq!(cut(Some(5), 2, false), both("", " ORDER BY (SELECT NULL) OFFSET 2 ROWS FETCH NEXT 5 ROWS ONLY"));
    assert_eq!(cut(Some(0), 2, false), both("TOP (0) ", ""));
    assert_eq!(cut(Some(u64::MAX), 0, false).0, "TOP (9223372036854775807) ");
}

#[test]
fn null_stands_where_it_is_asked_to() {
    let key = |direction, nulls| {
        let sql = D.sort_key("[b].[k]", direction, nulls);
        parses(&format!("SELECT 1 AS [c1] FROM [dbo].[t] AS [b] ORDER BY {sql}"));
        sql
    };
    assert_eq!(key(SortDirection::Ascending, NullsOrder::First), "[b].[k] ASC");
    assert_eq!(key(SortDirection::Descending, NullsOrder::Last), "[b].[k] DESC");
    assert_eq!(
        key(SortDirection::Ascending, NullsOrder::Last),
        "CASE WHEN [b].[k] IS NULL THEN 1 ELSE 0 END ASC, [b].[k] ASC"
    );
    assert_eq!(
        key(SortDirection::Descending, NullsOrder::First),
        "CASE WHEN [b].[k] IS NULL THEN 0 ELSE 1 END ASC, [b].[k] DESC"
    );
}

#[test]
fn sums_and_counts_are_made_in_a_type_that_holds_them() {
    let call = |function, data_type| Aggregate {
        function,
        argument: Some(Expr::Column(0)),
        distinct: false,
        filter: None,
        data_type,
    };
    let int = column(DataType::Int32, "int");
    let argument = D.aggregate_argument(AggregateFunction::Sum, "[x]", &int);
    assert_eq!(
        D.aggregate(&call(AggregateFunction::Sum, DataType::Int64), Some(&argument)),
        "CAST(SUM(CAST([x] AS decimal(38,0))) AS bigint)"
    );
    assert_eq!(D.aggregate(&call(AggregateFunction::Count, DataType::Int64), Some("[x]")), "COUNT_BIG([x])");
    let bit = column(DataType::Boolean, "bit");
    let argument = D.aggregate_argument(AggregateFunction::Max, "[x]", &bit);
    assert_eq!(
        D.aggregate(&call(AggregateFunction::Max, DataType::Boolean), Some(&argument)),
        "CAST(MAX(CAST([x] AS tinyint)) AS bit)"
    );
    let support = |function, data_type, input| D.aggregate_support(&call(function, data_type), &[input]);
    let decimal = column(DataType::Decimal128(10, 2), "decimal(10,2)");
    assert_eq!(support(AggregateFunction::Sum, DataType::Decimal128(20, 2), decimal), Support::Exact);
    let float = column(DataType::Float64, "float");
    assert!(matches!(support(AggregateFunction::Sum, DataType::Float64, float), Support::Local { .. }));
    let text = text_column("nvarchar(9) COLLATE A");
    assert!(matches!(support(AggregateFunction::Min, DataType::Utf8, text), Support::Local { .. }));
}

#[test]
fn a_decimal_result_keeps_all_of_its_digits() {
    let (ten, wide) = (DataType::Decimal128(10, 2), DataType::Decimal128(30, 10));
    let support = |op, left: &DataType, right: &DataType, data_type| {
        let input = [column(left.clone(), "decimal(10,2)"), column(right.clone(), "decimal(10,2)")];
        let expr =
            Expr::Arithmetic { op, left: Box::new(Expr::Column(0)), right: Box::new(Expr::Column(1)), data_type };
        D.expr_support(&expr, &input)
    };
    assert_eq!(support(ArithmeticOp::Add, &ten, &ten, DataType::Decimal128(11, 2)), Support::Exact);
    assert_eq!(support(ArithmeticOp::Multiply, &ten, &ten, DataType::Decimal128(21, 4)), Support::Exact);
    // Here it would drop digits after the point, and round a quotient.
    assert!(matches!(
        support(ArithmeticOp::Multiply, &wide, &wide, DataType::Decimal128(38, 20)),
        Support::Local { .. }
    ));
    assert!(matches!(support(ArithmeticOp::Divide, &ten, &ten, DataType::Decimal128(16, 6)), Support::Local { .. }));
    let sql = D.arithmetic(Calculation {
        op: ArithmeticOp::Add,
        left: ("[x]", &ten),
        right: ("[y]", &ten),
        data_type: &DataType::Decimal128(11, 2),
    });
    assert_eq!(sql, "CAST([x] + [y] AS decimal(11,2))");
}

#[test]
fn order_and_floats_stay_here() {
    for (output, sorts, groups) in [
        (text_column("nvarchar(9) COLLATE A"), false, true),
        (column(DataType::Float64, "float"), false, false),
        (column(DataType::Binary, "varbinary(9)"), false, false),
        (column(DataType::Boolean, "bit"), true, true),
        (column(DataType::Timestamp(TimeUnit::Nanosecond, None), "datetime2(7)"), true, true),
    ] {
        assert_eq!(D.sort_support(&output) == Support::Exact, sorts, "{output:?}");
        assert_eq!(D.group_support(&output) == Support::Exact, groups, "{output:?}");
    }
}

#[test]
fn a_window_has_an_order_where_one_is_wanted() {
    let call = |function, order_by: Vec<SortKey>, frame| WindowCall {
        function,
        argument: None,
        partition_by: Vec::new(),
        order_by,
        frame,
        filter: None,
        data_type: DataType::Int64,
    };
    let key = || SortKey { expr: Expr::Column(0), direction: SortDirection::Ascending, nulls: NullsOrder::First };
    let local = |call: &WindowCall| matches!(D.window_support(call, &[]), Support::Local { .. });
    // That there is no order has to be said.
    let numbered = call(WindowFunction::RowNumber, Vec::new(), None);
    assert!(!local(&numbered));
    assert_eq!(D.frame(&numbered).as_deref(), Some("ORDER BY (SELECT NULL)"));
    assert!(local(&call(WindowFunction::Ntile { buckets: 2 }, Vec::new(), None)));
    assert!(!local(&call(WindowFunction::RowNumber, vec![key()], None)));
    assert!(local(&call(WindowFunction::NthValue { n: 2 }, vec![key()], None)));
    let frame = |units, start, end| Some(Frame { units, start, end });
    let count = WindowFunction::Aggregate(AggregateFunction::Count);
    let running = frame(FrameUnits::Rows, FrameBound::UnboundedPreceding, FrameBound::CurrentRow);
    assert!(local(&call(count.clone(), Vec::new(), running)));
    assert!(!local(&call(count.clone(), vec![key()], running)));
    let whole =
        call(count, Vec::new(), frame(FrameUnits::Range, FrameBound::UnboundedPreceding, FrameBound::CurrentRow));
    assert!(!local(&whole));
    // Without an order SQL Server takes no frame.
    assert_eq!(D.frame(&whole), None);
}

#[test]
fn every_function_is_transact_sql() {
    let sql = "([b].[x] COLLATE Latin1_General_100_BIN2)";
    for function in [
        TextFunction::Length,
        TextFunction::Substring { start: 2, length: None },
        TextFunction::Substring { start: 0, length: Some(2) },
        TextFunction::Left(3),
        TextFunction::Left(-3),
        TextFunction::Right(3),
        TextFunction::Right(i32::MIN),
        TextFunction::Trim(TrimSide::Both),
        TextFunction::Replace { from: "it's".to_owned(), to: "x".to_owned() },
        TextFunction::Position("a".to_owned()),
    ] {
        expression(&D.of_text(&function, sql));
    }
    let substring = |start, length| D.of_text(&TextFunction::Substring { start, length }, sql);
    assert!(substring(0, Some(2)).contains(", 1, 1)"));
    assert!(substring(-5, Some(2)).contains(", 1, 0)"));
    assert!(substring(i32::MAX, Some(i32::MAX)).contains(", 2147483647, 2147483647)"));
    for mask in [Mask::OutwardPostcode, Mask::LastCharacters(3), Mask::LastCharacters(u32::MAX)] {
        expression(&D.mask(sql, &OutputColumn::computed(DataType::Utf8), mask));
    }
    let part = |most_bytes| TextPart { sql: sql.to_owned(), most_bytes };
    expression(&D.concat(&[part(None), part(Some(3))]));
    // Only what nothing bounds could become too long.
    assert!(D.concat(&[part(None), part(Some(4))]).starts_with("(CASE WHEN CAST(DATALENGTH("));
    assert!(D.concat(&[part(Some(3)), part(Some(4))]).starts_with("(((CAST("));
    for (_, form) in Form::NAMES {
        for assured in [false, true] {
            for (_, scheme) in Scheme::NAMES {
                let format = KeyFormat { scheme, form, assured };
                expression(&D.canonical_key(sql, format));
                expression(&D.written_key(sql, format));
            }
        }
    }
}

#[test]
fn every_part_of_a_moment_is_transact_sql() {
    let parts = [
        DatePart::Year,
        DatePart::Quarter,
        DatePart::Month,
        DatePart::Week,
        DatePart::Day,
        DatePart::DayOfWeek,
        DatePart::IsoDayOfWeek,
        DatePart::DayOfYear,
        DatePart::Hour,
        DatePart::Minute,
    ];
    let units = [
        DateUnit::Year,
        DateUnit::Quarter,
        DateUnit::Month,
        DateUnit::Week,
        DateUnit::Day,
        DateUnit::Hour,
        DateUnit::Minute,
        DateUnit::Second,
    ];
    for zone in [None, Some("UTC".into())] {
        let input = OutputColumn::computed(DataType::Timestamp(TimeUnit::Microsecond, zone));
        for part in parts {
            expression(&D.date_part(part, "[b].[x]", &input));
        }
        for unit in units {
            expression(&D.truncate(unit, "[b].[x]", &input));
        }
        expression(&D.date_of("[b].[x]", &input));
    }
    let text = OutputColumn::computed(DataType::Utf8);
    let sql = D.date_of("[b].[x]", &text);
    expression(&sql);
    assert!(sql.ends_with("THEN TRY_CONVERT(date, SUBSTRING([b].[x], 1, 10), 23) END)"), "{sql}");
    // What a week begins with is a setting of the server's.
    assert!(!D.date_part(DatePart::DayOfWeek, "[x]", &OutputColumn::computed(DataType::Date32)).contains("weekday"));
}
