use arrow::datatypes::DataType;
#[tokio::test]
async fn fill() {
    let Ok(input) = std::fs::read_to_string("/tmp/h/fill.in") else { return };
    let mut out = String::new();
    let mut oracles = std::collections::BTreeMap::new();
    for record in input.split('\u{1e}').filter(|r| !r.trim().is_empty()) {
        let (session, sql) = record.split_once('\u{1f}').unwrap();
        if !oracles.contains_key(session) {
            oracles.insert(session.to_owned(), crate::differential::oracle(session).await.unwrap());
        }
        let ctx = &oracles[session];
        match ctx.sql(sql).await {
            Err(e) => out.push_str(&format!("!{}", e.strip_backtrace().replace('\n', " "))),
            Ok(frame) => {
                let schema = frame.schema().as_arrow().clone();
                let types: String = schema
                    .fields()
                    .iter()
                    .map(|f| match f.data_type() {
                        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => 'T',
                        t if t.is_integer() => 'I',
                        t if t.is_numeric() => 'R',
                        DataType::Boolean => 'B',
                        DataType::Date32 => 'D',
                        DataType::Timestamp(..) => 'P',
                        _ => '?',
                    })
                    .collect();
                match frame.collect().await {
                    Err(e) => out.push_str(&format!("!{}", e.strip_backtrace().replace('\n', " "))),
                    Ok(b) => {
                        out.push_str(&types);
                        for row in crate::harness::text_rows(&b) {
                            out.push('\n');
                            out.push_str(&row.iter().map(|v| crate::slt::shown(v)).collect::<Vec<_>>().join(" "));
                        }
                    }
                }
            }
        }
        out.push('\u{1e}');
    }
    std::fs::write("/tmp/h/fill.out", out).unwrap();
}
